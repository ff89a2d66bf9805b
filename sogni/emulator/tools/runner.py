"""Runs one hosted tool: checks its arguments, calls it and numbers its results, and records payments.

Used by durable workflows and chat runs, which decide on the order of calls.
"""
# Protocol notes: tools §6.

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import ROUND_UP, Decimal
from functools import partial
from typing import Any

from attrs import Factory, define, field, frozen

from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.faults import ToolFault
from sogni.emulator.rendering.workers import WorkerPool
from sogni.emulator.state import State
from sogni.emulator.tools import media_tools, text_tools
from sogni.emulator.tools.media_library import Artifacts, Kind, Media, ToolError, UserNeededError
from sogni.emulator.tools.renderer import Estimate, Fetcher, Renderer, ToolCall
from sogni.emulator.tools.tool_context import Arguments, ToolContext, checked_arguments

_log = logging.getLogger(__name__)


@frozen
class Tool:
    """One tool.

    Attributes:
        run: The function that runs it.
        makes: Kind of its results; None if it makes no media.
        takes: Kind of the media it works on; None without any.
        argument: The argument with the number of these media.
    """

    run: Callable[[ToolContext], Awaitable[Artifacts | list[Media]]]
    makes: Kind | None = None
    takes: Kind | None = None
    argument: str = ""


_IMAGE: tuple[Kind, str] = ("image", "sourceImageIndex")
_VIDEO: tuple[Kind, str] = ("video", "sourceVideoIndex")
TOOLS: Mapping[str, Tool] = {
    "generate_image": Tool(media_tools.generate_image, "image"),
    "edit_image": Tool(media_tools.edit_image, "image", *_IMAGE),
    "apply_style": Tool(partial(media_tools.edit_image, alone=True), "image", *_IMAGE),
    "refine_result": Tool(partial(media_tools.edit_image, alone=True), "image", *_IMAGE),
    "change_angle": Tool(partial(media_tools.edit_image, alone=True), "image", *_IMAGE),
    "restore_photo": Tool(partial(media_tools.edit_image, original=True, alone=True), "image"),
    "upscale_image": Tool(media_tools.upscale_image, "image", *_IMAGE),
    "remove_background": Tool(media_tools.remove_background, "image", *_IMAGE),
    "segment_image": Tool(media_tools.segment_image, "image", *_IMAGE),
    "image_to_3d": Tool(media_tools.image_to_3d, "model", *_IMAGE),
    "generate_music": Tool(media_tools.generate_music, "audio"),
    "generate_speech": Tool(media_tools.generate_speech, "audio"),
    "generate_video": Tool(media_tools.generate_video, "video", "image", "referenceImageIndices"),
    "animate_photo": Tool(media_tools.animate_photo, "video", *_IMAGE),
    "orbit_video": Tool(media_tools.orbit_video, "video", *_IMAGE),
    "dance_montage": Tool(media_tools.dance_montage, "video", *_IMAGE),
    "sound_to_video": Tool(media_tools.sound_to_video, "video", "audio", "audioSourceIndex"),
    "video_to_video": Tool(media_tools.video_to_video, "video", "video", "videoSourceIndex"),
    "stitch_video": Tool(media_tools.stitch_video, "video", "video", "videoIndices"),
    "extend_video": Tool(media_tools.extend_video, "video", "video", "videoIndex"),
    "replace_video_segment": Tool(media_tools.replace_video_segment, "video", "video", "videoIndex"),
    "overlay_video": Tool(media_tools.overlay_video, "video", *_VIDEO),
    "add_subtitles": Tool(media_tools.add_subtitles, "video", *_VIDEO),
    "upscale_video": Tool(media_tools.upscale_video, "video", *_VIDEO),
    "analyze_image": Tool(partial(text_tools.analyze, kind="image")),
    "analyze_video": Tool(partial(text_tools.analyze, kind="video")),
    "extract_metadata": Tool(text_tools.extract_metadata),
    "ask_clarifying_question": Tool(text_tools.ask_clarifying_question),
    "finalize_response": Tool(text_tools.finalize_response),
    "create_asset_manifest": Tool(text_tools.create_asset_manifest),
    "inspect_asset": Tool(text_tools.inspect_asset),
    "label_asset": Tool(text_tools.label_asset),
    "map_assets_for_model": Tool(text_tools.map_assets_for_model),
    "validate_asset_references": Tool(text_tools.validate_asset_references),
}
"""The tools that steps of a workflow may use. Those that make nothing are free."""


@frozen(kw_only=True)
class ToolOutcome:
    """The outcome of a call.

    Attributes:
        indices: ``startIndex``, ``indices`` and possibly ``videoStartIndex``.
        problems: Messages of results that failed while others succeeded.
    """

    name: str
    media: Sequence[Media]
    parts: Sequence[Media]
    facts: Mapping[str, Any]
    indices: Mapping[str, Any]
    cost: Decimal
    problems: Sequence[ToolError] = ()

    def wire(self, url: Callable[[Media], str]) -> dict[str, object]:
        """Return the result in the form of a chat: JSON with numbers and URLs."""
        result: dict[str, Any] = {"success": True, "toolName": self.name, **self.facts, **self.indices}
        if self.media:
            result |= {
                "mediaType": self.media[0].kind,
                "urls": [url(media) for media in self.media],
                "artifacts": [media.wire(url(media)) for media in self.media],
            }
        if self.parts:
            result["clips"] = [media.wire(url(media)) for media in self.parts]
        if self.problems:
            result["failed"] = [problem.wire() for problem in self.problems]
        return result


@define(eq=False)
class ToolRunner:
    """Runs tools with the emulator's workers. Belongs to the server's event loop."""

    state: State
    pool: WorkerPool
    fetcher: Fetcher = field(default=Factory(lambda self: Fetcher(self.state), takes_self=True))

    async def run(self, call: ToolCall) -> ToolOutcome:
        """Run a tool. A canceled task cancels the projects it has started.

        Raises ``ToolError`` if the tool fails, ``UserNeededError`` if the user has to decide.
        """
        fault = self.state.faults.take(ToolFault, call.name)
        if fault is not None:
            raise ToolError(fault.code, fault.message)
        renderer = Renderer(self.state, self.pool, self.fetcher, call)
        artifacts = await self._work(call, renderer)
        return ToolOutcome(
            name=call.name,
            media=artifacts.results,
            parts=artifacts.parts,
            facts=artifacts.facts,
            indices=call.library.add(artifacts.results),
            cost=renderer.spent,
            problems=renderer.failures,
        )

    async def estimate(self, call: ToolCall) -> tuple[Decimal, list[Media]]:
        """Return the price of a call in its token, and the media it would make as far as known; nothing is made.

        Media that do not exist yet must be in the call's library as placeholders.
        """
        renderer = Estimate(self.state, self.pool, self.fetcher, call)
        try:
            artifacts = await self._work(call, renderer)
        except UserNeededError:
            return Decimal(0), []
        return renderer.spent, list(artifacts.results)

    def url(self, media: Media) -> str:
        return self.state.artifact_url(media.key)

    async def _work(self, call: ToolCall, renderer: Renderer) -> Artifacts:
        tool = TOOLS.get(call.name)
        if tool is None:
            raise ToolError("UNKNOWN_TOOL", f"Unknown tool {call.name}")
        if isinstance(renderer, Estimate) and tool.makes is None:
            return Artifacts()
        checked = checked_arguments(call.name, call.arguments)
        try:
            artifacts = await tool.run(ToolContext(renderer, Arguments(checked), call.library, call.seed))
        except (ToolError, UserNeededError):
            raise
        except Exception as error:
            # A failing tool must not take down the other steps of a plan or a chat.
            _log.exception("the emulator could not run the tool %s", call.name)
            raise ToolError("TOOL_FAILED", f"{call.name} failed: {type(error).__name__}") from error
        return artifacts if isinstance(artifacts, Artifacts) else Artifacts(artifacts)


def capacity_units(cost: Decimal) -> int:
    """Return a cost in the integer units of budgets and previews."""
    return int(cost.to_integral_value(ROUND_UP))


@define(eq=False)
class Payments:
    """Amounts paid for hosted work, by token, because some models are paid with Spark only.

    Kept by workflow steps and chat runs: work that has to start again must not be charged twice.
    """

    amounts: dict[Token, Decimal] = field(factory=dict)

    def add(self, token: Token, amount: Decimal) -> None:
        self.amounts[token] = self.amounts.get(token, Decimal(0)) + amount

    @property
    def total(self) -> Decimal:
        return sum(self.amounts.values(), Decimal(0))

    def give_back(self, account: Account, description: str) -> None:
        """Refund everything to an account."""
        amounts, self.amounts = self.amounts, {}
        for token, amount in amounts.items():
            if amount:
                account.funds.move(token, amount, description=description, source="workflow")
