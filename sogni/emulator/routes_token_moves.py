"""The REST host's routes that move Sogni between account and wallet: withdraw, deposit, approve (account §9 to
§11).

Installed by the server. Amounts are whole numbers of 10^-18 Sogni, as texts.
"""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal

from aiohttp import web
from attrs import define

from .account_requests import (
    INSUFFICIENT_ALLOWANCE,
    INSUFFICIENT_BALANCE,
    Body,
    RefusedError,
    for_account_body,
)
from .accounts import Account, InsufficientFundsError, decimal_text
from .permits import Key, Permits, Spender
from .replies import success
from .state import State
from .wallets import signer_of

_AMOUNT = re.compile(r"[1-9][0-9]{0,77}")
_SPENDERS: tuple[Spender, ...] = ("account", "staker")
_WRONG_SIGNATURE = "The signature is not by the account's wallet, or not of this permit"


@define
class _Moves:
    """The three operations."""

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
        held = account.wallet.on(provider).sogni
        if held < sogni:
            raise _too_little("wallet", sogni, held)
        if not account.wallet.approved(provider, "account"):
            raise RefusedError(400, "The deposit contract may not spend that much yet", INSUFFICIENT_ALLOWANCE)
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
        """Refuse a signature that is not by the account's wallet over a permit that waits for it; it is used up."""
        waiting, loop = self.permits.waiting(*key), asyncio.get_running_loop()
        if not waiting:
            raise RefusedError(400, "No permit waits for this signature: ask for one, and use it once and soon")
        if deadline is not None:
            waiting = [it for it in waiting if it["message"]["deadline"] == deadline]
            if not waiting:
                raise RefusedError(400, "deadline is not that of the permit")
        for permit in waiting:
            signer = await loop.run_in_executor(self.state.store.executor, signer_of, permit, signature)
            by_owner = signer is not None and signer.lower() == account.wallet_address.lower()
            if by_owner and self.permits.spend(permit, *key):
                return
        raise RefusedError(400, _WRONG_SIGNATURE)


def add_token_routes(app: web.Application, state: State) -> None:
    moves = _Moves(state, Permits(state.clock, state.accounts.testnet))
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
        body.refuse("amount", "must be a whole number above 0 in decimal digits, as a text")
    return given or ""


def _spender(body: Body) -> Spender:
    given = body.text("spender", required=True, allowed=_SPENDERS)
    return "staker" if given == "staker" else "account"


def _sogni(amount: str) -> Decimal:
    return Decimal(f"{amount}E-18")


def _check_funds(account: Account, amount: str) -> None:
    wanted, owned = _sogni(amount), account.balance.sogni
    if owned < wanted:
        raise _too_little("account", wanted, owned)


def _too_little(owner: str, wanted: Decimal, owned: Decimal) -> RefusedError:
    message = f"Insufficient balance: the {owner} has {decimal_text(owned)} sogni, not {decimal_text(wanted)}"
    return RefusedError(400, message, INSUFFICIENT_BALANCE)
