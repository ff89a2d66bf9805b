"""Authentication, balances, transactions, rewards and subscriptions: `client.account` and `client.current_account`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, overload

from sogni.core.account import flows, sign_in, token_transfers
from sogni.core.account.state import ACCOUNT_EVENTS
from sogni.core.outbox import Listeners
from sogni.emitter import Decorator, EventEmitter, Remover
from sogni.keywords import suggest_keywords
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
    SubscriptionUsage,
    Term,
    Tier,
    Transaction,
    TransactionHistory,
    TransactionQuery,
    TrialEligibility,
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


@suggest_keywords
class CurrentAccount(EventEmitter[OnAccountEvent]):
    """The signed-in account, kept up to date by REST responses and the socket. Reading it never blocks.

    Event: `updated` (set of changed names).

    Example:
        >>> await client.account.refresh_balance()
        Balances(...)
        >>> client.current_account.balance.spark.net > 0
        True
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
        """User name; None until it is known."""
        return self._engine.state.account.username

    @property
    def email(self) -> str | None:
        """Email address; None until it is known."""
        return self._engine.state.account.email

    @property
    def wallet_address(self) -> str | None:
        """Address of the account's wallet; None until it is known."""
        return self._engine.state.account.wallet_address

    @property
    def balance(self) -> Balances:
        """Last known balance. `.spark.net` and `.sogni.net` can be spent. All amounts are 0 until it is known."""
        return self._engine.state.account.balance

    @property
    def network(self) -> str | None:
        """Network of the connection; None while disconnected or switching."""
        return self._engine.state.account.network

    @property
    def network_status(self) -> NetworkStatus:
        """`disconnected`, `connecting`, `connected` or `switching`."""
        return self._engine.state.account.network_status

    @property
    def is_authenticated(self) -> bool:
        """True if a user is signed in, that is, if the wallet address is known. False once the client is closed."""
        return not self._engine.closed and self._engine.state.account.wallet_address is not None

    @property
    def subscription(self) -> Subscription | None:
        """Last known subscription; None until it is known. Benefits depend on its `active` alone."""
        return self._engine.state.account.subscription

    @property
    def is_unlimited(self) -> bool:
        """True if a subscription to an unlimited tier is active. False until the subscription is known."""
        subscription = self.subscription
        return subscription is not None and subscription.is_unlimited

    @property
    def free_spark_locked(self) -> bool | None:
        """True if free Spark cannot be spent; None until it is known."""
        return self._engine.state.account.free_spark_locked

    @property
    def free_spark_unlock_path(self) -> str | None:
        """What unlocks free Spark: `trial` or `purchase`; None if unknown."""
        return self._engine.state.account.free_spark_unlock_path

    def to_dict(self) -> dict[str, Any]:
        """Return a snapshot of the account.

        Returns:
            The account as JSON-ready data, with the keys of the wire format.

        Example:
            >>> _ = await client.account.me()
            >>> client.current_account.to_dict()["username"] == client.current_account.username
            True
        """
        made: dict[str, Any] = self._engine.state.account.snapshot()
        return made

    def __repr__(self) -> str:
        return f"<CurrentAccount {self.username or 'nobody'} {self.network_status}>"


@suggest_keywords
class Account:
    """Authentication, balances, transactions, rewards and subscriptions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._current = CurrentAccount(engine)

    # -- signing in ------------------------------------------------------------

    async def login(
        self, username: str, password: str, remember_me: bool = False, app_source: str | None = None
    ) -> Session:
        """Sign in with user name and password. Tokens are refreshed automatically.

        A client with an API key returns the session without using it.

        Args:
            username: User name.
            password: Password.
            remember_me: Keep the session after the browser is closed; for cookies only. Default False.
            app_source: Name of the application, as the service records it. Default: that of the client.

        Returns:
            The session. Its `tokens` are None if the service keeps them in cookies.

        Raises:
            AuthenticationError: The user name or the password is wrong.
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused the request.
            ImportError: The extra `sogni[wallet]` is not installed.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     session = await client.account.login("ada", "correct horse battery")
            ...     session.username, client.is_authenticated
            ('ada', True)
        """
        password = secret(password)
        flow = sign_in.login(username, password, remember_me=remember_me, app_source=app_source)
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
        """Create an account and sign in to it.

        A client with an API key returns the session without using it.

        Args:
            username: User name of the new account; see `validate_username`.
            email: Email address.
            password: Password. The wallet is derived from it, so it cannot be recovered.
            turnstile_token: Result of the captcha; the service may require one. Default: none.
            subscribe: Subscribe to the newsletter. Default False.
            referral_code: Code of the user who referred the account. Default: none.
            remember_me: Keep the session after the browser is closed; for cookies only. Default False.
            app_source: Name of the application, as the service records it. Default: that of the client.

        Returns:
            The session. Its `tokens` are None if the service keeps them in cookies.

        Raises:
            ConflictError: The user name is taken.
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused the request.
            ImportError: The extra `sogni[wallet]` is not installed.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     session = await client.account.create(
            ...         "grace", "grace@example.com", "correct horse battery", turnstile_token="from-the-captcha"
            ...     )
            ...     session.username
            'grace'
        """
        password = secret(password)
        flow = sign_in.create_account(
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
        """Sign out: end the session at the service, discard the credentials and close the socket.

        If the service cannot be reached, the credentials are kept.

        Raises:
            ApiError: The service refused the request.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     _ = await client.account.login("ada", "correct horse battery")
            ...     await client.account.logout()
            ...     client.is_authenticated
            False
        """
        await self._engine.run(sign_in.logout())

    async def get_wallet(self, username: str, password: str) -> Wallet:
        """Derive the wallet of an account from user name and password. Sends nothing.

        Args:
            username: User name, in any case.
            password: Password. A wrong one results in another wallet.

        Returns:
            The wallet, with its address and its private key.

        Raises:
            ValidationError: An argument is empty or not a string.
            ImportError: The extra `sogni[wallet]` is not installed.

        Example:
            >>> (await client.account.get_wallet("ada", "correct horse battery")).address
            '0x...'
        """
        password = secret(password)
        return await self._engine.run(sign_in.wallet_of(username, password))

    async def validate_username(self, name: str) -> UsernameValidation:
        """Check whether a user name is available.

        Args:
            name: User name.

        Returns:
            The result, in `.available`. A taken name is a result, not an error.

        Raises:
            ApiError: The name is malformed.

        Example:
            >>> (await client.account.validate_username("nobody-yet")).available
            True
        """
        return await self._engine.run(flows.validate_username(name))

    async def get_nonce(self, wallet_address: str) -> str:
        """Request the nonce that a wallet signs to sign in.

        Only applications that sign with their own wallet need it: `login` and `create` request it themselves.

        Args:
            wallet_address: Address of the wallet, `0x` and 40 hexadecimal digits.

        Returns:
            The nonce. It works once, and for a short time.

        Raises:
            ValidationError: `wallet_address` is not an address. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> me = await client.account.me()
            >>> len(await client.account.get_nonce(me.wallet_address)) > 8
            True
        """
        return await self._engine.run(sign_in.get_nonce(wallet_address))

    # -- who and what ----------------------------------------------------------

    @property
    def current_account(self) -> CurrentAccount:
        """The signed-in account, kept up to date: the same object as `client.current_account`."""
        return self._current

    async def set_device_id(self, id: str) -> None:
        """Send the ID of the device to the service, which checks it for trials.

        Args:
            id: The ID, not empty. It should be stable for the device.

        Raises:
            ValidationError: `id` is not a string, or empty. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> await client.account.set_device_id("7d0c5a1e")
        """
        await self._engine.run(flows.set_device_id(id))

    async def me(self) -> AccountInfo:
        """Fetch the account of the credentials and update `current_account`.

        Returns:
            The account.

        Raises:
            AuthenticationError: The credentials are missing or invalid.

        Example:
            >>> (await client.account.me()).username == client.current_account.username
            True
        """
        return await self._engine.run(flows.fetch_account())

    async def account_balance(self) -> Balances:
        """Fetch the balance without updating `current_account`.

        Returns:
            The balance in both tokens.

        Raises:
            AuthenticationError: The credentials are missing or invalid.

        Example:
            >>> (await client.account.account_balance()).spark.net > 0
            True
        """
        return await self._engine.run(flows.account_balance())

    async def refresh_balance(self) -> Balances:
        """Fetch the balance and update `current_account`.

        Returns:
            The balance in both tokens.

        Raises:
            AuthenticationError: The credentials are missing or invalid.

        Example:
            >>> await client.account.refresh_balance() == client.current_account.balance
            True
        """
        return await self._engine.run(flows.refresh_balance())

    async def switch_network(self, network: Network) -> str:
        """Switch the connection to another network. Connects if necessary.

        Args:
            network: `"fast"` or `"relaxed"`.

        Returns:
            The network that the service selected, which may be a different one.

        Raises:
            ValidationError: The network is unknown.
            SogniTimeoutError: The service did not answer within 30 seconds.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> await client.account.switch_network("relaxed")
            'relaxed'
        """
        return await self._engine.run(flows.switch_network(network))

    async def wallet_balance(self, address: str, provider: str = "base") -> WalletBalance:
        """Fetch the balance of a wallet, without the tokens in the account.

        Args:
            address: Address of the wallet.
            provider: Blockchain: `"base"` (default) or `"etherlink"`.

        Returns:
            The amounts in Sogni, Spark and Ether.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> me = await client.account.me()
            >>> await client.account.wallet_balance(me.wallet_address)
            WalletBalance(...)
        """
        return await self._engine.run(flows.wallet_balance(address, provider))

    async def transaction_history(
        self,
        status: str = "completed",
        address: str | None = None,
        limit: int = 20,
        offset: int | None = None,
        provider: str | None = None,
    ) -> TransactionHistory:
        """Fetch a page of transactions. `transactions` iterates over all of them.

        Args:
            status: Status of the transactions. Default `"completed"`.
            address: Address of the wallet. Default: that of the current account.
            limit: Number of transactions per page. Default 20.
            offset: Number of transactions to skip. Default 0.
            provider: Blockchain. Default: that of the service.

        Returns:
            The page. Its transactions are in `.entries`, with exact amounts; `.next` holds the arguments of the next
            page.

        Raises:
            ValidationError: An argument is invalid, or the account has no known wallet address.
            ApiError: The service refused the request.

        Example:
            >>> page = await client.account.transaction_history(limit=5)
            >>> len(page.entries) <= 5
            True
        """
        query = TransactionQuery(status=status, address=address, limit=limit, offset=offset, provider=provider)
        return await self._engine.run(flows.transaction_history(query))

    async def transactions(
        self,
        status: str = "completed",
        address: str | None = None,
        limit: int = 100,
        provider: str | None = None,
    ) -> AsyncIterator[Transaction]:
        """Iterate over all transactions. Pages are fetched as needed.

        Args:
            status: Status of the transactions. Default `"completed"`.
            address: Address of the wallet. Default: that of the current account.
            limit: Number of transactions per page. Default 100.
            provider: Blockchain. Default: that of the service.

        Yields:
            The transactions.

        Raises:
            ValidationError: An argument is invalid, or the account has no known wallet address.
            ApiError: The service refused a request.

        Example:
            >>> amounts = [it.amount async for it in client.account.transactions()]
        """
        query = TransactionQuery(status=status, address=address, limit=limit, provider=provider)
        while True:
            page = await self._engine.run(flows.transaction_history(query))
            for entry in page.entries:
                yield entry
            if not page.entries or (page.next.offset or 0) <= (query.offset or 0):
                return
            query = page.next

    async def rewards(self, provider: str | None = None) -> list[Reward]:
        """Fetch the rewards of the account, claimed ones included.

        Args:
            provider: Blockchain. Default: that of the service.

        Returns:
            The rewards. `.can_claim` is True for those that can be claimed now.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> [reward.id for reward in await client.account.rewards() if reward.can_claim]
            [...]
        """
        return await self._engine.run(flows.rewards(provider))

    async def claim_rewards(
        self, ids: Sequence[str], turnstile_token: str | None = None, provider: str | None = None
    ) -> None:
        """Claim rewards. The request is not repeated automatically.

        Args:
            ids: IDs of the rewards.
            turnstile_token: Result of the captcha. Default: none.
            provider: Blockchain. Default `"base"`.

        Raises:
            ValidationError: `ids` is not a list of strings. Nothing has been sent.
            ApiError: A reward does not exist or cannot be claimed.

        Example:
            >>> rewards = await client.account.rewards()
            >>> await client.account.claim_rewards([it.id for it in rewards if it.can_claim])
        """
        await self._engine.run(flows.claim_rewards(ids, turnstile_token, provider))

    # -- money -----------------------------------------------------------------

    async def withdraw(self, password: str, amount: str | Decimal | float, provider: str = "base") -> None:
        """Withdraw tokens from the account to its wallet. The request is not repeated automatically.

        Requires a signed-in session; an API key is not enough.

        Args:
            password: Password of the account.
            amount: Amount, above 0, with at most 18 decimals. It is exact; a float counts as its shortest
                representation.
            provider: Blockchain: `"base"` (default) or `"etherlink"`.

        Raises:
            ValidationError: The amount is invalid or the password is wrong. Nothing has been withdrawn.
            InsufficientBalanceError: The balance is too low.
            ApiError: The service refused the request.
            SogniConnectionError: The response was lost; the message says that the outcome is unknown.
            ImportError: The extra `sogni[wallet]` is not installed.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     _ = await client.account.login("ada", "correct horse battery")
            ...     await client.account.withdraw("correct horse battery", "1.5")
        """
        password, amount = secret(password), secret(amount)
        await self._engine.run(token_transfers.withdraw(password, amount, provider))

    async def deposit(self, password: str, amount: str | Decimal | float, provider: str = "base") -> None:
        """Deposit tokens from the wallet into the account.

        If the service lacks permission to spend the tokens, the wallet grants it once, and the deposit is retried up to
        three times, 10 seconds apart.

        Args:
            password: Password of the account.
            amount: Amount, with at most 18 decimals. It is exact; a float counts as its shortest representation.
            provider: Blockchain: `"base"` (default) or `"etherlink"`.

        Raises:
            ValidationError: The amount is invalid or the password is wrong. Nothing has been deposited.
            InsufficientBalanceError: The wallet holds too little.
            ApiError: The service refused the request.
            SogniConnectionError: The response was lost; the message says that the outcome is unknown.
            ImportError: The extra `sogni[wallet]` is not installed.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     _ = await client.account.login("ada", "correct horse battery")
            ...     await client.account.withdraw("correct horse battery", 2)
            ...     await client.account.approve_token_usage("correct horse battery", "account")
            ...     await client.account.deposit("correct horse battery", 2)
        """
        password, amount = secret(password), secret(amount)
        await self._engine.run(token_transfers.deposit(password, amount, provider))

    async def approve_token_usage(
        self, password: str, spender: Literal["account", "staker"], provider: str = "base"
    ) -> None:
        """Allow a contract of the service to spend the tokens of the wallet.

        Args:
            password: Password of the account. It is not checked: a wrong one signs with the wrong wallet.
            spender: The contract: `"account"` for deposits, or `"staker"`.
            provider: Blockchain: `"base"` (default) or `"etherlink"`.

        Raises:
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused the request.
            ImportError: The extra `sogni[wallet]` is not installed.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     _ = await client.account.login("ada", "correct horse battery")
            ...     await client.account.approve_token_usage("correct horse battery", "account")
        """
        password = secret(password)
        await self._engine.run(token_transfers.approve_token_usage(password, spender, provider))

    # -- subscriptions ---------------------------------------------------------

    async def get_subscription_plans(self) -> list[SubscriptionPlan]:
        """Fetch the available subscription plans.

        Returns:
            One entry per plan and term.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> {plan.tier for plan in await client.account.get_subscription_plans()} >= {"unlimited"}
            True
        """
        return await self._engine.run(flows.subscription_plans())

    async def refresh_subscription(self) -> Subscription:
        """Fetch the subscription and update `current_account`.

        Returns:
            The subscription, or a newer one that the socket delivered in the meantime.

        Raises:
            AuthenticationError: The credentials are missing or invalid.

        Example:
            >>> (await client.account.refresh_subscription()).active
            False
        """
        return await self._engine.run(flows.refresh_subscription())

    async def get_subscription_usage(self) -> SubscriptionUsage:
        """Fetch the usage of the current billing period.

        Returns:
            The usage; the fields about a trial are None outside of a trial.

        Raises:
            AuthenticationError: The credentials are missing or invalid.

        Example:
            >>> (await client.account.get_subscription_usage()).period_jobs
            0
        """
        return await self._engine.run(flows.subscription_usage())

    async def get_trial_eligibility(self) -> TrialEligibility:
        """Check whether the account can start a subscription trial.

        Returns:
            The answer, in `.eligible`, and its reason.

        Raises:
            AuthenticationError: The credentials are missing or invalid.

        Example:
            >>> (await client.account.get_trial_eligibility()).eligible
            True
        """
        return await self._engine.run(flows.trial_eligibility())

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
        """Start the checkout of a subscription. Nothing is charged until the user completes it in the browser.

        Requires a signed-in session; an API key is not enough.

        Args:
            tier: `"unlimited"` or `"unlimited_pro"`.
            term: `"monthly"` or `"annual"`.
            redirect_type: Where the browser returns to: `"web"` (default), `"app"`, `"dashboard"`, `"photobooth"` or
                `"chat"`.
            app_source: Name of the application, as the service records it. Default: none.
            start_trial: Request a trial, which the service may decline. Default: not sent.
            device_id: ID of the device. Default: not sent.

        Returns:
            The page for the user to open, in `.url`.

        Raises:
            ValidationError: The plan, term or redirect type is unknown. Nothing has been sent.
            ApiError: The service refused the request, for example because the client uses an API key.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     _ = await client.account.login("ada", "correct horse battery")
            ...     page = await client.account.create_subscription_checkout("unlimited", "monthly")
            ...     page.url.startswith("http")
            True
        """
        flow = flows.subscription_checkout(
            tier,
            term,
            redirect_type=redirect_type,
            app_source=app_source,
            start_trial=start_trial,
            device_id=device_id,
        )
        return await self._engine.run(flow)

    async def create_subscription_portal_session(self) -> SubscriptionPage:
        """Create a page on which the user manages the subscription.

        Requires a signed-in session; an API key is not enough.

        Returns:
            The page for the user to open, in `.url`.

        Raises:
            ApiError: The service refused the request, for example because the client uses an API key.

        Example:
            >>> async with SogniClient(auth_type="token") as client:
            ...     _ = await client.account.login("ada", "correct horse battery")
            ...     (await client.account.create_subscription_portal_session()).url.startswith("http")
            True
        """
        return await self._engine.run(flows.subscription_portal())


# Statistics: `client.stats`


@suggest_keywords
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
        """Fetch a leaderboard. Requires no account.

        Args:
            type: What is counted, for example `"jobCompleteArtist"` or `"tokenVolume"`; see `LeaderboardType`.
            period: `"day"` or `"lifetime"`.
            username: Only this user.
            network: `"fast"`, `"relaxed"` or `"all"`. Default: that of the service.
            page: Number of the page. Default: that of the service.
            limit: Number of entries per page. Default: that of the service.
            date: The date, as a number that the service defines. Default: not sent.
            address: Only this wallet.

        Returns:
            The entries, with their ranks.

        Raises:
            ValidationError: The type, period or network is unknown. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> [entry.rank for entry in await client.stats.leaderboard("jobCompleteArtist", "lifetime", limit=3)]
            [...]
        """
        filters = {
            "username": username,
            "network": network,
            "page": page,
            "limit": limit,
            "date": date,
            "address": address,
        }
        return await self._engine.run(flows.leaderboard(type, period, **filters))
