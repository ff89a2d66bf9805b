"""`EventStream`: what happens to a run or a workflow, read while it happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..flows.event_feed import EventFeed, next_event
from ..live import Live

T = TypeVar("T")


class EventStream(Live, Generic[T]):
    """An iterator over events; leave it early by `close`, or by using it in `with`.

    The connection is opened with the first event that is asked for, and again, where it broke off, whenever it is
    lost: every event comes once. Leaving, or dropping, the iterator closes the connection; what the service does
    goes on. Raises an `ApiError` when the service refuses, `SogniConnectionError` when it cannot be reached for a
    long time.
    """

    def __init__(self, engine: Any, feed: EventFeed[T]) -> None:
        self._engine = engine
        self._feed = feed
        self._turn = threading.Lock()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """The next event."""
        with self._turn:
            event = self._engine.run(next_event(self._feed))
        if event is None:
            raise StopIteration
        return event  # type: ignore[no-any-return]

    @property
    def last_event_id(self) -> str | None:
        """The `last_event_id` with which another stream begins behind the last event that came; None before any."""
        return self._feed.position

    @property
    def closed(self) -> bool:
        """Whether no more is read; events that had arrived before the end can still be taken."""
        return self._feed.over

    def close(self) -> None:
        """Close the connection, also while somebody waits for an event; repeatable."""
        self._feed.ready.clear()
        self._feed.close()

    def __enter__(self) -> EventStream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<EventStream of {self._feed.reader.what}{' closed' if self.closed else ''}>"
