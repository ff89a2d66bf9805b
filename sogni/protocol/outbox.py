"""What a state change asks of the shell: decides the order of waking, telling and doing.

State machines fill it; the shell empties it after each change, under the state lock, so that what
happened first is told first. It performs nothing itself.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from .chores import Chore
from .listeners import LateListener, Listeners


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
        self.epoch = 0.0
        """Seconds since 1970 when the clock that changes are timed with stood at 0; the shells keep it up to date."""
        self.told = 0
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


class Wakers:
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
