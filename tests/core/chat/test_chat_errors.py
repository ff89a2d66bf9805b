"""Refusals over REST that say what a failed chat job says (chat §14.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sogni.core.chat.requests import as_chat_error
from sogni.core.http import HttpReply, error_of, post
from sogni.errors import ApiError, ChatError, InsufficientBalanceError, ProtocolError, SogniError
from tests.tables import each_row

PLAN = {"subscriptionLimit": True, "requiredPlans": ["unlimited", 5], "feature": "f", "limitation": "text"}

GRACE = "the renewal of the plan is being retried: until it succeeds, use billing_mode='tokens'"


def refused(body: Any, status: int = 402) -> SogniError:
    reply = HttpReply(status=status, body=json.dumps(body).encode(), url="https://api.sogni.ai/v1/chat/completions")
    return as_chat_error(error_of(post("/v1/chat/completions"), reply))


@each_row(
    ("body", "code", "tag", "message"),
    [
        (
            {"error": {"code": "4081", "type": "t", "message": "m"}}, "4081", "t",
            "m; get a plan that includes this, or use billing_mode='tokens'",
        ),
        ({"error": {"type": "t"}}, None, "t", "HTTP 402"),
        ({"error": {"code": "c"}, "message": "outer"}, "c", None, "outer"),
        (
            {"error": {"code": 5, "type": 6, "subscription": PLAN}}, 5, None,
            "HTTP 402; get a plan that includes this, or use billing_mode='tokens'",
        ),
        ({"error": "t", "error_message": "m"}, None, "t", "m"),
        ({"error": "t", "error_code": "4080"}, "4080", "t", f"t; {GRACE}"),
        ({"error_code": "4080"}, "4080", None, f"HTTP 402; {GRACE}"),
        (PLAN, None, None, "HTTP 402; get a plan that includes this, or use billing_mode='tokens'"),
    ],
)  # fmt: skip
def test_two_shapes_are_known(body: Any, code: Any, tag: Any, message: str) -> None:
    error = refused(body)
    assert isinstance(error, ChatError)
    assert isinstance(error, ApiError)
    assert (error.code, error.error_type, error.message, error.status, error.payload) == (code, tag, message, 402, body)


@pytest.mark.parametrize("body", [{"error": {"subscription": PLAN}}, PLAN])
def test_the_plan_that_is_missing_is_told(body: Any) -> None:
    error = refused(body)
    assert isinstance(error, ChatError)
    assert (error.subscription_limit, error.required_plans, error.feature, error.limitation) == (
        True, ("unlimited",), "f", "text",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "m"}, "error_code": "4080"},
        {"error": {"code": 5, "subscription": "x"}},
        {"error": "t"},
        {"error_message": "m"},
        {"status": "error", "errorCode": 101, "message": "m"},
        {"subscriptionLimit": "yes"},
        [1],
    ],
)
def test_anything_else_stays_what_it_is(body: Any) -> None:
    error = refused(body)
    assert isinstance(error, ApiError)
    assert not isinstance(error, ChatError)


def test_other_errors_stay_what_they_are() -> None:
    error = ProtocolError("odd")
    assert as_chat_error(error) is error


@pytest.mark.parametrize(
    "body", [{"error": {"type": "insufficient_balance"}}, {"error": "insufficient_balance", "error_code": "c"}]
)
def test_an_account_that_cannot_pay_can_be_caught_as_such(body: Any) -> None:
    error = refused(body)
    assert isinstance(error, InsufficientBalanceError)
    assert isinstance(error, ChatError)
