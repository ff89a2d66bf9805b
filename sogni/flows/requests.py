"""Requests with their retries: decides what is sent again, when, and what a 401 does.

Called by every flow that talks to the REST host or the socket host's HTTP side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve

from ..errors import ApiError, ProtocolError, SogniConnectionError, SogniTimeoutError
from ..protocol.attribution import attribution_headers
from ..protocol.client_state import ClientState
from ..protocol.http import HttpCall, HttpReply, data_of, error_of, json_of, read_bare, read_data
from ..settings import RetryPolicy
from .refreshing import have_fresh, timed
from .steps import Flow, change, http, new_id, pause

T = TypeVar("T")

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone at the next try."""
JITTER = 0.2

FAILURES = (ApiError, SogniConnectionError, SogniTimeoutError, ProtocolError)
"""How talking to the service fails. The end of the client is none of these: it ends whatever is under way."""


def request(call: HttpCall, *, keeps_credentials: bool = False) -> Flow[HttpReply]:
    """Send a request, again after a passing failure when that does no harm (transport §17).

    An expired access token is exchanged before; a 401 clears the credentials that were used, save where it
    `keeps_credentials` (transport §4.4, §5.1).
    """
    told = yield from _attributed(call)
    return (yield from repeated(call, lambda: _sent(told, keeps_credentials)))


def _attributed(call: HttpCall) -> Flow[HttpCall]:
    """The call with who or what asks, where the service takes that and the client says it (transport §14)."""
    if call.operation is None:
        return call
    attribution = yield from change(lambda state, _: state.settings.attribution)
    if attribution is None:
        return call
    headers = attribution_headers(attribution, call.operation or (yield from new_id()))
    return evolve(call, headers={**call.headers, **headers})


def within(call: HttpCall, left: float | None) -> Flow[HttpCall]:
    """The call, with no more time than is left."""
    if left is None:
        return call
    limit = yield from change(lambda state, _: state.settings.timeouts.request)
    return evolve(call, timeout=min(limit, left))


def _sent(call: HttpCall, keeps_credentials: bool) -> Flow[HttpReply]:
    if call.host == "storage":
        return (yield from http(call))
    if call.anonymous:
        return (yield from timed(call))
    turn = yield from have_fresh()
    reply = yield from timed(call)
    return (yield from looked_at(reply, turn, keeps_credentials=keeps_credentials))


def looked_at(reply: HttpReply, turn: int, *, keeps_credentials: bool) -> Flow[HttpReply]:
    """The answer to credentials of `turn`: a 401 clears them, and no refusal shows them."""
    if reply.ok:
        return reply

    def noted(state: ClientState, _: float) -> tuple[str, ...]:
        if reply.status == 401 and not keeps_credentials:
            state.unauthorized(turn)
        return state.credentials.secrets

    return reply.without((yield from change(noted)))


def repeated(call: HttpCall, send: Callable[[], Flow[T]]) -> Flow[T]:
    """Run `send`, which sends `call`, again after a passing failure when that does no harm.

    The service's `Retry-After` outranks our own pauses; one beyond `RetryPolicy.longest` ends the tries.
    """
    policy = yield from change(lambda state, _: state.settings.retry)
    attempt = 1
    while True:
        wait, jitter = pause_before(policy, attempt), JITTER
        try:
            outcome = yield from send()
        except (SogniConnectionError, SogniTimeoutError):
            if not call.repeatable or attempt >= policy.attempts:
                raise
        else:
            if not isinstance(outcome, HttpReply) or outcome.status not in PASSING:
                return outcome
            asked = asked_to_wait(outcome)
            if not call.repeatable or attempt >= policy.attempts or (asked or 0) > policy.longest:
                return outcome
            if asked is not None:
                # Not a moment less than the service asks for.
                wait, jitter = asked, 0.0
        yield from pause(wait, jitter)
        attempt += 1


def pause_before(policy: RetryPolicy, attempt: int) -> float:
    """Seconds before the next try, after `attempt` tries."""
    return min(policy.cap, policy.base * 2.0 ** (attempt - 1))


def asked_to_wait(reply: HttpReply) -> float | None:
    """Seconds the service wants to be left alone for, when it says so (transport §4.2)."""
    error = error_of(HttpCall(method="GET", path=""), reply)
    given: float | None = getattr(error, "retry_after", None)
    return given


def ask(call: HttpCall) -> Flow[Any]:
    """The bare JSON of an answer."""
    reply = yield from request(call)
    return json_of(call, reply)


def request_done(call: HttpCall) -> Flow[None]:
    """Send a request whose answer says no more than that it worked. ProtocolError for a page in its place."""
    json_of(call, (yield from request(call)))


UNKNOWN = (
    "if it reached the service it may have been carried out; it is not sent again: look at the balance before you do"
)


def request_once(call: HttpCall) -> Flow[None]:
    """Send what moves tokens, once; the error of an answer that was lost says that the outcome is not known."""
    # Before it, so that what fails below is the request itself.
    yield from have_fresh()
    try:
        yield from request_done(call)
    except SogniTimeoutError as error:
        if error.phase == "connect":
            raise
        raise SogniTimeoutError(f"{error.message}; {UNKNOWN}", phase=error.phase, timeout=error.timeout) from error
    except SogniConnectionError as error:
        raise SogniConnectionError(f"{error.message}; {UNKNOWN}", code=error.code) from error
    except ProtocolError as error:
        raise ProtocolError(f"{error.message}; {UNKNOWN}") from error


def ask_data(call: HttpCall, *, keeps_credentials: bool = False) -> Flow[Any]:
    """The `data` of an enveloped answer."""
    reply = yield from request(call, keeps_credentials=keeps_credentials)
    return data_of(call, reply)


def ask_for(cls: type[T], call: HttpCall) -> Flow[T]:
    """The enveloped answer as a data class."""
    reply = yield from request(call)
    return read_data(cls, call, reply)


def ask_bare(cls: type[T], call: HttpCall) -> Flow[T]:
    """The bare answer as a data class."""
    reply = yield from request(call)
    return read_bare(cls, call, reply)
