"""The story of one durable thing, a chat run or a workflow: numbered events that are only ever added.

Written by whatever moves the thing, read by its routes and by any number of streams, each from where it likes.
An event is kept before anybody hears of it, so that a stream never tells what a restart would forget. A log knows
no HTTP and belongs to the server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define, field, frozen


@frozen
class Event:
    """One thing that happened; ``sequence`` counts from 1 within its log, ``at`` is in epoch seconds."""

    sequence: int
    type: str
    at: float
    payload: Mapping[str, Any] = field(factory=dict)


def iso(moment: float) -> str:
    """Write a moment as the service's records do."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@define(eq=False)
class EventLog:
    """The events of one thing. ``keep`` writes an event down where it survives the emulator; ``ended`` tells that
    no more will come."""

    clock: Callable[[], float]
    keep: Callable[[Event, bool], object] | None = None
    ended: bool = False
    _events: list[Event] = field(factory=list)
    _news: asyncio.Event = field(factory=asyncio.Event)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def last_sequence(self) -> int:
        return self._events[-1].sequence if self._events else 0

    def append(self, type: str, payload: Mapping[str, Any] | None = None, *, ends: bool = False) -> Event:
        """Add an event; with ``ends`` it is the last one."""
        if self.ended:
            raise RuntimeError(f"the log has ended, {type} comes too late")
        event = Event(self.last_sequence + 1, type, self.clock(), payload or {})
        if self.keep is not None:
            self.keep(event, ends)
        self._events.append(event)
        self.ended = ends
        self._wake()
        return event

    def restore(self, event: Event, ended: bool) -> None:
        """Put back an event that was kept by an earlier emulator."""
        self._events.append(event)
        self.ended = ended

    def since(self, sequence: int = 0) -> list[Event]:
        """Return the events after a sequence number, oldest first."""
        # Sequences have no gaps, so the number is the position.
        return self._events[max(0, sequence) :]

    async def wait(self, sequence: int, seconds: float) -> list[Event]:
        """Return the events after a sequence number as soon as there are some, the log has ended, or the time is
        up."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.ended and self.last_sequence <= sequence:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            news = self._news
            try:
                await asyncio.wait_for(news.wait(), left)
            except TimeoutError:
                break
        return self.since(sequence)

    async def follow(self, sequence: int = 0) -> AsyncIterator[Event]:
        """Yield the events after a sequence number, those to come as well, until the log has ended."""
        while True:
            for event in await self.wait(sequence, 3600):
                sequence = event.sequence
                yield event
            if self.ended and self.last_sequence <= sequence:
                return

    def _wake(self) -> None:
        # Everybody waits for the event of the moment; those who come later, for the next one.
        self._news.set()
        self._news = asyncio.Event()
