"""Withdrawals, deposits and approvals of tokens, and the exact form of their amounts.

A request that moves tokens is sent once. Only a deposit rejected for lack of an allowance, which moved nothing, is
repeated. Amounts are never computed as floats.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from sogni.core.account.flows import fetch_account
from sogni.core.account.sign_in import wallet_of
from sogni.core.account.wallet import sign_permit
from sogni.core.checks import private_text
from sogni.core.flow import Flow, change, compute, pause
from sogni.core.http import number_text, post
from sogni.core.requests import request_data, request_once
from sogni.errors import ApiError, ProtocolError, ValidationError
from sogni.models.account import Wallet

# account §8 to §11
DECIMALS = 18
_PLAIN = re.compile(r"-?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"[\d.,eE+\- ]{0,40}", re.ASCII)
_MAX_DIGITS = 96


def smallest_units(amount: Any, *, positive: bool = False) -> str:
    """Return an amount as an 18-decimal integer string. Raises `ValidationError` if it is invalid."""
    text = _text_of(amount)
    if not _PLAIN.fullmatch(text) or len(text) > _MAX_DIGITS:
        raise _invalid("must be a plain decimal number such as '1.5'", amount)
    whole, _, decimals = text.partition(".")
    if decimals[DECIMALS:].strip("0"):
        raise _invalid(f"must have at most {DECIMALS} decimals", amount)
    units = int(whole.lstrip("-") + decimals[:DECIMALS].ljust(DECIMALS, "0"))
    if text.startswith("-"):
        units = -units
    if positive and units <= 0:
        raise _invalid("must be above 0", amount)
    return str(units)


def _text_of(amount: Any) -> str:
    if isinstance(amount, str):
        return amount
    if isinstance(amount, Decimal) and amount.is_finite() and -_MAX_DIGITS < amount.adjusted() < _MAX_DIGITS:
        return format(amount, "f")
    if isinstance(amount, float):
        return number_text(amount)
    return str(amount) if isinstance(amount, int) and not isinstance(amount, bool) and not _too_long(amount) else ""


def _too_long(amount: Any) -> bool:
    """Whether an integer has more digits than any amount; Python refuses to format some of those."""
    return isinstance(amount, int) and abs(amount) >= 10**_MAX_DIGITS


def _invalid(rule: str, amount: Any) -> ValidationError:
    # Any other string may be the password, passed in the wrong position.
    secret = isinstance(amount, str) and not _LIKE_A_NUMBER.fullmatch(amount)
    if isinstance(amount, str) and not secret:
        amount = str(amount)
    long = _too_long(amount)
    return ValidationError(
        f"amount {rule}, got {'another string' if secret else 'a longer number' if long else repr(amount)}",
        field="amount",
        value=None if secret or long else amount,
        allowed="a decimal number as a string or Decimal",
    )


# Transfers


SPENDERS = ("account", "staker")
INSUFFICIENT_ALLOWANCE = 149
DEPOSIT_TRIES = 4
DEPOSIT_PAUSE = 10.0
"""Seconds until an approval has reached the blockchain."""


def withdraw(password: str, amount: Any, provider: str) -> Flow[None]:
    """Withdraw tokens from the account to its wallet."""
    units = smallest_units(amount, positive=True)
    wallet = yield from _own_wallet(password)
    fields = {"walletAddress": wallet.address, "amount": units, "provider": provider}
    permit = yield from request_data(post("/v1/account/token/withdraw/permit", fields))
    signature = yield from compute("sign a withdrawal", lambda: sign_permit(wallet, permit))
    yield from request_once(post("/v2/account/token/withdraw", {**fields, "signature": signature}))


def deposit(password: str, amount: Any, provider: str) -> Flow[None]:
    """Deposit tokens from the wallet into the account, approving it first if the service requires that."""
    if not all((yield from _known())):
        # The password is checked before the amount (account §11), but an invalid amount sends no request.
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
            # Only the number means this; the same code as a string is another error (account §19).
            lacking = type(error.error_code) is int and error.error_code == INSUFFICIENT_ALLOWANCE
            if not lacking or attempt == DEPOSIT_TRIES:
                raise
        if attempt == 1:
            yield from _approve(wallet, "account", provider)
        yield from pause(DEPOSIT_PAUSE)


def approve_token_usage(password: str, spender: str, provider: str) -> Flow[None]:
    """Allow a contract of the service to spend the wallet's tokens."""
    if spender not in SPENDERS:
        # The value may be the password, passed in the wrong position, so it is not quoted.
        raise ValidationError("spender must be 'account' or 'staker'", field="spender", allowed=SPENDERS)
    wallet = yield from wallet_of((yield from _identity())[0], password)
    yield from _approve(wallet, spender, provider)


def _approve(wallet: Wallet, spender: str, provider: str) -> Flow[None]:
    fields = {"walletAddress": wallet.address, "spender": spender, "provider": provider}
    permit = yield from request_data(post("/v1/contract/token/approve/permit", fields))
    signature = yield from compute("sign an approval", lambda: sign_permit(wallet, permit))
    message = permit["message"]
    if "deadline" not in message:
        raise ProtocolError("the permit has no deadline")
    body = {**fields, "deadline": message["deadline"], "approveSignature": signature}
    yield from request_once(post("/v1/contract/token/approve", body))


def _known() -> Flow[tuple[str | None, str | None]]:
    return (yield from change(lambda state, _: (state.account.username, state.account.wallet_address)))


def _identity() -> Flow[tuple[str, str]]:
    """Return user name and wallet address; fetched if unknown."""
    known = yield from _known()
    if not all(known):
        info = yield from fetch_account()
        known = (info.username, info.wallet_address)
    username, address = known
    if not username or not address:
        raise ProtocolError("the response has no user name or wallet address")
    return username, address


def _own_wallet(password: str) -> Flow[Wallet]:
    """Return the account's wallet if the password is correct; otherwise nothing is sent."""
    private_text("password", password)
    username, address = yield from _identity()
    wallet = yield from wallet_of(username, password)
    if wallet.address.casefold() != address.casefold():
        raise ValidationError("Incorrect password", field="password")
    return wallet
