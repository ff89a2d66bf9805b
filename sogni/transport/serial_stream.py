"""A socket, plain or TLS, that is called by one thread at a time and never blocks.

Decides what one attempt to read or write means: bytes, not yet (and what to wait for), or the end. OpenSSL
forbids two threads inside one TLS session, so each attempt takes the lock `_tls`; no wait happens under it.
Called by `SerialSocket` only. Never frames, never retries, never says goodbye.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from contextlib import suppress
from time import monotonic

__all__ = ["LONGEST", "READ", "WRITE", "SerialStream"]

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
LONGEST = 1e6
"""Seconds. Longer waits overflow what some systems count them in."""

_BURST = 65536
_TLS_RECORD = 16384
_RECHECK = 0.05
"""Seconds. A write for which TLS wants input may be set free by the reader taking that very input."""
_WRITE_SELECTOR: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""For the rare wait of a sender: one that needs no descriptor of its own."""


class SerialStream:
    """The two directions of one connection; takes the socket over."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.secure = isinstance(sock, ssl.SSLSocket)
        self._tls = threading.Lock()
        self.readable = True
        """Whether to read before waiting: bytes may have come with the upgrade, and TLS may hold some that no
        selector sees. Set by the reader when its selector says so."""
        self.read_want = READ
        """What the next read waits for when there is nothing to read."""
        sock.setblocking(False)

    def read(self) -> bytes:
        """Take what is there, about one buffer at most; empty when nothing is. Raises OSError at the end.

        The last bytes are returned first; the end is met again at the next call.
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
            raise ConnectionResetError("the peer ended it")
        return data

    def write(self, data: memoryview) -> tuple[int, int]:
        """Try once; return how many bytes were taken and, if none, what to wait for. OSError at the end.

        After a refusal TLS insists on the same bytes again, others may only follow them.
        """
        try:
            with self._tls:
                return self.sock.send(data), 0
        except (ssl.SSLWantWriteError, BlockingIOError):
            return 0, WRITE
        except ssl.SSLWantReadError:
            return 0, READ

    def wait_to_write(self, want: int, deadline: float) -> bool:
        """Wait for what `write` asked for; False when it is past the deadline already."""
        left = deadline - monotonic()
        if left <= 0:
            return False
        with _WRITE_SELECTOR() as selector:
            selector.register(self.sock, want)
            selector.select(min(left, _RECHECK if want == READ else LONGEST))
        return True

    def stop(self, direction: int) -> None:
        """End a direction (`socket.SHUT_…`) below TLS; threads that wait for it go on at once."""
        with suppress(OSError):
            # The method of SSLSocket would drop the session under a thread that is inside it.
            socket.socket.shutdown(self.sock, direction)
