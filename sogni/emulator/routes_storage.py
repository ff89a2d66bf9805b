"""The storage behind signed URLs: uploads are streamed to disk, files are streamed from it.

Installed by the server on the REST host. No account is asked for: the signature in the URL is the permission.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import hdrs, web

from .gate import PASSAGE, send_half
from .replies import storage_error
from .signing import MISMATCH, SIGNATURE, RefusedError
from .state import State
from .store import Key

_CHUNK = 256 * 1024
UPLOAD_LIMIT = 5 * 1024**3
"""The largest object that can be put in one request, in bytes."""
_DEFAULT_TYPE = "binary/octet-stream"


def add_storage_routes(app: web.Application, state: State) -> None:
    async def write(request: web.Request) -> web.StreamResponse:
        try:
            key = _granted(state, request)
        except RefusedError as refused:
            return storage_error(403, refused.code, str(refused))
        return await _store(state, key, request)

    async def read(request: web.Request) -> web.StreamResponse:
        try:
            key = _granted(state, request)
        except RefusedError as refused:
            return storage_error(403, refused.code, str(refused))
        return await _serve(state, key, request)

    app.router.add_put("/storage/{key:.+}", write)
    app.router.add_get("/storage/{key:.+}", read, allow_head=False)


def _granted(state: State, request: web.Request) -> Key:
    given = request.headers.get(hdrs.CONTENT_TYPE)
    key = state.signer.check(request.method, request.query.get(SIGNATURE, ""), given)
    named = [part for part in (key.project_id, key.item_id, key.role) if part]
    if request.match_info["key"].split("/") != named:
        raise RefusedError("SignatureDoesNotMatch", MISMATCH)
    return key


async def _store(state: State, key: Key, request: web.Request) -> web.Response:
    if "api-key" in request.headers or "Authorization" in request.headers:
        state.journal.violation(f"PUT {request.path}", "signed URLs are used without credentials (projects-4.2 §1)")
    if (request.content_length or 0) > UPLOAD_LIMIT:
        return storage_error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    path = state.store.new_path()
    try:
        PASSAGE.get().record.body_size = await _receive(state, path, request)
    except BaseException:
        # A client that went away leaves no half file.
        path.unlink(missing_ok=True)
        raise
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
    if PASSAGE.get().truncate:
        size = path.stat().st_size
        with path.open("rb") as file:
            return await send_half(request, file.read(size // 2), size, 200, content_type)
    return web.FileResponse(path, chunk_size=_CHUNK, headers={hdrs.CONTENT_TYPE: content_type})
