"""Routes of projects: records, signed URLs, storage, saved uploads and LoRAs on the REST host; catalogue, recovery and
estimates on the socket host.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from aiohttp import hdrs, web

from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.catalogue.loras import catalogue
from sogni.emulator.catalogue.models import Media, family_of
from sogni.emulator.middleware import REQUEST_CONTEXT, send_half
from sogni.emulator.projects.orders import Work
from sogni.emulator.projects.personal_loras import require_plan, source_of
from sogni.emulator.projects.projects import Project, finished_record, live_record, recent_jobs
from sogni.emulator.projects.request_checks import check_project_id
from sogni.emulator.projects.saved_uploads import SAVED, RejectedContentError
from sogni.emulator.projects.storage import AccessDeniedError, Key
from sogni.emulator.responses import NOT_FOUND, RefusedError, storage_error
from sogni.emulator.routes.router import Body, Call, Routes
from sogni.emulator.socket import sync_record
from sogni.emulator.state import State

IMAGE_ROLE = re.compile(
    r"startingImage|cnImage|contextImage([1-9]|1[0-6])|referenceImage(End)?|referenceMask|keyframeImage[1-8]"
)
ROUTES, SOCKET_HOST_ROUTES = Routes(), Routes("socket")
_MEDIA_ROLES = {"referenceAudio": ("audio/", "video/mp4"), "referenceVideo": ("video/",)}


# Saved uploads, and the storage of their content (additions-5x §8, projects-5x §6.1)


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


Family = Literal["image", "media"]

_RESULTS = ("complete", "preview", "lastFrame")
_UPLOADS: dict[Family, re.Pattern[str]] = {
    "image": IMAGE_ROLE,
    "media": re.compile(r"reference(Audio|Video)([1-9]|10)?"),
}


def _found(call: Call) -> Project:
    project = call.state.projects.find(call.path("id"), call.account)
    if project is None:
        raise RefusedError(404, "Project not found", NOT_FOUND)
    return project


@ROUTES("GET", "/v1/projects/{id}")
def _finished(call: Call) -> object:
    project = _found(call)
    if not project.finished:
        raise RefusedError(404, "Project not found", NOT_FOUND)
    return {"project": finished_record(project)}


@ROUTES("GET", "/v2/projects/{id}")
def _live(call: Call) -> object:
    return {"project": live_record(_found(call))}


_RECENT_DEFAULT, _RECENT_LIMIT = 50, 100
_RECENT_SPAN = 7 * 24 * 3600.0
_RECENT_FIXED = {"role": "artist", "state": "completed", "mediaOnly": "true"}


@ROUTES("GET", "/v1/jobs/list")
def _recent(call: Call) -> object:
    """List completed jobs. Numbers out of range are clamped; a query of another form is refused."""
    # Protocol notes: additions-5x §5.
    query = call.request.query
    problem = _recent_problem(query, call.account)
    if problem is not None:
        call.violation("", problem)
        raise RefusedError(400, problem)
    jobs = recent_jobs(
        call.state.projects.of(call.account),
        since=max(int(query["since"]) / 1000, call.state.clock() - _RECENT_SPAN),
        limit=max(1, min(int(query.get("limit", _RECENT_DEFAULT)), _RECENT_LIMIT)),
        app_source=query.get("appSource"),
    )
    return {"jobs": jobs}


def _recent_problem(query: Mapping[str, str], account: Account) -> str | None:
    for name, value in _RECENT_FIXED.items():
        if query.get(name) != value:
            return f"{name} must be {value!r}, got {query.get(name)!r}"
    if query.get("address", "").lower() != account.wallet_address.lower():
        return "address must be the wallet address of the account"
    for name, value in (("since", query.get("since", "")), ("limit", query.get("limit", "1"))):
        if not re.fullmatch(r"[0-9]{1,16}", value):
            return f"{name} must be an integer, got {value!r}"
    unknown = sorted({*query} - {*_RECENT_FIXED, "address", "since", "limit", "appSource"})
    return f"{unknown[0]} is not a query value of this route" if unknown else None


def _family_of(call: Call) -> Family:
    return "image" if call.request.path.startswith("/v1/image/") else "media"


@ROUTES("GET", "/v1/image/uploadUrl")
@ROUTES("GET", "/v1/media/uploadUrl")
def _upload_url(call: Call) -> object:
    family, project_id, role = _family_of(call), call.query("jobId"), call.query("type")
    if family == "media":
        # Numbered references may have their slot in ``id`` (projects-5x §6).
        role = call.query("id") or role
    problem = None
    owner = call.state.projects.find(project_id)
    if not project_id:
        problem = "jobId is missing"
    elif not _UPLOADS[family].fullmatch(role):
        problem = f"type {role!r} is not an upload of /v1/{family}/uploadUrl"
    elif family == "image" and not call.query("imageId"):
        problem = "imageId is missing"
    elif owner is not None and owner.account is not call.account:
        problem = "jobId is in use"
    if problem is not None:
        call.violation("", problem)
        raise RefusedError(400, problem)
    wrong_id = check_project_id(project_id)
    if wrong_id:
        call.violation("jobId", wrong_id)
    key = Key(project_id.upper(), "", role)
    return {"uploadUrl": call.state.upload_url(key, call.query("contentType") or None)}


def _rightful(project: Project | None, role: str) -> Family:
    """Return the family of routes that serves a file.

    Uploads can be read before their project exists: this is how media are passed to durable workflows.
    """
    # Protocol notes: workflows §4.
    if role not in _RESULTS:
        return "media" if _UPLOADS["media"].fullmatch(role) else "image"
    return "image" if project is None or project.order.media == "image" or role == "preview" else "media"


@ROUTES("GET", "/v1/image/downloadUrl")
@ROUTES("GET", "/v1/media/downloadUrl")
def _download_url(call: Call) -> object:
    family, role = _family_of(call), call.query("artifact") or call.query("type")
    project_id, item = call.query("jobId").upper(), call.query("imageId" if family == "image" else "id").upper()
    project = call.state.projects.find(project_id)
    key = Key(project_id, item if role in _RESULTS else "", role)
    stored = call.state.store.find(key)
    if stored is None or (project is not None and project.account is not call.account):
        raise RefusedError(404, "File not found", NOT_FOUND)
    rightful = _rightful(project, role)
    if rightful != family:
        raise RefusedError(404, f"This file is served by /v1/{rightful}/downloadUrl", NOT_FOUND)
    requested = call.query("contentType") or ("image/png" if family == "image" else "")
    if role == "complete" and requested not in ("", stored.content_type):
        call.violation("contentType", f"requests {requested}, the file is {stored.content_type}")
    return {"downloadUrl": call.state.download_url(key)}


# Storage: uploads and downloads are streamed. No account is required, because the signature in the URL is the
# permission.


_CHUNK = 256 * 1024
UPLOAD_LIMIT = 5 * 1024**3
"""Size limit in bytes of an object that is put in one request."""
_DEFAULT_TYPE = "binary/octet-stream"


@ROUTES("PUT", "/storage/{key:.+}", access="public")
@ROUTES("GET", "/storage/{key:.+}", access="public")
async def _storage(call: Call) -> web.StreamResponse:
    key = Key.of(call.path("key"))
    try:
        given = call.request.headers.get(hdrs.CONTENT_TYPE)
        call.state.signer.check(call.request.method, key, call.request.query, given)
    except AccessDeniedError as denied:
        return storage_error(403, denied.code, str(denied))
    return await (_store if call.request.method == "PUT" else _serve)(call.state, key, call.request)


async def _store(state: State, key: Key, request: web.Request) -> web.Response:
    if "api-key" in request.headers or "Authorization" in request.headers:
        state.recorder.violation(f"PUT {request.path}", "signed URLs must be used without credentials")
    if (request.content_length or 0) > UPLOAD_LIMIT:
        return storage_error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    path = state.store.new_path()
    try:
        REQUEST_CONTEXT.get().record.body_size = await _receive(state, path, request)
    except BaseException:
        # A client that disconnects leaves no partial file.
        path.unlink(missing_ok=True)
        raise
    if key.project_id == SAVED:
        return await store_saved(state, key, path, request)
    state.store.put(key, path, request.headers.get(hdrs.CONTENT_TYPE))
    return web.Response(headers={hdrs.ETAG: f'"{path.name}"'})


async def _receive(state: State, path: Path, request: web.Request) -> int:
    """Write the body of a request to a file and return its size."""
    size = 0
    with path.open("wb") as file:
        async for chunk in request.content.iter_chunked(_CHUNK):
            await state.store.run(file.write, chunk)
            size += len(chunk)
    return size


async def _serve(state: State, key: Key, request: web.Request) -> web.StreamResponse:
    stored = state.store.find(key)
    if stored is None:
        return storage_error(404, "NoSuchKey", "The specified key does not exist.")
    path = await state.store.ready(stored)
    content_type = stored.content_type or _DEFAULT_TYPE
    if REQUEST_CONTEXT.get().truncate:
        size = path.stat().st_size
        with path.open("rb") as file:
            return await send_half(request, file.read(size // 2), size, 200, content_type)
    return web.FileResponse(path, chunk_size=_CHUNK, headers={hdrs.CONTENT_TYPE: content_type})


# Catalogue and recovery, on the socket host (transport §2, §13.1; projects-4.2 §17): bare JSON, errors as plain text


@SOCKET_HOST_ROUTES("GET", "/api/v1/models/list")
def _models(call: Call) -> object:
    return call.state.catalogue.model_list()


@SOCKET_HOST_ROUTES("GET", "/api/v2/models/tiers")
def _tiers(call: Call) -> object:
    return call.state.catalogue.tiers


@SOCKET_HOST_ROUTES("GET", "/api/v1/size-presets/network/{network}/model/{model}")
def _presets(call: Call) -> object:
    model = call.state.catalogue.models.get(call.path("model"))
    if model is None or call.path("network") not in ("fast", "relaxed"):
        raise RefusedError(404, "Model not found")
    return call.state.catalogue.size_presets(model)


@SOCKET_HOST_ROUTES("GET", "/api/v1/status/network/{network}/models")
def _status(call: Call) -> object:
    if call.path("network") not in ("fast", "relaxed"):
        raise RefusedError(404, "Network not found")
    return call.state.catalogue.network_status(call.path("network"))


_SYNC_LIMIT, _SYNC_SPAN = 20, 10.0
"""Snapshots per account, and the seconds in which they are counted."""
# Protocol notes: transport §17.


@SOCKET_HOST_ROUTES("GET", "/api/v1/artist/projects/sync")
def _sync(call: Call) -> object:
    now, calls = call.state.clock(), call.state.sync_calls.setdefault(call.account.sid, deque())
    while calls and calls[0] <= now - _SYNC_SPAN:
        calls.popleft()
    if len(calls) >= _SYNC_LIMIT:
        wait = max(1, round(calls[0] + _SYNC_SPAN - now))
        raise RefusedError(429, "Too many snapshot requests", retry_after=wait)
    calls.append(now)
    return sync_record(call.state, call.account, call.request.query.get("appId"))


@SOCKET_HOST_ROUTES("GET", "/api/v1/artist/projects/active")
def _active(call: Call) -> object:
    return {"projects": [{"id": project.id} for project in call.state.projects.active(call.account)]}


# Estimates, on the socket host (projects-4.2 §16, projects-5x §16)


@SOCKET_HOST_ROUTES("GET", "/api/v2/job/estimate/{tail:.*}")
@SOCKET_HOST_ROUTES("GET", "/api/v3/job/estimate/{tail:.*}")
@SOCKET_HOST_ROUTES("GET", "/api/v1/job-video/estimate/{tail:.*}")
@SOCKET_HOST_ROUTES("GET", "/api/v1/job-audio/estimate/{tail:.*}")
def _estimate(call: Call) -> object:
    try:
        token, work = _work(call, call.request.path.split("/")[3], call.path("tail").split("/"))
    except ValueError as problem:
        call.violation("", str(problem))
        raise RefusedError(400, str(problem)) from None
    return work.estimate(call.state.catalogue, token, call.state.clock, call.state.start_seconds())


# The sampler's segment is "_" or empty if there is none.
_IMAGE = ("token", "network", "model", "count", "steps", "previews", "control_net", "denoise", "width", "height")
_SEGMENTS: Mapping[str, tuple[Media, Sequence[str], Sequence[int]]] = {
    "job": ("image", (*_IMAGE, "guidance", "sampler", "context_images"), (10, 13)),
    "job-video": ("video", ("token", "model", "width", "height", "frames", "fps", "steps", "count"), (6, 8)),
    "job-audio": ("audio", ("token", "model", "duration", "steps", "count"), (5,)),
}
"""The segments of the paths, and how many of them there may be."""


def _work(call: Call, family: str, segments: Sequence[str]) -> tuple[Token, Work]:
    """Read the path of an estimate, or raise ``ValueError``. 0 stands for the default of the model."""
    media, names, lengths = _SEGMENTS[family]
    if len(segments) not in lengths:
        allowed = " or ".join(map(str, lengths))
        raise ValueError(f"the path of an estimate must have {allowed} segments, got {len(segments)}")
    given = dict(zip(names, segments, strict=False))
    catalogue, network = call.state.catalogue, given.get("network", "fast")
    model = catalogue.models.get(given["model"])
    if model is None or media not in ("image", model.media):
        raise ValueError(f"unknown {media} model: {given['model']}")
    if media != "image" and not catalogue.worker_count(model):
        raise ValueError(f"no worker serves {model.id}")
    if given["token"] not in ("spark", "sogni"):
        raise ValueError(f"unknown token type: {given['token']}")
    if network not in ("fast", "relaxed"):
        raise ValueError(f"unknown network: {network}")
    words = ("token", "network", "model", "guidance", "sampler")
    numbers = {name: _number(text) for name, text in given.items() if name not in words}

    def number(name: str) -> float:
        return numbers.get(name) or (catalogue.default(model, name) if media != "image" or name == "steps" else 0.0)

    return cast(Token, given["token"]), Work(
        model=model,
        network=network,
        count=max(1, int(numbers.get("count", 1))),
        steps=int(number("steps")),
        previews=int(numbers.get("previews", 0)),
        control_net=bool(numbers.get("control_net")),
        denoise=numbers.get("denoise", 0.0),
        width=int(number("width")),
        height=int(number("height")),
        context_images=int(numbers.get("context_images", 0)),
        quality=call.request.query.get("gptImageQuality"),
        frames=int(numbers.get("frames", 0)) or (family_of(model.id).default_frames if media == "video" else 0),
        fps=number("fps"),
        duration=number("duration"),
        has_video_input=call.request.query.get("hasVideoInput") == "1",
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"not a number: {text!r}") from None
    if not 0 <= value < 1e9:
        raise ValueError(f"out of range: {text}")
    return value


# LoRAs (projects-5x §17, additions-5x §1, §2)


@ROUTES("GET", "/v1/loras/comfy", access="public", query=("modelId",), refuses=True)
def _public_lora(call: Call) -> object:
    return catalogue(call.request.query.get("modelId"))


@ROUTES("GET", "/v1/loras/personal", query=(), refuses=True)
def _list_loras(call: Call) -> object:
    return call.state.personal_loras.listing(call.account)


# The order matters: ``catalog`` would otherwise be taken for an ID.
@ROUTES("GET", "/v1/loras/personal/catalog", query=(), refuses=True)
def _usable_loras(call: Call) -> object:
    require_plan(call.account)
    return {"loras": [dict(lora.record) for lora in call.state.personal_loras.usable(call.account).values()]}


@ROUTES("GET", "/v1/loras/personal/{id}", query=(), refuses=True)
def _get_lora(call: Call) -> object:
    return call.state.personal_loras.find(call.account, call.path("id")).record()


@ROUTES("DELETE", "/v1/loras/personal/{id}", query=(), refuses=True)
def _remove_lora(call: Call) -> object:
    call.state.personal_loras.remove(call.account, call.path("id"))
    return None


@ROUTES("POST", "/v1/loras/personal", query=(), refuses=True)
def _add_lora(call: Call) -> object:
    body = call.body
    url, name, model_id = (body.text(key, required=True) or "" for key in ("url", "name", "modelId"))
    if body.flag("rightsConfirmed", required=True) is False:
        body.refuse("rightsConfirmed", "must be true")
    if source_of(url) is None:
        body.refuse("url", "must be a link to Hugging Face or Civitai")
    if not name.strip():
        body.refuse("name", "must not be empty")
    if model_id not in catalogue(None)["models"]:
        body.refuse("modelId", "is not a model that takes LoRAs")
    body.check()
    return call.state.personal_loras.add(call.account, url, name, model_id).record()
