"""Hosted chat and single hosted tools over REST (chat §11, §14.5).

Installed by the server. What is asked is checked in ``llm.asking``, answered by the agent; here are the bodies and
the statuses.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from aiohttp import web
from attrs import define, evolve

from .accounts import Account
from .fields import Fields
from .gate import authorised
from .hosted import ToolError
from .llm import text_tools
from .llm.agent import Agent, Session, message_of
from .llm.answers import Telling
from .llm.asking import Asking, check
from .llm.bills import Bill
from .llm.declined import DeclinedError
from .llm.media import shelf_of
from .llm.models import DEFAULT_MODEL, LANGUAGE_MODELS
from .llm.tokens import count
from .replies import error, success
from .state import State

_log = logging.getLogger(__name__)
_REFERENCES = ("media_references", "api_media_references")


def add_chat_routes(app: web.Application, state: State, agent: Agent) -> None:
    routes = _ChatRoutes(state, agent)
    app.router.add_post("/v1/chat/completions", authorised(state, "rest", routes.complete))
    app.router.add_post("/v1/creative-agent/tools/execute", authorised(state, "rest", routes.execute))


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request, or raise ``DeclinedError``."""
    try:
        body = json.loads(await request.read() or b"null")
    except (ValueError, RecursionError):
        raise DeclinedError("invalid_request", "The body is not JSON") from None
    if not isinstance(body, dict):
        raise DeclinedError("invalid_request", "The body must be a JSON object")
    return body


def declined(refused: DeclinedError) -> web.Response:
    return web.json_response(refused.body(), status=refused.status)


@define(eq=False)
class _ChatRoutes:
    state: State
    agent: Agent

    async def complete(self, request: web.Request, account: Account) -> web.Response:
        try:
            asking, references = self._asked(await body_of(request))
            session = Session(account, asking, self.state.chance.uuid())
            session.shelf = await shelf_of(self.agent.tools, asking, references)
            telling = await self.agent.run(session)
        except DeclinedError as refused:
            return declined(refused)
        except ToolError as refused:
            return declined(DeclinedError("invalid_request", refused.message))
        except asyncio.CancelledError:
            raise
        except Exception as failed:
            # A scripted answer that raises fails its own request.
            _log.exception("the emulator could not answer a hosted chat")
            return declined(DeclinedError("server_error", f"The worker failed: {type(failed).__name__}"))
        return web.json_response(self._completion(session, telling))

    def _asked(self, body: dict[str, Any]) -> tuple[Asking, list[Any]]:
        request = Fields(body, "$", [])
        for key in _REFERENCES:
            if not isinstance(request.raw(key), list | None):
                request.refuse(key, "must be a list")
        if request.raw("stream"):
            request.refuse("stream", "must be false: hosted chat does not stream")
        checked = check(
            request,
            token="token_type",
            profile="task_profile",
            app_source="app_source",
            safe="safe_content_filter",
            default_model=DEFAULT_MODEL,
        )
        for finding in checked.findings:
            self.state.journal.violation(f"POST /v1/chat/completions {finding.where}", finding.message)
        if checked.asking is None:
            raise DeclinedError(checked.error, checked.message)
        return checked.asking, [reference for key in _REFERENCES for reference in body.get(key) or ()]

    def _completion(self, session: Session, telling: Telling) -> dict[str, Any]:
        """The answer in the OpenAI form (chat §11.2)."""
        choice = {"index": 0, "message": message_of(telling), "finish_reason": telling.finish_reason}
        body: dict[str, Any] = {
            "id": f"chatcmpl-{session.id.lower()}",
            "object": "chat.completion",
            "created": int(self.state.clock()),
            "model": session.asking.model.id,
            "choices": [choice],
            "usage": session.usage,
        }
        if session.workflows:
            body["creative_workflows"] = session.workflows
        return {**body, "sogni_tool_results": session.results} if session.results else body

    async def execute(self, request: web.Request, account: Account) -> web.Response:
        """Run one text tool without a model around it."""
        try:
            body = await body_of(request)
            name, arguments = body.get("tool"), body.get("arguments", {})
            if not isinstance(name, str) or not isinstance(arguments, dict):
                raise DeclinedError("invalid_request", "tool must be a text and arguments an object")
            if body.get("token_type") not in (None, "sogni", "spark", "auto"):
                raise DeclinedError("invalid_request", "token_type must be sogni, spark or auto")
            result = text_tools.run(name, arguments)
            self._charge(account, body, arguments, result)
        except ToolError as refused:
            return error(400, refused.message)
        except DeclinedError as refused:
            return error(refused.status, refused.message)
        call_id = f"call-{self.state.chance.uuid().lower()}"
        message = text_tools.summary_of(name, result)
        return success({"toolCallId": call_id, "tool": name, "result": result, "message": message})

    def _charge(self, account: Account, body: dict[str, Any], arguments: Any, result: Any) -> None:
        """A text tool costs what a completion of its length does."""
        said = json.dumps(result, ensure_ascii=False)
        message = {"role": "user", "content": json.dumps(arguments, ensure_ascii=False)}
        asking = Asking(model=LANGUAGE_MODELS[DEFAULT_MODEL], messages=[message], max_tokens=count(said))
        token = body.get("token_type")
        Bill.open(account, asking if token in (None, "auto") else evolve(asking, token=token)).settle(count(said))
