"""One call of a tool: its progress, and the requests to the host while it runs.

Hosts answer questions in two ways. Up to 2025-11-25 the server sends them a request during the call. From 2026-07-28
on, the call returns its questions and is repeated with the answers, so a tool must ask before it changes anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    ClientCapabilities,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputResponse,
    ListRootsRequest,
    ListRootsResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

from sogni.mcp.files import folders_of_uris

ResultT = TypeVar("ResultT", bound=BaseModel)

DONE = 100.0
"""Total of the progress, which is in percent."""
_STEP = 0.01
"""Increment of the progress when only its message changes: the protocol requires each value to be higher."""
APPROVAL_SECONDS = 600.0
"""How long the user may take to answer. Not every host tells a server that it has given up."""
ROOTS_SECONDS = 10.0
"""How long a host may take to name its roots."""
_APPROVE = {
    "type": "object",
    "properties": {
        "approve": {
            "type": "boolean",
            "title": "Approve",
            "description": "Whether this may be spent",
            "default": True,
        }
    },
}


class InputNeededError(Exception):
    """The host must answer these requests and repeat the call with the answers."""

    def __init__(self, requests: Mapping[str, InputRequest]) -> None:
        super().__init__(f"the host must answer: {', '.join(requests)}")
        self.requests: dict[str, InputRequest] = dict(requests)


class Call:
    """A call in progress.

    Args:
        context: Context of the request.
        answers: Answers of the host, if the call is repeated.
    """

    def __init__(self, context: ServerRequestContext[Any], answers: Mapping[str, InputResponse] | None = None) -> None:
        self._context = context
        self._answers = answers or {}
        self._asked: dict[str, InputRequest] = {}
        self._folders: list[Path] | None = None
        self._progress = -1.0
        self.files: ExitStack = ExitStack()
        """The files that the call has opened, which are closed at its end."""

    async def progress(self, percent: float, message: str) -> None:
        """Report progress, if the host requested it.

        Args:
            percent: 0 to 100.
            message: Description of the current step.
        """
        # Rounded, because sums of 0.01 would be sent with all their digits.
        reached = percent if percent > self._progress else round(self._progress + _STEP, 2)
        if reached >= DONE > percent:  # a project that was rendered once more may report as much again
            return
        self._progress = reached
        await self._context.session.report_progress(self._progress, DONE, message)

    @property
    def can_ask(self) -> bool:
        """Whether the host can show a form to its user."""
        found = self._capabilities.elicitation
        return found is not None and (found.form is not None or found.url is None)

    async def approve(self, key: str, message: str) -> bool:
        """Ask the user for approval.

        Args:
            key: Identifies what is approved. An answer is valid for this key only.
            message: The question.
        """
        request = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=_APPROVE))
        try:
            answer = await self._ask(f"approve {key}", request, ElicitResult, APPROVAL_SECONDS)
        except MCPError:
            return False
        return answer.action == "accept" and (answer.content or {}).get("approve", True) is True

    async def folders(self) -> list[Path]:
        """Return the folders that the host declares as its roots; none if it does not."""
        if self._capabilities.roots is None:
            return []
        if self._folders is None:
            try:
                answer = await self._ask("roots", ListRootsRequest(), ListRootsResult, ROOTS_SECONDS)
            except MCPError:
                return []
            named = folders_of_uris(str(root.uri) for root in answer.roots)
            self._folders = [Path(os.path.realpath(it)) for it in named]
        return self._folders

    @property
    def _capabilities(self) -> ClientCapabilities:
        return self._context.session.client_capabilities or ClientCapabilities()

    async def _ask(self, key: str, request: Any, result_type: type[ResultT], seconds: float) -> ResultT:
        session = self._context.session
        if session.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            # With the id of the call, HTTP sends it on the stream of the call, which is open.
            related = ServerMessageMetadata(related_request_id=self._context.request_id)
            return await session.send_request(request, result_type, seconds, metadata=related)
        # Each repetition of the call brings the answers to what was asked last, so everything is asked again.
        self._asked[key] = request
        answer = self._answers.get(key)
        if not isinstance(answer, result_type):
            raise InputNeededError(self._asked)
        return answer
