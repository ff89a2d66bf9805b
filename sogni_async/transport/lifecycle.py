"""The end of a process as it was: decides what becomes of open clients in a forked child.

One hook for all clients, set once; it does nothing in the parent. The end of a loop needs no hook: the tasks and
the session of a client end with it.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Engine(Protocol):
    """What the hook needs of a client's engine."""

    def renew_after_fork(self) -> None:
        """Become as if newly constructed."""


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def register(engine: Engine) -> None:
    """Have an engine looked after until it is collected."""
    _engines.add(engine)


def _renew_all() -> None:
    for engine in list(_engines):
        engine.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
