"""The estimate of a completion (chat §8).

Installed by the server on the socket host. The body has no envelope; its amounts are numbers.
"""

from __future__ import annotations

import re
from typing import cast

from aiohttp import web

from .accounts import Account, Token
from .gate import authorised
from .llm.models import LANGUAGE_MODELS
from .replies import refusal
from .state import State

_LIMIT = 10**9
_COUNT = re.compile(r"[0-9]{1,9}")


def add_llm_estimate_route(app: web.Application, state: State) -> None:
    async def estimate(request: web.Request, account: Account) -> web.Response:
        asked = request.match_info
        token, model = asked["token"], LANGUAGE_MODELS.get(asked["model"])
        counts = [int(text) if _COUNT.fullmatch(text) else _LIMIT for text in (asked["input"], asked["output"])]
        problem = None
        if token not in ("sogni", "spark"):
            problem = f"unknown token type: {token}"
        elif model is None:
            problem = f"unknown language model: {asked['model']}"
        elif max(counts) >= _LIMIT:
            problem = "the numbers of tokens must be whole numbers"
        if problem is not None or model is None:
            state.journal.violation(f"GET {request.path}", str(problem))
            return refusal(400, str(problem))
        read, written = counts
        said = {"model": model.id, "inputTokens": read, "maxOutputTokens": written, "tokenType": token}
        quote = model.price(read, written).quoted(cast(Token, token))
        return web.json_response({"request": {**said, "time": round(state.clock() * 1000)}, "quote": quote})

    path = "/api/v1/job-llm/estimate/{token}/{model}/{input}/{output}"
    app.router.add_get(path, authorised(state, "socket", estimate))
