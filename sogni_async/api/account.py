"""`client.account` and `client.current_account`: signing in, who it is, what they have and do with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, overload

from sogni.base import Decorator, EventEmitter, Remover
from sogni.core.account import flows as account
from sogni.core.account import flows as stats
from sogni.core.account import flows as subscriptions
from sogni.core.account import sign_in as signing_in
from sogni.core.account import token_transfers as money
from sogni.core.account.state import ACCOUNT_EVENTS
from sogni.core.outbox import Listeners
from sogni.models.account import (
    AccountInfo,
    Balances,
    LeaderboardEntry,
    LeaderboardNetwork,
    LeaderboardPeriod,
    LeaderboardType,
    RedirectType,
    Reward,
    Session,
    Subscription,
    SubscriptionPage,
    SubscriptionPlan,
    Term,
    Tier,
    Transaction,
    TransactionHistory,
    TransactionQuery,
    UsernameValidation,
    Wallet,
    WalletBalance,
)
from sogni.models.connection import NetworkStatus
from sogni.redaction import secret
from sogni.settings import Network
from sogni_async.transport.engine import Engine


class OnAccountEvent(Protocol):
    """`CurrentAccount.on` and `CurrentAccount.once`."""

    @overload
    def __call__(self, event: Literal["updated"], function: Callable[[set[str]], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["updated"]) -> Decorator[set[str]]: ...


class CurrentAccount(EventEmitter[OnAccountEvent]):
    """The live account, fed by REST and socket; reading never blocks.

    Event: `updated` (set of changed names).
    """

    _events = ACCOUNT_EVENTS

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _listeners(self) -> Listeners:
        return self._engine.state.account.listeners

    def _on_listener_added(self) -> None:
        self._engine.state.listen()

    @property
    def username(self) -> str | None:
        """The user name, once it is known."""
        return self._engine.state.account.username

    @property
    def email(self) -> str | None:
        """The e-mail address, once it is known."""
        return self._engine.state.account.email

    @property
    def wallet_address(self) -> str | None:
        """The address of the wallet, once it is known."""
        return self._engine.state.account.wallet_address

    @property
    def balance(self) -> Balances:
        """The balance as last announced; `.spark.net` and `.sogni.net` are what can be spent."""
        return self._engine.state.account.balance

    @property
    def network(self) -> str | None:
        """The network in use; None while disconnected or switching."""
        return self._engine.state.account.network

    @property
    def network_status(self) -> NetworkStatus:
        """`disconnected`, `connecting`, `connected` or `switching`."""
        return self._engine.state.account.network_status

    @property
    def is_authenticated(self) -> bool:
        """Whether the wallet's address is known, so that somebody is signed in; False once the client is closed."""
        return not self._engine.closed and self._engine.state.account.wallet_address is not None

    @property
    def subscription(self) -> Subscription | None:
        """The subscription as last told, None before that; its `active` alone decides (account §13.2)."""
        return self._engine.state.account.subscription

    @property
    def is_unlimited(self) -> bool:
        """Whether a subscription is active on one of the unlimited tiers; False before any was told."""
        subscription = self.subscription
        return subscription is not None and subscription.is_unlimited

    @property
    def free_spark_locked(self) -> bool | None:
        """Whether free Spark cannot be spent; None until the service says so (account §14)."""
        return self._engine.state.account.free_spark_locked

    @property
    def free_spark_unlock_path(self) -> str | None:
        """What unlocks free Spark: `trial` or `purchase`."""
        return self._engine.state.account.free_spark_unlock_path

    def to_dict(self) -> dict[str, Any]:
        """The account at this moment, JSON-ready."""
        made: dict[str, Any] = self._engine.state.account.snapshot()
        return made

    def __repr__(self) -> str:
        return f"<CurrentAccount {self.username or 'nobody'} {self.network_status}>"


class Account:
    """Account calls of one client."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- signing in ------------------------------------------------------------

    async def login(
        self, username: str, password: str, remember_me: bool = False, app_source: str | None = None
    ) -> Session:
        """Sign in with user name and password, and stay signed in: tokens are renewed by themselves.

        `remember_me` matters for cookies only. Under an API key nothing is kept, only returned. Needs the extra
        `sogni[wallet]` (ImportError). Raises `AuthenticationError` for a wrong password, else an `ApiError`.
        """
        password = secret(password)
        flow = signing_in.login(username, password, remember_me=remember_me, app_source=app_source)
        return await self._engine.run(flow)

    async def create(
        self,
        username: str,
        email: str,
        password: str,
        turnstile_token: str = "",
        subscribe: bool = False,
        referral_code: str | None = None,
        remember_me: bool = False,
        app_source: str | None = None,
    ) -> Session:
        """Make an account and sign in to it. `subscribe` is for the newsletter, `turnstile_token` the captcha's.

        Needs the extra `sogni[wallet]` (ImportError). Raises `ConflictError` for a name that is taken.
        """
        password = secret(password)
        flow = signing_in.create_account(
            username=username,
            email=email,
            password=password,
            turnstile_token=turnstile_token,
            subscribe=subscribe,
            referral_code=referral_code,
            remember_me=remember_me,
            app_source=app_source,
        )
        return await self._engine.run(flow)

    async def logout(self) -> None:
        """Sign out: the service forgets the session, this client its credentials, and the socket closes.

        When the service cannot be told, the credentials are kept and the error is raised.
        """
        await self._engine.run(signing_in.logout())

    async def get_wallet(self, username: str, password: str) -> Wallet:
        """The wallet that follows from user name and password; asks nobody. Needs the extra `sogni[wallet]`."""
        password = secret(password)
        return await self._engine.run(signing_in.wallet_of(username, password))

    async def validate_username(self, name: str) -> UsernameValidation:
        """Whether a user name can be had (`.available`); a taken one is a result, a malformed one an `ApiError`."""
        return await self._engine.run(account.validate_username(name))

    # -- who and what ----------------------------------------------------------

    async def me(self) -> AccountInfo:
        """Who the credentials belong to. AuthenticationError when they are refused."""
        return await self._engine.run(account.fetch_account())

    async def account_balance(self) -> Balances:
        """The balance in both tokens, asked for now; `current_account` is not changed."""
        return await self._engine.run(account.account_balance())

    async def refresh_balance(self) -> Balances:
        """The balance in both tokens, asked for now and kept in `current_account`."""
        return await self._engine.run(account.refresh_balance())

    async def switch_network(self, network: Network) -> str:
        """Move to another network, `fast` or `relaxed`; returns the one the service chose.

        Raises `SogniTimeoutError` when it does not answer (transport §12).
        """
        return await self._engine.run(account.switch_network(network))

    async def wallet_balance(self, address: str, provider: str = "base") -> WalletBalance:
        """What a wallet holds outside of the account, on `base` or `etherlink`."""
        return await self._engine.run(account.wallet_balance(address, provider))

    async def transaction_history(
        self,
        status: str = "completed",
        address: str | None = None,
        limit: int = 20,
        offset: int | None = None,
        provider: str | None = None,
    ) -> TransactionHistory:
        """A page of transactions in `.entries`; `.next` has the keywords of the page after it.

        `address` is a wallet's; None: the current account's. Amounts are exact. Raises `ValidationError`.
        """
        query = TransactionQuery(status=status, address=address, limit=limit, offset=offset, provider=provider)
        return await self._engine.run(account.transaction_history(query))

    async def transactions(
        self,
        status: str = "completed",
        address: str | None = None,
        limit: int = 100,
        provider: str | None = None,
    ) -> AsyncIterator[Transaction]:
        """All transactions, page by page of `limit` each, as far as they are asked for."""
        query = TransactionQuery(status=status, address=address, limit=limit, provider=provider)
        while True:
            page = await self._engine.run(account.transaction_history(query))
            for entry in page.entries:
                yield entry
            if not page.entries or (page.next.offset or 0) <= (query.offset or 0):
                return
            query = page.next

    async def rewards(self, provider: str | None = None) -> list[Reward]:
        """What can be claimed, and what was."""
        return await self._engine.run(account.rewards(provider))

    async def claim_rewards(
        self, ids: Sequence[str], turnstile_token: str | None = None, provider: str | None = None
    ) -> None:
        """Claim rewards by their ids. Never sent twice."""
        await self._engine.run(account.claim_rewards(ids, turnstile_token, provider))

    # -- money -----------------------------------------------------------------

    async def withdraw(self, password: str, amount: str | Decimal | float, provider: str = "base") -> None:
        """Take tokens out of the account into its wallet; never sent twice.

        `amount` is exact: text, `Decimal` or int; a float counts as its shortest text. A wrong password and an
        amount of 0 or below are a `ValidationError` before anything is sent. Needs a signed-in session (not an
        API key) and the extra `sogni[wallet]`. Raises `InsufficientBalanceError`.
        """
        password, amount = secret(password), secret(amount)
        await self._engine.run(money.withdraw(password, amount, provider))

    async def deposit(self, password: str, amount: str | Decimal | float, provider: str = "base") -> None:
        """Bring tokens from the wallet into the account, as `withdraw` takes them out.

        When the service says that its contract may not spend them, the spending is approved once and the deposit
        asked for again, up to three times, 10 seconds apart.
        """
        password, amount = secret(password), secret(amount)
        await self._engine.run(money.deposit(password, amount, provider))

    async def approve_token_usage(
        self, password: str, spender: Literal["account", "staker"], provider: str = "base"
    ) -> None:
        """Let a contract of the service spend tokens of the wallet. The password is not checked here (account §10)."""
        password = secret(password)
        await self._engine.run(money.approve_token_usage(password, spender, provider))

    # -- subscriptions ---------------------------------------------------------

    async def get_subscription_plans(self) -> list[SubscriptionPlan]:
        """What can be subscribed to."""
        return await self._engine.run(subscriptions.subscription_plans())

    async def refresh_subscription(self) -> Subscription:
        """The subscription, asked for now and kept in `current_account`."""
        return await self._engine.run(subscriptions.refresh_subscription())

    async def create_subscription_checkout(
        self,
        tier: Tier,
        term: Term,
        *,
        redirect_type: RedirectType = "web",
        app_source: str | None = None,
        start_trial: bool | None = None,
        device_id: str | None = None,
    ) -> SubscriptionPage:
        """The page (`.url`) where a subscription is paid for; needs a signed-in session, not an API key."""
        flow = subscriptions.subscription_checkout(
            tier,
            term,
            redirect_type=redirect_type,
            app_source=app_source,
            start_trial=start_trial,
            device_id=device_id,
        )
        return await self._engine.run(flow)

    async def create_subscription_portal_session(self) -> SubscriptionPage:
        """The page (`.url`) where a subscription is managed; needs a signed-in session, not an API key."""
        return await self._engine.run(subscriptions.subscription_portal())


# `client.stats`: who did how much.


class Stats:
    """Statistics of the service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def leaderboard(
        self,
        type: LeaderboardType,
        period: LeaderboardPeriod,
        *,
        username: str | None = None,
        network: LeaderboardNetwork | None = None,
        page: int | None = None,
        limit: int | None = None,
        date: int | None = None,
        address: str | None = None,
    ) -> list[LeaderboardEntry]:
        """The best of a kind, in a day or of all times; needs no account. Raises `ValidationError`."""
        filters = {
            "username": username,
            "network": network,
            "page": page,
            "limit": limit,
            "date": date,
            "address": address,
        }
        return await self._engine.run(stats.leaderboard(type, period, **filters))
