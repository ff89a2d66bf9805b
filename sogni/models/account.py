"""Account data: balances and who is signed in (account §5, §6, §15)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NoReturn

from attrs import field, frozen

from sogni.models.base import BillingMode, Model, TokenType, wire

ZERO = Decimal(0)


@frozen(kw_only=True)
class TokenBalance(Model):
    """Amounts of one token; `net` is what can be spent.

    `premium_credit` exists for Spark only; the unclaimed earnings only in a REST answer (account §6.1).
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
    """The balance in both tokens."""

    sogni: TokenBalance = field(factory=TokenBalance)
    spark: TokenBalance = field(factory=lambda: TokenBalance(premium_credit=ZERO))


@frozen(kw_only=True)
class AccountInfo(Model):
    """Who the credentials belong to (account §5)."""

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
        """The same as `current_email`."""
        return self.current_email


@frozen(kw_only=True)
class WalletBalance(Model):
    """What a wallet holds outside of the account (account §6.2)."""

    sogni: Decimal = ZERO
    spark: Decimal = ZERO
    ether: Decimal = ZERO


@frozen(kw_only=True)
class UsernameValidation(Model):
    """What the service says of a user name; a taken one is an answer, too (account §12.2)."""

    status: str = "success"
    message: str | None = None
    error_code: int | None = None

    @property
    def available(self) -> bool:
        """Whether the name can be had."""
        return self.status != "error" and self.error_code is None


# Sessions and wallets: what signing in needs and gives. None of it shows its secrets or lets itself be pickled.


class Secret:
    """A value that no `pickle` carries away; copies are the value itself."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secrets and is not pickled; store sogni.to_dict(...) on purpose")

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


@frozen(kw_only=True)
class TokenPair(Secret, Model):
    """The tokens of a session: `token` for each request, `refresh_token` for the next pair (transport §5.1).

    A refresh replaces both, so keep the newest: the `updated` event of `client.api_client.auth` tells of it.
    `sogni.to_dict` gives the form to store.
    """

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@frozen(kw_only=True)
class Session(Secret, Model):
    """Who has signed in. `tokens` is None where the service keeps the session in cookies."""

    username: str | None = None
    wallet_address: str | None = None
    tokens: TokenPair | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Wallet(Secret):
    """The wallet of an account, derived from its user name and password (account §2)."""

    address: str
    private_key: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the address. The private key is never part of a document.

        Returns:
            JSON-ready data.
        """
        return {"address": self.address}


# Transactions of an account (account §12.1).


@frozen(kw_only=True)
class Transaction(Model):
    """One movement of tokens; what goes out has a negative `amount`."""

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
    """Which transactions are asked for; the keywords of `transaction_history`."""

    status: str = "completed"
    address: str | None = None
    limit: int = 20
    offset: int | None = None
    provider: str | None = None


@frozen(kw_only=True)
class TransactionHistory(Model):
    """A page of transactions, newest first; `next` asks for the page after it."""

    entries: list[Transaction] = field(factory=list)
    next: TransactionQuery = field(factory=TransactionQuery)


# Rewards of an account (account §7).


@frozen(kw_only=True)
class Reward(Model):
    """Something an account can claim, once or again and again.

    `cant_claim_reason` says why not now: `already_claimed`, `over_free_cap`, `requires_verification`, or another
    word. `next_claim` is None where nothing is known of a next time.
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


# Subscriptions: plans, the snapshot of one's own, and where to pay (account §13).


Tier = Literal["unlimited", "unlimited_pro"]
Term = Literal["monthly", "annual"]
RedirectType = Literal["web", "app", "dashboard", "photobooth", "chat"]
UNLIMITED_TIERS = ("unlimited", "unlimited_pro")


@frozen(kw_only=True)
class SubscriptionPlan(Model):
    """A plan for one term; `price_usd` is the list price."""

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
    """The monthly limit that applies at the moment; for display only (account §13.2)."""

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
    """A subscription at one moment. `active` alone decides what one is entitled to; `status` is for display."""

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
        """Whether it is active on one of the unlimited tiers."""
        return self.active and self.tier in UNLIMITED_TIERS


@frozen(kw_only=True)
class SubscriptionPage(Model):
    """Where a person goes on in the browser: `url` is single-use, and opens an account's own pages."""

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
    """One place of a leaderboard."""

    rank: int
    username: str | None = None
    address: str | None = None
    country: str | None = None
    value: Decimal = Decimal(0)
    role: str | None = None
