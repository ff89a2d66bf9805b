"""Flows run in the caller's thread: where an interruption may come, and what a flow may answer."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest

from sogni.core.flow import Change, Clock, Flow, NewId, Step, WriteFrame
from sogni.errors import SogniConnectionError
from sogni.transport.driver import drive, drive_together


class Interruptible:
    """A flow; Ctrl-C comes just before it is sent its first outcome."""

    def __init__(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self._interrupted = False

    def __next__(self) -> Step:
        return next(self._flow)

    def send(self, outcome: Any) -> Step:
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt
        return self._flow.send(outcome)

    def throw(self, error: BaseException) -> Step:
        return self._flow.throw(error)

    def close(self) -> None:
        self._flow.close()


@pytest.mark.parametrize("between", [False, True])
def test_a_flow_may_answer_an_interruption_with_one_frame_in_a_step_or_between_two(between: bool) -> None:
    written: list[str] = []

    def perform(step: Step) -> None:
        if isinstance(step, WriteFrame):
            written.append(step.kind)
        elif not between:
            raise KeyboardInterrupt

    def flow() -> Flow[None]:
        try:
            yield Clock()
        except BaseException:
            yield WriteFrame("goodbye", {})
            raise

    with pytest.raises(KeyboardInterrupt):
        drive(Interruptible(flow()) if between else flow(), perform)  # type: ignore[arg-type]
    assert written == ["goodbye"]


def test_an_interruption_inside_a_flow_has_its_say_there() -> None:
    written: list[str] = []

    def flow() -> Flow[None]:
        try:
            yield Clock()
            raise KeyboardInterrupt
        except BaseException:
            yield WriteFrame("goodbye", {})
            raise

    with pytest.raises(KeyboardInterrupt):
        drive(flow(), lambda step: written.append(type(step).__name__))
    assert written == ["Clock", "WriteFrame"]


def test_a_flow_that_has_nothing_to_say_ends_with_the_interruption() -> None:
    def perform(step: Step) -> None:
        raise KeyboardInterrupt

    def flow() -> Flow[None]:
        yield Clock()

    with pytest.raises(KeyboardInterrupt):
        drive(flow(), perform)


def test_an_interrupted_flow_may_change_the_state_before_its_frame() -> None:
    taken: list[str] = []

    def perform(step: Step) -> None:
        taken.append(type(step).__name__)
        if isinstance(step, Clock):
            raise KeyboardInterrupt

    def flow() -> Flow[None]:
        try:
            yield Clock()
        except BaseException:
            yield Change(lambda *_: None)
            yield WriteFrame("goodbye", {})
            raise

    with pytest.raises(KeyboardInterrupt):
        drive(flow(), perform)
    assert taken == ["Clock", "Change", "WriteFrame"]


def test_a_flow_stopped_by_the_failure_of_another_may_still_change_the_state() -> None:
    changed: list[str] = []
    failed = threading.Event()

    def perform(step: Step) -> None:
        if isinstance(step, Change):
            changed.append("changed")
        elif isinstance(step, NewId):
            failed.set()
            raise KeyError
        else:
            failed.wait(10)

    def failing() -> Flow[None]:
        yield NewId()

    def stopped() -> Flow[None]:
        try:
            while True:
                yield Clock()
        finally:
            ended.set()

    def other() -> Flow[None]:
        try:
            yield from stopped()
        except Exception:
            yield Change(lambda *_: None)
            raise

    ended = threading.Event()
    with pytest.raises(KeyError):
        drive_together([failing(), other()], perform)
    assert ended.wait(10)
    assert changed == ["changed"]


@pytest.mark.parametrize("inside", [False, True])
def test_exhausted_resources_are_an_error_of_ours_in_a_step_and_between_two(inside: bool) -> None:
    def perform(step: Step) -> None:
        if not inside:
            raise OSError(errno.EMFILE, "no")

    def flow() -> Flow[None]:
        yield Clock()
        raise OSError(errno.EMFILE, "no")

    with pytest.raises(SogniConnectionError, match="exhausted: Too many open files"):
        drive(flow(), perform)
