"""A thread that the system cannot start once: an error or a delay, but never a client that is stuck."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni import SogniClient, SogniConnectionError
from sogni.core.flow import Clock, Flow
from sogni.emulator import LocalSupernet
from sogni.transport.driver import drive_together
from sogni.transport.threads import DaemonThread
from tests.transport.peers import SOON

CLIENT_THREADS = (
    "sogni-reader",
    "sogni-background",
    "sogni-callbacks",
    "sogni-sender",
    "sogni-transfer",
    "sogni-events",
)
start = threading.Thread.start


class Starts:
    """Counts the threads of clients by name; refuses to start those that `refused` chooses."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: Callable[[str, int], bool] = lambda name, number: False

    def refuse(self, name: str, *numbers: int) -> None:
        """Refuse the starts with these numbers, from 1, of threads with this name; all of them without numbers."""
        self.counts.clear()
        self.refused = lambda other, number: other == name and (number in numbers or not numbers)

    def start(self, thread: threading.Thread) -> None:
        if thread.name in CLIENT_THREADS:
            self.counts[thread.name] += 1
            if self.refused(thread.name, self.counts[thread.name]):
                raise RuntimeError("can't start new thread")
        start(thread)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    found = Starts()
    monkeypatch.setattr(threading.Thread, "start", lambda thread: found.start(thread))
    return found


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as started:
        yield started


def image(client: SogniClient, **fields: Any) -> Any:
    given = {"type": "image", "model_id": "flux1-schnell-fp8", "positive_prompt": "x", "width": 256, "height": 256}
    return client.projects.create(**{**given, **fields})


def test_a_client_whose_reader_could_not_be_started_connects_the_next_time(
    starts: Starts, supernet: LocalSupernet
) -> None:
    starts.refuse("sogni-reader", 1)
    with supernet.client() as client:
        with pytest.raises(SogniConnectionError, match="no more threads can be started"):
            client.connect(timeout=SOON)
        assert not client.is_connected
        client.connect(timeout=SOON)
        assert client.is_connected


def test_who_waits_for_a_reader_that_another_thread_could_not_start_is_told(
    starts: Starts, supernet: LocalSupernet
) -> None:
    with supernet.client() as client:
        began, waits, errors = threading.Event(), threading.Event(), []

        def refused(name: str, number: int) -> bool:
            # The other thread finds that somebody is connecting already, and waits.
            if name == "sogni-reader" and number == 1:
                began.set()
                assert waits.wait(SOON)
                return True
            return False

        starts.refused = refused

        def connect() -> None:
            try:
                client.connect(timeout=SOON)
            except SogniConnectionError as error:
                errors.append(error)

        first = threading.Thread(target=connect)
        first.start()
        assert began.wait(SOON)
        second = threading.Thread(target=connect)
        second.start()
        waits.set()
        first.join(SOON)
        second.join(SOON)
        assert 1 <= len(errors) <= 2
        client.connect(timeout=SOON)


@pytest.mark.parametrize("name", CLIENT_THREADS)
@pytest.mark.parametrize("number", [1, 2])
def test_one_start_that_fails_delays_or_raises_and_leaves_the_client_usable(
    starts: Starts, supernet: LocalSupernet, tmp_path: Path, name: str, number: int
) -> None:
    starts.refuse(name, number)
    with supernet.client() as client:
        completed = threading.Event()

        def use() -> None:
            project = image(client, number_of_media=2)
            project.on("completed", lambda _: completed.set())
            assert len(project.wait_for_completion(timeout=SOON)) == 2
            assert len(project.save(tmp_path, name="{job_id}")) == 2
            run = client.chat.runs.create(messages=[{"role": "user", "content": "Hello"}])
            assert client.chat.runs.wait(run.run_id, timeout=SOON).status == "completed"
            assert [event.type for event in client.chat.runs.stream_events(run.run_id)][-1] == "run_completed"

        try:
            use()
        except SogniConnectionError:
            use()
        assert completed.wait(SOON)


def test_callbacks_and_background_work_wait_for_the_first_thread_there_is(
    starts: Starts, supernet: LocalSupernet
) -> None:
    starts.refused = lambda name, number: name in ("sogni-background", "sogni-callbacks") and number <= 3
    with supernet.client() as client:
        heard: list[int] = []
        project = image(client)
        project.on("progress", heard.append)
        assert len(project.wait_for_completion(timeout=SOON)) == 1
    assert heard[-1:] == [100]
    assert starts.counts["sogni-background"] > 3


def test_flows_run_side_by_side_in_as_many_threads_as_there_are(starts: Starts) -> None:
    def flow(number: int) -> Flow[int]:
        yield Clock()
        return number

    for refused in ((), (1,), (2, 3)):
        starts.refuse("sogni-transfer", *refused)
        assert drive_together([flow(n) for n in range(6)], lambda _: None) == list(range(6))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_start_that_fails_is_called_off(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """A thread that is there all the same does nothing."""
    ran: list[str] = []
    begun: list[threading.Thread] = []

    def late(thread: threading.Thread) -> None:
        begun.append(thread)
        raise error

    monkeypatch.setattr(threading.Thread, "start", late)
    thread = DaemonThread(lambda: ran.append("ran"), name="late")
    with pytest.raises(error):
        thread.start()
    assert thread.called_off
    monkeypatch.undo()
    begun[0].run()
    assert ran == []


@pytest.mark.skipif(os.name != "posix", reason="a signal to oneself")
def test_an_interrupted_start_of_the_reader_leaves_a_client_that_connects(
    monkeypatch: pytest.MonkeyPatch, supernet: LocalSupernet
) -> None:
    def interrupted(thread: threading.Thread) -> None:
        if thread.name == "sogni-reader":
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)
        start(thread)

    with supernet.client() as client:
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.connect(timeout=SOON)
        client.connect(timeout=SOON)
