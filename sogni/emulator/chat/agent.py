"""The media a conversation brings along: what a model looks at and what tools can point at (tools §2.1, chat §11.1).

Called by hosted chat and durable runs before the first round. Uploads are numbered from -1 downwards in the order
they are named: images of messages first, then references.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from attrs import define, evolve, field

from sogni.core.tools.hosted import tool_names
from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.chat.completions import Completer, Turn
from sogni.emulator.chat.messages import images_of
from sogni.emulator.chat.requests import Asking, DeclinedError
from sogni.emulator.chat.script import Telling
from sogni.emulator.chat.tool_choice import ToolChoice
from sogni.emulator.responses import RefusalError
from sogni.emulator.tools import text_tools
from sogni.emulator.tools.media_library import KINDS, Kind, Media, MediaLibrary, ToolError, UserNeededError
from sogni.emulator.tools.runner import ToolCall, ToolRunner
from sogni.emulator.workflows.plans import STEP_TOOLS
from sogni.emulator.workflows.service import StartRequest, WorkflowService


def image_urls(asking: Asking) -> list[str]:
    """Every image of the messages, in order."""
    return [url for message in asking.messages if message.get("role") == "user" for url in images_of(message)]


async def shelf_of(tools: ToolRunner, asking: Asking, references: Iterable[Any] = ()) -> MediaLibrary:
    """Return the shelf of a conversation that runs tools; without tools it stays empty.

    Raises ``ToolError`` for a reference that names no medium."""
    library = MediaLibrary()
    if not asking.execute_tools:
        return library
    for url in image_urls(asking):
        library.uploads.append(await tools.fetcher.fetch(url, "image"))
    for reference in references:
        kind, url = _named(reference)
        library.uploads.append(await tools.fetcher.fetch(url, kind))
    return library


async def with_pictures(tools: ToolRunner, asking: Asking) -> Asking:
    """Return a request whose model sees the images that are named by URL; those nobody can fetch stay unseen."""
    pictures: dict[str, bytes] = {}
    for url in image_urls(asking):
        try:
            media = await tools.fetcher.fetch(url, "image")
        except ToolError:
            continue
        stored = tools.state.store.find(media.key)
        if stored is not None:
            pictures[url] = await tools.state.store.content(stored)
    return evolve(asking, pictures=pictures)


def _named(reference: Any) -> tuple[Kind, str]:
    """Read a reference: its kind and where it is."""
    if isinstance(reference, str):
        return "image", reference
    if not isinstance(reference, Mapping):
        raise ToolError("INVALID_MEDIA", "A media reference must be an object")
    url = next((reference[key] for key in ("url", "dataUri", "data_uri") if isinstance(reference.get(key), str)), None)
    if url is None:
        raise ToolError("INVALID_MEDIA", "A media reference needs a url")
    told = str(
        reference.get("mediaType") or reference.get("media_type") or reference.get("type") or reference.get("kind")
    )
    return next((kind for kind in KINDS if kind in told), "image"), url


# A durable workflow from the words of a question: what "creative-agent" does with more than one step (chat §2.7).
#
# Called by the agent. The plan has the form that the service takes from anybody; the steps are those that would be
# called one after the other.


_TARGETS: Mapping[str, tuple[str, str]] = {
    "generate_video": ("image", "referenceImageIndices"),
    "animate_photo": ("image", "sourceImageIndex"),
    "edit_image": ("image", "sourceImageIndex"),
    "apply_style": ("image", "sourceImageIndex"),
    "refine_result": ("image", "sourceImageIndex"),
    "change_angle": ("image", "sourceImageIndex"),
    "upscale_image": ("image", "sourceImageIndex"),
    "remove_background": ("image", "sourceImageIndex"),
    "orbit_video": ("image", "sourceImageIndex"),
    "video_to_video": ("video", "videoSourceIndex"),
    "extend_video": ("video", "videoIndex"),
    "stitch_video": ("video", "videoIndices"),
    "sound_to_video": ("audio", "audioSourceIndex"),
}
"""What a step takes from the steps before it, and in which argument."""
_MAKES_AUDIO = ("generate_music", "generate_speech")
_MAKES_VIDEO = ("video", "animate", "montage", "subtitles")


def plan_of(asking: Asking) -> dict[str, Any] | None:
    """Return the plan for a question of several steps, or None when it is none."""
    choice = ToolChoice(asking)
    wanted = choice.wanted()
    if len(wanted) < 2 or not all(name in STEP_TOOLS for name, _ in wanted):
        return None
    about = choice.about(wanted)
    steps: list[dict[str, Any]] = []
    for at, (name, step) in enumerate(wanted):
        made: dict[str, Any] = {
            "id": f"step-{at + 1}",
            "toolName": name,
            "arguments": choice.arguments(name, step, [], about[at]),
        }
        if step.backward and (depends := _depends(name, steps)):
            made["dependsOn"] = depends
            for entry in depends:
                made["arguments"].pop(entry["targetArgument"], None)
        steps.append(made)
    return {"title": about[0][:120], "steps": steps}


def _depends(name: str, before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kind, argument = _TARGETS.get(name, ("", ""))
    sources = [step["id"] for step in before if kind_of(step["toolName"]) == kind]
    taken = sources if name == "stitch_video" else sources[-1:]
    return [
        {
            "sourceStepId": source,
            "sourceArtifactIndex": 0,
            "targetArgument": argument,
            "mediaType": kind,
            "transform": f"{kind}_index",
            "required": True,
        }
        for source in taken
    ]


def kind_of(tool: str) -> str:
    """Return the kind of media a tool makes."""
    if tool in _MAKES_AUDIO:
        return "audio"
    return "video" if any(word in tool for word in _MAKES_VIDEO) else "image"


# The service's own loop of a model and the hosted tools: ask, run what it calls, tell it the results, ask again.
#
# Called by hosted chat, by durable runs, and for socket completions with ``sogni_tool_execution``. What happens on
# the way is told to a ``Watcher``, which may also stop the loop.


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
    library: MediaLibrary = field(factory=MediaLibrary)
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
    desk: WorkflowService

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
            library=session.library,
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
