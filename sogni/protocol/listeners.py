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

    __slots__ = ("function", "once")

    def __init__(self, function: Listener, once: bool) -> None:
        self.function = function
        self.once = once


class Listeners:
    """The listeners of one emitter, by event."""

    __slots__ = ("_by_event",)

    def __init__(self) -> None:
        self._by_event: dict[str, list[_Entry]] = {}

    def add(self, event: str, function: Listener, *, once: bool = False) -> Callable[[], None]:
        """Register `function`; the returned function removes it again."""
        entry = _Entry(function, once)
        self._by_event.setdefault(event, []).append(entry)
        return lambda: self._remove(event, entry)

    def remove(self, event: str, function: Listener) -> None:
        """Remove the first registration of `function`; nothing happens when there is none."""
        for entry in list(self._by_event.get(event, ())):
            if entry.function == function:
                self._remove(event, entry)
                return

    def go_on_from(self, before: Listeners) -> None:
        """Take over the registrations of another emitter."""
        for event, entries in list(before._by_event.items()):
            self._by_event.setdefault(event, []).extend(entries)

    def has(self, event: str) -> bool:
        """Whether anybody listens to `event` now."""
        return bool(self._by_event.get(event))

    def has_either(self, event: str, other: str) -> bool:
        """Whether anybody listens to one of two events now."""
        by_event = self._by_event
        return bool(by_event.get(event) or by_event.get(other))

    def take(self, event: str) -> list[Listener]:
        """The functions to call for one delivery, in order; those registered once are gone after it."""
        entries = list(self._by_event.get(event, ()))
        for entry in entries:
            if entry.once:
                self._remove(event, entry)
        return [entry.function for entry in entries]

    def _remove(self, event: str, entry: _Entry) -> None:
        # Another thread may have been faster.
        with suppress(ValueError):
            self._by_event[event].remove(entry)


def check_event(event: str, known: frozenset[str], owner: str) -> str:
    """Return the name of an event; ValueError names the known ones for any other."""
    if event not in known:
        raise ValueError(f"{owner} has no event {event!r}; it has {', '.join(sorted(known))}")
    return event
