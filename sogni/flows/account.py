"""Account calls: who is signed in, what they have and had, on which network (account §5 to §7, §12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve

from ..errors import ValidationError
from ..models.account import AccountInfo, Balances, UsernameValidation, WalletBalance
from ..models.rewards import Reward
from ..models.transactions import TransactionHistory, TransactionQuery
from ..protocol.account_calls import claim_call, history_call, read_account, read_history, read_rewards, read_validation
from ..protocol.account_state import read_amounts
from ..protocol.client_state import CONNECTION, NETWORK, ClientState
from ..protocol.http import HttpCall, get, post
from ..protocol.subscriptions import subscription_update
from .catalogue import check_network
from .requests import ask_data, request, request_once
from .sending import send_frame
from .steps import Flow, change, until

T = TypeVar("T")

SWITCH_WITHIN = 30.0
"""Seconds for the answer to a network switch (transport §12)."""


def fetch_account() -> Flow[AccountInfo]:
    """Who the credentials belong to."""
    session = yield from _session()
    info = yield from account_of_credentials()
    yield from _keep(session, lambda state: state.account.known(info))
    return info


def account_of_credentials() -> Flow[AccountInfo]:
    """The same, without keeping it."""
    call = get("/v1/account/me")
    return read_account(call, (yield from request(call)))


def _session() -> Flow[int]:
    return (yield from change(lambda state, _: state.session))


def _keep(session: int, apply: Callable[[ClientState], None]) -> Flow[None]:
    """Note an answer, unless somebody else has signed in since it was asked for, or nobody is any more."""
    yield from change(lambda state, _: apply(state) if state.session == session else None)


def account_balance() -> Flow[Balances]:
    """The balance, without keeping it."""
    return (yield from _amounts(Balances, get("/v4/account/balance")))


def _amounts(cls: type[T], call: HttpCall) -> Flow[T]:
    return read_amounts(cls, (yield from ask_data(call)), f"the answer to {call.method} {call.path}")


def refresh_balance() -> Flow[Balances]:
    """The balance, kept as the current one."""
    session = yield from _session()
    balance = yield from account_balance()
    yield from _keep(session, lambda state: state.account.change(balance=balance))
    return balance


def wallet_balance(address: str, provider: str) -> Flow[WalletBalance]:
    """What a wallet holds."""
    call = get("/v2/wallet/balance", walletAddress=address, provider=provider)
    return (yield from _amounts(WalletBalance, call))


def validate_username(name: str) -> Flow[UsernameValidation]:
    """Whether a user name can be had; a taken one is a result."""
    call = post("/v1/account/username/validate", {"username": name})
    return read_validation(call, (yield from request(call)))


def transaction_history(query: TransactionQuery) -> Flow[TransactionHistory]:
    """A page of transactions; of the current account when no address is given."""
    if query.address is None:
        address = yield from change(lambda state, _: state.account.wallet_address)
        query = evolve(query, address=address or (yield from fetch_account()).wallet_address)
    if not query.address:
        raise ValidationError("address must be given: the account's own is not known", field="address")
    call = history_call(query)
    return read_history(query, call, (yield from request(call)))


def rewards(provider: str | None) -> Flow[list[Reward]]:
    """What can be claimed, and what was."""
    call = get("/v4/account/rewards", provider=provider)
    return read_rewards(call, (yield from request(call)), provider)


def claim_rewards(ids: Any, turnstile_token: str | None, provider: str | None) -> Flow[None]:
    """Claim rewards."""
    yield from request_once(claim_call(ids, turnstile_token, provider))


def switch_network(network: str) -> Flow[str]:
    """Ask for another network; returns the one the service answers with, which may differ."""
    check_network(network)

    def begin(state: ClientState, _: float) -> None:
        state.network_answer = None
        state.account.change(network_status="switching", network=None)

    yield from change(begin)
    yield from send_frame("changeNetwork", network)

    def answered(state: ClientState) -> str | None:
        if state.network_answer is None and state.connection.phase == "ended":
            raise state.why_closed()
        return state.network_answer

    answer = yield from until(
        (NETWORK, CONNECTION),
        answered,
        timeout=SWITCH_WITHIN,
        phase="request",
        waiting_for="the answer to changeNetwork",
    )
    yield from change(lambda state, _: setattr(state, "network", answer))
    return answer


def subscribe(update: Any) -> Flow[None]:
    """Send a change of the socket event subscriptions; finished when it is written (transport §11)."""
    yield from send_frame("setSocketEventSubscriptions", subscription_update(update))
