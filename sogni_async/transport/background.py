"""Background tasks and the dispatcher of callbacks.

Background tasks are flows that no caller waits for; one that pauses counts toward no limit. None keeps the client
alive: it looks up the client at every step.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from sogni.core.flow import Flow, Http, Pause, Step, Together
from sogni.core.outbox import Delivery
from sogni.errors import ClientClosedError, SogniError
from sogni_async.transport.closing import Endable, quiet_when_dropped
from sogni_async.transport.driver import Perform, drive, drive_together

logger: logging.Logger = logging.getLogger("sogni")

MAX_REQUESTS = 8
"""Maximum number of concurrent requests of background tasks."""


class BackgroundTasks:
    """Flows that run in the background.

    `performer` returns the function that performs a step, None if the client no longer exists.
    """

    def __init__(self, performer: Callable[[], Perform | None], jittered: Callable[[Pause], float]) -> None:
        self._performer = performer
        self._jittered = jittered
        self._places = asyncio.Semaphore(MAX_REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._urgent: set[asyncio.Task[None]] = set()
        self._ended = False

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The unfinished tasks."""
        return list(self._tasks)

    def begin(self, flow: Flow[None], loop: asyncio.AbstractEventLoop, *, urgent: bool = False) -> None:
        """Run a flow. `end` does not cancel an urgent one, because the service's response would be lost."""
        if self._ended:
            flow.close()
            return
        task = loop.create_task(Endable(lambda: self._run(flow, loop)), name="sogni-background")
        quiet_when_dropped(task)
        for tasks in (self._tasks, self._urgent) if urgent else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def end(self) -> None:
        """Cancel all tasks that are not urgent. Never blocks, idempotent."""
        self._ended = True
        for task in self._tasks - self._urgent:
            task.cancel()

    async def join(self, timeout: float | None) -> None:
        """Wait for the tasks to end, then cancel the rest."""
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
            logger.warning("background task failed: %s", error)
        except Exception:
            if not loop.is_closed():
                logger.exception("background task failed")

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            await asyncio.sleep(self._jittered(step))
            return None
        if isinstance(step, Together):
            return await drive_together(step.flows, self._perform)
        if not isinstance(step, Http):
            return await self._perform_now(step)
        async with self._places:
            return await self._perform_now(step)

    async def _perform_now(self, step: Step) -> Any:
        perform = self._performer()
        if perform is None:
            raise ClientClosedError("the client is gone")
        pending = perform(step)
        # The step continues without the client, which may be collected meanwhile.
        del perform
        return await pending


# The dispatcher is filled when the outbox is emptied, so that callbacks run in the order of events, one at a time. A
# slow callback delays other callbacks, never a wait; one that fails is logged, and the next one runs.


Present = Callable[[Any], Any]
_NO_VALUE = frozenset({"canceled"})
"""Events without a value."""

_running: set[asyncio.Task[None]] = set()
"""The loop only has weak references to tasks, and callbacks continue after their client is collected."""


def forget_closed_loops() -> None:
    """Release callbacks that a closed loop will never finish."""
    for task in list(_running):
        if task.get_loop().is_closed():
            _running.discard(task)


class _Queue:
    """Pending deliveries; newer progress replaces older progress."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._newest: dict[Any, Delivery] = {}

    def put(self, delivery: Delivery) -> None:
        if delivery.coalesce is None:
            self._items.append(delivery)
            return
        key = (delivery.listeners, delivery.event)
        if key not in self._newest:
            self._items.append(key)
        self._newest[key] = delivery

    def take(self) -> Delivery | None:
        if not self._items:
            return None
        item = self._items.popleft()
        return item if isinstance(item, Delivery) else self._newest.pop(item)


class Dispatcher:
    """A queue of deliveries and the task that makes them, which exists while the queue is not empty."""

    def __init__(self, present: Present) -> None:
        """`present` returns the public object of a state; it must not keep the client alive."""
        self._present = present
        self._queue = _Queue()
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def put(self, delivery: Delivery, loop: asyncio.AbstractEventLoop) -> None:
        """Queue a delivery."""
        if self._ended:
            return
        self._queue.put(delivery)
        if self._task is None or self._task.done():
            self._task = loop.create_task(
                Endable(partial(_deliver_all, self._queue, self._present)), name="sogni-callbacks"
            )
            quiet_when_dropped(self._task)
            _running.add(self._task)
            self._task.add_done_callback(_running.discard)

    def end(self) -> None:
        """Accept no more deliveries; queued ones are still made. Idempotent."""
        self._ended = True

    async def join(self, timeout: float | None) -> bool:
        """Wait until all callbacks have run; True if they have. Returns at once within a callback."""
        task = self._task
        if task is None or task is asyncio.current_task():
            return True
        await asyncio.wait([task], timeout=timeout)
        return task.done()


async def _deliver_all(queue: _Queue, present: Present) -> None:
    """Make deliveries, in the task; it only refers to the queue, so that the client can be collected."""
    while (delivery := queue.take()) is not None:
        for function in delivery.listeners.take(delivery.event, delivery.number):
            arguments = () if delivery.event in _NO_VALUE else (present(delivery.value),)
            await _call(function, arguments, delivery.event)
            del arguments
        del delivery
        # Callbacks that never await must not delay other tasks.
        await asyncio.sleep(0)


async def _call(function: Callable[..., Any], arguments: tuple[Any, ...], event: str) -> None:
    try:
        outcome = function(*arguments)
        if inspect.isawaitable(outcome):
            await outcome
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        logger.exception("a callback for %r was canceled", event)
    except Exception:
        logger.exception("a callback for %r failed", event)
