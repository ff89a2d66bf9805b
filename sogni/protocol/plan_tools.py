"""Whether the steps of a plan fit their tools, as far as this version knows them (workflows §2.2; tools §3).

Called by `plan_check` for `check()` and `strict=True` only: the service may know more tools and arguments than we
do. An argument that a dependency fills is not missing, and its value is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from ..models.converter import camel
from ..models.workflow_plans import PlanFinding, StepTool
from .field_checks import shown
from .plan_places import Place, named, places_of
from .suggestions import did_you_mean
from .tool_arguments import validate_tool_arguments
from .tool_manifest import parameters_of, tool_names

STEP_TOOLS: tuple[str, ...] = get_args(get_args(StepTool)[0])

_WORD = re.compile(r"[A-Za-z_]\w*")
_UNLISTED = frozenset(
    {
        "source_image_url", "reference_image_urls", "reference_image_url", "reference_image_end_url",
        "reference_audio_url", "reference_audio_urls", "reference_audio_identity_url", "reference_video_url",
        "reference_video_urls", "audio_identity_strength", "first_frame_strength", "last_frame_strength",
        "video_start", "fps", "model", "mask_image_url", "voice_source_url",
    }
)  # fmt: skip
"""Names the service is seen to take although no tool lists them (tools §2.3)."""


def tool_findings(plan: Any) -> Iterator[PlanFinding]:
    """What the tools say about the wire form of a plan; steps that cannot be read are left to the structure."""
    steps = plan.get("steps") if isinstance(plan, Mapping) else None
    if not isinstance(steps, list):
        return
    for place, step in zip(places_of(steps), steps, strict=True):
        tool = step.get(camel("tool_name")) if isinstance(step, Mapping) else None
        if isinstance(tool, str) and tool.strip():
            yield from _of_step(place, tool, step)


def _of_step(place: Place, tool: str, step: Mapping[str, Any]) -> Iterator[PlanFinding]:
    if tool not in STEP_TOOLS:
        yield place.finding("tool", "tool_name", f"is no known tool: {shown(tool)}{did_you_mean(tool, STEP_TOOLS, 1)}")
        return
    given = step.get("arguments")
    if tool not in tool_names() or not isinstance(given, Mapping):
        return
    known = parameters_of(tool)["properties"]
    filled = list(named(step, "target_argument"))
    for field, name in [*((f"arguments.{name}", name) for name in given), *filled]:
        if name not in known and camel(str(name)) not in known and name not in _UNLISTED:
            words = f"is no known argument of {tool}{did_you_mean(name, known, 1)}"
            yield place.finding("argument", field, words, warning=True)
    samples = {name: _sample(known[name]) for _, name in filled if name in known and name not in given}
    errors, warnings = _said(tool, given, samples)
    wrong = {_WORD.findall(it)[0] for it in errors} & known.keys()
    if wrong:
        # Rules about several arguments are looked at only when each of them fits.
        more, warnings = _said(tool, given, samples | {name: _sample(known[name]) for name in wrong})
        errors += more
    yield from _told(place, errors)
    yield from _told(place, warnings, warning=True)


def _said(tool: str, given: Mapping[str, Any], samples: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Errors and warnings about arguments; what is said of the samples among them is not about the plan."""
    checked = validate_tool_arguments(tool, {**given, **samples})
    kept = (
        [it for it in said if not samples.keys() & _WORD.findall(it)] for said in (checked.errors, checked.warnings)
    )
    errors, warnings = kept
    return errors, warnings


def _sample(schema: Mapping[str, Any]) -> Any:
    """Something that fits a schema, in place of what a dependency will fill in."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    match kind if isinstance(kind, str) else kind and kind[0]:
        case "string":
            return "x" * schema.get("minLength", 1)
        case "array":
            return [_sample(schema["items"])] * max(2, schema.get("minItems", 2))
        case "object":
            return {name: _sample(schema["properties"][name]) for name in schema.get("required", ())}
        case "boolean":
            return True
    return schema.get("minimum", 0)


def _told(place: Place, sentences: Iterable[str], *, warning: bool = False) -> Iterator[PlanFinding]:
    """Findings of sentences that begin with the path of an argument."""
    for words in sentences:
        path, _, rest = words.partition(" ")
        field = path if path == "arguments" else f"arguments.{path}"
        yield place.finding("argument", field, rest, warning=warning)
