"""Subscriptions from two writers: decides what the socket's entitlement means, and which snapshot is the newer one.

Part of the account state (account §13.5). It asks for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import ProtocolError
from ..models.converter import read
from ..models.subscriptions import UNLIMITED_TIERS, Subscription

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
        self.socket_writes = 0
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
