"""What Ctrl-C must not cut in two: decides which thread does it.

Python raises KeyboardInterrupt in the main thread, between any two of its instructions: also between the system's
taking a frame and our knowing so, which costs the connection. Called by the engine for every frame.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .threads import DaemonThread
from .waiting import wait_turn

R = TypeVar("R")
GRACE_SECONDS = 0.05
"""For a call under way when its caller is interrupted."""


def shielded(function: Callable[[], R]) -> R:
    """Call a function where no KeyboardInterrupt comes: another thread does it for the main one.

    Whoever is interrupted leaves when the call has ended, or soon; the call goes on to its end all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        return function()
    call = _Call(function)
    thread = DaemonThread(call.run, name="sogni-sender")
    try:
        if not thread.start_if_possible():
            call.run()
        while not call.ended.is_set():
            wait_turn(call.ended, None)
    except BaseException:
        # What is sent next must not overtake it.
        if not thread.called_off:
            call.ended.wait(GRACE_SECONDS)
        raise
    return call.outcome()


class _Call(Generic[R]):
    """A call in a thread of its own."""

    def __init__(self, function: Callable[[], R]) -> None:
        self.ended = threading.Event()
        self._function = function
        self._found: list[R] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._found.append(self._function())
        except BaseException as error:
            self._error = error
        finally:
            self.ended.set()

    def outcome(self) -> R:
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._found[0]
