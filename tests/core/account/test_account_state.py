"""The live account: the events for its changes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sogni.core.account.state import AccountState
from sogni.core.outbox import Outbox
from sogni.models.account import AccountInfo, Balances, TokenBalance


def told(account: AccountState) -> list[tuple[str, Any]]:
    return [(it.event, it.value) for it in account._out.deliveries]


def test_a_change_is_told_once_with_all_its_names() -> None:
    account = AccountState(Outbox(), "fast")
    account.change(network_status="connected", network="fast", username="ada")
    assert [("updated", {"network_status", "username"})] == told(account)
    assert account._out.woken == ["account"]


def test_what_stays_the_same_is_not_told() -> None:
    account = AccountState(Outbox(), "fast")
    account.change(network="fast", balance=Balances())
    assert (told(account), account._out.woken) == ([], [])


def test_the_answer_of_me_says_who_it_is() -> None:
    account = AccountState(Outbox(), "fast")
    account.set_identity(AccountInfo(username="ada", wallet_address="0x1", current_email="a@b.c"))
    assert (account.username, account.wallet_address, account.email) == ("ada", "0x1", "a@b.c")


def test_a_reset_leaves_nothing_of_anybody() -> None:
    account = AccountState(Outbox(), "fast")
    account.set_identity(AccountInfo(username="ada", wallet_address="0x1", current_email="a@b.c"))
    account.change(
        network_status="connected", balance=Balances(spark=TokenBalance(net=Decimal(5))), subscription={"tier": "x"}
    )
    account.reset()
    fresh = AccountState(Outbox(), None)
    names = ("network_status", "network", "balance", "wallet_address", "username", "email", "subscription")
    assert [getattr(fresh, name) for name in names] == [getattr(account, name) for name in names]
    assert told(account)[-1] == ("updated", set(names))


def test_the_snapshot_leaves_out_what_is_not_known() -> None:
    account = AccountState(Outbox(), None)
    assert {"networkStatus", "balance"} == account.snapshot().keys()
    account.change(username="ada", network="fast", wallet_address="0x1", email="a@b.c")
    assert account.snapshot() == {
        "networkStatus": "disconnected",
        "network": "fast",
        "balance": {
            "sogni": {"settled": "0", "credit": "0", "debit": "0", "net": "0"},
            "spark": {"settled": "0", "credit": "0", "debit": "0", "net": "0", "premiumCredit": "0"},
        },
        "walletAddress": "0x1",
        "username": "ada",
        "email": "a@b.c",
    }
