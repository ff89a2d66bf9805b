"""Descriptions of connection failures for error messages.

Shared by both packages, so that the same failure has the same message. They never contain data from the peer or URLs
with a query.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import zlib

__all__ = ["CUT_OFF", "DISCONNECTED", "NOT_HTTP", "NO_UPGRADE", "cause_of", "innermost"]

_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "UNSUPPORTED_PROTOCOL"})
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")

NO_UPGRADE = "the response is not a WebSocket upgrade"
DISCONNECTED = "it closed the connection without a response"
NOT_HTTP = "the response is not valid HTTP"
CUT_OFF = "the response was cut off"


def cause_of(error: BaseException) -> str:
    """Return the cause of a failure, as the end of a sentence such as "cannot reach host: …"."""
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    if isinstance(error, TimeoutError):
        return "no response in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return DISCONNECTED
    if isinstance(error, http.client.IncompleteRead):
        return CUT_OFF
    if isinstance(error, http.client.HTTPException):
        return NOT_HTTP
    if isinstance(error, zlib.error):
        return "the response cannot be decompressed"
    if isinstance(error, OSError):
        return _of_system(error)
    return f"the response cannot be read ({type(error).__name__})"


def innermost(error: BaseException) -> BaseException:
    """Return the original cause in a chain of wrapped errors."""
    seen = error
    for _ in range(8):
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        inner = inner or seen.__cause__
        if inner is None or inner is seen:
            break
        seen = inner
    return seen


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "it closed the connection during TLS"
    reason: str = getattr(error, "reason", None) or ""  # absent from errors raised by Python itself
    if reason in _NOT_TLS:
        return "it does not speak TLS"
    return f"TLS failed ({reason.lower().replace('_', ' ')})" if reason else "TLS failed"


def _of_system(error: OSError) -> str:
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    # Without an errno, the message is that of a library and may quote the peer.
    tunnel = _TUNNEL.match(str(error))
    if tunnel:
        return f"the proxy answered with HTTP {tunnel[1]}"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return "the connection was closed"
    return "the connection failed"
