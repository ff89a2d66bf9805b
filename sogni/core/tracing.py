"""Reports to an observer, which creates spans and metrics.

`sogni.telemetry` sets `observer`; without one, nothing is reported. The core does not know OpenTelemetry. A trace ends
after the release of the state lock, because span processors may run arbitrary code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from functools import partial
from typing import Any, Protocol, TypeVar

from attrs import evolve

from sogni.core.flow import CALLING, Flow, Step, adapted
from sogni.core.http import HttpCall
from sogni.settings import Settings

R = TypeVar("R")


class Trace(Protocol):
    """One operation: a project, a chat or a tool. It ends once; what is reported later is ignored."""

    context: Any
    """The context of the requests that the operation makes."""

    def end(self, outcome: Any, at: float | None = None) -> None:
        """End with an outcome, now or at a time of day in seconds since 1970."""

    def failed(self, error: BaseException) -> None:
        """End with an error."""


class Exchange(Protocol):
    """One request to the service or its storage."""

    call: HttpCall
    """The call to send."""

    def answered(self, outcome: Any) -> Any:
        """Report and return the outcome of the step."""


class Observer(Protocol):
    """Receives what happens."""

    def project(self, params: Any) -> Trace:
        """Begin a project."""

    def chat(self, model: str, messages: Sequence[Any], options: Mapping[str, Any]) -> Trace:
        """Begin a chat completion."""

    def tool(self, name: str) -> Trace:
        """Begin a hosted tool."""

    def exchange(self, step: Any, call: HttpCall, settings: Settings) -> AbstractContextManager[Exchange]:
        """Observe one request, in the thread or task that sends it."""

    def responded(self, url: str, status: int) -> None:
        """Report the head of a response to the request that this thread or task sends."""

    def current(self) -> Any:
        """Return the context of the calling thread or task."""

    def detached(self) -> Context:
        """Return the variables of the calling task, without its context: for a task that outlives its caller."""


observer: Observer | None = None
"""Read once for each use: another thread may remove it at any time."""


def within(context: Any, flow: Flow[R]) -> Flow[R]:
    """Run a flow whose requests belong to a context, in whichever thread they are made."""
    return adapted(flow, partial(_perform_within, context))


def _perform_within(context: Any, step: Step) -> Flow[Any]:
    if isinstance(step, CALLING) and step.call.context is None:
        step = evolve(step, call=evolve(step.call, context=context))
    return (yield step)


def traced(trace: Trace, flow: Flow[R]) -> Flow[R]:
    """Run the flow of an operation, which ends with the errors of the flow."""
    try:
        return (yield from within(trace.context, flow))
    except BaseException as error:
        trace.failed(error)
        raise


def carried(flows: Sequence[Flow[Any]]) -> Sequence[Flow[Any]]:
    """Return flows that other threads run in the context of this one."""
    present = observer
    return flows if present is None else [within(present.current(), flow) for flow in flows]
