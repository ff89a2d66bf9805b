"""Limits on what requests may cost, and how errors of the service are reported."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sogni import (
    ApiError,
    AuthenticationError,
    ChatError,
    ClientClosedError,
    ConflictError,
    ConnectionRejectedError,
    CostLimitError,
    InsufficientBalanceError,
    JobError,
    NotFoundError,
    PermissionDeniedError,
    ProjectCanceledError,
    ProjectFailedError,
    ProtocolError,
    RateLimitError,
    ServerError,
    SogniConnectionError,
    SogniTimeoutError,
    ToolLimitError,
    ValidationError,
)
from sogni.emulator import LocalSupernet
from sogni.local.spending import DaySpending
from sogni.serve.costs import Costs
from sogni.serve.errors import reported
from tests.serve.asgi import Caller
from tests.tables import each_row

IMAGE: dict[str, Any] = {"prompt": "a kite", "size": "256x256"}
GENERATIONS = "/v1/images/generations"


def limit(call: Caller, *, request: str | None = None, day: DaySpending | None = None) -> None:
    """Give a server limits."""
    per_request = None if request is None else Decimal(request)
    call.service.costs = Costs(call.service.client, per_request, day or DaySpending(None))


def arrived(supernet: LocalSupernet) -> int:
    """The number of requests that would be charged."""
    return sum(getattr(it, "type", None) in ("jobRequest", "llmJobRequest") for it in supernet.requests)


async def test_limit_per_request_refuses_before_anything_is_sent(call: Caller, supernet: LocalSupernet) -> None:
    limit(call, request="0.01")
    for reply in (await call.chat(), await call.chat(stream=True), await call("POST", GENERATIONS, IMAGE)):
        assert reply.refusal == (429, "spending_limit_exceeded", None)
        assert reply.headers["x-should-retry"] == "false"
    assert arrived(supernet) == 0
    assert (await call.chat(max_tokens=10)).status == 200
    # Not the estimate of what is invalid anyway.
    assert (await call("POST", GENERATIONS, {**IMAGE, "size": "1x1"})).refusal[:2] == (400, "invalid_value")


async def test_day_is_counted_by_cost_and_outlives_the_server(
    call: Caller, supernet: LocalSupernet, tmp_path: Path
) -> None:
    path, today = tmp_path / "spending.json", date(2026, 1, 2)
    limit(call, day=DaySpending(Decimal("1"), path, lambda: today))
    reply = await call.chat(max_tokens=100)
    cost, token = reply.headers["x-sogni-cost"].split()
    assert (DaySpending(Decimal("1"), path, lambda: today).spent(token), token) == (Decimal(cost), "sogni")
    assert (await call("POST", GENERATIONS, IMAGE)).status == 200
    # A later server, and the same day.
    limit(call, day=DaySpending(Decimal(cost), path, lambda: today))
    assert (await call.chat(max_tokens=100)).refusal == (429, "spending_limit_exceeded", None)
    limit(call, day=DaySpending(Decimal("1"), path, lambda: date(2026, 1, 3)))
    assert (await call.chat(max_tokens=100, stream=True)).status == 200


async def test_refused_requests_count_nothing(call: Caller, supernet: LocalSupernet) -> None:
    day = DaySpending(Decimal("100"), today=lambda: date(2026, 1, 2))
    limit(call, day=day)
    supernet.chat.fail("model_unavailable", "No workers", times=2)
    assert (await call.chat()).status == 503
    assert (await call.chat(stream=True)).status == 503
    assert (await call.chat(temperature=5)).status == 400
    assert (await call("POST", GENERATIONS, {**IMAGE, "sogni": {"fps": 5}})).status == 400
    assert day.spent("sogni") == 0


async def test_request_that_a_client_leaves_counts_its_estimate(call: Caller, supernet: LocalSupernet) -> None:
    day = DaySpending(Decimal("100"), today=lambda: date(2026, 1, 2))
    limit(call, day=day)
    supernet.chat.rate(20)
    supernet.chat.reply("word " * 200)
    body = {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    exchange = call.begin("POST", "/v1/chat/completions", body)
    await exchange.received.wait()
    exchange.leave()
    await exchange.task
    assert day.spent("sogni") > 0


async def test_projects_without_a_result_count_nothing(call: Caller, supernet: LocalSupernet) -> None:
    day = DaySpending(Decimal("100"))
    limit(call, day=day)
    supernet.faults.fail_job()
    assert (await call("POST", GENERATIONS, IMAGE)).status == 502
    supernet.pause_workers()
    exchange = call.begin("POST", GENERATIONS, IMAGE)
    while not any(it.status == "queued" for it in call.service.client.projects.tracked_projects):
        await asyncio.sleep(0.01)
    exchange.leave()
    await exchange.task
    supernet.resume_workers()
    while day.spent("sogni"):
        await asyncio.sleep(0.01)


async def test_nothing_is_spent_that_cannot_be_recorded(call: Caller, supernet: LocalSupernet, tmp_path: Path) -> None:
    path = tmp_path / "spending.json"
    path.write_text("damaged")
    limit(call, day=DaySpending(Decimal("100"), path))
    reply = await call.chat()
    assert reply.refusal == (500, "spending_unavailable", None)
    assert str(tmp_path) not in reply.body.decode()
    assert arrived(supernet) == 0


async def test_limit_needs_an_estimate(call: Caller, supernet: LocalSupernet) -> None:
    limit(call, request="1000")
    supernet.faults.http("/api/v1/job-llm/estimate/*", status=500, times=10)
    assert (await call.chat()).refusal == (429, "spending_limit_exceeded", None)
    assert arrived(supernet) == 0


class _NoBalanceError(InsufficientBalanceError, ApiError):
    pass


@each_row(
    "error, status, code, retry",
    [
        (ValidationError("no", field="width"), 400, "invalid_value", None),
        (AuthenticationError("no", status=401), 500, "sogni_credentials_rejected", False),
        (PermissionDeniedError("no", status=403), 403, "permission_denied", None),
        (NotFoundError("no", status=404), 404, "not_found", None),
        (ConflictError("no", status=409), 409, "conflict", False),
        (RateLimitError("no", status=429, retry_after=3), 429, "rate_limit_exceeded", None),
        (ServerError("no", status=500), 502, "sogni_error", None),
        (_NoBalanceError("no", status=402), 429, "insufficient_quota", False),
        (CostLimitError("no"), 429, "spending_limit_exceeded", False),
        (SogniTimeoutError("no"), 504, "timeout", False),
        (SogniConnectionError("no"), 503, "sogni_unreachable", None),
        (ConnectionRejectedError("no", close_code=4001), 503, "sogni_unreachable", None),
        (ClientClosedError("no"), 503, "shutting_down", None),
        (ProtocolError("no"), 502, "sogni_error", False),
        (ChatError("no"), 502, "chat_failed", False),
        (ChatError("no", error_type="transport_lost"), 503, "transport_lost", True),
        (ChatError("no", error_type="invalid_request"), 400, "invalid_value", False),
        (ChatError("no", code=4081), 403, "permission_denied", False),
        (ToolLimitError("no"), 502, "chat_failed", False),
        (ProjectFailedError("no"), 502, "generation_failed", False),
        (ProjectCanceledError("no"), 409, "canceled", False),
        (JobError("no"), 502, "generation_failed", False),
    ],
)
def test_every_error_has_a_status_and_a_code(error: Any, status: int, code: str, retry: bool | None) -> None:
    found = reported(error)
    assert (found.status, found.code, found.retry) == (status, code, retry)
    assert found.document()["error"]["message"] == "no"


def test_errors_name_the_field_of_the_request() -> None:
    found = reported(ValidationError("context_images[1] must be an image, got a number", field="context_images[1]"))
    assert (found.param, found.message) == ("image[1]", "image[1] must be an image, got a number")
    assert reported(RateLimitError("no", status=429, retry_after=3)).all_headers()["retry-after"] == "3"
    vendor = ProjectFailedError("The vendor refused")
    vendor.vendor_failure_category = "content_policy"
    assert (reported(vendor).status, reported(vendor).code) == (400, "content_policy_violation")


@pytest.mark.parametrize("message", ["", "a text with https://a.example/b?X-Amz-Signature=abc in it"])
def test_messages_never_lack_or_leak(message: str) -> None:
    found = reported(JobError(message))
    assert found.message
    assert "abc" not in found.message
