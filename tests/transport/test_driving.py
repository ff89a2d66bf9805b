"""Flows run in the caller's thread: where an interruption may come, and what a flow may answer."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.flows.steps import Clock, Flow, Step, WriteFrame
from sogni.transport.driving import drive


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
