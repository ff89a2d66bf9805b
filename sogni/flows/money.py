"""Moving tokens: decides the order of permits and signatures, and what is sent again (account §9 to §11).

Called by `client.account`. A request that moves money is sent once; only a deposit that was refused for want of an
allowance, and so moved nothing, is asked for again.
"""

from __future__ import annotations

from typing import Any

from ..errors import ApiError, ProtocolError, ValidationError
from ..models.session import Wallet
from ..protocol.amounts import smallest_units
from ..protocol.http import post
from ..protocol.wallet import check_text, sign_permit
from .account import fetch_account
from .requests import ask_data, request_once
from .signing_in import wallet_of
from .steps import Flow, change, compute, pause

SPENDERS = ("account", "staker")
INSUFFICIENT_ALLOWANCE = 149
DEPOSIT_TRIES = 4
DEPOSIT_PAUSE = 10.0
"""Seconds until an approval has reached the chain (account §11)."""


def withdraw(password: str, amount: Any, provider: str) -> Flow[None]:
    """Take tokens out of the account into its wallet."""
    units = smallest_units(amount, positive=True)
    wallet = yield from _own_wallet(password)
    asked = {"walletAddress": wallet.address, "amount": units, "provider": provider}
    permit = yield from ask_data(post("/v1/account/token/withdraw/permit", asked))
    signature = yield from compute("sign a withdrawal", lambda: sign_permit(wallet, permit))
    yield from request_once(post("/v2/account/token/withdraw", {**asked, "signature": signature}))


def deposit(password: str, amount: Any, provider: str) -> Flow[None]:
    """Bring tokens from the wallet into the account; approves it first when the service asks for that."""
    if not all((yield from _known())):
        # A wrong password comes first (account §11), but nobody is asked who it is for an amount that is none.
        smallest_units(amount)
    wallet = yield from _own_wallet(password)
    body = {"walletAddress": wallet.address, "amount": smallest_units(amount), "provider": provider}
    attempt = 0
    while True:
        attempt += 1
        try:
            yield from request_once(post("/v3/account/token/deposit", body))
            return
        except ApiError as error:
            # Compared as a number: a text is another code (account §19).
            lacking = type(error.error_code) is int and error.error_code == INSUFFICIENT_ALLOWANCE
            if not lacking or attempt == DEPOSIT_TRIES:
                raise
        if attempt == 1:
            yield from _approve(wallet, "account", provider)
        yield from pause(DEPOSIT_PAUSE)


def approve_token_usage(password: str, spender: str, provider: str) -> Flow[None]:
    """Let a contract of the service spend tokens of the wallet."""
    if spender not in SPENDERS:
        # What was given may be the password, with the arguments the wrong way round.
        raise ValidationError("spender must be 'account' or 'staker'", field="spender", allowed=SPENDERS)
    wallet = yield from wallet_of((yield from _identity())[0], password)
    yield from _approve(wallet, spender, provider)


def _approve(wallet: Wallet, spender: str, provider: str) -> Flow[None]:
    asked = {"walletAddress": wallet.address, "spender": spender, "provider": provider}
    permit = yield from ask_data(post("/v1/contract/token/approve/permit", asked))
    signature = yield from compute("sign an approval", lambda: sign_permit(wallet, permit))
    message = permit["message"]
    if "deadline" not in message:
        raise ProtocolError("the permit names no deadline")
    body = {**asked, "deadline": message["deadline"], "approveSignature": signature}
    yield from request_once(post("/v1/contract/token/approve", body))


def _known() -> Flow[tuple[str | None, str | None]]:
    return (yield from change(lambda state, _: (state.account.username, state.account.wallet_address)))


def _identity() -> Flow[tuple[str, str]]:
    """User name and wallet address; asked for when they are not known yet."""
    known = yield from _known()
    if not all(known):
        info = yield from fetch_account()
        known = (info.username, info.wallet_address)
    username, address = known
    if not username or not address:
        raise ProtocolError("the service does not say whose account this is")
    return username, address


def _own_wallet(password: str) -> Flow[Wallet]:
    """The wallet of the account, if the password is the right one: nothing is sent otherwise (account §9)."""
    check_text("password", password)
    username, address = yield from _identity()
    wallet = yield from wallet_of(username, password)
    if wallet.address.casefold() != address.casefold():
        raise ValidationError("Incorrect password", field="password")
    return wallet
