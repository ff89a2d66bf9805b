"""Work that nobody waits for: it pauses without a thread, fails without harm and ends with the client."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sogni.core.flow import Change, Flow, Step, change, pause
from sogni.errors import ClientClosedError, SogniConnectionError
from sogni.transport import background
from sogni.transport.background import BackgroundTasks
from tests.transport.peers import SOON


class Work:
    """Flows under way, their steps answered by a function, pauses as short as they say."""

    def __init__(self, perform: Callable[[Step], Any] | None) -> None:
        self.perform = perform
        self.tasks = BackgroundTasks(lambda: self.perform, lambda step: step.seconds)
        self.events = {name: threading.Event() for name in ("begun", "done", "closed")}

    def one(self, *, first: Flow[Any] | None = None, last: Flow[Any] | None = None) -> Flow[None]:
        """A flow that tells how far it came."""
        try:
            self.events["begun"].set()
            if first is not None:
                yield from first
            if last is not None:
                yield from last
            self.events["done"].set()
        finally:
            self.events["closed"].set()

    def happened(self, name: str) -> bool:
        return self.events[name].wait(SOON)


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work(lambda step: None)
    yield made
    made.tasks.end()
    assert made.tasks.join(SOON)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sogni-background"]


def nothing() -> Flow[Any]:
    return change(lambda state, now: None)


def test_work_is_done_in_the_background(work: Work) -> None:
    work.tasks.begin(work.one(first=nothing()))
    assert work.happened("done")


def test_any_number_of_pauses_holds_one_thread_at_most(work: Work) -> None:
    begun = [Work(None) for _ in range(30)]
    for one in begun:
        work.tasks.begin(one.one(first=pause(60)))
    assert all(one.happened("begun") for one in begun)
    work.tasks.begin(work.one(first=nothing()))
    assert work.happened("done")
    assert len(threads()) <= background.MAX_THREADS
    assert not any(one.events["closed"].is_set() for one in begun)


def test_paused_work_goes_on_in_the_order_it_is_due(work: Work) -> None:
    order: list[str] = []
    over = threading.Event()

    def one(name: str, seconds: float) -> Flow[None]:
        yield from pause(seconds)
        order.append(name)
        if len(order) == 3:
            over.set()

    for name, seconds in (("third", 0.12), ("first", 0.04), ("second", 0.08)):
        work.tasks.begin(one(name, seconds))
    assert over.wait(SOON)
    assert order == ["first", "second", "third"]


def test_threads_end_when_there_is_no_work(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "IDLE_SECONDS", 0.01)
    work.tasks.begin(work.one(first=pause(0.05)))
    assert work.happened("done")
    assert work.tasks.join(SOON)
    assert threads() == []
    work.events["done"].clear()
    work.tasks.begin(work.one(first=nothing()))
    assert work.happened("done")


def test_a_free_thread_takes_the_next_work(work: Work) -> None:
    used: set[int] = set()
    for _ in range(3):
        work.events["done"].clear()
        work.tasks.begin(work.one(first=nothing()))
        assert work.happened("done")
        used.update(thread.ident or 0 for thread in threads())
    assert len(used) <= 3


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (SogniConnectionError("gone"), [("WARNING", "background task failed: gone")]),
        (KeyError("odd"), [("ERROR", "background task failed")]),
        (ClientClosedError("closed"), []),
    ],
)
def test_what_fails_is_logged_and_the_next_work_is_done(
    work: Work, error: Exception, logged: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    failing = Work(None)

    def fails(step: Step) -> Any:
        work.perform = lambda step: None
        raise error

    work.perform = fails
    with caplog.at_level(logging.WARNING, "sogni"):
        work.tasks.begin(failing.one(first=nothing()))
        assert failing.happened("closed")
        work.tasks.begin(work.one(first=nothing()))
        assert work.happened("done")
        work.tasks.end()
        assert work.tasks.join(SOON)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == logged


def test_a_flow_may_handle_the_failure_of_its_step(work: Work) -> None:
    def fails(step: Step) -> Any:
        raise SogniConnectionError("gone")

    def handles() -> Flow[None]:
        with pytest.raises(SogniConnectionError):
            yield from nothing()

    work.perform = fails
    work.tasks.begin(work.one(first=handles()))
    assert work.happened("done")


def test_the_end_drops_what_has_not_begun_and_what_is_paused(work: Work) -> None:
    work.tasks.begin(work.one(first=pause(60)))
    assert work.happened("begun")
    work.tasks.end()
    assert work.happened("closed")
    assert work.tasks.join(SOON)
    late = Work(None)
    work.tasks.begin(late.one())
    assert not late.events["begun"].is_set()
    assert not work.events["done"].is_set()


def test_work_that_would_pause_after_the_end_is_dropped(work: Work) -> None:
    reached, ended = threading.Event(), threading.Event()

    def waits(step: Step) -> None:
        reached.set()
        assert ended.wait(SOON)

    work.perform = waits
    work.tasks.begin(work.one(first=nothing(), last=pause(60)))
    assert reached.wait(SOON)
    assert not work.tasks.join(0.01)
    work.tasks.end()
    ended.set()
    assert work.happened("closed")
    assert not work.events["done"].is_set()


def test_work_of_a_client_that_is_gone_is_dropped(work: Work) -> None:
    work.perform = None
    work.tasks.begin(work.one(first=nothing()))
    assert work.happened("closed")
    assert not work.events["done"].is_set()


def test_more_work_than_threads_is_done_in_turn(work: Work) -> None:
    release = threading.Event()
    most: list[int] = []

    def waits(step: Step) -> None:
        most.append(len(threads()))
        assert release.wait(SOON)

    work.perform = waits
    all_of_it = [Work(None) for _ in range(background.MAX_THREADS + 3)]
    for one in all_of_it:
        work.tasks.begin(one.one(first=nothing()))
    release.set()
    assert all(one.happened("done") for one in all_of_it)
    assert max(most) <= background.MAX_THREADS
    gc.collect()


def test_paused_work_goes_on_while_other_work_takes_its_time(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is at work cannot look at the clock, and threads without work end."""
    monkeypatch.setattr(background, "IDLE_SECONDS", 0.02)
    free, begun = threading.Event(), threading.Event()

    def perform(step: Step) -> None:
        if isinstance(step, Change):
            begun.set()
            free.wait(SOON)

    work.perform = perform
    slow = Work(None)
    work.tasks.begin(slow.one(first=pause(0.05), last=nothing()))
    work.tasks.begin(work.one(first=pause(0.3)))
    assert begun.wait(SOON)
    assert work.happened("done")
    assert not slow.events["done"].is_set()
    free.set()
    assert slow.happened("done")


def test_what_is_urgent_is_waited_for_and_nothing_else(work: Work) -> None:
    free, begun = threading.Event(), threading.Semaphore(0)

    def perform(step: Step) -> None:
        begun.release()
        free.wait(SOON)

    work.perform = perform
    assert work.tasks.join_urgent(0)
    work.tasks.begin(work.one(first=nothing()))
    assert work.tasks.join_urgent(0)
    urgent, dropped = Work(None), Work(None)
    work.tasks.begin(urgent.one(first=nothing()), urgent=True)
    for _ in range(2):
        assert begun.acquire(timeout=SOON)
    work.tasks.begin(dropped.one(first=pause(60)), urgent=True)
    assert dropped.happened("begun")
    work.tasks.end()
    assert dropped.happened("closed")
    assert not work.tasks.join_urgent(0.01)
    free.set()
    assert work.tasks.join_urgent(SOON)
    assert urgent.happened("done")
