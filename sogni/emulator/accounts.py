"""Accounts: who may use the emulator, and what they own in Spark and Sogni.

Called by the gates of both hosts (who is it), by the intake of projects (reserve, settle) and, from any
thread, by tests that set a balance. It knows no HTTP and sends nothing: a listener is told that a balance
changed.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

from attrs import define, field, frozen

Token = Literal["spark", "sogni"]
ZERO = Decimal(0)


class InsufficientFundsError(Exception):
    """The balance does not cover a reservation; the text says what is there and what is needed."""


@frozen
class Balance:
    """Spendable amounts, reservations already taken off. Numbers and texts become ``Decimal``."""

    spark: Decimal = field(default=ZERO, converter=Decimal)
    sogni: Decimal = field(default=ZERO, converter=Decimal)


def decimal_text(amount: Decimal) -> str:
    """Write an amount as the service does: a plain decimal text without exponent."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@define
class _Purse:
    settled: Decimal
    debit: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.settled - self.debit

    def wire(self) -> dict[str, str]:
        return {
            "settled": decimal_text(self.settled),
            "credit": "0",
            "debit": decimal_text(self.debit),
            "net": decimal_text(self.net),
        }


@define(eq=False)
class Account:
    """One user with a key, an address and two purses. Every method may be called from any thread."""

    api_key: str = field(repr=False)
    username: str
    email: str
    wallet_address: str
    sid: int
    _purses: dict[Token, _Purse] = field(factory=dict, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)
    _listener: Callable[[Account], None] | None = field(default=None, repr=False)

    @property
    def balance(self) -> Balance:
        with self._lock:
            return Balance(self._purses["spark"].net, self._purses["sogni"].net)

    def set_balance(
        self, *, spark: Decimal | int | str | None = None, sogni: Decimal | int | str | None = None
    ) -> None:
        """Replace the spendable amounts; a token left out keeps its amount. Clients get a
        ``balanceUpdate``."""
        amounts: dict[Token, Decimal | int | str | None] = {"spark": spark, "sogni": sogni}
        with self._lock:
            for token, amount in amounts.items():
                if amount is not None:
                    purse = self._purses[token]
                    purse.settled = Decimal(amount) + purse.debit
        self._changed()

    def reserve(self, token: Token, amount: Decimal) -> None:
        """Hold an amount for a project, or raise ``InsufficientFundsError``."""
        with self._lock:
            purse = self._purses[token]
            if purse.net < amount:
                raise InsufficientFundsError(
                    f"Insufficient balance: the project costs {decimal_text(amount)} {token},"
                    f" the account has {decimal_text(purse.net)}"
                )
            purse.debit += amount
        self._changed()

    def settle(self, token: Token, reserved: Decimal, spent: Decimal) -> None:
        """End a reservation: what was spent is gone, the rest is free again."""
        with self._lock:
            purse = self._purses[token]
            purse.debit -= reserved
            purse.settled -= spent
        self._changed()

    def on_balance_change(self, listener: Callable[[Account], None]) -> None:
        self._listener = listener

    def balance_frame(self) -> dict[str, dict[str, str]]:
        """The payload of ``balanceUpdate`` (transport §9)."""
        with self._lock:
            sogni, spark = self._purses["sogni"].wire(), self._purses["spark"].wire()
        return {"sogni": sogni, "spark": {**spark, "premiumCredit": "0"}}

    def balance_record(self) -> dict[str, dict[str, str]]:
        """The data of ``GET /v4/account/balance`` (account §6.1): the frame's fields and two unclaimed
        amounts."""
        unclaimed = {"relaxedUnclaimed": "0", "fastUnclaimed": "0"}
        return {token: {**amounts, **unclaimed} for token, amounts in self.balance_frame().items()}

    def tokens(self) -> dict[str, dict[str, str]]:
        """The ``tokens`` of the ``authenticated`` frame (transport §9.1)."""
        with self._lock:
            return {"sogni": self._purses["sogni"].wire(), "spark": self._purses["spark"].wire()}

    def me(self) -> dict[str, str | bool]:
        """The data of ``GET /v1/account/me`` (account §5)."""
        return {
            "currentEmail": self.email,
            "discord2FA": False,
            "discordLinked": False,
            "discordServerMember": False,
            "discordUsername": "",
            "emailVerified": True,
            "requestedUpdatedEmail": "",
            "username": self.username,
            "walletAddress": self.wallet_address,
        }

    def _changed(self) -> None:
        if self._listener is not None:
            self._listener(self)


def make_account(
    *, api_key: str | None = None, spark: Decimal | int | str = 10_000, sogni: Decimal | int | str = 10_000
) -> Account:
    """Make the account an emulator starts with."""
    return Account(
        api_key=api_key or f"local-{secrets.token_urlsafe(24)}",
        username="local-artist",
        email="local-artist@example.test",
        wallet_address="0x28578Fb373d3E2a2431cd7e2eCCed24a0eDE234E",
        sid=1001,
        purses={"spark": _Purse(Decimal(spark)), "sogni": _Purse(Decimal(sogni))},
    )


@define
class Accounts:
    """All accounts of one emulator, and the rule that tells from a request's headers whose it is."""

    _accounts: list[Account] = field(factory=list)

    def add(self, account: Account) -> Account:
        self._accounts.append(account)
        return account

    def identify(self, headers: Mapping[str, str]) -> Account | None:
        """Return the account of an ``api-key`` header (transport §5), or None."""
        given = headers.get("api-key", "")
        for account in self._accounts:
            if secrets.compare_digest(account.api_key.encode(), given.encode()):
                return account
        return None
