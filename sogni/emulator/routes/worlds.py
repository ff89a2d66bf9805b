"""Routes of hosted world builds. API keys are refused."""
# Protocol notes: account §18; workflows §9.

from __future__ import annotations

from itertools import islice

from aiohttp import web
from attrs import define

from sogni.emulator.account.accounts import Account
from sogni.emulator.responses import success
from sogni.emulator.routes.account_requests import Body, for_account, for_account_body, whole_query
from sogni.emulator.sse import Frame, stream
from sogni.emulator.state import State
from sogni.emulator.worlds import WorldBuild, WorldBuilds, read_start, wire_of

ROOT = "/v1/world-builds"
_USUAL, _MOST = 50, 200


def add_world_routes(app: web.Application, state: State, builds: WorldBuilds) -> None:
    routes = _Routes(state, builds)
    for path, read in (
        ("", routes.list),
        ("/{id}", routes.get),
        ("/{id}/events", routes.events),
        ("/{id}/events/stream", routes.stream),
    ):
        app.router.add_get(ROOT + path, for_account(state, read, session_only=True), allow_head=False)
    for path, change in (
        ("", routes.start),
        ("/{id}/confirm-cost", routes.confirm),
        ("/{id}/review", routes.review),
        ("/{id}/cancel", routes.cancel),
    ):
        app.router.add_post(ROOT + path, for_account_body(state, change, session_only=True))


@define(eq=False)
class _Routes:
    state: State
    builds: WorldBuilds

    def _found(self, request: web.Request, account: Account) -> WorldBuild:
        return self.builds.find(account, request.match_info["id"])

    def _note_query(self, request: web.Request, *known: str) -> None:
        for name in sorted(set(request.query) - set(known)):
            self.state.recorder.violation(f"GET {request.path} {name}", "is not a known query key")

    async def start(self, request: web.Request, body: Body, account: Account) -> web.Response:
        given = read_start(body)
        body.check()
        build = self.builds.start(account, given, request.headers.get("Idempotency-Key") or None)
        return success({"run": build.record()}, status=202)

    async def list(self, request: web.Request, account: Account) -> web.Response:
        self._note_query(request, "worldId", "limit")
        limit = whole_query(request, "limit", _USUAL, minimum=1, maximum=_MOST)
        found = islice(self.builds.of(account, request.query.get("worldId")), limit)
        return success({"runs": [build.record(events=False) for build in found]})

    async def get(self, request: web.Request, account: Account) -> web.Response:
        return success({"run": self._found(request, account).record()})

    async def events(self, request: web.Request, account: Account) -> web.Response:
        self._note_query(request, "after")
        after = whole_query(request, "after", 0)
        return success({"events": [wire_of(event) for event in self._found(request, account).log.since(after)]})

    async def stream(self, request: web.Request, account: Account) -> web.StreamResponse:
        build = self._found(request, account)
        self._note_query(request)
        opening = [Frame({"runId": build.id, "status": build.status}, "run_status"), Frame("hello", "greeting")]
        return await stream(
            request,
            build.log,
            lambda event: Frame(wire_of(event), event.type, event.sequence),
            faults=self.state.faults,
            opening=opening,
        )

    async def confirm(self, request: web.Request, body: Body, account: Account) -> web.Response:
        build = self._found(request, account)
        decision = body.text("decision", required=True, allowed=("confirm", "cancel", "requote"))
        body.check()
        self.builds.decide(build, decision or "")
        return success({"run": build.record()})

    async def review(self, request: web.Request, body: Body, account: Account) -> web.Response:
        build = self._found(request, account)
        task_id = body.text("taskId", required=True)
        decision = body.text("decision", required=True, allowed=("approved", "rejected"))
        note = body.text("note")
        if note == "":
            body.refuse("note", "must not be empty")
        body.check()
        self.builds.review(build, task_id or "", decision or "", note)
        return success({"run": build.record()})

    async def cancel(self, request: web.Request, body: Body, account: Account) -> web.Response:
        build = self._found(request, account)
        reason = body.text("reason")
        body.check()
        self.builds.cancel(build, reason)
        return success({"run": build.record()})
