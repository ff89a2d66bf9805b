"""Options for some of the calls of a client: other time limits, headers and retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import evolve, frozen

from sogni.core.checks import header_text, invalid_value
from sogni.core.flow import Download, Flow, Http, OpenEvents, OpenStream, RetriesOf, Spool, Step, Together, Upload
from sogni.core.http import HttpCall
from sogni.settings import RetryPolicy, Timeouts, check_retry, check_timeouts

R = TypeVar("R")

_OWN_HEADERS = frozenset(
    {
        *("api-key", "authorization", "cookie", "host", "content-length", "content-type", "transfer-encoding"),
        *("accept-encoding", "connection", "idempotency-key", "last-event-id"),
    }
)
"""Headers that the client sets itself: credentials, and what a request needs to be read correctly."""


@frozen(kw_only=True)
class CallOptions:
    """Options that apply to every call of a flow."""

    timeouts: Timeouts | None
    headers: Mapping[str, str]
    retry: RetryPolicy | None

    def apply(self, call: HttpCall) -> HttpCall:
        """Return the call with these options. Storage gets no headers: its URLs are signed."""
        is_transfer = call.host == "storage"
        timeout = call.timeout
        if self.timeouts is not None:
            limit = self.timeouts.transfer if is_transfer else self.timeouts.request
            # A limit that a call already has is what is left of a longer wait.
            timeout = limit if timeout is None else min(timeout, limit)
        headers = call.headers if is_transfer else {**self.headers, **call.headers}
        return evolve(call, timeout=timeout, headers=headers)

    def run(self, flow: Flow[R]) -> Flow[R]:
        """Run a flow with these options."""
        resume: Callable[[Any], Step] = flow.send
        value: Any = None
        while True:
            try:
                step = resume(value)
            except StopIteration as end:
                result: R = end.value
                return result
            resume = flow.send
            if isinstance(step, RetriesOf) and self.retry is not None:
                value = self.retry
                continue
            if isinstance(step, Together):
                step = Together([self.run(one) for one in step.flows])
            elif isinstance(step, _CALLING):
                step = evolve(step, call=self.apply(step.call))
            try:
                value = yield step
            except BaseException as error:
                resume, value = flow.throw, error


_CALLING = (Http, Upload, Download, Spool, OpenStream, OpenEvents)


def check_call_options(timeout: Any, headers: Any, retry: Any) -> CallOptions:
    """Return checked options. Raises `ValidationError` with the name of the option."""
    given: dict[str, str] = {}
    if headers is not None and not isinstance(headers, Mapping):
        raise invalid_value("headers", headers, "a mapping of names to strings")
    for name, value in (headers or {}).items():
        text = header_text("headers", name)
        if text.lower() in _OWN_HEADERS:
            raise invalid_value("headers", text, "headers that the client does not set itself")
        given[text] = header_text(f"headers[{text!r}]", value)
    return CallOptions(
        timeouts=None if timeout is None else check_timeouts(timeout),
        headers=given,
        retry=None if retry is None else check_retry(retry),
    )


class OptionedEngine:
    """An engine whose flows run with call options; everything else is the engine's own."""

    def __init__(self, engine: Any, options: CallOptions) -> None:
        self._engine = engine
        self._options = options

    def run(self, flow: Flow[Any]) -> Any:
        """Run a flow; in asyncio the outcome is awaited."""
        return self._engine.run(self._options.run(flow))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)
