"""Base class of objects that hold connections or threads: they cannot be copied, and import modules lazily."""

from __future__ import annotations

import os
import threading
from typing import ClassVar, NoReturn, SupportsIndex

importing: threading.RLock = threading.RLock()
"""Held while the modules of a client are imported for the first time.

If a process forks while another thread imports, the child has a partial module and an import lock that is never
released. Forks by other threads therefore wait for this lock.
"""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=importing.acquire, after_in_parent=importing.release, after_in_child=importing.release)


class Live:
    """An object that cannot be pickled or copied.

    A copy would share its resources with the original, so that closing one would close the other. A pickle would also
    contain the API key.
    """

    __slots__ = ()
    _public_name: ClassVar[str] = ""
    """Public name of an internal class, for error messages."""
    _instead: ClassVar[str] = "create a new one with the same arguments"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{self._public_name or type(self).__name__} objects cannot be pickled or copied, because they hold "
            f"connections or threads; {self._instead}"
        )
