"""Event streams that survive lost connections, and waiting for durable work.

`EventFeed` reconnects after the last event that was read, and delivers every event once. `wait_for_record` waits for
a run or workflow: events indicate that its record may have changed, but only the record is authoritative.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sogni.core.flow import EventBody, Flow, change, clock, open_events, pause, read_piece, retry_policy
from sogni.core.http import NO_CONTENT, HttpReply, error_of
from sogni.core.requests import (
    JITTER,
    TEMPORARY_STATUSES,
    ensure_fresh_credentials,
    named,
    pause_before,
    process_reply,
    requested_wait,
    within,
)
from sogni.core.time_limit import limited
from sogni.core.workflows.event_readers import EventReader, SseDecoder
from sogni.errors import ApiError, NotFoundError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.settings import RetryPolicy

T = TypeVar("T")

MAX_RECONNECTS = 10
"""Attempts to reconnect a stream that was open before, while the service cannot be reached."""
STABLE_SECONDS = 3.0
"""A connection that lasted this long resets the count of failures, even if it delivered nothing."""
ENDS_BEFORE_CHECK = 3
"""Clean ends without a new event after which the record is checked for the end."""
MAX_RETRY_AFTER = 120.0
"""Longest `Retry-After` in seconds that is waited for before a stream is reconnected."""


class EventFeed(Generic[T]):
    """An event stream: its reader, the events read ahead, and the failures of its connections.

    `position` is that of the last delivered event. `has_ended` returns whether the run or workflow has ended.
    """

    def __init__(self, reader: EventReader[T], has_ended: Callable[[], Flow[bool]]) -> None:
        self.reader = reader
        self.has_ended = has_ended
        self.ready: deque[tuple[T, str | None]] = deque()
        """Events that have been read and not delivered yet, each with the position after it."""
        self.position = reader.position
        self.closed: bool = False
        self.body: EventBody | None = None
        self.failures: int = 0
        self.drops: int = 0
        """Connections that broke off, instead of ending cleanly."""
        self.clean_ends: int = 0
        self.was_open: bool = False
        self.opened_at: float = 0.0
        self._decoder = SseDecoder()

    def opened(self, body: EventBody, now: float) -> None:
        """Continue with a new connection."""
        self._decoder = SseDecoder()
        self.reader.begin_connection()
        self.body, self.was_open, self.opened_at = body, True, now
        if self.closed:
            # By another thread, while the connection was opened.
            body.close()

    def read(self, data: bytes) -> None:
        """Read bytes of the body. Data after the final event is ignored."""
        for block in self._decoder.feed(data):
            self._add(self.reader.read(block))
            if self.closed:
                return

    def read_end(self) -> None:
        """Read the rest of a body that ended cleanly."""
        for block in self._decoder.end():
            self._add(self.reader.read_rest(block))
        if self.reader.may_finish:
            self.close()

    def _add(self, event: T | None) -> None:
        if event is not None:
            self.ready.append((event, self.reader.position))
            self.failures = self.drops = self.clean_ends = 0
        if self.reader.finished:
            self.close()

    def pop(self) -> T | None:
        """Return and remove the next event that has been read; another stream can now continue after it."""
        if not self.ready:
            return None
        event, self.position = self.ready.popleft()
        return event

    def disconnect(self) -> None:
        """Close the connection; another one may follow."""
        body, self.body = self.body, None
        if body is not None:
            body.close()

    def close(self) -> None:
        """Close the stream, in any thread; events that have been read can still be delivered."""
        self.closed = True
        self.disconnect()

    def max_failures(self, policy: RetryPolicy) -> int:
        """Return how many failures without a new event are tolerated; a policy without retries applies here too."""
        return max(policy.attempts, MAX_RECONNECTS) if self.was_open and policy.attempts > 1 else policy.attempts


def next_event(feed: EventFeed[T]) -> Flow[T | None]:
    """Return the next event, None after the last.

    Raises `ApiError`, `SogniConnectionError` or `ProtocolError`, each of which closes the stream.
    """
    yield from advance(feed, None)
    return feed.pop()


def advance(feed: EventFeed[T], deadline: float | None) -> Flow[bool]:
    """Read until there is an event to deliver or the stream is closed; returns False at the deadline."""
    try:
        while not feed.ready and not feed.closed:
            body = feed.body
            if body is None:
                in_time = yield from _connect(feed, deadline)
            else:
                in_time = yield from _read(feed, body, deadline)
            if not in_time:
                return False
    except SogniError:
        feed.close()
        raise
    return True


def _left(deadline: float | None) -> Flow[float | None]:
    if deadline is None:
        return None
    return max(0.0, deadline - (yield from clock()))


def _read(feed: EventFeed[T], body: EventBody, deadline: float | None) -> Flow[bool]:
    idle = yield from change(lambda state, _: state.settings.timeouts.idle)
    left = yield from _left(deadline)
    try:
        data = yield from read_piece(body, idle if left is None else min(idle, left))
    except SogniTimeoutError as error:
        if left is not None and left <= idle:
            return False
        yield from _failed(feed, error)
    except SogniConnectionError as error:
        yield from _failed(feed, error)
    else:
        if data:
            feed.read(data)
        elif not feed.closed:
            yield from _ended(feed)
    return True


def _failed(feed: EventFeed[T], error: SogniError, *, clean: bool = False) -> Flow[None]:
    """Count a failure. Raises `error` if there have been too many."""
    now = yield from clock()
    policy = yield from retry_policy()
    if feed.body is not None:
        if now - feed.opened_at >= STABLE_SECONDS:
            feed.failures = feed.drops = 0
        feed.drops += not clean
    feed.disconnect()
    feed.failures += 1
    # Connections that always break off right after they were opened are given up earlier.
    give_up = feed.failures >= feed.max_failures(policy) or feed.drops > policy.attempts
    if give_up and not feed.closed:
        raise error


def _ended(feed: EventFeed[T]) -> Flow[None]:
    """Handle a clean end without a final event: the stream is closed only if the record has ended."""
    feed.read_end()
    if feed.closed:
        return
    feed.clean_ends += 1
    if feed.clean_ends % ENDS_BEFORE_CHECK == 0 and (yield from feed.has_ended()):
        feed.close()
        return
    error = SogniConnectionError(f"{feed.reader.what}: the stream ended repeatedly without a new event")
    yield from _failed(feed, error, clean=True)


def _connect(feed: EventFeed[T], deadline: float | None) -> Flow[bool]:
    """Open the stream after the last event; returns False at the deadline."""
    policy = yield from retry_policy()
    wait, jitter = pause_before(policy, feed.failures) if feed.failures else 0.0, JITTER
    while True:
        if wait:
            left = yield from _left(deadline)
            if left is not None and left <= wait:
                yield from pause(left)
                return False
            yield from pause(wait, jitter)
        try:
            outcome = yield from _request(feed, deadline)
        except (SogniConnectionError, SogniTimeoutError) as error:
            yield from _failed(feed, error)
            wait, jitter = pause_before(policy, feed.failures), JITTER
        else:
            if not isinstance(outcome, HttpReply):
                feed.opened(outcome, (yield from clock()))
                return True
            if outcome.status == NO_CONTENT:
                # By the standard of event streams: do not reconnect.
                feed.close()
                return True
            retry_after = _rejected(feed, outcome, policy)
            wait, jitter = (pause_before(policy, feed.failures), JITTER) if retry_after is None else (retry_after, 0.0)
        if feed.closed:
            return True


def _request(feed: EventFeed[T], deadline: float | None) -> Flow[EventBody | HttpReply]:
    turn = yield from ensure_fresh_credentials()
    left = yield from _left(deadline)
    outcome = yield from open_events((yield from within(feed.reader.call(), left)))
    if not isinstance(outcome, HttpReply):
        return outcome
    return (yield from process_reply(outcome, turn, keeps_credentials=feed.reader.keeps_credentials))


def _rejected(feed: EventFeed[T], reply: HttpReply, policy: RetryPolicy) -> float | None:
    """Count an error reply and return its `Retry-After`. Raises its error if a retry is useless or was the last."""
    feed.failures += 1
    retry_after = requested_wait(reply)
    longest = MAX_RETRY_AFTER if feed.was_open else policy.longest
    last = feed.failures >= feed.max_failures(policy) or (retry_after or 0) > longest
    if reply.status not in TEMPORARY_STATUSES or last:
        error = error_of(feed.reader.call(), reply)
        raise named(feed.reader.what, error) if isinstance(error, NotFoundError) else error
    return retry_after


# Waiting for a record


R = TypeVar("R")

REFRESH_SECONDS = 15.0
"""The record is requested at least this often, even without an event."""
POLL_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""The same if there is no event stream; short at first, because the record may only lag behind the events."""
MIN_REQUEST_SECONDS = 1.0
"""Time limit of a request for the record at least, so that a wait with `timeout=0` gets an answer too."""


def wait_for_record(
    get: Callable[[float | None], Flow[R]],
    is_settled: Callable[[R], bool],
    open_feed: Callable[[R], EventFeed[Any]],
    timeout: float | None,
    what: str,
) -> Flow[R]:
    """Return the record as soon as it is settled; `get` receives the seconds left.

    Raises `SogniTimeoutError` naming `what`, and the errors of `get`.
    """
    begin = yield from clock()
    deadline = None if timeout is None else begin + timeout
    record = yield from _get(get, timeout)
    feed = None if is_settled(record) else open_feed(record)
    polls = 0
    try:
        while not is_settled(record):
            now = yield from clock()
            if deadline is not None and now >= deadline:
                raise SogniTimeoutError(f"{what} has not finished in time", phase="run", timeout=timeout)
            if feed is None:
                yield from pause(_capped(POLL_SECONDS[min(polls, len(POLL_SECONDS) - 1)], now, deadline))
                polls += 1
            else:
                feed = yield from _wait_for_change(feed, now, deadline)
            now = yield from clock()
            record = yield from _get(get, None if deadline is None else deadline - now)
    finally:
        if feed is not None:
            feed.close()
    return record


def _get(get: Callable[[float | None], Flow[R]], left: float | None) -> Flow[R]:
    """Request the record, including retries, in the time left."""
    limit = None if left is None else max(MIN_REQUEST_SECONDS, left)
    return (yield from limited(get(limit), limit))


def _wait_for_change(feed: EventFeed[Any], now: float, deadline: float | None) -> Flow[EventFeed[Any] | None]:
    """Wait until the record may have changed; returns the feed, or None once it has ended for good."""
    until = now + _capped(REFRESH_SECONDS, now, deadline)
    before = feed.reader.status
    try:
        in_time = yield from advance(feed, until)
        while in_time and not feed.closed and feed.reader.status == before:
            feed.ready.clear()
            in_time = yield from advance(feed, until)
    except (ApiError, SogniConnectionError, SogniTimeoutError):
        return None
    feed.ready.clear()
    return None if feed.closed else feed


def _capped(seconds: float, now: float, deadline: float | None) -> float:
    return seconds if deadline is None else max(0.0, min(seconds, deadline - now))
