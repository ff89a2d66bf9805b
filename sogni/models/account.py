"""Account data: balances, sessions, transactions, rewards, subscriptions and the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NoReturn

from attrs import field, frozen

from sogni.models.base import BillingMode, LooseModel, Model, wire
from sogni.settings import TokenType

ZERO = Decimal(0)


@frozen(kw_only=True)
class TokenBalance(Model):
    """Amounts of one token.

    Attributes:
        settled: Settled amount.
        credit: Credits.
        debit: Debits.
        net: Amount that can be spent.
        premium_credit: Premium credit; for Spark only.
        relaxed_unclaimed: Unclaimed earnings on the relaxed network, from `refresh_balance` only.
        fast_unclaimed: Unclaimed earnings on the fast network, from `refresh_balance` only.
    """

    settled: Decimal = ZERO
    credit: Decimal = ZERO
    debit: Decimal = ZERO
    net: Decimal = ZERO
    premium_credit: Decimal | None = None
    relaxed_unclaimed: Decimal | None = None
    fast_unclaimed: Decimal | None = None


@frozen(kw_only=True)
class Balances(Model):
    """The balance in both tokens.

    Attributes:
        sogni: The balance in SOGNI.
        spark: The balance in Spark.
    """

    sogni: TokenBalance = field(factory=TokenBalance)
    spark: TokenBalance = field(factory=lambda: TokenBalance(premium_credit=ZERO))


@frozen(kw_only=True)
class AccountInfo(Model):
    """The account that the credentials belong to.

    Attributes:
        username: User name.
        wallet_address: Address of the account's wallet.
        current_email: Email address.
        email_verified: Whether the email address is verified.
        requested_updated_email: New email address that has not been confirmed yet.
        discord_2fa: Whether two-factor authentication with Discord is enabled.
        discord_linked: Whether a Discord account is linked.
        discord_server_member: Whether that account is a member of the Discord server.
        discord_username: User name on Discord.
    """

    username: str | None = None
    wallet_address: str | None = None
    current_email: str | None = None
    email_verified: bool | None = None
    requested_updated_email: str | None = None
    discord_2fa: bool | None = field(default=None, metadata=wire("discord2FA"))
    discord_linked: bool | None = None
    discord_server_member: bool | None = None
    discord_username: str | None = None

    @property
    def email(self) -> str | None:
        """Alias of `current_email`."""
        return self.current_email


@frozen(kw_only=True)
class WalletBalance(Model):
    """The balance of a wallet on the blockchain.

    Attributes:
        sogni: Amount of SOGNI.
        spark: Amount of Spark.
        ether: Amount of ether.
    """

    sogni: Decimal = ZERO
    spark: Decimal = ZERO
    ether: Decimal = ZERO


@frozen(kw_only=True)
class UsernameValidation(Model):
    """The result of checking a user name.

    Attributes:
        status: ``"success"``, or ``"error"`` if the name is taken.
        message: Message from the service.
        error_code: Error code of the service if the name is taken.
    """

    status: str = "success"
    message: str | None = None
    error_code: int | None = None

    @property
    def available(self) -> bool:
        """Whether the name is available."""
        return self.status != "error" and self.error_code is None


# Sessions and wallets: their secrets appear in no `repr` and in no pickle (account §2, §5; transport §5.1).


class NotPickled:
    """A value that contains secrets and therefore cannot be pickled; a copy is the value itself."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} objects cannot be pickled, because they contain secrets; to store one anyway, "
            "use sogni.to_dict"
        )

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


@frozen(kw_only=True)
class TokenPair(NotPickled, Model):
    """The tokens of a session.

    A refresh replaces both, so always store the newest pair: listen to the `updated` event of `client.api_client.auth`.
    `sogni.to_dict` returns the form to store.

    Attributes:
        token: Access token, which is sent with each request.
        refresh_token: Token that is exchanged for the next pair; it works once.
    """

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@frozen(kw_only=True)
class Session(NotPickled, Model):
    """The result of signing in.

    Attributes:
        username: User name.
        wallet_address: Address of the account's wallet.
        tokens: The tokens; None if the service keeps the session in cookies.
    """

    username: str | None = None
    wallet_address: str | None = None
    tokens: TokenPair | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Wallet(NotPickled):
    """The wallet of an account, derived from its user name and password.

    Attributes:
        address: Address of the wallet.
        private_key: Private key, as hexadecimal digits.
    """

    address: str
    private_key: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the address. The private key is never included.

        Returns:
            JSON-ready data.
        """
        return {"address": self.address}


# Transactions of an account (account §12.1).


@frozen(kw_only=True)
class Transaction(Model):
    """A transaction of an account.

    Attributes:
        id: ID of the transaction.
        amount: Amount; negative if tokens were spent.
        token_type: Token, such as ``"spark"``.
        type: Type of the transaction, such as ``"debit"``.
        status: Status of the transaction.
        role: Role of the account, ``"artist"`` or ``"worker"``.
        address: Wallet address.
        description: Description.
        source: What the transaction was for, such as ``"project"``.
        create_time: When the transaction was created.
        update_time: When it was last changed.
        end_time: When it ended.
        billing_mode: Requested billing mode.
        payment_model: What paid, such as ``"subscription"`` or ``"paid_spark"``.
        subscription_tier: Tier of the subscription that paid.
        subscription_trialing: Whether the subscription was in its trial period.
        subscription_throttled: Whether the subscription was throttled.
    """

    id: str
    amount: Decimal = Decimal(0)
    token_type: str | None = None
    type: str | None = None
    status: str | None = None
    role: str | None = None
    address: str | None = None
    description: str | None = None
    source: str | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    end_time: datetime | None = None
    billing_mode: BillingMode | str | None = None
    payment_model: str | None = None
    subscription_tier: str | None = None
    subscription_trialing: bool | None = None
    subscription_throttled: bool | None = None


@frozen(kw_only=True)
class TransactionQuery(Model):
    """The parameters of `transaction_history`.

    Attributes:
        status: Status of the transactions.
        address: Wallet address; by default that of the account.
        limit: Maximum number of transactions.
        offset: Offset of the first transaction.
        provider: Blockchain, ``"base"`` or ``"etherlink"``.
    """

    status: str = "completed"
    address: str | None = None
    limit: int = 20
    offset: int | None = None
    provider: str | None = None


@frozen(kw_only=True)
class TransactionHistory(Model):
    """A page of transactions, newest first.

    Attributes:
        entries: The transactions.
        next: The query for the next page.
    """

    entries: list[Transaction] = field(factory=list)
    next: TransactionQuery = field(factory=TransactionQuery)


# Rewards of an account (account §7).


@frozen(kw_only=True)
class Reward(Model):
    """A reward that an account can claim.

    Attributes:
        id: ID of the reward.
        type: ``"instant"`` or ``"conditioned"``.
        title: Title.
        description: Description.
        amount: Amount of the reward.
        token_type: Token of the reward.
        claimed: Whether the reward has been claimed.
        can_claim: Whether the reward can be claimed now.
        cant_claim_reason: Why it cannot be claimed, such as ``"already_claimed"``, ``"over_free_cap"`` or
            ``"requires_verification"``.
        last_claim: When the reward was last claimed.
        next_claim: When it can be claimed again; None if that is unknown.
        provider: Blockchain, ``"base"`` or ``"etherlink"``.
    """

    id: str
    type: Literal["instant", "conditioned"] | str = "instant"
    title: str = ""
    description: str = ""
    amount: Decimal = Decimal(0)
    token_type: TokenType | str = "spark"
    claimed: bool = False
    can_claim: bool = False
    cant_claim_reason: str | None = None
    last_claim: datetime | None = None
    next_claim: datetime | None = None
    provider: str = "base"


# Subscriptions (account §13).


Tier = Literal["unlimited", "unlimited_pro"]
Term = Literal["monthly", "annual"]
RedirectType = Literal["web", "app", "dashboard", "photobooth", "chat"]
UNLIMITED_TIERS = ("unlimited", "unlimited_pro")


@frozen(kw_only=True)
class SubscriptionPlan(Model):
    """A plan for one term.

    Attributes:
        plan_id: ID of the plan.
        tier: Tier of the plan.
        term: Billing term.
        interval: ``"month"`` or ``"year"``.
        price_usd: List price in US dollars per interval.
        display_name: Name for display.
        google: Product in the Google Play store, if there is one.
        vendor_discount_bps: Discount on premium vendor models in basis points; 500 is 5 %.
    """

    plan_id: str
    tier: Tier | str | None = None
    term: Term | str | None = None
    interval: str | None = None
    price_usd: Decimal | None = None
    display_name: str | None = None
    google: Mapping[str, Any] | None = None
    vendor_discount_bps: int | None = None


@frozen(kw_only=True)
class FairUse(Model):
    """The monthly limit that applies at the moment; for display only.

    Attributes:
        limited: Whether the limit applies.
        usage_spark: Usage in Spark.
        usage_usd: Usage in US dollars.
        plan_price_usd: Price of the plan in US dollars.
        reset_at: When the limit is reset.
        fast_rendering_paused: Whether rendering on the fast network is paused.
        relaxed_unrestricted: Whether the relaxed network is unrestricted.
        upgrade_available: Whether there is a higher tier.
    """

    limited: bool = False
    usage_spark: Decimal | None = None
    usage_usd: Decimal | None = None
    plan_price_usd: Decimal | None = None
    reset_at: datetime | None = None
    fast_rendering_paused: bool | None = None
    relaxed_unrestricted: bool | None = None
    upgrade_available: bool | None = None


@frozen(kw_only=True)
class Subscription(Model):
    """The state of a subscription.

    Attributes:
        active: Whether the subscription is active. This alone determines the entitlement.
        status: Status for display: ``"none"``, ``"trialing"``, ``"active"``, ``"grace_period"``, ``"past_due"``,
            ``"paused"``, ``"cancel_at_period_end"``, ``"canceled"``, ``"expired"`` or ``"refunded"``.
        tier: Tier.
        term: Billing term.
        provider: Who bills it, such as ``"stripe"``, ``"apple"``, ``"google"`` or ``"manual"``.
        current_period_start: Start of the billing period.
        current_period_end: End of the billing period; during a grace period, the end of the grace period.
        cancel_at_period_end: Whether the subscription ends with the period.
        scheduled_tier: Tier after the next renewal, if it changes.
        scheduled_term: Billing term after the next renewal, if it changes.
        scheduled_change_at: When the change takes effect.
        capabilities: Capabilities by name.
        payment_pending: Whether a payment has yet to be confirmed.
        fair_use: The monthly limit, while it applies.
        frontier_discount_bps: Discount in basis points, only while the subscription is active.
        version: Version of this state, which increases.
    """

    active: bool = False
    status: str = "none"
    tier: Tier | str | None = None
    term: Term | str | None = None
    provider: str | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool | None = None
    scheduled_tier: Tier | str | None = None
    scheduled_term: Term | str | None = None
    scheduled_change_at: datetime | None = None
    capabilities: Mapping[str, bool] | None = None
    payment_pending: bool | None = None
    fair_use: FairUse | None = None
    frontier_discount_bps: int | None = None
    version: Any = None

    @property
    def is_unlimited(self) -> bool:
        """Whether the subscription is active on an unlimited tier."""
        return self.active and self.tier in UNLIMITED_TIERS


@frozen(kw_only=True)
class SubscriptionUsage(Model):
    """Usage of the account in the current billing period.

    Attributes:
        period_render_spark: Spark spent on rendering in this period.
        period_jobs: Number of jobs in this period.
        trial_ends_at: End of the trial; None outside of a trial.
        trial_credits_limit: Spark that the trial includes; None outside of a trial.
        trial_credits_used: Spark of the trial that has been used; None outside of a trial.
    """

    period_render_spark: Decimal = ZERO
    period_jobs: int = 0
    trial_ends_at: datetime | None = None
    trial_credits_limit: Decimal | None = None
    trial_credits_used: Decimal | None = None


@frozen(kw_only=True)
class TrialEligibility(Model):
    """Whether the account can start a trial.

    Attributes:
        eligible: Whether the account can start a trial.
        reason_code: Reason: ``"eligible"``, ``"not_eligible"``, or another code.
    """

    eligible: bool
    reason_code: Literal["eligible", "not_eligible"] | str | None = None


@frozen(kw_only=True)
class SubscriptionLimitNotice(LooseModel):
    """A message for the user about a limit of the subscription.

    Attributes:
        severity: ``"info"``, ``"warning"`` or ``"error"``.
        code: Code of the notice.
        message: The message.
        reason: Reason for the notice.
        current_plan: Plan of the account.
        subscription_tier: Tier of the subscription.
        fair_use: The monthly limit, if the notice is about it.
        required_plans: Plans without the limit, the cheapest first.
        version: Version of the notice.
    """

    severity: Literal["info", "warning", "error"] | str = "info"
    code: int | str | None = None
    message: str = ""
    reason: str | None = None
    current_plan: str | None = None
    subscription_tier: Tier | str | None = None
    fair_use: FairUse | None = None
    required_plans: list[str] = field(factory=list)
    version: Any = None


@frozen(kw_only=True)
class SubscriptionPage(Model):
    """A web page for checking out or managing a subscription.

    Attributes:
        url: URL of the page. It can be used once, and gives access to the account: do not share it.
        message: Message from the service.
    """

    url: str = field(repr=False)
    message: str | None = None


# Statistics: the leaderboard (account §12.4).


LeaderboardType = Literal[
    "renderUSDCompleteWorker",
    "renderUSDCompleteArtist",
    "renderSecCompleteWorker",
    "renderSecCompleteArtist",
    "renderTokenCompleteWorker",
    "renderTokenCompleteWorker2",
    "renderTokenCompleteArtist",
    "renderTokenCompleteArtist2",
    "jobCompleteWorker",
    "jobCompleteArtist",
    "projectCompleteArtist",
    "uloginWorker",
    "uloginArtist",
    "tokenVolume",
    "referral",
]
LeaderboardPeriod = Literal["day", "lifetime"]
LeaderboardNetwork = Literal["fast", "relaxed", "all"]


@frozen(kw_only=True)
class LeaderboardEntry(Model):
    """An entry of a leaderboard.

    Attributes:
        rank: Rank, from 1.
        username: User name.
        address: Wallet address.
        country: Country.
        value: Value of the statistic.
        role: Role of the account.
    """

    rank: int
    username: str | None = None
    address: str | None = None
    country: str | None = None
    value: Decimal = Decimal(0)
    role: str | None = None
