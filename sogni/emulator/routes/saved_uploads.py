"""Routes of saved uploads, and of the storage of their content."""
# Protocol notes: additions-5x §8, projects-5x §6.1.

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from sogni.emulator.projects.request_checks import check_project_id
from sogni.emulator.projects.saved_uploads import RejectedContentError
from sogni.emulator.projects.storage import Key
from sogni.emulator.responses import RefusedError, storage_error
from sogni.emulator.routes.router import Body, Call, Routes
from sogni.emulator.state import State

IMAGE_ROLE = re.compile(
    r"startingImage|cnImage|contextImage([1-9]|1[0-6])|referenceImage(End)?|referenceMask|keyframeImage[1-8]"
)
ROUTES = Routes()
_MEDIA_ROLES = {"referenceAudio": ("audio/", "video/mp4"), "referenceVideo": ("video/",)}


@ROUTES("GET", "/v1/assets/capabilities")
def _capabilities(call: Call) -> object:
    return {"enabled": call.state.saved_uploads.limits is not None}


@ROUTES("GET", "/v1/assets")
def _listed(call: Call) -> object:
    return call.state.saved_uploads.wire(call.account)


@ROUTES("POST", "/v1/assets/prepare", optional=True)
def _prepare(call: Call) -> object:
    saved = call.state.saved_uploads.prepare(call.account, call.body)
    if saved.ready:
        return saved.wire()
    url = call.state.upload_url(saved.key, saved.content_type)
    return {**saved.wire(), "uploadUrl": url, "uploadHeaders": saved.upload_headers}


@ROUTES("POST", "/v1/assets/{id}/finalize", optional=True)
def _finalize(call: Call) -> object:
    call.body.check(strict=True)
    return call.state.saved_uploads.finalize(call.account, call.path("id")).wire()


@ROUTES("POST", "/v1/assets/{id}/bind", optional=True)
async def _bind(call: Call) -> object:
    library = call.state.saved_uploads
    project_id, role, slot = _binding(call.body)
    owner = call.state.projects.find(project_id)
    if owner is not None and owner.account is not call.account:
        raise RefusedError(400, "projectId is in use")
    saved = library.find(call.account, call.path("id"))
    allowed = ("image/",) if IMAGE_ROLE.fullmatch(role) else _MEDIA_ROLES[role]
    if not saved.content_type.startswith(allowed):
        raise RefusedError(400, f"{role} cannot be a file of type {saved.content_type}")
    await library.bind(call.account, saved, Key(project_id, "", slot))
    return {"projectId": project_id, "type": role}


@ROUTES("DELETE", "/v1/assets/{id}")
def _remove(call: Call) -> object:
    call.state.saved_uploads.remove(call.account, call.path("id"))
    return {}


def _binding(body: Body) -> tuple[str, str, str]:
    """Return project, role and slot of a binding; the slot is the role with its number, if it has one."""
    project_id, role = body.text("projectId", required=True), body.text("type", required=True)
    slot = body.text("id")
    wrong = None if project_id is None else check_project_id(project_id)
    if wrong is not None:
        body.refuse("projectId", wrong)
    if role is not None and not IMAGE_ROLE.fullmatch(role) and role not in _MEDIA_ROLES:
        body.refuse("type", f"is not an upload of a project, got {role!r}")
    if slot is not None and (role not in _MEDIA_ROLES or not re.fullmatch(rf"{role}([1-9]|10)", slot)):
        body.refuse("id", f"must be the type with a number from 1 to 10, got {slot!r}")
    body.check(strict=True)
    return project_id or "", role or "", slot or role or ""


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
