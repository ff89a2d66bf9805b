"""Cost estimates (projects-4.2 §16, projects-5x §16)."""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen

from .base import Model


@frozen(kw_only=True)
class CostEstimation(Model):
    """What a project would cost.

    `token` is the amount in the token asked for, `usd`, `spark` and `sogni` the same in the others;
    an amount is None when the service gave none. Times are seconds.
    """

    token: Decimal | None = None
    usd: Decimal | None = None
    spark: Decimal | None = None
    sogni: Decimal | None = None
    estimated_render_seconds: float | None = None
    estimated_total_seconds: float | None = None
    daily_fair_use_pct: float | None = None
