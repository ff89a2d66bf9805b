"""Routes that create accounts, open, renew and end sessions, and transfer tokens to and from a wallet.

A signature is valid if it was made by the claimed address over an unused nonce, or permit, issued to that address.
"""
# Protocol notes: account §4, §9 to §11; transport §5.1.

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web

from sogni.emulator.account.accounts import Account, InsufficientFundsError, NotFreeError, decimal_text
from sogni.emulator.account.sessions import COOKIE, COOKIE_LIFETIME, LIFETIME
from sogni.emulator.account.wallets import Spender, message, signer_of
from sogni.emulator.responses import RefusedError, success
from sogni.emulator.routes.account import check_username
from sogni.emulator.routes.router import Body, Call, Routes
from sogni.emulator.state import State

INVALID_LOGIN, INVALID_REFRESH = 105, 107
INSUFFICIENT_BALANCE, INSUFFICIENT_ALLOWANCE = 123, 149
ROUTES = Routes()
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


async def _signed_by(state: State, typed: Mapping[str, Any], signature: str, address: str) -> bool:
    # The first use imports the signing library, which takes half a second.
    signer = await state.store.run(signer_of, typed, signature)
    return signer is not None and signer.lower() == address.lower()


async def _prove(state: State, primary: str, values: Mapping[str, Any], signature: str) -> None:
    """Refuse a signature that was not made by the address in ``values`` over one of its nonces."""
    address = values["walletAddress"]
    for nonce in state.nonces.waiting(address.lower()):
        typed = message(primary, {**values, "nonce": nonce}, testnet=state.accounts.testnet)
        if await _signed_by(state, typed, signature, address) and state.nonces.spend(nonce, address.lower()):
            return
    raise RefusedError(401, "The signature does not match the wallet and its nonce", INVALID_LOGIN)


def _signed_in(state: State, account: Account, remember: bool | None, **more: str) -> web.Response:
    """Respond with both tokens, and with a cookie for clients that keep cookies."""
    session, pair = state.accounts.sessions.open(account, account.wallet_address)
    response = success({**pair.wire(), **more})
    lifetime = COOKIE_LIFETIME if remember else None
    response.set_cookie(COOKIE, session.cookie, max_age=lifetime, httponly=True, samesite="Lax")
    return response


@ROUTES("POST", "/v1/account/nonce", access="public")
def _nonce(call: Call) -> object:
    address = call.body.address()
    call.body.check()
    return {"nonce": call.state.nonces.issue(secrets.token_hex(16), LIFETIME, address.lower())}


@ROUTES("POST", "/v1/account/create", access="public")
async def _create(call: Call) -> web.Response:
    body, accounts = call.body, call.state.accounts
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
    username, email, address = (str(values[key]) for key in ("username", "email", "walletAddress"))
    check_username(accounts, username)
    await _prove(call.state, "Signup", values, signature or "")
    try:
        account = accounts.create(username=username, email=email, wallet_address=address)
    except NotFreeError as error:
        # The name may have been taken while the signature was being checked.
        check_username(accounts, username)
        raise RefusedError(409, str(error)) from None
    return _signed_in(call.state, account, remember)


@ROUTES("POST", "/v1/account/login", access="public")
async def _login(call: Call) -> web.Response:
    body = call.body
    address, signature = body.address(), body.text("signature", required=True)
    remember = body.flag("rememberMe", required=True)
    body.text("appSource")
    body.check()
    await _prove(call.state, "Authentication", {"walletAddress": address}, signature or "")
    account = call.state.accounts.by_address(address)
    if account is None:
        # A wrong password derives another wallet: the service cannot tell it from an unknown user.
        raise RefusedError(401, "Invalid username or password", INVALID_LOGIN)
    return _signed_in(call.state, account, remember, username=account.username)


@ROUTES("POST", "/v1/account/refresh-token", access="public")
def _refresh(call: Call) -> object:
    token = call.body.text("refreshToken", required=True)
    call.body.check()
    pair = call.state.accounts.sessions.refresh(token or "")
    if pair is None:
        raise RefusedError(401, "The refresh token has expired, was used or is invalid", INVALID_REFRESH)
    return pair.wire()


@ROUTES("POST", "/v1/account/logout")
def _logout(call: Call) -> web.Response:
    call.body.check()
    headers, response = call.request.headers, success({})
    session = None if "api-key" in headers else call.state.accounts.session(headers)
    if session is not None:
        call.state.accounts.sessions.close(session)
        response.del_cookie(COOKIE)
    return response


# Token transfers (account §9 to §11). Amounts are integers of 10^-18 Sogni, as strings.


_AMOUNT = re.compile(r"[1-9][0-9]{0,77}")


@ROUTES("POST", "/v1/account/token/withdraw/permit", access="session")
def _withdraw_permit(call: Call) -> object:
    body, account = call.body, call.account
    body.own_address(account)
    amount, provider = _amount(body), body.provider()
    body.check()
    if account.balance.sogni < _sogni(amount):
        raise _too_little("account", _sogni(amount), account.balance.sogni)
    return call.state.permits.withdrawal(account.wallet_address, provider, amount)


@ROUTES("POST", "/v2/account/token/withdraw", access="session")
async def _withdraw(call: Call) -> object:
    body, account = call.body, call.account
    body.own_address(account)
    amount, provider = _amount(body), body.provider()
    signature = body.text("signature", required=True)
    body.check()
    await _use_permit(call, signature or "", "withdraw", provider, amount)
    try:
        account.funds.move("sogni", -_sogni(amount), description="Withdrawal", source="withdraw")
    except InsufficientFundsError as error:
        raise RefusedError(400, str(error), INSUFFICIENT_BALANCE) from None
    account.wallet.move(provider, _sogni(amount))
    return {}


@ROUTES("POST", "/v3/account/token/deposit")
def _deposit(call: Call) -> object:
    body, account = call.body, call.account
    body.own_address(account)
    amount, provider = _amount(body), body.provider()
    body.check()
    sogni, owned = _sogni(amount), account.wallet.on(provider).sogni
    if owned < sogni:
        raise _too_little("wallet", sogni, owned)
    if not account.wallet.approved(provider, "account"):
        raise RefusedError(400, "The allowance of the deposit contract is too low", INSUFFICIENT_ALLOWANCE)
    if not account.wallet.move(provider, -sogni):
        raise _too_little("wallet", sogni, account.wallet.on(provider).sogni)
    account.funds.move("sogni", sogni, description="Deposit", source="deposit")
    return {}


@ROUTES("POST", "/v1/contract/token/approve/permit")
def _approve_permit(call: Call) -> object:
    body = call.body
    body.own_address(call.account)
    spender, provider = _spender(body), body.provider()
    body.check()
    return call.state.permits.approval(call.account.wallet_address, provider, spender)


@ROUTES("POST", "/v1/contract/token/approve")
async def _approve(call: Call) -> object:
    body = call.body
    body.own_address(call.account)
    spender, provider = _spender(body), body.provider()
    deadline = body.whole("deadline", required=True)
    signature = body.text("approveSignature", required=True)
    body.check()
    await _use_permit(call, signature or "", "approve", provider, spender, deadline=deadline)
    call.account.wallet.approve(provider, spender)
    return {}


async def _use_permit(
    call: Call, signature: str, kind: str, provider: str, about: str, *, deadline: int | None = None
) -> None:
    """Refuse a signature that was not made by the account's wallet over a waiting permit; use the permit up."""
    key = (kind, call.account.wallet_address, provider, about)
    waiting = call.state.permits.waiting(*key)
    if not waiting:
        problem = "No permit is waiting for this signature; request one, and use it once before it expires"
        raise RefusedError(400, problem)
    waiting = [it for it in waiting if deadline in (None, it["message"]["deadline"])]
    if not waiting:
        raise RefusedError(400, "deadline does not match the permit")
    for permit in waiting:
        by_owner = await _signed_by(call.state, permit, signature, call.account.wallet_address)
        if by_owner and call.state.permits.spend(permit, *key):
            return
    raise RefusedError(400, "The signature was not made by the account's wallet for this permit")


def _amount(body: Body) -> str:
    given = body.text("amount", required=True)
    if given is not None and not _AMOUNT.fullmatch(given):
        body.refuse("amount", "must be a positive integer as a decimal string")
    return given or ""


def _spender(body: Body) -> Spender:
    return "staker" if body.text("spender", required=True, allowed=("account", "staker")) == "staker" else "account"


def _sogni(amount: str) -> Decimal:
    return Decimal(f"{amount}E-18")


def _too_little(owner: str, requested: Decimal, owned: Decimal) -> RefusedError:
    message = f"Insufficient balance: the {owner} has {decimal_text(owned)} sogni, {decimal_text(requested)} required"
    return RefusedError(400, message, INSUFFICIENT_BALANCE)
