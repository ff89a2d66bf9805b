"""Transactions of an account (account §12.1)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from attrs import field, frozen

from .base import BillingMode, Model


@frozen(kw_only=True)
class Transaction(Model):
    """One movement of tokens; what goes out has a negative `amount`."""

    id: str
    amount: Decimal = Decimal(0)
    token_type: str | None = None
    type: str | None = None
    status: str | None = None
    role: str | None = None
    address: str | None = None
    description: str | None = None
    source: str | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    end_time: datetime | None = None
    billing_mode: BillingMode | str | None = None
    payment_model: str | None = None
    subscription_tier: str | None = None
    subscription_trialing: bool | None = None
    subscription_throttled: bool | None = None


@frozen(kw_only=True)
class TransactionQuery(Model):
    """Which transactions are asked for; the keywords of `transaction_history`."""

    status: str = "completed"
    address: str | None = None
    limit: int = 20
    offset: int | None = None
    provider: str | None = None


@frozen(kw_only=True)
class TransactionHistory(Model):
    """A page of transactions, newest first; `next` asks for the page after it."""

    entries: list[Transaction] = field(factory=list)
    next: TransactionQuery = field(factory=TransactionQuery)
