"""Deadlines, and signals that wake waiting threads and the reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sogni.transport.engine import Engine
    from sogni.transport.websocket import SerialSocket


class Deadline:
    """A time on the monotonic clock; `seconds` None means no deadline."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None if there is no deadline."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return self._at is not None and time.monotonic() >= self._at


TURN_SECONDS = 0.05
MAX_WAIT = 1e6
"""Maximum wait in seconds; longer ones overflow the timers of some systems."""


def wait_turn(signal: threading.Event, seconds: float | None) -> None:
    """Wait for a signal; in the main thread only briefly, so the caller must check again.

    An operating-system signal that arrives just before the lock blocks does not interrupt it, so Ctrl-C
    would be lost until the wait ends.
    """
    turn = TURN_SECONDS if threading.current_thread() is threading.main_thread() else MAX_WAIT
    signal.wait(turn if seconds is None else min(seconds, turn))


Lock = threading.Lock


class TopicSignal:
    """Wakes one waiter when any of several topics changes; they may belong to different clients."""

    def __init__(self) -> None:
        self._signal = threading.Event()
        self._watched: list[tuple[Engine, tuple[Hashable, ...]]] = []

    def watch(self, engine: Engine, *topics: Hashable) -> None:
        """Watch topics of a client."""
        with engine.lock:
            for topic in topics:
                engine.state.waiter_registry.add(topic, self._signal)
        self._watched.append((engine, topics))

    def release(self) -> None:
        """Stop watching all topics."""
        watched, self._watched = self._watched, []
        for engine, topics in watched:
            with engine.lock:
                for topic in topics:
                    engine.state.waiter_registry.remove(topic, self._signal)

    def clear(self) -> None:
        """Reset the signal. Call this before checking the state."""
        self._signal.clear()

    def sleep(self, seconds: float | None) -> None:
        """Sleep until something changes, for at most `seconds`."""
        wait_turn(self._signal, seconds)


class FutureSignal:
    """Wakes one waiter when any of several futures is done."""

    def __init__(self) -> None:
        self._signal = threading.Event()

    def watch(self, future: Future[Any]) -> None:
        """Watch a future until it is done."""
        future.add_done_callback(lambda _: self._signal.set())

    def clear(self) -> None:
        """Reset the signal. Call this before checking the futures."""
        self._signal.clear()

    def sleep(self, seconds: float | None) -> None:
        """Sleep until a future is done, for at most `seconds`."""
        wait_turn(self._signal, seconds)


CATCHING_UP_SECONDS = 1.0
"""Maximum wait for the reader in seconds."""


class ReaderWakeup:
    """Ends the reader's current wait, whatever it waits for."""

    def __init__(self) -> None:
        self.event: threading.Event = threading.Event()
        self.socket: SerialSocket | None = None
        self.behind: list[threading.Event] = []
        """Signals of the threads that wait until the reader has applied all received frames."""

    def set(self) -> None:
        """Make the reader check the state again. Never blocks."""
        self.event.set()
        socket = self.socket
        if socket is not None:
            socket.wake()

    def catch_up(self) -> None:
        """Wait until the reader has applied all received frames. Not called by the reader itself."""
        caught_up = threading.Event()
        self.behind.append(caught_up)
        # Checked afterwards, because a reader that drops its socket sets the signals registered by then.
        socket = self.socket
        if socket is None:
            self.caught_up([caught_up])
            return
        socket.wake()
        deadline = Deadline(CATCHING_UP_SECONDS)
        while not (caught_up.is_set() or deadline.over):
            wait_turn(caught_up, deadline.left())

    def caught_up(self, behind: list[threading.Event]) -> None:
        """Set signals of waiting threads."""
        for one in behind:
            with suppress(ValueError):
                self.behind.remove(one)
            one.set()
