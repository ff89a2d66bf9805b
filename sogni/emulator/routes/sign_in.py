"""Routes that create accounts, open, renew and end sessions, and transfer tokens to and from a wallet.

A signature is valid if it was made by the claimed address over an unused nonce, or permit, issued to that address.
"""
# Protocol notes: account §4, §9 to §11; transport §5.1.

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web
from attrs import define

from sogni.emulator.account.accounts import Account, InsufficientFundsError, NotFreeError, decimal_text
from sogni.emulator.account.sessions import COOKIE, COOKIE_LIFETIME, Nonces
from sogni.emulator.account.wallets import Key, Permits, Spender, message, signer_of
from sogni.emulator.responses import RefusedError, success
from sogni.emulator.routes.account import check_username
from sogni.emulator.routes.account_requests import (
    INSUFFICIENT_ALLOWANCE,
    INSUFFICIENT_BALANCE,
    INVALID_LOGIN,
    INVALID_REFRESH,
    Body,
    for_account_body,
    public_route,
)
from sogni.emulator.state import State

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@define
class _SignInService:
    """Verifies signatures over nonces and answers sign-ins."""

    state: State
    nonces: Nonces

    async def prove(self, primary: str, values: Mapping[str, Any], signature: str) -> None:
        """Refuse a signature that was not made by the address in ``values`` over one of its nonces."""
        address, loop = values["walletAddress"], asyncio.get_running_loop()
        for nonce in self.nonces.waiting(address):
            typed = message(primary, {**values, "nonce": nonce}, testnet=self.state.accounts.testnet)
            # The first use imports the signing library, which takes half a second.
            signer = await loop.run_in_executor(self.state.store.executor, signer_of, typed, signature)
            if signer is not None and signer.lower() == address.lower() and self.nonces.spend(address, nonce):
                return
        raise RefusedError(401, "The signature does not match the wallet and its nonce", INVALID_LOGIN)

    def signed_in(self, account: Account, *, remember: bool, **more: str) -> web.Response:
        """Respond with both tokens, and with a cookie for clients that keep cookies."""
        session, pair = self.state.accounts.sessions.open(account, account.wallet_address)
        response = success({**pair.wire(), **more})
        lifetime = COOKIE_LIFETIME if remember else None
        response.set_cookie(COOKIE, session.cookie, max_age=lifetime, httponly=True, samesite="Lax")
        return response


def add_sign_in_routes(app: web.Application, state: State) -> None:
    workflow_service = _SignInService(state, Nonces(state.clock))
    state.on_reset(workflow_service.nonces.clear)

    async def nonce(_: web.Request, body: Body) -> web.Response:
        address = body.address()
        body.check()
        return success({"nonce": workflow_service.nonces.issue(address)})

    async def create(_: web.Request, body: Body) -> web.Response:
        return await _create(workflow_service, body)

    async def login(_: web.Request, body: Body) -> web.Response:
        return await _login(workflow_service, body)

    app.router.add_post("/v1/account/nonce", public_route(state, nonce))
    app.router.add_post("/v1/account/create", public_route(state, create))
    app.router.add_post("/v1/account/login", public_route(state, login))
    _add_session_routes(app, state)


def _add_session_routes(app: web.Application, state: State) -> None:
    async def refresh(_: web.Request, body: Body) -> web.Response:
        token = body.text("refreshToken", required=True)
        body.check()
        pair = state.accounts.sessions.refresh(token or "")
        if pair is None:
            raise RefusedError(401, "The refresh token has expired, was used or is invalid", INVALID_REFRESH)
        return success(pair.wire())

    async def logout(request: web.Request, body: Body, _: Account) -> web.Response:
        body.check()
        session = None if "api-key" in request.headers else state.accounts.session(request.headers)
        response = success({})
        if session is not None:
            state.accounts.sessions.close(session)
            response.del_cookie(COOKIE)
        return response

    app.router.add_post("/v1/account/refresh-token", public_route(state, refresh))
    app.router.add_post("/v1/account/logout", for_account_body(state, logout))


async def _create(workflow_service: _SignInService, body: Body) -> web.Response:
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
    check_username(workflow_service.state.accounts, username)
    await workflow_service.prove("Signup", values, signature or "")
    try:
        account = workflow_service.state.accounts.create(username=username, email=email, wallet_address=address)
    except NotFreeError as error:
        # The name may have been taken while the signature was being checked.
        check_username(workflow_service.state.accounts, username)
        raise RefusedError(409, str(error)) from None
    return workflow_service.signed_in(account, remember=bool(remember))


async def _login(workflow_service: _SignInService, body: Body) -> web.Response:
    address = body.address()
    signature = body.text("signature", required=True)
    remember = body.flag("rememberMe", required=True)
    body.text("appSource")
    body.check()
    await workflow_service.prove("Authentication", {"walletAddress": address}, signature or "")
    account = workflow_service.state.accounts.by_address(address)
    if account is None:
        # A wrong password derives another wallet: the service cannot tell it from an unknown user.
        raise RefusedError(401, "Invalid username or password", INVALID_LOGIN)
    return workflow_service.signed_in(account, remember=bool(remember), username=account.username)


# Token transfers (account §9 to §11). Amounts are integers of 10^-18 Sogni, as strings.


_AMOUNT = re.compile(r"[1-9][0-9]{0,77}")
_SPENDERS: tuple[Spender, ...] = ("account", "staker")
_WRONG_SIGNATURE = "The signature was not made by the account's wallet for this permit"


@define
class _TokenTransfers:
    """Withdrawals, deposits and approvals."""

    state: State
    permits: Permits

    async def withdraw_permit(self, _: web.Request, body: Body, account: Account) -> web.Response:
        body.own_address(account)
        amount, provider = _amount(body), body.provider()
        body.check()
        _check_funds(account, amount)
        return success(self.permits.withdrawal(account.wallet_address, provider, amount))

    async def withdraw(self, _: web.Request, body: Body, account: Account) -> web.Response:
        body.own_address(account)
        amount, provider = _amount(body), body.provider()
        signature = body.text("signature", required=True)
        body.check()
        await self._prove(account, signature or "", ("withdraw", account.wallet_address, provider, amount))
        sogni = _sogni(amount)
        try:
            account.move("sogni", -sogni, description="Withdrawal", source="withdraw")
        except InsufficientFundsError as error:
            raise RefusedError(400, str(error), INSUFFICIENT_BALANCE) from None
        account.wallet.move(provider, sogni)
        return success({})

    async def deposit(self, _: web.Request, body: Body, account: Account) -> web.Response:
        body.own_address(account)
        amount, provider = _amount(body), body.provider()
        body.check()
        sogni = _sogni(amount)
        owned = account.wallet.on(provider).sogni
        if owned < sogni:
            raise _too_little("wallet", sogni, owned)
        if not account.wallet.approved(provider, "account"):
            raise RefusedError(400, "The allowance of the deposit contract is too low", INSUFFICIENT_ALLOWANCE)
        if not account.wallet.move(provider, -sogni):
            raise _too_little("wallet", sogni, account.wallet.on(provider).sogni)
        account.move("sogni", sogni, description="Deposit", source="deposit")
        return success({})

    async def approve_permit(self, _: web.Request, body: Body, account: Account) -> web.Response:
        body.own_address(account)
        spender, provider = _spender(body), body.provider()
        body.check()
        return success(self.permits.approval(account.wallet_address, provider, spender))

    async def approve(self, _: web.Request, body: Body, account: Account) -> web.Response:
        body.own_address(account)
        spender, provider = _spender(body), body.provider()
        deadline = body.whole("deadline", required=True)
        signature = body.text("approveSignature", required=True)
        body.check()
        key = ("approve", account.wallet_address, provider, spender)
        await self._prove(account, signature or "", key, deadline=deadline)
        account.wallet.approve(provider, spender)
        return success({})

    async def _prove(self, account: Account, signature: str, key: Key, *, deadline: int | None = None) -> None:
        """Refuse a signature that was not made by the account's wallet over a waiting permit; use the permit up."""
        waiting, loop = self.permits.waiting(*key), asyncio.get_running_loop()
        if not waiting:
            raise RefusedError(
                400, "No permit is waiting for this signature; request one, and use it once before it expires"
            )
        if deadline is not None:
            waiting = [it for it in waiting if it["message"]["deadline"] == deadline]
            if not waiting:
                raise RefusedError(400, "deadline does not match the permit")
        for permit in waiting:
            signer = await loop.run_in_executor(self.state.store.executor, signer_of, permit, signature)
            by_owner = signer is not None and signer.lower() == account.wallet_address.lower()
            if by_owner and self.permits.spend(permit, *key):
                return
        raise RefusedError(400, _WRONG_SIGNATURE)


def add_token_routes(app: web.Application, state: State) -> None:
    moves = _TokenTransfers(state, Permits(state.clock, state.accounts.testnet))
    state.on_reset(moves.permits.clear)
    add = app.router.add_post
    withdraw_permit = for_account_body(state, moves.withdraw_permit, session_only=True)
    add("/v1/account/token/withdraw/permit", withdraw_permit)
    add("/v2/account/token/withdraw", for_account_body(state, moves.withdraw, session_only=True))
    add("/v3/account/token/deposit", for_account_body(state, moves.deposit))
    add("/v1/contract/token/approve/permit", for_account_body(state, moves.approve_permit))
    add("/v1/contract/token/approve", for_account_body(state, moves.approve))


def _amount(body: Body) -> str:
    given = body.text("amount", required=True)
    if given is not None and not _AMOUNT.fullmatch(given):
        body.refuse("amount", "must be a positive integer as a decimal string")
    return given or ""


def _spender(body: Body) -> Spender:
    given = body.text("spender", required=True, allowed=_SPENDERS)
    return "staker" if given == "staker" else "account"


def _sogni(amount: str) -> Decimal:
    return Decimal(f"{amount}E-18")


def _check_funds(account: Account, amount: str) -> None:
    requested, owned = _sogni(amount), account.balance.sogni
    if owned < requested:
        raise _too_little("account", requested, owned)


def _too_little(owner: str, requested: Decimal, owned: Decimal) -> RefusedError:
    message = f"Insufficient balance: the {owner} has {decimal_text(owned)} sogni, {decimal_text(requested)} required"
    return RefusedError(400, message, INSUFFICIENT_BALANCE)
