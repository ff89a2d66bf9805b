"""Callbacks run in order, one at a time; plain or `async`, slow or failing, they stop nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from sogni.core.outbox import Delivery, Listeners
from sogni_async.transport.background import Dispatcher


@pytest.fixture
def listeners() -> Listeners:
    return Listeners()


def put(dispatcher: Dispatcher, listeners: Listeners, event: str, value: Any = None, coalesce: Any = None) -> None:
    dispatcher.put(Delivery(listeners, event, value, coalesce), asyncio.get_running_loop())


async def test_plain_and_async_callbacks_run_in_order_and_one_at_a_time(listeners: Listeners) -> None:
    seen: list[str] = []

    async def slow(value: str) -> None:
        seen.append(f"begin {value}")
        await asyncio.sleep(0.01)
        seen.append(f"end {value}")

    listeners.add("a", slow)
    listeners.add("a", seen.append)
    dispatcher = Dispatcher(lambda value: value)
    put(dispatcher, listeners, "a", "1")
    put(dispatcher, listeners, "a", "2")
    assert await dispatcher.join(None)
    assert seen == ["begin 1", "end 1", "1", "begin 2", "end 2", "2"]


async def test_a_failing_callback_is_logged_and_the_next_one_runs(
    listeners: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    async def raises(value: str) -> None:
        raise KeyError(value)

    def cancels(value: str) -> None:
        raise asyncio.CancelledError

    seen: list[str] = []
    for function in (raises, cancels, seen.append):
        listeners.add("a", function)
    dispatcher = Dispatcher(lambda value: value)
    with caplog.at_level(logging.ERROR, "sogni"):
        put(dispatcher, listeners, "a", "1")
        assert await dispatcher.join(None)
    assert seen == ["1"]
    assert [record.getMessage() for record in caplog.records] == [
        "a callback for 'a' failed",
        "a callback for 'a' was canceled",
    ]


async def test_newer_progress_takes_the_place_of_queued_progress(listeners: Listeners) -> None:
    seen: list[Any] = []
    listeners.add("progress", seen.append)
    listeners.add("completed", seen.append)
    dispatcher = Dispatcher(lambda value: value)
    for value in (1, 2, 3):
        put(dispatcher, listeners, "progress", value, coalesce="progress")
    put(dispatcher, listeners, "completed", "url")
    assert await dispatcher.join(None)
    put(dispatcher, listeners, "progress", 4, coalesce="progress")
    assert await dispatcher.join(None)
    assert seen == [3, "url", 4]


async def test_an_event_without_a_value_calls_without_arguments(listeners: Listeners) -> None:
    seen: list[tuple[Any, ...]] = []
    listeners.add("canceled", lambda *given: seen.append(given))
    dispatcher = Dispatcher(lambda value: value)
    put(dispatcher, listeners, "canceled")
    assert await dispatcher.join(None)
    assert seen == [()]


async def test_after_the_end_nothing_is_taken_but_the_queue_is_delivered(listeners: Listeners) -> None:
    seen: list[int] = []
    listeners.add("a", seen.append)
    dispatcher = Dispatcher(lambda value: value)
    put(dispatcher, listeners, "a", 1)
    dispatcher.end()
    put(dispatcher, listeners, "a", 2)
    assert await dispatcher.join(1)
    assert seen == [1]


async def test_joining_is_bounded(listeners: Listeners) -> None:
    release = asyncio.Event()
    listeners.add("a", lambda value: release.wait())
    dispatcher = Dispatcher(lambda value: value)
    put(dispatcher, listeners, "a")
    assert not await dispatcher.join(0.01)
    release.set()
    assert await dispatcher.join(None)
