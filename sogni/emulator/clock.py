"""The time of an emulator: the current time, how long work takes, and how fast time passes.

Everything that has a time follows it: timestamps, lifetimes of tokens and URLs, the duration of jobs and with it
estimates, remaining times, progress and the wait in the queue. Injected faults use real time, because they test the
time limits of clients.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from attrs import define, field

from sogni.emulator.declarations import FACTOR, SECONDS, check_value

Setting = Literal["realistic", "instant", "manual"]
Mode = Literal["steps", "realistic", "instant", "manual"]

STEP_TIME = 0.2
_EARLY = 1e-3
"""Work that would be due this much later is done, too: sums of times have rounding errors."""
_TURNS = 10
"""Iterations of the event loop after which everything that was due at a time has happened."""


@define(eq=False)
class _Sleeper:
    until: float
    woken: asyncio.Future[None]
    timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


@define(eq=False)
class Pace:
    """The time of a server. Belongs to its event loop, but may be called from any thread to get the time.

    Attributes:
        step_time: Seconds per step; None for the figures of the catalog.
        load_time: Seconds it takes to load a model or a LoRA, which is reported unless it is 0.
        rate: Seconds that pass per real second.
        loop: The event loop, while the server runs.
        running: Cleared to pause the workers.
    """

    step_time: float | None = STEP_TIME
    load_time: float = 0.0
    rate: float = 1.0
    loop: asyncio.AbstractEventLoop | None = None
    running: asyncio.Event = field(factory=asyncio.Event)
    _base: tuple[float, float, float] = field(init=False)
    """A time, the real time at which it was reached, and the rate since then, which is 0 while time is frozen."""
    _initial_rate: float = field(init=False)
    _sleepers: set[_Sleeper] = field(factory=set)
    _busy: int = 0
    _traveling: asyncio.Lock = field(factory=asyncio.Lock)

    def __attrs_post_init__(self) -> None:
        now = time.time()
        self._base, self._initial_rate = (now, now, self.rate), self.rate

    def __call__(self) -> float:
        """Return the time in epoch seconds."""
        moment, since, rate = self._base
        return moment + (time.time() - since) * rate

    # Durations

    def stage_seconds(self, seconds: float, stages: int) -> float:
        """Return the duration of each stage of a job that takes ``seconds`` with the service.

        Before the first stage, a job spends as much time on starting.
        """
        return seconds / (stages + 1) if self.step_time is None else self.step_time

    def job_seconds(self, seconds: float, stages: int) -> float:
        """Return the duration of a job that takes ``seconds`` with the service."""
        return self.stage_seconds(seconds, stages) * (stages + 1)

    # Passing of time

    async def sleep(self, seconds: float) -> None:
        """Wait until ``seconds`` have passed."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = _Sleeper(self() + seconds, asyncio.get_running_loop().create_future())
        self._sleepers.add(sleeper)
        self._set_timer(sleeper)
        try:
            await sleeper.woken
        finally:
            self._sleepers.discard(sleeper)
            if sleeper.timer is not None:
                sleeper.timer.cancel()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make `travel` wait for real work, such as that of a thread."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def travel(self, seconds: float = 0.0, *, until: float | None = None) -> None:
        """Let time pass at once: whatever is due in between happens in order, at its own time."""
        async with self._traveling:
            now, rate = self(), self._base[2]
            target = now + seconds if until is None else until
            if target < now:
                raise ValueError(f"time must not go back, to {target:.3f} from {now:.3f}")
            self._rebase(now, 0)
            try:
                # What happens now is due before the next sleeper.
                await self._settle()
                while (next_one := min(self._sleepers, key=lambda it: it.until, default=None)) is not None:
                    if next_one.until > target + _EARLY:
                        break
                    self._rebase(max(self(), min(next_one.until, target)), 0)
                    next_one.wake()
                    await self._settle()
                self._rebase(target, 0)
            finally:
                self._rebase(self(), rate)

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        while self._busy:
            await asyncio.sleep(0.001)

    @property
    def frozen(self) -> bool:
        return not self._base[2]

    def flow(self, rate: float) -> None:
        """Change the rate; 0 freezes time."""
        self.rate = rate or self.rate
        self._rebase(self(), rate)

    def restore(self) -> None:
        """Return to the real time and the initial rate."""
        self.rate = self._initial_rate or 1.0
        self._rebase(time.time(), self._initial_rate)

    def _rebase(self, moment: float, rate: float) -> None:
        changed = rate != self._base[2]
        self._base = moment, time.time(), rate
        if changed or rate:
            for sleeper in self._sleepers:
                self._set_timer(sleeper)

    def _set_timer(self, sleeper: _Sleeper) -> None:
        if sleeper.timer is not None:
            sleeper.timer.cancel()
        rate = self._base[2]
        loop = sleeper.woken.get_loop()
        sleeper.timer = loop.call_later(max(0.0, sleeper.until - self()) / rate, sleeper.wake) if rate else None


def make_pace(setting: Setting | float | None, step_time: float | None, load_time: float) -> Pace:
    """Return the time that the options of an emulator select, or raise ``ValueError``."""
    if setting is None:
        return Pace(STEP_TIME if step_time is None else step_time, load_time)
    if setting == "instant":
        if step_time:
            raise ValueError(f"step_time must be 0 or omitted with clock='instant', got {step_time}")
        return Pace(0.0, load_time)
    if setting in get_args(Setting):
        return Pace(step_time, load_time, 0.0 if setting == "manual" else 1.0)
    if isinstance(setting, bool | str) or not 0 < setting < math.inf:
        names = ", ".join(map(repr, get_args(Setting)))
        raise ValueError(f"clock must be {names} or a positive factor, got {setting!r}")
    return Pace(step_time, load_time, float(setting))


class Clock:
    """The time of an emulator: ``LocalSupernet.clock``. All methods may be called from any thread.

    Timestamps, lifetimes of tokens and URLs, and the duration of jobs follow it.

    Args:
        pace: The time that it controls.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def __repr__(self) -> str:
        moment = datetime.fromtimestamp(self.now()).astimezone()
        return f"Clock({moment.isoformat(timespec='seconds')}, mode={self.mode!r}, factor={self.factor:g})"

    def now(self) -> float:
        """Return the time of the emulator.

        Returns:
            Epoch seconds.

        Example:
            >>> supernet.clock.now() > 1_700_000_000
            True
        """
        return self._pace()

    @property
    def mode(self) -> Mode:
        """How long work takes and how time passes.

        "manual" while time is frozen, else "instant" if work takes no time, "realistic" if it takes as long as with
        the service, and "steps" if every step takes the same time, `step_time`.
        """
        if self._pace.frozen:
            return "manual"
        if self._pace.step_time is None:
            return "realistic"
        return "steps" if self._pace.step_time else "instant"

    @property
    def factor(self) -> float:
        """Seconds that pass per real second; 0 while time is frozen."""
        return 0.0 if self._pace.frozen else self._pace.rate

    def advance(self, seconds: float) -> None:
        """Let time pass at once, and return when everything that was due has happened, in order.

        Args:
            seconds: Seconds that pass.

        Raises:
            ValueError: `seconds` is negative, or not a number.

        Example:
            >>> before = supernet.clock.now()
            >>> supernet.clock.advance(3600)
            >>> supernet.clock.now() - before >= 3600
            True
        """
        self._run(self.advance_async(seconds))

    async def advance_async(self, seconds: float) -> None:
        """Do the same as `advance` in the event loop of the emulator, for code that runs there.

        Args:
            seconds: Seconds that pass.

        Raises:
            ValueError: `seconds` is negative, or not a number.
        """
        check_value("seconds", Annotated[float, SECONDS], seconds)
        await self._pace.travel(seconds)

    def set(self, moment: float | datetime) -> None:
        """Let time pass at once until a moment; see `advance`.

        Args:
            moment: Epoch seconds, or a datetime.

        Raises:
            ValueError: The moment is in the past of the emulator.

        Example:
            >>> supernet.clock.set(supernet.clock.now() + 60)
        """
        until = moment.timestamp() if isinstance(moment, datetime) else float(moment)
        self._run(self._pace.travel(until=until))

    def freeze(self) -> None:
        """Stop time: from now on, only `advance` and `set` let it pass.

        Example:
            >>> supernet.clock.freeze()
            >>> supernet.clock.mode
            'manual'
            >>> supernet.clock.resume()
        """
        self._run(self._flow(0.0))

    def resume(self, factor: float | None = None) -> None:
        """Let time pass again, or at another rate.

        Args:
            factor: Seconds that pass per real second; as before if None.

        Raises:
            ValueError: `factor` is not a positive number.

        Example:
            >>> supernet.clock.resume(factor=60)
            >>> supernet.clock.factor
            60.0
        """
        check_value("factor", Annotated[float, FACTOR] | None, factor)
        self._run(self._flow(float(factor or self._pace.rate or 1.0)))

    async def _flow(self, rate: float) -> None:
        self._pace.flow(rate)

    def _run(self, change: Coroutine[Any, Any, None]) -> None:
        loop = self._pace.loop
        if loop is None or loop.is_closed():
            asyncio.run(change)
        else:
            asyncio.run_coroutine_threadsafe(change, loop).result()
