"""Answers without an end, read while they arrive: decides who reads the connection and how that is ended.

Made by the HTTP side for event streams. A thread of its own reads each body, so that whoever waits for the next
bytes can stop waiting at any moment: a time limit, Ctrl-C, `close` in another thread. It knows no event.
"""

from __future__ import annotations

import socket
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests
import urllib3

from ..errors import SogniConnectionError, SogniTimeoutError
from ..machine.causes import cause_of
from ..protocol.content_encoding import ContentDecoder
from .threads import DaemonThread
from .waiting import Deadline, wait_turn

_PIECE = 64 * 1024
_MOST_AHEAD = 16
"""Pieces read before somebody takes them; then the service has to wait."""
_TURN_SECONDS = 0.5
_DROPPED = "the event stream belongs to the process that this one was forked from"


class EventBody:
    """The body of one answer. Closing it, or dropping it, closes the connection."""

    def __init__(
        self,
        response: requests.Response,
        decoder: ContentDecoder,
        end: Callable[[], None],
        failed: Callable[[Exception], Exception],
    ) -> None:
        self._inbox = _Inbox()
        self._socket = _socket_of(response)
        if self._socket is not None:
            # How long silence may last is decided by whoever reads.
            self._socket.settimeout(None)
        self._finalizer = weakref.finalize(self, _end, self._inbox, self._socket)
        self._finalizer.atexit = False
        thread = DaemonThread(_receive, response, decoder, self._inbox, end, failed, name="sogni-events")
        try:
            thread.start()
        finally:
            if thread.called_off:
                response.close()
                end()

    def read(self, timeout: float | None) -> bytes:
        """All bytes that have arrived, waiting for the first; empty at the end. SogniTimeoutError."""
        deadline, inbox = Deadline(timeout), self._inbox
        while True:
            # Cleared before looking: what comes while looking is not missed.
            inbox.news.clear()
            pieces = inbox.take()
            if pieces is not None:
                return pieces
            if deadline.over:
                raise SogniTimeoutError(f"nothing came within {timeout:g} seconds", phase="run", timeout=timeout)
            wait_turn(inbox.news, deadline.left())

    def close(self) -> None:
        """Close the connection, in any thread; repeatable. Who reads it finds its end."""
        self._finalizer()
        self._inbox.wake()

    def abandon_after_fork(self) -> None:
        """Close the inherited descriptor; the parent reads on."""
        self._finalizer.detach()
        inbox, self._inbox = self._inbox, _Inbox()
        self._inbox.error = SogniConnectionError(_DROPPED)
        _ABANDONED.append(inbox)
        if self._socket is not None:
            self._socket.close()


_ABANDONED: list[Any] = []
"""What threads of the parent hold, kept so that nothing of it is finalized here."""


class _Inbox:
    """What arrived and nobody has taken yet."""

    def __init__(self) -> None:
        self.news = threading.Event()
        self.room = threading.Event()
        self.closed = False
        self.error: Exception | None = None
        self._pieces: deque[bytes] = deque()
        self._ended = False

    def put(self, piece: bytes) -> None:
        """Keep a piece, an empty one as the end, and wait for room for the next."""
        self.room.clear()
        self._pieces.append(piece)
        self._ended = not piece
        self.news.set()
        while len(self._pieces) > _MOST_AHEAD and not self.closed:
            # In turns: nobody wakes it when the body was dropped.
            self.room.wait(_TURN_SECONDS)

    def wake(self) -> None:
        """Have both sides look again."""
        self.room.set()
        self.news.set()

    def fail(self, error: Exception) -> None:
        """Keep why nothing more comes."""
        self.error = error
        self.news.set()

    def take(self) -> bytes | None:
        """What is there; empty at the end, None to wait. Raises what went wrong, after all that had come."""
        taken = []
        while self._pieces:
            taken.append(self._pieces.popleft())
        self.room.set()
        data = b"".join(taken)
        if data:
            return data
        if self.error is not None and not self.closed:
            raise self.error
        return b"" if self._ended or self.closed else None


def _end(inbox: _Inbox, connection: socket.socket | None) -> None:
    """Have the receiving thread end. Takes no lock: the garbage collector may call it wherever one is held."""
    inbox.closed = True
    if connection is not None:
        # Not the method of a TLS socket, which changes what the other thread is using.
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _receive(
    response: requests.Response,
    decoder: ContentDecoder,
    inbox: _Inbox,
    end: Callable[[], None],
    failed: Callable[[Exception], Exception],
) -> None:
    """Read a body to its end, in the thread that owns its connection."""
    raw: Any = response.raw
    # urllib3 before 2.1 would wait for a full piece.
    read = raw.read1 if hasattr(raw, "read1") else raw._fp.read1
    try:
        while not inbox.closed:
            piece = read(_PIECE)
            if not piece:
                decoder.end()
                inbox.put(b"")
                break
            for decoded in decoder.feed(piece):
                inbox.put(decoded)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, zlib.error) as error:
        inbox.fail(failed(error))
    except Exception as error:
        # http.client raises its own errors past urllib3; nobody may wait for ever over one.
        inbox.fail(SogniConnectionError(f"the event stream broke off: {cause_of(error)}"))
    finally:
        response.close()
        end()


def _socket_of(response: requests.Response) -> socket.socket | None:
    """The socket below an answer, which has no public name; None where it cannot be found.

    Without it a stream that is closed ends its thread only with the next bytes.
    """
    part: Any = response.raw
    for name in ("_fp", "fp", "raw", "_sock"):
        part = getattr(part, name, None)
    return part if isinstance(part, socket.socket) else None
