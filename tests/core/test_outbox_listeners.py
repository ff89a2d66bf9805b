"""Whom an event reaches."""

from __future__ import annotations

import threading

import pytest

from sogni.core.outbox import Listeners, check_event


def first() -> None: ...


def second() -> None: ...


def test_listeners_are_called_in_the_order_of_registration() -> None:
    listeners = Listeners()
    listeners.add("a", first)
    listeners.add("a", second)
    listeners.add("b", first)
    assert [first, second] == listeners.take("a") == listeners.take("a")


def test_once_means_the_next_delivery_only() -> None:
    listeners = Listeners()
    listeners.add("a", first, once=True)
    listeners.add("a", second)
    assert [[first, second], [second]] == [listeners.take("a"), listeners.take("a")]


def test_a_function_registered_twice_is_called_twice_and_removed_one_by_one() -> None:
    listeners = Listeners()
    listeners.add("a", first)
    remove = listeners.add("a", first)
    assert [first, first] == listeners.take("a")
    listeners.remove("a", first)
    assert [first] == listeners.take("a")
    remove()
    assert listeners.take("a") == []


def test_a_remover_removes_its_own_registration() -> None:
    listeners = Listeners()
    remove = listeners.add("a", first, once=True)
    listeners.add("a", first)
    remove()
    remove()
    assert [[first], [first]] == [listeners.take("a"), listeners.take("a")]


@pytest.mark.parametrize("event", ["a", "never heard of"])
def test_removing_what_is_not_there_does_nothing(event: str) -> None:
    listeners = Listeners()
    listeners.add("a", first)
    listeners.remove(event, second)
    assert [first] == listeners.take("a")


def test_whether_anybody_listens() -> None:
    listeners = Listeners()
    assert not listeners.has("a")
    remove = listeners.add("a", first)
    assert listeners.has("a")
    remove()
    assert not listeners.has("a")
    assert listeners.take("a") == []


def test_no_registration_is_lost_between_threads() -> None:
    listeners = Listeners()

    def register() -> None:
        for _ in range(500):
            listeners.add("a", first)
            listeners.add("a", second, once=True)
            listeners.add("b", second)()

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += listeners.take("a").count(second)
    for thread in threads:
        thread.join()
    taken += listeners.take("a").count(second)
    assert (taken, len(listeners.take("a")), listeners.has("b")) == (2000, 2000, False)


def test_an_unknown_event_is_refused_with_the_known_ones() -> None:
    assert check_event("a", frozenset({"a", "b"}), "Project") == "a"
    with pytest.raises(ValueError, match=r"^Project has no event 'c'; it has a, b$"):
        check_event("c", frozenset({"b", "a"}), "Project")


def test_listeners_can_be_taken_over() -> None:
    listeners, before = Listeners(), Listeners()
    listeners.add("a", first)
    before.add("a", second, once=True)
    before.add("b", second)
    listeners.take_over(before)
    assert [listeners.take("a"), listeners.take("a"), listeners.take("b")] == [[first, second], [first], [second]]
