"""Checks of a workflow plan: its structure, the relations of its steps, and the arguments of their tools.

All checks read the wire form, whatever it contains, and report everything at once. A plan that no service can run is
always rejected; tools and arguments that a newer service may know only in strict mode.
"""

# Plans: workflows §2.1, §2.2. Tools: tools §2.1, §2.3, §3.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from math import isfinite
from typing import Any, get_args

from attrs import frozen

from sogni.core.checks import did_you_mean, short_repr
from sogni.core.tools.arguments import validate_tool_arguments
from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.errors import ValidationError
from sogni.models.converter import camel, wire_form
from sogni.models.diagrams import INPUT_MEDIA
from sogni.models.workflows import PlanFinding, PlanRule, StepMedia, StepTool, StepTransform, WorkflowInput
from sogni.redaction import redact


@frozen
class Place:
    """A place in a plan: the plan itself, or one of its steps."""

    index: int | None = None
    id: str | None = None

    def __str__(self) -> str:
        if self.index is None:
            return "the plan"
        return f"step {short_repr(self.id)}" if self.id is not None else f"step {self.index + 1} (without an id)"

    def finding(self, rule: PlanRule, field: str, words: str, *, warning: bool = False) -> PlanFinding:
        """Return a finding about a field; its message consists of the place, the field and `words`."""
        return PlanFinding(
            message=redact(f"{self}: {field} {words}"),
            rule=rule,
            field=field,
            step=self.id,
            index=self.index,
            severity="warning" if warning else "error",
        )


def places_of(steps: Sequence[Any]) -> list[Place]:
    """Return the place of each step, with its id if it is valid."""
    ids = [step.get("id") if isinstance(step, Mapping) else None for step in steps]
    return [Place(index, it if isinstance(it, str) and it.strip() else None) for index, it in enumerate(ids)]


def listed_dependencies(step: Any) -> list[Any]:
    """Return the entries of `dependsOn`, whatever they are; an empty list if it is not a list."""
    given = step.get(camel("depends_on")) if isinstance(step, Mapping) else None
    return given if isinstance(given, list) else []


def dependency_fields(step: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield path and value of a field in each dependency of a step where it is a non-empty string."""
    for index, it in enumerate(listed_dependencies(step)):
        value = it.get(camel(name)) if isinstance(it, Mapping) else None
        if isinstance(value, str) and value.strip():
            yield f"depends_on[{index}].{name}", value


# Relations of steps


@frozen
class _Use:
    """A dependency between two steps, given by their indices."""

    step: int
    field: str
    source: int


def relation_findings(places: Sequence[Place], steps: Sequence[Any], has_media: bool | None) -> Iterator[PlanFinding]:
    """Yield the errors in ids, sources and order of the steps; `has_media` as in `structure_findings`."""
    known: dict[str, int] = {}
    for index, place in enumerate(places):
        if place.id == INPUT_MEDIA:
            words = f"must not be {INPUT_MEDIA}, which stands for the media references of the request"
            yield place.finding("reserved", "id", words)
        elif place.id in known:
            yield place.finding("unique", "id", f"must be unique, but step {known[place.id] + 1} has it too")
        elif place.id is not None:
            known[place.id] = index
    uses: list[_Use] = []
    for index, (place, step) in enumerate(zip(places, steps, strict=True)):
        for field, source in dependency_fields(step, "source_step_id"):
            if source in known:
                uses.append(_Use(index, field, known[source]))
            elif source != INPUT_MEDIA:
                guess = did_you_mean(source, [*known, INPUT_MEDIA])
                words = f"must be the id of an earlier step or {INPUT_MEDIA}, got {short_repr(source)}{guess}"
                yield place.finding("unknown-step", field, words)
            elif has_media is False:
                yield place.finding("media", field, f"is {INPUT_MEDIA}, but the request has no media references")
    yield from _orders(places, uses)


def _orders(places: Sequence[Place], uses: Sequence[_Use]) -> Iterator[PlanFinding]:
    loops = list(_cycles(uses))
    for loop in loops:
        names = [short_repr(places[index].id) for index in (*loop, loop[0])]
        chain = " needs ".join(names if len(loop) > 1 else [names[0], "itself"])
        words = f"must not contain a cycle: {chain}"
        yield places[loop[0]].finding("cycle", "depends_on", words)
    for use in uses:
        # A cycle is reported once, and not again as a wrong order.
        if use.source > use.step and not any(use.step in loop and use.source in loop for loop in loops):
            source = short_repr(places[use.source].id)
            words = f"must be the id of an earlier step, got {source}; move that step before this one"
            yield places[use.step].finding("order", use.field, words)


def _cycles(uses: Sequence[_Use]) -> Iterator[list[int]]:
    """Yield the cycles, each as a list of steps in which each needs the next, from its first step in the plan."""
    sources: dict[int, set[int]] = {}
    for use in uses:
        sources.setdefault(use.step, set()).add(use.source)
    while True:
        try:
            TopologicalSorter(sources).prepare()
        except CycleError as error:
            loop: list[int] = error.args[1][:0:-1]  # graphlib lists them in reverse, and the first one twice
            for step in loop:
                sources[step].difference_update(loop)
            first = loop.index(min(loop))
            yield loop[first:] + loop[:first]
        else:
            return


# Structure


TRANSFORMS: tuple[str, ...] = get_args(get_args(StepTransform)[0])
MEDIA: tuple[str, ...] = get_args(get_args(StepMedia)[0])
MAX_DEPTH = 50
"""Maximum depth of nested arguments."""


def structure_findings(plan: Any, has_media: bool | None) -> list[PlanFinding]:
    """Return the errors in the structure of a plan, in the order of its steps.

    `has_media` is whether the request has media references; None if there is no request yet.
    """
    if not isinstance(plan, Mapping):
        return [Place().finding("type", "input", f"must be a WorkflowInput or a dict, got {short_repr(plan)}")]
    found = list(_values(Place(), plan, _PLAN))
    steps = plan.get("steps")
    if isinstance(steps, list):
        places = places_of(steps)
        for place, step in zip(places, steps, strict=True):
            found += _step(place, step)
        found += relation_findings(places, steps, has_media)
    return sorted(found, key=lambda it: -1 if it.index is None else it.index)


# Unlike the checks of `sogni.core.checks`, these return the broken rule and its description, and raise nothing.
Check = Callable[[Any], "tuple[PlanRule, str] | None"]


def _string(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, str) else ("type", f"must be a string, got {short_repr(value)}")


def _name(value: Any) -> tuple[PlanRule, str] | None:
    if isinstance(value, str) and not value.strip():
        return "required", "must not be empty"
    return _string(value)


def _flag(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, bool) else ("type", f"must be True or False, got {short_repr(value)}")


def _index(value: Any) -> tuple[PlanRule, str] | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "type", f"must be an integer, got {short_repr(value)}"
    return None if value >= 0 else ("range", f"must be 0 or more, got {value}")


def _one_of(allowed: Sequence[str]) -> Check:
    def check(value: Any) -> tuple[PlanRule, str] | None:
        if isinstance(value, str) and value in allowed:
            return None
        guess = did_you_mean(value, allowed)
        return "choice", f"must be one of {', '.join(map(repr, allowed))}, got {short_repr(value)}{guess}"

    return check


def _list(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, list) else ("type", f"must be a list, got {short_repr(value)}")


def _object(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, Mapping) else ("type", f"must be a dict, got {short_repr(value)}")


Fields = Mapping[str, tuple[Check, bool]]
"""The check of each field, and whether the field is required."""

_PLAN: Fields = {"title": (_string, False), "steps": (_list, True)}
_STEP: Fields = {
    "id": (_name, False),
    "tool_name": (_name, True),
    "arguments": (_object, True),
    "depends_on": (_list, False),
}
_DEPENDENCY: Fields = {
    "source_step_id": (_name, True),
    "target_argument": (_name, True),
    "transform": (_one_of(TRANSFORMS), True),
    "source_artifact_id": (_string, False),
    "source_artifact_index": (_index, False),
    "media_type": (_one_of(MEDIA), False),
    "required": (_flag, False),
}


def _values(place: Place, given: Mapping[str, Any], fields: Fields, within: str = "") -> Iterator[PlanFinding]:
    """Yield the errors in the fields of an object, each checked on its own."""
    for name, (check, required) in fields.items():
        key = camel(name)
        if key != name and name in given:
            yield place.finding("spelling", within + name, f"is given twice, also as {key!r}")
        if key not in given:
            if required:
                yield place.finding("required", within + name, "is required")
        elif error := check(given[key]):
            yield place.finding(error[0], within + name, error[1])
    checked = {camel(name) for name in fields} - {"arguments"}
    for path, value in not_json(within, {key: value for key, value in given.items() if key not in checked}):
        yield place.finding("json", path or "keys", f"cannot be written as JSON: {short_repr(value)}")


def _step(place: Place, step: Any) -> Iterator[PlanFinding]:
    if not isinstance(step, Mapping):
        yield place.finding(
            "type", f"steps[{place.index}]", f"must be a WorkflowStep or a dict, got {short_repr(step)}"
        )
        return
    yield from _values(place, step, _STEP)
    for index, it in enumerate(listed_dependencies(step)):
        if isinstance(it, Mapping):
            yield from _values(place, it, _DEPENDENCY, f"depends_on[{index}].")
        else:
            yield place.finding(
                "type", f"depends_on[{index}]", f"must be a WorkflowDependency or a dict, got {short_repr(it)}"
            )


def not_json(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield path and value of everything within a value that JSON cannot represent.

    Deeply nested values, among them those that contain themselves, are reported too. `path` may end with a dot.
    """
    if depth > MAX_DEPTH:
        yield path, value
    elif isinstance(value, Mapping):
        joint = "." if path and not path.endswith(".") else ""
        for key, item in value.items():
            if isinstance(key, str):
                yield from not_json(f"{path}{joint}{key}", item, depth + 1)
            else:
                yield path.rstrip("."), {key: item}
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from not_json(f"{path}[{index}]", item, depth + 1)
    elif value is not None and not (isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))):
        yield path, value


# Dependencies. All findings are warnings: tools may create and accept more than their definitions say.


_CREATES = {
    "image": (
        "generate_image", "edit_image", "apply_style", "restore_photo", "refine_result", "change_angle",
        "remove_background", "segment_image", "upscale_image",
    ),
    "video": (
        "generate_video", "animate_photo", "video_to_video", "stitch_video", "orbit_video", "dance_montage",
        "sound_to_video", "extend_video", "replace_video_segment", "overlay_video", "add_subtitles", "upscale_video",
    ),
    "audio": ("generate_music", "generate_speech"),
    "model": ("image_to_3d",),
}  # fmt: skip
_KIND_OF = {tool: kind for kind, tools in _CREATES.items() for tool in tools}
"""The media that a tool creates, for tools that create only one kind."""

_KINDS = {"image": "an image", "video": "a video", "audio": "audio", "model": "a 3D model"}
_LAST_FRAMES = "returnLastFrame"
_FORMS = {"_index": ("number", "a number"), "_url": ("string", "a URL"), "_uri": ("string", "a data URI")}
_TYPES = {"integer": "number"}


def dependency_findings(plan: Any) -> Iterator[PlanFinding]:
    """Yield warnings about dependencies whose source and target do not match; malformed ones are skipped."""
    steps = plan.get("steps") if isinstance(plan, Mapping) else None
    if not isinstance(steps, list):
        return
    places = places_of(steps)
    known = {place.id: step for place, step in zip(places, steps, strict=True) if place.id is not None}
    for place, step in zip(places, steps, strict=True):
        for index, dependency in enumerate(listed_dependencies(step)):
            if isinstance(dependency, Mapping):
                yield from _media_kinds(place, f"depends_on[{index}]", dependency, known)
                yield from _argument_types(place, f"depends_on[{index}]", dependency, step)


def _media_kinds(
    place: Place, within: str, dependency: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[PlanFinding]:
    """Yield a warning if the source creates another kind of media than the dependency expects."""
    media_type = _string_at(dependency, "media_type")
    expected = _string_at(dependency, "transform").partition("_")[0]
    if expected not in _CREATES:
        expected = media_type
    elif media_type in _CREATES and media_type != expected:
        words = f"is {media_type!r}, but transform expects {_KINDS[expected]}"
        yield place.finding("media", f"{within}.media_type", words, warning=True)
    source = known.get(_string_at(dependency, "source_step_id"), {})
    created = _KIND_OF.get(_string_at(source, "tool_name"))
    arguments = source.get("arguments")
    frames = expected == "image" and isinstance(arguments, Mapping) and _LAST_FRAMES in arguments
    if expected in _CREATES and created not in (None, expected) and not frames:
        words = f"creates {_KINDS[created]}, but {_KINDS[expected]} is expected"
        yield place.finding("media", f"{within}.source_step_id", words, warning=True)


def _argument_types(
    place: Place, within: str, dependency: Mapping[str, Any], step: Mapping[str, Any]
) -> Iterator[PlanFinding]:
    """Yield a warning if the transform yields another type than the argument accepts."""
    transform = _string_at(dependency, "transform")
    target = _string_at(dependency, "target_argument")
    tool = _string_at(step, "tool_name")
    form = next((form for suffix, form in _FORMS.items() if transform.endswith(suffix)), None)
    schema = parameters_of(tool)["properties"].get(target) if tool in tool_names() else None
    if form is None or schema is None:
        return
    kind = schema.get("items", schema).get("type")
    if isinstance(kind, str) and _TYPES.get(kind, kind) != form[0]:
        words = f"yields {form[1]}, which is not valid for {target} of {tool}"
        yield place.finding("argument", f"{within}.transform", words, warning=True)


def _string_at(given: Any, name: str) -> str:
    value = given.get(camel(name)) if isinstance(given, Mapping) else None
    return value if isinstance(value, str) else ""


# Tools and their arguments. An argument that a dependency fills is not missing, and its value is not checked.


STEP_TOOLS: tuple[str, ...] = get_args(get_args(StepTool)[0])

_WORD = re.compile(r"[A-Za-z_]\w*")
_UNLISTED = frozenset(
    {
        "source_image_url", "reference_image_urls", "reference_image_url", "reference_image_end_url",
        "reference_audio_url", "reference_audio_urls", "reference_audio_identity_url", "reference_video_url",
        "reference_video_urls", "audio_identity_strength", "first_frame_strength", "last_frame_strength",
        "video_start", "fps", "model", "mask_image_url",
    }
)  # fmt: skip
"""Arguments that the service accepts although no definition of a tool lists them."""


def tool_findings(plan: Any) -> Iterator[PlanFinding]:
    """Yield the errors and warnings in tools and their arguments; malformed steps are skipped."""
    steps = plan.get("steps") if isinstance(plan, Mapping) else None
    if not isinstance(steps, list):
        return
    for place, step in zip(places_of(steps), steps, strict=True):
        tool = step.get(camel("tool_name")) if isinstance(step, Mapping) else None
        if isinstance(tool, str) and tool.strip():
            yield from _step_arguments(place, tool, step)


def _step_arguments(place: Place, tool: str, step: Mapping[str, Any]) -> Iterator[PlanFinding]:
    if tool not in STEP_TOOLS:
        words = f"must be a known tool, got {short_repr(tool)}{did_you_mean(tool, STEP_TOOLS, 1)}"
        yield place.finding("tool", "tool_name", words)
        return
    given = step.get("arguments")
    if tool not in tool_names() or not isinstance(given, Mapping):
        return
    known = parameters_of(tool)["properties"]
    filled = list(dependency_fields(step, "target_argument"))
    for field, name in [*((f"arguments.{name}", name) for name in given), *filled]:
        if name not in known and camel(str(name)) not in known and name not in _UNLISTED:
            words = f"is not a known argument of {tool}{did_you_mean(name, known, 1)}"
            yield place.finding("argument", field, words, warning=True)
    samples = {name: _sample(known[name]) for _, name in filled if name in known and name not in given}
    errors, warnings = _validated(tool, given, samples)
    invalid = {_WORD.findall(it)[0] for it in errors} & known.keys()
    if invalid:
        # Rules that span several arguments are checked only if each of them is valid.
        more, warnings = _validated(tool, given, samples | {name: _sample(known[name]) for name in invalid})
        errors += more
    yield from _argument_findings(place, errors)
    yield from _argument_findings(place, warnings, warning=True)


def _validated(tool: str, given: Mapping[str, Any], samples: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return errors and warnings about arguments, except those that mention one of the samples."""
    checked = validate_tool_arguments(tool, {**given, **samples})
    errors, warnings = (
        [it for it in messages if not samples.keys() & _WORD.findall(it)]
        for messages in (checked.errors, checked.warnings)
    )
    return errors, warnings


def _sample(schema: Mapping[str, Any]) -> Any:
    """Return a value that fits a schema, in place of the artifact that a dependency will fill in."""
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


def _argument_findings(place: Place, messages: Iterable[str], *, warning: bool = False) -> Iterator[PlanFinding]:
    """Yield findings for messages that start with the path of an argument."""
    for message in messages:
        path, _, rest = message.partition(" ")
        field = path if path == "arguments" else f"arguments.{path}"
        yield place.finding("argument", field, rest, warning=warning)


# All checks


def plan_findings(plan: Any, *, media_references: Any = None, whole: bool = True) -> list[PlanFinding]:
    """Return all findings about a plan, an object or dicts, in the order of its steps.

    `media_references` are those of the request; None if there is no request yet. Without `whole`, only errors that no
    service accepts are returned.
    """
    wire = wire_form(WorkflowInput, plan)
    found = structure_findings(wire, None if media_references is None else bool(media_references))
    if whole:
        found += [*tool_findings(wire), *dependency_findings(wire)]
    return sorted(found, key=lambda it: -1 if it.index is None else it.index)


def checked_plan(plan: Any, *, media_references: Any = None, strict: bool = False) -> Any:
    """Return the wire form of a plan. Raises `ValidationError` with all errors as `findings`."""
    found = plan_findings(plan, media_references=media_references or (), whole=strict)
    refuse(found)
    return wire_form(WorkflowInput, plan)


def refuse(findings: Sequence[PlanFinding]) -> None:
    """Raise `ValidationError` if there are errors among the findings; its message lists all of them."""
    errors = [it for it in findings if it.severity == "error"]
    if not errors:
        return
    lines = [it.message for it in errors]
    words = lines[0] if len(lines) == 1 else "\n  - ".join([f"the plan has {len(lines)} errors:", *lines])
    first = errors[0]
    where = "input" if first.index is None else f"input.steps[{first.index}]"
    raise ValidationError(words, field=f"{where}.{first.field}", findings=tuple(errors))
