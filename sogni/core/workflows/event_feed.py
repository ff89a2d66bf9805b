"""Event streams that outlive their connections: decides when one is opened again, and when that is given up.

Called by the iterators of `stream_events` and by waits for runs and workflows. Every event is given once: a stream
is asked for again with the last event that was read, and repetitions are dropped by its reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sogni.core.flow import EventBody, Flow, change, clock, open_events, pause, read_piece
from sogni.core.http import NO_CONTENT, HttpReply, error_of
from sogni.core.requests import JITTER, PASSING, asked_to_wait, have_fresh, looked_at, pause_before, within
from sogni.core.time_limit import limited
from sogni.core.workflows.event_readers import EventReader, SseDecoder
from sogni.errors import ApiError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.settings import RetryPolicy

T = TypeVar("T")
Ended = Callable[[], Flow[bool]]

MOST_REOPENED = 10
"""A stream that was open before is asked for this often while the service cannot be reached."""
LASTING_SECONDS = 3.0
"""A connection that lasted so long was a good one, although nothing happened on it."""
ENDS_BEFORE_ASKING = 3
"""Orderly ends without anything new, after which the record is asked whether there is anything to come."""
LONGEST_WAIT = 120.0
"""Seconds that the service may ask for before a stream is opened again."""


class EventFeed(Generic[T]):
    """A stream under way: its reader, the events read ahead, and how often it broke.

    `position` is that of the last event that was given: events may have been read ahead of it.
    """

    def __init__(self, reader: EventReader[T], ended: Ended) -> None:
        self.reader = reader
        self.ended = ended
        self.ready: deque[tuple[T, str | None]] = deque()
        """Events that were read and not given yet, each with the position behind it."""
        self.position = reader.position
        self.over: bool = False
        self.body: EventBody | None = None
        self.failures: int = 0
        self.broken: int = 0
        self.orderly_ends: int = 0
        self.opened_before: bool = False
        self.opened_at: float = 0.0
        self._decoder = SseDecoder()

    def opened(self, body: EventBody, now: float) -> None:
        """Begin with a new body; nothing of the last one is left over."""
        self._decoder = SseDecoder()
        self.reader.begins()
        self.body, self.opened_before, self.opened_at = body, True, now
        if self.over:
            # Closed by another thread while it was opened.
            body.close()

    def take(self, piece: bytes) -> None:
        """Read some bytes. What comes behind the last event is not read (workflows §6.2)."""
        for block in self._decoder.feed(piece):
            self._note(self.reader.read(block))
            if self.over:
                return

    def take_rest(self) -> None:
        """Read what is left of a body that ended in order."""
        for block in self._decoder.end():
            self._note(self.reader.read_rest(block))
        if self.reader.may_finish:
            self.close()

    def _note(self, event: T | None) -> None:
        if event is not None:
            self.ready.append((event, self.reader.position))
            self.failures = self.broken = self.orderly_ends = 0
        if self.reader.finished:
            self.close()

    def give(self) -> T | None:
        """The next event that was read; from then on another stream may begin behind it."""
        if not self.ready:
            return None
        event, self.position = self.ready.popleft()
        return event

    def drop_body(self) -> None:
        """Let go of the connection; there may be another."""
        body, self.body = self.body, None
        if body is not None:
            body.close()

    def close(self) -> None:
        """End it, in any thread: what was read can still be taken."""
        self.over = True
        self.drop_body()

    def most_failures(self, policy: RetryPolicy) -> int:
        """Tries without anything new after which it is given up; with one try for everything, one for this, too."""
        return max(policy.attempts, MOST_REOPENED) if self.opened_before and policy.attempts > 1 else policy.attempts


def next_event(feed: EventFeed[T]) -> Flow[T | None]:
    """The next event, None after the last. ApiError, SogniConnectionError, ProtocolError end the stream."""
    yield from advance(feed, None)
    return feed.give()


def advance(feed: EventFeed[T], deadline: float | None) -> Flow[bool]:
    """Read until there is an event to take or the stream is over; False when the deadline came first."""
    try:
        while not feed.ready and not feed.over:
            body = feed.body
            if body is None:
                more = yield from _open(feed, deadline)
            else:
                more = yield from _read(feed, body, deadline)
            if not more:
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
        piece = yield from read_piece(body, idle if left is None else min(idle, left))
    except SogniTimeoutError as error:
        if left is not None and left <= idle:
            return False
        yield from _broke(feed, error)
    except SogniConnectionError as error:
        yield from _broke(feed, error)
    else:
        if piece:
            feed.take(piece)
        elif not feed.over:
            yield from _ended(feed)
    return True


def _broke(feed: EventFeed[T], error: SogniError, *, orderly: bool = False) -> Flow[None]:
    """Count a connection that broke, and give up when it was one too many."""
    now = yield from clock()
    policy = yield from change(lambda state, _: state.settings.retry)
    if feed.body is not None:
        if now - feed.opened_at >= LASTING_SECONDS:
            feed.failures = feed.broken = 0
        feed.broken += not orderly
    feed.drop_body()
    feed.failures += 1
    # One that breaks as soon as it is open, again and again, will not do better.
    hopeless = feed.failures >= feed.most_failures(policy) or feed.broken > policy.attempts
    if hopeless and not feed.over:
        raise error


def _ended(feed: EventFeed[T]) -> Flow[None]:
    """A body that ended in order, although the last event was none: it is the end only when the record says so."""
    feed.take_rest()
    if feed.over:
        return
    feed.orderly_ends += 1
    if feed.orderly_ends % ENDS_BEFORE_ASKING == 0 and (yield from feed.ended()):
        feed.close()
        return
    error = SogniConnectionError(f"{feed.reader.what} ended again and again without anything new")
    yield from _broke(feed, error, orderly=True)


def _open(feed: EventFeed[T], deadline: float | None) -> Flow[bool]:
    """Open the stream where it broke off; False when the deadline comes first."""
    policy = yield from change(lambda state, _: state.settings.retry)
    wait, jitter = pause_before(policy, feed.failures) if feed.failures else 0.0, JITTER
    while True:
        if wait:
            left = yield from _left(deadline)
            if left is not None and left <= wait:
                yield from pause(left)
                return False
            yield from pause(wait, jitter)
        try:
            outcome = yield from _asked(feed, deadline)
        except (SogniConnectionError, SogniTimeoutError) as error:
            yield from _broke(feed, error)
            wait, jitter = pause_before(policy, feed.failures), JITTER
        else:
            if not isinstance(outcome, HttpReply):
                feed.opened(outcome, (yield from clock()))
                return True
            if outcome.status == NO_CONTENT:
                # What an event stream says that is not to be asked for again.
                feed.close()
                return True
            asked = _refused(feed, outcome, policy)
            wait, jitter = (pause_before(policy, feed.failures), JITTER) if asked is None else (asked, 0.0)
        if feed.over:
            return True


def _asked(feed: EventFeed[T], deadline: float | None) -> Flow[EventBody | HttpReply]:
    turn = yield from have_fresh()
    left = yield from _left(deadline)
    outcome = yield from open_events((yield from within(feed.reader.call(), left)))
    if not isinstance(outcome, HttpReply):
        return outcome
    return (yield from looked_at(outcome, turn, keeps_credentials=feed.reader.keeps_credentials))


def _refused(feed: EventFeed[T], reply: HttpReply, policy: RetryPolicy) -> float | None:
    """Count a refusal, and return the pause the service asks for. Raises one that will not pass."""
    feed.failures += 1
    asked = asked_to_wait(reply)
    longest = LONGEST_WAIT if feed.opened_before else policy.longest
    last = feed.failures >= feed.most_failures(policy) or (asked or 0) > longest
    if reply.status not in PASSING or last:
        raise error_of(feed.reader.call(), reply)
    return asked


# Waiting for durable work: decides when its record is looked at again.
#
# Called by the waits for runs and workflows. The events tell when there may be something new; the record is what
# counts, and is asked for now and then even if no event comes.


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
    record = yield from _requested(ask, timeout)
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
            record = yield from _requested(ask, None if deadline is None else deadline - now)
    finally:
        if feed is not None:
            feed.close()
    return record


def _requested(ask: Callable[[float | None], Flow[R]], left: float | None) -> Flow[R]:
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
