"""Account calls: who is signed in, what they have, on which network (account §5, §6, §12.3)."""

from __future__ import annotations

from typing import Any

from ..models.account import AccountInfo, Balances
from ..protocol.client_state import NETWORK, ClientState
from ..protocol.http import get
from ..protocol.subscriptions import subscription_update
from .catalogue import check_network
from .requests import ask_for
from .sending import send_frame
from .steps import Flow, change, until

SWITCH_WITHIN = 30.0
"""Seconds for the answer to a network switch (transport §12)."""


def fetch_account() -> Flow[AccountInfo]:
    """Who the credentials belong to."""
    info = yield from ask_for(AccountInfo, get("/v1/account/me"))
    yield from change(lambda state, _: state.account.known(info))
    return info


def account_balance() -> Flow[Balances]:
    """The balance, without keeping it."""
    return (yield from ask_for(Balances, get("/v4/account/balance")))


def refresh_balance() -> Flow[Balances]:
    """The balance, kept as the current one."""
    balance = yield from account_balance()
    yield from change(lambda state, _: state.account.change(balance=balance))
    return balance


def switch_network(network: str) -> Flow[str]:
    """Ask for another network; returns the one the service answers with, which may differ."""
    check_network(network)

    def begin(state: ClientState, _: float) -> None:
        state.network_answer = None
        state.account.change(network_status="switching", network=None)

    yield from change(begin)
    yield from send_frame("changeNetwork", network)
    answer = yield from until(
        (NETWORK,),
        lambda state: state.network_answer,
        timeout=SWITCH_WITHIN,
        phase="request",
        waiting_for="the answer to changeNetwork",
    )
    yield from change(lambda state, _: setattr(state, "network", answer))
    return answer


def subscribe(update: Any) -> Flow[None]:
    """Send a change of the socket event subscriptions; finished when it is written (transport §11)."""
    yield from send_frame("setSocketEventSubscriptions", subscription_update(update))
