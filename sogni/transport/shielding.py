"""What Ctrl-C must not cut in two: decides which thread does it.

Python raises KeyboardInterrupt in the main thread, between any two of its instructions: also between the system's
taking a frame and our knowing so, which costs the connection. Called by the engine for every frame.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

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
    try:
        call.begin()
        while not call.ended.is_set():
            wait_turn(call.ended, None)
    except BaseException:
        # What is sent next must not overtake it.
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

    def begin(self) -> None:
        thread = threading.Thread(target=self._run, name="sogni-sender", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is ending and starts no more threads.
            self._run()

    def _run(self) -> None:
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
