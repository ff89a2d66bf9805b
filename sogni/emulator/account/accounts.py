"""Holdings: what an account's wallet has on the two chains, outside of the service (account §6.2, §9 to §11).

Called by the routes that move tokens between account and wallet, and from any thread by tests that fill a
wallet. Approvals stand here, too: they are facts of the chain.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

from attrs import define, evolve, field, frozen

from sogni.emulator.account.memberships import NO_MEMBERSHIP, NO_SNAPSHOT, Membership, UnlockPath
from sogni.emulator.account.rewards import Rewards
from sogni.emulator.persistence import Archive

Provider = Literal["base", "etherlink"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
ZERO = Decimal(0)


@frozen
class Holding:
    """Amounts on one chain. Numbers and texts become ``Decimal``."""

    sogni: Decimal = field(default=ZERO, converter=Decimal)
    spark: Decimal = field(default=ZERO, converter=Decimal)
    ether: Decimal = field(default=ZERO, converter=Decimal)


@define(eq=False)
class WalletBalances:
    """One wallet on every chain."""

    _held: dict[Provider, Holding] = field(factory=dict)
    _approved: set[tuple[Provider, str]] = field(factory=set)
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def on(self, provider: Provider) -> Holding:
        with self._lock:
            return self._held.get(provider, Holding())

    def set(self, provider: Provider = "base", **amounts: Decimal | int | str) -> None:
        """Replace amounts on a chain: ``sogni``, ``spark``, ``ether``; what is left out stays."""
        with self._lock:
            self._held[provider] = evolve(self._held.get(provider, Holding()), **amounts)

    def move(self, provider: Provider, sogni: Decimal) -> bool:
        """Add to the Sogni on a chain, or take from it; False when there is not enough."""
        with self._lock:
            held = self._held.get(provider, Holding())
            if held.sogni + sogni < 0:
                return False
            self._held[provider] = evolve(held, sogni=held.sogni + sogni)
            return True

    def approve(self, provider: Provider, spender: str) -> None:
        """Allow a contract of the service to take tokens from the wallet."""
        with self._lock:
            self._approved.add((provider, spender))

    def revoke_approvals(self) -> None:
        with self._lock:
            self._approved.clear()

    def approved(self, provider: Provider, spender: str) -> bool:
        with self._lock:
            return (provider, spender) in self._approved

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self._approved.clear()


# The ledger: what an account paid and received, as its transaction history tells (account §12.1).
#
# Written by the account whenever money moved for good, from any thread; read by the routes of the history and
# of the leaderboard.


_LIMIT = 100_000
_PAYMENT = {"spark": "paid_spark", "sogni": "sogni"}


@frozen(kw_only=True)
class Transaction:
    """One movement; ``amount`` is negative when it was paid. ``time`` is in epoch seconds."""

    sid: int
    id: str
    time: float
    token: Literal["spark", "sogni"]
    amount: Decimal
    description: str
    source: str
    source_sid: str

    def wire(self, address: str, address_sid: int) -> dict[str, Any]:
        """The transaction as the list sends it; amounts are numbers there, times milliseconds."""
        moment = round(self.time * 1000)
        record = {
            "_id": f"{self.sid:024x}",
            "id": self.id,
            "SID": self.sid,
            "address": address,
            "createTime": moment,
            "updateTime": moment,
            "status": "completed",
            "role": "artist",
            "clientSID": address_sid,
            "addressSID": address_sid,
            "amount": int(self.amount) if self.amount % 1 == 0 else float(self.amount),
            "description": self.description,
            "source": self.source,
            "sourceSID": self.source_sid,
            "endTime": moment,
            "type": "debit" if self.amount < 0 else "credit",
            "tokenType": self.token,
        }
        if self.source == "project":
            record |= {"billingMode": "tokens", "paymentModel": _PAYMENT[self.token]}
        return record


@define(eq=False)
class Ledger:
    """The transactions of one account; the newest 100,000 are kept."""

    clock: Callable[[], float] = time.time
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)
    _count: int = 0
    _entries: deque[Transaction] = field(factory=lambda: deque(maxlen=_LIMIT), repr=False)

    def add(
        self,
        token: Literal["spark", "sogni"],
        amount: Decimal,
        *,
        description: str,
        source: str,
        source_sid: str = "",
    ) -> None:
        with self._lock:
            self._count += 1
            self._entries.append(
                Transaction(
                    sid=self._count,
                    id=str(uuid.uuid4()).upper(),
                    time=self.clock(),
                    token=token,
                    amount=amount,
                    description=description,
                    source=source,
                    source_sid=source_sid,
                )
            )

    def newest_first(self) -> list[Transaction]:
        with self._lock:
            return list(reversed(self._entries))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


# An account: who somebody is, and what they own in Spark and Sogni.
#
# Called by the intake of projects (reserve, settle), by the routes about accounts and, from any thread, by
# tests that set a balance. It knows no HTTP and sends nothing: a listener is told that a balance changed.


Token = Literal["spark", "sogni"]


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
    wallet: WalletBalances = field(factory=WalletBalances, repr=False)
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


# The account behind the key, across starts: the same key, and what it owned last.
#
# Called when an emulator is made. Without a directory the account is a new one.


def kept_account(directory: Path | None, api_key: str | None, owned: Balance) -> Account:
    """Return the account a directory remembers. A key that is given replaces the kept one; the kept balance goes
    before that which is given."""
    archive = Archive(directory)
    try:
        archive.open()
        account = make_account(api_key=api_key or archive.fact("api_key"), spark=owned.spark, sogni=owned.sogni)
        balance = archive.fact(f"balance {account.wallet_address}")
        if balance is not None:
            account.set_balance(spark=balance["spark"], sogni=balance["sogni"])
        if archive.keeps:
            archive.set_fact("api_key", account.api_key)
        return account
    except sqlite3.OperationalError as error:
        raise RuntimeError(f"{directory} cannot be used: {error}; does another emulator run on it?") from error
    finally:
        archive.close()


# The leaderboard: who did most, by type and period (account §12.4).
#
# Called by its route. The accounts of the emulator compete with an invented cast, so that there are pages to
# turn; the cast's values depend on the type and period alone.


TYPES = (
    "renderUSDCompleteWorker",
    "renderUSDCompleteArtist",
    "renderSecCompleteWorker",
    "renderSecCompleteArtist",
    "renderTokenCompleteWorker",
    "renderTokenCompleteWorker2",
    "renderTokenCompleteArtist",
    "renderTokenCompleteArtist2",
    "jobCompleteWorker",
    "jobCompleteArtist",
    "projectCompleteArtist",
    "uloginWorker",
    "uloginArtist",
    "tokenVolume",
    "referral",
)
PERIODS = ("day", "lifetime")
NETWORKS = ("fast", "relaxed", "all")

_CAST = 45
_COUNTRIES = ("US", "DE", "JP", "BR", "CA", "FR", "IN")
_DAY = 24 * 3600


@frozen
class _Entry:
    username: str
    address: str
    country: str
    value: Decimal


def ranking(accounts: Sequence[Account], type: str, period: str, network: str, now: float) -> list[dict[str, Any]]:
    """Return everybody with a value above 0, the best first."""
    entries = [_invented(number, f"{type} {period} {network}") for number in range(_CAST)]
    since = now - _DAY if period == "day" else 0.0
    entries += [_of(account, type, since, now) for account in accounts]
    entries.sort(key=lambda entry: (-entry.value, entry.username))
    role = "worker" if "Worker" in type else "artist"
    return [
        {
            "rank": rank,
            "username": entry.username,
            "address": entry.address,
            "country": entry.country,
            "value": decimal_text(entry.value),
            "role": role,
        }
        for rank, entry in enumerate((entry for entry in entries if entry.value > 0), 1)
    ]


def _of(account: Account, type: str, since: float, until: float) -> _Entry:
    recent = [t for t in account.ledger.newest_first() if since <= t.time <= until]
    return _Entry(account.username, account.wallet_address, "", _value(recent, type))


def _value(transactions: Sequence[Transaction], type: str) -> Decimal:
    renders = [t for t in transactions if t.source == "project"]
    if type == "projectCompleteArtist":
        return Decimal(len(renders))
    if type in ("renderTokenCompleteArtist", "renderTokenCompleteArtist2"):
        token = "spark" if type.endswith("2") else "sogni"
        return -sum((t.amount for t in renders if t.token == token), Decimal(0))
    if type == "tokenVolume":
        return sum((abs(t.amount) for t in transactions), Decimal(0))
    return Decimal(0)


def _invented(number: int, board: str) -> _Entry:
    digest = hashlib.sha256(f"{board} {number}".encode()).digest()
    address = "0x" + hashlib.sha256(f"artist {number}".encode()).hexdigest()[:40]
    value = Decimal(int.from_bytes(digest[:4]) % 10_000_000).scaleb(-2)
    return _Entry(f"dreamer-{number:02}", address, _COUNTRIES[number % len(_COUNTRIES)], value + 1)
