"""The service's own loop of a model and the hosted tools: ask, run what it calls, tell it the results, ask again.

Called by hosted chat, by durable runs, and for socket completions with ``sogni_tool_execution``. What happens on
the way is told to a ``Watcher``, which may also stop the loop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from attrs import define, field

from ...protocol.tool_manifest import tool_names
from ..accounts import Account, Token
from ..hosted import Media, Shelf, ToolCall, ToolError, ToolRunner, UserNeededError
from ..refusals import RefusalError
from ..workflows import Desk, StartRequest
from . import text_tools
from .answers import Telling
from .asking import Asking
from .completing import Completer, Turn
from .declined import DeclinedError
from .plans import plan_of

MAX_ROUNDS = 12
Called = dict[str, Any]


class Watcher(Protocol):
    """Who follows a session."""

    def hear(self, piece: Mapping[str, Any]) -> None:
        """A piece of what the model says."""

    def turned(self, turn: Turn, message: Mapping[str, Any]) -> None:
        """The model has answered."""

    async def approve(self, calls: list[Called]) -> None:
        """Tools are about to run. May wait, change arguments, or raise."""

    def began(self, call: Called) -> None:
        """A tool starts."""

    def paid(self, token: Token, amount: Decimal) -> None:
        """A tool that is running was paid for."""

    def ended(self, call: Called, result: Mapping[str, Any], media: list[Media]) -> None:
        """A tool has delivered or failed."""


class Unwatched:
    """A watcher that does nothing."""

    def hear(self, piece: Mapping[str, Any]) -> None:
        return

    def turned(self, turn: Turn, message: Mapping[str, Any]) -> None:
        return

    async def approve(self, calls: list[Called]) -> None:
        return

    def began(self, call: Called) -> None:
        return

    def paid(self, token: Token, amount: Decimal) -> None:
        return

    def ended(self, call: Called, result: Mapping[str, Any], media: list[Media]) -> None:
        return


@define(eq=False)
class Session:
    """One conversation with its tools. ``usage`` adds up over the rounds."""

    account: Account
    asking: Asking
    id: str
    shelf: Shelf = field(factory=Shelf)
    watcher: Watcher = field(factory=Unwatched)
    messages: list[Mapping[str, Any]] = field(init=False)
    results: list[dict[str, Any]] = field(factory=list)
    workflows: list[dict[str, Any]] = field(factory=list)
    usage: dict[str, int] = field(factory=dict)
    output_tokens: int = 0

    def __attrs_post_init__(self) -> None:
        self.messages = list(self.asking.messages)

    @property
    def failed(self) -> int:
        """The number of tools that failed."""
        return sum(not result["success"] for result in self.results)

    def count(self, turn: Turn) -> None:
        self.output_tokens += turn.telling.output_tokens
        for key, value in turn.usage.items():
            self.usage[key] = self.usage.get(key, 0) + value


@define(eq=False)
class Agent:
    """Runs sessions."""

    completer: Completer
    tools: ToolRunner
    desk: Desk

    async def run(self, session: Session) -> Telling:
        """Go on until the model says something without calling a hosted tool; return that. A session that was
        interrupted first runs the tools that were called and have not answered."""
        await self._run_tools(session, unanswered(session.messages))
        for number in range(MAX_ROUNDS):
            asking = session.asking.saying(session.messages)
            call_id = f"call-{session.id[:8].lower()}-{number}"
            turn = await self.completer.complete(session.account, asking, call_id, session.watcher.hear)
            message = message_of(turn.telling)
            # A kill between the two would let a durable run ask and pay again for an answer it has paid.
            with self.tools.state.archive.together():
                turn.settle()
                session.count(turn)
                session.messages.append(message)
                session.watcher.turned(turn, message)
            calls = turn.telling.calls
            if turn.telling.finish_reason != "tool_calls" or not self.runs(session.asking, calls):
                return turn.telling
            if (started := await self._workflow(session)) is not None:
                return started
            await self._run_tools(session, calls)
        return Telling(content=["I stop here: too many rounds."], deltas=[], finish_reason="length", output_tokens=0)

    async def _run_tools(self, session: Session, calls: list[Called]) -> None:
        if calls:
            await session.watcher.approve(calls)
        for call in calls:
            await self._call(session, call)

    async def _workflow(self, session: Session) -> Telling | None:
        """With ``creative-agent`` several steps become a durable workflow, which goes on after the answer."""
        asking = session.asking
        plan = plan_of(asking) if asking.sogni_tools == "creative-agent" and not session.results else None
        if plan is None:
            return None
        body = {"token_type": asking.token, "app_source": asking.app_source, "confirm_cost": True}
        body["safe_content_filter"] = asking.safe
        try:
            async with self.desk.turn:
                run = await self.desk.start(session.account, StartRequest(plan=plan, body=body))
        except RefusalError as refused:
            tag = "insufficient_balance" if refused.status == 402 else "invalid_request"
            raise DeclinedError(tag, refused.message) from refused
        path = f"/v1/creative-agent/workflows/{run.id}"
        session.workflows.append(
            {
                "workflowId": run.id,
                "status": run.status,
                "url": path,
                "eventsUrl": f"{path}/events",
                "streamUrl": f"{path}/events/stream",
            }
        )
        told = f"I have started a workflow of {len(plan['steps'])} steps: {path}"
        session.messages[-1] = {"role": "assistant", "content": told}
        return Telling(content=[told], deltas=[], finish_reason="stop", output_tokens=0)

    def runs(self, asking: Asking, calls: list[Called]) -> bool:
        """Only hosted tools run here; a caller's own function ends the loop (chat §2.7)."""
        if not asking.execute_tools or asking.sogni_tools is None or not calls:
            return False
        return all(call["function"]["name"] in tool_names() for call in calls)

    async def _call(self, session: Session, call: Called) -> None:
        session.watcher.began(call)
        name: str = call["function"]["name"]
        media: list[Media] = []
        try:
            result, media = await self._outcome(session, call)
        except ToolError as failed:
            result = {"success": False, "toolName": name, "error": failed.message, "code": failed.code}
        except UserNeededError as needed:
            result = {"success": True, "toolName": name, "waitingReason": needed.reason, "message": needed.message}
        told = {"toolCallId": call["id"], "tool": name, "toolName": name, **result}
        session.results.append(told)
        session.messages.append(
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "name": name,
                "content": json.dumps(result, ensure_ascii=False),
            }
        )
        session.watcher.ended(call, told, media)

    async def _outcome(self, session: Session, call: Called) -> tuple[dict[str, Any], list[Media]]:
        name = call["function"]["name"]
        arguments = arguments_of(call)
        if name in text_tools.TOOLS:
            return {"success": True, "toolName": name, **text_tools.run(name, arguments)}, []
        outcome = await self.tools.run(self.tool_call(session, call))
        return outcome.wire(self.tools.url), [*outcome.media]

    def tool_call(self, session: Session, call: Called) -> ToolCall:
        """Return a call as the runner takes it."""
        return ToolCall(
            name=call["function"]["name"],
            arguments=arguments_of(call),
            account=session.account,
            token=session.asking.token,
            shelf=session.shelf,
            seed=text_tools.number_of(f"{call['function']['name']} {call['function']['arguments']}"),
            app_source=session.asking.app_source,
            safe=session.asking.safe,
            on_paid=session.watcher.paid,
        )


def unanswered(messages: Sequence[Mapping[str, Any]]) -> list[Called]:
    """Return the calls at the end of a conversation that have no result yet."""
    answered = set()
    for message in reversed(messages):
        if message.get("role") != "tool":
            calls = message.get("tool_calls") or [] if message.get("role") == "assistant" else []
            return [call for call in calls if call["id"] not in answered]
        answered.add(message.get("tool_call_id"))
    return []


def message_of(telling: Telling) -> dict[str, Any]:
    """What was told as an assistant's turn; no text is null."""
    message: dict[str, Any] = {"role": "assistant", "content": telling.text or None}
    if telling.calls:
        return {**message, "tool_calls": telling.calls}
    return {**message, "content": telling.text}


def arguments_of(call: Called) -> dict[str, Any]:
    """Return the arguments of a call; a text that is no JSON object is a ``ToolError``."""
    try:
        value = json.loads(call["function"]["arguments"])
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ToolError("INVALID_ARGUMENTS", f"The arguments of {call['function']['name']} are no JSON object")
    return value
