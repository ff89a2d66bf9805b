"""Send requests with fresh credentials and retries.

An expired access token is exchanged before a request with credentials. The exchange is a background task shared by
all callers, so no caller can abandon it halfway, after the service has already rotated the tokens.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve

from sogni.core.attribution import attribution_headers
from sogni.core.credentials import SESSION_EXPIRED, Refresh, date_of, is_token
from sogni.core.flow import Flow, State, change, http, new_id, pause, retry_policy, until
from sogni.core.http import HttpCall, HttpReply, data_of, error_of, json_of, post, read_data, read_unwrapped
from sogni.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    ProtocolError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
)
from sogni.settings import RetryPolicy


def ensure_fresh_credentials() -> Flow[int]:
    """Ensure usable credentials and return their generation. Raises the reason if there are none.

    A new pair is used as is: by a local clock that is fast, every token is expired, and the exchange would never end.
    """
    while True:
        generation, refresh = yield from change(
            lambda state, now: (state.session.credentials.generation, state.session.begin_refresh(now))
        )
        if refresh is None:
            return generation
        yield from _await(refresh)
        generation = yield from change(lambda state, _: state.session.credentials.generation)
        if generation <= refresh.generation + 1:
            return generation
        # Another sign-in happened in the meantime.


def _await(refresh: Refresh) -> Flow[None]:
    # The exchange has its own time limit, and closing the client ends this wait too.
    yield from until(
        (refresh,),
        lambda _: True if refresh.finished else None,
        timeout=None,
        phase="request",
        waiting_for="a new access token",
    )
    if refresh.error is not None:
        # A copy for each waiter: a traceback belongs to one thread.
        raise copy.copy(refresh.error) from refresh.error


def timed(call: HttpCall) -> Flow[HttpReply]:
    """Send a request and set the service clock, by which tokens expire, from the reply."""
    reply = yield from http(call)
    date = date_of(reply.headers)
    yield from change(lambda state, now: state.session.set_service_date(date, now))
    return reply


def exchange(refresh: Refresh) -> Flow[None]:
    """Exchange the refresh token and notify all waiters of the outcome."""
    if (yield from change(lambda state, now: state.session.refresh_expired(now))):
        error = AuthenticationError(SESSION_EXPIRED, status=401)
        yield from change(lambda state, _: state.session.refresh_failed(refresh, error, clears=True))
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
            raise ProtocolError("the response to a token refresh contains no valid tokens")
    except SogniError as failure:
        yield from _failed(refresh, failure, clears=True)
        return
    yield from change(lambda state, now: state.session.refreshed(refresh, token, refresh_token, now))


def _failed(refresh: Refresh, error: SogniError, *, clears: bool) -> Flow[None]:
    yield from change(lambda state, _: state.session.refresh_failed(refresh, error, clears=clears))


# Requests and retries


T = TypeVar("T")

logger: logging.Logger = logging.getLogger("sogni")

TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be temporary."""
JITTER = 0.2

FAILURES = (ApiError, SogniConnectionError, SogniTimeoutError, ProtocolError)
"""The errors of talking to the service. `ClientClosedError` is not among them: it ends all work."""


def request(call: HttpCall, *, keeps_credentials: bool = False) -> Flow[HttpReply]:
    """Send a request; retry after a temporary failure if the call is repeatable.

    An expired access token is exchanged first. A 401 clears the credentials that were used, unless `keeps_credentials`.
    """
    attributed = yield from _attributed(call)
    return (yield from repeated(call, lambda: _sent(attributed, keeps_credentials)))


def _attributed(call: HttpCall) -> Flow[HttpCall]:
    """Return the call with attribution headers, if the route takes them and the client or call has an attribution."""
    if call.operation is None:
        return call
    default = yield from change(lambda state, _: state.settings.attribution)
    if default is None and call.attribution is None:
        return call
    headers = attribution_headers(default, call.attribution, call.operation or (yield from new_id()))
    return evolve(call, headers={**call.headers, **headers})


def within(call: HttpCall, left: float | None) -> Flow[HttpCall]:
    """Return the call limited to the time left."""
    if left is None:
        return call
    limit = yield from change(lambda state, _: state.settings.timeouts.request)
    return evolve(call, timeout=min(limit, left))


def _sent(call: HttpCall, keeps_credentials: bool) -> Flow[HttpReply]:
    if call.host == "storage":
        return (yield from http(call))
    if call.anonymous:
        return (yield from timed(call))
    generation = yield from ensure_fresh_credentials()
    reply = yield from timed(call)
    return (yield from process_reply(reply, generation, keeps_credentials=keeps_credentials))


def process_reply(reply: HttpReply, generation: int, *, keeps_credentials: bool) -> Flow[HttpReply]:
    """Process a reply to credentials of that generation: a 401 clears them, and error replies are redacted."""
    if reply.ok:
        return reply

    def noted(state: State, _: float) -> tuple[str, ...]:
        if reply.status == 401 and not keeps_credentials:
            state.session.unauthorized(generation)
        return state.session.credentials.secrets

    return reply.without((yield from change(noted)))


def repeated(call: HttpCall, send: Callable[[], Flow[T]]) -> Flow[T]:
    """Run `send`, which sends `call`; retry after a temporary failure if the call is repeatable.

    `Retry-After` takes precedence over the policy's pauses; a value above `RetryPolicy.longest` ends the attempts.
    """
    policy = yield from retry_policy()
    attempt = 1
    while True:
        wait, jitter = pause_before(policy, attempt), JITTER
        try:
            outcome = yield from send()
        except (SogniConnectionError, SogniTimeoutError) as error:
            if not call.repeatable or attempt >= policy.attempts:
                raise
            reason = str(error)
        else:
            if not isinstance(outcome, HttpReply) or outcome.status not in TEMPORARY_STATUSES:
                return outcome
            requested = requested_wait(outcome)
            if not call.repeatable or attempt >= policy.attempts or (requested or 0) > policy.longest:
                return outcome
            if requested is not None:
                # Never retry earlier than the service requests.
                wait, jitter = requested, 0.0
            reason = f"status {outcome.status}"
        path = call.path.partition("?")[0]
        logger.info("%s %s: %s; attempt %d follows in %.1f s", call.method, path, reason, attempt + 1, wait)
        yield from pause(wait, jitter)
        attempt += 1


def pause_before(policy: RetryPolicy, attempt: int) -> float:
    """Return the pause in seconds after `attempt` attempts."""
    return min(policy.cap, policy.base * 2.0 ** (attempt - 1))


def requested_wait(reply: HttpReply) -> float | None:
    """Return the service's `Retry-After` in seconds, if any."""
    error = error_of(HttpCall(method="GET", path=""), reply)
    given: float | None = getattr(error, "retry_after", None)
    return given


def naming(what: str, flow: Flow[T]) -> Flow[T]:
    """Run a flow; a `NotFoundError` then names the missing object."""
    try:
        return (yield from flow)
    except NotFoundError as error:
        raise named(f"there is no {what}", error) from error


def named(what: str, error: NotFoundError) -> NotFoundError:
    """Return the error with `what` at the beginning of its message."""
    return NotFoundError(
        f"{what}: {error.message}",
        status=error.status,
        error_code=error.error_code,
        payload=error.payload,
        retry_after=error.retry_after,
        method=error.method,
        url=error.url,
    )


def get_json(call: HttpCall) -> Flow[Any]:
    """Send a request and return the JSON of its reply."""
    reply = yield from request(call)
    return json_of(call, reply)


def request_done(call: HttpCall) -> Flow[None]:
    """Send a request whose reply carries no data. Raises `ProtocolError` if the reply is not JSON."""
    json_of(call, (yield from request(call)))


UNKNOWN = "the request may have been carried out and is not sent again: check the balance before you repeat it"


def request_once(call: HttpCall) -> Flow[None]:
    """Send a request that moves tokens once; if the reply is lost, the error says that the outcome is unknown."""
    # Refresh first, so that a failure below is the request's own.
    yield from ensure_fresh_credentials()
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


def request_data(call: HttpCall, *, keeps_credentials: bool = False) -> Flow[Any]:
    """Send a request and return the `data` of its enveloped reply."""
    reply = yield from request(call, keeps_credentials=keeps_credentials)
    return data_of(call, reply)


def request_model(cls: type[T], call: HttpCall) -> Flow[T]:
    """Send a request and return its enveloped reply as a data class."""
    reply = yield from request(call)
    return read_data(cls, call, reply)


def get_unwrapped_json(cls: type[T], call: HttpCall) -> Flow[T]:
    """Send a request and return its reply, which has no envelope, as a data class."""
    reply = yield from request(call)
    return read_unwrapped(cls, call, reply)
