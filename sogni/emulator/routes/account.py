"""REST routes of accounts: profile, balances, transactions, rewards, subscriptions, leaderboard, announcements."""
# Protocol notes: account §5 to §7, §12, §13, §16.

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from attrs import define, field

from sogni.emulator.account.accounts import NETWORKS, PERIODS, TYPES, Account, WalletBalances, decimal_text, ranking
from sogni.emulator.account.memberships import TERM_SECONDS, TERMS, TIERS, Membership, Term, Tier, plans
from sogni.emulator.account.rewards import NotClaimableError, UnknownRewardError
from sogni.emulator.account.sessions import Accounts
from sogni.emulator.responses import NOT_FOUND, RefusedError, success
from sogni.emulator.routes.account_requests import (
    ADDRESS,
    USERNAME_INVALID,
    USERNAME_TAKEN,
    Body,
    answering,
    for_account,
    for_account_body,
    provider_of_query,
    public_route,
    query,
    whole_query,
)
from sogni.emulator.state import State

_USERNAME = re.compile(r"[\w.-]{3,32}")
_PAGE = 20
_LARGEST_PAGE = 1000


def add_account_routes(app: web.Application, state: State) -> None:
    async def me(_: web.Request, account: Account) -> web.Response:
        return success(account.me())

    async def balance(_: web.Request, account: Account) -> web.Response:
        return success(account.balance_record())

    async def wallet(request: web.Request, _: Account) -> web.Response:
        return success(_wallet(state.accounts, request))

    async def transactions(request: web.Request, account: Account) -> web.Response:
        return success(_transactions(request, account))

    async def validate(_: web.Request, body: Body) -> web.Response:
        username = body.text("username", required=True)
        body.check()
        check_username(state.accounts, username or "")
        return success({})

    app.router.add_get("/v1/account/me", for_account(state, me))
    app.router.add_get("/v4/account/balance", for_account(state, balance))
    app.router.add_get("/v2/wallet/balance", for_account(state, wallet))
    app.router.add_get("/v1/transactions/list", for_account(state, transactions))
    app.router.add_post("/v1/account/username/validate", public_route(state, validate))
    _add_reward_routes(app, state)


def _add_reward_routes(app: web.Application, state: State) -> None:
    async def rewards(request: web.Request, account: Account) -> web.Response:
        provider_of_query(request)
        return success({"rewards": account.rewards.records()})

    async def claim(_: web.Request, body: Body, account: Account) -> web.Response:
        ids = body.texts("claims")
        body.provider()
        body.text("turnstileToken")
        if not ids:
            body.refuse("claims", "must name at least one reward")
        body.check()
        _claim(account, ids)
        return success({})

    app.router.add_get("/v4/account/rewards", for_account(state, rewards))
    app.router.add_post("/v3/account/reward/claim", for_account_body(state, claim))


def check_username(accounts: Accounts, username: str) -> None:
    """Refuse a user name that is malformed or taken."""
    if not _USERNAME.fullmatch(username):
        message = "The username must have 3 to 32 letters, digits, dots, dashes and underscores"
        raise RefusedError(400, message, USERNAME_INVALID)
    if accounts.by_username(username) is not None:
        raise RefusedError(409, "The username is already taken", USERNAME_TAKEN)


def _wallet(accounts: Accounts, request: web.Request) -> dict[str, str]:
    address, provider = query(request, "walletAddress"), provider_of_query(request)
    if not ADDRESS.fullmatch(address):
        raise RefusedError(400, "walletAddress must be an address of 40 hexadecimal digits after 0x")
    owner = accounts.by_address(address)
    holding = (WalletBalances() if owner is None else owner.wallet).on(provider)
    return {name: decimal_text(getattr(holding, name)) for name in ("sogni", "spark", "ether")}


def _transactions(request: web.Request, account: Account) -> dict[str, object]:
    """Return a page of the account's transactions, newest first. ``next`` is set even if there is no next page."""
    limit = whole_query(request, "limit", _PAGE, minimum=1, maximum=_LARGEST_PAGE)
    offset = whole_query(request, "offset", 0)
    provider_of_query(request)
    is_own = query(request, "address").lower() in ("", account.wallet_address.lower())
    completed = query(request, "status") in ("", "completed")
    entries = account.ledger.newest_first() if is_own and completed else []
    page = entries[offset : offset + limit]
    return {
        "transactions": [entry.wire(account.wallet_address, account.sid) for entry in page],
        "next": offset + limit,
    }


def _claim(account: Account, ids: tuple[str, ...]) -> None:
    try:
        rewards = account.rewards.claim(ids)
    except UnknownRewardError as error:
        raise RefusedError(404, str(error), NOT_FOUND) from None
    except NotClaimableError as error:
        raise RefusedError(400, str(error)) from None
    for reward in rewards:
        account.move(reward.token, reward.amount, description=reward.title, source="reward")


# Leaderboard (account §12.4): public; pages count from 1, and page 0 is the first one, too.


def add_leaderboard_route(app: web.Application, state: State) -> None:
    async def leaderboard(request: web.Request) -> web.Response:
        board = _word(request, "type", TYPES)
        period = _word(request, "period", PERIODS)
        network = _word(request, "network", NETWORKS, default="all")
        limit = whole_query(request, "limit", _PAGE, minimum=1, maximum=_LARGEST_PAGE)
        first = max(0, whole_query(request, "page", 1) - 1) * limit
        now = whole_query(request, "date", 0) or state.clock()
        entries = ranking(state.accounts.all(), board, period, network, now)
        for name in ("username", "address"):
            requested = query(request, name).lower()
            entries = [entry for entry in entries if requested in ("", entry[name].lower())]
        return success(entries[first : first + limit])

    app.router.add_get("/v1/leaderboard/", answering(leaderboard))


def _word(request: web.Request, name: str, allowed: tuple[str, ...], *, default: str = "") -> str:
    given = query(request, name) or default
    if given not in allowed:
        raise RefusedError(400, f"{name} must be one of {', '.join(allowed)}")
    return given


# Plans and subscriptions (account §13.1 to §13.4). A checkout ends at a page of the emulator itself: opening its URL
# counts as payment.


_REDIRECTS = ("web", "app", "dashboard", "photobooth", "chat")
_TRIAL_CREDITS = 500
_LIMIT = 1000


@define
class _Checkouts:
    """The open checkout pages."""

    state: State
    _waiting: dict[str, tuple[Account, Tier, Term]] = field(factory=dict, repr=False)

    async def start(self, _: web.Request, body: Body, account: Account) -> web.Response:
        plan = body.text("planId", required=True, allowed=TIERS)
        term = body.text("term", required=True, allowed=TERMS)
        body.text("redirectType", allowed=_REDIRECTS)
        body.text("appSource")
        body.flag("startTrial")
        body.text("deviceId")
        body.check()
        tier: Tier = "unlimited_pro" if plan == "unlimited_pro" else "unlimited"
        chosen: Term = "annual" if term == "annual" else "monthly"
        number = secrets.token_urlsafe(16)
        if len(self._waiting) >= _LIMIT:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[number] = (account, tier, chosen)
        return success({"url": f"{self.state.rest_endpoint}/checkout/{number}"})

    def clear(self) -> None:
        self._waiting.clear()

    async def complete(self, request: web.Request) -> web.Response:
        bought = self._waiting.pop(request.match_info["number"], None)
        if bought is None:
            raise RefusedError(404, "Unknown or completed checkout", NOT_FOUND)
        account, tier, term = bought
        now, former = self.state.clock(), account.membership
        version = 1 if former is None else former.version + 1
        account.membership = Membership(
            tier=tier, term=term, starts=now, ends=now + TERM_SECONDS[term], version=version
        )
        self.state.publish_entitlement(account)
        return web.Response(text="Thank you. Your subscription is active.")


def add_subscription_routes(app: web.Application, state: State) -> None:
    checkouts = _Checkouts(state)
    state.on_reset(checkouts.clear)

    async def plan_list(_: web.Request) -> web.Response:
        return success({"plans": plans()})

    async def status(_: web.Request, account: Account) -> web.Response:
        return success({"subscription": account.subscription_record()})

    async def usage(_: web.Request, account: Account) -> web.Response:
        return success({"usage": _usage(account)})

    async def eligibility(_: web.Request, account: Account) -> web.Response:
        eligible = account.membership is None
        return success({"eligible": eligible, "reasonCode": "eligible" if eligible else "not_eligible"})

    app.router.add_get("/v1/subscriptions/plans", plan_list)
    app.router.add_get("/v1/subscriptions/status", for_account(state, status))
    app.router.add_get("/v1/subscriptions/usage", for_account(state, usage))
    app.router.add_get("/v1/subscriptions/trial-eligibility", for_account(state, eligibility))
    checkout = for_account_body(state, checkouts.start, session_only=True)
    app.router.add_post("/v1/iap/stripe/subscribe", checkout)
    app.router.add_get("/checkout/{number}", answering(checkouts.complete), allow_head=False)
    _add_other_routes(app, state)


def _add_other_routes(app: web.Application, state: State) -> None:
    async def portal(_: web.Request, body: Body, account: Account) -> web.Response:
        body.check()
        return success({"url": f"{state.rest_endpoint}/portal/{account.sid}"})

    async def portal_page(_: web.Request) -> web.Response:
        return web.Response(text="The billing portal.")

    async def device(_: web.Request, body: Body, account: Account) -> web.Response:
        device_id = body.text("deviceId", required=True)
        if device_id == "":
            body.refuse("deviceId", "must not be empty")
        body.check()
        account.device_id = device_id
        return success({})

    app.router.add_post("/v1/subscriptions/stripe/portal", for_account_body(state, portal, session_only=True))
    app.router.add_get("/portal/{sid}", portal_page)
    app.router.add_post("/v1/account/device-id", for_account_body(state, device))


def _usage(account: Account) -> dict[str, object]:
    membership = account.membership
    since = 0.0 if membership is None else membership.starts
    renders = [
        entry
        for entry in account.ledger.newest_first()
        if entry.source == "project" and entry.token == "spark" and entry.time >= since
    ]
    spent = -sum(entry.amount for entry in renders)
    usage: dict[str, Any] = {"periodRenderSpark": float(spent), "periodJobs": len(renders)}
    if membership is not None and membership.status == "trialing":
        ends = datetime.fromtimestamp(membership.trial_ends, UTC).isoformat().replace("+00:00", "Z")
        credits_used = min(float(spent), _TRIAL_CREDITS)
        usage |= {"trialEndsAt": ends, "trialCreditsLimit": _TRIAL_CREDITS, "trialCreditsUsed": credits_used}
    return usage


# Announcements (account §16)


def add_announcement_routes(app: web.Application, state: State) -> None:
    async def active(request: web.Request, account: Account) -> web.Response:
        for name in sorted(set(request.query) - {"platform"}):
            state.recorder.violation(f"GET {request.path} {name}", "is not a known query key")
        platform = request.query.get("platform")
        if platform is not None and not platform.strip():
            raise RefusedError(400, "platform must not be empty")
        found = state.announcements.active(account.sid, state.clock(), platform)
        return success({"announcements": [announcement.wire() for announcement in found]})

    async def dismiss(request: web.Request, body: Body, account: Account) -> web.Response:
        body.check()
        announcement = state.announcements.find(request.match_info["id"])
        if announcement is None:
            raise RefusedError(404, "Announcement not found", NOT_FOUND)
        if not announcement.dismissible:
            raise RefusedError(409, "This announcement cannot be dismissed", 409)
        state.announcements.dismiss(account.sid, announcement.id)
        return success({"dismissed": True, "id": announcement.id})

    app.router.add_get("/v1/announcements/active", for_account(state, active))
    app.router.add_post("/v1/announcements/{id}/dismiss", for_account_body(state, dismiss))
