"""The REST host's routes about plans and subscriptions (account §13.1 to §13.4).

Installed by the server. A checkout ends at a page of the emulator itself: whoever opens its URL has paid.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from attrs import define, field

from .account_requests import Body, RefusedError, answering, for_account, for_account_body
from .accounts import Account
from .memberships import PERIODS, TERMS, TIERS, Membership, Term, Tier, plans
from .replies import NOT_FOUND, success
from .state import State

_REDIRECTS = ("web", "app", "dashboard", "photobooth", "chat")
_TRIAL_CREDITS = 500
_LIMIT = 1000


@define
class _Checkouts:
    """The payment pages that wait for somebody to open them."""

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

    async def complete(self, request: web.Request) -> web.Response:
        bought = self._waiting.pop(request.match_info["number"], None)
        if bought is None:
            raise RefusedError(404, "There is no such checkout, or it was paid", NOT_FOUND)
        account, tier, term = bought
        now, former = self.state.clock(), account.membership
        version = 1 if former is None else former.version + 1
        account.membership = Membership(tier=tier, term=term, starts=now, ends=now + PERIODS[term], version=version)
        self.state.publish_entitlement(account)
        return web.Response(text="Thank you. Your subscription is active.")


def add_subscription_routes(app: web.Application, state: State) -> None:
    checkouts = _Checkouts(state)

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


def _usage(account: Account) -> dict[str, Any]:
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
        used = min(float(spent), _TRIAL_CREDITS)
        usage |= {"trialEndsAt": ends, "trialCreditsLimit": _TRIAL_CREDITS, "trialCreditsUsed": used}
    return usage
