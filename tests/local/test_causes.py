"""Causes of connection errors: plain words for what the standard library raises."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import zlib

from sogni.local.causes import cause_of
from tests.tables import each_row


def tls(kind: type[ssl.SSLError], reason: str) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:1006)")
    error.reason = reason
    return error


@each_row(
    ("error", "cause"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "the host name cannot be resolved"),
        (TimeoutError("timed out"), "no response in time"),
        (http.client.RemoteDisconnected("Remote end closed"), "it closed the connection without a response"),
        (http.client.IncompleteRead(b"x" * 9, 20182), "the response was cut off"),
        (http.client.BadStatusLine("SSH-2.0 secret"), "the response is not valid HTTP"),
        (zlib.error("Error -3"), "the response cannot be decompressed"),
        (OSError("Tunnel connection failed: 407 say please"), "the proxy answered with HTTP 407"),
        (ConnectionAbortedError("by secret"), "the connection was closed"),
        (OSError("secret"), "the connection failed"),
        (RuntimeError("secret"), "the response cannot be read (RuntimeError)"),
        (tls(ssl.SSLError, "WRONG_VERSION_NUMBER"), "it does not speak TLS"),
        (tls(ssl.SSLError, "TLSV1_ALERT_INTERNAL_ERROR"), "TLS failed (tlsv1 alert internal error)"),
        (ssl.SSLError("bad"), "TLS failed"),
        (ssl.SSLEOFError(8, "EOF occurred"), "it closed the connection during TLS"),
    ],
)
def test_a_cause_in_plain_words(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


def test_a_certificate_that_is_not_trusted_says_why() -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] (_ssl.c:1006)")
    error.verify_message = "self-signed certificate"
    assert cause_of(error) == "its certificate is not trusted: self-signed certificate"
