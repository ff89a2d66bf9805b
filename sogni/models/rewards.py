"""Rewards of an account (account §7)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from attrs import frozen

from .base import Model, TokenType


@frozen(kw_only=True)
class Reward(Model):
    """Something an account can claim, once or again and again.

    `cant_claim_reason` says why not now: `already_claimed`, `over_free_cap`, `requires_verification`, or another
    word. `next_claim` is None where nothing is known of a next time.
    """

    id: str
    type: Literal["instant", "conditioned"] | str = "instant"
    title: str = ""
    description: str = ""
    amount: Decimal = Decimal(0)
    token_type: TokenType | str = "spark"
    claimed: bool = False
    can_claim: bool = False
    cant_claim_reason: str | None = None
    last_claim: datetime | None = None
    next_claim: datetime | None = None
    provider: str = "base"
