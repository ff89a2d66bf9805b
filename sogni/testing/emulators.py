"""The emulators of a test session. Tests with the same options share an emulator, one after the other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sogni.emulator import LocalSupernet

_MOST = 4
_NOT_SHARED = ("data", "rest_port", "socket_port")
"""Options that tie an emulator to external resources."""


class Emulators:
    """Running emulators that wait for their next test."""

    def __init__(self) -> None:
        self._idle: dict[Hashable, LocalSupernet] = {}

    @contextmanager
    def lend(self, options: Mapping[str, Any]) -> Iterator[LocalSupernet]:
        """Lend an emulator with these options, in the state of a new one."""
        key = _key(options)
        supernet = self._idle.pop(key, None) if key is not None else None
        if supernet is None or supernet.closed:
            supernet = LocalSupernet(**options).start()
        try:
            yield supernet
        finally:
            if key is None or supernet.closed:
                supernet.close()
            else:
                self._take_back(key, supernet)

    def _take_back(self, key: Hashable, supernet: LocalSupernet) -> None:
        try:
            supernet.renew()
        except BaseException:
            supernet.close()
            raise
        self._idle[key] = supernet
        while len(self._idle) > _MOST:
            self._idle.pop(next(iter(self._idle))).close()

    def close(self) -> None:
        for supernet in self._idle.values():
            supernet.close()
        self._idle.clear()


def _key(options: Mapping[str, Any]) -> Hashable | None:
    """Return a key that is equal for interchangeable emulators; None if there are no others."""
    if any(name in options for name in _NOT_SHARED):
        return None
    # With their types: `True == 1`, and the emulator tells them apart.
    key = tuple(sorted((name, type(value).__name__, value) for name, value in options.items()))
    try:
        hash(key)
    except TypeError:
        return None
    return key
