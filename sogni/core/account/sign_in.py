"""Sign in, sign up, sign out, and restore sessions from tokens, keys or cookies.

The client's credentials change only after the service has accepted the new ones.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from sogni.core.account.flows import account_of_credentials, fetch_account
from sogni.core.account.wallet import derive, sign_authentication, sign_signup, signing_library
from sogni.core.checks import invalid_value, private_text
from sogni.core.credentials import (
    ACCESS_TOKEN_EXPIRED,
    SESSION_EXPIRED,
    check_pair,
    is_fresh,
    is_token,
    read_key,
    read_pair,
)
from sogni.core.flow import Flow, State, app_id, change, compute
from sogni.core.http import HttpCall, post
from sogni.core.outbox import FetchAccount
from sogni.core.requests import FAILURES, ensure_fresh_credentials, request_data, request_done
from sogni.errors import ApiError, AuthenticationError, ProtocolError, ValidationError
from sogni.models.account import Session, TokenPair, Wallet

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def wallet_of(username: str, password: str) -> Flow[Wallet]:
    """Derive the wallet of an account. Raises `ImportError` naming the missing extra."""
    private_text("username", username)
    private_text("password", password)
    # Import here: `compute` may use a thread, and modules are never first imported on a background thread.
    signing_library()
    return (yield from compute("derive a wallet", lambda: derive(username, password)))


def login(username: str, password: str, *, remember_me: bool, app_source: str | None) -> Flow[Session]:
    """Sign in with user name and password."""
    source, testnet = yield from _environment(app_source)
    wallet = yield from wallet_of(username, password)
    yield from _end_expired_session()
    nonce = yield from get_nonce(wallet.address)
    signature = yield from compute("sign in", lambda: sign_authentication(wallet, nonce, testnet=testnet))
    body = {"walletAddress": wallet.address, "signature": signature, **source, "rememberMe": bool(remember_me)}
    return (yield from _begin(post("/v1/account/login", body), username, wallet))


def create_account(
    *,
    username: str,
    email: str,
    password: str,
    turnstile_token: str,
    subscribe: bool,
    referral_code: str | None,
    remember_me: bool,
    app_source: str | None,
) -> Flow[Session]:
    """Create an account and sign in to it."""
    source, testnet = yield from _environment(app_source)
    private_text("email", email)
    wallet = yield from wallet_of(username, password)
    yield from _end_expired_session()
    nonce = yield from get_nonce(wallet.address)
    values = {
        "appid": (yield from app_id()),
        "username": username,
        "email": email,
        "subscribe": 1 if subscribe else 0,
    }
    signature = yield from compute("sign up", lambda: sign_signup(wallet, values, nonce, testnet=testnet))
    body = {
        **values,
        "walletAddress": wallet.address,
        "turnstileToken": turnstile_token,
        **source,
        **({} if referral_code is None else {"referralCode": referral_code}),
        "signature": signature,
        "rememberMe": bool(remember_me),
    }
    return (yield from _begin(post("/v1/account/create", body), username, wallet))


def _environment(app_source: str | None) -> Flow[tuple[dict[str, str], bool]]:
    """Return the application's parameters, and whether signatures are for the test network."""
    settings = yield from change(lambda state, _: state.settings)
    if app_source is not None and not isinstance(app_source, str):
        raise invalid_value("app_source", app_source, "a string or None")
    source = (app_source or "").strip() or settings.app_source
    return {"appSource": source} if source else {}, settings.testnet


def _end_expired_session() -> Flow[None]:
    """Discard an expired session, so that it cannot make another sign-in fail."""
    with suppress(ApiError, ProtocolError):
        yield from ensure_fresh_credentials()


def get_nonce(wallet_address: Any) -> Flow[str]:
    """Request a nonce for a signature of a wallet."""
    if not isinstance(wallet_address, str) or not _ADDRESS.fullmatch(wallet_address):
        raise invalid_value("wallet_address", wallet_address, "an address: 0x and 40 hexadecimal digits")
    data = yield from request_data(post("/v1/account/nonce", {"walletAddress": wallet_address}))
    nonce = data.get("nonce") if isinstance(data, dict) else None
    if not isinstance(nonce, str):
        raise ProtocolError("the response to POST /v1/account/nonce contains no nonce")
    return nonce


def _begin(call: HttpCall, username: str, wallet: Wallet) -> Flow[Session]:
    """Sign in and store the session; a client with an API key only returns it.

    A 401 refers to the password and leaves the current session alone.
    """
    # account §4.3
    data = yield from request_data(call, keeps_credentials=True)
    given = data if isinstance(data, dict) else {}
    token, refresh_token = given.get("token"), given.get("refreshToken")
    valid = is_token(token) and is_token(refresh_token)
    tokens = TokenPair(token=str(token), refresh_token=str(refresh_token)) if valid else None
    returned = given.get("username")
    name = returned if isinstance(returned, str) and returned else username

    def store(state: State, now: float) -> bool:
        credentials = state.session.credentials
        if credentials.kind == "api_key":
            return True
        if credentials.kind == "cookies":
            state.session.accept_cookies(wallet.address)
        elif tokens is None:
            return False
        elif state.session.use_issued(tokens.token, tokens.refresh_token, now):
            state.session.signed_in_as()
        state.account.change(username=name, wallet_address=wallet.address)
        return True

    if not (yield from change(store)):
        raise ProtocolError("the response to the sign-in contains no valid tokens")
    return Session(username=name, wallet_address=wallet.address, tokens=tokens)


def logout() -> Flow[None]:
    """Sign out. A session that the service no longer knows counts as signed out; other errors are raised."""
    session = yield from change(lambda state, _: state.session.generation)
    with suppress(AuthenticationError):
        yield from request_done(post("/v1/account/logout"))
    # Another sign-in may have happened in the meantime.
    yield from change(lambda state, _: state.session.sign_out() if state.session.generation == session else None)


def set_tokens(token: str | None, refresh_token: str | None) -> Flow[None]:
    """Restore a session from tokens and fetch its account."""
    yield from restore_tokens(*check_pair(token, refresh_token), fetch=False)
    yield from fetch_account()


def restore_tokens(token: str | None, refresh_token: str | None, *, fetch: bool) -> Flow[None]:
    """Store tokens; without a fresh access token, exchange the refresh token at once."""
    yield from _only_for("token", "a session with tokens")

    def store(state: State, now: float) -> bool:
        """Store the pair; True if it must still be exchanged."""
        fresh = is_fresh(token, state.session.service_time(now))
        if not fresh and refresh_token is None:
            raise AuthenticationError(ACCESS_TOKEN_EXPIRED, status=401)
        if not fresh and not is_fresh(refresh_token, state.session.service_time_at_least(now)):
            # Expired tokens change nothing.
            raise AuthenticationError(SESSION_EXPIRED, status=401)
        new = state.session.credentials.use_tokens(token, refresh_token)
        if new and fresh:
            state.session.signed_in_as(fetch=fetch)
        elif new:
            # The exchange notifies the listeners.
            state.session.credentials_changed()
            if state.session.credentials.address is None and state.account.wallet_address is not None:
                # A refresh token does not tell whose it is, so until it is exchanged it may be another account's.
                state.session.leave_account()
        return not fresh

    exchanged = yield from change(store)
    yield from ensure_fresh_credentials()
    if exchanged and fetch:
        yield from change(lambda state, _: state.out.start(FetchAccount()))


def authenticate(value: Any) -> Flow[None]:
    """Restore a session from a `backup`: a key, a pair, or None if the session is in cookies."""
    kind = yield from change(lambda state, _: state.session.credentials.kind)
    if kind == "token":
        yield from restore_tokens(*read_pair(value), fetch=True)
        return
    key = read_key(value) if kind == "api_key" else None

    def store(state: State, _: float) -> None:
        replaces = key is not None and state.session.signed_in
        if state.session.credentials.use_cookies() if key is None else state.session.credentials.use_key(key):
            if replaces:
                # A key does not tell whose it is: the socket and the account may be another user's.
                state.session.leave_account()
            state.session.signed_in_as()

    yield from change(store)


def check_auth() -> Flow[bool]:
    """Check whether the cookies are valid, and sign in with them if so."""
    # account §4.5
    yield from _only_for("cookies", "check_auth()")
    session = yield from change(lambda state, _: state.session.generation)
    try:
        info = yield from account_of_credentials()
    except FAILURES:
        return False

    def store(state: State, _: float) -> bool:
        if state.session.generation != session:
            # A sign-in or sign-out happened in the meantime: the response is about cookies that are gone.
            return state.session.signed_in
        state.session.accept_cookies(info.wallet_address, fetch=False)
        state.account.set_identity(info)
        return True

    return (yield from change(store))


def _only_for(kind: str, what: str) -> Flow[None]:
    actual = yield from change(lambda state, _: state.session.credentials.kind)
    if actual != kind:
        raise ValidationError(
            f"{what} needs a client with auth_type={kind!r}, got {actual!r}",
            field="auth_type",
            value=actual,
            allowed=kind,
        )
