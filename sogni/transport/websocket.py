"""One WebSocket connection that several threads may use at once.

Decides which frame goes out next, who answers a ping and how a call that waits is ended. websocket-client
opens the connection and masks what is sent; reading is done here, because its frame loop costs more than
everything behind it. Called by the blocking connection: one thread receives, any thread sends, wakes or shuts
down. Never reconnects, answers a close frame, decides what its code means, or starts a thread.

Locks, in the order they may be taken: the caller's state, then `_send_lock` (one frame at a time), then that
of the stream (TLS: one socket call at a time). `_gate` (who is inside, is it closed) comes last and is never
held across a call that can block; it is re-entrant, because a finalizer may run `shutdown` on a thread that
holds it.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from websocket import ABNF

from sogni.errors import SogniConnectionError, SogniTimeoutError
from sogni.machine.causes import cause_of
from sogni.protocol.websocket_frames import CLOSE, PING, PONG, TEXT, FrameDecoder, Message
from sogni.transport.serial_stream import LONGEST, READ, SerialStream
from sogni.transport.websocket_upgrade import UpgradeRefused, open_upgraded, shown_host

__all__ = ["ConnectionLost", "SerialSocket", "UpgradeRefused"]

_MAX_REASON = 123


class ConnectionLost(SogniConnectionError):  # noqa: N818  what happened, as in the service's own words
    """The connection ended without a close frame; `close_code` is 1006 (transport §10)."""

    def __init__(self, message: str = "", *, code: int = 1006) -> None:
        super().__init__(message, code=code)
        self.close_code = code


def _frame(opcode: int, payload: bytes) -> bytes:
    frame: bytes = ABNF.create_frame(payload, opcode).format()
    return frame


class SerialSocket:
    """A WebSocket connection; make one with `connect`.

    One thread calls `receive`. `send_text`, `send_ping`, `send_close`, `wake` and `shutdown` may be called
    from any thread, at any time.
    """

    def __init__(self, sock: socket.socket, host: str, max_message_size: int) -> None:
        self.host = host
        self._stream = SerialStream(sock)
        self._decoder = FrameDecoder(max_message_size)
        self._new_locks()
        self._inside = 0
        self._closed = False
        self._lost: str | None = None
        # Control frames are never waited for: the newest of each kind lies here until somebody can write it.
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

        `proxy` is a URL as `proxy_for` returns it, `no_proxy` a comma-separated list of hosts that bypass it,
        `ca_bundle` a file or directory of authorities (None: those of `requests`). The environment is not
        consulted. Raises SogniConnectionError with host and cause; UpgradeRefused with the HTTP status.
        """
        sock = open_upgraded(url, headers, timeout=timeout, proxy=proxy, no_proxy=no_proxy, ca_bundle=ca_bundle)
        host = shown_host(url)
        try:
            return cls(sock, host, max_message_size)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise SogniConnectionError(f"cannot connect to {host}: {cause_of(error)}") from error
            raise

    # -- receiving -----------------------------------------------------------------------------------------

    def receive(self, timeout: float | None) -> list[Message]:
        """Wait for messages; return all that are there, pings left out (they are answered here).

        Returns an empty list when `timeout` seconds are over or `wake` was called. Raises ConnectionLost when
        the stream ended, after the messages that came before its end; ProtocolError when it is unreadable.
        """
        stream = self._stream
        self._enter()
        try:
            deadline = None if timeout is None else monotonic() + timeout
            while True:
                if self._closed:
                    raise self._loss()
                # Looked at before reading: a loss that a sender notes after this wakes the wait below.
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
        """Whether the last `receive` took all that was there."""
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
            # Only the newest needs an answer (RFC 6455 §5.5.3). At once: the caller may take its time.
            self._controls[PONG] = _frame(PONG, pings[-1])
            self._offer()
            messages = [message for message in messages if message[0] != PING]
        return messages

    def _wait(self, want: int, deadline: float | None) -> bool:
        """Wait until there is something to try; False when woken or out of time."""
        selector = self._selector
        assert selector is not None
        if want != self._watched:
            selector.modify(self._stream.sock, want)
            self._watched = want
        left = None if deadline is None else max(0.0, min(deadline - monotonic(), LONGEST))
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
        """Send one text message; blocks until the system took all of it.

        Raises SogniTimeoutError (phase "transfer") after `timeout` seconds, ConnectionLost when the
        connection ended. A message that was cut off leaves it lost; one that was not begun does not.
        """
        frame = _frame(TEXT, text.encode() if isinstance(text, str) else text)
        deadline = monotonic() + timeout
        self._enter()
        try:
            if not self._send_lock.acquire(timeout=max(0.0, min(timeout, LONGEST))):
                raise _too_slow(self.host, timeout)
            try:
                self._write_all(memoryview(frame), deadline, timeout)
            finally:
                self._send_lock.release()
                # Whoever came by meanwhile could not wait for this frame, and left its own here.
                self._offer_or_poke()
        finally:
            self._leave()

    def send_ping(self) -> None:
        """Send a ping; never waits. Raises ConnectionLost when the connection ended."""
        self._post(PING, b"")

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Send the close frame, once all begun messages are out; never waits, nothing is sent after it.

        Does nothing on a connection that has ended already.
        """
        words = reason.encode()[:_MAX_REASON].decode("utf-8", "ignore").encode()
        with suppress(ConnectionLost):
            self._post(CLOSE, code.to_bytes(2, "big") + words)

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
        """Write waiting control frames as far as that goes at once; return what the rest waits for, or 0.

        Whoever holds the lock comes here after releasing it, so a frame posted meanwhile is not forgotten.
        A loss is not raised: the reader meets it as well, and only after what is left to read.
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
        """Write control frames, `_send_lock` held; return what the next byte waits for, 0 after the last."""
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
            except BaseException:  # Ctrl-C: how much went out is unknown
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
            # TLS may have taken a record of which it reported nothing; then another frame cannot follow.
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
        """Make the reader look around, without returning."""
        with self._gate:
            if not self._poked:
                self._poked = True
                with suppress(OSError):
                    self._wake_w.send(b"\0")

    def shutdown(self) -> None:
        """End the connection without a goodbye; never blocks, repeatable.

        Calls in progress raise ConnectionLost. Descriptors are closed at once, or by the last of these calls:
        a number closed under a thread that is about to use it may be another file by then.
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
        """Close the descriptors in a forked child; the parent's connection goes on.

        Takes no lock (another thread of the parent may hold it for ever) and tells neither the peer nor the
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
        """Note that the connection is of no use any more; return the error to raise."""
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
    return SogniTimeoutError(f"{host} did not take the message within {timeout:g} s", phase="transfer", timeout=timeout)
