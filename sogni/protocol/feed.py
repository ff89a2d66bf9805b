"""Events of one project, kept for iteration: decides what a late subscriber still sees.

Filled by the project machine, read by `Project.events()`. Of progress and `updated` next to each other
at most one each stays, so the memory of a project does not grow with the number of its frames.
"""

from __future__ import annotations

from collections import deque

from ..models.events import Event

_MERGED = ("progress", "updated")


class Feed:
    """The events one subscriber has not read yet."""

    __slots__ = ("_events", "closed")

    def __init__(self, past: list[Event]) -> None:
        self._events: deque[Event] = deque(past)
        self.closed = False

    def close(self) -> None:
        """Take nothing more; the project lets go of it in time.

        Without any lock: an iterator that is dropped may be closed by the garbage collector, in a thread that holds it.
        """
        self.closed = True

    def push(self, event: Event) -> None:
        """Add an event; newer progress replaces the last one, updates next to each other are joined."""
        if self.closed:
            return
        events = self._events
        if event.name in _MERGED:
            # A run of them is never longer than two, one of each: the other of the two may stand in between.
            between = bool(events) and events[-1].name in _MERGED and events[-1].name != event.name
            place = -2 if between else -1
            if len(events) >= -place and events[place].name == event.name:
                if event.name == "updated":
                    event = Event("updated", events[place].value | event.value)
                del events[place]
        events.append(event)

    def pop(self) -> Event | None:
        """The oldest unread event, None when there is none."""
        return self._events.popleft() if self._events else None
