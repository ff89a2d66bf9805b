"""Accounts: identity, balances, the wallet outside the service, and the transaction history.

An ``Account`` may be used from any thread: the server reserves and settles amounts, tests set balances. It knows no
HTTP and sends nothing; a listener is notified when a balance changes.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from attrs import Factory, define, evolve, field, frozen

from sogni.emulator.account.memberships import Membership, UnlockPath
from sogni.emulator.account.rewards import Rewards
from sogni.emulator.declarations import AMOUNT, check_value, to_decimal
from sogni.emulator.persistence import Archive

Provider = Literal["base", "etherlink"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
Token = Literal["spark", "sogni"]
Amount = Decimal | int | str
ZERO = Decimal(0)


class InsufficientFundsError(Exception):
    """The balance does not cover a reservation; the message gives the required and the available amount."""


class NotFreeError(Exception):
    """The user name, email address or wallet belongs to another account."""


def check_amounts(**amounts: Any) -> None:
    """Raise ``ValueError`` unless all amounts are numbers of at least 0, or None."""
    for name, amount in amounts.items():
        check_value(name, Annotated[Decimal, AMOUNT] | None, amount)


def decimal_text(amount: Decimal) -> str:
    """Format an amount as the service does: a plain decimal string without an exponent."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@frozen
class Holding:
    """Amounts on one chain. Numbers and strings become ``Decimal``."""

    sogni: Decimal = field(default=ZERO, converter=to_decimal)
    spark: Decimal = field(default=ZERO, converter=to_decimal)
    ether: Decimal = field(default=ZERO, converter=to_decimal)


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

    def set(self, provider: Provider = "base", **amounts: Amount) -> None:
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


@frozen(kw_only=True)
class Transaction:
    """One movement; ``amount`` is negative for a payment. ``time`` is in epoch seconds."""

    sid: int
    id: str
    time: float
    token: Token
    amount: Decimal
    description: str
    source: str
    source_sid: str

    def wire(self, address: str, address_sid: int) -> dict[str, object]:
        """Return the transaction as the list sends it: amounts are numbers, times are in milliseconds."""
        moment = round(self.time * 1000)
        record: dict[str, object] = {
            "_id": f"{self.sid:024x}",
            "id": self.id,
            "SID": self.sid,
            "address": address,
            **dict.fromkeys(("createTime", "updateTime", "endTime"), moment),
            "status": "completed",
            "role": "artist",
            "clientSID": address_sid,
            "addressSID": address_sid,
            "amount": int(self.amount) if self.amount % 1 == 0 else float(self.amount),
            "description": self.description,
            "source": self.source,
            "sourceSID": self.source_sid,
            "type": "debit" if self.amount < 0 else "credit",
            "tokenType": self.token,
        }
        if self.source == "project":
            record |= {"billingMode": "tokens", "paymentModel": "paid_spark" if self.token == "spark" else "sogni"}
        return record


@define(eq=False)
class Ledger:
    """The transactions of one account; the newest 100,000 are kept."""

    clock: Callable[[], float] = time.time
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)
    _count: int = 0
    _entries: deque[Transaction] = field(factory=lambda: deque(maxlen=100_000), repr=False)

    def add(self, token: Token, amount: Decimal, *, description: str, source: str, source_sid: str = "") -> None:
        with self._lock:
            self._count += 1
            entry = Transaction(
                sid=self._count,
                id=str(uuid.uuid4()).upper(),
                time=self.clock(),
                token=token,
                amount=amount,
                description=description,
                source=source,
                source_sid=source_sid,
            )
            self._entries.append(entry)

    def newest_first(self) -> list[Transaction]:
        with self._lock:
            return list(reversed(self._entries))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


# Accounts


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

    spark: Decimal = field(default=ZERO, converter=to_decimal)
    sogni: Decimal = field(default=ZERO, converter=to_decimal)
    free_spark: Decimal = field(default=ZERO, converter=to_decimal)


@define
class _TokenBalance:
    settled: Decimal = ZERO
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
        amounts = {"settled": self.settled, "credit": ZERO, "debit": self.debit, "net": self.net}
        return {name: decimal_text(amount) for name, amount in amounts.items()}


@define(eq=False)
class Funds:
    """The amounts of one account per token, what is reserved of them, and the history of both."""

    ledger: Ledger
    locked: Callable[[], bool]
    """Returns whether free credits are locked."""
    changed: Callable[[], None]
    _of: dict[Token, _TokenBalance] = field(
        factory=lambda: {"spark": _TokenBalance(ZERO), "sogni": _TokenBalance(ZERO)}
    )
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def spendable(self) -> Balance:
        with self._lock:
            spark, sogni = self._of["spark"], self._of["sogni"]
            return Balance(spark=spark.paid_net, sogni=sogni.net, free_spark=spark.free_net)

    def set(self, spark: Amount | None, sogni: Amount | None, free_spark: Amount | None) -> None:
        amounts: dict[Token, Amount | None] = {"spark": spark, "sogni": sogni}
        with self._lock:
            for token, amount in amounts.items():
                if amount is not None:
                    self._of[token].settled += Decimal(amount) - self._of[token].paid_net
            if free_spark is not None:
                balance = self._of["spark"]
                balance.settled += Decimal(free_spark) - balance.free_net
                balance.free = Decimal(free_spark) + balance.free_debit
        self.changed()

    def settled(self) -> dict[str, str]:
        """Return the amounts owned, reservations included: what remains when the service restarts."""
        with self._lock:
            spark, sogni = self._of["spark"], self._of["sogni"]
            amounts = {"spark": spark.settled - spark.free, "sogni": sogni.settled, "free_spark": spark.free}
        return {name: decimal_text(amount) for name, amount in amounts.items()}

    def wire(self) -> dict[str, dict[str, str]]:
        with self._lock:
            return {"sogni": self._of["sogni"].wire(), "spark": self._of["spark"].wire()}

    def reserve(self, token: Token, amount: Decimal, *, model_id: str | None = None) -> bool:
        """Reserve an amount for a project, or raise ``InsufficientFundsError``.

        Return True if free credits may pay for the model, for `settle`.
        """
        with self._lock:
            balance, locked = self._of[token], self.locked()
            free = model_id in FREE_CREDIT_MODELS and not locked
            available = balance.net if free else balance.paid_net
            if available < amount:
                message = (
                    f"Insufficient balance: the project costs {decimal_text(amount)} {token},"
                    f" the account has {decimal_text(available)}"
                )
                if available < balance.net:
                    unusable = "are locked" if locked else f"pay for {', '.join(FREE_CREDIT_MODELS)} only"
                    message += f"; its {decimal_text(balance.free_net)} free credits {unusable}"
                raise InsufficientFundsError(message)
            balance.debit += amount
            if free:
                balance.free_debit += amount
        self.changed()
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
        """End the reservation for a project: deduct what was spent and free the rest."""
        with self._lock:
            balance = self._of[token]
            balance.debit -= reserved
            balance.settled -= spent
            if free_credits:
                balance.free_debit -= reserved
                balance.free = max(ZERO, balance.free - spent)
        if spent:
            self.ledger.add(token, -spent, description=description, source="project", source_sid=source_sid)
        self.changed()

    def move(self, token: Token, amount: Decimal, *, description: str, source: str) -> None:
        """Add an amount to the balance, or subtract a negative one, or raise ``InsufficientFundsError``."""
        with self._lock:
            balance = self._of[token]
            if balance.paid_net + amount < 0:
                raise InsufficientFundsError(
                    f"Insufficient balance: {decimal_text(-amount)} {token} are needed,"
                    f" the account has {decimal_text(balance.paid_net)}"
                )
            balance.settled += amount
        self.ledger.add(token, amount, description=description, source=source)
        self.changed()


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
        funds: The amounts and reservations.
        rewards: The rewards.
        membership: The subscription to a plan; None if it never had one.
        free_spark_lock: Whether free Spark is locked, and how it can be unlocked; None if unset.
        device_id: The ID of the device, as set by the client; None if unset.
        listener: Called with the account after every change of the balance.
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
    funds: Funds = field(init=False, repr=False)
    rewards: Rewards = field(default=Factory(lambda self: Rewards(clock=self.clock), takes_self=True), repr=False)
    membership: Membership | None = field(default=None, repr=False)
    free_spark_lock: tuple[bool, UnlockPath | None] | None = field(default=None, repr=False)
    device_id: str | None = field(default=None, repr=False)
    listener: Callable[[Account], None] | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        self.funds = Funds(self.ledger, self._locked, self._changed)

    @property
    def balance(self) -> Balance:
        """The spendable amounts."""
        return self.funds.spendable()

    def set_balance(
        self, *, spark: Amount | None = None, sogni: Amount | None = None, free_spark: Amount | None = None
    ) -> None:
        """Replace the spendable amounts. Clients receive a ``balanceUpdate``.

        Args:
            spark: Amount in paid Spark; unchanged if None.
            sogni: Amount in Sogni; unchanged if None.
            free_spark: Free monthly credits; unchanged if None. See `Balance`.

        Raises:
            ValueError: An amount is not a number, or negative.

        Example:
            >>> supernet.account.set_balance(spark=1)
            >>> client.account.account_balance().spark.net
            Decimal('1')
        """
        check_amounts(spark=spark, sogni=sogni, free_spark=free_spark)
        self.funds.set(spark, sogni, free_spark)

    def forget_past(self) -> None:
        """Reset everything except the balance: history, claims, membership and approvals."""
        self.ledger.clear()
        self.rewards.clear()
        self.wallet.clear()
        self.membership, self.free_spark_lock, self.device_id = None, None, None

    def _locked(self) -> bool:
        return self.free_spark_lock is not None and self.free_spark_lock[0]

    def _changed(self) -> None:
        if self.listener is not None:
            self.listener(self)


LOCAL_USERNAME = "local-artist"
LOCAL_PASSWORD = "local password"
# Derived from the two (account §2); a constant, so that an emulator starts without the signing library.
_LOCAL_ADDRESS = "0x6CFfaEF6418B57748d56AD59F3726c73Ad5C2636"
FIRST_SID = 1001


def new_api_key() -> str:
    return f"local-{secrets.token_urlsafe(24)}"


def make_account(
    *,
    api_key: str | None = None,
    spark: Amount = 10_000,
    sogni: Amount = 10_000,
    free_spark: Amount = 0,
    clock: Callable[[], float] = time.time,
) -> Account:
    """Create the initial account of an emulator. It has an API key, a user name and a password."""
    account = Account(
        api_key=api_key or new_api_key(),
        password=LOCAL_PASSWORD,
        username=LOCAL_USERNAME,
        email="local-artist@example.test",
        wallet_address=_LOCAL_ADDRESS,
        sid=FIRST_SID,
        clock=clock,
    )
    account.funds.set(spark, sogni, free_spark)
    return account


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
            account.funds.set(**{"free_spark": 0, **balance})
        if archive.persistent:
            archive.set_fact("api_key", account.api_key)
        return account
    except sqlite3.OperationalError as error:
        raise RuntimeError(f"{directory} is unusable: {error}; another emulator may be using it") from error
    finally:
        archive.close()
