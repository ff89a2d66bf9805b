"""The service's own loop of a model and the hosted tools: generate, run the called tools, add their results, repeat.

Used by hosted chat, durable chat runs, and socket completions with ``sogni_tool_execution``. A ``Watcher`` follows a
session and may stop it. Before the first round, the media of the conversation are collected; uploads are numbered from
-1 downwards, images of messages first, then references. With ``creative-agent``, a question with several steps becomes
a durable workflow.
"""
# Protocol notes: tools §2.1, chat §11.1; chat §2.7.

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import define, evolve, field

from sogni.core.tools.hosted import tool_names
from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.chat.completions import Completer, Turn
from sogni.emulator.chat.double import call_arguments, wanted_calls
from sogni.emulator.chat.messages import images_of
from sogni.emulator.chat.requests import ChatRequest, DeclinedError
from sogni.emulator.chat.script import Completion
from sogni.emulator.responses import RefusedError
from sogni.emulator.tools import text_tools
from sogni.emulator.tools.media_library import Media, MediaLibrary, ToolError, UserNeededError
from sogni.emulator.tools.renderer import ToolCall
from sogni.emulator.tools.runner import TOOLS, ToolRunner
from sogni.emulator.tools.text_tools import dependency
from sogni.emulator.workflows.engine import StartRequest, Workflows


async def library_of(tools: ToolRunner, chat_request: ChatRequest, references: Iterable[Any] = ()) -> MediaLibrary:
    """Return the media library of a conversation that runs tools; empty without tools.

    Raises ``ToolError`` for a reference that cannot be resolved.
    """
    library = MediaLibrary()
    if not chat_request.execute_tools:
        return library
    asked = (message for message in chat_request.messages if message.get("role") == "user")
    for url in (url for message in asked for url in images_of(message)):
        library.uploads.append(await tools.fetcher.fetch(url, "image"))
    for reference in references:
        library.uploads.append(await tools.fetcher.reference(reference))
    return library


def plan_of(chat_request: ChatRequest) -> dict[str, Any] | None:
    """Return the plan for a message that asks for several hosted tools, or None for any other message.

    A step works on the result of the last one before it that makes what it takes.
    """
    wanted = wanted_calls(chat_request)
    if len(wanted) < 2 or not all(name in TOOLS for name, _ in wanted):
        return None
    steps: list[dict[str, Any]] = []
    for number, (name, part) in enumerate(wanted, 1):
        tool, arguments = TOOLS[name], call_arguments(chat_request, name, part)
        step: dict[str, Any] = {"id": f"step-{number}", "toolName": name, "arguments": arguments}
        sources = [step["id"] for step in steps if tool.takes and TOOLS[step["toolName"]].makes == tool.takes]
        if sources:
            used = sources if name == "stitch_video" else sources[-1:]
            step["dependsOn"] = [dependency(source, tool.argument, str(tool.takes)) for source in used]
            arguments.pop(tool.argument, None)
        steps.append(step)
    return {"title": chat_request.conversation.question[:120], "steps": steps}


MAX_ROUNDS = 12
CallDict = dict[str, Any]
"""A tool call in the OpenAI form."""


class Watcher:
    """Receives the events of a session; this one ignores them."""

    def on_delta(self, piece: Mapping[str, Any]) -> None:
        """Called for each piece of the model's output."""

    def on_answer(self, turn: Turn, message: Mapping[str, Any]) -> None:
        """Called when the model has answered."""

    async def approve(self, calls: list[CallDict]) -> None:
        """Called before tools run. May wait, change arguments, or raise."""

    def on_tool_start(self, call: CallDict) -> None:
        """Called when a tool starts."""

    def on_tool_charge(self, token: Token, amount: Decimal) -> None:
        """Called when an amount has been charged for the running tool."""

    def on_tool_end(self, call: CallDict, result: Mapping[str, Any], media: list[Media]) -> None:
        """Called when a tool has finished or failed."""


@define(eq=False)
class Session:
    """One conversation with its tools. ``usage`` is the total of all rounds."""

    account: Account
    chat_request: ChatRequest
    id: str
    library: MediaLibrary = field(factory=MediaLibrary)
    watcher: Watcher = field(factory=Watcher)
    messages: list[Mapping[str, Any]] = field(init=False)
    results: list[dict[str, Any]] = field(factory=list)
    workflows: list[dict[str, Any]] = field(factory=list)
    usage: dict[str, int] = field(factory=dict)
    output_tokens: int = 0

    def __attrs_post_init__(self) -> None:
        self.messages = list(self.chat_request.messages)

    @property
    def failed(self) -> int:
        """Return the number of failed tool calls."""
        return sum(not result["success"] for result in self.results)

    def count(self, turn: Turn) -> None:
        self.output_tokens += turn.completion.output_tokens
        for key, value in turn.usage.items():
            self.usage[key] = self.usage.get(key, 0) + value


@define(eq=False)
class Agent:
    """Runs sessions."""

    completer: Completer
    tools: ToolRunner
    workflows: Workflows

    async def run(self, session: Session) -> Completion:
        """Run rounds until the model answers without calling a hosted tool; return that answer.

        An interrupted session first runs the tool calls that have no result yet.
        """
        await self._run_tools(session, unanswered(session.messages))
        for number in range(MAX_ROUNDS):
            chat_request = evolve(session.chat_request, messages=session.messages)
            call_id = f"call-{session.id[:8].lower()}-{number}"
            turn = await self.completer.complete(session.account, chat_request, call_id, session.watcher.on_delta)
            message = message_of(turn.completion)
            # One transaction: otherwise a crash in between would make a durable run pay twice for the same answer.
            with self.tools.state.archive.transaction():
                turn.settle()
                session.count(turn)
                session.messages.append(message)
                session.watcher.on_answer(turn, message)
            calls = turn.completion.calls
            if turn.completion.finish_reason != "tool_calls" or not self.runs(session.chat_request, calls):
                return turn.completion
            if (started := await self._workflow(session)) is not None:
                return started
            await self._run_tools(session, calls)
        return Completion(content=["I stop here: too many rounds."], deltas=[], finish_reason="length", output_tokens=0)

    async def _run_tools(self, session: Session, calls: list[CallDict]) -> None:
        if calls:
            await session.watcher.approve(calls)
        for call in calls:
            await self._call(session, call)

    async def _workflow(self, session: Session) -> Completion | None:
        """Start a durable workflow for a ``creative-agent`` question with several steps; it outlasts the answer."""
        chat_request = session.chat_request
        plan = plan_of(chat_request) if chat_request.sogni_tools == "creative-agent" and not session.results else None
        if plan is None:
            return None
        body = {"token_type": chat_request.token, "app_source": chat_request.app_source, "confirm_cost": True}
        body["safe_content_filter"] = chat_request.safe
        try:
            async with self.workflows.turn:
                run = await self.workflows.start(session.account, StartRequest(plan=plan, body=body))
        except RefusedError as refused:
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
        answer = f"I have started a workflow of {len(plan['steps'])} steps: {path}"
        session.messages[-1] = {"role": "assistant", "content": answer}
        return Completion(content=[answer], deltas=[], finish_reason="stop", output_tokens=0)

    def runs(self, chat_request: ChatRequest, calls: list[CallDict]) -> bool:
        """Return whether all calls are hosted tools; a caller's own function ends the loop."""
        # Protocol notes: chat §2.7.
        if not chat_request.execute_tools or chat_request.sogni_tools is None or not calls:
            return False
        return all(call["function"]["name"] in tool_names() for call in calls)

    async def _call(self, session: Session, call: CallDict) -> None:
        session.watcher.on_tool_start(call)
        name: str = call["function"]["name"]
        media: list[Media] = []
        try:
            result, media = await self._outcome(session, call)
        except ToolError as failed:
            result = {"success": False, "toolName": name, "error": failed.message, "code": failed.code}
        except UserNeededError as needed:
            result = {"success": True, "toolName": name, "waitingReason": needed.reason, "message": needed.message}
        reported = {"toolCallId": call["id"], "tool": name, "toolName": name, **result}
        session.results.append(reported)
        session.messages.append(
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "name": name,
                "content": json.dumps(result, ensure_ascii=False),
            }
        )
        session.watcher.on_tool_end(call, reported, media)

    async def _outcome(self, session: Session, call: CallDict) -> tuple[dict[str, Any], list[Media]]:
        name = call["function"]["name"]
        arguments = arguments_of(call)
        if name in text_tools.TEXT_TOOLS:
            return {"success": True, "toolName": name, **text_tools.run(name, arguments)}, []
        outcome = await self.tools.run(self.tool_call(session, call))
        return outcome.wire(self.tools.url), [*outcome.media]

    def tool_call(self, session: Session, call: CallDict) -> ToolCall:
        """Convert a call to the form of the tool runner."""
        return ToolCall(
            name=call["function"]["name"],
            arguments=arguments_of(call),
            account=session.account,
            token=session.chat_request.token,
            library=session.library,
            seed=text_tools.number_of(f"{call['function']['name']} {call['function']['arguments']}"),
            app_source=session.chat_request.app_source,
            safe=session.chat_request.safe,
            on_paid=session.watcher.on_tool_charge,
        )


def unanswered(messages: Sequence[Mapping[str, Any]]) -> list[CallDict]:
    """Return the tool calls at the end of a conversation that have no result yet."""
    answered = set()
    for message in reversed(messages):
        if message.get("role") != "tool":
            calls = message.get("tool_calls") or [] if message.get("role") == "assistant" else []
            return [call for call in calls if call["id"] not in answered]
        answered.add(message.get("tool_call_id"))
    return []


def message_of(completion: Completion) -> dict[str, object]:
    """Return the completion as a message of the assistant; empty content is null."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.text or None}
    if completion.calls:
        return {**message, "tool_calls": completion.calls}
    return {**message, "content": completion.text}


def arguments_of(call: CallDict) -> dict[str, object]:
    """Return the arguments of a call; raise ``ToolError`` unless they are a JSON object."""
    try:
        value = json.loads(call["function"]["arguments"])
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ToolError("INVALID_ARGUMENTS", f"The arguments of {call['function']['name']} are not a JSON object")
    return value
