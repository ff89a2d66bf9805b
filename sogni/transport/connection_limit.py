"""Limit on the number of concurrent HTTP connections of a client.

Every request and transfer takes a slot. Event streams and files that are read by users do not, because they stay open
indefinitely and would block everything else.
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
from sogni.transport.waiting import MAX_WAIT, TURN_SECONDS, Deadline


class ConnectionLimit:
    """Connection slots of one client. Transfers leave some free for short requests. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._all = _Slots(settings.max_connections)
        self._transfers = _Slots(max_transfers(settings.max_connections))

    @contextmanager
    def slot(self, call: HttpCall) -> Iterator[HttpCall]:
        """Hold a slot during a `with` block and yield the call with the rest of its time limit.

        Raises SogniTimeoutError if the limit is exceeded while waiting. A call without one waits indefinitely.
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
        """Raise ClientClosedError in all waiting threads. Never blocks, idempotent."""
        self._transfers.end()
        self._all.end()


class _Slot:
    """A slot, returned at the latest by its finalizer, because Ctrl-C can come between any two instructions."""

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
        # Implemented in C: an interrupted `get` has taken nothing, and finalizers can call `put`.
        self._free: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(_Slot(weakref.ref(self._free)))

    def take(self, deadline: Deadline) -> _Slot:
        """Return the next free slot. Raises queue.Empty after the deadline, ClientClosedError after `end`."""
        longest = TURN_SECONDS if threading.current_thread() is threading.main_thread() else MAX_WAIT
        while True:
            left = deadline.left()
            try:
                slot = self._free.get(timeout=longest if left is None else min(left, longest))
            except queue.Empty:
                if deadline.over:
                    raise
                continue
            if slot is None:
                self.end()  # for the next waiting thread
                raise ClientClosedError("the client is closed")
            return slot

    def end(self) -> None:
        self._free.put(None)
