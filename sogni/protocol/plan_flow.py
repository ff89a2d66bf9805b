"""Whether a step gives what another can take: decides which dependencies look wrong (workflows §2.1; tools §2.1).

Called by `plan_check` for `check()` and `strict=True`. Everything it finds is a warning: tools may give and take more
than their definitions say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..models.converter import camel
from ..models.workflow_plans import PlanFinding
from .plan_places import Place, listed_dependencies, places_of
from .tool_manifest import parameters_of, tool_names

_MADE = {
    "image": (
        "generate_image", "edit_image", "apply_style", "restore_photo", "refine_result", "change_angle",
        "remove_background", "segment_image", "upscale_image",
    ),
    "video": (
        "generate_video", "animate_photo", "video_to_video", "stitch_video", "orbit_video", "dance_montage",
        "sound_to_video", "extend_video", "replace_video_segment", "overlay_video", "add_subtitles", "upscale_video",
    ),
    "audio": ("generate_music", "generate_speech"),
}  # fmt: skip
_KIND_OF = {tool: kind for kind, tools in _MADE.items() for tool in tools}
"""What the tools make, as far as it is one kind of media."""

_LAST_FRAMES = "returnLastFrame"
_FORMS = {"_index": ("number", "a number"), "_url": ("string", "an address"), "_uri": ("string", "a text")}
_TYPES = {"integer": "number"}


def flow_findings(plan: Any) -> Iterator[PlanFinding]:
    """What looks wrong about the dependencies in the wire form of a plan; what cannot be read is left out."""
    steps = plan.get("steps") if isinstance(plan, Mapping) else None
    if not isinstance(steps, list):
        return
    places = places_of(steps)
    known = {place.id: step for place, step in zip(places, steps, strict=True) if place.id is not None}
    for place, step in zip(places, steps, strict=True):
        for index, need in enumerate(listed_dependencies(step)):
            if isinstance(need, Mapping):
                yield from _kinds(place, f"depends_on[{index}]", need, known)
                yield from _forms(place, f"depends_on[{index}]", need, step)


def _kinds(place: Place, within: str, need: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[PlanFinding]:
    """A kind of media that the source does not make."""
    told = _text(need, "media_type")
    wanted = _text(need, "transform").partition("_")[0]
    if wanted not in _MADE:
        wanted = told
    elif told in _MADE and told != wanted:
        yield place.finding(
            "media", f"{within}.media_type", f"is {told!r}, but transform takes {wanted}s", warning=True
        )
    source = known.get(_text(need, "source_step_id"), {})
    made = _KIND_OF.get(_text(source, "tool_name"))
    arguments = source.get("arguments")
    frames = wanted == "image" and isinstance(arguments, Mapping) and _LAST_FRAMES in arguments
    if wanted in _MADE and made not in (None, wanted) and not frames:
        words = f"gives {made}s, but {wanted}s are taken"
        yield place.finding("media", f"{within}.source_step_id", words, warning=True)


def _forms(place: Place, within: str, need: Mapping[str, Any], step: Mapping[str, Any]) -> Iterator[PlanFinding]:
    """A form that the argument does not take."""
    transform, target, tool = _text(need, "transform"), _text(need, "target_argument"), _text(step, "tool_name")
    form = next((form for suffix, form in _FORMS.items() if transform.endswith(suffix)), None)
    schema = parameters_of(tool)["properties"].get(target) if tool in tool_names() else None
    if form is None or schema is None:
        return
    kind = schema.get("items", schema).get("type")
    if isinstance(kind, str) and _TYPES.get(kind, kind) != form[0]:
        words = f"gives {form[1]}, which is no value for {target} of {tool}"
        yield place.finding("argument", f"{within}.transform", words, warning=True)


def _text(given: Any, name: str) -> str:
    value = given.get(camel(name)) if isinstance(given, Mapping) else None
    return value if isinstance(value, str) else ""
