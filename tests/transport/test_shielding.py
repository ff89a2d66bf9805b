"""What Ctrl-C must not cut in two, in the main thread and in others."""

from __future__ import annotations

import signal
import threading

import pytest

import sogni.transport.waiting as shielding
from sogni.transport.waiting import uninterrupted
from tests.transport.peers import SOON, Called


def test_the_main_thread_has_another_make_the_call() -> None:
    assert uninterrupted(threading.current_thread) is not threading.main_thread()


def test_another_thread_makes_it_itself() -> None:
    threads: list[threading.Thread] = []
    Called(lambda: threads.extend([threading.current_thread(), uninterrupted(threading.current_thread)])).ended()
    assert threads[0] is threads[1]


def test_an_error_is_raised_where_the_call_was_asked_for() -> None:
    def fails() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        uninterrupted(fails)


def test_an_interruption_leaves_and_the_call_goes_on_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shielding, "GRACE_SECONDS", 0.0)
    left, ended = threading.Event(), threading.Event()

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        assert left.wait(SOON)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        uninterrupted(interrupted)
    left.set()
    assert ended.wait(SOON)


def test_whoever_is_interrupted_leaves_after_a_call_that_is_about_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shielding, "GRACE_SECONDS", SOON)
    done: list[str] = []
    interrupted = threading.Event()

    def noted(event: threading.Event, seconds: float | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    def call() -> None:
        assert interrupted.wait(SOON)
        done.append("written")

    monkeypatch.setattr(shielding, "wait_turn", noted)
    with pytest.raises(KeyboardInterrupt):
        uninterrupted(call)
    assert done == ["written"]


def test_an_interpreter_that_starts_no_more_threads_calls_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    assert uninterrupted(threading.current_thread) is threading.main_thread()
