"""Routes of hosted world builds. API keys are refused."""
# Protocol notes: account §18; workflows §9.

from __future__ import annotations

from aiohttp import web

from sogni.emulator.responses import success
from sogni.emulator.routes.router import Call, Routes
from sogni.emulator.sse import Frame, stream
from sogni.emulator.worlds import WorldBuild, read_start

ROUTES = Routes()
_ROOT = "/v1/world-builds"


def _found(call: Call) -> WorldBuild:
    return call.services.worlds.find(call.account, call.path("id"))


@ROUTES("GET", _ROOT, access="session", query=("worldId", "limit"))
def _list(call: Call) -> object:
    limit = call.whole("limit", 50, minimum=1, maximum=200)
    world_id = call.request.query.get("worldId")
    found = [it for it in call.services.worlds.of(call.account) if world_id in (None, it.request["worldId"])]
    return {"runs": [build.record(events=False) for build in found[:limit]]}


@ROUTES("GET", _ROOT + "/{id}", access="session")
def _get(call: Call) -> object:
    return {"run": _found(call).record()}


@ROUTES("GET", _ROOT + "/{id}/events", access="session", query=("after",))
def _events(call: Call) -> object:
    return {"events": [event.wire() for event in _found(call).log.since(call.whole("after", 0))]}


@ROUTES("GET", _ROOT + "/{id}/events/stream", access="session", query=())
async def _stream(call: Call) -> web.StreamResponse:
    build = _found(call)
    opening = [Frame({"runId": build.id, "status": build.status}, "run_status"), Frame("hello", "greeting")]
    return await stream(call.request, build.log, faults=call.state.faults, opening=opening)


@ROUTES("POST", _ROOT, access="session")
def _start(call: Call) -> web.Response:
    given = read_start(call.body)
    call.body.check()
    build = call.services.worlds.start(call.account, given, call.request.headers.get("Idempotency-Key") or None)
    return success({"run": build.record()}, status=202)


@ROUTES("POST", _ROOT + "/{id}/confirm-cost", access="session")
def _confirm(call: Call) -> object:
    build = _found(call)
    decision = call.body.text("decision", required=True, allowed=("confirm", "cancel", "requote"))
    call.body.check()
    call.services.worlds.decide(build, decision or "")
    return {"run": build.record()}


@ROUTES("POST", _ROOT + "/{id}/review", access="session")
def _review(call: Call) -> object:
    build, body = _found(call), call.body
    task_id = body.text("taskId", required=True)
    decision = body.text("decision", required=True, allowed=("approved", "rejected"))
    note = body.text("note")
    if note == "":
        body.refuse("note", "must not be empty")
    body.check()
    call.services.worlds.review(build, task_id or "", decision or "", note)
    return {"run": build.record()}


@ROUTES("POST", _ROOT + "/{id}/cancel", access="session")
def _cancel(call: Call) -> object:
    build, reason = _found(call), call.body.text("reason")
    call.body.check()
    call.services.worlds.cancel(build, reason)
    return {"run": build.record()}
