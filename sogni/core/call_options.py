"""Options for some of the calls of a client: other time limits, headers and retries, and their raw replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from attrs import evolve, frozen

from sogni.core.checks import header_text, invalid_value
from sogni.core.flow import CALLING, Flow, RetriesOf, Step, adapted, user_code
from sogni.core.http import HttpCall, HttpReply
from sogni.models.connection import RawReply
from sogni.redaction import without_query
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
    on_reply: Callable[[RawReply], Any] | None = None

    def apply(self, call: HttpCall) -> HttpCall:
        """Return the call with these options. Storage gets no headers: its URLs are signed."""
        is_transfer = call.host == "storage"
        timeout = call.timeout
        if self.timeouts is not None:
            limit = self.timeouts.transfer if is_transfer else self.timeouts.request
            # A limit that a call already has is what is left of a longer wait.
            timeout = limit if timeout is None else min(timeout, limit)
        headers = call.headers
        if not is_transfer:
            own = {name.lower() for name in headers}
            headers = {name: value for name, value in self.headers.items() if name.lower() not in own} | {**headers}
        return evolve(call, timeout=timeout, headers=headers)

    def run(self, flow: Flow[R]) -> Flow[R]:
        """Run a flow with these options."""
        return adapted(flow, self._perform)

    def _perform(self, step: Step) -> Flow[Any]:
        if isinstance(step, RetriesOf) and self.retry is not None:
            return self.retry
        if not isinstance(step, CALLING):
            return (yield step)
        call = self.apply(step.call)
        outcome = yield evolve(step, call=call)
        if self.on_reply is not None and isinstance(outcome, HttpReply) and call.host != "storage":
            reply = RawReply(
                method=call.method,
                url=without_query(outcome.url),
                status=outcome.status,
                headers=outcome.headers,
                body=outcome.body,
            )
            # The call has been carried out, whatever its observer does with the reply. Drivers log the error.
            with suppress(Exception):
                yield from user_code("on_reply", self.on_reply, reply)
        return outcome


def check_call_options(timeout: Any, headers: Any, retry: Any, on_reply: Any = None) -> CallOptions:
    """Return checked options. Raises `ValidationError` with the name of the option."""
    given: dict[str, str] = {}
    if headers is not None and not isinstance(headers, Mapping):
        raise invalid_value("headers", headers, "a mapping of names to strings")
    for name, value in (headers or {}).items():
        text = header_text("headers", name)
        if text.lower() in _OWN_HEADERS:
            raise invalid_value("headers", text, "headers that the client does not set itself")
        given[text] = header_text(f"headers[{text!r}]", value)
    if on_reply is not None and not callable(on_reply):
        raise invalid_value("on_reply", on_reply, "a function")
    return CallOptions(
        timeouts=None if timeout is None else check_timeouts(timeout),
        headers=given,
        retry=None if retry is None else check_retry(retry),
        on_reply=on_reply,
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
