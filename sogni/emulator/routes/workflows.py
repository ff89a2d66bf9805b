"""Routes of durable workflows, workflow templates and replay records."""
# Protocol notes: workflows §1, §7; replay §1.

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from attrs import define

from sogni.emulator.account.accounts import Account
from sogni.emulator.middleware import AccountHandler, Handler, authorized
from sogni.emulator.persistence import Event
from sogni.emulator.replays import Replays
from sogni.emulator.responses import RefusedError, detailed_error, success
from sogni.emulator.sse import Frame, stream
from sogni.emulator.state import State
from sogni.emulator.tools.media_library import Media
from sogni.emulator.workflows.runs import Run, WorkflowRecord
from sogni.emulator.workflows.service import StartRequest, WorkflowService
from sogni.emulator.workflows.templates import Templates

ROOT = "/v1/creative-agent/workflows"


def account_route(state: State, handler: AccountHandler) -> Handler:
    """Wrap a route that needs an account and may raise ``RefusedError``."""

    async def answered(request: web.Request, account: Account) -> web.StreamResponse:
        try:
            return await handler(request, account)
        except RefusedError as refusal:
            return detailed_error(refusal.status, refusal.message, refusal.code, refusal.details, refusal.retry_after)

    return authorized(state, "rest", answered)


async def json_object(request: web.Request) -> Mapping[str, Any]:
    """Return the body of a request; an empty body is an empty object."""
    try:
        body = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError):
        raise RefusedError(400, "The body is not JSON") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "The body must be a JSON object")
    return body


def whole(request: web.Request, name: str, default: int | None) -> int | None:
    """Return an integer query value, or refuse anything else."""
    given = request.query.get(name)
    if given is None:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise RefusedError(400, f"{name} must be a non-negative integer, got {given[:40]!r}")
    return int(given)


def add_workflow_routes(
    app: web.Application, state: State, workflow_service: WorkflowService, templates: Templates
) -> None:
    routes = _Routes(state, workflow_service, templates)
    for method, path, handler in (
        ("POST", "", routes.start),
        ("GET", "", routes.list),
        ("GET", "/{id}", routes.get),
        ("GET", "/{id}/events", routes.events),
        ("GET", "/{id}/events/stream", routes.stream),
        ("POST", "/{id}/resume", routes.resume),
        ("POST", "/{id}/reseed", routes.reseed),
        ("POST", "/{id}/cancel", routes.cancel),
        ("POST", "/{id}/confirm-cost", routes.confirm_cost),
    ):
        app.router.add_route(method, ROOT + path, account_route(state, handler))


@define(eq=False)
class _Routes:
    state: State
    workflow_service: WorkflowService
    templates: Templates

    def _artifact(self, media: Media) -> dict[str, object]:
        return media.wire(self.state.artifact_url(media.key))

    def _record(self, run: Run) -> WorkflowRecord:
        return run.wire(self._artifact)

    def _run(self, request: web.Request, account: Account) -> Run:
        return self.workflow_service.find(request.match_info["id"], account)

    async def start(self, request: web.Request, account: Account) -> web.Response:
        body, key = await json_object(request), request.headers.get("Idempotency-Key")
        async with self.workflow_service.turn:
            return await self._start(account, body, key)

    async def _start(self, account: Account, body: Mapping[str, Any], key: str | None) -> web.Response:
        known = self.workflow_service.known(account, key, body)
        if known is not None:
            return success({"workflow": self._record(known), "idempotent": True})
        plan, template_id = body.get("input"), body.get("workflow_id")
        if (plan is None) == (template_id is None):
            raise RefusedError(400, "Exactly one of input and workflow_id is required")
        if template_id is None:
            requested = StartRequest(plan=plan or {}, body=body, key=key)
        else:
            filled = self.templates.fill(str(template_id), account, body.get("inputs"))
            requested = StartRequest(
                plan=filled.plan,
                body=body,
                key=key,
                template_id=str(template_id),
                inputs=filled.inputs,
                references=tuple(filled.references),
            )
        run = await self.workflow_service.start(account, requested)
        return success({"workflow": self._record(run)}, status=202)

    async def list(self, request: web.Request, account: Account) -> web.Response:
        limit, offset = whole(request, "limit", None), whole(request, "offset", 0)
        return success(
            {"workflows": [self._record(run) for run in self.workflow_service.of(account, limit, offset or 0)]}
        )

    async def get(self, request: web.Request, account: Account) -> web.Response:
        return success({"workflow": self._record(self._run(request, account))})

    async def events(self, request: web.Request, account: Account) -> web.Response:
        run = self._run(request, account)
        return success({"events": [run.event(event, self._artifact) for event in run.log.since()]})

    async def stream(self, request: web.Request, account: Account) -> web.StreamResponse:
        run = self._run(request, account)

        def encode(event: Event) -> Frame:
            return Frame(run.frame(event, self._artifact), event=event.type, id=event.sequence)

        return await stream(request, run.log, encode, faults=self.state.faults)

    async def resume(self, request: web.Request, account: Account) -> web.Response:
        run, body = self._run(request, account), await json_object(request)
        resumed = self.workflow_service.resume(run, body)
        return success({"workflow": self._record(run), "resumed": resumed})

    async def reseed(self, request: web.Request, account: Account) -> web.Response:
        source, body = self._run(request, account), await json_object(request)
        key = request.headers.get("Idempotency-Key")
        async with self.workflow_service.turn:
            known = self.workflow_service.known(account, key, body, source.id)
            run = known or await self.workflow_service.reseed(account, source, body, key)
        seeds = [{"stepId": step.id, "seed": step.seed} for step in run.steps]
        data = {"workflow": self._record(run), "reseed": {"cloned_from_run_id": source.id, "steps": seeds}}
        if known is not None:
            return success({**data, "idempotent": True})
        return success(data, status=202)

    async def cancel(self, request: web.Request, account: Account) -> web.Response:
        run = self._run(request, account)
        await self.workflow_service.engine.cancel(run)
        return success({"workflow": self._record(run)})

    async def confirm_cost(self, request: web.Request, account: Account) -> web.Response:
        run = self._run(request, account)
        await self.workflow_service.confirm_cost(run, await json_object(request))
        return success({"workflow": self._record(run)})


# Templates. Install their routes before those of workflows: ``templates`` would be taken for a workflow ID.


_MOST, _USUAL = 200, 50


def add_template_routes(app: web.Application, state: State, templates: Templates) -> None:
    async def listed(request: web.Request, account: Account) -> web.Response:
        visibility = request.query.get("visibility", "all")
        if visibility not in ("own", "public", "all", "private", "team"):
            raise RefusedError(400, f"visibility must be own, public, all, private or team, got {visibility!r}")
        limit, offset = whole(request, "limit", _USUAL) or _USUAL, whole(request, "offset", 0) or 0
        page, following = templates.list(account, visibility, min(limit, _MOST), offset)
        return success({"templates": page, "next": following})

    async def got(request: web.Request, account: Account) -> web.Response:
        return success({"template": templates.get(request.match_info["id"], account)})

    async def created(request: web.Request, account: Account) -> web.Response:
        return success({"template": templates.create(account, await json_object(request))}, status=201)

    async def updated(request: web.Request, account: Account) -> web.Response:
        changes = await json_object(request)
        return success({"template": templates.update(request.match_info["id"], account, changes)})

    async def deleted(request: web.Request, account: Account) -> web.Response:
        templates.delete(request.match_info["id"], account)
        return success({"deleted": True})

    async def forked(request: web.Request, account: Account) -> web.Response:
        name = (await json_object(request)).get("newName")
        return success({"template": templates.fork(request.match_info["id"], account, name)}, status=201)

    root = f"{ROOT}/templates"
    for method, path, handler in (
        ("GET", "", listed),
        ("POST", "", created),
        ("GET", "/{id}", got),
        ("PATCH", "/{id}", updated),
        ("DELETE", "/{id}", deleted),
        ("POST", "/{id}/fork", forked),
    ):
        app.router.add_route(method, root + path, account_route(state, handler))


# Replay records; their responses have no envelope.


_MOST_RECORDS, _USUAL_RECORDS = 500, 50


def add_replay_routes(app: web.Application, state: State, replays: Replays) -> None:
    async def write(request: web.Request, account: Account) -> web.Response:
        return web.json_response(replays.write(account, await json_object(request)))

    async def listed(request: web.Request, account: Account) -> web.Response:
        limit = whole(request, "limit", _USUAL_RECORDS) or _USUAL_RECORDS
        return web.json_response({"records": replays.list(account, min(limit, _MOST_RECORDS))})

    async def got(request: web.Request, account: Account) -> web.Response:
        return web.json_response(replays.get(account, request.match_info["id"]))

    app.router.add_post("/v1/replay/records", account_route(state, write))
    app.router.add_get("/v1/replay/records", account_route(state, listed), allow_head=False)
    app.router.add_get("/v1/replay/records/{id}", account_route(state, got), allow_head=False)
