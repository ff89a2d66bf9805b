"""Runs one hosted tool: checks its arguments, calls it and numbers its results; keeps account of payments.

Used by durable workflows and chat runs, which decide on the order of calls.
"""
# Protocol notes: tools §6.

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from decimal import ROUND_UP, Decimal
from typing import Any

from attrs import define, field, frozen

from sogni.core.tools.arguments import validate_tool_arguments
from sogni.core.tools.hosted import tool_names
from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.faults import ToolFault
from sogni.emulator.rendering.workers import WorkerPool
from sogni.emulator.state import State
from sogni.emulator.tools import analysis_tools as looking_tools
from sogni.emulator.tools import editing_tools as cutting_tools
from sogni.emulator.tools import editing_tools as show_tools
from sogni.emulator.tools import image_tools, video_tools
from sogni.emulator.tools.media_library import Artifacts, Media, MediaLibrary, ToolError, UserNeededError
from sogni.emulator.tools.renderer import AnyRenderer, Estimate, Fetcher, Payer, Renderer
from sogni.emulator.tools.tool_context import Arguments, ToolContext

_log = logging.getLogger(__name__)
Tool = Callable[[ToolContext], Awaitable["Artifacts | list[Media]"]]

TOOLS: Mapping[str, Tool] = {
    "generate_image": image_tools.generate_image,
    "edit_image": image_tools.edit_image,
    "apply_style": image_tools.apply_style,
    "restore_photo": image_tools.restore_photo,
    "refine_result": image_tools.refine_result,
    "change_angle": image_tools.change_angle,
    "upscale_image": image_tools.upscale_image,
    "remove_background": image_tools.remove_background,
    "segment_image": image_tools.segment_image,
    "image_to_3d": image_tools.image_to_3d,
    "generate_video": video_tools.generate_video,
    "sound_to_video": video_tools.sound_to_video,
    "video_to_video": video_tools.video_to_video,
    "generate_music": video_tools.generate_music,
    "generate_speech": video_tools.generate_speech,
    "animate_photo": show_tools.animate,
    "orbit_video": show_tools.orbit_video,
    "dance_montage": show_tools.dance_montage,
    "stitch_video": cutting_tools.stitch_video,
    "extend_video": cutting_tools.extend_video,
    "replace_video_segment": cutting_tools.replace_video_segment,
    "overlay_video": cutting_tools.overlay_video,
    "add_subtitles": cutting_tools.add_subtitles,
    "upscale_video": cutting_tools.upscale_video,
    "analyze_image": looking_tools.analyze_image,
    "analyze_video": looking_tools.analyze_video,
    "extract_metadata": looking_tools.extract_metadata,
    "ask_clarifying_question": looking_tools.ask_clarifying_question,
    "finalize_response": looking_tools.finalize_response,
    "create_asset_manifest": looking_tools.create_asset_manifest,
    "inspect_asset": looking_tools.inspect_asset,
    "label_asset": looking_tools.label_asset,
    "map_assets_for_model": looking_tools.map_assets_for_model,
    "validate_asset_references": looking_tools.validate_asset_references,
}
FREE = frozenset(name for name, tool in TOOLS.items() if tool.__module__ in (looking_tools.__name__,))


@frozen(kw_only=True)
class ToolCall:
    """One call.

    Attributes:
        library: The media that numbers in the arguments refer to; results are added to it.
        seed: The seed of everything random; an argument ``seed`` takes precedence.
    """

    name: str
    arguments: Mapping[str, Any]
    account: Account
    token: Token = "spark"
    library: MediaLibrary = field(factory=MediaLibrary)
    seed: int = 0
    app_source: str | None = None
    safe: bool = True
    on_paid: Callable[[Token, Decimal], None] | None = None
    """Called for every amount charged for the call."""


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
    fetcher: Fetcher = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.fetcher = Fetcher(self.state)

    async def run(self, call: ToolCall) -> ToolOutcome:
        """Run a tool. A canceled task cancels the projects it has started.

        Raises ``ToolError`` if the tool fails, ``UserNeededError`` if the user has to decide.
        """
        fault = self.state.faults.take(ToolFault, call.name)
        if fault is not None:
            raise ToolError(fault.code, fault.message)
        payer = Payer(account=call.account, token=call.token, app_source=call.app_source, safe=call.safe)
        renderer = Renderer(self.state, self.pool, self.fetcher, payer, call.on_paid)
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

    async def estimate(self, call: ToolCall) -> Decimal:
        """Return the price of a call in its token; nothing is made.

        Media that do not exist yet must be in the call's library as placeholders.
        """
        cost, _ = await self.estimate_call(call)
        return cost

    async def estimate_call(self, call: ToolCall) -> tuple[Decimal, list[Media]]:
        """Return the price of a call, and the media it would make as far as known."""
        renderer = Estimate(self.state, Payer(account=call.account, token=call.token))
        try:
            artifacts = await self._work(call, renderer)
        except UserNeededError:
            return Decimal(0), []
        return renderer.total, list(artifacts.results)

    def url(self, media: Media) -> str:
        """Return the URL of a file."""
        return self.state.artifact_url(media.key)

    async def _work(self, call: ToolCall, renderer: AnyRenderer) -> Artifacts:
        tool = TOOLS.get(call.name)
        if tool is None:
            raise ToolError("UNKNOWN_TOOL", f"Unknown tool {call.name}")
        if isinstance(renderer, Estimate) and call.name in FREE:
            return Artifacts()
        checked = checked_arguments(call.name, call.arguments)
        try:
            artifacts = await tool(ToolContext(renderer, Arguments(checked), call.library, call.seed))
        except (ToolError, UserNeededError):
            raise
        except Exception as error:
            # A failing tool must not take down the other steps of a plan or a chat.
            _log.exception("the emulator could not run the tool %s", call.name)
            raise ToolError("TOOL_FAILED", f"{call.name} failed: {type(error).__name__}") from error
        return artifacts if isinstance(artifacts, Artifacts) else Artifacts(artifacts)


def checked_arguments(name: str, arguments: Mapping[str, Any], bound: Collection[str] = ()) -> dict[str, object]:
    """Return arguments under the names of the tool's schema, or raise ``ToolError`` if they do not fit it.

    Arguments in ``bound`` are filled in later and not checked.
    """
    if name not in tool_names():
        return dict(arguments)
    if name == "add_subtitles" and arguments.get("auto_transcribe") and not {"cues", "srt"} & {*arguments, *bound}:
        raise ToolError("USER_INPUT_INCOMPLETE", "auto_transcribe is reserved; give cues or srt")
    # An unknown model is not an error (tools §5.2).
    selectors = ("videoModel",) if name in ("generate_music", "generate_speech") else ("model", "videoModel")
    checked = validate_tool_arguments(name, arguments, skip_enum_properties=selectors)
    errors = [error for error in checked.errors if not _about(error, bound)]
    if errors:
        raise ToolError("INVALID_ARGUMENTS", f"{name}: {'; '.join(errors)}")
    return checked.arguments


def _about(error: str, names: Collection[str]) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", error) for name in names)


def capacity_units(cost: Decimal) -> int:
    """Return a cost in the integer units of budgets and previews."""
    return int(cost.to_integral_value(ROUND_UP))


@define(eq=False)
class Payments:
    """Amounts paid for hosted work, by token: some models are paid with Spark only, whatever the rest is paid with.

    Kept by workflow steps and chat runs: work that has to start again must not be charged twice.
    """

    _amounts: dict[Token, Decimal] = field(factory=dict)

    def add(self, token: Token, amount: Decimal) -> None:
        self._amounts[token] = self._amounts.get(token, Decimal(0)) + amount

    @property
    def total(self) -> Decimal:
        return sum(self._amounts.values(), Decimal(0))

    def give_back(self, account: Account, description: str) -> None:
        """Refund everything to an account."""
        amounts, self._amounts = self._amounts, {}
        for token, amount in amounts.items():
            if amount:
                account.move(token, amount, description=description, source="workflow")

    def saved(self) -> dict[str, str]:
        return {token: str(amount) for token, amount in self._amounts.items()}

    @classmethod
    def restored(cls, saved: Mapping[Token, str]) -> Payments:
        return cls({token: Decimal(amount) for token, amount in saved.items()})
