"""Every random value that a client can see: ids, seeds, worker names.

Called wherever such a value is made. With a ``seed`` two emulators make the same ones. Secrets (keys,
signatures of URLs) never come from here.
"""

from __future__ import annotations

import random
import threading
import uuid


class Chance:
    """A source of ids and seeds, usable from any thread."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def uuid(self) -> str:
        """Return a version-4 UUID in upper case (transport §7)."""
        with self._lock:
            bits = self._random.getrandbits(128)
        return str(uuid.UUID(int=bits, version=4)).upper()

    def image_seed(self) -> int:
        """Return an unsigned 32-bit seed."""
        with self._lock:
            return self._random.getrandbits(32)
