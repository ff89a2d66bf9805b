"""Routes of projects: records, signed URLs and storage on the REST host; catalogue, recovery and estimates on the
socket host.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from aiohttp import hdrs, web
from attrs import define, field

from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.catalogue.models import Media, Model
from sogni.emulator.catalogue.video_families import family_of
from sogni.emulator.middleware import REQUEST_CONTEXT, authorized, send_half
from sogni.emulator.projects.estimates import Work
from sogni.emulator.projects.projects import Project, finished_record, live_record, recent_jobs
from sogni.emulator.projects.request_checks import check_project_id
from sogni.emulator.projects.saved_uploads import SAVED
from sogni.emulator.projects.storage import MISMATCH, SIGNATURE, AccessDeniedError, Key
from sogni.emulator.responses import NOT_FOUND, error, storage_error, success, text_error
from sogni.emulator.routes.account_requests import UNSET
from sogni.emulator.routes.saved_uploads import IMAGE_ROLE, store_saved
from sogni.emulator.socket import sync_record
from sogni.emulator.state import State

Family = Literal["image", "media"]

_RESULTS = ("complete", "preview", "lastFrame")
_UPLOADS: dict[Family, re.Pattern[str]] = {
    "image": IMAGE_ROLE,
    "media": re.compile(r"reference(Audio|Video)([1-9]|10)?"),
}
_ITEM_PARAMETER: dict[Family, str] = {"image": "imageId", "media": "id"}


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

    async def recent(request: web.Request, account: Account) -> web.Response:
        return _recent(state, request, account)

    app.router.add_get("/v1/projects/{id}", authorized(state, "rest", finished))
    app.router.add_get("/v2/projects/{id}", authorized(state, "rest", live))
    app.router.add_get("/v1/jobs/list", authorized(state, "rest", recent))
    families: tuple[Family, ...] = ("image", "media")
    for family in families:
        _add_url_routes(app, state, family)


_RECENT_DEFAULT, _RECENT_LIMIT = 50, 100
_RECENT_SPAN = 7 * 24 * 3600.0
_RECENT_FIXED = {"role": "artist", "state": "completed", "mediaOnly": "true"}


def _recent(state: State, request: web.Request, account: Account) -> web.Response:
    """List completed jobs. Numbers out of range are clamped; a query of another form is refused."""
    # Protocol notes: additions-5x §5.
    query = request.query
    problem = _recent_problem(query, account)
    if problem is not None:
        state.recorder.violation("GET /v1/jobs/list", problem)
        return error(400, problem)
    jobs = recent_jobs(
        state.projects.of(account),
        since=max(int(query["since"]) / 1000, state.clock() - _RECENT_SPAN),
        limit=max(1, min(int(query.get("limit", _RECENT_DEFAULT)), _RECENT_LIMIT)),
        app_source=query.get("appSource"),
    )
    return success({"jobs": jobs})


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


def _add_url_routes(app: web.Application, state: State, family: Family) -> None:
    async def upload_url(request: web.Request, account: Account) -> web.Response:
        return _upload_url(state, family, request, account)

    async def download_url(request: web.Request, account: Account) -> web.Response:
        return _download_url(state, family, request, account)

    app.router.add_get(f"/v1/{family}/uploadUrl", authorized(state, "rest", upload_url))
    app.router.add_get(f"/v1/{family}/downloadUrl", authorized(state, "rest", download_url))


def _parameter(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    return "" if value in UNSET else value


def _upload_url(state: State, family: Family, request: web.Request, account: Account) -> web.Response:
    project_id, role = _parameter(request, "jobId"), _parameter(request, "type")
    if family == "media":
        # Numbered references may have their slot in ``id`` (projects-5x §6).
        role = _parameter(request, "id") or role
    problem = None
    if not project_id:
        problem = "jobId is missing"
    elif not _UPLOADS[family].fullmatch(role):
        problem = f"type {role!r} is not an upload of /v1/{family}/uploadUrl"
    elif family == "image" and not _parameter(request, "imageId"):
        problem = "imageId is missing"
    owner = state.projects.find(project_id)
    if problem is None and owner is not None and owner.account is not account:
        problem = "jobId is in use"
    if problem is not None:
        state.recorder.violation(f"GET /v1/{family}/uploadUrl", problem)
        return error(400, problem)
    wrong_id = check_project_id(project_id)
    if wrong_id:
        state.recorder.violation(f"GET /v1/{family}/uploadUrl jobId", wrong_id)
    url = state.upload_url(Key(project_id.upper(), "", role), _parameter(request, "contentType") or None)
    return success({"uploadUrl": url})


def _family(project: Project | None, role: str) -> Family:
    """Return the family of routes that serves a file.

    Uploads can be read before their project exists: this is how media are passed to durable workflows.
    """
    # Protocol notes: workflows §4.
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
    requested = _parameter(request, "contentType") or ("image/png" if family == "image" else "")
    if role == "complete" and requested not in ("", stored.content_type):
        state.recorder.violation(
            f"GET /v1/{family}/downloadUrl contentType",
            f"asks for {requested}, the file is {stored.content_type}",
        )
    return success({"downloadUrl": state.download_url(key)})


# Storage: uploads and downloads are streamed. No account is required, because the signature in the URL is the
# permission.


_CHUNK = 256 * 1024
UPLOAD_LIMIT = 5 * 1024**3
"""Size limit in bytes of an object that is put in one request."""
_DEFAULT_TYPE = "binary/octet-stream"


def add_storage_routes(app: web.Application, state: State) -> None:
    async def write(request: web.Request) -> web.StreamResponse:
        try:
            key = _granted(state, request)
        except AccessDeniedError as denied:
            return storage_error(403, denied.code, str(denied))
        return await _store(state, key, request)

    async def read(request: web.Request) -> web.StreamResponse:
        try:
            key = _granted(state, request)
        except AccessDeniedError as denied:
            return storage_error(403, denied.code, str(denied))
        return await _serve(state, key, request)

    app.router.add_put("/storage/{key:.+}", write)
    app.router.add_get("/storage/{key:.+}", read, allow_head=False)


def _granted(state: State, request: web.Request) -> Key:
    given = request.headers.get(hdrs.CONTENT_TYPE)
    key = state.signer.check(request.method, request.query.get(SIGNATURE, ""), given)
    named = [part for part in (key.project_id, key.item_id, key.role) if part]
    if request.match_info["key"].split("/") != named:
        raise AccessDeniedError("SignatureDoesNotMatch", MISMATCH)
    return key


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
    size, loop = 0, asyncio.get_running_loop()
    with path.open("wb") as file:
        async for chunk in request.content.iter_chunked(_CHUNK):
            await loop.run_in_executor(state.store.executor, file.write, chunk)
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


_SYNC_LIMIT = 20
_SYNC_SPAN = 10.0


def add_socket_host_routes(app: web.Application, state: State) -> None:
    _add_catalogue_routes(app, state)
    _add_recovery_routes(app, state)


def _add_catalogue_routes(app: web.Application, state: State) -> None:
    catalogue = state.catalogue

    async def models(_: web.Request, account: Account) -> web.Response:
        return web.json_response(catalogue.model_list())

    async def tiers(_: web.Request, account: Account) -> web.Response:
        return web.json_response(dict(catalogue.tiers))

    async def presets(request: web.Request, account: Account) -> web.Response:
        model = catalogue.models.get(request.match_info["model"])
        if model is None or request.match_info["network"] not in ("fast", "relaxed"):
            return text_error(404, "Model not found")
        return web.json_response(catalogue.size_presets(model))

    async def status(request: web.Request, account: Account) -> web.Response:
        network = request.match_info["network"]
        if network not in ("fast", "relaxed"):
            return text_error(404, "Network not found")
        return web.json_response(catalogue.network_status(network))

    app.router.add_get("/api/v1/models/list", authorized(state, "socket", models))
    app.router.add_get("/api/v2/models/tiers", authorized(state, "socket", tiers))
    path = "/api/v1/size-presets/network/{network}/model/{model}"
    app.router.add_get(path, authorized(state, "socket", presets))
    app.router.add_get("/api/v1/status/network/{network}/models", authorized(state, "socket", status))


@define
class _Limiter:
    """Allows 20 snapshots per account in any 10 seconds."""

    # Protocol notes: transport §17.

    state: State
    _calls: dict[int, deque[float]] = field(factory=dict)

    def clear(self) -> None:
        self._calls.clear()

    def wait(self, account: Account) -> int:
        """Return the seconds to wait, or 0 after counting the call."""
        now, calls = self.state.clock(), self._calls.setdefault(account.sid, deque())
        while calls and calls[0] <= now - _SYNC_SPAN:
            calls.popleft()
        if len(calls) >= _SYNC_LIMIT:
            return max(1, round(calls[0] + _SYNC_SPAN - now))
        calls.append(now)
        return 0


def _add_recovery_routes(app: web.Application, state: State) -> None:
    limiter = _Limiter(state)
    state.on_reset(limiter.clear)

    async def sync(request: web.Request, account: Account) -> web.Response:
        seconds = limiter.wait(account)
        if seconds:
            return text_error(429, "Too many snapshot requests", headers={"Retry-After": str(seconds)})
        return web.json_response(sync_record(state, account, request.query.get("appId")))

    async def active(_: web.Request, account: Account) -> web.Response:
        return web.json_response({"projects": [{"id": project.id} for project in state.projects.active(account)]})

    app.router.add_get("/api/v1/artist/projects/sync", authorized(state, "socket", sync))
    app.router.add_get("/api/v1/artist/projects/active", authorized(state, "socket", active))


# Estimates, on the socket host (projects-4.2 §16, projects-5x §16)


_Read = Callable[[State, Sequence[str], web.Request], Work]


class _UnusableError(ValueError):
    """A malformed estimate path."""


def add_estimate_routes(app: web.Application, state: State) -> None:
    for path, read in (
        ("/api/v2/job/estimate", _image),
        ("/api/v3/job/estimate", _image),
        ("/api/v1/job-video/estimate", _video),
        ("/api/v1/job-audio/estimate", _audio),
    ):
        _add(app, state, path, read)


def _add(app: web.Application, state: State, path: str, read: _Read) -> None:
    async def estimate(request: web.Request, account: Account) -> web.Response:
        try:
            segments = request.match_info["tail"].split("/")
            token, work = _token(segments[0]), read(state, segments, request)
        except _UnusableError as problem:
            state.recorder.violation(f"GET {request.path}", str(problem))
            return text_error(400, str(problem))
        return web.json_response(work.estimate(state.catalogue, token, state.clock, state.start_seconds()))

    app.router.add_get(f"{path}/{{tail:.*}}", authorized(state, "socket", estimate))


def _image(state: State, segments: Sequence[str], request: web.Request) -> Work:
    """Read an image estimate: ten path segments in v2, three more in v3."""
    if len(segments) not in (10, 13):
        raise _UnusableError(f"the path of an estimate must have 10 or 13 segments, got {len(segments)}")
    network, model_id = segments[1:3]
    model = state.catalogue.models.get(model_id)
    if model is None:
        raise _UnusableError(f"unknown model: {model_id}")
    if network not in ("fast", "relaxed"):
        raise _UnusableError(f"unknown network: {network}")
    count, steps, previews, control, denoise, width, height = (_number(text) for text in segments[3:10])
    # The sampler's segment is "_" or empty if there is none.
    context = _number(segments[12]) if len(segments) == 13 else 0.0
    return Work(
        model=model,
        count=max(1, int(count)),
        steps=int(steps) or int(state.catalogue.default(model, "steps")),
        previews=int(previews),
        control_net=bool(control),
        denoise=denoise,
        width=int(width),
        height=int(height),
        context_images=int(context),
        network=network,
        quality=request.query.get("gptImageQuality"),
    )


def _video(state: State, segments: Sequence[str], request: web.Request) -> Work:
    """Read a video estimate: six path segments, or eight with steps and number of results."""
    if len(segments) not in (6, 8):
        raise _UnusableError(f"the path of a video estimate must have 6 or 8 segments, got {len(segments)}")
    model = _served(state, segments[1], "video")
    width, height, frames, fps, *more = (_number(text) for text in segments[2:])
    steps, count = more or (0, 1)
    default = state.catalogue.default
    return Work(
        model=model,
        count=max(1, int(count)),
        steps=int(steps) or int(default(model, "steps")),
        width=int(width or default(model, "width")),
        height=int(height or default(model, "height")),
        frames=int(frames) or family_of(model.id).default_frames,
        fps=fps or default(model, "fps"),
        has_video_input=request.query.get("hasVideoInput") == "1",
    )


def _audio(state: State, segments: Sequence[str], _: web.Request) -> Work:
    """Read a music estimate: five path segments."""
    if len(segments) != 5:
        raise _UnusableError(f"the path of an audio estimate must have 5 segments, got {len(segments)}")
    model, default = _served(state, segments[1], "audio"), state.catalogue.default
    duration, steps, count = (_number(text) for text in segments[2:])
    return Work(
        model=model,
        count=max(1, int(count)),
        steps=int(steps) or int(default(model, "steps")),
        duration=duration or default(model, "duration"),
    )


def _served(state: State, model_id: str, media: Media) -> Model:
    model = state.catalogue.models.get(model_id)
    if model is None or model.media != media:
        raise _UnusableError(f"unknown {media} model: {model_id}")
    if not state.catalogue.worker_count(model):
        raise _UnusableError(f"no worker serves {model_id}")
    return model


def _token(text: str) -> Token:
    if text not in ("spark", "sogni"):
        raise _UnusableError(f"unknown token type: {text}")
    return cast(Token, text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _UnusableError(f"not a number: {text!r}") from None
    if not 0 <= value < 1e9:
        raise _UnusableError(f"out of range: {text}")
    return value
