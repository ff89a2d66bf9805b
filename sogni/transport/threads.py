"""Daemon threads that either start or never run.

`Thread.start` fails if the system has no threads left. It also raises the exceptions of signal handlers, such as
Ctrl-C, and then it is unknown whether the thread exists. Treating that as a failed start would do the work twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

RETRY_SECONDS = 0.05
"""Delay between attempts to start a thread, in seconds."""


class DaemonThread(threading.Thread):
    """A daemon thread. If `called_off` is true, it did not start and will never do its work."""

    def __init__(self, target: Callable[..., object], *arguments: object, name: str) -> None:
        super().__init__(target=target, args=arguments, name=name, daemon=True)
        self._claim = threading.Lock()
        self.called_off: bool = False

    def start(self) -> None:
        """Start the thread. After an exception, `called_off` is whether the start failed."""
        try:
            super().start()
        except BaseException:
            # The new thread, if it exists, and this one compete for the claim.
            self.call_off()
            raise

    @property
    def begun(self) -> bool:
        """True if the thread does or has done its work."""
        return self._claim.locked() and not self.called_off

    def call_off(self) -> bool:
        """Prevent the thread from doing its work. Returns False if it has already begun."""
        self.called_off = self.called_off or self._claim.acquire(blocking=False)
        return self.called_off

    def run(self) -> None:
        """Do the work unless it was called off."""
        if self._claim.acquire(blocking=False):
            super().run()

    def start_if_possible(self) -> bool:
        """Start the thread. Returns False if the system has no threads left."""
        try:
            self.start()
        except RuntimeError:
            if not self.called_off:
                raise
            return False
        return True
