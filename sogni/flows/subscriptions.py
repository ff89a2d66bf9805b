"""Subscriptions: plans, the current one, and the pages where they are paid for (account §13)."""

from __future__ import annotations

from typing import Any

from ..errors import ProtocolError
from ..models.converter import read
from ..models.subscriptions import Subscription, SubscriptionPage, SubscriptionPlan
from ..protocol.account_calls import checkout_call
from ..protocol.http import get, post
from .requests import ask_data, ask_for
from .steps import Flow, change


def subscription_plans() -> Flow[list[SubscriptionPlan]]:
    """What can be subscribed to."""
    data = yield from ask_data(get("/v1/subscriptions/plans"))
    listed = data.get("plans") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ProtocolError("the answer to GET /v1/subscriptions/plans holds no plans")
    return [read(SubscriptionPlan, plan, "the answer to GET /v1/subscriptions/plans") for plan in listed]


def refresh_subscription() -> Flow[Subscription]:
    """The subscription, asked for now and kept, unless the socket has told something newer meanwhile."""
    asked_at = yield from change(lambda state, _: state.account.ordering.socket_writes)
    data = yield from ask_data(get("/v1/subscriptions/status"))
    if not isinstance(data, dict) or "subscription" not in data:
        raise ProtocolError("the answer to GET /v1/subscriptions/status holds no subscription")
    given = data["subscription"]
    snapshot = read(Subscription, {} if given is None else given, "the answer to GET /v1/subscriptions/status")
    kept = yield from change(lambda state, _: state.account.subscribed(snapshot, asked_at))
    return kept or snapshot


def subscription_checkout(tier: Any, term: Any, **options: Any) -> Flow[SubscriptionPage]:
    """Begin to subscribe; nothing is paid before the page is."""
    return (yield from ask_for(SubscriptionPage, checkout_call(tier, term, **options)))


def subscription_portal() -> Flow[SubscriptionPage]:
    """The page where a subscription is managed."""
    return (yield from ask_for(SubscriptionPage, post("/v1/subscriptions/stripe/portal")))
