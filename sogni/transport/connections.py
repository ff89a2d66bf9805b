"""The connections of requests under way: decides how they are ended while other threads use them.

Called by the HTTP side. `requests` can close what is idle only; a thread that waits for an answer is set free by
shutting its socket down, and finds the end of its connection.
"""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Connections:
    """The sockets of one client's requests, from their opening to their end."""

    def __init__(self) -> None:
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

    noted = type(connection.__name__, (connection,), {"connect": connect})
    return type(pool.__name__, (pool,), {"ConnectionCls": noted})
