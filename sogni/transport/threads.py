"""Threads of a client, which either start or never run.

`Thread.start` fails if the system has no thread to give. It also raises what a signal handler raises in the middle of
it, Ctrl-C above all, and nobody knows then whether the thread is there. Whoever took that for a failed start and did
the work itself, or started another thread, would have it done twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

RETRY_SECONDS = 0.05
"""Pause between two attempts to start a thread that work is waiting for."""


class DaemonThread(threading.Thread):
    """A daemon thread; `called_off` says that its start failed and that it does nothing, now or later."""

    def __init__(self, target: Callable[..., object], *arguments: object, name: str) -> None:
        super().__init__(target=target, args=arguments, name=name, daemon=True)
        self._claim = threading.Lock()
        self.called_off: bool = False

    def start(self) -> None:
        """Start the thread. What this raises was raised in its course, unless `called_off` is true afterwards."""
        try:
            super().start()
        except BaseException:
            # The first to claim it decides: the new thread, if there is one, or this one.
            self.call_off()
            raise

    @property
    def begun(self) -> bool:
        """Whether the thread does, or has done, its work."""
        return self._claim.locked() and not self.called_off

    def call_off(self) -> bool:
        """Keep the thread from ever doing its work; False if it has begun."""
        self.called_off = self.called_off or self._claim.acquire(blocking=False)
        return self.called_off

    def run(self) -> None:
        """Do the work, unless it was called off."""
        if self._claim.acquire(blocking=False):
            super().run()

    def start_if_possible(self) -> bool:
        """Start the thread; False if the system has none to give."""
        try:
            self.start()
        except RuntimeError:
            if not self.called_off:
                raise
            return False
        return True
