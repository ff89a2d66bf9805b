"""A total time limit for a flow, in addition to the limits of its steps.

Used by calls with `timeout=` that take several steps: connecting, refreshing tokens, retries and the request itself.
User code and file access are not interrupted; the limit is checked after them.
"""

from __future__ import annotations

import math
from typing import TypeVar

from attrs import evolve

from sogni.core.flow import Clock, Flow, Http, OpenEvents, Pause, Step, Together, Until, change, clock
from sogni.core.http import limit_of, phase_of
from sogni.errors import Phase, SogniTimeoutError
from sogni.settings import Timeouts

R = TypeVar("R")

_EARLY = 0.01
"""How many seconds early a timer may fire."""


def limited(flow: Flow[R], timeout: float | None) -> Flow[R]:
    """Run a flow within `timeout` seconds in total; None means no limit. Raises `SogniTimeoutError`."""
    if timeout is None:
        return (yield from flow)
    timeouts = yield from change(lambda state, _: state.settings.timeouts)
    end = (yield from clock()) + timeout
    try:
        return (yield from _stepwise(flow, end, timeouts))
    except SogniTimeoutError as error:
        if (yield from clock()) < end - _EARLY:
            raise
        # The step was limited to the time left of this limit.
        late = SogniTimeoutError(error.message, phase=error.phase, timeout=timeout)
        raise late from error


def _stepwise(flow: Flow[R], end: float, timeouts: Timeouts) -> Flow[R]:
    try:
        step = next(flow)
        while True:
            try:
                outcome = yield (yield from _clipped(step, end, timeouts))
            except GeneratorExit:
                raise
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        flow.close()


def _clipped(step: Step, end: float, timeouts: Timeouts) -> Flow[Step]:
    """Return the step limited to the time left. Raises `SogniTimeoutError` if a request would have none."""
    if not isinstance(step, Http | OpenEvents | Pause | Together | Until):
        return step
    # Whole milliseconds, because messages show the value.
    left = math.ceil(max(0.0, end - (yield Clock())) * 1000) / 1000
    if isinstance(step, Until):
        return evolve(step, timeout=left if step.timeout is None else min(step.timeout, left))
    if isinstance(step, Pause):
        return evolve(step, seconds=min(step.seconds, left))
    if isinstance(step, Together):
        return evolve(step, flows=[limited(flow, left) for flow in step.flows])
    if not left:
        raise _no_time(phase_of(step.call))
    return evolve(step, call=evolve(step.call, timeout=min(left, limit_of(step.call, timeouts))))


def _no_time(phase: Phase) -> SogniTimeoutError:
    return SogniTimeoutError("no time was left for the next request", phase=phase)
