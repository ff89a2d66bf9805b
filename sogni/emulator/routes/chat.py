"""Routes of hosted chat, single hosted tools, completion estimates and durable chat runs."""
# Protocol notes: chat §8, §11, §12, §14.

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
from typing import Any, cast

from aiohttp import web
from attrs import evolve

from sogni.emulator.account.accounts import Token
from sogni.emulator.chat.agent import Session, library_of, message_of
from sogni.emulator.chat.completions import Bill
from sogni.emulator.chat.messages import count
from sogni.emulator.chat.models import DEFAULT_MODEL, LANGUAGE_MODELS
from sogni.emulator.chat.requests import HOSTED_NAMES, ChatRequest, DeclinedError, check
from sogni.emulator.chat.runs import ChatRun
from sogni.emulator.chat.script import Completion
from sogni.emulator.responses import RefusedError
from sogni.emulator.routes.router import Call, Route, Routes
from sogni.emulator.sse import Frame, stream
from sogni.emulator.tools import text_tools
from sogni.emulator.tools.media_library import ToolError

_log = logging.getLogger(__name__)
_REFERENCES = ("media_references", "api_media_references")
_RUNS = "/v1/chat/runs"
ROUTES, SOCKET_HOST_ROUTES = Routes(), Routes("socket")


def _may_decline(route: Route) -> Route:
    """Convert ``DeclinedError`` to a response."""

    async def answered(call: Call) -> object:
        try:
            result = route(call)
            return await result if inspect.isawaitable(result) else result
        except DeclinedError as refused:
            return web.json_response(refused.body(), status=refused.status)

    return answered


@ROUTES("POST", "/v1/chat/completions")
@_may_decline
async def _complete(call: Call) -> web.Response:
    try:
        chat_request = _checked(call)
        session = Session(call.account, chat_request, call.state.ids.uuid())
        references = [reference for key in _REFERENCES for reference in call.body.values.get(key) or ()]
        session.library = await library_of(call.services.agent.tools, chat_request, references)
        completion = await call.services.agent.run(session)
    except ToolError as refused:
        raise DeclinedError("invalid_request", refused.message) from refused
    except (DeclinedError, asyncio.CancelledError):
        raise
    except Exception as failed:
        # A scripted answer that raises fails only its own request.
        _log.exception("the emulator could not answer a hosted chat")
        raise DeclinedError("server_error", f"The worker failed: {type(failed).__name__}") from failed
    return web.json_response(_completion(call, session, completion))


def _checked(call: Call) -> ChatRequest:
    request = call.body
    for key in _REFERENCES:
        if not isinstance(request.raw(key), list | None):
            request.refuse(key, "must be a list")
    if request.raw("stream"):
        request.refuse("stream", "must be false; hosted chat does not stream")
    checked = check(request, HOSTED_NAMES, default_model=DEFAULT_MODEL)
    for finding in checked.findings:
        call.violation(finding.where, finding.message)
    if checked.chat_request is None:
        raise DeclinedError(checked.error, checked.message)
    return checked.chat_request


def _completion(call: Call, session: Session, completion: Completion) -> dict[str, object]:
    """Return the response in the OpenAI format."""
    # Protocol notes: chat §11.2.
    choice = {"index": 0, "message": message_of(completion), "finish_reason": completion.finish_reason}
    body: dict[str, Any] = {
        "id": f"chatcmpl-{session.id.lower()}",
        "object": "chat.completion",
        "created": int(call.state.clock()),
        "model": session.chat_request.model.id,
        "choices": [choice],
        "usage": session.usage,
    }
    made = {"creative_workflows": session.workflows, "sogni_tool_results": session.results}
    return body | {key: value for key, value in made.items() if value}


@ROUTES("POST", "/v1/creative-agent/tools/execute")
def _execute(call: Call) -> object:
    """Run one text tool without a model, and charge for it as for a completion of its length."""
    body = call.body.values
    name, arguments, token = body.get("tool"), body.get("arguments", {}), body.get("token_type")
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise RefusedError(400, "tool must be a string and arguments an object")
    if token not in (None, "sogni", "spark", "auto"):
        raise RefusedError(400, "token_type must be sogni, spark or auto")
    for unknown in body.keys() - {"tool", "arguments", "app_source", "token_type", "safe_content_filter"}:
        call.violation(f"$.{unknown}", "is not a known key")
    try:
        result = text_tools.run(name, arguments)
    except ToolError as refused:
        raise RefusedError(400, refused.message) from refused
    length = count(json.dumps(result, ensure_ascii=False))
    message = {"role": "user", "content": json.dumps(arguments, ensure_ascii=False)}
    chat_request = ChatRequest(model=LANGUAGE_MODELS[DEFAULT_MODEL], messages=[message], max_tokens=length)
    paid = chat_request if token in (None, "auto") else evolve(chat_request, token=cast(Token, token))
    try:
        Bill.open(call.account, paid).settle(length)
    except DeclinedError as refused:
        raise RefusedError(refused.status, refused.message) from refused
    call_id = f"call-{call.state.ids.uuid().lower()}"
    return {"toolCallId": call_id, "tool": name, "result": result, "message": text_tools.summary_of(name, result)}


# Estimates (chat §8), on the socket host: no envelope, amounts are numbers


_COUNT = re.compile(r"[0-9]{1,9}")


@SOCKET_HOST_ROUTES("GET", "/api/v1/job-llm/estimate/{token}/{model}/{input}/{output}")
def _estimate(call: Call) -> object:
    token, model = call.path("token"), LANGUAGE_MODELS.get(call.path("model"))
    counts = [call.path("input"), call.path("output")]
    problem = None
    if token not in ("sogni", "spark"):
        problem = f"unknown token type: {token}"
    elif model is None:
        problem = f"unknown language model: {call.path('model')}"
    elif not all(map(_COUNT.fullmatch, counts)):
        problem = "the numbers of tokens must be integers"
    if problem is not None or model is None:
        call.violation("", str(problem))
        raise RefusedError(400, str(problem))
    read, written = map(int, counts)
    request = {"model": model.id, "inputTokens": read, "maxOutputTokens": written, "tokenType": token}
    quote = model.price(read, written).quoted(cast(Token, token))
    return {"request": {**request, "time": round(call.state.clock() * 1000)}, "quote": quote}


# Durable chat runs (chat §12, §14.6)


def _run(call: Call) -> ChatRun:
    return call.services.runs.find(call.account, call.path("run"))


def _answer(run: ChatRun, status: int = 200, **more: Any) -> web.Response:
    return web.json_response({"status": "success", "data": {"run": run.record(), **more}}, status=status)


@ROUTES("POST", _RUNS)
@_may_decline
async def _create(call: Call) -> web.Response:
    key = call.request.headers.get("Idempotency-Key") or None
    run, known = call.services.runs.create(call.account, call.body.values, key)
    return _answer(run, 202, **({"idempotent": True} if known else {}))


@ROUTES("GET", f"{_RUNS}/{{run}}")
def _get(call: Call) -> web.Response:
    return _answer(_run(call))


@ROUTES("POST", f"{_RUNS}/{{run}}/cancel", optional=True)
async def _cancel(call: Call) -> web.Response:
    run, reason = _run(call), call.body.values.get("reason")
    call.services.runs.cancel(run, reason if isinstance(reason, str) and reason else None)
    return _answer(run)


@ROUTES("POST", f"{_RUNS}/{{run}}/confirm-cost")
async def _confirm(call: Call) -> web.Response:
    run = _run(call)
    call.services.runs.confirm(run, call.body.values, call.request.headers.get("Idempotency-Key") or None)
    return _answer(run)


@ROUTES("GET", f"{_RUNS}/{{run}}/events/stream")
async def _events(call: Call) -> web.StreamResponse:
    run = _run(call)
    opening = [Frame(run.snapshot(), "run_status")]
    return await stream(call.request, run.log, faults=call.state.faults, opening=opening)
