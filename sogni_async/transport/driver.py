"""Runs flows: performs each step and sends its result into the flow; also concurrent flows, and user code."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from sogni.core.failures import with_resources_named
from sogni.core.flow import Change, Flow, Step, UserCode, WriteFrame
from sogni.errors import SogniError, unchained
from sogni_async.transport.closing import quiet_when_dropped

R = TypeVar("R")
Perform = Callable[[Step], Awaitable[Any]]

MAX_CONCURRENT = 4
"""Maximum number of concurrent flows of one `Together`."""


async def drive(flow: Flow[R], perform: Perform) -> R:
    """Run a flow to its end and return its result.

    Errors of a step are thrown into the flow. Errors raised by the flow lose the context that contains sent data. A
    cancellation propagates at once; the flow's `finally` blocks run, and it may respond with state changes and one
    frame.
    """
    try:
        step = next(flow)
        while True:
            try:
                outcome = await perform(step)
            except Exception as error:
                step = flow.throw(with_resources_named(error))
            except BaseException as interruption:
                await _interrupt(flow, interruption, perform)
                raise
            else:
                step = flow.send(outcome)
    except StopIteration as end:
        result: R = end.value
        return result
    except SogniError as error:
        unchained(error)
        raise
    except Exception as error:
        named = with_resources_named(error)
        if named is error:
            raise
        raise named from error
    finally:
        flow.close()


async def _interrupt(flow: Flow[Any], interruption: BaseException, perform: Perform) -> None:
    """Throw an interruption into a flow, which may respond with state changes and one frame; nothing else is done."""
    try:
        step = flow.throw(interruption)
        while isinstance(step, Change):
            step = flow.send(await perform(step))
    except BaseException:
        return  # usually the interruption itself: the flow does not respond
    if isinstance(step, WriteFrame):
        with suppress(SogniError):
            await perform(step)


async def drive_together(flows: Sequence[Flow[Any]], perform: Perform) -> list[Any]:
    """Run flows concurrently and return their results in order.

    The first error cancels the others and is raised once they have ended; so does a cancellation.
    """
    slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def one(flow: Flow[Any]) -> Any:
        async with slots:
            return await drive(flow, perform)

    if not flows:
        return []
    tasks = [asyncio.create_task(one(flow)) for flow in flows]
    errors: list[BaseException] = []
    for task in tasks:
        task.add_done_callback(lambda done: _note_error(done, errors))
        quiet_when_dropped(task)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except GeneratorExit:
        raise  # the loop is closed, so nothing can be awaited
    except BaseException:
        await _end(tasks)
        raise
    await _end(tasks)
    if errors:
        raise errors[0]
    return [task.result() for task in tasks]


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _note_error(task: asyncio.Task[Any], errors: list[BaseException]) -> None:
    """Collect errors in the order in which they occurred, except cancellations."""
    if not task.cancelled() and (error := task.exception()) is not None:
        errors.append(error)


logger: logging.Logger = logging.getLogger("sogni")


def check_callbacks(**functions: object) -> None:
    """Accept ordinary and async functions; the blocking package rejects async ones."""


async def in_thread(function: Callable[[], R]) -> R:
    """Call a function that blocks without stopping the event loop."""
    return await asyncio.to_thread(function)


async def call_user_code(step: UserCode) -> Any:
    """Call a function of the user and return its result, awaited if necessary."""
    try:
        outcome = step.function(*step.arguments, **step.named)
        return await outcome if inspect.isawaitable(outcome) else outcome
    except Exception:
        logger.exception("%s raised an error", step.what)
        raise
