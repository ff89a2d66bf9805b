"""Accounts: identity, balances, the wallet outside the service, the transaction history and the leaderboard.

An ``Account`` may be used from any thread: the server reserves and settles amounts, tests set balances. It knows no
HTTP and sends nothing; a listener is notified when a balance changes.
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

from attrs import Factory, define, evolve, field, frozen

from sogni.emulator.account.memberships import NO_MEMBERSHIP, NO_SNAPSHOT, Membership, UnlockPath
from sogni.emulator.account.rewards import Rewards
from sogni.emulator.persistence import Archive

Provider = Literal["base", "etherlink"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
ZERO = Decimal(0)


@frozen
class Holding:
    """Amounts on one chain. Numbers and strings become ``Decimal``.

    Attributes:
        sogni: Amount in Sogni.
        spark: Amount in Spark.
        ether: Amount in Ether.
    """

    sogni: Decimal = field(default=ZERO, converter=Decimal)
    spark: Decimal = field(default=ZERO, converter=Decimal)
    ether: Decimal = field(default=ZERO, converter=Decimal)


@define(eq=False)
class WalletBalances:
    """The balances of one wallet on every chain, and the approvals it has granted."""

    # Protocol notes: account §6.2, §9 to §11.

    _held: dict[Provider, Holding] = field(factory=dict)
    _approved: set[tuple[Provider, str]] = field(factory=set)
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def on(self, provider: Provider) -> Holding:
        with self._lock:
            return self._held.get(provider, Holding())

    def set(self, provider: Provider = "base", **amounts: Decimal | int | str) -> None:
        """Replace amounts on a chain: ``sogni``, ``spark``, ``ether``; omitted ones stay as they are."""
        with self._lock:
            self._held[provider] = evolve(self._held.get(provider, Holding()), **amounts)

    def move(self, provider: Provider, sogni: Decimal) -> bool:
        """Add to the Sogni on a chain, or subtract from it; return False if there is not enough."""
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


# Transaction history (account §12.1)


_LIMIT = 100_000
_PAYMENT = {"spark": "paid_spark", "sogni": "sogni"}


@frozen(kw_only=True)
class Transaction:
    """One movement; ``amount`` is negative for a payment. ``time`` is in epoch seconds."""

    sid: int
    id: str
    time: float
    token: Literal["spark", "sogni"]
    amount: Decimal
    description: str
    source: str
    source_sid: str

    def wire(self, address: str, address_sid: int) -> dict[str, object]:
        """Return the transaction as the list sends it: amounts are numbers, times are in milliseconds."""
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


# Accounts


Token = Literal["spark", "sogni"]


class InsufficientFundsError(Exception):
    """The balance does not cover a reservation; the message gives the required and the available amount."""


class NotFreeError(Exception):
    """The user name, email address or wallet belongs to another account."""


FREE_CREDIT_MODELS = frozenset({"krea2_turbo_fp8_scaled"})
"""The models that free monthly credits pay for over the API."""
# Protocol notes: additions-5x §0.


@frozen
class Balance:
    """Spendable amounts, net of reservations. Numbers and strings become ``Decimal``.

    Attributes:
        spark: Amount in paid Spark.
        sogni: Amount in Sogni.
        free_spark: Free monthly credits. Clients see them as part of their Spark balance, but they pay for
            ``krea2_turbo_fp8_scaled`` only.
    """

    spark: Decimal = field(default=ZERO, converter=Decimal)
    sogni: Decimal = field(default=ZERO, converter=Decimal)
    free_spark: Decimal = field(default=ZERO, converter=Decimal)


def decimal_text(amount: Decimal) -> str:
    """Format an amount as the service does: a plain decimal string without an exponent."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@define
class _TokenBalance:
    settled: Decimal
    debit: Decimal = ZERO
    free: Decimal = ZERO
    """The part of `settled` that is free credits."""
    free_debit: Decimal = ZERO
    """The part of `debit` that free credits may pay for. They are spent before paid ones."""

    @property
    def net(self) -> Decimal:
        return self.settled - self.debit

    @property
    def free_net(self) -> Decimal:
        return max(ZERO, self.free - self.free_debit)

    @property
    def paid_net(self) -> Decimal:
        return self.net - self.free_net

    def wire(self) -> dict[str, str]:
        return {
            "settled": decimal_text(self.settled),
            "credit": "0",
            "debit": decimal_text(self.debit),
            "net": decimal_text(self.net),
        }


def token_balances(
    spark: Decimal | int | str, sogni: Decimal | int | str, free_spark: Decimal | int | str = 0
) -> dict[Token, _TokenBalance]:
    """Return the balances of a new account."""
    free = Decimal(free_spark)
    return {"spark": _TokenBalance(Decimal(spark) + free, free=free), "sogni": _TokenBalance(Decimal(sogni))}


@define(eq=False)
class Account:
    """One user with a wallet address and a balance per token. All methods may be called from any thread.

    Attributes:
        username: User name.
        email: Email address.
        wallet_address: Address of the wallet.
        sid: Number of the account.
        api_key: The API key of the account, if it has one.
        password: The password its wallet is derived from, if known.
        wallet: The wallet outside the service.
        clock: Returns the time in epoch seconds.
        ledger: The transaction history.
        rewards: The rewards.
        membership: The subscription to a plan; None if it never had one.
        free_spark_lock: Whether free Spark is locked, and how it can be unlocked; None if unset.
        device_id: The ID of the device, as set by the client; None if unset.
    """

    username: str
    email: str
    wallet_address: str
    sid: int
    api_key: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    wallet: WalletBalances = field(factory=WalletBalances, repr=False)
    clock: Callable[[], float] = field(default=time.time, repr=False)
    ledger: Ledger = field(default=Factory(lambda self: Ledger(self.clock), takes_self=True), repr=False)
    rewards: Rewards = field(default=Factory(lambda self: Rewards(clock=self.clock), takes_self=True), repr=False)
    membership: Membership | None = field(default=None, repr=False)
    free_spark_lock: tuple[bool, UnlockPath | None] | None = field(default=None, repr=False)
    device_id: str | None = field(default=None, repr=False)
    _token_balances: dict[Token, _TokenBalance] = field(factory=dict, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)
    _listener: Callable[[Account], None] | None = field(default=None, repr=False)

    @property
    def balance(self) -> Balance:
        """The spendable amounts."""
        with self._lock:
            spark, sogni = self._token_balances["spark"], self._token_balances["sogni"]
            return Balance(spark=spark.paid_net, sogni=sogni.net, free_spark=spark.free_net)

    def set_balance(
        self,
        *,
        spark: Decimal | int | str | None = None,
        sogni: Decimal | int | str | None = None,
        free_spark: Decimal | int | str | None = None,
    ) -> None:
        """Replace the spendable amounts. Clients receive a ``balanceUpdate``.

        Args:
            spark: Amount in paid Spark; unchanged if None.
            sogni: Amount in Sogni; unchanged if None.
            free_spark: Free monthly credits; unchanged if None. See `Balance`.

        Example:
            >>> supernet.account.set_balance(spark=1)
            >>> client.account.account_balance().spark.net
            Decimal('1')
        """
        amounts: dict[Token, Decimal | int | str | None] = {"spark": spark, "sogni": sogni}
        with self._lock:
            for token, amount in amounts.items():
                if amount is not None:
                    token_balance = self._token_balances[token]
                    token_balance.settled += Decimal(amount) - token_balance.paid_net
            if free_spark is not None:
                token_balance = self._token_balances["spark"]
                token_balance.settled += Decimal(free_spark) - token_balance.free_net
                token_balance.free = Decimal(free_spark) + token_balance.free_debit
        self._changed()

    def settled(self) -> dict[str, str]:
        """Return the amounts owned, reservations included: what remains when the service restarts.

        Returns:
            Decimal strings by token; `free_spark` is not part of `spark`.
        """
        with self._lock:
            spark, sogni = self._token_balances["spark"], self._token_balances["sogni"]
            amounts = {"spark": spark.settled - spark.free, "sogni": sogni.settled, "free_spark": spark.free}
        return {name: decimal_text(amount) for name, amount in amounts.items()}

    def reserve(self, token: Token, amount: Decimal, *, model_id: str | None = None) -> bool:
        """Reserve an amount for a project.

        Args:
            token: "spark" or "sogni".
            amount: The amount.
            model_id: The model; free credits pay for some only. By default, they do not pay.

        Returns:
            True if free credits may pay, for `settle`.

        Raises:
            InsufficientFundsError: The balance is too low.
        """
        with self._lock:
            token_balance = self._token_balances[token]
            locked = self.free_spark_lock is not None and self.free_spark_lock[0]
            free = model_id in FREE_CREDIT_MODELS and not locked
            available = token_balance.net if free else token_balance.paid_net
            if available < amount:
                message = (
                    f"Insufficient balance: the project costs {decimal_text(amount)} {token},"
                    f" the account has {decimal_text(available)}"
                )
                if available < token_balance.net:
                    unusable = "are locked" if locked else f"pay for {', '.join(FREE_CREDIT_MODELS)} only"
                    message += f"; its {decimal_text(token_balance.free_net)} free credits {unusable}"
                raise InsufficientFundsError(message)
            token_balance.debit += amount
            if free:
                token_balance.free_debit += amount
        self._changed()
        return free

    def settle(
        self,
        token: Token,
        reserved: Decimal,
        spent: Decimal,
        *,
        free_credits: bool = False,
        source_sid: str = "",
        description: str = "Render",
    ) -> None:
        """End the reservation for a project: deduct what was spent and free the rest.

        Args:
            token: "spark" or "sogni".
            reserved: The reserved amount.
            spent: The amount to deduct.
            free_credits: Whether free credits may pay: what `reserve` returned. Default False.
            source_sid: Number of the project, for the transaction history. Default: none.
            description: Description, for the transaction history. Default "Render".
        """
        with self._lock:
            token_balance = self._token_balances[token]
            token_balance.debit -= reserved
            token_balance.settled -= spent
            if free_credits:
                token_balance.free_debit -= reserved
                token_balance.free = max(ZERO, token_balance.free - spent)
        if spent:
            self.ledger.add(token, -spent, description=description, source="project", source_sid=source_sid)
        self._changed()

    def move(self, token: Token, amount: Decimal, *, description: str, source: str) -> None:
        """Add an amount to the balance, or subtract a negative one.

        Args:
            token: "spark" or "sogni".
            amount: The amount.
            description: Description, for the transaction history.
            source: Source, for the transaction history.

        Raises:
            InsufficientFundsError: The balance is too low.
        """
        with self._lock:
            token_balance = self._token_balances[token]
            if token_balance.paid_net + amount < 0:
                raise InsufficientFundsError(
                    f"Insufficient balance: {decimal_text(-amount)} {token} are needed,"
                    f" the account has {decimal_text(token_balance.paid_net)}"
                )
            token_balance.settled += amount
        self.ledger.add(token, amount, description=description, source=source)
        self._changed()

    def forget_past(self) -> None:
        """Reset everything except the balance: history, claims, membership and approvals."""
        self.ledger.clear()
        self.rewards.clear()
        self.wallet.clear()
        self.membership, self.free_spark_lock, self.device_id = None, None, None

    def on_balance_change(self, listener: Callable[[Account], None]) -> None:
        """Set the function that is called after every change of the balance.

        Args:
            listener: Receives the account. It replaces the previous one.
        """
        self._listener = listener

    def balance_frame(self) -> dict[str, dict[str, str]]:
        """Return the balance in the form of the socket.

        Returns:
            The payload of ``balanceUpdate``.
        """
        # Protocol notes: transport §9.
        with self._lock:
            sogni, spark = self._token_balances["sogni"].wire(), self._token_balances["spark"].wire()
        return {"sogni": sogni, "spark": {**spark, "premiumCredit": "0"}}

    def balance_record(self) -> dict[str, dict[str, str]]:
        """Return the balance in the form of the REST API: the fields of the frame and two unclaimed amounts.

        Returns:
            The data of ``GET /v4/account/balance``.
        """
        # Protocol notes: account §6.1.
        unclaimed = {"relaxedUnclaimed": "0", "fastUnclaimed": "0"}
        return {token: {**amounts, **unclaimed} for token, amounts in self.balance_frame().items()}

    def tokens(self) -> dict[str, dict[str, str]]:
        """Return the balance as it is sent when a client connects.

        Returns:
            The ``tokens`` of the ``authenticated`` frame.
        """
        # Protocol notes: transport §9.1.
        with self._lock:
            return {"sogni": self._token_balances["sogni"].wire(), "spark": self._token_balances["spark"].wire()}

    def me(self) -> dict[str, str | bool]:
        """Return the account in the form of the REST API.

        Returns:
            The data of ``GET /v1/account/me``.
        """
        # Protocol notes: account §5.
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

    def subscription_record(self) -> dict[str, object]:
        """Return the subscription in the form of the REST API.

        Returns:
            The subscription of ``GET /v1/subscriptions/status``.
        """
        # Protocol notes: account §13.2.
        return dict(NO_SNAPSHOT) if self.membership is None else self.membership.snapshot()

    def entitlement_frame(self) -> dict[str, object]:
        """Return the subscription in the form of the socket.

        Returns:
            The payload of ``subscriptionEntitlementUpdated``.
        """
        # Protocol notes: account §13.5, §14.
        entitlement = dict(NO_MEMBERSHIP) if self.membership is None else self.membership.entitlement()
        return {**entitlement, **self.free_spark_fields()}

    def free_spark_fields(self) -> dict[str, object]:
        """Return whether free Spark is locked, in the form of the socket.

        Returns:
            The fields; empty if the lock is unset.
        """
        if self.free_spark_lock is None:
            return {}
        locked, path = self.free_spark_lock
        return {"freeSparkLocked": locked, **({} if path is None else {"freeSparkUnlockPath": path})}

    def _changed(self) -> None:
        if self._listener is not None:
            self._listener(self)


LOCAL_USERNAME = "local-artist"
LOCAL_PASSWORD = "local password"
# Derived from the two (account §2); a constant, so that an emulator starts without the signing library.
_LOCAL_ADDRESS = "0x6CFfaEF6418B57748d56AD59F3726c73Ad5C2636"
FIRST_SID = 1001


def new_api_key() -> str:
    """Draw the key of an initial account."""
    return f"local-{secrets.token_urlsafe(24)}"


def make_account(
    *,
    api_key: str | None = None,
    spark: Decimal | int | str = 10_000,
    sogni: Decimal | int | str = 10_000,
    free_spark: Decimal | int | str = 0,
    clock: Callable[[], float] = time.time,
) -> Account:
    """Create the initial account of an emulator. It has an API key, a user name and a password."""
    return Account(
        api_key=api_key or new_api_key(),
        password=LOCAL_PASSWORD,
        username=LOCAL_USERNAME,
        email="local-artist@example.test",
        wallet_address=_LOCAL_ADDRESS,
        sid=FIRST_SID,
        token_balances=token_balances(spark, sogni, free_spark),
        clock=clock,
    )


def load_account(
    directory: Path | None, api_key: str | None, owned: Balance, clock: Callable[[], float] = time.time
) -> Account:
    """Return the account saved in a data directory, or a new one if there is no directory.

    A given key replaces the saved one; a saved balance takes precedence over the given one.
    """
    archive = Archive(directory)
    try:
        archive.open()
        account = make_account(
            api_key=api_key or archive.fact("api_key"),
            spark=owned.spark,
            sogni=owned.sogni,
            free_spark=owned.free_spark,
            clock=clock,
        )
        balance = archive.fact(f"balance {account.wallet_address}")
        if balance is not None:
            account.set_balance(**{"free_spark": 0, **balance})
        if archive.persistent:
            archive.set_fact("api_key", account.api_key)
        return account
    except sqlite3.OperationalError as error:
        raise RuntimeError(f"{directory} is unusable: {error}; another emulator may be using it") from error
    finally:
        archive.close()


# Leaderboard (account §12.4): the accounts of the emulator compete with invented ones, so that there are several
# pages. Their values depend on type and period alone.


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
    """Return every entry with a value above 0, the best first."""
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
