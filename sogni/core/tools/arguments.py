"""Rules that span several arguments of a tool, or that no schema can say (tools §2.2).

Called by `tool_arguments` once every single argument fits. Contradictions are errors; what merely has no effect is a
warning. It knows the tools' sheet and nothing of media.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import product
from typing import Any

from attrs import frozen

from sogni.core.checks import did_you_mean
from sogni.core.tools.hosted import accepted_by, tool_names
from sogni.core.tools.schemas import SchemaCheck, is_missing
from sogni.models.converter import snake
from sogni.models.tools import ToolArguments


@frozen
class _Error:
    text: str


@frozen
class _Warning:
    text: str


_Found = Iterator[_Error | _Warning]
_AZIMUTHS = (
    "front view", "front-right quarter view", "right side view", "back-right quarter view", "back view",
    "back-left quarter view", "left side view", "front-left quarter view",
)  # fmt: skip
_ELEVATIONS = ("low-angle shot", "eye-level shot", "elevated shot", "high-angle shot")
_DISTANCES = ("close-up", "medium shot", "wide shot")
_ANGLES = frozenset(" ".join(parts) for parts in product(_AZIMUTHS, _ELEVATIONS, _DISTANCES))
_LONGEST_SINGLE_CLIP = 20


def conditions_of(tool_name: str, arguments: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Errors and warnings about arguments that fit the schema of the tool."""
    given = {name: value for name, value in arguments.items() if not is_missing(value)}
    rule = _RULES.get(tool_name)
    found = list(rule(given)) if rule else []
    errors = [one.text for one in found if isinstance(one, _Error)]
    return errors, [one.text for one in found if isinstance(one, _Warning)]


def _outside(given: Mapping[str, Any], name: str, low: float, high: float) -> _Found:
    if name in given and not low <= given[name] <= high:
        yield _Error(f"{name} must be from {low:g} to {high:g}, not {given[name]!r}")


def _generate_image(given: Mapping[str, Any]) -> _Found:
    yield from _outside(given, "starting_image_strength", 0, 1)
    for one, other in (
        ("starting_image_strength", "sourceImageIndex"),
        ("sourceImageIndex", "starting_image_strength"),
    ):
        if one in given and other not in given:
            yield _Warning(f"{one} has no effect without {other}")


def _animate_photo(given: Mapping[str, Any]) -> _Found:
    yield from _outside(given, "duration", 2, 20)
    several = given.get("sourceImageIndices")
    if several is not None:
        for name in ("sourceImageIndex", "numberOfVariations"):
            if name in given:
                yield _Error(f"{name} does not go together with sourceImageIndices")
        if given.get("frameRole") == "end":
            yield _Error("frameRole must not be 'end' together with sourceImageIndices")
    for name in ("prompts", "endImageIndices"):
        if name in given and (several is None or len(given[name]) != len(several)):
            yield _Error(f"{name} must have one entry for each of sourceImageIndices")
    if given.get("frameRole") == "both" and "endImageIndex" not in given and "endImageIndices" not in given:
        yield _Error("endImageIndex or endImageIndices is required when frameRole is 'both'")


def _change_angle(given: Mapping[str, Any]) -> _Found:
    yield from _outside(given, "loraStrength", 0.1, 1)
    if given["description"] not in _ANGLES:
        yield _Error(
            "description must be a direction, a height and a distance with single spaces between, "
            f"such as 'front view eye-level shot medium shot', not {given['description']!r}"
        )


def _stitch_video(given: Mapping[str, Any]) -> _Found:
    if len(given["videoIndices"]) == 1:
        yield _Error("videoIndices must have at least 2 entries, not 1")


def _dance_montage(given: Mapping[str, Any]) -> _Found:
    if given.get("singleClip") and given.get("duration", 0) > _LONGEST_SINGLE_CLIP:
        yield _Error(f"duration must be at most {_LONGEST_SINGLE_CLIP} with singleClip, not {given['duration']!r}")


def _replace_video_segment(given: Mapping[str, Any]) -> _Found:
    begin, end = given["startSeconds"], given["endSeconds"]
    splices = "replacementVideoIndex" in given
    for name in ("startSeconds", "endSeconds"):
        if given[name] < 0 and given[name] != -1:
            yield _Error(f"{name} must be 0 or more, or -1 for the end, not {given[name]!r}")
    if end != -1 and (begin == -1 or begin > end or (begin == end and not splices)):
        yield _Error(f"endSeconds must be after startSeconds ({begin!r}), not {end!r}")
    for name in ("replacementStartSeconds", "replacementEndSeconds"):
        if name in given and not splices:
            yield _Warning(f"{name} has no effect without replacementVideoIndex")


def _overlay_video(given: Mapping[str, Any]) -> _Found:
    for place, overlay in enumerate(given["overlays"]):
        wanted = "text" if overlay["kind"] == "text" else "sourceImageIndex"
        if is_missing(overlay.get(wanted)):
            yield _Error(f"overlays[{place}].{wanted} is required for kind {overlay['kind']!r}")


def _add_subtitles(given: Mapping[str, Any]) -> _Found:
    if given.get("auto_transcribe"):
        yield _Error("auto_transcribe is not available yet; give cues or srt")
    elif ("cues" in given) == ("srt" in given):
        yield _Error("srt or cues is required, and only one of them")


_RULES: Mapping[str, Callable[[Mapping[str, Any]], _Found]] = {
    "generate_image": _generate_image,
    "animate_photo": _animate_photo,
    "change_angle": _change_angle,
    "stitch_video": _stitch_video,
    "dance_montage": _dance_montage,
    "replace_video_segment": _replace_video_segment,
    "overlay_video": _overlay_video,
    "add_subtitles": _add_subtitles,
}


# Arguments of a hosted tool: decides whether they fit, and which spelling stands for which argument (tools §3).
#
# Called before a tool is executed here and for the steps of a plan. It never raises: what is wrong is told, each
# sentence beginning with the path of the argument. Media and models are checked where they are used.


_READ_ITS_OWN_WAY = frozenset(
    {
        "number_of_variations", "negative_prompt", "gpt_image_quality", "output_format", "generate_audio",
        "control_mode", "audio_start",
    }
)  # fmt: skip
"""Spellings whose values the executor makes fit instead of refusing them (tools §4.4, §4.5)."""


def validate_tool_arguments(
    tool_name: str,
    arguments: Any,
    *,
    skip_enum_properties: Collection[str] = ("model",),
    coerce_primitives: bool = False,
    strip_unknown_properties: bool = False,
) -> ToolArguments:
    """Check the arguments of a hosted tool; returns them cleaned, with what is wrong and what is odd.

    Argument names may be written in snake_case or camelCase; the result has the names of the tool's definition.
    `skip_enum_properties` names arguments that may have values beyond those listed, `coerce_primitives` takes
    the text "3" for a number where one is wanted, `strip_unknown_properties` leaves out what the tool does not
    know. Nothing is raised: `ok` is False and `errors` say why, each beginning with the path of the argument
    (`overlays[0].text`). Missing, empty texts and empty lists are the same for a required argument (tools §3).
    """
    if not isinstance(arguments, Mapping):
        return _refused({}, f"arguments must be a JSON object, not {type(arguments).__name__}")
    given = {str(name): value for name, value in arguments.items()}
    if tool_name not in tool_names():
        return _refused(given, f"{tool_name!r} is no Sogni tool{did_you_mean(tool_name, tool_names())}")
    schema = accepted_by(tool_name)
    check = SchemaCheck(skip_enum_properties, coerce_primitives, strip_unknown_properties)
    known = schema["properties"]
    named, unchecked = _with_known_names(given, known, check.warnings)
    properties = {**known, **{name: {} for name in unchecked}}
    cleaned = check.value(named, {**schema, "properties": properties})
    if not check.errors:
        errors, warnings = conditions_of(tool_name, cleaned)
        check.errors += errors
        check.warnings += warnings
    return ToolArguments(ok=not check.errors, arguments=cleaned, errors=check.errors, warnings=check.warnings)


def _refused(arguments: dict[str, Any], why: str) -> ToolArguments:
    return ToolArguments(ok=False, arguments=arguments, errors=[why], warnings=[])


def _with_known_names(
    given: Mapping[str, Any], known: Mapping[str, Any], warnings: list[str]
) -> tuple[dict[str, Any], set[str]]:
    """Arguments under the names of the definition, and those whose values are not checked.

    Where both spellings are given, the other one wins (tools §3.1: `gpt_image_quality`, then `gptImageQuality`).
    """
    spelled = {snake(name): name for name in known}
    named = {name: value for name, value in given.items() if name in known or snake(name) not in spelled}
    unchecked = set()
    for name, value in given.items():
        if name not in named:
            meant = spelled[snake(name)]
            named[meant] = value
            warnings.append(f"{name} is read as {meant}")
            if name in _READ_ITS_OWN_WAY:
                unchecked.add(meant)
    return named, unchecked
