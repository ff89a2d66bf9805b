"""Arguments of a hosted tool: decides whether they fit, and which spelling stands for which argument (tools §3).

Called before a tool is executed here and for the steps of a plan. It never raises: what is wrong is told, each
sentence beginning with the path of the argument. Media and models are checked where they are used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..models.converter import snake
from ..models.tools import ToolArguments
from .schema_check import SchemaCheck
from .suggestions import did_you_mean
from .tool_conditions import conditions_of
from .tool_manifest import accepted_by, tool_names

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
