"""The HTTP side of the socket host: catalogue, estimates, recovery (transport §2, §13.1; projects-4.2 §16,
§17).

Installed by the server. Answers are bare JSON, refusals plain text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import cast

from aiohttp import web
from attrs import define, field

from .accounts import Account, Token
from .estimates import Work, estimate_record
from .gate import authorised
from .greeting import sync_record
from .replies import refusal
from .state import State

_SYNC_LIMIT = 20
_SYNC_SPAN = 10.0


class _UnusableError(ValueError):
    """An estimate path that nobody can read."""


def add_socket_host_routes(app: web.Application, state: State) -> None:
    _add_catalogue_routes(app, state)
    _add_recovery_routes(app, state)

    async def estimate(request: web.Request, account: Account) -> web.Response:
        try:
            work, token = read_estimate(state, request.match_info["tail"].split("/"), request)
        except _UnusableError as problem:
            state.journal.violation(f"GET {request.path}", str(problem))
            return refusal(400, str(problem))
        now = round(state.clock() * 1000)
        return web.json_response(estimate_record(work, token, now=now, waiting=0))

    for version in ("v2", "v3"):
        app.router.add_get(f"/api/{version}/job/estimate/{{tail:.*}}", authorised(state, "socket", estimate))


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


def read_estimate(state: State, segments: Sequence[str], request: web.Request) -> tuple[Work, Token]:
    """Read the path of an image estimate: ten segments in v2, three more in v3 (projects-4.2 §16.1)."""
    if len(segments) not in (10, 13):
        raise _UnusableError(f"an estimate has 10 or 13 path segments, not {len(segments)}")
    token, network, model_id = segments[:3]
    model = state.catalogue.models.get(model_id)
    if model is None:
        raise _UnusableError(f"unknown model: {model_id}")
    if token not in ("spark", "sogni") or network not in ("fast", "relaxed"):
        raise _UnusableError(f"unknown token type or network: {token}, {network}")
    count, steps, previews, control, denoise, width, height = (_number(text) for text in segments[3:10])
    # The sampler's segment is "_" or empty when there is none.
    context = _number(segments[12]) if len(segments) == 13 else 0.0
    work = Work(
        model=model,
        count=max(1, int(count)),
        steps=int(steps) or int(state.catalogue.default(model, "steps")),
        previews=int(previews),
        control_net=bool(control),
        denoise=denoise,
        width=int(width),
        height=int(height),
        context_images=int(context),
        network=network,
        quality=request.query.get("gptImageQuality"),
    )
    return work, cast(Token, token)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _UnusableError(f"not a number: {text!r}") from None
    if not 0 <= value < 1e9:
        raise _UnusableError(f"out of range: {text}")
    return value
