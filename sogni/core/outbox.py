"""Work that a state change leaves to the front end: background tasks, deliveries and waiters to wake.

State machines fill the `Outbox` under the state lock; the front end empties it after each change, so that events are
delivered in the order they happened. Nothing here performs I/O or calls a listener. Background tasks refer to
objects by id, so one that runs too late finds nothing and ends.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sogni.models.projects import Event


class SignResults(NamedTuple):
    """Get the download URLs of a project's finished jobs."""

    project_id: str


class SignPreview(NamedTuple):
    """Get the download URL of a preview."""

    project_id: str
    job_id: str


class SyncProject(NamedTuple):
    """Read the service's record of an ended project."""

    project_id: str


class Reconcile(NamedTuple):
    """Compare tracked projects with a snapshot; None requests a new one."""

    snapshot: Any
    sync: Any
    """The `Synchronization` that this and the tasks that follow from it are part of."""


class ApplyRecord(NamedTuple):
    """Apply a project's record to the tracked project."""

    record: Any
    sync: Any


class Recover(NamedTuple):
    """Track finished projects that an earlier process started."""

    records: tuple[Any, ...]
    sync: Any


class LookUp(NamedTuple):
    """Look up projects that a snapshot does not mention."""

    project_ids: tuple[str, ...]
    sync: Any
    number: int
    """Number of the snapshot; lookups for an older snapshot end."""
    not_before: float | None = None
    """When to begin, in seconds since 1970, for projects newer than the snapshot."""
    requested_at: float = 0.0
    """When the snapshot was taken; a project with later events needs no lookup."""


class Resend(NamedTuple):
    """Resend the request of a project that was rejected while the service restarted."""

    project_id: str


class CheckLiveness(NamedTuple):
    """Check whether a silent project is still alive."""

    project_id: str


class CheckOverrun(NamedTuple):
    """Check whether a job that exceeded its time limit is still being processed."""

    project_id: str
    job_id: str


class Poll(NamedTuple):
    """Poll a project whose frames go to another app id, or may do so."""

    project_id: str


class EndLostChats(NamedTuple):
    """End the completions that have been without news since a lost connection for too long."""


class NameModels(NamedTuple):
    """Look up the names of the models in a `swarmModels` frame."""

    workers: dict[str, int]
    number: int
    """Number of the list; an older list than the newest is dropped."""


class FetchAccount(NamedTuple):
    """Fetch the current account."""


class FetchSubscription(NamedTuple):
    """Fetch the subscription, because the service did not send it."""


class RefreshTokens(NamedTuple):
    """Exchange a refresh token for a new pair."""

    refresh: Any

    @property
    def urgent(self) -> bool:
        """Whether other background tasks wait for this one."""
        return True


BackgroundTask = (
    SignResults
    | SignPreview
    | SyncProject
    | Reconcile
    | ApplyRecord
    | Recover
    | LookUp
    | Resend
    | CheckLiveness
    | CheckOverrun
    | Poll
    | EndLostChats
    | NameModels
    | FetchAccount
    | FetchSubscription
    | RefreshTokens
)


# Listeners
#
# Safe from any thread: every change is a single list operation.


Listener = Callable[..., Any]


class _Entry:
    """One registration, compared by identity, so that removing it never removes another."""

    __slots__ = ("function", "once", "since")

    def __init__(self, function: Listener, once: bool, since: int) -> None:
        self.function: Listener = function
        self.once: bool = once
        self.since: int = since
        """Number of the last delivery to skip; earlier events reach this listener separately."""


class Listeners:
    """The listeners of one emitter, by event."""

    __slots__ = ("_by_event",)

    def __init__(self) -> None:
        self._by_event: dict[str, list[_Entry]] = {}

    def add(self, event: str, function: Listener, *, once: bool = False) -> Callable[[], None]:
        """Register `function`; the returned function unregisters it."""
        return self.add_late(event, function, once=once, since=0)[0]

    def add_late(
        self, event: str, function: Listener, *, once: bool, since: int
    ) -> tuple[Callable[[], None], LateListener]:
        """Register `function` for deliveries after number `since`; also return a target that reaches it alone."""
        entry = _Entry(function, once, since)
        self._by_event.setdefault(event, []).append(entry)
        return lambda: self._remove(event, entry), LateListener(self, entry)

    def remove(self, event: str, function: Listener) -> None:
        """Unregister `function` (its first registration), if registered."""
        for entry in list(self._by_event.get(event, ())):
            if entry.function == function:
                self._remove(event, entry)
                return

    def take_over(self, before: Listeners) -> None:
        """Take over the registrations of another emitter."""
        for event, entries in list(before._by_event.items()):
            for entry in entries:
                entry.since = 0  # delivery numbers restart
            self._by_event.setdefault(event, []).extend(entries)

    def has(self, event: str) -> bool:
        """Whether `event` has a listener."""
        return bool(self._by_event.get(event))

    def has_either(self, event: str, other: str) -> bool:
        """Whether either of two events has a listener."""
        by_event = self._by_event
        return bool(by_event.get(event) or by_event.get(other))

    def take(self, event: str, number: int | None = None) -> list[Listener]:
        """Return the functions to call for one delivery, in order; one-time registrations are removed."""
        entries = [e for e in list(self._by_event.get(event, ())) if number is None or e.since < number]
        for entry in entries:
            if entry.once:
                self._remove(event, entry)
        return [entry.function for entry in entries]

    def _remove(self, event: str, entry: _Entry) -> None:
        # Another thread may have removed it already.
        with suppress(ValueError):
            self._by_event[event].remove(entry)


class LateListener:
    """One listener of an emitter, for events that happened before it was registered."""

    __slots__ = ("_entry", "_listeners")

    def __init__(self, listeners: Listeners, entry: _Entry) -> None:
        self._listeners = listeners
        self._entry = entry

    def take(self, event: str, number: int | None = None) -> list[Listener]:
        """Return its function, unless it has been removed."""
        if self._entry not in self._listeners._by_event.get(event, ()):
            return []
        if self._entry.once:
            self._listeners._remove(event, self._entry)
        return [self._entry.function]


def check_event(event: str, known: frozenset[str], owner: str) -> str:
    """Return the name of an event; raise ValueError listing the known ones if it is unknown."""
    if event not in known:
        raise ValueError(f"{owner} has no event {event!r}; it has {', '.join(sorted(known))}")
    return event


# The outbox

logger: logging.Logger = logging.getLogger("sogni")


class Delivery(NamedTuple):
    """One event for the listeners of one emitter."""

    listeners: Listeners | LateListener
    event: str
    value: Any
    coalesce: Any
    """Key by which a newer delivery replaces this one (progress); None if it must be delivered."""
    number: int = 1
    """Position among all deliveries of a client, from 1."""


class Outbox:
    """Waiters to wake, events to deliver and background tasks to start, in order."""

    __slots__ = ("calls", "deliveries", "epoch", "last_delivery", "tasks", "woken")

    def __init__(self) -> None:
        self.epoch: float = 0.0
        """Wall-clock time, in seconds since 1970, at 0 of the monotonic clock; kept current by the front end."""
        self.last_delivery: int = 0
        """Number of the last delivery."""
        self.woken: list[Hashable] = []
        self.deliveries: list[Delivery] = []
        self.tasks: list[BackgroundTask] = []
        self.calls: list[Callable[[], Any]] = []

    def wall(self, now: float) -> float:
        """Return the time of day at `now` of the monotonic clock, in seconds since 1970."""
        return now + self.epoch

    def wake(self, topic: Hashable) -> None:
        """Wake all waiters on `topic`."""
        self.woken.append(topic)

    def notify(self, listeners: Listeners | LateListener, event: str, value: Any = None, coalesce: Any = None) -> None:
        """Queue an event for its listeners."""
        self.last_delivery += 1
        self.deliveries.append(Delivery(listeners, event, value, coalesce, self.last_delivery))

    def logs(self, level: int) -> bool:
        """Whether `log` does anything at this level."""
        return logger.isEnabledFor(level)

    def log(self, level: int, message: str, *arguments: Any) -> None:
        """Queue a log record."""
        if self.logs(level):
            self.later(logger.log, level, message, *arguments)

    def later(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Queue a call until the lock is released: log handlers and processors of spans may do anything."""
        self.calls.append(partial(function, *arguments))

    def make_calls(self) -> None:
        """Make the queued calls; the caller holds no lock."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()

    def start(self, task: BackgroundTask) -> None:
        """Queue a background task."""
        self.tasks.append(task)


class WaiterRegistry:
    """Waiters by topic. Guarded by the state lock."""

    __slots__ = ("_by_topic",)

    def __init__(self) -> None:
        self._by_topic: dict[Hashable, dict[Any, None]] = {}

    def add(self, topic: Hashable, signal: Any) -> None:
        """Call `signal.set()` whenever `topic` is woken."""
        self._by_topic.setdefault(topic, {})[signal] = None

    def remove(self, topic: Hashable, signal: Any) -> None:
        """Undo `add`."""
        signals = self._by_topic.get(topic, {})
        signals.pop(signal, None)
        if not signals:
            self._by_topic.pop(topic, None)

    def wake(self, topic: Hashable) -> None:
        """Set every signal of a topic. Safe without the lock: a waiter added meanwhile checks the state itself."""
        for signal in tuple(self._by_topic.get(topic, ())):
            signal.set()

    def wake_all(self) -> None:
        """Set every signal."""
        for signals in self._by_topic.values():
            for signal in signals:
                signal.set()


# Replayable events of one project
#
# Of adjacent progress, `updated` and `queue_changed` events at most one each is kept, so that a project's memory does
# not grow with the number of its frames.


_MERGED = ("progress", "updated", "queue_changed")


class Feed:
    """The events that one subscriber has not read yet."""

    __slots__ = ("_events", "closed")

    def __init__(self, past: list[Event[Any]]) -> None:
        self._events: deque[Event[Any]] = deque(past)
        self.closed: bool = False

    def close(self) -> None:
        """Accept no more events; the project drops the feed later.

        Takes no lock: the garbage collector may close a dropped iterator in the thread that holds it.
        """
        self.closed = True

    def push(self, event: Event[Any]) -> None:
        """Add an event; progress and reasons for the wait replace adjacent ones, and adjacent updates are merged."""
        if self.closed:
            return
        events = self._events
        if event.name in _MERGED:
            # A run has at most one event of each kind, so the one to merge with is among the last three.
            for place in range(-1, -1 - min(len(events), len(_MERGED)), -1):
                before = events[place]
                if before.name == event.name:
                    if event.name == "updated":
                        event = event._replace(value=before.value | event.value)
                    del events[place]
                    break
                if before.name not in _MERGED:
                    break
        events.append(event)

    def pop(self) -> Event[Any] | None:
        """Return the oldest unread event, None if there is none."""
        return self._events.popleft() if self._events else None


CONNECTION_EVENTS = frozenset({"connected", "disconnected", "reconnecting", "connecting"})
CLIENT_EVENTS = CONNECTION_EVENTS | {"toast_message", "app_alert", "subscription_limit_notice"}

# Topics that waiters wait on, in addition to projects, chats and other objects

CONNECTION, MODELS, NETWORK, SOCKET, CLOSED = "connection", "models", "network", "socket", "closed"
