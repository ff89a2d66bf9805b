"""Account, balances, transactions, subscriptions, leaderboard and health check."""

# account §5 to §7, §12, §13

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from attrs import evolve

from sogni.core.account.requests import (
    checkout_call,
    claim_call,
    history_call,
    read_account,
    read_history,
    read_rewards,
    read_validation,
)
from sogni.core.account.state import read_amounts
from sogni.core.checks import one_of, text
from sogni.core.connection.flows import open_connection, send_frame
from sogni.core.connection.messages import subscription_update, wants_queue_frames
from sogni.core.flow import Flow, State, change, clock, until
from sogni.core.http import HttpCall, get, post
from sogni.core.outbox import CONNECTION, NETWORK
from sogni.core.requests import request, request_data, request_done, request_model, request_once
from sogni.core.time_limit import limited
from sogni.errors import ProtocolError, SogniError, ValidationError
from sogni.models.account import (
    AccountInfo,
    Balances,
    LeaderboardEntry,
    LeaderboardNetwork,
    LeaderboardPeriod,
    LeaderboardType,
    Reward,
    Subscription,
    SubscriptionPage,
    SubscriptionPlan,
    SubscriptionUsage,
    TransactionHistory,
    TransactionQuery,
    TrialEligibility,
    UsernameValidation,
    WalletBalance,
)
from sogni.models.connection import HealthCheck, HealthReport
from sogni.models.converter import read
from sogni.settings import check_network

T = TypeVar("T")

SWITCH_TIMEOUT = 30.0
"""Time limit in seconds for the response to a network switch."""


def fetch_account() -> Flow[AccountInfo]:
    """Fetch the account of the credentials and store it."""
    session = yield from _session()
    info = yield from account_of_credentials()
    yield from _apply(session, lambda state: state.account.set_identity(info))
    return info


def wallet_address() -> Flow[str]:
    """Return the wallet address of the account, which is requested unless it is known."""
    address = yield from change(lambda state, _: state.account.wallet_address)
    address = address or (yield from fetch_account()).wallet_address
    if not address:
        raise ProtocolError("GET /v1/account/me: the account has no wallet address")
    return address


def account_of_credentials() -> Flow[AccountInfo]:
    """Fetch the account of the credentials."""
    call = get("/v1/account/me")
    return read_account(call, (yield from request(call)))


def _session() -> Flow[int]:
    return (yield from change(lambda state, _: state.session.generation))


def _apply(session: int, apply: Callable[[State], None]) -> Flow[None]:
    """Apply a response, unless another user has signed in since the request."""
    yield from change(lambda state, _: apply(state) if state.session.generation == session else None)


def account_balance() -> Flow[Balances]:
    """Fetch the balance."""
    return (yield from _amounts(Balances, get("/v4/account/balance")))


def _amounts(cls: type[T], call: HttpCall) -> Flow[T]:
    return read_amounts(cls, (yield from request_data(call)), f"the response to {call.method} {call.path}")


def refresh_balance() -> Flow[Balances]:
    """Fetch the balance and store it."""
    session = yield from _session()
    balance = yield from account_balance()
    yield from _apply(session, lambda state: state.account.change(balance=balance))
    return balance


def wallet_balance(address: str, provider: str) -> Flow[WalletBalance]:
    """Fetch the balance of a wallet."""
    call = get("/v2/wallet/balance", walletAddress=address, provider=provider)
    return (yield from _amounts(WalletBalance, call))


def validate_username(name: str) -> Flow[UsernameValidation]:
    """Check whether a user name is available; a taken one is a result, not an error."""
    call = post("/v1/account/username/validate", {"username": name})
    return read_validation(call, (yield from request(call)))


def transaction_history(query: TransactionQuery) -> Flow[TransactionHistory]:
    """Fetch a page of transactions; of the current account by default."""
    if query.address is None:
        address = yield from change(lambda state, _: state.account.wallet_address)
        query = evolve(query, address=address or (yield from fetch_account()).wallet_address)
    if not query.address:
        raise ValidationError("address is required: the account has no known wallet address", field="address")
    call = history_call(query)
    return read_history(query, call, (yield from request(call)))


def rewards(provider: str | None) -> Flow[list[Reward]]:
    """Fetch open and claimed rewards."""
    call = get("/v4/account/rewards", provider=provider)
    return read_rewards(call, (yield from request(call)), provider)


def claim_rewards(ids: Any, turnstile_token: str | None, provider: str | None) -> Flow[None]:
    """Claim rewards."""
    yield from request_once(claim_call(ids, turnstile_token, provider))


def switch_network(network: str) -> Flow[str]:
    """Switch the network; returns the network in the service's response, which may differ."""
    check_network(network)

    def begin(state: State, _: float) -> None:
        state.announced_network = None
        state.account.change(network_status="switching", network=None)

    yield from change(begin)
    yield from send_frame("changeNetwork", network)

    def answered(state: State) -> str | None:
        if state.announced_network is None and state.connection.phase == "ended":
            raise state.why_closed()
        return state.announced_network

    answer = yield from until(
        (NETWORK, CONNECTION),
        answered,
        timeout=SWITCH_TIMEOUT,
        phase="request",
        waiting_for="the response to changeNetwork",
    )
    yield from change(lambda state, _: setattr(state, "network", answer))
    return answer


def subscribe(update: Any) -> Flow[None]:
    """Send an update of the socket event subscriptions; returns once it is written."""
    payload = subscription_update(update)

    def sent(state: State, _: float) -> None:
        state.wants_queue_frames = wants_queue_frames(payload, state.wants_queue_frames)

    yield from send_frame("setSocketEventSubscriptions", payload, sent)


# Subscriptions (account §13)


def subscription_plans() -> Flow[list[SubscriptionPlan]]:
    """Fetch the available plans."""
    data = yield from request_data(get("/v1/subscriptions/plans"))
    listed = data.get("plans") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ProtocolError("the response to GET /v1/subscriptions/plans contains no plans")
    return [read(SubscriptionPlan, plan, "the response to GET /v1/subscriptions/plans") for plan in listed]


def refresh_subscription() -> Flow[Subscription]:
    """Fetch the subscription and store it, unless the socket has delivered a newer one meanwhile."""
    requested_at = yield from change(lambda state, _: state.account.ordering.socket_writes)
    data = yield from request_data(get("/v1/subscriptions/status"))
    if not isinstance(data, dict) or "subscription" not in data:
        raise ProtocolError("the response to GET /v1/subscriptions/status contains no subscription")
    given = data["subscription"]
    snapshot = read(Subscription, {} if given is None else given, "the response to GET /v1/subscriptions/status")
    current = yield from change(lambda state, _: state.account.apply_subscription(snapshot, requested_at))
    return current or snapshot


def subscription_usage() -> Flow[SubscriptionUsage]:
    """Fetch the usage of the current billing period."""
    call = get("/v1/subscriptions/usage")
    data = yield from request_data(call)
    if not isinstance(data, dict) or data.get("usage") is None:
        raise ProtocolError(f"the response to GET {call.path} contains no usage")
    return read(SubscriptionUsage, data["usage"], f"the response to GET {call.path}")


def trial_eligibility() -> Flow[TrialEligibility]:
    """Fetch whether the account can start a trial."""
    return (yield from request_model(TrialEligibility, get("/v1/subscriptions/trial-eligibility")))


def set_device_id(device_id: Any) -> Flow[None]:
    """Tell the service the id of the device. Setting it twice does no harm, so the request is repeatable."""
    body = {"deviceId": text("device_id", device_id, empty=False)}
    yield from request_done(post("/v1/account/device-id", body, repeatable=True))


def subscription_checkout(tier: Any, term: Any, **options: Any) -> Flow[SubscriptionPage]:
    """Start a checkout; nothing is charged before the user completes the page."""
    return (yield from request_model(SubscriptionPage, checkout_call(tier, term, **options)))


def subscription_portal() -> Flow[SubscriptionPage]:
    """Return the page for managing the subscription."""
    return (yield from request_model(SubscriptionPage, post("/v1/subscriptions/stripe/portal")))


# Leaderboard (account §12.4)


def leaderboard(type: Any, period: Any, **filters: Any) -> Flow[list[LeaderboardEntry]]:
    """Fetch the leaderboard. Raises `ValidationError` for an unknown type, period or network."""
    one_of("type", type, get_args(LeaderboardType))
    one_of("period", period, get_args(LeaderboardPeriod))
    if filters.get("network") is not None:
        one_of("network", filters["network"], get_args(LeaderboardNetwork))
    data = yield from request_data(get("/v1/leaderboard/", type=type, period=period, **filters))
    if not isinstance(data, list):
        raise ProtocolError("the response to GET /v1/leaderboard/ is not a list")
    return read(list[LeaderboardEntry], data, "the response to GET /v1/leaderboard/")


# Health check


def check_health(timeout: float | None) -> Flow[HealthReport]:
    """Check credentials, REST host, balance and socket; failures are reported, not raised."""
    checks: list[HealthCheck] = []
    end = None if timeout is None else (yield from clock()) + timeout

    def checked(name: str, flow: Flow[T], describe: Callable[[T], str]) -> Flow[T | None]:
        left = None if end is None else max(0.0, end - (yield from clock()))
        return (yield from _check(checks, name, limited(flow, left), describe))

    info = yield from checked("credentials", fetch_account(), lambda i: f"signed in as {i.username}")
    balance = yield from checked("balance", refresh_balance(), lambda b: f"{b.spark.net} Spark, {b.sogni.net} Sogni")
    if not (yield from change(lambda state, _: state.settings.disable_socket)):
        yield from checked("socket", open_connection(None), lambda _: "connected and authenticated")
    return HealthReport(
        ok=all(check.ok for check in checks),
        checks=checks,
        username=info.username if info else None,
        balance=balance,
    )


def _check(checks: list[HealthCheck], name: str, flow: Flow[T], describe: Callable[[T], str]) -> Flow[T | None]:
    began = yield from clock()
    try:
        outcome = yield from flow
    except SogniError as error:
        seconds = (yield from clock()) - began
        checks.append(HealthCheck(name=name, ok=False, detail=str(error), error=type(error).__name__, seconds=seconds))
        return None
    seconds = (yield from clock()) - began
    checks.append(HealthCheck(name=name, ok=True, detail=describe(outcome), seconds=seconds))
    return outcome
