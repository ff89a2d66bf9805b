"""Work that a state change asks for in the background, as values.

Made by the state machines, turned into flows by `flows.background`, run by the shells. A chore
names ids, never objects, so that one that comes too late finds nothing and ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, NamedTuple

from sogni.models.projects import Event


class SignResults(NamedTuple):
    """Get the download URLs of a project's finished jobs (projects-4.2 §11.4)."""

    project_id: str


class SignPreview(NamedTuple):
    """Get the download URL of a preview."""

    project_id: str
    job_id: str


class SyncProject(NamedTuple):
    """Read what the service recorded about an ended project (projects-4.2 §14.3)."""

    project_id: str


class Reconcile(NamedTuple):
    """Compare tracked projects with a snapshot; None: ask for one (transport §13)."""

    snapshot: Any


class ApplyRecord(NamedTuple):
    """Bring a tracked project in line with its record (projects-5x §9.4)."""

    record: Any


class Recover(NamedTuple):
    """Track finished projects that an earlier process started (projects-5x §9.4)."""

    records: tuple[Any, ...]


class LookUp(NamedTuple):
    """Find out about projects that a snapshot does not mention (transport §13.2)."""

    project_ids: tuple[str, ...]
    turn: int
    """Which snapshot this is about; the lookups of an older one than the newest end."""
    not_before: float | None = None
    """For projects too new for the snapshot: when to begin, in seconds since 1970."""
    asked_at: float = 0.0
    """When the snapshot was taken; a project that was mentioned since needs no lookup."""


class Resend(NamedTuple):
    """Send the request of a project that was refused while the service restarted (transport §13.2)."""

    project_id: str


class CheckLiveness(NamedTuple):
    """Find out whether a silent project is still alive (projects-5x §11)."""

    project_id: str


class CheckOverrun(NamedTuple):
    """Find out whether a job that ran past its limit is still worked on (projects-5x §11)."""

    project_id: str
    job_id: str


class Poll(NamedTuple):
    """Ask after a project whose frames go to another app id."""

    project_id: str


class EndLostChats(NamedTuple):
    """End the completions that a drop has left without news for too long (chat §14.2)."""


class NameModels(NamedTuple):
    """Give the models of a `swarmModels` frame their names (projects-4.2 §17)."""

    workers: dict[str, int]
    turn: int
    """Which list this is; an older one than the newest known is not shown."""


class FetchAccount(NamedTuple):
    """Read who is signed in (transport §1)."""


class FetchSubscription(NamedTuple):
    """Read the subscription, because the service did not say it by itself (account §13.5)."""


class RefreshTokens(NamedTuple):
    """Exchange a refresh token for a new pair (transport §5.1)."""

    refresh: Any

    @property
    def urgent(self) -> bool:
        """Other background work waits for it."""
        return True


Chore = (
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


# Who wants to hear of what: decides which functions an event reaches.
#
# Called by the handles (`on`, `once`, `off`) and by the shells when an event is delivered. It never
# calls a listener and never fails because of one. Safe from any thread: every change is one step of a list.


Listener = Callable[..., Any]


class _Entry:
    """One registration; equal to itself only, so that removing it never removes another."""

    __slots__ = ("function", "once", "since")

    def __init__(self, function: Listener, once: bool, since: int) -> None:
        self.function: Listener = function
        self.once: bool = once
        self.since: int = since
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


# What a state change asks of the shell: decides the order of waking, telling and doing.
#
# State machines fill it; the shell empties it after each change, under the state lock, so that what
# happened first is told first. It performs nothing itself.


class Delivery(NamedTuple):
    """One event for the listeners of one emitter."""

    listeners: Listeners | LateListener
    event: str
    value: Any
    coalesce: Any
    """A key, when a newer delivery with the same key makes this one pointless (progress); else None."""
    number: int = 1
    """Its place in the order of all deliveries of a client, from 1."""


class Outbox:
    """Waiters to wake, events to deliver, work to begin; in the order it came up."""

    __slots__ = ("begun", "deliveries", "epoch", "told", "woken")

    def __init__(self) -> None:
        self.epoch: float = 0.0
        """Seconds since 1970 when the clock that changes are timed with stood at 0; the shells keep it up to date."""
        self.told: int = 0
        """The number of the last delivery."""
        self.woken: list[Hashable] = []
        self.deliveries: list[Delivery] = []
        self.begun: list[Chore] = []

    def wake(self, topic: Hashable) -> None:
        """Wake whoever waits for something about `topic`."""
        self.woken.append(topic)

    def tell(self, listeners: Listeners | LateListener, event: str, value: Any = None, coalesce: Any = None) -> None:
        """Deliver an event to whoever listens when its turn comes."""
        self.told += 1
        self.deliveries.append(Delivery(listeners, event, value, coalesce, self.told))

    def begin(self, chore: Chore) -> None:
        """Have work done in the background."""
        self.begun.append(chore)


class WaiterRegistry:
    """Who waits for which topic: decides whom a wake-up reaches. Guarded by the shell's state lock."""

    __slots__ = ("_by_topic",)

    def __init__(self) -> None:
        self._by_topic: dict[Hashable, dict[Any, None]] = {}

    def add(self, topic: Hashable, signal: Any) -> None:
        """Have `signal.set()` called whenever `topic` is woken."""
        self._by_topic.setdefault(topic, {})[signal] = None

    def remove(self, topic: Hashable, signal: Any) -> None:
        """Stop that."""
        signals = self._by_topic.get(topic, {})
        signals.pop(signal, None)
        if not signals:
            self._by_topic.pop(topic, None)

    def wake(self, topic: Hashable) -> None:
        """Set every signal of one topic. May be called without the lock: who comes while it runs asks anyway."""
        for signal in tuple(self._by_topic.get(topic, ())):
            signal.set()

    def wake_all(self) -> None:
        """Set every signal there is."""
        for signals in self._by_topic.values():
            for signal in signals:
                signal.set()


# Events of one project, kept for iteration: decides what a late subscriber still sees.
#
# Filled by the project machine, read by `Project.events()`. Of progress and `updated` next to each other
# at most one each stays, so the memory of a project does not grow with the number of its frames.


_MERGED = ("progress", "updated")


class Feed:
    """The events one subscriber has not read yet."""

    __slots__ = ("_events", "closed")

    def __init__(self, past: list[Event[Any]]) -> None:
        self._events: deque[Event[Any]] = deque(past)
        self.closed: bool = False

    def close(self) -> None:
        """Take nothing more; the project lets go of it in time.

        Without any lock: an iterator that is dropped may be closed by the garbage collector, in a thread that holds it.
        """
        self.closed = True

    def push(self, event: Event[Any]) -> None:
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

    def pop(self) -> Event[Any] | None:
        """The oldest unread event, None when there is none."""
        return self._events.popleft() if self._events else None


CONNECTION = "connection"

MODELS, NETWORK, SOCKET, CLOSED = "models", "network", "socket", "closed"
