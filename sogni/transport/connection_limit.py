"""How many HTTP connections of a client are in use at once.

The engine takes a slot for every request and transfer. Event streams and files that a user reads have connections of
their own: they stay open for as long as somebody likes, and would keep everything else waiting.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sogni.core.http import HttpCall, is_transfer, max_transfers, no_free_connection, with_time_left
from sogni.errors import ClientClosedError
from sogni.settings import Settings
from sogni.transport.waiting import LONGEST, TURN_SECONDS, Deadline


class ConnectionLimit:
    """The slots of one client; transfers leave some free for short requests. Safe from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._all = _Slots(settings.max_connections)
        self._transfers = _Slots(max_transfers(settings.max_connections))

    @contextmanager
    def slot(self, call: HttpCall) -> Iterator[HttpCall]:
        """Wait for a slot and hold it; gives the call with what is left of its own time limit.

        Raises SogniTimeoutError if that limit is reached first; a call without one waits for as long as it takes.
        """
        began, deadline = time.monotonic(), Deadline(call.timeout)
        with ExitStack() as held:
            for slots in (self._transfers, self._all) if is_transfer(call) else (self._all,):
                try:
                    held.enter_context(slots.take(deadline))
                except queue.Empty:
                    raise no_free_connection(call, self._settings) from None
            yield with_time_left(call, time.monotonic() - began)

    def end(self) -> None:
        """Have everybody who waits for a slot leave with ClientClosedError. Never blocks, repeatable."""
        self._transfers.end()
        self._all.end()


class _Slot:
    """One slot. It returns by itself when nobody holds it: Ctrl-C comes between any two instructions."""

    def __init__(self, free: weakref.ref[queue.SimpleQueue[_Slot | None]]) -> None:
        self._free: weakref.ref[queue.SimpleQueue[_Slot | None]] | None = free

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        reference, self._free = self._free, None
        free = None if reference is None else reference()
        if reference is not None and free is not None:
            free.put(_Slot(reference))

    __del__ = __exit__


class _Slots:
    def __init__(self, count: int) -> None:
        # Written in C: an interrupted `get` has taken nothing, and `put` may be called by a finalizer.
        self._free: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(_Slot(weakref.ref(self._free)))

    def take(self, deadline: Deadline) -> _Slot:
        """The next free slot. Raises queue.Empty once the deadline has passed, ClientClosedError after the end."""
        longest = TURN_SECONDS if threading.current_thread() is threading.main_thread() else LONGEST
        while True:
            left = deadline.left()
            try:
                slot = self._free.get(timeout=longest if left is None else min(left, longest))
            except queue.Empty:
                if deadline.over:
                    raise
                continue
            if slot is None:
                self.end()  # for the next who waits
                raise ClientClosedError("the client is closed")
            return slot

    def end(self) -> None:
        self._free.put(None)
