"""The connections of requests under way: decides how they are ended while other threads use them.

Called by the HTTP side. `requests` can close what is idle only; a thread that waits for an answer is set free by
shutting its socket down, and finds the end of its connection.
"""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from functools import partial
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Connections:
    """The sockets of one client's requests, from their opening to their end."""

    def __init__(self) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
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
        self._pools: Any = {
            "http": partial(_PlainPool, connections),
            "https": partial(_SecurePool, connections),
        }
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


class _Plain(HTTPConnection):
    noted_by: Connections

    def connect(self) -> None:
        super().connect()
        self.noted_by.note(self.sock)


class _Secure(HTTPSConnection):
    noted_by: Connections

    def connect(self) -> None:
        super().connect()
        self.noted_by.note(self.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain

    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        self._connections = connections
        super().__init__(*args, **options)

    def _new_conn(self) -> Any:
        made: Any = super()._new_conn()
        made.noted_by = self._connections
        return made


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure

    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        self._connections = connections
        super().__init__(*args, **options)

    def _new_conn(self) -> Any:
        made: Any = super()._new_conn()
        made.noted_by = self._connections
        return made
