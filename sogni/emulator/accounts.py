"""An account: who somebody is, and what they own in Spark and Sogni.

Called by the intake of projects (reserve, settle), by the routes about accounts and, from any thread, by
tests that set a balance. It knows no HTTP and sends nothing: a listener is told that a balance changed.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

from attrs import define, field, frozen

from .holdings import Holdings
from .ledger import Ledger
from .memberships import NO_MEMBERSHIP, NO_SNAPSHOT, Membership, UnlockPath
from .rewards import Rewards

Token = Literal["spark", "sogni"]
ZERO = Decimal(0)


class InsufficientFundsError(Exception):
    """The balance does not cover a reservation; the text says what is there and what is needed."""


class NotFreeError(Exception):
    """A user name, an e-mail address or a wallet that another account has."""


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


def purses(spark: Decimal | int | str, sogni: Decimal | int | str) -> dict[Token, _Purse]:
    """Return the purses of a new account."""
    return {"spark": _Purse(Decimal(spark)), "sogni": _Purse(Decimal(sogni))}


@define(eq=False)
class Account:
    """One user with an address and two purses. Every method may be called from any thread.

    api_key: the key it may use, if it has one.
    password: what its wallet is derived from, if the emulator was told.
    wallet: what it owns outside of the service.
    membership: its subscription to a plan; None when it never had one.
    """

    username: str
    email: str
    wallet_address: str
    sid: int
    api_key: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    wallet: Holdings = field(factory=Holdings, repr=False)
    ledger: Ledger = field(factory=Ledger, repr=False)
    rewards: Rewards = field(factory=Rewards, repr=False)
    membership: Membership | None = field(default=None, repr=False)
    free_spark_lock: tuple[bool, UnlockPath | None] | None = field(default=None, repr=False)
    device_id: str | None = field(default=None, repr=False)
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

    def settled(self) -> dict[str, str]:
        """Return what is owned, reservations included: what remains when the service forgets them."""
        with self._lock:
            return {token: decimal_text(purse.settled) for token, purse in self._purses.items()}

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

    def settle(
        self, token: Token, reserved: Decimal, spent: Decimal, *, source_sid: str = "", description: str = "Render"
    ) -> None:
        """End the reservation for a project: what was spent is gone, the rest is free again."""
        with self._lock:
            purse = self._purses[token]
            purse.debit -= reserved
            purse.settled -= spent
        if spent:
            self.ledger.add(token, -spent, description=description, source="project", source_sid=source_sid)
        self._changed()

    def move(self, token: Token, amount: Decimal, *, description: str, source: str) -> None:
        """Add an amount, or take a negative one away, or raise ``InsufficientFundsError``."""
        with self._lock:
            purse = self._purses[token]
            if purse.net + amount < 0:
                raise InsufficientFundsError(
                    f"Insufficient balance: {decimal_text(-amount)} {token} are needed,"
                    f" the account has {decimal_text(purse.net)}"
                )
            purse.settled += amount
        self.ledger.add(token, amount, description=description, source=source)
        self._changed()

    def forget_past(self) -> None:
        """Be as at the start, save for the balance: no history, no claims, no membership, no approvals."""
        self.ledger.clear()
        self.rewards.clear()
        self.wallet.clear()
        self.membership, self.free_spark_lock, self.device_id = None, None, None

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

    def subscription_record(self) -> dict[str, Any]:
        """The subscription as ``GET /v1/subscriptions/status`` has it (account §13.2)."""
        return dict(NO_SNAPSHOT) if self.membership is None else self.membership.snapshot()

    def entitlement_frame(self) -> dict[str, Any]:
        """The payload of ``subscriptionEntitlementUpdated`` (account §13.5, §14)."""
        entitlement = dict(NO_MEMBERSHIP) if self.membership is None else self.membership.entitlement()
        return {**entitlement, **self.free_spark_fields()}

    def free_spark_fields(self) -> dict[str, Any]:
        if self.free_spark_lock is None:
            return {}
        locked, path = self.free_spark_lock
        return {"freeSparkLocked": locked, **({} if path is None else {"freeSparkUnlockPath": path})}

    def _changed(self) -> None:
        if self._listener is not None:
            self._listener(self)


LOCAL_USERNAME = "local-artist"
LOCAL_PASSWORD = "local password"
# What the two derive (account §2); written down, so that an emulator starts without the signing library.
_LOCAL_ADDRESS = "0x6CFfaEF6418B57748d56AD59F3726c73Ad5C2636"
FIRST_SID = 1001


def make_account(
    *,
    api_key: str | None = None,
    spark: Decimal | int | str = 10_000,
    sogni: Decimal | int | str = 10_000,
) -> Account:
    """Make the account an emulator starts with. It has a key, and a user name and a password as well."""
    return Account(
        api_key=api_key or f"local-{secrets.token_urlsafe(24)}",
        password=LOCAL_PASSWORD,
        username=LOCAL_USERNAME,
        email="local-artist@example.test",
        wallet_address=_LOCAL_ADDRESS,
        sid=FIRST_SID,
        purses=purses(spark, sogni),
    )
