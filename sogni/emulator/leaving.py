"""The end of the process: decides when emulators that nobody closed are closed.

Called once, by the interpreter. Before the executors of `concurrent.futures` are shut down: without them the
server cannot finish the answers it is giving, and would leave files open.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread
import threading
import weakref
from typing import Protocol


class Running(Protocol):
    """What is closed."""

    def close(self) -> None:
        """Stop and clean up; repeatable."""


_RUNNING: weakref.WeakSet[Running] = weakref.WeakSet()


def close_at_exit(running: Running) -> None:
    """Have something closed when the interpreter ends, unless it is collected before."""
    _RUNNING.add(running)


def _close_all() -> None:
    for running in list(_RUNNING):
        running.close()


# Hooks run in the reverse order of their registration, and that of the executors is registered by this import.
assert concurrent.futures.thread.__name__
# The early hook has no public name; without it the late one at least removes the files.
getattr(threading, "_register_atexit", atexit.register)(_close_all)
