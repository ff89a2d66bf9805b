"""The REST host's routes that read an account, and its rewards (account §5 to §7, §12.1, §12.2).

Installed by the server. The rules are in ``accounts``, ``ledger`` and ``rewards``.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from .account_requests import (
    ADDRESS,
    USERNAME_INVALID,
    USERNAME_TAKEN,
    Body,
    RefusedError,
    for_account,
    for_account_body,
    open_to_all,
    provider_of_query,
    query,
    whole_query,
)
from .accounts import Account, decimal_text
from .directory import Accounts
from .holdings import Holdings
from .replies import NOT_FOUND, success
from .rewards import NotClaimableError, UnknownRewardError
from .state import State

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
    app.router.add_post("/v1/account/username/validate", open_to_all(state, validate))
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
        message = "A username has 3 to 32 letters, digits, dots, dashes and underscores"
        raise RefusedError(400, message, USERNAME_INVALID)
    if accounts.by_username(username) is not None:
        raise RefusedError(409, "The username is already taken", USERNAME_TAKEN)


def _wallet(accounts: Accounts, request: web.Request) -> dict[str, str]:
    address, provider = query(request, "walletAddress"), provider_of_query(request)
    if not ADDRESS.fullmatch(address):
        raise RefusedError(400, "walletAddress must be an address of 40 hexadecimal digits after 0x")
    owner = accounts.by_address(address)
    held = (Holdings() if owner is None else owner.wallet).on(provider)
    return {name: decimal_text(getattr(held, name)) for name in ("sogni", "spark", "ether")}


def _transactions(request: web.Request, account: Account) -> dict[str, Any]:
    """One page, newest first. ``next`` is the offset of the next page, whether there is one or not; nobody sees
    the transactions of others."""
    limit = whole_query(request, "limit", _PAGE, minimum=1, maximum=_LARGEST_PAGE)
    offset = whole_query(request, "offset", 0)
    provider_of_query(request)
    own = query(request, "address").lower() in ("", account.wallet_address.lower())
    completed = query(request, "status") in ("", "completed")
    entries = account.ledger.newest_first() if own and completed else []
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
