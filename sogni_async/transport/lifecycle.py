"""The end of a process as it was: what becomes of open clients at exit and in a forked child.

Two hooks for all clients, set once. At exit no loop runs any more, so that connections are only closed.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol


class Engine(Protocol):
    """What the hooks need of a client's engine."""

    def let_go(self) -> None:
        """Close what is open at the end of the process."""

    def renew_after_fork(self) -> None:
        """Become as if newly constructed."""


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def register(engine: Engine) -> None:
    """Have an engine looked after until it is collected."""
    _engines.add(engine)


def _renew_all() -> None:
    for engine in list(_engines):
        engine.renew_after_fork()


def _let_go_all() -> None:
    for engine in list(_engines):
        engine.let_go()


atexit.register(_let_go_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
