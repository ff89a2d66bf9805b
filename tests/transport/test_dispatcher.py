"""Callbacks run in order, one at a time; slow or failing, they stop nothing and keep nothing."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from sogni.core.outbox import Delivery, Listeners
from sogni.transport.background import Dispatcher
from tests.transport.peers import SOON


@pytest.fixture
def listeners() -> Listeners:
    return Listeners()


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher(lambda value: value)
    yield made
    made.end()
    assert made.join(SOON)


def put(dispatcher: Dispatcher, listeners: Listeners, event: str, value: Any = None, coalesce: Any = None) -> None:
    dispatcher.put(Delivery(listeners, event, value, coalesce))


def deliver_all(dispatcher: Dispatcher) -> None:
    dispatcher.end()
    assert dispatcher.join(SOON)


def test_callbacks_run_in_order_in_one_thread_of_their_own(dispatcher: Dispatcher, listeners: Listeners) -> None:
    seen: list[Any] = []
    listeners.add("a", seen.append)
    listeners.add("b", lambda value: seen.append((value, threading.current_thread().name)))
    for event, value in (("a", 1), ("b", 2), ("a", 3)):
        put(dispatcher, listeners, event, value)
    deliver_all(dispatcher)
    assert seen == [1, (2, "sogni-callbacks"), 3]


def test_a_failing_callback_is_logged_and_the_next_one_runs(
    dispatcher: Dispatcher, listeners: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def raises(value: int) -> None:
        raise KeyError(value)

    for function in (raises, sys.exit, seen.append):
        listeners.add("a", function)
    with caplog.at_level(logging.ERROR, "sogni"):
        put(dispatcher, listeners, "a", 1)
        put(dispatcher, listeners, "a", 2)
        deliver_all(dispatcher)
    assert (seen, [record.getMessage() for record in caplog.records]) == ([1, 2], ["a callback for 'a' failed"] * 4)


def test_newer_progress_takes_the_place_of_queued_progress(dispatcher: Dispatcher, listeners: Listeners) -> None:
    seen: list[Any] = []
    busy, release = threading.Event(), threading.Event()

    def waits(_: Any) -> None:
        busy.set()
        assert release.wait(SOON)

    listeners.add("first", waits)
    listeners.add("progress", seen.append)
    listeners.add("completed", seen.append)
    put(dispatcher, listeners, "first")
    assert busy.wait(SOON)
    for value in (1, 2, 3):
        put(dispatcher, listeners, "progress", value, coalesce="progress")
    put(dispatcher, listeners, "completed", "url")
    release.set()
    deliver_all(dispatcher)
    assert seen == [3, "url"]


def test_an_event_without_a_value_calls_without_arguments(dispatcher: Dispatcher, listeners: Listeners) -> None:
    seen: list[tuple[Any, ...]] = []
    listeners.add("canceled", lambda *given: seen.append(given))
    put(dispatcher, listeners, "canceled")
    deliver_all(dispatcher)
    assert seen == [()]


def test_after_the_end_nothing_is_taken_but_the_queue_is_delivered(
    dispatcher: Dispatcher, listeners: Listeners
) -> None:
    seen: list[int] = []
    listeners.add("a", seen.append)
    put(dispatcher, listeners, "a", 1)
    dispatcher.end()
    put(dispatcher, listeners, "a", 2)
    deliver_all(dispatcher)
    assert seen == [1]


def test_a_callback_may_join_without_waiting_for_itself(dispatcher: Dispatcher, listeners: Listeners) -> None:
    seen: list[bool] = []
    listeners.add("a", lambda _: seen.append(dispatcher.join(SOON)))
    put(dispatcher, listeners, "a")
    deliver_all(dispatcher)
    assert seen == [True]


def test_joining_is_bounded(dispatcher: Dispatcher, listeners: Listeners) -> None:
    release = threading.Event()
    listeners.add("a", lambda _: release.wait(SOON))
    put(dispatcher, listeners, "a")
    assert not dispatcher.join(0.01)
    release.set()


def test_between_callbacks_the_thread_keeps_neither_function_nor_value(
    dispatcher: Dispatcher, listeners: Listeners
) -> None:
    class Held:
        def hears(self, value: Any) -> None:
            pass

    called = threading.Event()
    owner, value = Held(), Held()
    references = [weakref.ref(owner), weakref.ref(value)]
    listeners.add("a", owner.hears, once=True)
    listeners.add("b", lambda _: called.set())
    put(dispatcher, listeners, "b")
    assert called.wait(SOON)
    # The last one: nothing that comes after it makes the thread let go.
    gone = threading.Event()
    weakref.finalize(owner, gone.set)
    put(dispatcher, listeners, "a", value)
    del owner, value
    assert gone.wait(SOON)
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_an_async_callback_is_an_error(
    dispatcher: Dispatcher, listeners: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    async def report(value: object) -> None:
        """Would never run."""

    listeners.add("a", report)
    put(dispatcher, listeners, "a", 1)
    deliver_all(dispatcher)
    assert "the callback is an async function; use sogni_async" in caplog.text
