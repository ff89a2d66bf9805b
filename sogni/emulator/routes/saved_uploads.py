"""Routes of saved uploads, and of the storage of their content."""
# Protocol notes: additions-5x §8, projects-5x §6.1.

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from sogni.emulator.account.accounts import Account
from sogni.emulator.fields import Fields
from sogni.emulator.projects.request_checks import check_project_id
from sogni.emulator.projects.saved_uploads import RejectedContentError, Saved
from sogni.emulator.projects.storage import Key
from sogni.emulator.responses import RefusedError, storage_error, success
from sogni.emulator.routes.workflows import account_route, json_object
from sogni.emulator.state import State

IMAGE_ROLE = re.compile(
    r"startingImage|cnImage|contextImage([1-9]|1[0-6])|referenceImage(End)?|referenceMask|keyframeImage[1-8]"
)
_MEDIA_ROLES = {"referenceAudio": ("audio/", "video/mp4"), "referenceVideo": ("video/",)}


def add_saved_upload_routes(app: web.Application, state: State) -> None:
    library = state.saved_uploads

    async def capabilities(_: web.Request, account: Account) -> web.Response:
        return success({"enabled": library.limits is not None})

    async def listed(_: web.Request, account: Account) -> web.Response:
        return success(library.wire(account))

    async def prepare(request: web.Request, account: Account) -> web.Response:
        saved = library.prepare(account, await json_object(request))
        return success({**saved.wire(), **({} if saved.ready else _transfer(state, saved))})

    async def finalize(request: web.Request, account: Account) -> web.Response:
        return success(library.finalize(account, request.match_info["id"], await json_object(request)).wire())

    async def bind(request: web.Request, account: Account) -> web.Response:
        return await _bind(state, request, account)

    async def remove(request: web.Request, account: Account) -> web.Response:
        library.remove(account, request.match_info["id"])
        return success({})

    app.router.add_get("/v1/assets/capabilities", account_route(state, capabilities))
    app.router.add_get("/v1/assets", account_route(state, listed))
    app.router.add_post("/v1/assets/prepare", account_route(state, prepare))
    app.router.add_post("/v1/assets/{id}/finalize", account_route(state, finalize))
    app.router.add_post("/v1/assets/{id}/bind", account_route(state, bind))
    app.router.add_delete("/v1/assets/{id}", account_route(state, remove))


def _transfer(state: State, saved: Saved) -> dict[str, Any]:
    url = state.upload_url(saved.key, saved.content_type)
    return {"uploadUrl": url, "uploadHeaders": saved.upload_headers}


async def _bind(state: State, request: web.Request, account: Account) -> web.Response:
    asset_id = request.match_info["id"]
    project_id, role, slot = _binding(await json_object(request))
    owner = state.projects.find(project_id)
    if owner is not None and owner.account is not account:
        raise RefusedError(400, "projectId is in use")
    saved = state.saved_uploads.find(account, asset_id)
    allowed = ("image/",) if IMAGE_ROLE.fullmatch(role) else _MEDIA_ROLES[role]
    if not saved.content_type.startswith(allowed):
        raise RefusedError(400, f"{role} cannot be a file of type {saved.content_type}")
    await state.saved_uploads.bind(account, asset_id, Key(project_id, "", slot))
    return success({"projectId": project_id, "type": role})


def _binding(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return project, role and slot of a binding; the slot is the role with its number, if it has one."""
    given = Fields(body, "$", [])
    project_id, role, slot = (
        given.text("projectId", required=True),
        given.text("type", required=True),
        given.text("id"),
    )
    wrong = None if project_id is None else check_project_id(project_id)
    if wrong is not None:
        given.refuse("projectId", wrong)
    if role is not None and not IMAGE_ROLE.fullmatch(role) and role not in _MEDIA_ROLES:
        given.refuse("type", f"is not an upload of a project, got {role!r}")
    if slot is not None and (role not in _MEDIA_ROLES or not re.fullmatch(rf"{role}([1-9]|10)", slot)):
        given.refuse("id", f"must be the type with a number from 1 to 10, got {slot!r}")
    given.leftover()
    if given.findings or project_id is None or role is None:
        raise RefusedError(400, str(given.findings[0]))
    return project_id, role, slot or role


async def store_saved(state: State, key: Key, path: Path, request: web.Request) -> web.Response:
    """Pass received content to the saved uploads."""
    try:
        await state.saved_uploads.receive(key.item_id, path, request.headers)
    except RejectedContentError as rejected:
        path.unlink(missing_ok=True)
        if rejected.status != 412:
            state.recorder.violation(f"PUT {request.path}", str(rejected))
        return storage_error(rejected.status, rejected.code, str(rejected))
    return web.Response()
