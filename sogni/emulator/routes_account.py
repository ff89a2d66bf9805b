"""The REST host's routes about the account (account §5, §6.1, §13.2).

Installed by the server. The rules are in ``accounts``.
"""

from __future__ import annotations

from aiohttp import web

from .accounts import Account
from .gate import authorised
from .replies import success
from .state import State


def add_account_routes(app: web.Application, state: State) -> None:
    async def me(_: web.Request, account: Account) -> web.Response:
        return success(account.me())

    async def balance(_: web.Request, account: Account) -> web.Response:
        return success(account.balance_record())

    async def subscription(_: web.Request, account: Account) -> web.Response:
        return success({"subscription": {"active": False, "status": "none"}})

    app.router.add_get("/v1/account/me", authorised(state, "rest", me))
    app.router.add_get("/v4/account/balance", authorised(state, "rest", balance))
    app.router.add_get("/v1/subscriptions/status", authorised(state, "rest", subscription))
