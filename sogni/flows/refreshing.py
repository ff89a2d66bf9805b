"""Fresh access tokens: decides who exchanges a refresh token, and what each outcome does (transport §5.1).

Called before every request with credentials and before the socket is opened. The exchange is background work: one
for everybody, and nobody who waits for it can end it half done, when the service has already rotated the tokens.
"""

from __future__ import annotations

import copy

from ..errors import AuthenticationError, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from ..protocol.credentials import REFRESH_OVER, Refresh
from ..protocol.http import HttpCall, HttpReply, data_of, post
from ..protocol.service_clock import date_of
from ..protocol.token_claims import is_token
from .steps import Flow, change, http, until


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
