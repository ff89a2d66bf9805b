"""A durable workflow from the words of a question: what "creative-agent" does with more than one step (chat §2.7).

Called by the agent. The plan has the form that the service takes from anybody; the steps are those that would be
called one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..workflows.plan_check import STEP_TOOLS
from .asking import Asking
from .tool_choice import ToolChoice

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
