"""Deadlines, and signals that wake waiting tasks and the reader. Nothing here cancels a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from sogni.core.outbox import WaiterRegistry

if TYPE_CHECKING:
    from sogni_async.transport.engine import Engine

T = TypeVar("T")


class Deadline:
    """A moment on the monotonic clock; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then, at least 0; None for ever."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return self._at is not None and time.monotonic() >= self._at


async def sleep_until_set(signal: asyncio.Event, seconds: float | None) -> None:
    """Sleep until a signal is set, for some seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await signal.wait()


Lock = asyncio.Lock


class TopicSignal:
    """Wakes one waiter when any of several topics changes, also when they belong to different clients."""

    def __init__(self) -> None:
        self._signal = asyncio.Event()
        self._watched: list[tuple[WaiterRegistry, tuple[Hashable, ...]]] = []

    def watch(self, engine: Engine, *topics: Hashable) -> None:
        """Be woken by these topics of a client from now on."""
        waiter_registry = engine.state.waiter_registry
        for topic in topics:
            waiter_registry.add(topic, self._signal)
        self._watched.append((waiter_registry, topics))

    def release(self) -> None:
        """Stop watching everything."""
        watched, self._watched = self._watched, []
        for waiter_registry, topics in watched:
            for topic in topics:
                waiter_registry.remove(topic, self._signal)

    def clear(self) -> None:
        """Forget what has changed so far. Call it before looking at what is watched."""
        self._signal.clear()

    async def sleep(self, seconds: float | None) -> None:
        """Sleep until something changes, for some seconds at most."""
        await sleep_until_set(self._signal, seconds)


_TURNS = 3
"""Of the loop, until a frame that lies in the system's buffer is applied: it is read, handed over, applied."""


async def let_catch_up() -> None:
    """Let the reader apply what the socket has received by now."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class ReaderWakeup:
    """Ends the reader's present wait, whatever it waits for. A signal of the state's wakers."""

    def __init__(self) -> None:
        self._limit: asyncio.Timeout | None = None
        self._woken = False

    def set(self) -> None:
        """Have the reader look at the state again. Never blocks."""
        self._woken = True
        limit, self._limit = self._limit, None
        if limit is not None:
            # RuntimeError: its time ran out in this very round of the loop, so it ends anyway.
            with suppress(RuntimeError):
                limit.reschedule(asyncio.get_running_loop().time())

    async def limit(self, work: Callable[[], Awaitable[T]], until: float | None) -> T | None:
        """Do some work until a moment of `time.monotonic`, or until woken; None when it was cut short."""
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
