"""Background tasks: decides how the work that nobody waits for is done, and how much of it at once.

Filled by the engine with the chores of the outbox. A chore that pauses holds no place, and no chore keeps
the client: it asks for it anew at every step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sogni.errors import ClientClosedError, SogniError
from sogni.flows.steps import Flow, Http, Pause, Step, Together

from .closing import Endable, quiet_when_dropped
from .driving import Perform, drive, drive_together

logger = logging.getLogger("sogni")

MOST_AT_ONCE = 8
"""Requests under way for chores."""


class Chores:
    """Flows under way in the background.

    `performer` returns what performs a step, None when the client is gone.
    """

    def __init__(self, performer: Callable[[], Perform | None], jittered: Callable[[Pause], float]) -> None:
        self._performer = performer
        self._jittered = jittered
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._urgent: set[asyncio.Task[None]] = set()
        self._ended = False

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks under way."""
        return list(self._tasks)

    def begin(self, flow: Flow[None], loop: asyncio.AbstractEventLoop, *, urgent: bool = False) -> None:
        """Run a flow. An urgent one is not dropped half done: what the service has answered would be lost."""
        if self._ended:
            flow.close()
            return
        task = loop.create_task(Endable(lambda: self._run(flow, loop)), name="sogni-background")
        quiet_when_dropped(task)
        for tasks in (self._tasks, self._urgent) if urgent else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def end(self) -> None:
        """Drop all work that is not urgent. Never blocks, repeatable."""
        self._ended = True
        for task in self._tasks - self._urgent:
            task.cancel()

    async def join(self, timeout: float | None) -> None:
        """Wait for the tasks to end, then end them."""
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks), timeout=timeout)
            for task in late:
                task.cancel()

    async def _run(self, flow: Flow[None], loop: asyncio.AbstractEventLoop) -> None:
        try:
            await drive(flow, self._perform)
        except ClientClosedError:
            return
        except SogniError as error:
            logger.warning("background work failed: %s", error)
        except Exception:
            if not loop.is_closed():
                logger.exception("background work failed")

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            await asyncio.sleep(self._jittered(step))
            return None
        if isinstance(step, Together):
            return await drive_together(step.flows, self._perform)
        if not isinstance(step, Http):
            return await self._ask(step)
        async with self._places:
            return await self._ask(step)

    async def _ask(self, step: Step) -> Any:
        perform = self._performer()
        if perform is None:
            raise ClientClosedError("the client is gone")
        pending = perform(step)
        # What was begun goes on without the client, which may be dropped meanwhile.
        del perform
        return await pending
