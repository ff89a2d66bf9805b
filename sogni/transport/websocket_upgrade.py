"""Open the stream under a WebSocket connection: name lookup, proxy, TLS, upgrade.

Decides what websocket-client may do on the way and what its failures are called. Called by
`SerialSocket.connect` only. Never follows a redirect (the headers hold credentials), never lets
websocket-client consult the environment, log, or keep cookies from one client for another.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import websocket
from websocket import _handshake

from sogni.errors import SogniConnectionError
from sogni.machine.causes import DISCONNECTED, NO_UPGRADE, cause_of
from sogni.machine.proxies import Proxy, bundled_authorities, bypasses, read_proxy, tls_context
from sogni.redaction import Secret

__all__ = ["UpgradeRefused", "open_upgraded", "shown_host"]

_MAX_ANSWER = 1 << 20
"""Bytes of the answer to an upgrade, an error page included."""
_PIECE = 16384
_NOWHERE = ["invalid."]
"""A `no_proxy` that matches nothing: with an empty one websocket-client would read the environment's."""


_TUNNEL_STATUS = re.compile(r"status: (\d{3})$")
"""How websocket-client ends its report of a refused CONNECT."""


class UpgradeRefused(SogniConnectionError):  # noqa: N818  what happened, as in the service's own words
    """The server answered the upgrade with another HTTP status than 101.

    It counts as close code 1006, so it is tried again and clears no credentials (transport §6).
    """

    def __init__(self, message: str = "", *, status: int = 0) -> None:
        super().__init__(message, code=status)
        self.status = status
        self.close_code = 1006


class _Silence(logging.Filter):
    """Keep websocket-client's trace of an upgrade of ours out of its log: it holds the key."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.here, "active", False)


_silence = _Silence()


class _AnswerTooLong(Exception):  # noqa: N818  becomes the cause in an error of ours
    """The answer to the upgrade does not end."""


class _BoundedStream:
    """What websocket-client takes for a socket during the upgrade.

    A socket's own timeout starts anew with each byte, and websocket-client reads bytes one by one: a
    server that drips would hold the caller for ever.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self._deadline = deadline
        self._left = _MAX_ANSWER

    def _limit(self) -> None:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.sock.settimeout(left)

    def recv(self, size: int) -> bytes:
        self._limit()
        data = self.sock.recv(min(size, _PIECE))  # older releases ask for as much as Content-Length claims
        self._left -= len(data)
        if self._left < 0:
            raise _AnswerTooLong
        return data

    def send(self, data: bytes) -> int:
        self._limit()
        return self.sock.send(data)

    def gettimeout(self) -> float | None:
        return self.sock.gettimeout()

    def close(self) -> None:
        self.sock.close()


class _Upgrade(websocket.WebSocket):
    """websocket-client for as long as it is in charge."""

    def __init__(self, context: ssl.SSLContext | None, deadline: float) -> None:
        self._deadline = deadline
        self._stream: _BoundedStream | None = None
        options = {} if context is None else {"context": context}
        super().__init__(sslopt=options, skip_utf8_validation=True)

    @property
    def sock(self) -> Any:
        return self._stream

    @sock.setter
    def sock(self, sock: socket.socket | None) -> None:
        self._stream = None if sock is None else _BoundedStream(sock, self._deadline)

    def detach(self) -> socket.socket:
        assert self._stream is not None
        return self._stream.sock


def open_upgraded(
    url: str,
    headers: Mapping[str, str],
    *,
    timeout: float,
    proxy: str | None,
    no_proxy: str | None,
    ca_bundle: str | None,
) -> socket.socket:
    """Return a blocking socket on which the upgrade has been answered and nothing more was read.

    `timeout` in seconds limits dialling and TLS each and all of it together, save for a proxy that drips.
    Raises SogniConnectionError that names host and cause, never query, headers or password.
    """
    where = shown_host(url)
    _check_headers(where, headers)
    relay = None if proxy is None or bypasses(url, no_proxy) else read_proxy(proxy)
    options = _proxy_options(where, relay, timeout)
    context = tls_context(where, ca_bundle or bundled_authorities()) if urlsplit(url).scheme == "wss" else None
    upgrade = _Upgrade(context, monotonic() + timeout)
    failure: SogniConnectionError
    logging.getLogger("websocket").addFilter(_silence)
    _silence.here.active = True
    try:
        _forget_cookies(url)
        connect: Callable[..., None] = upgrade.connect
        connect(url, header=dict(headers), timeout=timeout, redirect_limit=0, suppress_origin=True, **options)
        if upgrade.status == 101:
            return upgrade.detach()
        failure = _refused(where, upgrade.status)  # a redirect
        upgrade.detach().close()
    except Exception as error:
        failure = _failure(where, relay, upgrade, error, timeout)
    finally:
        _silence.here.active = False
    # Outside the handler: websocket-client's error holds the server's headers and must not be the context.
    raise failure


def shown_host(url: str) -> str:
    """Return host, and port if given, of a URL: all of it that may stand in a message."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    return f"{host}:{parts.port}" if parts.port else host


def _check_headers(where: str, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if any(character in name + value for character in "\r\n\0"):
            raise SogniConnectionError(
                f"cannot connect to {where}: the value of the header {name!r} contains a line break"
            )


def _proxy_options(where: str, relay: Proxy | None, timeout: float) -> dict[str, Any]:
    if relay is None:
        # Without any proxy host it would ask the environment, whatever the other options say.
        return {"http_proxy_host": "none.invalid", "http_no_proxy": ["*"]}
    if relay.scheme == "https":
        raise SogniConnectionError(
            f"cannot connect to {where}: the proxy {relay.shown} is to be spoken to over TLS (https://), which"
            " WebSocket connections cannot; use its http:// address"
        )
    if relay.scheme != "http" and importlib.util.find_spec("python_socks") is None:
        raise SogniConnectionError(
            f"cannot connect to {where}: the proxy {relay.shown} speaks {relay.scheme}, which needs the"
            " package python-socks (pip install python-socks)"
        )
    credentials = None
    if relay.username is not None:
        credentials = (Secret(relay.username), Secret(relay.password or ""))
    return {
        "http_proxy_host": relay.host,
        "http_proxy_port": relay.port,
        "http_proxy_auth": credentials,
        "http_proxy_timeout": timeout,
        "http_no_proxy": _NOWHERE,
        "proxy_type": relay.scheme,
    }


def _forget_cookies(url: str) -> None:
    # websocket-client has one cookie jar for the process: one account's cookies would go with another's key.
    jar: dict[str, Any] = getattr(getattr(_handshake, "CookieJar", None), "jar", {})
    host = f".{(urlsplit(url).hostname or '').lower()}"
    for domain in [domain for domain in list(jar) if host.endswith(domain)]:
        jar.pop(domain, None)


def _refused(where: str, status: int) -> UpgradeRefused:
    return UpgradeRefused(f"{where} refused the WebSocket connection with HTTP {status}", status=status)


def _failure(
    where: str, relay: Proxy | None, upgrade: _Upgrade, error: Exception, timeout: float
) -> SogniConnectionError:
    status = getattr(error, "status_code", upgrade.status)  # the second for a redirect
    if status is not None:
        return _refused(where, status)
    via = "" if relay is None else f" through the proxy {relay.shown}"
    failure = SogniConnectionError(f"cannot connect to {where}{via}: {_cause(error, timeout)}")
    if isinstance(error, OSError):
        failure.__cause__ = error
    return failure


def _cause(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
        return f"no answer within {timeout:g} s"
    if isinstance(error, websocket.WebSocketProxyException):
        status = _TUNNEL_STATUS.search(str(error))
        return f"the proxy answered with HTTP {status[1]}" if status else "the proxy's answer is not valid HTTP"
    if isinstance(error, _AnswerTooLong):
        return "the answer to the upgrade is too long"
    if isinstance(error, OSError):
        return cause_of(error)
    if isinstance(error, websocket.WebSocketAddressException):
        return "the host name cannot be resolved"
    if isinstance(error, websocket.WebSocketConnectionClosedException):
        return DISCONNECTED
    if isinstance(error, websocket.WebSocketException | UnicodeDecodeError):
        return NO_UPGRADE
    return cause_of(error)
