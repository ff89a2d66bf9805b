"""The REST host's routes that make accounts and open, renew and end sessions (account §4; transport §5.1).

Installed by the server. A signature counts when the address it claims made it over a nonce that was handed
out to that address and not used before.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from attrs import define

from .account_requests import (
    INVALID_LOGIN,
    INVALID_REFRESH,
    Body,
    RefusedError,
    for_account_body,
    open_to_all,
)
from .accounts import Account, NotFreeError
from .nonces import Nonces
from .replies import success
from .routes_account import check_username
from .sessions import COOKIE, COOKIE_LIFETIME
from .state import State
from .wallets import message, signer_of

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@define
class _Desk:
    """Where signatures are proved."""

    state: State
    nonces: Nonces

    async def prove(self, primary: str, values: Mapping[str, Any], signature: str) -> None:
        """Refuse a signature that is not by the address in ``values`` over one of its nonces."""
        address, loop = values["walletAddress"], asyncio.get_running_loop()
        for nonce in self.nonces.waiting(address):
            typed = message(primary, {**values, "nonce": nonce}, testnet=self.state.accounts.testnet)
            # The first use imports the signing library, which takes half a second.
            signer = await loop.run_in_executor(self.state.store.executor, signer_of, typed, signature)
            if signer is not None and signer.lower() == address.lower() and self.nonces.spend(address, nonce):
                return
        raise RefusedError(401, "The signature does not fit the wallet and its nonce", INVALID_LOGIN)

    def signed_in(self, account: Account, *, remember: bool, **more: str) -> web.Response:
        """Answer with both tokens, and with a cookie for those who keep cookies."""
        session, pair = self.state.accounts.sessions.open(account, account.wallet_address)
        response = success({**pair.wire(), **more})
        lifetime = COOKIE_LIFETIME if remember else None
        response.set_cookie(COOKIE, session.cookie, max_age=lifetime, httponly=True, samesite="Lax")
        return response


def add_sign_in_routes(app: web.Application, state: State) -> None:
    desk = _Desk(state, Nonces(state.clock))

    async def nonce(_: web.Request, body: Body) -> web.Response:
        address = body.address()
        body.check()
        return success({"nonce": desk.nonces.issue(address)})

    async def create(_: web.Request, body: Body) -> web.Response:
        return await _create(desk, body)

    async def login(_: web.Request, body: Body) -> web.Response:
        return await _login(desk, body)

    app.router.add_post("/v1/account/nonce", open_to_all(state, nonce))
    app.router.add_post("/v1/account/create", open_to_all(state, create))
    app.router.add_post("/v1/account/login", open_to_all(state, login))
    _add_session_routes(app, state)


def _add_session_routes(app: web.Application, state: State) -> None:
    async def refresh(_: web.Request, body: Body) -> web.Response:
        token = body.text("refreshToken", required=True)
        body.check()
        pair = state.accounts.sessions.refresh(token or "")
        if pair is None:
            raise RefusedError(401, "The refresh token is expired, used or not valid", INVALID_REFRESH)
        return success(pair.wire())

    async def logout(request: web.Request, body: Body, _: Account) -> web.Response:
        body.check()
        session = None if "api-key" in request.headers else state.accounts.session(request.headers)
        response = success({})
        if session is not None:
            state.accounts.sessions.close(session)
            response.del_cookie(COOKIE)
        return response

    app.router.add_post("/v1/account/refresh-token", open_to_all(state, refresh))
    app.router.add_post("/v1/account/logout", for_account_body(state, logout))


async def _create(desk: _Desk, body: Body) -> web.Response:
    values = {
        "appid": body.text("appid", required=True),
        "username": body.text("username", required=True),
        "email": body.text("email", required=True),
        "subscribe": body.whole("subscribe", required=True, minimum=0, maximum=1),
        "walletAddress": body.address(),
    }
    signature = body.text("signature", required=True)
    remember = body.flag("rememberMe", required=True)
    for key in ("turnstileToken", "appid"):
        if not body.text(key, required=True):
            body.refuse(key, "must not be empty")
    for key in ("appSource", "referralCode"):
        body.text(key)
    if isinstance(values["email"], str) and not _EMAIL.fullmatch(values["email"]):
        body.refuse("email", "is not an email address")
    body.check()
    username, email, address = str(values["username"]), str(values["email"]), str(values["walletAddress"])
    check_username(desk.state.accounts, username)
    await desk.prove("Signup", values, signature or "")
    try:
        account = desk.state.accounts.create(username=username, email=email, wallet_address=address)
    except NotFreeError as error:
        # Somebody may have taken the name while the signature was checked.
        check_username(desk.state.accounts, username)
        raise RefusedError(409, str(error)) from None
    return desk.signed_in(account, remember=bool(remember))


async def _login(desk: _Desk, body: Body) -> web.Response:
    address = body.address()
    signature = body.text("signature", required=True)
    remember = body.flag("rememberMe", required=True)
    body.text("appSource")
    body.check()
    await desk.prove("Authentication", {"walletAddress": address}, signature or "")
    account = desk.state.accounts.by_address(address)
    if account is None:
        # A wrong password derives another wallet: the service cannot tell it from an unknown user.
        raise RefusedError(401, "Invalid username or password", INVALID_LOGIN)
    return desk.signed_in(account, remember=bool(remember), username=account.username)
