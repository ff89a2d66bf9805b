"""Deposits, withdrawals and rewards: they are checked first, and sent only once (account §7 to §13)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.account.flows import (
    claim_rewards,
    leaderboard,
    refresh_subscription,
    rewards,
    subscription_checkout,
    subscription_plans,
    subscription_portal,
    transaction_history,
    validate_username,
    wallet_balance,
)
from sogni.core.account.token_transfers import approve_token_usage, deposit, withdraw
from sogni.core.account.wallet import derive, domain_of
from sogni.core.background import flow_of
from sogni.core.http import HttpReply
from sogni.errors import (
    ApiError,
    InsufficientBalanceError,
    NotFoundError,
    ProtocolError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.account import TransactionQuery
from sogni.models.converter import read_time
from tests.core.play import Stage, bare, ok, refused

WALLET = derive("ada", "pw")
PERMIT = {
    "domain": domain_of(False),
    "types": {"Permit": [{"name": "deadline", "type": "uint256"}]},
    "message": {"deadline": 17},
}
WITHDRAWAL = ("POST rest/v1/account/token/withdraw/permit", ok(PERMIT))
WITHDRAW = "POST rest/v2/account/token/withdraw"
DEPOSIT = "POST rest/v3/account/token/deposit"
APPROVAL = (
    ("POST rest/v1/contract/token/approve/permit", ok(PERMIT)),
    ("POST rest/v1/contract/token/approve", ok()),
)
PAUSE = ("pause 10", None)


def coded(code: Any, status: int = 400) -> HttpReply:
    return HttpReply(status=status, body=json.dumps({"status": "error", "message": "no", "errorCode": code}).encode())


@pytest.fixture
def stage() -> Stage:
    """Somebody is signed in."""
    made = Stage()
    made.state.account.change(username="ada", wallet_address=WALLET.address.lower())
    return made


def test_a_withdrawal_asks_signs_and_sends_once(stage: Stage) -> None:
    stage.play(withdraw("pw", "1.5", "base"), WITHDRAWAL, (WITHDRAW, ok()))
    stage.fail(SogniConnectionError, withdraw("pw", 1, "base"), WITHDRAWAL, (WITHDRAW, SogniConnectionError("gone")))
    stage.fail(InsufficientBalanceError, withdraw("pw", 1, "base"), WITHDRAWAL, (WITHDRAW, coded(123)))


def test_who_it_is_is_asked_for_when_it_is_not_known() -> None:
    me = ("GET rest/v1/account/me", ok({"username": "ada", "walletAddress": WALLET.address}))
    Stage().play(withdraw("pw", 1, "base"), me, WITHDRAWAL, (WITHDRAW, ok()))
    Stage().fail(ProtocolError, withdraw("pw", 1, "base"), ("GET rest/v1/account/me", ok({})))


@pytest.mark.parametrize(("password", "amount"), [("wrong", 1), ("", 1), ("pw", 0), ("pw", "much")])
def test_a_mistake_is_found_before_anything_is_sent(stage: Stage, password: str, amount: Any) -> None:
    stage.fail(ValidationError, withdraw(password, amount, "base"))


def test_a_deposit_that_is_allowed_is_asked_for_once(stage: Stage) -> None:
    stage.play(deposit("pw", 2, "base"), (DEPOSIT, ok()))
    stage.fail(ValidationError, deposit("wrong", 2, "base"))
    stage.fail(InsufficientBalanceError, deposit("pw", 2, "base"), (DEPOSIT, coded(123)))
    stage.fail(ApiError, deposit("pw", 2, "base"), (DEPOSIT, coded("149")))


@pytest.mark.parametrize("error", [SogniConnectionError("gone"), SogniTimeoutError("slow", phase="request")])
def test_what_moves_tokens_is_sent_once_and_a_lost_answer_says_so(stage: Stage, error: SogniError) -> None:
    lost: list[tuple[Any, Any]] = [
        (withdraw("pw", 1, "base"), (WITHDRAWAL, (WITHDRAW, error))),
        (deposit("pw", 1, "base"), ((DEPOSIT, error),)),
        (approve_token_usage("pw", "staker", "base"), (APPROVAL[0], (APPROVAL[1][0], error))),
        (claim_rewards(["1"], None, None), (("POST rest/v3/account/reward/claim", error),)),
    ]
    for flow, script in lost:
        raised = stage.fail(type(error), flow, *script)
        assert raised.message.startswith(f"{error.message}; the request may have been carried out")
        assert raised.__cause__ is error
    for status in (429, 502, 503):
        stage.fail(ApiError, withdraw("pw", 1, "base"), WITHDRAWAL, (WITHDRAW, refused(status)))


def test_a_page_in_place_of_an_answer_is_no_success(stage: Stage) -> None:
    """transport §4.3: 2xx, not JSON."""
    page = HttpReply(status=200, body=b"<html>sign in to this network</html>")
    raised = stage.fail(ProtocolError, withdraw("pw", 1, "base"), WITHDRAWAL, (WITHDRAW, page))
    assert "the request may have been carried out" in raised.message
    stage.play(withdraw("pw", 1, "base"), WITHDRAWAL, (WITHDRAW, HttpReply(status=200)))


def test_what_was_never_sent_is_not_said_to_be_open(stage: Stage) -> None:
    error = SogniTimeoutError("no host", phase="connect")
    assert stage.fail(SogniTimeoutError, deposit("pw", 1, "base"), (DEPOSIT, error)) is error


def test_nobody_is_asked_who_it_is_for_an_amount_that_is_none(stage: Stage) -> None:
    assert Stage().fail(ValidationError, deposit("pw", "much", "base")).field == "amount"
    assert stage.fail(ValidationError, deposit("wrong", "much", "base")).field == "password"


def test_a_deposit_without_allowance_is_approved_once_and_tried_four_times(stage: Stage) -> None:
    lacking = (DEPOSIT, coded(149))
    stage.play(deposit("pw", 2, "base"), lacking, *APPROVAL, PAUSE, (DEPOSIT, ok()))
    script = (lacking, *APPROVAL, PAUSE, lacking, PAUSE, lacking, PAUSE, lacking)
    assert stage.fail(ApiError, deposit("pw", 2, "base"), *script).error_code == 149


def test_an_approval_names_a_spender_that_is_known(stage: Stage) -> None:
    stage.play(approve_token_usage("any password", "staker", "base"), *APPROVAL)
    swapped = stage.fail(ValidationError, approve_token_usage("account", "my password", "base"))
    assert "my password" not in f"{swapped} {vars(swapped)}"
    permit = {**PERMIT, "types": {"Permit": []}, "message": {}}
    script = ("POST rest/v1/contract/token/approve/permit", ok(permit))
    stage.fail(ProtocolError, approve_token_usage("pw", "account", "base"), script)


def test_what_a_wallet_holds() -> None:
    call = "GET rest/v2/wallet/balance?walletAddress=0x1&provider=base"
    assert Stage().play(wallet_balance("0x1", "base"), (call, ok({"ether": "0.01"}))).ether == Decimal("0.01")
    Stage().fail(ProtocolError, wallet_balance("0x1", "base"), (call, ok({})))


def test_a_taken_name_is_a_result_and_a_malformed_one_is_not() -> None:
    call = "POST rest/v1/account/username/validate"
    stage = Stage()
    free = stage.play(validate_username("free"), (call, bare({"status": "success"})))
    empty = stage.play(validate_username("free"), (call, HttpReply(status=204)))
    taken = stage.play(validate_username("used"), (call, coded(108, 409)))
    assert [free.available, empty.available, taken.available] == [True, True, False]
    for answer in (coded(109), coded("108"), HttpReply(status=400, body=b"no"), HttpReply(status=400, body=b"[1]")):
        stage.fail(ApiError, validate_username("!"), (call, answer))


def test_amounts_of_the_history_keep_every_digit(stage: Stage) -> None:
    body = (
        b'{"data":{"transactions":[{"id":"t","_id":"x","amount":-1.000000000000000001,"createTime":1000}],"next":20}}'
    )
    call = "GET rest/v1/transactions/list?status=completed&address=0x1&limit=20"
    query = TransactionQuery(address="0x1", offset=0)
    page = stage.play(transaction_history(query), (call, HttpReply(status=200, body=body)))
    (entry,) = page.entries
    assert (entry.amount, entry.create_time) == (Decimal("-1.000000000000000001"), read_time(1000))
    assert (dict(entry.extra), page.next.offset) == ({}, 20)


@pytest.mark.parametrize(
    ("given", "offset"), [('"40"', 40), ("40.0", 40), ('"more"', None), ("true", None), ("null", None)]
)
def test_the_next_page_is_found_however_its_number_is_written(stage: Stage, given: str, offset: int | None) -> None:
    answer = HttpReply(status=200, body=f'{{"data":{{"transactions":[],"next":{given}}}}}'.encode())
    call = "GET rest/v1/transactions/list?status=completed&address=0x1&limit=20"
    assert stage.play(transaction_history(TransactionQuery(address="0x1")), (call, answer)).next.offset == offset


def test_the_history_of_the_account_itself() -> None:
    stage = Stage()
    stage.fail(ValidationError, transaction_history(TransactionQuery()), ("GET rest/v1/account/me", ok({})))
    stage.state.account.change(wallet_address="0x2")
    call = "GET rest/v1/transactions/list?status=completed&address=0x2&limit=5&offset=3"
    page = stage.play(transaction_history(TransactionQuery(limit=5, offset=3)), (call, ok({"transactions": []})))
    assert (page.entries, page.next.offset) == ([], None)
    bare_query = ("GET rest/v1/transactions/list?status=completed&address=0x2&limit=20", ok({"transactions": []}))
    assert stage.play(transaction_history(TransactionQuery()), bare_query).entries == []
    for wrong in (ok(), ok({}), ok({"transactions": [5]}), bare([])):
        stage.fail(ProtocolError, transaction_history(TransactionQuery(limit=5, offset=3)), (call, wrong))
    for query in (TransactionQuery(limit=1.5), TransactionQuery(offset=True)):  # type: ignore[arg-type]
        stage.fail(ValidationError, transaction_history(query))


def test_rewards_have_times_and_reasons() -> None:
    raw = {"id": 2, "amount": "50", "claimed": 0, "canClaim": 1, "lastClaimTimestamp": 1000}
    given = [{**raw, "claimResetFrequencySec": 60}, {**raw, "claimResetFrequencySec": -1}, {"id": "x"}]
    first, second, third = Stage().play(rewards(None), ("GET rest/v4/account/rewards", ok({"rewards": given})))
    assert (first.id, first.amount, first.can_claim, first.claimed) == ("2", Decimal(50), True, False)
    assert (first.next_claim, second.next_claim, third.last_claim) == (read_time(1_060_000), None, None)
    never = ok({"rewards": [{**raw, "claimResetFrequencySec": each} for each in (1e300, 10**400)]})
    assert [it.next_claim for it in Stage().play(rewards(None), ("GET rest/v4/account/rewards", never))] == [None, None]
    call = "GET rest/v4/account/rewards?provider=etherlink"
    assert Stage().play(rewards("etherlink"), (call, ok({"rewards": given[:1]})))[0].provider == "etherlink"
    for wrong in (
        ok(),
        ok({"rewards": 5}),
        ok({"rewards": [5]}),
        ok({"rewards": [{**raw, "lastClaimTimestamp": 1e18}]}),
        ok({"rewards": [{**raw, "lastClaimTimestamp": 10**400, "claimResetFrequencySec": 0.5}]}),
        ok({"rewards": [{"title": "without an id"}]}),
    ):
        Stage().fail(ProtocolError, rewards(None), ("GET rest/v4/account/rewards", wrong))


def test_rewards_are_claimed_by_their_ids() -> None:
    call = "POST rest/v3/account/reward/claim"
    Stage().play(claim_rewards(["1"], "t", None), (call, ok()))
    Stage().play(claim_rewards("1", None, "etherlink"), (call, ok()))
    for wrong in (5, [5], None):
        Stage().fail(ValidationError, claim_rewards(wrong, None, None))


def test_subscriptions() -> None:
    plans = ("GET rest/v1/subscriptions/plans", ok({"plans": [{"planId": "unlimited", "priceUsd": 9.5}]}))
    stage = Stage()
    assert stage.play(subscription_plans(), plans)[0].price_usd == Decimal("9.5")
    assert stage.play(subscription_plans(), ("GET rest/v1/subscriptions/plans", ok({"plans": []}))) == []
    for wrong in (ok(), ok({}), ok([])):
        stage.fail(ProtocolError, subscription_plans(), ("GET rest/v1/subscriptions/plans", wrong))
    status = "GET rest/v1/subscriptions/status"
    active = ok({"subscription": {"active": True, "status": "active", "tier": "unlimited"}})
    assert stage.play(refresh_subscription(), (status, active)).is_unlimited
    assert stage.state.account.snapshot()["subscription"]["tier"] == "unlimited"
    for wrong in (ok(), ok({}), ok([]), ok({"subscription": []})):
        stage.fail(ProtocolError, refresh_subscription(), (status, wrong))
    assert stage.state.account.snapshot()["subscription"]["tier"] == "unlimited"
    assert not stage.play(refresh_subscription(), (status, ok({"subscription": None}))).active
    stage.play(flow_of(outbox.FetchSubscription()), (status, refused(404)))


def test_a_subscription_is_paid_on_a_page() -> None:
    options: dict[str, Any] = {"redirect_type": "web", "app_source": None, "start_trial": None, "device_id": "d"}
    page = ok({"url": "https://pay.example/x"})
    stage = Stage()
    flow = subscription_checkout("unlimited", "annual", **options)
    assert stage.play(flow, ("POST rest/v1/iap/stripe/subscribe", page)).url == "https://pay.example/x"
    assert stage.play(subscription_portal(), ("POST rest/v1/subscriptions/stripe/portal", page)).url.startswith("h")
    for tier, term in (("gold", "annual"), ("unlimited", "daily")):
        stage.fail(ValidationError, subscription_checkout(tier, term, **options))


def test_the_leaderboard() -> None:
    call = "GET rest/v1/leaderboard/?type=referral&period=day&network=fast"
    places = Stage().play(leaderboard("referral", "day", network="fast"), (call, ok([{"rank": 1, "value": "10"}])))
    assert (places[0].rank, places[0].value) == (1, Decimal(10))
    for given in (("x", "day", {}), ("referral", "week", {}), ("referral", "day", {"network": "x"})):
        Stage().fail(ValidationError, leaderboard(given[0], given[1], **given[2]))
    call = "GET rest/v1/leaderboard/?type=referral&period=day"
    Stage().fail(NotFoundError, leaderboard("referral", "day"), (call, refused(404)))
    Stage().fail(ProtocolError, leaderboard("referral", "day"), (call, ok({})))
