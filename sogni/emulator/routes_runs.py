"""Durable chat runs over REST, and their events (chat §12, §14.6).

Installed by the server. Runs live in ``llm.chat_runs``; here are the bodies, the statuses and the stream.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from attrs import define

from .accounts import Account
from .event_log import Event
from .llm.chat_run import ChatRun, wire_of
from .llm.chat_runs import ChatRuns
from .llm.declined import DeclinedError
from .routes_chat import body_of, declined
from .routes_workflows import Decided, deciding
from .sse import Frame, stream
from .state import State

_PATH = "/v1/chat/runs"


def add_run_routes(app: web.Application, state: State, runs: ChatRuns) -> None:
    routes = _RunRoutes(state, runs)
    for method, path, handler in (
        ("POST", "", routes.create),
        ("GET", "/{run}", routes.get),
        ("POST", "/{run}/cancel", routes.cancel),
        ("POST", "/{run}/confirm-cost", routes.confirm),
        ("GET", "/{run}/events/stream", routes.events),
    ):
        app.router.add_route(method, _PATH + path, deciding(state, _told(handler)))


def _told(handler: Decided) -> Decided:
    """Turn what a model declines into an answer."""

    async def answer(request: web.Request, account: Account) -> web.StreamResponse:
        try:
            return await handler(request, account)
        except DeclinedError as refused:
            return declined(refused)

    return answer


def _answer(run: ChatRun, status: int = 200, **more: Any) -> web.Response:
    return web.json_response({"status": "success", "data": {"run": run.record(), **more}}, status=status)


@define(eq=False)
class _RunRoutes:
    state: State
    runs: ChatRuns

    async def create(self, request: web.Request, account: Account) -> web.Response:
        run, known = self.runs.create(account, await body_of(request), request.headers.get("Idempotency-Key") or None)
        return _answer(run, 202, **({"idempotent": True} if known else {}))

    async def get(self, request: web.Request, account: Account) -> web.Response:
        return _answer(self._run(request, account))

    async def cancel(self, request: web.Request, account: Account) -> web.Response:
        run = self._run(request, account)
        reason = (await body_of(request)).get("reason") if await request.read() else None
        self.runs.cancel(run, reason if isinstance(reason, str) and reason else None)
        return _answer(run)

    async def confirm(self, request: web.Request, account: Account) -> web.Response:
        run = self._run(request, account)
        self.runs.confirm(run, await body_of(request), request.headers.get("Idempotency-Key") or None)
        return _answer(run)

    async def events(self, request: web.Request, account: Account) -> web.StreamResponse:
        run = self._run(request, account)
        opening = [Frame(run.snapshot(), "run_status")]
        return await stream(request, run.log, _frame, faults=self.state.faults, opening=opening)

    def _run(self, request: web.Request, account: Account) -> ChatRun:
        return self.runs.find(account, request.match_info["run"])


def _frame(event: Event) -> Frame:
    return Frame(wire_of(event), event.type, event.sequence)
