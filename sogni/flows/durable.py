"""Waiting for durable work: decides when its record is looked at again.

Called by the waits for runs and workflows. The events tell when there may be something new; the record is what
counts, and is asked for now and then even if no event comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ApiError, SogniConnectionError, SogniTimeoutError
from .event_feed import EventFeed, advance
from .steps import Flow, clock, pause
from .time_limit import limited

R = TypeVar("R")

LOOK_SECONDS = 15.0
"""The record is asked for at least this often."""
POLL_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""The same, where there is no event stream to be had: first soon, as the record may only be behind the events."""
LEAST_SECONDS = 1.0
"""What a look at the record may take, however little time there is: who waits no time at all still wants to know."""


def wait_until(
    ask: Callable[[float | None], Flow[R]],
    settled: Callable[[R], bool],
    feed_of: Callable[[R], EventFeed[Any]],
    timeout: float | None,
    what: str,
) -> Flow[R]:
    """Return the record as soon as it is settled. SogniTimeoutError; ApiError when it cannot be had.

    `ask` is told how many seconds are left.
    """
    begin = yield from clock()
    deadline = None if timeout is None else begin + timeout
    record = yield from _asked(ask, timeout)
    feed = None if settled(record) else feed_of(record)
    polls = 0
    try:
        while not settled(record):
            now = yield from clock()
            if deadline is not None and now >= deadline:
                raise SogniTimeoutError(f"{what} is still under way", phase="run", timeout=timeout)
            if feed is None:
                yield from pause(_within(POLL_SECONDS[min(polls, len(POLL_SECONDS) - 1)], now, deadline))
                polls += 1
            else:
                feed = yield from _news(feed, now, deadline)
            now = yield from clock()
            record = yield from _asked(ask, None if deadline is None else deadline - now)
    finally:
        if feed is not None:
            feed.close()
    return record


def _asked(ask: Callable[[float | None], Flow[R]], left: float | None) -> Flow[R]:
    """Look at the record, retries included, in the time that is left."""
    granted = None if left is None else max(LEAST_SECONDS, left)
    return (yield from limited(ask(granted), granted))


def _news(feed: EventFeed[Any], now: float, deadline: float | None) -> Flow[EventFeed[Any] | None]:
    """Wait for a reason to look at the record; the feed as long as it is of use."""
    look = now + _within(LOOK_SECONDS, now, deadline)
    before = feed.reader.status
    try:
        more = yield from advance(feed, look)
        while more and not feed.over and feed.reader.status == before:
            feed.ready.clear()
            more = yield from advance(feed, look)
    except (ApiError, SogniConnectionError, SogniTimeoutError):
        return None
    feed.ready.clear()
    return None if feed.over else feed


def _within(seconds: float, now: float, deadline: float | None) -> float:
    return seconds if deadline is None else max(0.0, min(seconds, deadline - now))
