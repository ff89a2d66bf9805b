"""Ctrl-C does not interrupt a write in the middle, in the main thread or another."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

import sogni.transport.writer as writing
from sogni.transport.threads import DaemonThread
from sogni.transport.writer import Writer
from tests.transport.peers import SOON, Called


@pytest.fixture
def writer() -> Iterator[Writer]:
    found = Writer()
    yield found
    found.end()
    found.join(SOON)


def test_one_other_thread_makes_all_calls_of_the_main_thread(writer: Writer) -> None:
    made = {writer.uninterrupted(threading.current_thread) for _ in range(3)}
    assert len(made) == 1
    assert made.isdisjoint({threading.main_thread()})


def test_another_thread_makes_its_calls_itself(writer: Writer) -> None:
    threads: list[threading.Thread] = []
    Called(lambda: threads.extend([threading.current_thread(), writer.uninterrupted(threading.current_thread)])).ended()
    assert threads[0] is threads[1]


def test_an_error_is_raised_where_the_call_was_asked_for(writer: Writer) -> None:
    def fails() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        writer.uninterrupted(fails)
    assert writer.uninterrupted(lambda: "next") == "next"


def test_an_interruption_leaves_and_the_call_goes_on_to_its_end(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "GRACE_SECONDS", 0.0)
    left, ended = threading.Event(), threading.Event()

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        assert left.wait(SOON)
        ended.set()

    assert writer.idle
    with pytest.raises(KeyboardInterrupt):
        writer.uninterrupted(interrupted)
    assert not writer.idle
    left.set()
    assert ended.wait(SOON)
    writer.uninterrupted(int)
    assert writer.idle


def test_whoever_is_interrupted_leaves_after_a_call_that_is_about_to_end(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "GRACE_SECONDS", SOON)
    done: list[str] = []

    def call() -> None:
        signal.raise_signal(signal.SIGINT)
        # Lets the main thread be interrupted first, more often than not.
        signal_was_handled.wait(0.2)
        done.append("written")

    signal_was_handled = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def handler(*_: object) -> None:
        signal_was_handled.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            writer.uninterrupted(call)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["written"]


def test_what_is_sent_after_an_interruption_does_not_overtake(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "GRACE_SECONDS", 0.0)
    left, order = threading.Event(), []

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        assert left.wait(SOON)
        order.append("first")

    with pytest.raises(KeyboardInterrupt):
        writer.uninterrupted(interrupted)
    left.set()
    writer.uninterrupted(lambda: order.append("second"))
    assert order == ["first", "second"]


def test_calls_that_are_queued_are_made_before_the_end(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "GRACE_SECONDS", 0.0)
    left, order = threading.Event(), []

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        assert left.wait(SOON)
        order.append("first")

    with pytest.raises(KeyboardInterrupt):
        writer.uninterrupted(interrupted)
    writer.end()
    left.set()
    writer.join(SOON)
    assert order == ["first"]


def test_after_the_end_the_caller_makes_the_call_itself(writer: Writer) -> None:
    writer.uninterrupted(int)
    writer.end()
    assert writer.uninterrupted(threading.current_thread) is threading.main_thread()


def test_an_interpreter_that_starts_no_more_threads_calls_itself(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    assert writer.uninterrupted(threading.current_thread) is threading.main_thread()
    monkeypatch.undo()
    assert writer.uninterrupted(threading.current_thread) is not threading.main_thread()


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_start_sends_nothing_and_the_next_call_once(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, begun: bool, error: type[BaseException]
) -> None:
    """A signal handler may raise when the thread has begun already."""
    sent: list[str] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if begun:
            start(thread)
            while isinstance(thread, DaemonThread) and not thread.begun:
                time.sleep(0.001)
        raise error("raised by a signal handler")

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    if begun or error is KeyboardInterrupt:
        with pytest.raises(error, match="signal handler"):
            writer.uninterrupted(lambda: sent.append("first"))
        assert sent == []
    monkeypatch.undo()
    writer.uninterrupted(lambda: sent.append("frame"))
    assert sent == ["frame"]
