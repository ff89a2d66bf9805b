"""Validation of the arguments of Sogni tools.

Checks each argument against the tool's schema, then the rules that span several arguments or that no schema can
express. Contradictions are errors; options without effect are warnings. Media and models are checked where they are
used.
"""

# Arguments: tools §2.2, §3.

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import product
from typing import Any

from attrs import frozen

from sogni.core.checks import did_you_mean
from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.core.tools.schemas import SchemaCheck, is_missing
from sogni.models.converter import snake
from sogni.models.tools import ToolArguments


@frozen
class _Error:
    text: str


@frozen
class _Warning:
    text: str


_Findings = Iterator[_Error | _Warning]
_AZIMUTHS = (
    "front view", "front-right quarter view", "right side view", "back-right quarter view", "back view",
    "back-left quarter view", "left side view", "front-left quarter view",
)  # fmt: skip
_ELEVATIONS = ("low-angle shot", "eye-level shot", "elevated shot", "high-angle shot")
_DISTANCES = ("close-up", "medium shot", "wide shot")
_ANGLES = frozenset(" ".join(parts) for parts in product(_AZIMUTHS, _ELEVATIONS, _DISTANCES))
_MAX_SINGLE_CLIP_SECONDS = 20


def rule_findings(tool_name: str, arguments: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return errors and warnings for arguments that fit the schema of the tool."""
    given = {name: value for name, value in arguments.items() if not is_missing(value)}
    rule = _RULES.get(tool_name)
    found = list(rule(given)) if rule else []
    errors = [it.text for it in found if isinstance(it, _Error)]
    return errors, [it.text for it in found if isinstance(it, _Warning)]


def _outside(given: Mapping[str, Any], name: str, low: float, high: float) -> _Findings:
    if name in given and not low <= given[name] <= high:
        yield _Error(f"{name} must be from {low:g} to {high:g}, got {given[name]!r}")


def _without(given: Mapping[str, Any], needed: str, *names: str) -> _Findings:
    """Warn of arguments that have no effect without another one."""
    for name in names:
        if name in given and needed not in given:
            yield _Warning(f"{name} has no effect without {needed}")


def _exclusive(given: Mapping[str, Any], *names: str) -> _Findings:
    found = [name for name in names if name in given]
    if len(found) > 1:
        yield _Error(f"{found[1]} cannot be combined with {found[0]}")


def _media_project(given: Mapping[str, Any]) -> _Findings:
    yield from _without(given, "loras", "loraStrengths")
    if "loras" in given and len(given.get("loraStrengths", ())) > len(given["loras"]):
        yield _Error(f"loraStrengths must have at most one entry per LoRA, got {len(given['loraStrengths'])}")
    yield from _exclusive(given, "referenceFileUrl", "referenceLinkUrl")


def _edit_image(given: Mapping[str, Any]) -> _Findings:
    yield from _media_project(given)
    if given.get("gptImageBackground") == "transparent" and given.get("outputFormat") in ("jpg", "jpeg"):
        yield _Error("outputFormat must be 'png' or 'webp' for a transparent background")


def _generate_image(given: Mapping[str, Any]) -> _Findings:
    yield from _edit_image(given)
    yield from _outside(given, "starting_image_strength", 0, 1)
    yield from _without(given, "sourceImageIndex", "starting_image_strength")
    yield from _without(given, "starting_image_strength", "sourceImageIndex")


def _animate_photo(given: Mapping[str, Any]) -> _Findings:
    yield from _media_project(given)
    yield from _outside(given, "duration", 2, 20)
    indices = given.get("sourceImageIndices")
    if indices is not None:
        for name in ("sourceImageIndex", "numberOfVariations"):
            if name in given:
                yield _Error(f"{name} cannot be combined with sourceImageIndices")
        if given.get("frameRole") == "end":
            yield _Error("frameRole must not be 'end' if sourceImageIndices is given")
    for name in ("prompts", "endImageIndices"):
        if name in given and (indices is None or len(given[name]) != len(indices)):
            yield _Error(f"{name} must have one entry per entry of sourceImageIndices")
    if given.get("frameRole") == "both" and "endImageIndex" not in given and "endImageIndices" not in given:
        yield _Error("endImageIndex or endImageIndices is required when frameRole is 'both'")


def _change_angle(given: Mapping[str, Any]) -> _Findings:
    yield from _outside(given, "loraStrength", 0.1, 1)
    if given["description"] not in _ANGLES:
        yield _Error(
            "description must be a direction, a height and a distance, separated by single spaces, "
            f"such as 'front view eye-level shot medium shot', got {given['description']!r}"
        )


def _stitch_video(given: Mapping[str, Any]) -> _Findings:
    if len(given["videoIndices"]) == 1:
        yield _Error("videoIndices must have at least 2 entries, got 1")


def _dance_montage(given: Mapping[str, Any]) -> _Findings:
    if given.get("singleClip") and given.get("duration", 0) > _MAX_SINGLE_CLIP_SECONDS:
        yield _Error(f"duration must be at most {_MAX_SINGLE_CLIP_SECONDS} with singleClip, got {given['duration']!r}")


def _replace_video_segment(given: Mapping[str, Any]) -> _Findings:
    begin, end = given["startSeconds"], given["endSeconds"]
    splices = "replacementVideoIndex" in given
    for name in ("startSeconds", "endSeconds"):
        if given[name] < 0 and given[name] != -1:
            yield _Error(f"{name} must be 0 or more, or -1 for the end, got {given[name]!r}")
    if end != -1 and (begin == -1 or begin > end or (begin == end and not splices)):
        yield _Error(f"endSeconds must be after startSeconds ({begin!r}), got {end!r}")
    yield from _without(given, "replacementVideoIndex", "replacementStartSeconds", "replacementEndSeconds")


def _overlay_video(given: Mapping[str, Any]) -> _Findings:
    for index, overlay in enumerate(given["overlays"]):
        required = "text" if overlay["kind"] == "text" else "sourceImageIndex"
        if is_missing(overlay.get(required)):
            yield _Error(f"overlays[{index}].{required} is required for kind {overlay['kind']!r}")


def _add_subtitles(given: Mapping[str, Any]) -> _Findings:
    if given.get("auto_transcribe"):
        yield _Error("auto_transcribe is not available yet; use cues or srt")
    elif ("cues" in given) == ("srt" in given):
        yield _Error("srt or cues is required, but not both")


def _video_to_video(given: Mapping[str, Any]) -> _Findings:
    for mode, names in {
        "outpaint": ("outpaintPosition", "outpaintAspectRatio"),
        "inpaint": ("maskImageIndex",),
    }.items():
        for name in names:
            if name in given and given.get("controlMode") != mode:
                yield _Warning(f"{name} has no effect without controlMode {mode!r}")


_VOICES: Mapping[str, tuple[str, ...]] = {
    "voice": ("voice",),
    "clone": ("voiceSourceIndex", "voice_source_url", "voiceTranscript"),
    "design": ("voiceDescription",),
}
"""The arguments that only one model of `generate_speech` uses."""


def _generate_speech(given: Mapping[str, Any]) -> _Findings:
    model = given.get("model", "voice")
    yield from _exclusive(given, "voiceSourceIndex", "voice_source_url")
    if model == "clone" and given.keys().isdisjoint(("voiceSourceIndex", "voice_source_url")):
        yield _Error("voiceSourceIndex or voice_source_url is required for model 'clone'")
    if model == "design" and "voiceDescription" not in given:
        yield _Error("voiceDescription is required for model 'design'")
    for other, names in _VOICES.items():
        for name in names:
            if name in given and model in _VOICES and model != other:
                yield _Warning(f"{name} has no effect without model {other!r}")


def _upscale_image(given: Mapping[str, Any]) -> _Findings:
    if "scale" in given and "targetLongestEdge" in given:
        yield _Warning("scale has no effect with targetLongestEdge")


def _image_source(given: Mapping[str, Any]) -> _Findings:
    yield from _exclusive(given, "sourceImageIndex", "source_image_url")


def _image_to_3d(given: Mapping[str, Any]) -> _Findings:
    yield from _image_source(given)
    for side in ("left", "back", "right"):
        yield from _exclusive(given, f"{side}ViewImageIndex", f"{side}_view_image_url")


def _segment_image(given: Mapping[str, Any]) -> _Findings:
    yield from _image_source(given)
    points, boxes = given.get("points", ()), given.get("boxes", ())
    positive = any(it.get("label", "positive") == "positive" for it in (*points, *boxes))
    if "text" in given and points:
        yield _Error("points cannot be combined with text")
    elif "text" not in given and not positive:
        yield _Error("text, a positive point or a positive box is required")
    if points and (len(boxes) > 1 or any(box.get("label") == "negative" for box in boxes)):
        yield _Error("boxes must be at most one, a positive one, with points")
    for index, box in enumerate(boxes):
        for low, high in (("x0", "x1"), ("y0", "y1")):
            if box[low] >= box[high]:
                yield _Error(f"boxes[{index}].{low} must be less than {high}, got {box[low]!r}")
    yield from _without(given, "points", "multimask")


_RULES: Mapping[str, Callable[[Mapping[str, Any]], _Findings]] = {
    "generate_image": _generate_image,
    "generate_video": _media_project,
    "generate_speech": _generate_speech,
    "edit_image": _edit_image,
    "upscale_image": _upscale_image,
    "video_to_video": _video_to_video,
    "sound_to_video": _media_project,
    "animate_photo": _animate_photo,
    "change_angle": _change_angle,
    "stitch_video": _stitch_video,
    "dance_montage": _dance_montage,
    "replace_video_segment": _replace_video_segment,
    "overlay_video": _overlay_video,
    "add_subtitles": _add_subtitles,
    "image_to_3d": _image_to_3d,
    "remove_background": _image_source,
    "segment_image": _segment_image,
}


# Validation against the schema


_ADJUSTED_BY_EXECUTOR = frozenset(
    {
        "number_of_variations", "negative_prompt", "gpt_image_quality", "output_format", "generate_audio",
        "control_mode", "audio_start",
    }
)  # fmt: skip
"""Arguments whose values the executor adjusts instead of rejecting them."""


def validate_tool_arguments(
    tool_name: str,
    arguments: Any,
    *,
    skip_enum_properties: Collection[str] | None = None,
    coerce_primitives: bool = False,
    strip_unknown_properties: bool = False,
) -> ToolArguments:
    """Check the arguments of a hosted tool.

    Argument names may be written in snake_case or camelCase; the result uses the names of the tool's definition.
    Nothing is raised for invalid arguments. For a required argument, null, an empty string and an
    empty list count as missing.

    Args:
        tool_name: Name of the tool.
        arguments: The arguments, a JSON object.
        skip_enum_properties: Arguments that may have values beyond those listed in the definition. Default: `model`,
            except that of `generate_music`.
        coerce_primitives: Whether to accept the string "3" where a number is required.
        strip_unknown_properties: Whether to remove arguments that the tool does not define.

    Returns:
        The cleaned arguments, with `ok`, `errors` and `warnings`; each error starts with the path of its argument
        (`overlays[0].text`).

    Example:
        >>> checked = sogni.validate_tool_arguments("generate_image", {"prompt": "a kite", "width": "512"})
        >>> checked.ok, checked.errors
        (False, ["width must be a number, got '512'"])
    """
    if not isinstance(arguments, Mapping):
        return _invalid({}, f"arguments must be a JSON object, got {type(arguments).__name__}")
    given = {str(name): value for name, value in arguments.items()}
    if tool_name not in tool_names():
        return _invalid(given, f"{tool_name!r} is not a Sogni tool{did_you_mean(tool_name, tool_names())}")
    schema = parameters_of(tool_name)
    if skip_enum_properties is None:
        skip_enum_properties = () if tool_name == "generate_music" else ("model",)
    check = SchemaCheck(skip_enum_properties, coerce_primitives, strip_unknown_properties)
    known = schema["properties"]
    named, unchecked = _with_known_names(given, known, check.warnings)
    properties = {**known, **{name: {} for name in unchecked}}
    cleaned = check.value(named, {**schema, "properties": properties})
    if not check.errors:
        errors, warnings = rule_findings(tool_name, cleaned)
        check.errors += errors
        check.warnings += warnings
    return ToolArguments(ok=not check.errors, arguments=cleaned, errors=check.errors, warnings=check.warnings)


def _invalid(arguments: dict[str, Any], why: str) -> ToolArguments:
    return ToolArguments(ok=False, arguments=arguments, errors=[why], warnings=[])


def _with_known_names(
    given: Mapping[str, Any], known: Mapping[str, Any], warnings: list[str]
) -> tuple[dict[str, Any], set[str]]:
    """Return the arguments under their defined names, and the names whose values are not checked.

    If both spellings are given, the snake_case one is used.
    """
    # tools §3.1
    spelled = {snake(name): name for name in known}
    named = {name: value for name, value in given.items() if name in known or snake(name) not in spelled}
    unchecked = set()
    for name, value in given.items():
        if name not in named:
            meant = spelled[snake(name)]
            named[meant] = value
            warnings.append(f"{name} is read as {meant}")
            if name in _ADJUSTED_BY_EXECUTOR:
                unchecked.add(meant)
    return named, unchecked
