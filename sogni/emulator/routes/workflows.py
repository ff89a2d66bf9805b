"""Routes of durable workflows, workflow templates and replay records."""
# Protocol notes: workflows §1, §7; replay §1.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sogni.emulator.persistence import Event
from sogni.emulator.responses import RefusedError, success
from sogni.emulator.routes.router import Call, Routes
from sogni.emulator.sse import Frame, stream
from sogni.emulator.state import State
from sogni.emulator.tools.media_library import Media
from sogni.emulator.workflows.engine import StartRequest
from sogni.emulator.workflows.runs import Run, WorkflowRecord

ROOT = "/v1/creative-agent/workflows"
_TEMPLATES, _RECORDS = f"{ROOT}/templates", "/v1/replay/records"
_ANY = 10**15
ROUTES = Routes()


# Templates. Their routes come before those of workflows: ``templates`` would be taken for a workflow ID.


@ROUTES("GET", _TEMPLATES)
def _templates(call: Call) -> object:
    visibility = call.word("visibility", ("own", "public", "all", "private", "team"), "all")
    limit, offset = call.whole("limit", 50) or 50, call.whole("offset", 0)
    page, following = call.services.templates.list(call.account, visibility, min(limit, 200), offset)
    return {"templates": page, "next": following}


@ROUTES("POST", _TEMPLATES, optional=True)
def _create_template(call: Call) -> object:
    return success({"template": call.services.templates.create(call.account, call.body.values)}, status=201)


@ROUTES("GET", f"{_TEMPLATES}/{{id}}")
def _template(call: Call) -> object:
    return {"template": call.services.templates.get(call.path("id"), call.account)}


@ROUTES("PATCH", f"{_TEMPLATES}/{{id}}", optional=True)
def _update_template(call: Call) -> object:
    return {"template": call.services.templates.update(call.path("id"), call.account, call.body.values)}


@ROUTES("DELETE", f"{_TEMPLATES}/{{id}}")
def _delete_template(call: Call) -> object:
    call.services.templates.delete(call.path("id"), call.account)
    return {"deleted": True}


@ROUTES("POST", f"{_TEMPLATES}/{{id}}/fork", optional=True)
def _fork_template(call: Call) -> object:
    name = call.body.values.get("newName")
    return success({"template": call.services.templates.fork(call.path("id"), call.account, name)}, status=201)


# Workflows


def _run(call: Call) -> Run:
    return call.services.workflows.find(call.account, call.path("id"))


def _artifact(state: State, media: Media) -> dict[str, object]:
    return media.wire(state.artifact_url(media.key))


def _record(call: Call, run: Run) -> WorkflowRecord:
    return run.wire(lambda media: _artifact(call.state, media))


@ROUTES("POST", ROOT, optional=True)
async def _start(call: Call) -> object:
    service, body, key = call.services.workflows, call.body.values, call.request.headers.get("Idempotency-Key")
    async with service.turn:
        known = service.known(call.account, key, body, cloned_from=None)
        if known is not None:
            return {"workflow": _record(call, known), "idempotent": True}
        run = await service.start(call.account, _requested(call, body, key))
        return success({"workflow": _record(call, run)}, status=202)


def _requested(call: Call, body: Mapping[str, Any], key: str | None) -> StartRequest:
    plan, template_id = body.get("input"), body.get("workflow_id")
    if (plan is None) == (template_id is None):
        raise RefusedError(400, "Exactly one of input and workflow_id is required")
    if template_id is None:
        return StartRequest(plan=plan or {}, body=body, key=key)
    filled = call.services.templates.fill(str(template_id), call.account, body.get("inputs"))
    return StartRequest(
        plan=filled.plan,
        body=body,
        key=key,
        template_id=str(template_id),
        inputs=filled.inputs,
        references=tuple(filled.references),
    )


@ROUTES("GET", ROOT)
def _list(call: Call) -> object:
    limit, offset = call.whole("limit", _ANY), call.whole("offset", 0)
    page = call.services.workflows.of(call.account)[offset : offset + limit]
    return {"workflows": [_record(call, run) for run in page]}


@ROUTES("GET", f"{ROOT}/{{id}}")
def _get(call: Call) -> object:
    return {"workflow": _record(call, _run(call))}


@ROUTES("GET", f"{ROOT}/{{id}}/events")
def _events(call: Call) -> object:
    run = _run(call)
    return {"events": [run.event(event, lambda media: _artifact(call.state, media)) for event in run.log.since()]}


@ROUTES("GET", f"{ROOT}/{{id}}/events/stream")
async def _stream(call: Call) -> web.StreamResponse:
    run = _run(call)

    def encode(event: Event) -> Frame:
        frame = run.frame(event, lambda media: _artifact(call.state, media))
        return Frame(frame, event=event.type, id=event.sequence)

    return await stream(call.request, run.log, encode, faults=call.state.faults)


@ROUTES("POST", f"{ROOT}/{{id}}/resume", optional=True)
def _resume(call: Call) -> object:
    run = _run(call)
    resumed = call.services.workflows.resume(run, call.body.values)
    return {"workflow": _record(call, run), "resumed": resumed}


@ROUTES("POST", f"{ROOT}/{{id}}/reseed", optional=True)
async def _reseed(call: Call) -> object:
    source, service, body = _run(call), call.services.workflows, call.body.values
    key = call.request.headers.get("Idempotency-Key")
    async with service.turn:
        known = service.known(call.account, key, body, cloned_from=source.id)
        run = known or await service.reseed(call.account, source, body, key)
    seeds = [{"stepId": step.id, "seed": step.seed} for step in run.steps]
    data = {"workflow": _record(call, run), "reseed": {"cloned_from_run_id": source.id, "steps": seeds}}
    return success(data, status=202) if known is None else {**data, "idempotent": True}


@ROUTES("POST", f"{ROOT}/{{id}}/cancel", optional=True)
async def _cancel(call: Call) -> object:
    run = _run(call)
    await call.services.workflows.cancel(run)
    return {"workflow": _record(call, run)}


@ROUTES("POST", f"{ROOT}/{{id}}/confirm-cost", optional=True)
async def _confirm_cost(call: Call) -> object:
    run = _run(call)
    await call.services.workflows.confirm_cost(run, call.body.values)
    return {"workflow": _record(call, run)}


# Replay records; their responses have no envelope.


@ROUTES("POST", _RECORDS, optional=True)
def _write_record(call: Call) -> web.Response:
    return web.json_response(call.services.replays.write(call.account, call.body.values))


@ROUTES("GET", _RECORDS)
def _replay_records(call: Call) -> web.Response:
    limit = call.whole("limit", 50) or 50
    return web.json_response({"records": call.services.replays.list(call.account, min(limit, 500))})


@ROUTES("GET", f"{_RECORDS}/{{id}}")
def _replay_record(call: Call) -> web.Response:
    return web.json_response(call.services.replays.get(call.account, call.path("id")))
