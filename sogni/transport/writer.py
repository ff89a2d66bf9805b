"""The thread that writes frames of the main thread which cannot be sent at once.

Python raises KeyboardInterrupt in the main thread between any two instructions, even after the system has accepted a
frame and before this is recorded. An interrupted write would leave an incomplete frame, which breaks the connection, or
a lock that is never released. A frame that the system accepts at once is sent by a single call into C, which cannot be
interrupted (`SerialSocket.send_at_once`). All others of the main thread are written by one long-lived thread per
client. Other threads, which are never interrupted, write their frames themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from sogni.transport.threads import DaemonThread
from sogni.transport.waiting import TURN_SECONDS

R = TypeVar("R")
GRACE_SECONDS = 0.05
"""Seconds that an interrupted caller waits for its call to complete."""


class Writer:
    """Makes calls of the main thread, in order, where no KeyboardInterrupt can occur."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: DaemonThread | None = None
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._ended = False
        self._last: _Call[Any] | None = None

    @property
    def idle(self) -> bool:
        """Whether all calls have ended; one may continue after its caller was interrupted."""
        return self._last is None or self._last.done

    def uninterrupted(self, function: Callable[[], R]) -> R:
        """Call a function and return its result; calls of the main thread are made by the writer.

        If the caller is interrupted, it waits briefly for the call; the call itself always completes.
        """
        if threading.current_thread() is not threading.main_thread():
            return function()
        call = _Call(function)
        with self._lock:
            if queued := not self._ended and self._running():
                self._last = call
                self._calls.put(call)
        if not queued:
            return function()
        try:
            # Repeated, because a signal that arrives just before the lock blocks does not interrupt it.
            while not call.ended.acquire(timeout=TURN_SECONDS):
                pass
        except BaseException:
            # The next frame must not overtake it.
            call.ended.acquire(timeout=GRACE_SECONDS)
            raise
        return call.outcome()

    def end(self) -> None:
        """End the thread after the queued calls. Does not wait for it; idempotent."""
        with self._lock:
            self._ended = True
            self._calls.put(None)

    def join(self, timeout: float) -> None:
        """Wait until the thread has ended."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join(timeout)

    def _running(self) -> bool:
        """Ensure that there is a thread; False if it cannot be started."""
        thread = self._thread
        if thread is not None and (thread.begun or not thread.call_off()):
            return True
        self._thread = thread = DaemonThread(_make_calls, self._calls, name="sogni-sender")
        # If its start is interrupted, a thread either never runs, or serves the next call.
        return thread.start_if_possible()


class _Call(Generic[R]):
    """A call and its outcome."""

    __slots__ = ("_error", "_function", "_result", "done", "ended")

    def __init__(self, function: Callable[[], R]) -> None:
        self.done = False
        self.ended = threading.Lock()
        self.ended.acquire()
        self._function = function

    def make(self) -> None:
        self._error: BaseException | None = None
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error
        finally:
            del self._function  # it may hold a long frame
            self.done = True
            self.ended.release()

    def outcome(self) -> R:
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._result


def _make_calls(calls: SimpleQueue[_Call[Any] | None]) -> None:
    while (call := calls.get()) is not None:
        call.make()
        # The client must be collectable while this thread waits.
        call = None
