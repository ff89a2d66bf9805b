"""The ends of a process: decides what becomes of open clients at exit and in a forked child.

Two hooks for all clients, set once. The exit hook is bounded in time; the fork hook takes no lock of
the parent.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Protocol

EXIT_SECONDS = 1.5
"""For all clients together."""


class Engine(Protocol):
    """What the hooks need of a client's engine."""

    def close(self, timeout: float) -> None:
        """End everything within some seconds."""

    def renew_after_fork(self) -> None:
        """Become as if newly constructed."""


_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()


def register(engine: Engine) -> None:
    """Have an engine looked after until it is collected."""
    _ENGINES.add(engine)


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for engine in list(_ENGINES):
        engine.close(max(0.1, deadline - time.monotonic()))


def _renew_all() -> None:
    for engine in list(_ENGINES):
        engine.renew_after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
