"""The routes of workflow templates (workflows §7).

Installed by the server on the REST host, before those of workflows: ``templates`` is no id of a workflow.
"""

from __future__ import annotations

from aiohttp import web

from .accounts import Account
from .refusals import RefusalError
from .replies import success
from .routes_workflows import ROOT, deciding, json_object, whole
from .state import State
from .templates import Templates

_MOST, _USUAL = 200, 50


def add_template_routes(app: web.Application, state: State, templates: Templates) -> None:
    async def listed(request: web.Request, account: Account) -> web.Response:
        visibility = request.query.get("visibility", "all")
        if visibility not in ("own", "public", "all", "private", "team"):
            raise RefusalError(400, f"visibility must be own, public, all, private or team, not {visibility!r}")
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
        app.router.add_route(method, root + path, deciding(state, handler))
