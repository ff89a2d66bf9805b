"""The WebSocket connection of the blocking client, which several threads may use at once.

`SerialSocket` opens a connection, receives and sends messages, and can be woken or shut down from any thread. It never
reconnects, answers a close frame or starts a thread.

websocket-client opens the connection (name lookup, proxy, TLS, upgrade), by its public API only. Frames are our own:
the read loop of websocket-client costs more than everything that follows it, and its write loop cannot be interrupted.
"""

# Locks, in the order they may be taken: the caller's state, `_send_lock` (one frame at a time), the lock of the stream
# (one call into the TLS session at a time). `_gate` (who is inside, is it closed) comes last and is never held across a
# call that can block; it is reentrant, because a finalizer may run `shutdown` on a thread that holds it.

from __future__ import annotations

import importlib.util
import logging
import os
import re
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import websocket

from sogni.core.connection.websocket import CLOSE, PING, PONG, TEXT, FrameDecoder, Message, masked_frame
from sogni.errors import SogniConnectionError, SogniTimeoutError
from sogni.local.causes import DISCONNECTED, NO_UPGRADE, cause_of
from sogni.local.proxies import Proxy, bundled_authorities, bypasses, read_proxy, tls_context
from sogni.redaction import Secret

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
MAX_WAIT = 1e6
"""Maximum wait in seconds; longer ones overflow the timers of some systems."""

_BURST = 65536
_TLS_RECORD = 16384
_RECHECK = 0.05
"""Seconds between attempts of a write that needs TLS input, which the reader may have read."""
_WRITE_SELECTOR: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""Selector for senders, which rarely wait; it needs no descriptor of its own."""


# -- the stream


class SerialStream:
    """A non-blocking socket, plain or TLS, that is called by one thread at a time.

    OpenSSL forbids two threads inside one TLS session, so every attempt to read or write takes the lock `_tls`, which
    is never held across a wait. The stream owns the socket. It never retries and never ends a TLS session in order.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.secure: bool = isinstance(sock, ssl.SSLSocket)
        self._tls = threading.Lock()
        self.readable: bool = True
        """Whether to read before waiting: bytes may have come with the upgrade, and TLS may hold some that no
        selector sees. Set by the reader when its selector reports input."""
        self.read_want: int = READ
        """The event that the next read waits for if there is nothing to read."""
        sock.setblocking(False)

    def read(self) -> bytes:
        """Return the available bytes, about one buffer at most. Raises OSError at the end of the stream.

        The last bytes are returned first; the next call meets the end again.
        """
        pieces: list[bytes] = []
        size = 0
        self.read_want = READ
        try:
            with self._tls:
                if not self.secure:
                    data = self._some(_BURST)
                    self.readable = len(data) == _BURST
                    return data
                # TLS gives one record per call; a selector between two of them would cost as much again.
                while size < _BURST:
                    data = self._some(_TLS_RECORD)
                    pieces.append(data)
                    size += len(data)
        except (ssl.SSLWantReadError, BlockingIOError):
            self.readable = False
        except ssl.SSLWantWriteError:
            self.readable = False
            self.read_want = WRITE
        except OSError:
            if not pieces:
                raise
        return b"".join(pieces)

    def _some(self, size: int) -> bytes:
        data = self.sock.recv(size)
        if not data:
            raise ConnectionResetError("the peer closed the connection")
        return data

    def write(self, data: memoryview) -> tuple[int, int]:
        """Try once; return how many bytes were taken and, if none, the event to wait for. Raises OSError at the end.

        If TLS took none, the same bytes must be offered again before any others.
        """
        try:
            with self._tls:
                return self.sock.send(data), 0
        except (ssl.SSLWantWriteError, BlockingIOError):
            return 0, WRITE
        except ssl.SSLWantReadError:
            return 0, READ

    def wait_to_write(self, want: int, deadline: float) -> bool:
        """Wait for the event that `write` returned; False if the deadline has passed."""
        left = deadline - monotonic()
        if left <= 0:
            return False
        with _WRITE_SELECTOR() as selector:
            selector.register(self.sock, want)
            selector.select(min(left, _RECHECK if want == READ else MAX_WAIT))
        return True

    def stop(self, direction: int) -> None:
        """Shut down a direction (`socket.SHUT_…`) below TLS; threads that wait for it continue at once."""
        with suppress(OSError):
            # The method of SSLSocket would destroy the session under a thread that is inside it.
            socket.socket.shutdown(self.sock, direction)


# -- opening a connection
#
# websocket-client must not follow a redirect (the headers hold credentials), consult the environment, log the request,
# or share cookies between clients.

_MAX_RESPONSE = 1 << 20
"""Bytes of the response to an upgrade, an error page included."""
_PIECE = 16384
_NO_HOST = ["invalid."]
"""A `no_proxy` that matches nothing: with an empty one websocket-client would read the environment."""

_TUNNEL_STATUS = re.compile(r"status: (\d{3})$")
"""How the error of websocket-client for a refused CONNECT ends."""


class UpgradeRefused(SogniConnectionError):  # noqa: N818  named after what happened
    """The server answered the upgrade with an HTTP status other than 101."""

    # Counts as close code 1006, so the connection is retried and no credentials are cleared (transport §6).

    def __init__(self, message: str = "", *, status: int = 0) -> None:
        super().__init__(message, code=status)
        self.status = status
        self.close_code = 1006


class _Silence(logging.Filter):
    """Keeps traces of upgrades, which contain the API key, out of the log of websocket-client."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.here, "active", False)


_silence = _Silence()


class _ResponseTooLong(Exception):  # noqa: N818  becomes the cause in an error of ours
    """The response to the upgrade is too long."""


class _HandshakeSocket:
    """A socket for websocket-client during the upgrade.

    It enforces one deadline for the whole upgrade: the timeout of a socket restarts with each byte, and
    websocket-client reads them one by one. It also keeps cookies out: websocket-client has one cookie jar for the whole
    process, so one account's cookies would be sent with another account's key.
    """

    def __init__(self, sock: socket.socket, deadline: float, headers: Mapping[str, str]) -> None:
        self.sock = sock
        self._deadline = deadline
        self._own_lines = {f"{name}: {value}".encode() for name, value in headers.items()}
        self._left = _MAX_RESPONSE
        self._line = b""
        self._in_head = True

    def recv(self, size: int) -> bytes:
        if self._in_head and not self._line:
            self._line = self._next_line()
        if self._line:
            data, self._line = self._line[:size], self._line[size:]
            return data
        return self._receive(size)

    def _next_line(self) -> bytes:
        """Return the next line of the head that sets no cookie; what follows the head stays in the socket."""
        while True:
            line = b""
            while not line.endswith(b"\n"):
                byte = self._receive(1)
                if not byte:
                    return line
                line += byte
            text = line.decode("utf-8", "replace").strip().lower()
            self._in_head = bool(text)
            if not text.startswith("set-cookie:"):
                return line

    def _receive(self, size: int) -> bytes:
        self._limit()
        data = self.sock.recv(min(size, _PIECE))  # older releases ask for as much as Content-Length claims
        self._left -= len(data)
        if self._left < 0:
            raise _ResponseTooLong
        return data

    def send(self, data: bytes) -> int:
        self._limit()
        lines = data.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(b"cookie:") or line in self._own_lines]
        self.sock.sendall(b"\r\n".join(kept))
        return len(data)

    def _limit(self) -> None:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.sock.settimeout(left)

    def gettimeout(self) -> float | None:
        return self.sock.gettimeout()

    def close(self) -> None:
        self.sock.close()


class _Upgrade(websocket.WebSocket):
    """A connection while websocket-client opens it."""

    def __init__(self, context: ssl.SSLContext | None, deadline: float, headers: Mapping[str, str]) -> None:
        self._deadline = deadline
        self._headers = headers
        self._handshake_socket: _HandshakeSocket | None = None
        options = {} if context is None else {"context": context}
        super().__init__(sslopt=options, skip_utf8_validation=True)

    @property
    def sock(self) -> Any:
        return self._handshake_socket

    @sock.setter
    def sock(self, sock: socket.socket | None) -> None:
        wrapped = None if sock is None else _HandshakeSocket(sock, self._deadline, self._headers)
        self._handshake_socket = wrapped

    def detach(self) -> socket.socket:
        assert self._handshake_socket is not None
        return self._handshake_socket.sock


def open_upgraded(
    url: str,
    headers: Mapping[str, str],
    *,
    timeout: float,
    proxy: str | None,
    no_proxy: str | None,
    ca_bundle: str | None,
) -> socket.socket:
    """Return a blocking socket on which the upgrade has been answered and nothing after it has been read.

    `timeout` limits connecting and TLS each, and all of it together, except for a proxy that responds byte by byte; in
    seconds. Raises SogniConnectionError with host and cause, never query, headers or password.
    """
    where = host_and_port(url)
    _check_headers(where, headers)
    relay = None if proxy is None or bypasses(url, no_proxy) else read_proxy(proxy)
    options = _proxy_options(where, relay, timeout)
    context = tls_context(where, ca_bundle or bundled_authorities()) if urlsplit(url).scheme == "wss" else None
    upgrade = _Upgrade(context, monotonic() + timeout, headers)
    failure: SogniConnectionError
    logging.getLogger("websocket").addFilter(_silence)
    _silence.here.active = True
    try:
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
    # Outside the handler: the error of websocket-client holds the server's headers and must not become the context.
    raise failure


def host_and_port(url: str) -> str:
    """Return the host of a URL, and the port if given: the parts that may appear in a message."""
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
        # Without a proxy host it would read the environment, whatever the other options say.
        return {"http_proxy_host": "none.invalid", "http_no_proxy": ["*"]}
    if relay.scheme == "https":
        raise SogniConnectionError(
            f"cannot connect to {where}: the proxy {relay.shown} is reached over TLS (https://), which"
            " WebSocket connections do not support; use its http:// URL"
        )
    if relay.scheme != "http" and importlib.util.find_spec("python_socks") is None:
        raise SogniConnectionError(
            f"cannot connect to {where}: the proxy {relay.shown} uses {relay.scheme}, which needs the"
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
        "http_no_proxy": _NO_HOST,
        "proxy_type": relay.scheme,
    }


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
        return f"no response within {timeout:g} s"
    if isinstance(error, websocket.WebSocketProxyException):
        status = _TUNNEL_STATUS.search(str(error))
        return f"the proxy answered with HTTP {status[1]}" if status else "the proxy's response is not valid HTTP"
    if isinstance(error, _ResponseTooLong):
        return "the response to the upgrade is too long"
    if isinstance(error, OSError):
        return cause_of(error)
    if isinstance(error, websocket.WebSocketAddressException):
        return "the host name cannot be resolved"
    if isinstance(error, websocket.WebSocketConnectionClosedException):
        return DISCONNECTED
    if isinstance(error, websocket.WebSocketException | UnicodeDecodeError):
        return NO_UPGRADE
    return cause_of(error)


# -- the connection

_MAX_REASON = 123


class ConnectionLost(SogniConnectionError):  # noqa: N818  named after what happened
    """The connection ended without a close frame; `close_code` is 1006."""  # transport §10

    def __init__(self, message: str = "", *, code: int = 1006) -> None:
        super().__init__(message, code=code)
        self.close_code = code


def _frame(opcode: int, payload: bytes) -> bytes:
    return masked_frame(opcode, payload, os.urandom(4))


class SerialSocket:
    """A WebSocket connection; open one with `connect`.

    One thread calls `receive`. All other methods may be called from any thread, at any time.
    """

    def __init__(self, sock: socket.socket, host: str, max_message_size: int) -> None:
        self.host = host
        self._stream = SerialStream(sock)
        self._decoder = FrameDecoder(max_message_size)
        self._new_locks()
        self._inside = 0
        self._closed = False
        self._lost: str | None = None
        # No caller waits for a control frame: the newest of each kind is stored here until it can be written.
        self._controls: dict[int, bytes] = {}
        self._unsent = memoryview(b"")
        self._close_sent = False
        self._woken = False
        self._poked = False
        self._selector: selectors.BaseSelector | None = None
        self._watched = READ
        self._wake_r, self._wake_w = socket.socketpair()
        try:
            self._wake_r.setblocking(False)
            self._wake_w.setblocking(False)
            self._selector = selectors.DefaultSelector()
            self._selector.register(sock, READ)
            self._selector.register(self._wake_r, READ)
        except BaseException:
            self._release()
            raise

    @classmethod
    def connect(
        cls,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout: float,
        proxy: str | None = None,
        no_proxy: str | None = None,
        ca_bundle: str | None = None,
        max_message_size: int,
    ) -> SerialSocket:
        """Open a connection to a ws: or wss: URL; blocks for about `timeout` seconds at most.

        `proxy` is a URL as `proxy_for` returns it, `no_proxy` a comma-separated list of hosts that bypass it, and
        `ca_bundle` a file or directory of certificate authorities (None: those of `requests`). The environment is not
        consulted. Raises SogniConnectionError with host and cause, UpgradeRefused with the HTTP status.
        """
        sock = open_upgraded(url, headers, timeout=timeout, proxy=proxy, no_proxy=no_proxy, ca_bundle=ca_bundle)
        host = host_and_port(url)
        try:
            return cls(sock, host, max_message_size)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise SogniConnectionError(f"cannot connect to {host}: {cause_of(error)}") from error
            raise

    # -- receiving -----------------------------------------------------------------------------------------

    def receive(self, timeout: float | None) -> list[Message]:
        """Wait for messages and return all that are available, except for pings, which are answered here.

        Returns an empty list after `timeout` seconds or `wake`. Raises ConnectionLost once the stream has ended and all
        messages before its end have been returned, and ProtocolError if it is malformed.
        """
        stream = self._stream
        self._enter()
        try:
            deadline = None if timeout is None else monotonic() + timeout
            while True:
                if self._closed:
                    raise self._loss()
                # Checked before reading: a loss that a sender notices after this wakes the wait below.
                ended = self._lost is not None or self._decoder.error is not None
                want = self._offer() if self._controls or self._unsent else 0
                if stream.readable or ended:
                    messages = self._read()
                    if messages:
                        return messages
                    if stream.readable:
                        continue
                if ended:
                    raise self._loss()
                if not self._wait(want | stream.read_want, deadline):
                    return []
        finally:
            self._leave()

    @property
    def drained(self) -> bool:
        """Whether the last `receive` returned everything available."""
        return not self._stream.readable

    def _read(self) -> list[Message]:
        if self._decoder.error is not None:
            self._decoder.feed(b"")
        try:
            data = self._stream.read()
        except OSError as error:
            raise self._break(cause_of(error)) from error
        messages = self._decoder.feed(data) if data else []
        pings = [payload for opcode, payload in messages if opcode == PING]
        if pings:
            # Only the newest needs an answer (RFC 6455 §5.5.3). Sent at once, since the caller may be slow.
            self._controls[PONG] = _frame(PONG, pings[-1])
            self._offer()
            messages = [message for message in messages if message[0] != PING]
        return messages

    def _wait(self, want: int, deadline: float | None) -> bool:
        """Wait until there is something to try; False if woken or out of time."""
        selector = self._selector
        assert selector is not None
        if want != self._watched:
            selector.modify(self._stream.sock, want)
            self._watched = want
        left = None if deadline is None else max(0.0, min(deadline - monotonic(), MAX_WAIT))
        events = selector.select(left)
        if not events and left is not None:
            return False
        woken = False
        for key, _ in events:
            if key.fileobj is not self._wake_r:
                self._stream.readable = True
            else:
                woken = self._take_wake()
        return not woken

    def _take_wake(self) -> bool:
        with self._gate:
            with suppress(OSError):
                self._wake_r.recv(64)
            woken, self._woken, self._poked = self._woken, False, False
            return woken

    # -- sending -------------------------------------------------------------------------------------------

    def send_text(self, text: str | bytes, timeout: float) -> None:
        """Send one text message; blocks until the system has taken all of it.

        Raises SogniTimeoutError (phase "transfer") after `timeout` seconds, and ConnectionLost if the connection has
        ended. A message that was cut off ends the connection; one that was not begun does not.
        """
        self.send_frame(self.text_frame(text), timeout)

    @staticmethod
    def text_frame(text: str | bytes) -> bytes:
        """Return the masked frame of a text message."""
        return _frame(TEXT, text.encode() if isinstance(text, str) else text)

    def send_frame(self, frame: bytes, timeout: float, *, begun: bool = False) -> None:
        """Send a frame like `send_text`; `begun`: wait for the rest of what `send_at_once` has begun."""
        deadline = monotonic() + timeout
        self._enter()
        try:
            if not self._send_lock.acquire(timeout=max(0.0, min(timeout, MAX_WAIT))):
                raise _too_slow(self.host, timeout)
            try:
                self._write_all(memoryview(b"" if begun else frame), deadline, timeout)
            finally:
                self._send_lock.release()
                # Threads that could not wait for this frame have left theirs in `_controls`.
                self._offer_or_poke()
        except SogniTimeoutError:
            if begun:
                self._break("a message was cut off")
            raise
        finally:
            self._leave()

    def send_at_once(self, frame: bytes) -> int:
        """Send what the system takes of a frame without waiting, and return the number of bytes.

        It is 0 if something else is being sent, if the connection has ended, and with TLS. After a part of the frame,
        the rest is sent before anything else; `send_frame` waits for it. An exception of a signal handler, such as
        Ctrl-C, ends neither the frame nor the connection.
        """
        # Such an exception can be raised between any two instructions, but not inside a call into C. So one call takes
        # the lock and notes that, and another sends and notes how much.
        taken: list[bool] = []
        sent: list[int] = []
        whole, size = memoryview(frame), len(frame)
        with self._gate:  # excludes `shutdown`, in place of `_enter`
            try:
                taken.extend(map(self._send_lock.acquire, (False,)))
                if taken[0] and self._free_to_send:
                    sent.extend(map(self._stream.sock.send, (frame,)))
            except OSError:
                return 0  # `send_frame` meets it again, and says what it is
            finally:
                # No call before the lock is released, because the exception can be raised after every call.
                if taken and taken[0]:
                    if sent and sent[0] < size:
                        self._unsent = whole[sent[0] :]
                    self._send_lock.release()
                    if self._controls or self._unsent:
                        self._poke()
        return sent[0] if sent else 0

    @property
    def _free_to_send(self) -> bool:
        """Whether the next byte may be that of a frame, sent by a single call into C."""
        ended = self._closed or self._close_sent or self._lost is not None
        return not (ended or self._unsent or self._controls or self._stream.secure)

    def send_ping(self) -> None:
        """Send a ping; never waits. Raises ConnectionLost if the connection has ended."""
        self._post(PING, b"")

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Send the close frame after all messages that were begun; never waits. Nothing is sent after it.

        Does nothing on a connection that has already ended.
        """
        text = reason.encode()[:_MAX_REASON].decode("utf-8", "ignore").encode()
        with suppress(ConnectionLost):
            self._post(CLOSE, code.to_bytes(2, "big") + text)

    def _post(self, opcode: int, payload: bytes) -> None:
        self._enter()
        try:
            if self._lost is not None or self._close_sent:
                raise self._loss()
            self._controls[opcode] = _frame(opcode, payload)
            self._offer_or_poke()
        finally:
            self._leave()

    def _offer_or_poke(self) -> None:
        if self._offer():
            self._poke()

    def _offer(self) -> int:
        """Write pending control frames without waiting; return the event that the rest waits for, or 0.

        Every holder of the lock calls this after releasing it, so no frame that was posted meanwhile is forgotten.
        A loss is not raised here: the reader meets it too, after what is left to read.
        """
        while (self._controls or self._unsent) and self._send_lock.acquire(blocking=False):
            try:
                want = self._flush()
            except ConnectionLost:
                return 0
            finally:
                self._send_lock.release()
            if want:
                return want
        return 0

    def _flush(self) -> int:
        """Write control frames with `_send_lock` held; return the event the next byte waits for, 0 after the last."""
        while True:
            if not self._unsent:
                frame = self._next_control()
                if frame is None:
                    return 0
                self._unsent = memoryview(frame)
            try:
                sent, want = self._write(self._unsent)
                self._unsent = self._unsent[sent:]
            except ConnectionLost:
                raise
            except BaseException:  # Ctrl-C: how much was sent is unknown
                self._break("a frame was cut off")
                raise
            if want:
                return want

    def _next_control(self) -> bytes | None:
        for opcode in (PONG, PING, CLOSE):
            frame = self._controls.pop(opcode, None)
            if frame is not None and not self._close_sent:
                self._close_sent = opcode == CLOSE
                return frame
        return None

    def _write_all(self, frame: memoryview, deadline: float, timeout: float) -> None:
        while want := self._flush():
            if not self._stream.wait_to_write(want, deadline):
                raise _too_slow(self.host, timeout)
        if self._close_sent:
            raise self._loss()
        rest = frame
        try:
            while rest:
                sent, want = self._write(rest)
                rest = rest[sent:]
                if want and not self._stream.wait_to_write(want, deadline):
                    raise _too_slow(self.host, timeout)
        except ConnectionLost:
            raise
        except BaseException as error:
            # TLS may have taken a record without reporting it; then no other frame can follow.
            untouched = len(rest) == len(frame) and not self._stream.secure
            if not (untouched and isinstance(error, SogniTimeoutError)):
                self._break("a message was cut off")
            raise

    def _write(self, data: memoryview) -> tuple[int, int]:
        if self._closed or self._lost is not None:
            raise self._loss()
        try:
            return self._stream.write(data)
        except OSError as error:
            raise self._break(cause_of(error)) from error

    # -- ending --------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Make `receive` return, now or when next called; never blocks, repeatable, even after the end."""
        with self._gate:
            if not self._woken:
                self._woken = True
                self._poke()

    def _poke(self) -> None:
        """Make the reader check its state, without returning."""
        with self._gate:
            if not self._poked:
                with suppress(OSError):
                    self._wake_w.send(b"\0")
                # Last: interrupted by Ctrl-C before it, the next one pokes again.
                self._poked = True

    def shutdown(self) -> None:
        """End the connection without a close frame; never blocks, repeatable.

        Calls in progress raise ConnectionLost. Descriptors are closed at once, or by the last of these calls: a number
        that is closed under a thread that is about to use it may be another file by then.
        """
        with self._gate:
            if self._closed:
                return
            self._closed = True
            if not self._inside:
                self._release()
                return
            self._stream.stop(socket.SHUT_RDWR)
            self._poke()

    def abandon_after_fork(self) -> None:
        """Close the descriptors in a forked child; the parent's connection stays open.

        Takes no lock (another thread of the parent may hold it forever) and notifies neither the peer nor the
        selector, which belong to the parent as well.
        """
        self._new_locks()
        self._closed = True
        self._release()

    def _new_locks(self) -> None:
        self._send_lock = threading.Lock()
        self._gate = threading.RLock()

    def _enter(self) -> None:
        with self._gate:
            if self._closed:
                raise self._loss()
            self._inside += 1

    def _leave(self) -> None:
        with self._gate:
            self._inside -= 1
            if self._closed and not self._inside:
                self._release()

    def _release(self) -> None:
        # Closing a selector does not unregister, so a forked child leaves the parent's set as it is.
        for thing in (self._selector, self._stream.sock, self._wake_r, self._wake_w):
            if thing is not None:
                with suppress(OSError):
                    thing.close()

    def _break(self, cause: str) -> ConnectionLost:
        """Mark the connection as lost; return the error to raise."""
        with self._gate:
            if self._lost is None:
                self._lost = cause
                if not self._closed:
                    # Only our half: what the peer sent before is still read.
                    self._stream.stop(socket.SHUT_WR)
                    self._poke()
        return self._loss()

    def _loss(self) -> ConnectionLost:
        cause = self._lost or "closed by this side"
        return ConnectionLost(f"the connection to {self.host} is lost: {cause}")


def _too_slow(host: str, timeout: float) -> SogniTimeoutError:
    return SogniTimeoutError(
        f"{host} did not accept the message within {timeout:g} s", phase="transfer", timeout=timeout
    )
