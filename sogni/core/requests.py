"""Fresh access tokens: decides who exchanges a refresh token, and what each outcome does (transport §5.1).

Called before every request with credentials and before the socket is opened. The exchange is background work: one
for everybody, and nobody who waits for it can end it half done, when the service has already rotated the tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve

from sogni.core.attribution import attribution_headers
from sogni.core.credentials import REFRESH_OVER, Refresh, date_of, is_token
from sogni.core.flow import Flow, State, change, http, new_id, pause, until
from sogni.core.http import HttpCall, HttpReply, data_of, error_of, json_of, post, read_bare, read_data
from sogni.errors import (
    ApiError,
    AuthenticationError,
    ProtocolError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
)
from sogni.settings import RetryPolicy


def have_fresh() -> Flow[int]:
    """Have credentials that can be used, and return their turn. Raises why there can be none.

    A new pair is used as it is: to a clock that is ahead, every token is over, and there would be no end to exchanging.
    """
    while True:
        turn, refresh = yield from change(lambda state, now: (state.credentials.turn, state.fresh(now)))
        if refresh is None:
            return turn
        yield from _await(refresh)
        turn = yield from change(lambda state, _: state.credentials.turn)
        if turn <= refresh.turn + 1:
            return turn
        # Somebody else has signed in meanwhile.


def _await(refresh: Refresh) -> Flow[None]:
    # Its own request has a time limit, and the end of the client ends this wait, too.
    yield from until(
        (refresh,),
        lambda _: True if refresh.finished else None,
        timeout=None,
        phase="request",
        waiting_for="a new access token",
    )
    if refresh.error is not None:
        # A new one for everybody: a traceback belongs to one thread.
        raise copy.copy(refresh.error) from refresh.error


def timed(call: HttpCall) -> Flow[HttpReply]:
    """Send a request; the answer says what time it is where tokens expire."""
    reply = yield from http(call)
    date = date_of(reply.headers)
    yield from change(lambda state, now: state.service_said(date, now))
    return reply


def exchange(refresh: Refresh) -> Flow[None]:
    """Exchange the refresh token, and tell everybody who waits for it what came of it."""
    if (yield from change(lambda state, now: state.credentials.refresh_expired(state.service_time_at_least(now)))):
        error = AuthenticationError(REFRESH_OVER, status=401)
        yield from change(lambda state, _: state.refresh_failed(refresh, error, clears=True))
        return
    call = post("/v1/account/refresh-token", {"refreshToken": refresh.refresh_token}, anonymous=True)
    try:
        reply = yield from timed(call)
    except (SogniConnectionError, SogniTimeoutError) as failure:
        yield from _failed(refresh, failure, clears=False)
        return
    try:
        data = data_of(call, reply)
        given = data if isinstance(data, dict) else {}
        token, refresh_token = given.get("token"), given.get("refreshToken")
        if not (is_token(token) and is_token(refresh_token)):
            raise ProtocolError("the answer to a refresh holds no tokens that can be read")
    except SogniError as failure:
        yield from _failed(refresh, failure, clears=True)
        return
    yield from change(lambda state, now: state.refreshed(refresh, token, refresh_token, now))


def _failed(refresh: Refresh, error: SogniError, *, clears: bool) -> Flow[None]:
    yield from change(lambda state, _: state.refresh_failed(refresh, error, clears=clears))


# Requests with their retries: decides what is sent again, when, and what a 401 does.
#
# Called by every flow that talks to the REST host or the socket host's HTTP side.


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

    def noted(state: State, _: float) -> tuple[str, ...]:
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


def get_json(call: HttpCall) -> Flow[Any]:
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


def get_unwrapped_json(cls: type[T], call: HttpCall) -> Flow[T]:
    """The bare answer as a data class."""
    reply = yield from request(call)
    return read_bare(cls, call, reply)
