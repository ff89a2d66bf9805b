"""What a step gets from the steps it depends on: which artifacts, in which form, in which argument.

Called by the engine when a step begins (workflows §2.1).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define

from ...protocol.tool_manifest import parameters_of, tool_names
from ..hosted import Media, Shelf, ToolError, ToolRunner
from ..hosted.drawing import parse_subtitles
from .runs import INPUT_MEDIA, Run, Step

_LISTS = ("reference_image_urls", "reference_video_urls", "reference_audio_urls", "videoIndices", "video_urls", "cues")
_LISTS_OF_TOOLS = ("overlays",)


@define(eq=False)
class Binding:
    """Fills in the arguments of one step."""

    tools: ToolRunner
    run: Run
    step: Step
    shelf: Shelf

    async def arguments(self) -> dict[str, Any]:
        """Return the step's arguments with everything its dependencies give; raise ``ToolError`` for what is
        missing."""
        filled = dict(self.step.arguments)
        for dependency in self.step.depends_on:
            target = dependency["targetArgument"]
            values = await self._values(dependency)
            if not values and dependency.get("required") is not False:
                wanted = f"{dependency['sourceStepId']} gives nothing for {target} ({dependency['transform']})"
                raise ToolError("DEPENDENCY_MISSING", f"The step {self.step.id} cannot run: {wanted}")
            if not values:
                continue
            if self._takes_list(target):
                given = filled.get(target)
                filled[target] = [*(given if isinstance(given, list) else []), *values]
            else:
                filled[target] = values[0]
                if dependency["transform"].endswith("_index"):
                    self.shelf.bound[target] = self._media(dependency, dependency["transform"])[0]
        return filled

    def _takes_list(self, target: str) -> bool:
        if self.step.tool in tool_names():
            schema = parameters_of(self.step.tool)["properties"].get(target, {})
            if "type" in schema:
                return bool(schema["type"] == "array")
        return target in (*_LISTS, *_LISTS_OF_TOOLS) or target.endswith(("Indices", "_urls", "Urls"))

    async def _values(self, dependency: Mapping[str, Any]) -> list[Any]:
        transform = dependency["transform"]
        if transform in ("subtitle_cues", "subtitle_srt"):
            return self._subtitles(dependency, transform)
        media = self._media(dependency, transform)
        if transform in ("artifact_url", "image_url", "video_url", "audio_url"):
            return [self.tools.url(item) for item in media]
        if transform == "artifact_data_uri":
            return [await self._data_uri(item) for item in media]
        if transform.endswith("_index"):
            return [self.shelf.index(item) for item in media]
        if transform == "overlay_items":
            return self._overlays(dependency, media)
        return [{**item.wire(self.tools.url(item)), "index": self.shelf.index(item)} for item in media]

    def _source(self, dependency: Mapping[str, Any]) -> Step | None:
        return self.run.step(str(dependency["sourceStepId"]))

    def _media(self, dependency: Mapping[str, Any], transform: str) -> list[Media]:
        """Return the artifacts a dependency speaks of: of one kind, one by id or number, or all."""
        source = self._source(dependency)
        if dependency["sourceStepId"] == INPUT_MEDIA:
            media: Sequence[Media] = self.run.uploads or ()
        else:
            media = () if source is None else source.media
        kind = transform.partition("_")[0]
        kinds = {dependency.get("mediaType")} if dependency.get("mediaType") else {"image", "video", "audio"}
        if kind in ("image", "video", "audio"):
            kinds &= {kind}
        found = [item for item in media if item.kind in kinds]
        wanted, index = dependency.get("sourceArtifactId"), dependency.get("sourceArtifactIndex")
        if wanted is not None:
            found = [item for item in found if item.id == wanted]
        if index is not None:
            found = found[index : index + 1]
        return found

    async def _data_uri(self, media: Media) -> str:
        state = self.tools.state
        stored = state.store.find(media.key)
        if stored is None:
            raise ToolError("MEDIA_NOT_FOUND", f"The {media.kind} {media.id} is not kept any more")
        content = await state.store.content(stored)
        return f"data:{media.mime};base64,{base64.b64encode(content).decode('ascii')}"

    def _overlays(self, dependency: Mapping[str, Any], media: Sequence[Media]) -> list[Any]:
        source = self._source(dependency)
        items = None if source is None else source.facts.get("overlays")
        if isinstance(items, list):
            return items
        return [
            {"kind": "image", "sourceImageIndex": self.shelf.index(item), "position": "bottom-right"}
            for item in media
            if item.kind == "image"
        ]

    def _subtitles(self, dependency: Mapping[str, Any], transform: str) -> list[Any]:
        """Return cues or SRT from what a step found out: its cues, its SRT, or its words as one cue."""
        source = self._source(dependency)
        facts = {} if source is None else source.facts
        cues = facts.get("cues")
        if not isinstance(cues, list):
            text = next((facts[name] for name in ("srt", "response", "analysis", "answer") if facts.get(name)), None)
            if text is None:
                return []
            timed = parse_subtitles(text) if "-->" in text else [(0.0, 5.0, str(text))]
            cues = [{"startSeconds": start, "endSeconds": end, "text": words} for start, end, words in timed]
        return cues if transform == "subtitle_cues" else [_srt(cues)]


def _srt(cues: Sequence[Mapping[str, Any]]) -> str:
    blocks = [
        f"{number}\n{_clock(cue['startSeconds'])} --> {_clock(cue['endSeconds'])}\n{cue['text']}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def _clock(seconds: float) -> str:
    whole, milli = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{milli:03d}"
