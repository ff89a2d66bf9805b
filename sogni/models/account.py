"""Account data: balances and who is signed in (account §5, §6, §15)."""

from __future__ import annotations

from decimal import Decimal

from attrs import field, frozen

from .base import Model, wire

ZERO = Decimal(0)


@frozen(kw_only=True)
class TokenBalance(Model):
    """Amounts of one token; `net` is what can be spent.

    `premium_credit` exists for Spark only; the unclaimed earnings only in a REST answer (account §6.1).
    """

    settled: Decimal = ZERO
    credit: Decimal = ZERO
    debit: Decimal = ZERO
    net: Decimal = ZERO
    premium_credit: Decimal | None = None
    relaxed_unclaimed: Decimal | None = None
    fast_unclaimed: Decimal | None = None


@frozen(kw_only=True)
class Balances(Model):
    """The balance in both tokens."""

    sogni: TokenBalance = field(factory=TokenBalance)
    spark: TokenBalance = field(factory=lambda: TokenBalance(premium_credit=ZERO))


@frozen(kw_only=True)
class AccountInfo(Model):
    """Who the credentials belong to (account §5)."""

    username: str | None = None
    wallet_address: str | None = None
    current_email: str | None = None
    email_verified: bool | None = None
    requested_updated_email: str | None = None
    discord_2fa: bool | None = field(default=None, metadata=wire("discord2FA"))
    discord_linked: bool | None = None
    discord_server_member: bool | None = None
    discord_username: str | None = None

    @property
    def email(self) -> str | None:
        """The same as `current_email`."""
        return self.current_email


@frozen(kw_only=True)
class WalletBalance(Model):
    """What a wallet holds outside of the account (account §6.2)."""

    sogni: Decimal = ZERO
    spark: Decimal = ZERO
    ether: Decimal = ZERO


@frozen(kw_only=True)
class UsernameValidation(Model):
    """What the service says of a user name; a taken one is an answer, too (account §12.2)."""

    status: str = "success"
    message: str | None = None
    error_code: int | None = None

    @property
    def available(self) -> bool:
        """Whether the name can be had."""
        return self.status != "error" and self.error_code is None
