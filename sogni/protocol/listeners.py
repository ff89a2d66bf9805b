"""Who wants to hear of what: decides which functions an event reaches.

Called by the handles (`on`, `once`, `off`) and by the shells when an event is delivered. It never
calls a listener and never fails because of one. Safe from any thread: lists are replaced, not changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Listener = Callable[..., Any]


class Listeners:
    """The listeners of one emitter, by event."""

    __slots__ = ("_by_event",)

    def __init__(self) -> None:
        self._by_event: dict[str, tuple[tuple[Listener, bool], ...]] = {}

    def add(self, event: str, function: Listener, *, once: bool = False) -> Callable[[], None]:
        """Register `function`; the returned function removes it again."""
        entry = (function, once)
        self._by_event[event] = (*self._by_event.get(event, ()), entry)
        return lambda: self._remove(event, entry)

    def remove(self, event: str, function: Listener) -> None:
        """Remove the first registration of `function`; nothing happens when there is none."""
        for entry in self._by_event.get(event, ()):
            if entry[0] == function:
                self._remove(event, entry)
                return

    def has(self, event: str) -> bool:
        """Whether anybody listens to `event` now."""
        return bool(self._by_event.get(event))

    def take(self, event: str) -> list[Listener]:
        """The functions to call for one delivery, in order; those registered once are gone after it."""
        entries = self._by_event.get(event)
        if not entries:
            return []
        for entry in entries:
            if entry[1]:
                self._remove(event, entry)
        return [function for function, _ in entries]

    def _remove(self, event: str, entry: tuple[Listener, bool]) -> None:
        kept = list(self._by_event.get(event, ()))
        for place, other in enumerate(kept):
            if other is entry:
                del kept[place]
                break
        self._by_event[event] = tuple(kept)


def check_event(event: str, known: frozenset[str], owner: str) -> str:
    """Return the name of an event; ValueError names the known ones for any other."""
    if event not in known:
        raise ValueError(f"{owner} has no event {event!r}; it has {', '.join(sorted(known))}")
    return event
