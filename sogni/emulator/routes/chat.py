"""Routes of hosted chat, single hosted tools, completion estimates and durable chat runs."""
# Protocol notes: chat §8, §11, §12, §14.

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any, cast

from aiohttp import web
from attrs import define, evolve

from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.chat.agent import Agent, Session, library_of, message_of
from sogni.emulator.chat.completions import Bill
from sogni.emulator.chat.messages import count
from sogni.emulator.chat.models import DEFAULT_MODEL, LANGUAGE_MODELS
from sogni.emulator.chat.requests import HOSTED_NAMES, ChatRequest, DeclinedError, check
from sogni.emulator.chat.runs import ChatRun, ChatRuns, wire_of
from sogni.emulator.chat.script import Completion
from sogni.emulator.fields import Fields
from sogni.emulator.middleware import AccountHandler, authorized
from sogni.emulator.persistence import Event
from sogni.emulator.responses import error, success, text_error
from sogni.emulator.routes.workflows import account_route
from sogni.emulator.sse import Frame, stream
from sogni.emulator.state import State
from sogni.emulator.tools import text_tools
from sogni.emulator.tools.media_library import ToolError

_log = logging.getLogger(__name__)
_REFERENCES = ("media_references", "api_media_references")
_EXECUTE_KEYS = {"tool", "arguments", "app_source", "token_type", "safe_content_filter"}


def add_chat_routes(app: web.Application, state: State, agent: Agent) -> None:
    routes = _ChatRoutes(state, agent)
    app.router.add_post("/v1/chat/completions", authorized(state, "rest", routes.complete))
    app.router.add_post("/v1/creative-agent/tools/execute", authorized(state, "rest", routes.execute))


async def body_of(request: web.Request) -> dict[str, object]:
    """Return the JSON object of a request, or raise ``DeclinedError``."""
    try:
        body = json.loads(await request.read() or b"null")
    except (ValueError, RecursionError):
        raise DeclinedError("invalid_request", "The body is not JSON") from None
    if not isinstance(body, dict):
        raise DeclinedError("invalid_request", "The body must be a JSON object")
    return body


def error_response(refused: DeclinedError) -> web.Response:
    return web.json_response(refused.body(), status=refused.status)


@define(eq=False)
class _ChatRoutes:
    state: State
    agent: Agent

    async def complete(self, request: web.Request, account: Account) -> web.Response:
        try:
            chat_request, references = self._asked(await body_of(request))
            session = Session(account, chat_request, self.state.ids.uuid())
            session.library = await library_of(self.agent.tools, chat_request, references)
            completion = await self.agent.run(session)
        except DeclinedError as refused:
            return error_response(refused)
        except ToolError as refused:
            return error_response(DeclinedError("invalid_request", refused.message))
        except asyncio.CancelledError:
            raise
        except Exception as failed:
            # A scripted answer that raises fails only its own request.
            _log.exception("the emulator could not answer a hosted chat")
            return error_response(DeclinedError("server_error", f"The worker failed: {type(failed).__name__}"))
        return web.json_response(self._completion(session, completion))

    def _asked(self, body: dict[str, Any]) -> tuple[ChatRequest, list[Any]]:
        request = Fields(body, "$", [])
        for key in _REFERENCES:
            if not isinstance(request.raw(key), list | None):
                request.refuse(key, "must be a list")
        if request.raw("stream"):
            request.refuse("stream", "must be false; hosted chat does not stream")
        checked = check(request, HOSTED_NAMES, default_model=DEFAULT_MODEL)
        for finding in checked.findings:
            self.state.recorder.violation(f"POST /v1/chat/completions {finding.where}", finding.message)
        if checked.chat_request is None:
            raise DeclinedError(checked.error, checked.message)
        return checked.chat_request, [reference for key in _REFERENCES for reference in body.get(key) or ()]

    def _completion(self, session: Session, completion: Completion) -> dict[str, object]:
        """Return the response in the OpenAI format."""
        # Protocol notes: chat §11.2.
        choice = {"index": 0, "message": message_of(completion), "finish_reason": completion.finish_reason}
        body: dict[str, Any] = {
            "id": f"chatcmpl-{session.id.lower()}",
            "object": "chat.completion",
            "created": int(self.state.clock()),
            "model": session.chat_request.model.id,
            "choices": [choice],
            "usage": session.usage,
        }
        if session.workflows:
            body["creative_workflows"] = session.workflows
        return {**body, "sogni_tool_results": session.results} if session.results else body

    async def execute(self, request: web.Request, account: Account) -> web.Response:
        """Run one text tool without a model."""
        try:
            body = await body_of(request)
            name, arguments = body.get("tool"), body.get("arguments", {})
            if not isinstance(name, str) or not isinstance(arguments, dict):
                raise DeclinedError("invalid_request", "tool must be a string and arguments an object")
            if body.get("token_type") not in (None, "sogni", "spark", "auto"):
                raise DeclinedError("invalid_request", "token_type must be sogni, spark or auto")
            for unknown in body.keys() - _EXECUTE_KEYS:
                self.state.recorder.violation(f"POST {request.path} $.{unknown}", "is not a known key")
            result = text_tools.run(name, arguments)
            self._charge(account, body, arguments, result)
        except ToolError as refused:
            return error(400, refused.message)
        except DeclinedError as refused:
            return error(refused.status, refused.message)
        call_id = f"call-{self.state.ids.uuid().lower()}"
        message = text_tools.summary_of(name, result)
        return success({"toolCallId": call_id, "tool": name, "result": result, "message": message})

    def _charge(self, account: Account, body: dict[str, Any], arguments: object, result: object) -> None:
        """Charge for a text tool as for a completion of its length."""
        text = json.dumps(result, ensure_ascii=False)
        message = {"role": "user", "content": json.dumps(arguments, ensure_ascii=False)}
        chat_request = ChatRequest(model=LANGUAGE_MODELS[DEFAULT_MODEL], messages=[message], max_tokens=count(text))
        token = body.get("token_type")
        Bill.open(account, chat_request if token in (None, "auto") else evolve(chat_request, token=token)).settle(
            count(text)
        )


# Estimates (chat §8), on the socket host: no envelope, amounts are numbers


_LIMIT = 10**9
_COUNT = re.compile(r"[0-9]{1,9}")


def add_llm_estimate_route(app: web.Application, state: State) -> None:
    async def estimate(request: web.Request, account: Account) -> web.Response:
        segments = request.match_info
        token, model = segments["token"], LANGUAGE_MODELS.get(segments["model"])
        counts = [int(text) if _COUNT.fullmatch(text) else _LIMIT for text in (segments["input"], segments["output"])]
        problem = None
        if token not in ("sogni", "spark"):
            problem = f"unknown token type: {token}"
        elif model is None:
            problem = f"unknown language model: {segments['model']}"
        elif max(counts) >= _LIMIT:
            problem = "the numbers of tokens must be integers"
        if problem is not None or model is None:
            state.recorder.violation(f"GET {request.path}", str(problem))
            return text_error(400, str(problem))
        read, written = counts
        request_record = {"model": model.id, "inputTokens": read, "maxOutputTokens": written, "tokenType": token}
        quote = model.price(read, written).quoted(cast(Token, token))
        return web.json_response({"request": {**request_record, "time": round(state.clock() * 1000)}, "quote": quote})

    path = "/api/v1/job-llm/estimate/{token}/{model}/{input}/{output}"
    app.router.add_get(path, authorized(state, "socket", estimate))


# Durable chat runs (chat §12, §14.6)


_PATH = "/v1/chat/runs"


def add_run_routes(app: web.Application, state: State, runs: ChatRuns) -> None:
    routes = _RunRoutes(state, runs)
    for method, path, handler in (
        ("POST", "", routes.create),
        ("GET", "/{run}", routes.get),
        ("POST", "/{run}/cancel", routes.cancel),
        ("POST", "/{run}/confirm-cost", routes.confirm),
        ("GET", "/{run}/events/stream", routes.events),
    ):
        app.router.add_route(method, _PATH + path, account_route(state, _with_error_envelope(handler)))


def _with_error_envelope(handler: AccountHandler) -> AccountHandler:
    """Convert ``DeclinedError`` to a response."""

    async def answer(request: web.Request, account: Account) -> web.StreamResponse:
        try:
            return await handler(request, account)
        except DeclinedError as refused:
            return error_response(refused)

    return answer


def _answer(run: ChatRun, status: int = 200, **more: Any) -> web.Response:
    return web.json_response({"status": "success", "data": {"run": run.record(), **more}}, status=status)


@define(eq=False)
class _RunRoutes:
    state: State
    runs: ChatRuns

    async def create(self, request: web.Request, account: Account) -> web.Response:
        run, known = self.runs.create(account, await body_of(request), request.headers.get("Idempotency-Key") or None)
        return _answer(run, 202, **({"idempotent": True} if known else {}))

    async def get(self, request: web.Request, account: Account) -> web.Response:
        return _answer(self._run(request, account))

    async def cancel(self, request: web.Request, account: Account) -> web.Response:
        run = self._run(request, account)
        reason = (await body_of(request)).get("reason") if await request.read() else None
        self.runs.cancel(run, reason if isinstance(reason, str) and reason else None)
        return _answer(run)

    async def confirm(self, request: web.Request, account: Account) -> web.Response:
        run = self._run(request, account)
        self.runs.confirm(run, await body_of(request), request.headers.get("Idempotency-Key") or None)
        return _answer(run)

    async def events(self, request: web.Request, account: Account) -> web.StreamResponse:
        run = self._run(request, account)
        opening = [Frame(run.snapshot(), "run_status")]
        return await stream(request, run.log, _frame, faults=self.state.faults, opening=opening)

    def _run(self, request: web.Request, account: Account) -> ChatRun:
        return self.runs.find(account, request.match_info["run"])


def _frame(event: Event) -> Frame:
    return Frame(wire_of(event), event.type, event.sequence)
