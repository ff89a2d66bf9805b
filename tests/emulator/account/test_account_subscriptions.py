"""Plans, subscriptions, checkout, billing portal and leaderboard."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from sogni.emulator import LocalSupernet, Membership
from tests.emulator.account.helpers import error_of, post, sign_in
from tests.emulator.wire import DEADLINE, Wire

STATUS = "/v1/subscriptions/status"
CHECKOUT = "/v1/iap/stripe/subscribe"
PORTAL = "/v1/subscriptions/stripe/portal"
UPDATE = "subscriptionEntitlementUpdated"


def entitlement(wire: Wire) -> Any:
    return wire.next(UPDATE)


def test_plans_are_public(wire: Wire) -> None:
    wire.headers = {}
    plans = wire.data("/v1/subscriptions/plans")["plans"]
    assert {(plan["planId"], plan["term"]) for plan in plans} == {
        (tier, term) for tier in ("unlimited", "unlimited_pro") for term in ("monthly", "annual")
    }
    assert all(plan["tier"] == plan["planId"] for plan in plans)


def test_without_a_subscription(wire: Wire) -> None:
    assert wire.data(STATUS)["subscription"] == {"active": False, "status": "none"}
    assert wire.data("/v1/subscriptions/trial-eligibility") == {"eligible": True, "reasonCode": "eligible"}
    assert wire.data("/v1/subscriptions/usage")["usage"] == {"periodRenderSpark": 0, "periodJobs": 0}


def test_a_checkout_is_paid_by_opening_its_page(wire: Wire, supernet: LocalSupernet) -> None:
    sign_in(wire)
    wire.connect()
    body = {"planId": "unlimited_pro", "term": "annual", "redirectType": "web"}
    url = post(wire, CHECKOUT, body).json()["data"]["url"]
    assert wire.data(STATUS)["subscription"]["active"] is False
    assert requests.get(url, timeout=DEADLINE).status_code == 200
    told = entitlement(wire)
    assert (told["active"], told["subscription"]["tier"]) == (True, "unlimited_pro")
    snapshot = wire.data(STATUS)["subscription"]
    assert (snapshot["status"], snapshot["term"], snapshot["capabilities"]) == ("active", "annual", {"unlimited": True})
    assert snapshot["currentPeriodEnd"].endswith("Z")
    assert wire.data("/v1/subscriptions/trial-eligibility")["eligible"] is False
    assert error_of(requests.get(url, timeout=DEADLINE)) == (404, 102)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"planId": "cheap", "term": "monthly"},
        {"planId": "unlimited", "term": "weekly"},
        {"planId": "unlimited", "term": "monthly", "redirectType": "moon"},
    ],
)
def test_an_invalid_checkout_is_refused(wire: Wire, body: dict[str, Any]) -> None:
    sign_in(wire)
    assert error_of(post(wire, CHECKOUT, body)) == (400, 0)


def test_checkout_and_portal_need_a_session(wire: Wire) -> None:
    assert error_of(post(wire, CHECKOUT, {"planId": "unlimited", "term": "monthly"})) == (403, 0)
    assert error_of(post(wire, PORTAL, {})) == (403, 0)
    sign_in(wire)
    url = post(wire, PORTAL, {}).json()["data"]["url"]
    assert requests.get(url, timeout=DEADLINE).status_code == 200


@pytest.mark.parametrize(
    ("status", "active", "told"),
    [
        ("trialing", True, "trialing"),
        ("active", True, "active"),
        ("grace", False, "grace_period"),
        ("cancelled", True, "cancel_at_period_end"),
        ("expired", False, "expired"),
        ("revoked", False, "canceled"),
        ("needs_reconciliation", False, "past_due"),
    ],
)
def test_the_two_forms_of_a_status(wire: Wire, supernet: LocalSupernet, status: Any, active: bool, told: str) -> None:
    wire.connect()
    now = time.time()
    supernet.set_subscription(Membership(status=status, starts=now, ends=now + 60, grace_ends=now + 120))
    frame = entitlement(wire)
    assert (frame["active"], frame["subscription"]["status"]) == (active, status)
    assert frame["subscription"]["periodEnd"] == round((now + 60) * 1000)
    snapshot = wire.data(STATUS)["subscription"]
    assert (snapshot["active"], snapshot["status"]) == (active, told)
    assert ("frontierDiscountBps" in snapshot) is active


def test_a_cancelled_subscription_that_is_over() -> None:
    assert Membership(status="cancelled", active=False).snapshot()["status"] == "canceled"


def test_changes_limits_and_trials_are_published(wire: Wire, supernet: LocalSupernet) -> None:
    fair_use = {"limited": True, "usageSpark": 9, "resetAt": 1_900_000_000}
    changed = {"scheduled_tier": "unlimited", "scheduled_term": "monthly", "scheduled_at": 1_900_000_000.0}
    membership = Membership(
        tier="unlimited_pro",
        status="trialing",
        trial_ends=1_900_000_000.0,
        payment_pending=True,
        fair_use=fair_use,
        version=7,
        **changed,  # type: ignore[arg-type]
    )
    supernet.set_subscription(membership, free_spark_locked=True, free_spark_unlock_path="trial")
    snapshot = wire.data(STATUS)["subscription"]
    assert snapshot["scheduledChangeAt"] == snapshot["fairUse"]["resetAt"] == "2030-03-17T17:46:40.000Z"
    assert snapshot["paymentPending"] is True
    wire.connect()
    greeting = wire.receive()[1]
    told = greeting["subscriptionEntitlement"]
    assert (greeting["freeSparkLocked"], greeting["freeSparkUnlockPath"]) == (True, "trial")
    assert (told["trialing"], told["subscription"]["version"]) == (True, "7")
    assert told["subscription"]["fairUse"]["resetAt"] == told["subscription"]["trialEnd"] == 1_900_000_000_000
    assert wire.data("/v1/subscriptions/usage")["usage"]["trialEndsAt"] == "2030-03-17T17:46:40Z"


def test_a_subscription_can_be_taken_away(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.set_subscription(Membership())
    wire.connect()
    supernet.set_subscription(None, free_spark_locked=False)
    frame = entitlement(wire)
    assert (frame["active"], frame["subscription"], frame["freeSparkLocked"]) == (False, None, False)
    assert wire.data(STATUS)["subscription"]["status"] == "none"


def test_without_a_subscription_the_handshake_has_no_entitlement(wire: Wire) -> None:
    wire.connect()
    assert "subscriptionEntitlement" not in wire.receive()[1]


@pytest.mark.parametrize("wrong", [{"status": "happy"}, {"tier": "gold"}, {"term": "weekly"}])
def test_an_invalid_membership_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(status|tier|term) must be one of .*, got '(happy|gold|weekly)'$"):
        Membership(**wrong)


def test_a_device_id(wire: Wire, supernet: LocalSupernet) -> None:
    assert post(wire, "/v1/account/device-id", {"deviceId": "device-1"}).status_code == 200
    assert supernet.account.device_id == "device-1"
    assert error_of(post(wire, "/v1/account/device-id", {"deviceId": ""})) == (400, 0)


def board(wire: Wire, **query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = wire.data(
        "/v1/leaderboard/", **{"type": "renderTokenCompleteWorker", "period": "day", **query}
    )
    return rows


def test_the_leaderboard_is_open_to_all_and_has_pages(wire: Wire) -> None:
    wire.headers = {}
    rows = board(wire, limit="50")
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    values = [float(row["value"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert {row["role"] for row in rows} == {"worker"}
    assert board(wire, limit="5", page="2") == rows[5:10]
    assert board(wire, limit="5", page="99") == []
    assert board(wire, limit="50", username=rows[3]["username"].upper()) == [rows[3]]
    assert board(wire, limit="50", address=rows[4]["address"]) == [rows[4]]
    others = [board(wire, limit="50", **q) for q in ({"period": "lifetime"}, {"network": "fast"})]
    assert all(other != rows for other in others)


@pytest.mark.parametrize(
    "query",
    [{"type": "fame"}, {"type": ""}, {"period": "week"}, {"network": "slow"}, {"page": "x"}, {"limit": "0"}],
)
def test_an_unknown_leaderboard_is_refused(wire: Wire, query: dict[str, str]) -> None:
    full = {"type": "tokenVolume", "period": "day", **query}
    assert error_of(wire.get("/v1/leaderboard/", **full)) == (400, 0)
