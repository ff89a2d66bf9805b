"""Flows run in tasks: errors go where they were asked for, a cancellation runs the flow's `finally`."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from sogni.core.flow import Change, Clock, Flow, Pause, Step, WriteFrame
from sogni.errors import SogniConnectionError
from sogni_async.transport.driver import MAX_CONCURRENT, drive, drive_together


async def answered(step: Step) -> Any:
    return step


async def for_ever(step: Step) -> Any:
    await asyncio.Event().wait()


async def test_a_flow_gets_the_outcome_of_each_step() -> None:
    def flow() -> Flow[list[Any]]:
        first = yield Clock()
        second = yield Pause(1)
        return [first, second]

    assert await drive(flow(), answered) == [Clock(), Pause(1)]


async def test_an_error_of_a_step_is_raised_where_the_flow_asked() -> None:
    async def failing(step: Step) -> Any:
        raise ConnectionError("gone")

    def flow() -> Flow[str]:
        try:
            yield Clock()
        except ConnectionError as error:
            return str(error)
        return ""

    assert await drive(flow(), failing) == "gone"


async def test_a_cancellation_leaves_at_once_and_runs_finally_but_no_except() -> None:
    seen: list[str] = []

    def flow() -> Flow[None]:
        try:
            yield Clock()
        except Exception:
            seen.append("except")
        finally:
            seen.append("finally")

    task = asyncio.create_task(drive(flow(), for_ever))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["finally"]


@pytest.mark.parametrize("broken", [False, True])
async def test_a_flow_may_answer_a_cancellation_with_one_frame(broken: bool) -> None:
    written: list[str] = []

    async def perform(step: Step) -> None:
        if not isinstance(step, WriteFrame):
            await for_ever(step)
        else:
            written.append(step.kind)
        if broken:
            raise SogniConnectionError("the connection was lost before the frame was sent")

    def flow() -> Flow[None]:
        try:
            yield Clock()
        except BaseException:
            yield WriteFrame("last", None)
            yield WriteFrame("never", None)

    task = asyncio.create_task(drive(flow(), perform))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert written == ["last"]


async def test_any_other_answer_to_a_cancellation_is_not_taken() -> None:
    def flow() -> Flow[None]:
        try:
            yield Clock()
        except BaseException:
            yield Clock()

    task = asyncio.create_task(drive(flow(), for_ever))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_flows_together_give_their_results_in_order_and_run_few_at_once() -> None:
    under_way, most = 0, 0

    async def busy(step: Step) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    def flow(number: int) -> Flow[int]:
        yield Clock()
        return number

    assert await drive_together([flow(n) for n in range(20)], busy) == list(range(20))
    assert most == MAX_CONCURRENT


async def test_the_first_error_of_flows_together_cancels_the_others() -> None:
    ended: list[str] = []

    async def perform(step: Step) -> Any:
        if isinstance(step, Pause):
            raise OSError("first")
        await asyncio.Event().wait()

    def waits() -> Flow[None]:
        try:
            yield Clock()
        finally:
            ended.append("waits")

    def fails() -> Flow[None]:
        yield Pause(0)

    with pytest.raises(OSError, match="first"):
        await drive_together([waits(), fails(), waits()], perform)
    assert ended == ["waits", "waits"]


async def test_cancelling_flows_together_cancels_each() -> None:
    ended: list[int] = []

    def flow(number: int) -> Flow[None]:
        try:
            yield Clock()
        finally:
            ended.append(number)

    task = asyncio.create_task(drive_together([flow(1), flow(2)], for_ever))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [1, 2]


async def test_nothing_together_is_nothing() -> None:
    assert await drive_together([], answered) == []


async def test_an_interrupted_flow_may_change_the_state_before_its_frame() -> None:
    taken: list[str] = []

    async def perform(step: Step) -> None:
        taken.append(type(step).__name__)
        if isinstance(step, Clock):
            raise asyncio.CancelledError

    def flow() -> Flow[None]:
        try:
            yield Clock()
        except BaseException:
            yield Change(lambda *_: None)
            yield WriteFrame("goodbye", {})
            raise

    with pytest.raises(asyncio.CancelledError):
        await drive(flow(), perform)
    assert taken == ["Clock", "Change", "WriteFrame"]


@pytest.mark.parametrize("inside", [False, True])
async def test_exhausted_resources_are_an_error_of_ours_in_a_step_and_between_two(inside: bool) -> None:
    async def perform(step: Step) -> None:
        if not inside:
            raise OSError(errno.EMFILE, "no")

    def flow() -> Flow[None]:
        yield Clock()
        raise OSError(errno.EMFILE, "no")

    with pytest.raises(SogniConnectionError, match="exhausted: Too many open files"):
        await drive(flow(), perform)
