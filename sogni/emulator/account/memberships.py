"""Memberships: an account's subscription to a plan, in the form of the socket and in that of the REST API.

A membership is a value: it is replaced as a whole, from any thread.
"""
# Protocol notes: account §13.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Required, TypedDict, get_args

from attrs import field, frozen

from sogni.emulator.fields import one_of, present
from sogni.emulator.persistence import iso

Tier = Literal["unlimited", "unlimited_pro"]
Term = Literal["monthly", "annual"]
SocketStatus = Literal[
    "trialing", "active", "grace", "cancelled", "expired", "paused", "revoked", "needs_reconciliation"
]
UnlockPath = Literal["trial", "purchase"]

TIERS: tuple[Tier, ...] = get_args(Tier)
TERMS: tuple[Term, ...] = get_args(Term)
TERM_SECONDS: Mapping[Term, int] = {"monthly": 30 * 24 * 3600, "annual": 365 * 24 * 3600}
"""Seconds of a billing period."""

_ENTITLED = ("trialing", "active", "cancelled")
_STATUSES: Mapping[str, str] = {
    "grace": "grace_period",
    "revoked": "canceled",
    "needs_reconciliation": "past_due",
}
_PRICES: Mapping[tuple[Tier, Term], float] = {
    ("unlimited", "monthly"): 19.99,
    ("unlimited", "annual"): 199.99,
    ("unlimited_pro", "monthly"): 49.99,
    ("unlimited_pro", "annual"): 499.99,
}
_NAMES: Mapping[Tier, str] = {"unlimited": "Unlimited", "unlimited_pro": "Unlimited Pro"}
_DISCOUNTS: Mapping[Tier, int] = {"unlimited": 500, "unlimited_pro": 1000}
"""Discount on premium vendor models, in basis points."""


def plans() -> list[dict[str, object]]:
    """Return the available plans, one entry per plan and term."""
    return [
        {
            "planId": tier,
            "tier": tier,
            "term": term,
            "interval": "month" if term == "monthly" else "year",
            "priceUsd": price,
            "displayName": _NAMES[tier],
            "google": {"productId": f"ai.sogni.{tier}.{term}"},
            "vendorDiscountBps": _DISCOUNTS[tier],
        }
        for (tier, term), price in _PRICES.items()
    ]


class FairUse(TypedDict, total=False):
    """The monthly limit, with the names of the REST API. ``resetAt`` is in epoch seconds."""

    limited: bool
    usageSpark: float
    usageUsd: float
    planPriceUsd: float
    resetAt: Required[float]
    fastRenderingPaused: bool
    relaxedUnrestricted: bool
    upgradeAvailable: bool


@frozen(kw_only=True)
class Membership:
    """A subscription to a plan. Times are in epoch seconds; 0 means unset.

    Attributes:
        tier: The plan: "unlimited" (default) or "unlimited_pro".
        term: Billing period: "monthly" (default) or "annual".
        status: The status as sent on the socket. Default "active".
        provider: What the subscription was bought with. Default "stripe".
        starts: Start of the current period.
        ends: End of the current period.
        grace_ends: End of the time in which a renewal is retried.
        trial_ends: End of the trial.
        version: Version of the subscription; clients ignore older ones. Default 1.
        active: Whether the account is entitled; by default derived from ``status``.
        scheduled_tier: The plan after the next renewal, if it changes.
        scheduled_term: Billing period after the next renewal, if it changes.
        scheduled_at: Time of the change.
        payment_pending: Whether a payment awaits confirmation. Default False.
        fair_use: The monthly limit; None while it does not apply.
    """

    tier: Tier = field(default="unlimited", validator=one_of(TIERS))
    term: Term = field(default="monthly", validator=one_of(TERMS))
    status: SocketStatus = field(default="active", validator=one_of(get_args(SocketStatus)))
    provider: str = "stripe"
    starts: float = 0.0
    ends: float = 0.0
    grace_ends: float = 0.0
    trial_ends: float = 0.0
    version: int = 1
    active: bool = field()
    scheduled_tier: Tier | None = None
    scheduled_term: Term | None = None
    scheduled_at: float = 0.0
    payment_pending: bool = False
    fair_use: FairUse | None = None

    @active.default
    def _entitled(self) -> bool:
        return self.status in _ENTITLED

    def entitlement(self) -> dict[str, object]:
        """Return the subscription in the form of the socket. Times are in epoch milliseconds.

        Returns:
            The payload of ``subscriptionEntitlementUpdated``.
        """
        subscription: dict[str, Any] = {
            "provider": self.provider,
            "tier": self.tier,
            "term": self.term,
            "status": self.status,
            "periodStart": _milliseconds(self.starts),
            "periodEnd": _milliseconds(self.ends),
            "graceEnd": _milliseconds(self.grace_ends),
            "trialEnd": _milliseconds(self.trial_ends),
            "version": str(self.version),
            "cancelAtPeriodEnd": self.status == "cancelled",
            **self._capabilities(),
            **self._change(_milliseconds),
        }
        subscription |= self._socket_fair_use()
        return {
            "active": self.active,
            "trialing": self.status == "trialing",
            "trialCapped": False,
            "subscription": subscription,
        }

    def limits(self) -> dict[str, object]:
        """Return the fields of ``subscriptionLimitNotice`` that depend on the subscription.

        Returns:
            The plan and, while it applies, the monthly limit; its time is in epoch milliseconds.
        """
        return {"currentPlan": self.tier, "subscriptionTier": self.tier, **self._socket_fair_use()}

    def snapshot(self) -> dict[str, object]:
        """Return the subscription in the form of the REST API. Times are in ISO format, unset fields are omitted.

        Returns:
            The data of ``GET /v1/subscriptions/status``.
        """
        end = self.grace_ends if self.status == "grace" and self.grace_ends else self.ends
        record: dict[str, Any] = {
            "active": self.active,
            "status": self._snapshot_status(),
            "tier": self.tier,
            "term": self.term,
            "provider": self.provider,
            "cancelAtPeriodEnd": self.status == "cancelled",
            **self._capabilities(),
            **self._change(iso),
        }
        if self.starts:
            record["currentPeriodStart"] = iso(self.starts)
        if end:
            record["currentPeriodEnd"] = iso(end)
        if self.active:
            record["frontierDiscountBps"] = _DISCOUNTS[self.tier]
        if self.fair_use is not None:
            record["fairUse"] = {**self.fair_use, "resetAt": iso(self.fair_use["resetAt"])}
        return record

    def _socket_fair_use(self) -> dict[str, object]:
        if self.fair_use is None:
            return {}
        return {"fairUse": {**self.fair_use, "resetAt": _milliseconds(self.fair_use["resetAt"])}}

    def _snapshot_status(self) -> str:
        if self.status == "cancelled":
            return "cancel_at_period_end" if self.active else "canceled"
        return _STATUSES.get(self.status, self.status)

    def _capabilities(self) -> dict[str, object]:
        pending = {"paymentPending": True} if self.payment_pending else {}
        return {"capabilities": {"unlimited": True} if self.active else {}, **pending}

    def _change(self, moment: Callable[[float], float | str]) -> dict[str, object]:
        change = {
            "scheduledTier": self.scheduled_tier,
            "scheduledTerm": self.scheduled_term,
            "scheduledChangeAt": moment(self.scheduled_at) if self.scheduled_at else None,
        }
        return present(change)


NO_MEMBERSHIP = {"active": False, "trialing": False, "trialCapped": False, "subscription": None}
NO_SNAPSHOT = {"active": False, "status": "none"}


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)


NOT_ENTITLED = 4078
IN_GRACE = 4080


def coverage_refusal(membership: Membership | None) -> tuple[int, str] | None:
    """Return code and message of the refusal to pay with a subscription; None if it pays."""
    # Protocol notes: transport §16.
    if membership is not None and membership.active:
        return None
    if membership is not None and membership.status == "grace":
        return IN_GRACE, "The subscription is in its grace period"
    return NOT_ENTITLED, "No active subscription covers this request"
