"""Usage, trials, the id of the device and nonces (account §13.3; additions-5x §9)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from sogni.core.account.flows import set_device_id, subscription_usage, trial_eligibility
from sogni.core.account.sign_in import get_nonce
from sogni.errors import ProtocolError, SogniConnectionError, ValidationError
from sogni.models.account import SubscriptionUsage, TrialEligibility
from tests.core.play import Stage, ok
from tests.tables import each_row

USAGE = "GET rest/v1/subscriptions/usage"
ADDRESS = "0x" + "aB" * 20


def test_usage_has_amounts_and_the_trial_only_during_a_trial() -> None:
    usage = {"periodRenderSpark": 12.5, "periodJobs": 3}
    trial = {"trialEndsAt": "2030-03-17T17:46:40Z", "trialCreditsLimit": 500, "trialCreditsUsed": 0.1, "new": 1}
    found = Stage().play(subscription_usage(), (USAGE, ok({"usage": usage})))
    assert found == SubscriptionUsage(period_render_spark=Decimal("12.5"), period_jobs=3)
    assert Stage().play(subscription_usage(), (USAGE, ok({"usage": usage | trial}))) == SubscriptionUsage(
        period_render_spark=Decimal("12.5"),
        period_jobs=3,
        trial_ends_at=datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC),
        trial_credits_limit=Decimal(500),
        trial_credits_used=Decimal("0.1"),
        extra={"new": 1},
    )


@each_row("data", [None, [], {}, {"usage": None}, {"usage": 5}, {"usage": {"periodJobs": "many"}}])
def test_a_response_without_usage_is_not_no_usage(data: Any) -> None:
    Stage().fail(ProtocolError, subscription_usage(), (USAGE, ok(data)))


def test_trial_eligibility_has_a_reason() -> None:
    place = "GET rest/v1/subscriptions/trial-eligibility"
    answer = {"eligible": False, "reasonCode": "card_known"}
    found = Stage().play(trial_eligibility(), (place, ok(answer)))
    assert found == TrialEligibility(eligible=False, reason_code="card_known")
    Stage().fail(ProtocolError, trial_eligibility(), (place, ok({})))


def test_a_device_id_is_sent_until_it_arrives() -> None:
    stage, place = Stage(), "POST rest/v1/account/device-id"
    lost = SogniConnectionError("lost")
    assert stage.play(set_device_id("d-1"), (place, lost), ("pause 0.25 ±20%", None), (place, ok({}))) is None
    assert [call.body for call in stage.calls] == [{"deviceId": "d-1"}] * 2


@each_row("value", ["", " ", None, 5])
def test_a_device_id_must_not_be_empty(value: Any) -> None:
    assert Stage().fail(ValidationError, set_device_id(value)).field == "device_id"


def test_a_nonce_is_requested_for_an_address() -> None:
    stage = Stage()
    assert stage.play(get_nonce(ADDRESS), ("POST rest/v1/account/nonce", ok({"nonce": "n"}))) == "n"
    assert stage.calls[0].body == {"walletAddress": ADDRESS}
    Stage().fail(ProtocolError, get_nonce(ADDRESS), ("POST rest/v1/account/nonce", ok({"nonce": 5})))


@pytest.mark.parametrize("value", ["", "ada", ADDRESS[:-1], ADDRESS + "0", None, 5])
def test_only_addresses_have_nonces(value: Any) -> None:
    assert Stage().fail(ValidationError, get_nonce(value)).field == "wallet_address"
