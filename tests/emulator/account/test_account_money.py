"""Balances, transaction history, rewards, withdrawals, deposits and approvals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Reward
from sogni.emulator.account.rewards import NotClaimableError, Rewards
from tests.emulator.account.helpers import Wallet, error_of, post, sign_in
from tests.emulator.wire import Wire

ONE = "1000000000000000000"
PERMIT = "/v1/account/token/withdraw/permit"
WITHDRAW = "/v2/account/token/withdraw"
DEPOSIT = "/v3/account/token/deposit"
APPROVE_PERMIT = "/v1/contract/token/approve/permit"
APPROVE = "/v1/contract/token/approve"
REWARDS = "/v4/account/rewards"
CLAIM = "/v3/account/reward/claim"
HISTORY = "/v1/transactions/list"

WALLET = Wallet("second", "secret")


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as running:
        running.add_account("second", "secret", spark=100, sogni=10, api_key="second-key")
        yield running


@pytest.fixture
def wire(supernet: LocalSupernet) -> Iterator[Wire]:
    with Wire(supernet) as client:
        sign_in(client, "second", "secret")
        yield client


def move(amount: str = ONE, **more: Any) -> dict[str, Any]:
    return {"walletAddress": WALLET.address, "amount": amount, "provider": "base", **more}


def data(wire: Wire, path: str, body: dict[str, Any]) -> Any:
    reply = post(wire, path, body)
    assert reply.status_code == 200, reply.text
    return reply.json()["data"]


def approve(wire: Wire, spender: str = "account", **changes: Any) -> Any:
    asked = {"walletAddress": WALLET.address, "spender": spender, "provider": "base"}
    permit = data(wire, APPROVE_PERMIT, asked)
    signed = {"deadline": permit["message"]["deadline"], "approveSignature": WALLET.sign(permit)}
    return post(wire, APPROVE, {**asked, **signed, **changes})


def test_each_account_pays_for_its_own_projects(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    wire.finish(wire.create())
    second = supernet.accounts[1]
    supernet.wait_for(second.ledger.newest_first)
    assert second.balance.spark < 100
    assert supernet.account.balance.spark == 10_000
    entry = wire.data(HISTORY)["transactions"][0]
    assert (entry["type"], entry["source"], entry["tokenType"]) == ("debit", "project", "spark")
    assert Decimal(str(entry["amount"])) == second.balance.spark - 100
    assert wire.data("/v1/subscriptions/usage")["usage"]["periodJobs"] == 1
    board = wire.data("/v1/leaderboard/", type="projectCompleteArtist", period="day", username="second")
    assert [row["value"] for row in board] == ["1"]


def test_the_history_comes_in_pages_newest_first(wire: Wire, supernet: LocalSupernet) -> None:
    second = supernet.accounts[1]
    for number in range(1, 8):
        second.funds.move("spark", Decimal(number), description=f"gift {number}", source="gift")
    query = {"status": "completed", "address": WALLET.address.lower(), "limit": "3"}
    first = wire.data(HISTORY, **query)
    assert ([entry["amount"] for entry in first["transactions"]], first["next"]) == ([7, 6, 5], 3)
    last = wire.data(HISTORY, **query, offset="6")
    assert [entry["amount"] for entry in last["transactions"]] == [1]
    assert wire.data(HISTORY, **query, offset="9")["transactions"] == []
    entry = last["transactions"][0]
    assert abs(entry["createTime"] / 1000 - time.time()) < 60
    assert entry["address"] == WALLET.address


def test_the_history_is_private(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.account.funds.move("spark", Decimal(1), description="gift", source="gift")
    assert wire.data(HISTORY, address=supernet.account.wallet_address)["transactions"] == []
    supernet.accounts[1].funds.move("spark", Decimal(1), description="gift", source="gift")
    assert wire.data(HISTORY, status="pending")["transactions"] == []


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"offset": "-1"}, {"limit": "9" * 20}])
def test_an_invalid_page_is_refused(wire: Wire, query: dict[str, str]) -> None:
    assert error_of(wire.get(HISTORY, **query)) == (400, 0)


def test_the_wallet_is_reported_per_chain(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.accounts[1].wallet.set(sogni="12.5", ether="0.01")
    path, address = "/v2/wallet/balance", WALLET.address
    assert wire.data(path, walletAddress=address, provider="base") == {"sogni": "12.5", "spark": "0", "ether": "0.01"}
    assert wire.data(path, walletAddress=address, provider="etherlink")["sogni"] == "0"
    assert wire.data(path, walletAddress="0x" + "1" * 40)["sogni"] == "0"
    assert error_of(wire.get(path, walletAddress="0x1")) == (400, 0)
    assert error_of(wire.get(path, walletAddress=address, provider="moon")) == (400, 0)


def test_rewards_are_claimed_once_and_paid(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    rewards = {reward["id"]: reward for reward in wire.data(REWARDS, provider="undefined")["rewards"]}
    assert [(r["claimed"], r["canClaim"]) for r in rewards.values()] == [(0, 1), (0, 1), (0, 0)]
    assert rewards["3"]["cantClaimReason"] == "requires_verification"
    assert data(wire, CLAIM, {"claims": ["1", "2"], "provider": "base"}) == {}
    wire.until(lambda name, frame: name == "balanceUpdate" and frame["spark"]["net"] == "150")
    assert supernet.accounts[1].balance.sogni == 20
    claimed = wire.data(REWARDS)["rewards"][0]
    assert (claimed["claimed"], claimed["canClaim"], claimed["cantClaimReason"]) == (1, 0, "already_claimed")
    assert abs(claimed["lastClaimTimestamp"] - time.time()) < 60
    assert [entry["source"] for entry in wire.data(HISTORY)["transactions"]] == ["reward", "reward"]


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (["2", "3"], (400, 0)),
        (["2", "9"], (404, 102)),
        (["2", "2"], (400, 0)),
        ([], (400, 0)),
        ([2], (400, 0)),
        ("2", (400, 0)),
    ],
)
def test_a_claim_is_paid_as_a_whole_or_not_at_all(
    wire: Wire, supernet: LocalSupernet, claims: object, expected: tuple[int, int]
) -> None:
    assert error_of(post(wire, CLAIM, {"claims": claims})) == expected
    assert supernet.accounts[1].balance.sogni == 10


def test_some_rewards_come_back() -> None:
    now = [1000.0]
    daily = Reward(id="d", title="", description="", token="spark", amount=1, every=60)
    rewards = Rewards([daily], lambda: now[0])
    rewards.claim(["d"])
    with pytest.raises(NotClaimableError, match="already_claimed"):
        rewards.claim(["d"])
    now[0] += 60
    assert rewards.claim(["d"]) == [daily]


def test_a_withdrawal_moves_sogni_to_the_wallet(wire: Wire, supernet: LocalSupernet) -> None:
    second = supernet.accounts[1]
    permit = data(wire, PERMIT, move("1500000000000000001"))
    assert set(permit) == {"domain", "types", "message"}
    data(wire, WITHDRAW, move("1500000000000000001", signature=WALLET.sign(permit)))
    assert second.balance.sogni == Decimal("8.499999999999999999")
    assert second.wallet.on("base").sogni == Decimal("1.500000000000000001")
    assert wire.data("/v4/account/balance")["sogni"]["net"] == "8.499999999999999999"
    assert wire.data(HISTORY)["transactions"][0]["source"] == "withdraw"


def test_a_permit_is_good_for_one_withdrawal_of_what_it_says(wire: Wire, supernet: LocalSupernet) -> None:
    signature = WALLET.sign(data(wire, PERMIT, move()))
    for other in (move("2" + ONE, signature=signature), move(signature=signature, provider="etherlink")):
        assert error_of(post(wire, WITHDRAW, other)) == (400, 0)
    data(wire, WITHDRAW, move(signature=signature))
    assert error_of(post(wire, WITHDRAW, move(signature=signature))) == (400, 0)
    assert supernet.accounts[1].balance.sogni == 9


def test_equal_concurrent_withdrawals_are_all_carried_out(wire: Wire, supernet: LocalSupernet) -> None:
    permits = [data(wire, PERMIT, move()) for _ in range(3)]
    for permit in permits:
        data(wire, WITHDRAW, move(signature=WALLET.sign(permit)))
    assert supernet.accounts[1].balance.sogni == 7


@pytest.mark.parametrize("amount", ["0", "-1", "1.5", "1e18", "", " 1", "\u0663", 1])
def test_an_amount_is_an_integer_string(wire: Wire, amount: object) -> None:
    for path in (PERMIT, DEPOSIT):
        assert error_of(post(wire, path, {**move(), "amount": amount})) == (400, 0)


def test_an_invalid_withdrawal_is_refused(wire: Wire, supernet: LocalSupernet) -> None:
    assert error_of(post(wire, PERMIT, move("11" + ONE[1:]))) == (400, 123)
    assert error_of(post(wire, PERMIT, move(walletAddress="0x" + "1" * 40))) == (400, 0)
    assert error_of(post(wire, PERMIT, move(provider="moon"))) == (400, 0)
    permit = data(wire, PERMIT, move())
    assert error_of(post(wire, WITHDRAW, move(signature=Wallet("second", "wrong").sign(permit)))) == (400, 0)
    permit = data(wire, PERMIT, move())
    supernet.accounts[1].set_balance(sogni="0.5")
    assert error_of(post(wire, WITHDRAW, move(signature=WALLET.sign(permit)))) == (400, 123)
    assert supernet.accounts[1].wallet.on("base").sogni == 0


def test_an_api_key_does_not_withdraw(wire: Wire) -> None:
    wire.headers = {"api-key": "second-key"}
    assert error_of(post(wire, PERMIT, move())) == (403, 0)
    assert error_of(post(wire, WITHDRAW, move(signature="0x"))) == (403, 0)


def test_a_deposit_needs_an_approval_of_the_deposit_contract(wire: Wire, supernet: LocalSupernet) -> None:
    second = supernet.accounts[1]
    second.wallet.set(sogni=5)
    assert error_of(post(wire, DEPOSIT, move())) == (400, 149)
    assert approve(wire, "staker").status_code == 200
    assert error_of(post(wire, DEPOSIT, move())) == (400, 149)
    assert approve(wire).status_code == 200
    data(wire, DEPOSIT, move())
    assert second.balance.sogni == 11
    assert second.wallet.on("base").sogni == 4
    assert wire.data(HISTORY)["transactions"][0]["source"] == "deposit"
    second.wallet.revoke_approvals()
    assert error_of(post(wire, DEPOSIT, move())) == (400, 149)


def test_a_deposit_of_more_than_the_wallet_has(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.accounts[1].wallet.set("etherlink", sogni=5)
    assert error_of(post(wire, DEPOSIT, move())) == (400, 123)
    assert supernet.accounts[1].balance.sogni == 10


def test_an_api_key_may_approve_and_deposit(wire: Wire, supernet: LocalSupernet) -> None:
    wire.headers = {"api-key": "second-key"}
    supernet.accounts[1].wallet.set(sogni=5)
    assert approve(wire).status_code == 200
    data(wire, DEPOSIT, move())
    assert supernet.accounts[1].balance.sogni == 11


def test_an_invalid_approval_is_refused(wire: Wire) -> None:
    assert error_of(approve(wire, deadline=1)) == (400, 0)
    assert error_of(approve(wire, approveSignature="0x12")) == (400, 0)
    asked = {"walletAddress": WALLET.address, "spender": "thief", "provider": "base"}
    assert error_of(post(wire, APPROVE_PERMIT, asked)) == (400, 0)
    unasked = {**asked, "spender": "account", "deadline": 1, "approveSignature": "0x"}
    assert error_of(post(wire, APPROVE, unasked)) == (400, 0)


@pytest.mark.parametrize("path", [PERMIT, WITHDRAW, DEPOSIT, APPROVE_PERMIT, APPROVE, CLAIM])
def test_no_money_moves_without_credentials(wire: Wire, path: str) -> None:
    wire.headers = {}
    assert error_of(post(wire, path, {})) == (401, 101)


def test_a_reset_forgets_the_past_of_the_account_behind_the_key(supernet: LocalSupernet) -> None:
    account = supernet.account
    account.funds.move("spark", Decimal(5), description="gift", source="gift")
    account.wallet.set(sogni=5)
    account.rewards.claim(["1"])
    supernet.reset()
    assert account.balance.spark == 10_000
    assert account.wallet.on("base").sogni == 0
    assert account.ledger.newest_first() == []
    assert account.rewards.claim(["1"])
