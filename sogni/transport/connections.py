"""The connections of requests under way: how they are ended while other threads use them, and when time is over.

Called by the HTTP side. `requests` can close what is idle only; a thread that waits for an answer is set free by
shutting its socket down, and finds the end of its connection.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class AnswerTime(threading.local):
    """The moment by which the answer to this thread's request must be complete; None limits only its head."""

    by: float | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit the requests of a `with` block together."""
        self.by = monotonic() + seconds
        try:
            yield
        finally:
            self.by = None


class Answer(http.client.HTTPResponse):
    """An answer that is limited in time as a whole.

    A socket's own timeout starts anew with every byte: a host that drips would hold the caller for ever. The head has
    the socket's timeout in total, the body what `AnswerTime` or `limit` grants.
    """

    def __init__(self, time: AnswerTime, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self._timed = _TimedReader(sock)
        self._by = time.by
        self._timed.limit(self._by, self._timed.each)
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self._timed.limit(self._by, None)

    def limit(self, seconds: float) -> None:
        """Grant the rest of the body so much time."""
        self._timed.limit(None, seconds)


class _TimedReader(io.RawIOBase):
    """The receiving side of a socket, with a moment at which it ends."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock  # also where event streams find it
        self.each = sock.gettimeout()
        self._raw = sock.makefile("rb", buffering=0)
        self._by: float | None = None

    def limit(self, by: float | None, seconds: float | None) -> None:
        """End at `by` or in `seconds`, whichever comes first; both None: never."""
        moments = [by, None if seconds is None else monotonic() + seconds]
        self._by = min((moment for moment in moments if moment is not None), default=None)
        if self._by is None:
            self._sock.settimeout(self.each)

    def readable(self) -> bool:
        """Always: that is what it is for."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive. TimeoutError at the end of the time."""
        if self._by is not None:
            left = self._by - monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left if self.each is None else min(left, self.each))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket, which the connection may keep."""
        self._raw.close()
        super().close()


class Connections:
    """The sockets of one client's requests, from their opening to their end."""

    def __init__(self) -> None:
        self.time = AnswerTime()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self.pools = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, self),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, self),
        }
        """The classes of pools whose connections are noted here, by scheme."""
        self.ended = False

    def note(self, made: Any) -> None:
        """A connection was opened. OSError when nobody wants it any more."""
        with self._lock:
            if isinstance(made, socket.socket):
                self._sockets.add(made)
            ended = self.ended
        if ended:
            raise ConnectionAbortedError("the client is closed")

    def end(self) -> None:
        """End all of them, and those to come; never blocks, repeatable."""
        with self._lock:
            self.ended = True
            sockets = list(self._sockets)
        for sock in sockets:
            with suppress(OSError):
                # The method of SSLSocket would drop the session under a thread that is inside it.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Adapter(HTTPAdapter):
    """An adapter whose connections are noted."""

    def __init__(self, connections: Connections) -> None:
        self._pools = connections.pools
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pool(pool: Any, connection: Any, connections: Connections) -> Any:
    """A class of pools whose connections are noted when they are opened."""

    def connect(self: Any) -> None:
        connection.connect(self)
        connections.note(self.sock)

    answer = staticmethod(partial(Answer, connections.time))
    noted = type(connection.__name__, (connection,), {"connect": connect, "response_class": answer})
    return type(pool.__name__, (pool,), {"ConnectionCls": noted})
