"""What a client holds of one loop: tasks, connections, its app id. Decides how it lets go of them.

Made by the engine, anew for each loop and in a forked child. Knows no flow and no state.
"""

from __future__ import annotations

import asyncio
import logging

from sogni.machine.app_slots import AppSlot

from .chores import Chores
from .closing import call_in_loop, end_task
from .dispatcher import Dispatcher, forget_closed_loops
from .http import Http
from .waiting import Deadline, Waker

logger = logging.getLogger("sogni")


class Holdings:
    """The belongings of one client in one loop; `loop` is None until something is awaited."""

    def __init__(self, chores: Chores, dispatcher: Dispatcher, http: Http) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.waker = Waker()
        self.chores = chores
        self.dispatcher = dispatcher
        self.http = http
        self.slot: AppSlot | None = None
        self.reader: asyncio.Task[None] | None = None

    @property
    def orphaned(self) -> bool:
        """Whether the loop is closed, so that nothing here can be used any more."""
        return self.loop is not None and self.loop.is_closed()

    def let_go(self) -> None:
        """End what is left of a client that was dropped, or whose loop was closed, without `close`.

        May be called in any thread, by the garbage collector. The loop may have no other round.
        """
        self._release_slot()
        if self.loop is None:
            return
        call_in_loop(self.loop, self._end_at_once)
        forget_closed_loops()

    def _end_at_once(self) -> None:
        if not self.orphaned:
            self._end_tasks()
        self.http.end()
        for task in (*(() if self.reader is None else (self.reader,)), *self.chores.tasks):
            end_task(task)

    def abandon_after_fork(self) -> None:
        """Let go of what belongs to the parent, without disturbing it."""
        self.http.abandon_after_fork()
        if self.slot is not None:
            self.slot.release_after_fork()
        _abandoned.append(self)

    async def close(self, deadline: Deadline) -> None:
        """End everything in order: the socket, background work, callbacks, connections; bounded in time."""
        try:
            self.http.end_streams()
            self._end_tasks()
            if self.reader is not None:
                await _ended(self.reader, deadline)
            await self.chores.join(deadline.left())
            self.dispatcher.end()
            if not await self.dispatcher.join(deadline.left()):
                logger.warning("a callback is still running; the client was closed without waiting for it")
            await self.http.close()
        finally:
            self._release_slot()

    def _end_tasks(self) -> None:
        self.chores.end()
        self.waker.set()

    def _release_slot(self) -> None:
        if self.slot is not None:
            self.slot.release()


_abandoned: list[Holdings] = []
"""Of the process this one was forked from; kept, because their finalizers would touch its loop."""


async def _ended(task: asyncio.Task[None], deadline: Deadline) -> None:
    """Wait for a task to end, then end it."""
    await asyncio.wait([task], timeout=deadline.left())
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
