"""Subscriptions: plans, the snapshot of one's own, and where to pay (account §13)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from attrs import field, frozen

from .base import Model

Tier = Literal["unlimited", "unlimited_pro"]
Term = Literal["monthly", "annual"]
RedirectType = Literal["web", "app", "dashboard", "photobooth", "chat"]
UNLIMITED_TIERS = ("unlimited", "unlimited_pro")


@frozen(kw_only=True)
class SubscriptionPlan(Model):
    """A plan for one term; `price_usd` is the list price."""

    plan_id: str
    tier: Tier | str | None = None
    term: Term | str | None = None
    interval: str | None = None
    price_usd: Decimal | None = None
    display_name: str | None = None
    google: Mapping[str, Any] | None = None
    vendor_discount_bps: int | None = None


@frozen(kw_only=True)
class FairUse(Model):
    """The monthly limit that applies at the moment; for display only (account §13.2)."""

    limited: bool = False
    usage_spark: Decimal | None = None
    usage_usd: Decimal | None = None
    plan_price_usd: Decimal | None = None
    reset_at: datetime | None = None
    fast_rendering_paused: bool | None = None
    relaxed_unrestricted: bool | None = None
    upgrade_available: bool | None = None


@frozen(kw_only=True)
class Subscription(Model):
    """A subscription at one moment. `active` alone decides what one is entitled to; `status` is for display."""

    active: bool = False
    status: str = "none"
    tier: Tier | str | None = None
    term: Term | str | None = None
    provider: str | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool | None = None
    scheduled_tier: Tier | str | None = None
    scheduled_term: Term | str | None = None
    scheduled_change_at: datetime | None = None
    capabilities: Mapping[str, bool] | None = None
    payment_pending: bool | None = None
    fair_use: FairUse | None = None
    frontier_discount_bps: int | None = None
    version: Any = None

    @property
    def is_unlimited(self) -> bool:
        """Whether it is active on one of the unlimited tiers."""
        return self.active and self.tier in UNLIMITED_TIERS


@frozen(kw_only=True)
class SubscriptionPage(Model):
    """Where a person goes on in the browser: `url` is single-use, and opens an account's own pages."""

    url: str = field(repr=False)
    message: str | None = None
