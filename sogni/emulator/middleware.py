"""HTTP middleware of both hosts: records every request, and applies the faults of the fault plan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from attrs import define

from sogni.emulator.attribution import attribution_header_problems
from sogni.emulator.declarations import nearest
from sogni.emulator.faults import HttpFault
from sogni.emulator.recorder import RecordedRequest, body_without_secrets, query_without_secrets, without_secrets
from sogni.emulator.responses import error, text_error
from sogni.emulator.state import State

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Host = Literal["rest", "socket"]
_PEER_LEFT = 499


@define(eq=False)
class RequestContext:
    """Per-request data for the routes: the record, and whether to send only half of the response."""

    record: RecordedRequest
    truncate: bool = False


REQUEST_CONTEXT: ContextVar[RequestContext] = ContextVar("request_context")
"""The request being handled. aiohttp handles the requests of one connection sequentially in one context."""


def make_middleware(state: State, host: Host) -> Middleware:
    @web.middleware
    async def record_and_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            with suppress(ConnectionError):  # the client has disconnected
                return await handler(request)
            return web.Response(status=_PEER_LEFT)
        record = _record(state, host, request)
        try:
            await _read_body(state, request, record)
            response = await _answer(state, host, request, handler)
        except web.HTTPRequestEntityTooLarge:
            message = f"The body exceeds {request.client_max_size // 1024**2} MB"
            response = error(413, message) if host == "rest" else text_error(413, message)
        except web.RequestPayloadError:
            message = "The body is unreadable"
            response = error(400, message) if host == "rest" else text_error(400, message)
        except ConnectionError:
            if request.transport is not None and not request.transport.is_closing():
                raise
            # The client has disconnected: nobody receives this response.
            return web.Response(status=_PEER_LEFT)
        record.status = response.status
        state.recorder.notify()
        return response

    return record_and_answer


def _record(state: State, host: Host, request: web.Request) -> RecordedRequest:
    record = RecordedRequest(
        host=host,
        method=request.method,
        path=request.path,
        query=query_without_secrets(request.query.items()),
        headers=without_secrets(request.headers.items()),
    )
    for name, problem in attribution_header_problems(request.method, request.path, request.headers):
        state.recorder.violation(f"{request.method} {request.path} {name}", problem)
    REQUEST_CONTEXT.set(RequestContext(record))
    return record


async def _read_body(state: State, request: web.Request, record: RecordedRequest) -> None:
    """Record the body of a request, then the request itself."""
    try:
        # Uploads are streamed by their route; everything else is small.
        if request.path.startswith("/storage/"):
            return
        body = await request.read()
        if request.content_type == "application/json":
            record.body_size = len(body)
            record.body = body_without_secrets(json.loads(body)) if body else None
    except (ValueError, RecursionError):
        state.recorder.violation(f"{request.method} {request.path}", "the body is not JSON")
    finally:
        state.recorder.add(record)


async def _answer(state: State, host: Host, request: web.Request, handler: Handler) -> web.StreamResponse:
    fault = state.faults.take(HttpFault, request.method, request.path)
    if fault is None:
        return await _routed(state, host, request, handler)
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.hang:
        await asyncio.Event().wait()
    if fault.disconnect:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
    REQUEST_CONTEXT.get().truncate = fault.truncate
    ordinary = fault.status is None and fault.body is None
    response = await _routed(state, host, request, handler) if ordinary else _faulty(fault)
    if fault.truncate and isinstance(response, web.Response):
        return await _truncated(request, response)
    return response


def _faulty(fault: HttpFault) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    status = fault.status or 200
    if fault.payload is None:
        return error(status, fault.message, fault.error_code, headers=headers)
    return web.Response(status=status, body=fault.payload, headers={**headers, "Content-Type": fault.content_type})


async def _routed(state: State, host: Host, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        state.recorder.violation(f"{request.method} {request.path}", "there is no such route")
        message = f"No such route: {request.method} {request.path}; {_nearest_route(request)}"
        return error(404, message) if host == "rest" else text_error(404, message)
    except web.HTTPMethodNotAllowed as refused:
        state.recorder.violation(f"{request.method} {request.path}", "there is no such route")
        allowed = refused.headers["Allow"]
        message = f"{request.method} is not allowed on {request.path}; use {allowed}"
        return error(405, message, headers={"Allow": allowed})


def _nearest_route(request: web.Request) -> str:
    known = [f"{it.method} {it.resource.canonical}" for it in request.app.router.routes() if it.resource is not None]
    # The WebSocket, which is served at any path.
    return nearest(f"{request.method} {request.path}", [it for it in known if it != "GET /{path}"])


async def _truncated(request: web.Request, response: web.Response) -> web.StreamResponse:
    body: Any = response.body
    data = bytes(body) if isinstance(body, bytes | bytearray) else b""
    return await send_half(request, data[: len(data) // 2], len(data), response.status, response.content_type)


async def send_half(
    request: web.Request, data: bytes, promised: int, status: int, content_type: str
) -> web.StreamResponse:
    """Announce more than is sent, then cut the connection."""
    cut = web.StreamResponse(status=status, headers={"Content-Type": content_type, "Content-Length": str(promised)})
    await cut.prepare(request)
    await cut.write(data)
    if request.transport is not None:
        request.transport.close()
    return cut
