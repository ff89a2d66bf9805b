"""The outbox keeps the effects of a change in order; waiters are woken by topic."""

from __future__ import annotations

import logging
import threading

import pytest

from sogni.core.outbox import Delivery, FetchAccount, Listeners, Outbox, SignResults, WaiterRegistry


def test_everything_is_kept_in_order() -> None:
    out, listeners = Outbox(), Listeners()
    out.wake("a")
    out.wake("b")
    out.notify(listeners, "updated", {"x"})
    out.notify(listeners, "progress", 5, "job")
    out.start(SignResults("P"))
    out.start(FetchAccount())
    assert out.woken == ["a", "b"]
    expected = [Delivery(listeners, "updated", {"x"}, None, 1), Delivery(listeners, "progress", 5, "job", 2)]
    assert expected == out.deliveries
    assert [SignResults("P"), FetchAccount()] == out.tasks


def test_a_wake_up_reaches_all_who_wait_for_its_topic() -> None:
    waiter_registry = WaiterRegistry()
    mine, yours, other = threading.Event(), threading.Event(), threading.Event()
    waiter_registry.add("a", mine)
    waiter_registry.add("a", yours)
    waiter_registry.add("b", other)
    waiter_registry.wake("a")
    waiter_registry.wake("nobody waits for this")
    assert (mine.is_set(), yours.is_set(), other.is_set()) == (True, True, False)


def test_who_has_gone_is_not_woken() -> None:
    waiter_registry = WaiterRegistry()
    mine, yours = threading.Event(), threading.Event()
    waiter_registry.add("a", mine)
    waiter_registry.add("a", yours)
    waiter_registry.remove("a", mine)
    waiter_registry.wake("a")
    assert (mine.is_set(), yours.is_set()) == (False, True)


def test_going_twice_does_nothing() -> None:
    waiter_registry = WaiterRegistry()
    mine = threading.Event()
    waiter_registry.add("a", mine)
    waiter_registry.remove("a", mine)
    waiter_registry.remove("a", mine)
    waiter_registry.wake_all()
    assert not mine.is_set()


def test_all_can_be_woken_at_once() -> None:
    waiter_registry = WaiterRegistry()
    signals = [threading.Event() for _ in range(3)]
    for place, signal in enumerate(signals):
        waiter_registry.add(place % 2, signal)
    waiter_registry.wake_all()
    assert [signal.is_set() for signal in signals] == [True] * 3


def test_log_records_are_written_later_in_their_order(caplog: pytest.LogCaptureFixture) -> None:
    out = Outbox()
    caplog.set_level("INFO", logger="sogni")
    out.log(logging.DEBUG, "not wanted")
    out.log(logging.INFO, "first %s", 1)
    out.log(logging.WARNING, "second")
    assert caplog.messages == []
    out.make_calls()
    out.make_calls()
    assert caplog.messages == ["first 1", "second"]
