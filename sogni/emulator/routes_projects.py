"""The REST host's routes about projects and their files: records, upload URLs, download URLs.

Installed by the server (projects-4.2 §10.1, §14.3; transport §13.1).
"""

from __future__ import annotations

import re
from typing import Literal

from aiohttp import web

from .accounts import Account
from .gate import authorised
from .project_records import finished_record, live_record
from .projects import Project
from .replies import NOT_FOUND, error, success
from .requests_check import check_project_id
from .state import State
from .store import Key

Family = Literal["image", "media"]

_RESULTS = ("complete", "preview", "lastFrame")
_UPLOADS: dict[Family, re.Pattern[str]] = {
    "image": re.compile(
        r"startingImage|cnImage|contextImage([1-9]|1[0-6])|referenceImage(End)?|referenceMask|keyframeImage[1-8]"
    ),
    "media": re.compile(r"reference(Audio|Video)([1-9]|10)?"),
}
_ITEM_PARAMETER: dict[Family, str] = {"image": "imageId", "media": "id"}
# 4.2 clients write an unset parameter as one of these words (transport §3).
_UNSET = ("", "undefined", "null")


def add_project_routes(app: web.Application, state: State) -> None:
    async def finished(request: web.Request, account: Account) -> web.Response:
        project = state.projects.find(request.match_info["id"], account)
        if project is None or not project.finished:
            return error(404, "Project not found", NOT_FOUND)
        return success({"project": finished_record(project)})

    async def live(request: web.Request, account: Account) -> web.Response:
        project = state.projects.find(request.match_info["id"], account)
        if project is None:
            return error(404, "Project not found", NOT_FOUND)
        return success({"project": live_record(project)})

    async def capabilities(_: web.Request, account: Account) -> web.Response:
        return success({"enabled": False})

    app.router.add_get("/v1/projects/{id}", authorised(state, "rest", finished))
    app.router.add_get("/v2/projects/{id}", authorised(state, "rest", live))
    app.router.add_get("/v1/assets/capabilities", authorised(state, "rest", capabilities))
    families: tuple[Family, ...] = ("image", "media")
    for family in families:
        _add_url_routes(app, state, family)


def _add_url_routes(app: web.Application, state: State, family: Family) -> None:
    async def upload_url(request: web.Request, account: Account) -> web.Response:
        return _upload_url(state, family, request, account)

    async def download_url(request: web.Request, account: Account) -> web.Response:
        return _download_url(state, family, request, account)

    app.router.add_get(f"/v1/{family}/uploadUrl", authorised(state, "rest", upload_url))
    app.router.add_get(f"/v1/{family}/downloadUrl", authorised(state, "rest", download_url))


def _parameter(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    return "" if value in _UNSET else value


def _upload_url(state: State, family: Family, request: web.Request, account: Account) -> web.Response:
    project_id, role = _parameter(request, "jobId"), _parameter(request, "type")
    if family == "media":
        # Numbered references may name their slot in ``id`` (projects-5x §6).
        role = _parameter(request, "id") or role
    problem = None
    if not project_id:
        problem = "jobId is missing"
    elif not _UPLOADS[family].fullmatch(role):
        problem = f"type {role!r} is no upload of /v1/{family}/uploadUrl"
    elif family == "image" and not _parameter(request, "imageId"):
        problem = "imageId is missing"
    owner = state.projects.find(project_id)
    if problem is None and owner is not None and owner.account is not account:
        problem = "jobId is in use"
    if problem is not None:
        state.journal.violation(f"GET /v1/{family}/uploadUrl", problem)
        return error(400, problem)
    wrong_id = check_project_id(project_id)
    if wrong_id:
        state.journal.violation(f"GET /v1/{family}/uploadUrl jobId", wrong_id)
    url = state.upload_url(Key(project_id.upper(), "", role), _parameter(request, "contentType") or None)
    return success({"uploadUrl": url})


def _family(project: Project | None, role: str) -> Family:
    """Return the family of routes that serves a file. What was uploaded can be read before there is a project: that
    is how media for durable work are handed over (workflows §4)."""
    if role not in _RESULTS:
        return "media" if _UPLOADS["media"].fullmatch(role) else "image"
    return "image" if project is None or project.order.media == "image" or role == "preview" else "media"


def _download_url(state: State, family: Family, request: web.Request, account: Account) -> web.Response:
    project_id, role = _parameter(request, "jobId").upper(), _parameter(request, "type")
    role = _parameter(request, "artifact") or role
    item = _parameter(request, _ITEM_PARAMETER[family]).upper()
    project = state.projects.find(project_id)
    key = Key(project_id, item if role in _RESULTS else "", role)
    stored = state.store.find(key)
    if stored is None or (project is not None and project.account is not account):
        return error(404, "File not found", NOT_FOUND)
    rightful = _family(project, role)
    if rightful != family:
        return error(404, f"This file is served by /v1/{rightful}/downloadUrl", NOT_FOUND)
    wanted = _parameter(request, "contentType") or ("image/png" if family == "image" else "")
    if role == "complete" and wanted not in ("", stored.content_type):
        state.journal.violation(
            f"GET /v1/{family}/downloadUrl contentType",
            f"asks for {wanted}, the file is {stored.content_type}",
        )
    return success({"downloadUrl": state.download_url(key)})
