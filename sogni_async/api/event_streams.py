"""`EventStream`: what happens to a run or a workflow, read while it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from sogni.flows.event_feed import EventFeed, next_event
from sogni.live import Live

T = TypeVar("T")


class EventStream(Live, Generic[T]):
    """An iterator over events; leave it early by `close`, or by using it in `async with`.

    The connection is opened with the first event that is asked for, and again, where it broke off, whenever it is
    lost: every event comes once. Leaving, or dropping, the iterator closes the connection; what the service does
    goes on. Raises an `ApiError` when the service refuses, `SogniConnectionError` when it cannot be reached for a
    long time.
    """

    def __init__(self, engine: Any, feed: EventFeed[T]) -> None:
        self._engine = engine
        self._feed = feed
        self._turn = asyncio.Lock()
        self._state: Any = None
        """That of the client in the loop in which reading began."""

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        """The next event."""
        self._own()
        async with self._turn:
            event = await self._engine.run(next_event(self._feed))
        if event is None:
            raise StopAsyncIteration
        return event  # type: ignore[no-any-return]

    def _own(self) -> None:
        """Check that the connection belongs to the running loop; what arrived before its end can be taken anywhere."""
        if self._feed.over:
            return
        if self._state is None:
            self._engine.enter()
            self._state = self._engine.state
        self._engine.own(self._state, "open another stream with last_event_id, it goes on from there")

    @property
    def last_event_id(self) -> str | None:
        """The `last_event_id` with which another stream begins behind the last event that came; None before any."""
        return self._feed.position

    @property
    def closed(self) -> bool:
        """Whether no more is read; events that had arrived before the end can still be taken."""
        return self._feed.over

    async def close(self) -> None:
        """Close the connection, also while somebody waits for an event; repeatable."""
        self._feed.ready.clear()
        self._feed.close()

    async def __aenter__(self) -> EventStream[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<EventStream of {self._feed.reader.what}{' closed' if self.closed else ''}>"
