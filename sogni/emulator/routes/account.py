"""REST routes of accounts: profile, balances, transactions, rewards, subscriptions, leaderboard, announcements."""
# Protocol notes: account §5 to §7, §12, §13, §16.

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sogni.emulator.account.accounts import WalletBalances, decimal_text
from sogni.emulator.account.memberships import TERM_SECONDS, TERMS, TIERS, Membership, Term, Tier, plans
from sogni.emulator.account.records import (
    NETWORKS,
    PERIODS,
    TYPES,
    balance_record,
    me_record,
    ranking,
    subscription_record,
)
from sogni.emulator.account.rewards import NotClaimableError, UnknownRewardError
from sogni.emulator.account.sessions import Accounts
from sogni.emulator.responses import NOT_FOUND, RefusedError
from sogni.emulator.routes.router import ADDRESS, Call, Routes

USERNAME_TAKEN, USERNAME_INVALID = 108, 109
ROUTES = Routes()
_USERNAME = re.compile(r"[\w.-]{3,32}")


@ROUTES("GET", "/v1/account/me")
def _me(call: Call) -> object:
    return me_record(call.account)


@ROUTES("GET", "/v4/account/balance")
def _balance(call: Call) -> object:
    return balance_record(call.account)


@ROUTES("GET", "/v2/wallet/balance")
def _wallet(call: Call) -> object:
    address, provider = call.query("walletAddress"), call.provider()
    if not ADDRESS.fullmatch(address):
        raise RefusedError(400, "walletAddress must be an address of 40 hexadecimal digits after 0x")
    owner = call.state.accounts.by_address(address)
    holding = (WalletBalances() if owner is None else owner.wallet).on(provider)
    return {name: decimal_text(getattr(holding, name)) for name in ("sogni", "spark", "ether")}


@ROUTES("GET", "/v1/transactions/list")
def _transactions(call: Call) -> object:
    """Return a page of the account's transactions, newest first. ``next`` is set even if there is no next page."""
    account, limit, offset = call.account, call.page(), call.whole("offset", 0)
    call.provider()
    is_own = call.query("address").lower() in ("", account.wallet_address.lower())
    completed = call.query("status") in ("", "completed")
    entries = account.ledger.newest_first() if is_own and completed else []
    page = entries[offset : offset + limit]
    return {
        "transactions": [entry.wire(account.wallet_address, account.sid) for entry in page],
        "next": offset + limit,
    }


@ROUTES("POST", "/v1/account/username/validate", access="public")
def _validate(call: Call) -> object:
    username = call.body.text("username", required=True)
    call.body.check()
    check_username(call.state.accounts, username or "")
    return {}


def check_username(accounts: Accounts, username: str) -> None:
    """Refuse a user name that is malformed or taken."""
    if not _USERNAME.fullmatch(username):
        message = "The username must have 3 to 32 letters, digits, dots, dashes and underscores"
        raise RefusedError(400, message, USERNAME_INVALID)
    if accounts.by_username(username) is not None:
        raise RefusedError(409, "The username is already taken", USERNAME_TAKEN)


@ROUTES("GET", "/v4/account/rewards")
def _rewards(call: Call) -> object:
    call.provider()
    return {"rewards": call.account.rewards.records()}


@ROUTES("POST", "/v3/account/reward/claim")
def _claim(call: Call) -> object:
    body, account = call.body, call.account
    ids = body.texts("claims")
    body.provider()
    body.text("turnstileToken")
    if not ids:
        body.refuse("claims", "must name at least one reward")
    body.check()
    try:
        rewards = account.rewards.claim(ids)
    except UnknownRewardError as error:
        raise RefusedError(404, str(error), NOT_FOUND) from None
    except NotClaimableError as error:
        raise RefusedError(400, str(error)) from None
    for reward in rewards:
        account.funds.move(reward.token, reward.amount, description=reward.title, source="reward")
    return {}


@ROUTES("POST", "/v1/account/device-id")
def _device(call: Call) -> object:
    device_id = call.body.text("deviceId", required=True)
    if device_id == "":
        call.body.refuse("deviceId", "must not be empty")
    call.body.check()
    call.account.device_id = device_id
    return {}


@ROUTES("GET", "/v1/leaderboard/", access="public")
def _leaderboard(call: Call) -> object:
    """Return a page; pages count from 1, and page 0 is the first one, too."""
    board, period = call.word("type", TYPES), call.word("period", PERIODS)
    network, limit = call.word("network", NETWORKS, "all"), call.page()
    first = max(0, call.whole("page", 1) - 1) * limit
    now = call.whole("date", 0) or call.state.clock()
    entries = ranking(call.state.accounts.all(), board, period, network, now)
    for name in ("username", "address"):
        requested = call.query(name).lower()
        entries = [entry for entry in entries if requested in ("", entry[name].lower())]
    return entries[first : first + limit]


# Plans and subscriptions (account §13.1 to §13.4). A checkout ends at a page of the emulator itself: opening its URL
# counts as payment.


_REDIRECTS = ("web", "app", "dashboard", "photobooth", "chat")
_TRIAL_CREDITS = 500
_MOST_CHECKOUTS = 1000


@ROUTES("GET", "/v1/subscriptions/plans", access="public")
def _plans(call: Call) -> object:
    return {"plans": plans()}


@ROUTES("GET", "/v1/subscriptions/status")
def _status(call: Call) -> object:
    return {"subscription": subscription_record(call.account)}


@ROUTES("GET", "/v1/subscriptions/usage")
def _usage(call: Call) -> object:
    membership = call.account.membership
    since = 0.0 if membership is None else membership.starts
    renders = [
        entry
        for entry in call.account.ledger.newest_first()
        if entry.source == "project" and entry.token == "spark" and entry.time >= since
    ]
    spent = float(sum(-entry.amount for entry in renders))
    usage: dict[str, Any] = {"periodRenderSpark": spent, "periodJobs": len(renders)}
    if membership is not None and membership.status == "trialing":
        ends = datetime.fromtimestamp(membership.trial_ends, UTC).isoformat().replace("+00:00", "Z")
        used = min(spent, _TRIAL_CREDITS)
        usage |= {"trialEndsAt": ends, "trialCreditsLimit": _TRIAL_CREDITS, "trialCreditsUsed": used}
    return {"usage": usage}


@ROUTES("GET", "/v1/subscriptions/trial-eligibility")
def _eligibility(call: Call) -> object:
    eligible = call.account.membership is None
    return {"eligible": eligible, "reasonCode": "eligible" if eligible else "not_eligible"}


@ROUTES("POST", "/v1/iap/stripe/subscribe", access="session")
def _subscribe(call: Call) -> object:
    body, checkouts = call.body, call.state.checkouts
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
    if len(checkouts) >= _MOST_CHECKOUTS:
        del checkouts[next(iter(checkouts))]
    checkouts[number] = (call.account, tier, chosen)
    return {"url": f"{call.state.rest_endpoint}/checkout/{number}"}


@ROUTES("GET", "/checkout/{number}", access="public")
def _complete(call: Call) -> web.Response:
    bought = call.state.checkouts.pop(call.path("number"), None)
    if bought is None:
        raise RefusedError(404, "Unknown or completed checkout", NOT_FOUND)
    account, tier, term = bought
    now, former = call.state.clock(), account.membership
    version = 1 if former is None else former.version + 1
    account.membership = Membership(tier=tier, term=term, starts=now, ends=now + TERM_SECONDS[term], version=version)
    call.state.publish_entitlement(account)
    return web.Response(text="Thank you. Your subscription is active.")


@ROUTES("POST", "/v1/subscriptions/stripe/portal", access="session")
def _portal(call: Call) -> object:
    call.body.check()
    return {"url": f"{call.state.rest_endpoint}/portal/{call.account.sid}"}


@ROUTES("GET", "/portal/{sid}", access="public")
def _portal_page(call: Call) -> web.Response:
    return web.Response(text="The billing portal.")


# Announcements (account §16)


@ROUTES("GET", "/v1/announcements/active", query=("platform",))
def _active(call: Call) -> object:
    platform = call.request.query.get("platform")
    if platform is not None and not platform.strip():
        raise RefusedError(400, "platform must not be empty")
    found = call.state.announcements.active(call.account.sid, call.state.clock(), platform)
    return {"announcements": [announcement.wire() for announcement in found]}


@ROUTES("POST", "/v1/announcements/{id}/dismiss")
def _dismiss(call: Call) -> object:
    call.body.check()
    announcement = call.state.announcements.find(call.path("id"))
    if announcement is None:
        raise RefusedError(404, "Announcement not found", NOT_FOUND)
    if not announcement.dismissible:
        raise RefusedError(409, "This announcement cannot be dismissed", 409)
    call.state.announcements.dismiss(call.account.sid, announcement.id)
    return {"dismissed": True, "id": announcement.id}
