"""World builds of the emulator (account §18, workflows §9)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Membership
from tests.emulator.account.helpers import error_of, sign_in
from tests.emulator.wire import Wire

ROOT = "/v1/world-builds"
ACTION = {"verb": "open", "subject": "gate", "intent": "enter"}
GATE = {"kind": "path", "object": "gate", "action": ACTION, "leadsTo": "garden"}
KEY = {"kind": "collectible", "object": "key", "action": ACTION}
BODY = {"worldId": "w", "nodeId": "n", "hotspots": [GATE, KEY]}


@pytest.fixture
def wire(supernet: LocalSupernet) -> Iterator[Wire]:
    """Signed in."""
    with Wire(supernet) as client:
        sign_in(client)
        yield client


def start(wire: Wire, body: Any = BODY, **headers: str) -> dict[str, Any]:
    reply = wire.ask("POST", ROOT, body, **headers)
    assert reply.status_code == 202, reply.text
    run: dict[str, Any] = reply.json()["data"]["run"]
    return run


def at(wire: Wire, run: dict[str, Any], status: str) -> dict[str, Any]:
    """Return the record once it has a status."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        record: dict[str, Any] = wire.data(f"{ROOT}/{run['runId']}")["run"]
        if record["status"] == status:
            return record
    raise AssertionError(record)


def act(wire: Wire, run: dict[str, Any], what: str, body: Any) -> dict[str, Any]:
    reply = wire.ask("POST", f"{ROOT}/{run['runId']}/{what}", body)
    assert reply.status_code == 200, reply.text
    record: dict[str, Any] = reply.json()["data"]["run"]
    return record


def rendered(wire: Wire, body: Any = BODY) -> tuple[dict[str, Any], list[str]]:
    """Return a build that waits for its reviews, and the IDs of its tasks."""
    run = at(wire, start(wire, body), "waiting_for_user")
    act(wire, run, "confirm-cost", {"decision": "confirm"})
    run = at(wire, run, "waiting_for_user")
    assert run["waiting"]["reason"] == "review_required"
    return run, [task.get("generationId") or task["interactionId"] for task in run["tasks"]]


def test_a_build_is_quoted_confirmed_reviewed_and_paid(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.spark
    run = at(wire, start(wire), "waiting_for_user")
    assert (run["waiting"]["reason"], run["quote"]["amount"]) == ("cost_approval_required", "24")
    assert supernet.account.balance.spark == before
    run, (gate, key) = rendered(wire)
    assert [set(task) & {"generationId", "interactionId"} for task in run["tasks"]] == [
        {"generationId"}, {"interactionId"},
    ]  # fmt: skip
    act(wire, run, "review", {"taskId": gate, "decision": "approved"})
    run = act(wire, run, "review", {"taskId": key, "decision": "approved"})
    assert (run["status"], supernet.account.balance.spark) == ("completed", before - 24)
    types = [event["type"] for event in wire.data(f"{ROOT}/{run['runId']}/events")["events"]]
    assert types == [
        "run_started", "run_waiting", "cost_confirmed", "task_rendered", "task_rendered", "run_waiting",
        "task_reviewed", "run_waiting", "task_reviewed", "run_completed",
    ]  # fmt: skip
    assert len(wire.data(f"{ROOT}/{run['runId']}/events", after="8")["events"]) == 2
    assert not supernet.violations


def test_a_note_buys_one_rewrite(wire: Wire, supernet: LocalSupernet) -> None:
    run, (gate, key) = rendered(wire)
    act(wire, run, "review", {"taskId": gate, "decision": "approved"})
    act(wire, run, "review", {"taskId": key, "decision": "rejected", "note": "golden"})
    run = at(wire, run, "waiting_for_user")
    assert (run["waiting"]["details"]["taskIds"], run["tasks"][1]["takes"]) == ([key], 2)
    run = act(wire, run, "review", {"taskId": key, "decision": "rejected", "note": "silver"})
    assert (run["status"], run["tasks"][1]["status"]) == ("partial_failure", "rejected")
    again = wire.ask("POST", f"{ROOT}/{run['runId']}/review", {"taskId": key, "decision": "approved"})
    assert error_of(again) == (409, 409)


def test_rejections_without_a_note_end_the_task(wire: Wire) -> None:
    run, (only,) = rendered(wire, {**BODY, "hotspots": [KEY]})
    assert act(wire, run, "review", {"taskId": only, "decision": "rejected"})["status"] == "failed"


def test_what_was_not_rendered_is_not_paid(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.spark
    run = at(wire, start(wire), "waiting_for_user")
    supernet.pause_workers()
    act(wire, run, "confirm-cost", {"decision": "confirm"})
    assert supernet.account.balance.spark == before - 24
    run = act(wire, run, "cancel", {"reason": "enough"})
    assert (run["status"], run["cancellationReason"], run["tasks"][0]["status"]) == ("cancelled", "enough", "cancelled")
    assert supernet.account.balance.spark == before
    assert act(wire, run, "cancel", {})["cancellationReason"] == "enough"
    refused = wire.ask("POST", f"{ROOT}/{run['runId']}/confirm-cost", {"decision": "confirm"})
    assert error_of(refused) == (409, 409)


def test_a_quote_is_renewed_or_rejected(wire: Wire, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch) -> None:
    run = at(wire, start(wire), "waiting_for_user")
    state = supernet._now.state
    monkeypatch.setattr(state, "clock", lambda: time.time() + 601)
    late = wire.ask("POST", f"{ROOT}/{run['runId']}/confirm-cost", {"decision": "confirm"})
    assert error_of(late) == (409, 409)
    renewed = act(wire, run, "confirm-cost", {"decision": "requote"})
    assert renewed["quote"]["validUntil"] > run["quote"]["validUntil"]
    assert act(wire, run, "confirm-cost", {"decision": "cancel"})["status"] == "cancelled"


def test_without_credit_a_build_waits(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(spark=1)
    run = at(wire, start(wire), "waiting_for_user")
    run = act(wire, run, "confirm-cost", {"decision": "confirm"})
    assert run["waiting"]["reason"] == "insufficient_credit"
    supernet.account.set_balance(spark=100)
    act(wire, run, "confirm-cost", {"decision": "confirm"})
    assert supernet.wait_for(lambda: supernet.account.balance.spark) == Decimal(76)


def test_a_subscription_pays_if_there_is_one(wire: Wire, supernet: LocalSupernet) -> None:
    body = {**BODY, "billingMode": "subscription", "tokenType": "sogni"}
    assert error_of(wire.ask("POST", ROOT, body)) == (402, 4078)
    supernet.set_subscription(Membership())
    assert at(wire, start(wire, body), "waiting_for_user")["quote"]["amount"] == "0"


def test_a_key_starts_one_build_and_lists_are_newest_first(wire: Wire, supernet: LocalSupernet) -> None:
    first = start(wire, Idempotency_Key="k")
    assert start(wire, Idempotency_Key="k")["runId"] == first["runId"]
    assert not supernet.violations
    start(wire, {**BODY, "worldId": "other"}, Idempotency_Key="k")
    assert [it.where for it in supernet.violations] == ["Idempotency-Key"]
    second = start(wire, {**BODY, "worldId": "other"})
    runs = wire.data(ROOT)["runs"]
    assert ([run["runId"] for run in runs], "events" in runs[0]) == ([second["runId"], first["runId"]], False)
    assert [run["runId"] for run in wire.data(ROOT, worldId="w")["runs"]] == [first["runId"]]
    assert len(wire.data(ROOT, limit="1")["runs"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"worldId": ""}, {"nodeId": 5}, {"hotspots": []}, {"hotspots": ["gate"]}, {"hotspots": [{**GATE, "kind": "x"}]},
        {"hotspots": [{**KEY, "leadsTo": "x"}]}, {"hotspots": [{**KEY, "object": ""}]}, {"tokenType": "gold"},
        {"hotspots": [{**KEY, "action": {"verb": "open"}}]}, {"hotspots": [{**KEY, "action": None}]},
        {"hotspots": [{**KEY, "action": {**ACTION, "verb": ""}}]}, {"billingMode": "free"},
    ],
)  # fmt: skip
def test_an_invalid_start_is_refused(wire: Wire, changes: Any) -> None:
    assert error_of(wire.ask("POST", ROOT, {**BODY, **changes})) == (400, 0)


def test_other_invalid_requests_are_refused(wire: Wire, supernet: LocalSupernet) -> None:
    run, (gate, _) = rendered(wire)
    path = f"{ROOT}/{run['runId']}"
    for what, body, status in (
        ("confirm-cost", {"decision": "yes"}, 400),
        ("review", {"taskId": gate, "decision": "approve"}, 400),
        ("review", {"taskId": gate, "decision": "approved", "note": ""}, 400),
        ("review", {"taskId": "nothing", "decision": "approved"}, 404),
        ("cancel", {"reason": 5}, 400),
    ):
        assert wire.ask("POST", f"{path}/{what}", body).status_code == status
    for unknown in (f"{ROOT}/nothing", f"{ROOT}/nothing/events", f"{ROOT}/nothing/events/stream"):
        assert error_of(wire.get(unknown)) == (404, 102)
    assert wire.get(ROOT, limit="0").status_code == 400
    supernet.forget_requests()
    wire.ask("POST", ROOT, {**BODY, "mood": "dark", "hotspots": [{**KEY, "size": 1}]})
    wire.get(ROOT, world="w")
    assert [it.where.rpartition(" ")[2] for it in supernet.violations] == ["$.hotspots[0].size", "$.mood", "world"]


def test_keys_and_other_accounts_are_refused(wire: Wire, supernet: LocalSupernet) -> None:
    run = start(wire)
    for headers, status in (({"api-key": supernet.api_key}, 403), ({}, 401)):
        wire.headers = headers
        assert wire.ask("POST", ROOT, BODY).status_code == status
        for path in (ROOT, f"{ROOT}/{run['runId']}", f"{ROOT}/{run['runId']}/events/stream"):
            assert wire.get(path).status_code == status
    supernet.add_account("other", "another password")
    sign_in(wire, "other", "another password")
    assert wire.get(f"{ROOT}/{run['runId']}").status_code == 404
    assert wire.data(ROOT)["runs"] == []


def test_a_reset_removes_builds(wire: Wire, supernet: LocalSupernet) -> None:
    rendered(wire)
    supernet.reset()
    sign_in(wire)
    assert wire.data(ROOT)["runs"] == []
