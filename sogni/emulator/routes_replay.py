"""The routes of replay records, whose answers have no envelope (replay §1).

Installed by the server on the REST host.
"""

from __future__ import annotations

from aiohttp import web

from .accounts import Account
from .replays import Replays
from .routes_workflows import deciding, json_object, whole
from .state import State

_MOST, _USUAL = 500, 50


def add_replay_routes(app: web.Application, state: State, replays: Replays) -> None:
    async def write(request: web.Request, account: Account) -> web.Response:
        return web.json_response(replays.write(account, await json_object(request)))

    async def listed(request: web.Request, account: Account) -> web.Response:
        limit = whole(request, "limit", _USUAL) or _USUAL
        return web.json_response({"records": replays.list(account, min(limit, _MOST))})

    async def got(request: web.Request, account: Account) -> web.Response:
        return web.json_response(replays.get(account, request.match_info["id"]))

    app.router.add_post("/v1/replay/records", deciding(state, write))
    app.router.add_get("/v1/replay/records", deciding(state, listed), allow_head=False)
    app.router.add_get("/v1/replay/records/{id}", deciding(state, got), allow_head=False)
