"""Account state: the signed-in user, balances and the network (account §5, §6; transport §11, §12)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sogni.core.account.flows import account_balance, fetch_account, refresh_balance, subscribe, switch_network
from sogni.core.outbox import CONNECTION, NETWORK
from sogni.errors import AuthenticationError, ProtocolError, SogniTimeoutError, ValidationError
from tests.core.play import TIMEOUT, Stage, ok

ANSWER = "until the response to changeNetwork (request, 30 s)"
BALANCE = ok({"spark": {"net": "7"}, "sogni": {"net": "1.5"}})


def test_who_is_signed_in_is_kept() -> None:
    stage = Stage()
    info = stage.play(fetch_account(), ("GET rest/v1/account/me", ok({"username": "ann", "walletAddress": "0x1"})))
    assert (info.username, stage.state.account.username, stage.state.account.wallet_address) == ("ann", "ann", "0x1")


def test_an_account_has_one_address_however_it_is_spelled() -> None:
    """account §5: the documents of the service show `email`."""
    stage = Stage()
    for data in ({"currentEmail": "a@b.c"}, {"email": "a@b.c", "wallet_address": "0x1"}):
        info = stage.play(fetch_account(), ("GET rest/v1/account/me", ok(data)))
        assert (info.email, info.current_email, stage.state.account.email) == ("a@b.c",) * 3
    assert (info.wallet_address, info.extra) == ("0x1", {})
    stage.play(fetch_account(), ("GET rest/v1/account/me", ok({})))
    assert stage.state.account.wallet_address == "0x1"
    stage.fail(ProtocolError, fetch_account(), ("GET rest/v1/account/me", ok([])))


def test_a_balance_is_kept_only_when_it_is_refreshed() -> None:
    stage = Stage()
    assert stage.play(account_balance(), ("GET rest/v4/account/balance", BALANCE)).spark.net == Decimal(7)
    assert stage.state.account.balance.spark.net == 0
    stage.play(refresh_balance(), ("GET rest/v4/account/balance", BALANCE))
    assert stage.state.account.balance.sogni.net == Decimal("1.5")


def test_an_answer_without_a_balance_is_no_balance_of_zero() -> None:
    stage = Stage()
    stage.play(refresh_balance(), ("GET rest/v4/account/balance", BALANCE))
    stage.fail(ProtocolError, refresh_balance(), ("GET rest/v4/account/balance", ok({})))
    with pytest.raises(ProtocolError, match="no balance"):
        stage.receives("balanceUpdate", {"net": "5"})
    assert stage.state.account.balance.spark.net == 7


def test_switching_takes_the_network_the_service_answers_with() -> None:
    stage = Stage().connects()

    def answers(stage: Stage) -> None:
        assert (stage.state.account.network_status, stage.state.account.network) == ("switching", None)
        stage.receives("changeNetwork", {"network": "fast"})

    chosen = stage.play(switch_network("relaxed"), ("frame changeNetwork", None), (ANSWER, answers))
    assert (chosen, stage.state.network, stage.frames) == ("fast", "fast", [("changeNetwork", "relaxed")])
    assert (stage.state.account.network_status, stage.state.account.network) == ("connected", "fast")


def test_an_earlier_answer_is_none_to_a_new_switch() -> None:
    stage = Stage().connects().receives("changeNetwork", {"network": "relaxed"})
    stage.fail(SogniTimeoutError, switch_network("fast"), ("frame changeNetwork", None), (ANSWER, TIMEOUT))


def test_who_is_signed_out_does_not_wait_for_another_network() -> None:
    stage = Stage().connects()
    script = (("frame changeNetwork", None), (ANSWER, lambda stage: stage.state.session.sign_out(lost=True)))
    stage.fail(AuthenticationError, switch_network("fast"), *script)
    assert stage.topics == [NETWORK, CONNECTION]


def test_an_unknown_network_is_refused_before_anything_is_sent() -> None:
    assert Stage().fail(ValidationError, switch_network("slow")).field == "network"


def test_a_change_of_subscriptions_is_over_when_it_is_written() -> None:
    stage = Stage().connects()
    stage.play(subscribe({"modelAvailability": False}), ("frame setSocketEventSubscriptions", None))
    assert stage.frames == [("setSocketEventSubscriptions", {"subscriptions": {"modelAvailability": False}})]
