"""The HTTP side of the socket host: catalogue and recovery (transport §2, §13.1; projects-4.2 §17).

Installed by the server. Answers are bare JSON, refusals plain text.
"""

from __future__ import annotations

from collections import deque

from aiohttp import web
from attrs import define, field

from .accounts import Account
from .gate import authorised
from .greeting import sync_record
from .replies import refusal
from .state import State

_SYNC_LIMIT = 20
_SYNC_SPAN = 10.0


def add_socket_host_routes(app: web.Application, state: State) -> None:
    _add_catalogue_routes(app, state)
    _add_recovery_routes(app, state)


def _add_catalogue_routes(app: web.Application, state: State) -> None:
    catalogue = state.catalogue

    async def models(_: web.Request, account: Account) -> web.Response:
        return web.json_response(catalogue.model_list())

    async def tiers(_: web.Request, account: Account) -> web.Response:
        return web.json_response(dict(catalogue.tiers))

    async def presets(request: web.Request, account: Account) -> web.Response:
        model = catalogue.models.get(request.match_info["model"])
        if model is None or request.match_info["network"] not in ("fast", "relaxed"):
            return refusal(404, "Model not found")
        return web.json_response(catalogue.size_presets(model))

    async def status(request: web.Request, account: Account) -> web.Response:
        network = request.match_info["network"]
        if network not in ("fast", "relaxed"):
            return refusal(404, "Network not found")
        return web.json_response(catalogue.network_status(network))

    app.router.add_get("/api/v1/models/list", authorised(state, "socket", models))
    app.router.add_get("/api/v2/models/tiers", authorised(state, "socket", tiers))
    path = "/api/v1/size-presets/network/{network}/model/{model}"
    app.router.add_get(path, authorised(state, "socket", presets))
    app.router.add_get("/api/v1/status/network/{network}/models", authorised(state, "socket", status))


@define
class _Limiter:
    """At most 20 snapshots per account in any 10 seconds (transport §17)."""

    state: State
    _calls: dict[int, deque[float]] = field(factory=dict)

    def wait(self, account: Account) -> int:
        """Return the seconds to wait, or 0 and count the call."""
        now, calls = self.state.clock(), self._calls.setdefault(account.sid, deque())
        while calls and calls[0] <= now - _SYNC_SPAN:
            calls.popleft()
        if len(calls) >= _SYNC_LIMIT:
            return max(1, round(calls[0] + _SYNC_SPAN - now))
        calls.append(now)
        return 0


def _add_recovery_routes(app: web.Application, state: State) -> None:
    limiter = _Limiter(state)

    async def sync(request: web.Request, account: Account) -> web.Response:
        seconds = limiter.wait(account)
        if seconds:
            return refusal(429, "Too many snapshot requests", headers={"Retry-After": str(seconds)})
        return web.json_response(sync_record(state, account, request.query.get("appId")))

    async def active(_: web.Request, account: Account) -> web.Response:
        return web.json_response({"projects": [{"id": project.id} for project in state.projects.active(account)]})

    app.router.add_get("/api/v1/artist/projects/sync", authorised(state, "socket", sync))
    app.router.add_get("/api/v1/artist/projects/active", authorised(state, "socket", active))
