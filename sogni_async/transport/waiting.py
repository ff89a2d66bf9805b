"""Deadlines, and signals that wake waiting tasks and the reader. Nothing here cancels a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sogni.core.outbox import WaiterRegistry

if TYPE_CHECKING:
    from sogni_async.transport.engine import Engine

T = TypeVar("T")


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


async def sleep_until_set(signal: asyncio.Event, seconds: float | None) -> None:
    """Sleep until a signal is set, for at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await signal.wait()


Lock = asyncio.Lock


class TopicSignal:
    """Wakes one waiter when any of several topics changes; they may belong to different clients."""

    def __init__(self) -> None:
        self._signal = asyncio.Event()
        self._watched: list[tuple[WaiterRegistry, tuple[Hashable, ...]]] = []

    def watch(self, engine: Engine, *topics: Hashable) -> None:
        """Watch topics of a client."""
        waiter_registry = engine.state.waiter_registry
        for topic in topics:
            waiter_registry.add(topic, self._signal)
        self._watched.append((waiter_registry, topics))

    def release(self) -> None:
        """Stop watching all topics."""
        watched, self._watched = self._watched, []
        for waiter_registry, topics in watched:
            for topic in topics:
                waiter_registry.remove(topic, self._signal)

    def clear(self) -> None:
        """Reset the signal. Call this before checking the state."""
        self._signal.clear()

    async def sleep(self, seconds: float | None) -> None:
        """Sleep until something changes, for at most `seconds`."""
        await sleep_until_set(self._signal, seconds)


class FutureSignal:
    """Wakes one waiter when any of several futures of threads or processes is done."""

    def __init__(self) -> None:
        self._signal = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def watch(self, future: Future[Any]) -> None:
        """Watch a future until it is done."""
        future.add_done_callback(self._done)

    def _done(self, future: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._signal.set)

    def clear(self) -> None:
        """Reset the signal. Call this before checking the futures."""
        self._signal.clear()

    async def sleep(self, seconds: float | None) -> None:
        """Sleep until a future is done, for at most `seconds`."""
        await sleep_until_set(self._signal, seconds)


_TURNS = 3
"""Iterations of the loop until a frame in the system's buffer is applied: it is read, passed on, applied."""


async def let_catch_up() -> None:
    """Let the reader apply all received frames."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class ReaderWakeup:
    """Ends the reader's current wait, whatever it waits for."""

    def __init__(self) -> None:
        self._limit: asyncio.Timeout | None = None
        self._woken = False

    def set(self) -> None:
        """Make the reader check the state again. Never blocks."""
        self._woken = True
        limit, self._limit = self._limit, None
        if limit is not None:
            # RuntimeError: it times out in this iteration of the loop, so it ends anyway.
            with suppress(RuntimeError):
                limit.reschedule(asyncio.get_running_loop().time())

    async def limit(self, work: Callable[[], Awaitable[T]], until: float | None) -> T | None:
        """Await `work` until a time of `time.monotonic`, or until woken; None if it was interrupted."""
        if self._woken:
            self._woken = False
            return None
        limit = asyncio.timeout(None if until is None else max(0.0, until - time.monotonic()))
        try:
            async with limit:
                self._limit = limit
                return await work()
        except TimeoutError:
            if not limit.expired():
                raise
            return None
        finally:
            self._limit = None
            self._woken = False
