"""The live account: identity, balance and subscription, updated from frames and responses."""

# account §13.5, §15

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
"""The last second of the year 9999, in milliseconds: the latest representable date."""
_COPIED = ("tier", "term", "provider", "scheduledTier", "scheduledTerm")


def snapshot_of(entitlement: Mapping[str, Any], now: float) -> Subscription:
    """Return the subscription for an entitlement from the socket. Raises `ProtocolError` if it is malformed."""
    given = entitlement.get("subscription")
    if not isinstance(given, Mapping) or not given.get("status"):
        return Subscription()
    if not isinstance(given["status"], str):
        raise ProtocolError("the status of the subscription entitlement is not a string")
    active = entitlement.get("active") is True
    grace = given["status"] == "grace" and given.get("graceEnd")
    fields: dict[str, Any] = {
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
    return read(Subscription, fields, "the subscription entitlement")


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
    """Return a version as a number, None if there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


class Ordering:
    """Order of subscription snapshots: a slow REST response never replaces a newer one from the socket."""

    def __init__(self) -> None:
        self.socket_writes: int = 0
        self._highest: float | None = None

    def accepts(self, snapshot: Subscription, *, requested_at: int | None) -> bool:
        """Whether to apply a snapshot; `requested_at`: socket writes at the REST request, None for the socket."""
        version = version_of(snapshot.version)
        if version is not None and self._highest is not None and version < self._highest:
            return False
        if version is None and requested_at is not None and self.socket_writes > requested_at:
            return False
        if version is not None:
            self._highest = version
        if requested_at is None:
            self.socket_writes += 1
        return True

    def reset(self) -> None:
        """Start a new session."""
        self._highest = None
        # The counter is not reset: a response still under way belongs to an earlier session.
        self.socket_writes += 1


# The account


ACCOUNT_EVENTS = frozenset({"updated"})
T = TypeVar("T")


def read_amounts(cls: type[T], data: Any, source: str) -> T:
    """Return a balance by token. Raises `ProtocolError` if it has no token, which must not count as a balance of 0."""
    if isinstance(data, Mapping) and not {"sogni", "spark", "ether"} & data.keys():
        raise ProtocolError(f"{source} contains no balance")
    return read(cls, data, source)


class AccountState:
    """The live account; `updated` is emitted with the names of the changed properties."""

    def __init__(self, out: Outbox, network: str | None) -> None:
        self.listeners: Listeners = Listeners()
        self._out = out
        self.number: int = 0
        """Number of accounts before this one, to recognize work for an earlier one."""
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
        """Set the given properties and emit one event for those that changed."""
        names = {name for name, value in values.items() if getattr(self, name) != value}
        for name in names:
            setattr(self, name, values[name])
        if names:
            self._out.notify(self.listeners, "updated", names)
            self._out.wake("account")

    def set_identity(self, info: AccountInfo) -> None:
        """Apply the response of `me`; fields it omits keep their values."""
        identity = {"username": info.username, "wallet_address": info.wallet_address}
        self.change(email=info.current_email, **{name: value for name, value in identity.items() if value is not None})

    def reset(self) -> None:
        """Clear the account after signing out."""
        self.number += 1
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

    def apply_subscription(self, snapshot: Subscription, requested_at: int) -> Subscription | None:
        """Apply a REST response requested at socket write `requested_at`; return the subscription now in effect."""
        if self.ordering.accepts(snapshot, requested_at=requested_at):
            self.change(subscription=snapshot)
        return self.subscription

    def apply_entitlement(self, entitlement: dict[str, Any], now: float) -> None:
        """Apply an entitlement from the socket."""
        snapshot = snapshot_of(entitlement, now)
        if self.ordering.accepts(snapshot, requested_at=None):
            self.change(subscription=snapshot)

    def apply_spark_lock(self, frame: dict[str, Any]) -> None:
        """Apply whether free Spark can be spent, if the frame contains that."""
        locked, path = frame.get("freeSparkLocked"), frame.get("freeSparkUnlockPath")
        if isinstance(locked, bool):
            self.change(free_spark_locked=locked, free_spark_unlock_path=path if isinstance(path, str) else None)

    def snapshot(self) -> dict[str, Any]:
        """Return the account as JSON-ready values; unknown ones are omitted."""
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
