"""A time limit for a whole flow: steps get what is left of it, and its own error names the limit that was given."""

from __future__ import annotations

from typing import Any

import pytest

import sogni.core.flow as steps
from sogni.core.flow import Flow, Pause, change, clock, http, open_events, pause, together, until
from sogni.core.http import get
from sogni.core.time_limit import limited
from sogni.errors import SogniConnectionError, SogniTimeoutError
from tests.core.play import STOP, TIMEOUT, Stage, bare


def waiting(timeout: float | None) -> Flow[Any]:
    return (yield from until((1,), lambda _: None, timeout=timeout, phase="run", waiting_for="news"))


def test_without_a_limit_a_flow_runs_as_it_is() -> None:
    stage = Stage()
    stage.fail(SogniTimeoutError, limited(waiting(9), None), ("until news (run, 9 s)", TIMEOUT))


@pytest.mark.parametrize(("own", "said"), [(None, "5 s"), (9, "5 s"), (2, "2 s")])
def test_a_wait_has_at_most_what_is_left(own: float | None, said: str) -> None:
    Stage().fail(SogniTimeoutError, limited(waiting(own), 5), (f"until news (run, {said})", TIMEOUT))


def test_a_request_has_at_most_what_is_left() -> None:
    def twice() -> Flow[None]:
        yield from http(get("/a"))
        yield from http(get("/b"))
        yield from open_events(get("/c"))

    stage = Stage()
    body = object()
    stage.play(
        limited(twice(), 5),
        ("GET rest/a", lambda stage: stage.passes(2) and bare(1)),
        ("GET rest/b", bare(1)),
        ("events /c", body),
    )
    assert [call.timeout for call in stage.calls[:2]] == [5, 3]


def test_without_time_no_request_is_sent() -> None:
    def twice() -> Flow[None]:
        yield from pause(9)
        yield from http(get("/a"))

    error = Stage().fail(SogniTimeoutError, limited(twice(), 5), ("pause 5", lambda stage: stage.passes(5) and None))
    assert (error.phase, error.timeout) == ("request", 5)


def test_the_error_names_the_limit_that_was_given() -> None:
    def later() -> Flow[Any]:
        yield from pause(3)
        return (yield from waiting(None))

    script = [
        ("pause 3", lambda stage: stage.passes(3) and None),
        ("until news (run, 2 s)", lambda stage: stage.passes(2) and TIMEOUT),
    ]
    error = Stage().fail(SogniTimeoutError, limited(later(), 5), *script)
    assert (type(error), error.phase, error.timeout) == (SogniTimeoutError, "run", 5)


def test_flows_side_by_side_share_the_limit() -> None:
    flow = limited(together([waiting(None)]), 5)
    next(flow)
    step = flow.send(Stage().state.settings.timeouts)
    while not isinstance(step, steps.Together):
        step = flow.send(100.0)
    [inner] = step.flows
    assert isinstance(next(inner), steps.Change)
    inner.close()
    flow.close()


def test_errors_and_interruptions_reach_the_flow() -> None:
    seen: list[str] = []

    def careful() -> Flow[str]:
        try:
            yield from http(get("/a"))
        except SogniConnectionError:
            seen.append("error")
        try:
            yield from pause(1)
        finally:
            seen.append("over")
        return "done"

    gone = ("GET rest/a", SogniConnectionError("gone"))
    assert Stage().play(limited(careful(), 5), gone, ("pause 1", None)) == "done"
    Stage().play(limited(careful(), 5), gone, ("pause 1", STOP))
    assert seen == ["error", "over"] * 2


def test_a_flow_that_is_dropped_is_closed() -> None:
    closed: list[bool] = []

    def flow() -> Flow[None]:
        try:
            yield Pause(1)
        finally:
            closed.append(True)

    limited_flow = limited(flow(), 5)
    next(limited_flow)
    limited_flow.send(Stage().state.settings.timeouts)
    limited_flow.send(100.0)
    limited_flow.close()
    assert closed == [True]


def test_other_steps_pass_as_they_are() -> None:
    def flow() -> Flow[tuple[str, float]]:
        app = yield from change(lambda state, _: state.app_id)
        return app, (yield from clock())

    assert Stage().play(limited(flow(), 5)) == ("app-1", 100.0)
