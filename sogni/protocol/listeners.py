"""Who wants to hear of what: decides which functions an event reaches.

Called by the handles (`on`, `once`, `off`) and by the shells when an event is delivered. It never
calls a listener and never fails because of one. Safe from any thread: every change is one step of a list.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

Listener = Callable[..., Any]


class _Entry:
    """One registration; equal to itself only, so that removing it never removes another."""

    __slots__ = ("function", "once", "since")

    def __init__(self, function: Listener, once: bool, since: int) -> None:
        self.function = function
        self.once = once
        self.since = since
        """The number of the last delivery that is none of its: what came before it gets by itself."""


class Listeners:
    """The listeners of one emitter, by event."""

    __slots__ = ("_by_event",)

    def __init__(self) -> None:
        self._by_event: dict[str, list[_Entry]] = {}

    def add(self, event: str, function: Listener, *, once: bool = False) -> Callable[[], None]:
        """Register `function`; the returned function removes it again."""
        return self.add_late(event, function, once=once, since=0)[0]

    def add_late(
        self, event: str, function: Listener, *, once: bool, since: int
    ) -> tuple[Callable[[], None], LateListener]:
        """Register `function` for deliveries after number `since`; also returns the way to reach it alone."""
        entry = _Entry(function, once, since)
        self._by_event.setdefault(event, []).append(entry)
        return lambda: self._remove(event, entry), LateListener(self, entry)

    def remove(self, event: str, function: Listener) -> None:
        """Remove the first registration of `function`; nothing happens when there is none."""
        for entry in list(self._by_event.get(event, ())):
            if entry.function == function:
                self._remove(event, entry)
                return

    def go_on_from(self, before: Listeners) -> None:
        """Take over the registrations of another emitter."""
        for event, entries in list(before._by_event.items()):
            for entry in entries:
                entry.since = 0  # deliveries are numbered anew
            self._by_event.setdefault(event, []).extend(entries)

    def has(self, event: str) -> bool:
        """Whether anybody listens to `event` now."""
        return bool(self._by_event.get(event))

    def has_either(self, event: str, other: str) -> bool:
        """Whether anybody listens to one of two events now."""
        by_event = self._by_event
        return bool(by_event.get(event) or by_event.get(other))

    def take(self, event: str, number: int | None = None) -> list[Listener]:
        """The functions to call for one delivery, in order; those registered once are gone after it."""
        entries = [e for e in list(self._by_event.get(event, ())) if number is None or e.since < number]
        for entry in entries:
            if entry.once:
                self._remove(event, entry)
        return [entry.function for entry in entries]

    def _remove(self, event: str, entry: _Entry) -> None:
        # Another thread may have been faster.
        with suppress(ValueError):
            self._by_event[event].remove(entry)


class LateListener:
    """One listener of an emitter, told alone of what happened before it was registered."""

    __slots__ = ("_entry", "_listeners")

    def __init__(self, listeners: Listeners, entry: _Entry) -> None:
        self._listeners = listeners
        self._entry = entry

    def take(self, event: str, number: int | None = None) -> list[Listener]:
        """Its function, unless it has been removed meanwhile."""
        if self._entry not in self._listeners._by_event.get(event, ()):
            return []
        if self._entry.once:
            self._listeners._remove(event, self._entry)
        return [self._entry.function]


def check_event(event: str, known: frozenset[str], owner: str) -> str:
    """Return the name of an event; ValueError names the known ones for any other."""
    if event not in known:
        raise ValueError(f"{owner} has no event {event!r}; it has {', '.join(sorted(known))}")
    return event
