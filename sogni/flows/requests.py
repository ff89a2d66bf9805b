"""Requests with their retries: decides what is sent again, when, and what a 401 does.

Called by every flow that talks to the REST host or the socket host's HTTP side.
"""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import SogniConnectionError, SogniTimeoutError
from ..protocol.http import HttpCall, HttpReply, data_of, error_of, json_of, read_bare, read_data
from ..settings import RetryPolicy
from .steps import Flow, change, http, pause

T = TypeVar("T")

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone at the next try."""
JITTER = 0.2


def request(call: HttpCall) -> Flow[HttpReply]:
    """Send a request, again after a passing failure when that does no harm (transport §17).

    The service's `Retry-After` outranks our own pauses. A 401 clears the credentials (transport §4.4).
    """
    policy = yield from change(lambda state, _: state.settings.retry)
    attempt = 1
    while True:
        wait = pause_before(policy, attempt)
        try:
            reply = yield from http(call)
        except (SogniConnectionError, SogniTimeoutError):
            if not call.repeatable or attempt >= policy.attempts:
                raise
        else:
            if reply.status == 401 and call.host != "storage":
                yield from change(lambda state, _: state.unauthorized())
            asked = _asked_to_wait(reply)
            again = call.repeatable and reply.status in PASSING and attempt < policy.attempts
            if not again or (asked or 0) > policy.longest:
                return reply
            wait = wait if asked is None else asked
        yield from pause(wait, JITTER)
        attempt += 1


def pause_before(policy: RetryPolicy, attempt: int) -> float:
    """Seconds before the next try, after `attempt` tries."""
    return min(policy.cap, policy.base * 2.0 ** (attempt - 1))


def _asked_to_wait(reply: HttpReply) -> float | None:
    if reply.status not in PASSING:
        return None
    error = error_of(HttpCall(method="GET", path=""), reply)
    given: float | None = getattr(error, "retry_after", None)
    return given


def ask(call: HttpCall) -> Flow[Any]:
    """The bare JSON of an answer."""
    reply = yield from request(call)
    return json_of(call, reply)


def ask_data(call: HttpCall) -> Flow[Any]:
    """The `data` of an enveloped answer."""
    reply = yield from request(call)
    return data_of(call, reply)


def ask_for(cls: type[T], call: HttpCall) -> Flow[T]:
    """The enveloped answer as a data class."""
    reply = yield from request(call)
    return read_data(cls, call, reply)


def ask_bare(cls: type[T], call: HttpCall) -> Flow[T]:
    """The bare answer as a data class."""
    reply = yield from request(call)
    return read_bare(cls, call, reply)
