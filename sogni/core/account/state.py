"""Subscriptions from two writers: decides what the socket's entitlement means, and which snapshot is the newer one.

Part of the account state (account §13.5). It asks for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from sogni.core.outbox import Listeners, Outbox
from sogni.errors import ProtocolError
from sogni.models.account import UNLIMITED_TIERS, AccountInfo, Balances, Subscription
from sogni.models.connection import NetworkStatus
from sogni.models.converter import read, to_dict

_STATUSES = {
    "trialing": "trialing",
    "active": "active",
    "expired": "expired",
    "grace": "grace_period",
    "revoked": "canceled",
    "needs_reconciliation": "past_due",
}
_LATEST = 253_402_300_799_000
"""The last second of the year 9999, in milliseconds: calendars end there."""
_COPIED = ("tier", "term", "provider", "scheduledTier", "scheduledTerm")


def snapshot_of(entitlement: Mapping[str, Any], now: float) -> Subscription:
    """The snapshot that an entitlement of the socket stands for. ProtocolError when it cannot be read."""
    given = entitlement.get("subscription")
    if not isinstance(given, Mapping) or not given.get("status"):
        return Subscription()
    if not isinstance(given["status"], str):
        raise ProtocolError("the status of the subscription entitlement is no text")
    active = entitlement.get("active") is True
    grace = given["status"] == "grace" and given.get("graceEnd")
    made: dict[str, Any] = {
        "active": active,
        "status": _status(given["status"], active),
        **{name: given[name] for name in _COPIED if given.get(name)},
        "currentPeriodStart": given.get("periodStart") or None,
        "currentPeriodEnd": (given["graceEnd"] if grace else given.get("periodEnd")) or None,
        "scheduledChangeAt": given.get("scheduledChangeAt") or None,
        "cancelAtPeriodEnd": _cancels(given),
        "paymentPending": True if given.get("paymentPending") else None,
        "fairUse": _fair_use(given.get("fairUse"), now),
        "capabilities": _capabilities(given, active),
        "version": given.get("version"),
    }
    return read(Subscription, made, "the subscription entitlement")


def _status(status: Any, active: bool) -> str:
    if status == "cancelled":
        return "cancel_at_period_end" if active else "canceled"
    return _STATUSES.get(status) or ("active" if active else "none")


def _cancels(given: Mapping[str, Any]) -> bool | None:
    flag = given.get("cancelAtPeriodEnd")
    if isinstance(flag, bool):
        return flag
    return True if given["status"] == "cancelled" else None


def _fair_use(given: Any, now: float) -> dict[str, Any] | None:
    if not isinstance(given, Mapping) or given.get("limited") is not True:
        return None
    reset = given.get("resetAt")
    if isinstance(reset, bool) or not isinstance(reset, int | float) or not now * 1000 < reset <= _LATEST:
        return None
    return {**given, "resetAt": datetime.fromtimestamp(reset / 1000, UTC).isoformat()}


def _capabilities(given: Mapping[str, Any], active: bool) -> Any:
    if isinstance(given.get("capabilities"), Mapping):
        return given["capabilities"]
    return {"unlimited": True} if active and given.get("tier") in UNLIMITED_TIERS else {}


def version_of(value: Any) -> float | None:
    """A version as a number, None when there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


class Ordering:
    """Which of two snapshots counts: a later one of the socket is not undone by a slower REST answer."""

    def __init__(self) -> None:
        self.socket_writes: int = 0
        self._highest: float | None = None

    def accepts(self, snapshot: Subscription, *, asked_at: int | None) -> bool:
        """Whether a snapshot is taken; `asked_at`: the socket writes when REST was asked, None for the socket."""
        version = version_of(snapshot.version)
        if version is not None and self._highest is not None and version < self._highest:
            return False
        if version is None and asked_at is not None and self.socket_writes > asked_at:
            return False
        if version is not None:
            self._highest = version
        if asked_at is None:
            self.socket_writes += 1
        return True

    def reset(self) -> None:
        """Nobody is signed in any more."""
        self._highest = None
        # Not back to zero: an answer that is still under way belongs to an earlier session.
        self.socket_writes += 1


# Who is signed in and what they have: decides what frames and answers change of it (account §15).
#
# Fed by the client state; it tells through the outbox.


ACCOUNT_EVENTS = frozenset({"updated"})
T = TypeVar("T")


def read_amounts(cls: type[T], data: Any, source: str) -> T:
    """A balance by token. ProtocolError for what names no token: nobody may take that for a balance of 0."""
    if isinstance(data, Mapping) and not {"sogni", "spark", "ether"} & data.keys():
        raise ProtocolError(f"{source} holds no balance")
    return read(cls, data, source)


class AccountState:
    """The live account; `updated` is told with the names of what became different."""

    def __init__(self, out: Outbox, network: str | None) -> None:
        self.listeners: Listeners = Listeners()
        self._out = out
        self.network_status: NetworkStatus = "disconnected"
        self.network: str | None = network
        self.balance: Balances = Balances()
        self.wallet_address: str | None = None
        self.username: str | None = None
        self.email: str | None = None
        self.subscription: Subscription | None = None
        self.free_spark_locked: bool | None = None
        self.free_spark_unlock_path: str | None = None
        self.ordering: Ordering = Ordering()

    def change(self, **values: Any) -> None:
        """Set what is different and tell of it once."""
        names = {name for name, value in values.items() if getattr(self, name) != value}
        for name in names:
            setattr(self, name, values[name])
        if names:
            self._out.tell(self.listeners, "updated", names)
            self._out.wake("account")

    def known(self, info: AccountInfo) -> None:
        """The answer of `me` (account §5); who it is does not become unknown by an answer that does not say."""
        said = {"username": info.username, "wallet_address": info.wallet_address}
        self.change(email=info.current_email, **{name: value for name, value in said.items() if value is not None})

    def reset(self) -> None:
        """Nobody is signed in any more."""
        self.change(
            network_status="disconnected",
            network=None,
            balance=Balances(),
            wallet_address=None,
            username=None,
            email=None,
            subscription=None,
            free_spark_locked=None,
            free_spark_unlock_path=None,
        )
        self.ordering.reset()

    def subscribed(self, snapshot: Subscription, asked_at: int) -> Subscription | None:
        """The answer of REST, asked for when the socket had written `asked_at` times; returns what counts now."""
        if self.ordering.accepts(snapshot, asked_at=asked_at):
            self.change(subscription=snapshot)
        return self.subscription

    def entitled(self, entitlement: dict[str, Any], now: float) -> None:
        """An entitlement of the socket (account §13.5)."""
        snapshot = snapshot_of(entitlement, now)
        if self.ordering.accepts(snapshot, asked_at=None):
            self.change(subscription=snapshot)

    def spark_lock(self, frame: dict[str, Any]) -> None:
        """Whether free Spark can be spent, when a frame says so (account §14)."""
        locked, path = frame.get("freeSparkLocked"), frame.get("freeSparkUnlockPath")
        if isinstance(locked, bool):
            self.change(free_spark_locked=locked, free_spark_unlock_path=path if isinstance(path, str) else None)

    def snapshot(self) -> dict[str, Any]:
        """The account at this moment, JSON-ready; what is not known is left out."""
        known = {
            "networkStatus": self.network_status,
            "network": self.network,
            "balance": to_dict(self.balance),
            "walletAddress": self.wallet_address,
            "username": self.username,
            "email": self.email,
            "subscription": to_dict(self.subscription),
            "freeSparkLocked": self.free_spark_locked,
            "freeSparkUnlockPath": self.free_spark_unlock_path,
        }
        return {name: value for name, value in known.items() if value is not None}
