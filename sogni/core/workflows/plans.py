"""Checks of a workflow plan: its structure, the relations of its steps, and the arguments of their tools.

They take the wire form, whatever it contains. What no service could run is always refused; what a newer service may
know (a tool, an argument) only in strict mode.
"""

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
from sogni.models.workflows import INPUT_MEDIA, PlanFinding, PlanRule, StepMedia, StepTool, StepTransform, WorkflowInput
from sogni.redaction import redact


@frozen
class Place:
    """Where in a plan: the plan itself, or a step; makes the findings about it."""

    index: int | None = None
    id: str | None = None

    def __str__(self) -> str:
        if self.index is None:
            return "the plan"
        return f"step {short_repr(self.id)}" if self.id is not None else f"step {self.index + 1} (without an id)"

    def finding(self, rule: PlanRule, field: str, words: str, *, warning: bool = False) -> PlanFinding:
        """A finding about a field; its message says the place, the field and `words`."""
        return PlanFinding(
            message=redact(f"{self}: {field} {words}"),
            rule=rule,
            field=field,
            step=self.id,
            index=self.index,
            severity="warning" if warning else "error",
        )


def places_of(steps: Sequence[Any]) -> list[Place]:
    """The places of steps, with the id of those that have a usable one."""
    ids = [step.get("id") if isinstance(step, Mapping) else None for step in steps]
    return [Place(index, it if isinstance(it, str) and it.strip() else None) for index, it in enumerate(ids)]


def listed_dependencies(step: Any) -> list[Any]:
    """What stands in the list of dependencies of a step; nothing where there is no such list."""
    given = step.get(camel("depends_on")) if isinstance(step, Mapping) else None
    return given if isinstance(given, list) else []


def named(step: Any, name: str) -> Iterator[tuple[str, str]]:
    """A field of every dependency of a step that has it as a text: where it stands, and its value."""
    for index, it in enumerate(listed_dependencies(step)):
        value = it.get(camel(name)) if isinstance(it, Mapping) else None
        if isinstance(value, str) and value.strip():
            yield f"depends_on[{index}].{name}", value


# What the steps of a plan say of one another: decides about ids, sources and order (workflows §2.1).
#
# Called by `plan_structure`. A cycle is told once, with all its steps, and not again as a wrong order.


@frozen
class _Use:
    """That a step, by its place, takes something from another one."""

    step: int
    field: str
    source: int


def relation_findings(places: Sequence[Place], steps: Sequence[Any], has_media: bool | None) -> Iterator[PlanFinding]:
    """What is wrong between the steps; `has_media` as in `structure_findings`."""
    known: dict[str, int] = {}
    for index, place in enumerate(places):
        if place.id == INPUT_MEDIA:
            yield place.finding("reserved", "id", "stands for the media references of the request")
        elif place.id in known:
            yield place.finding("unique", "id", f"is that of step {known[place.id] + 1}, too")
        elif place.id is not None:
            known[place.id] = index
    uses: list[_Use] = []
    for index, (place, step) in enumerate(zip(places, steps, strict=True)):
        for field, source in named(step, "source_step_id"):
            if source in known:
                uses.append(_Use(index, field, known[source]))
            elif source != INPUT_MEDIA:
                words = f"names no step: {short_repr(source)}{did_you_mean(source, [*known, INPUT_MEDIA])}"
                yield place.finding("unknown-step", field, words)
            elif has_media is False:
                yield place.finding("media", field, f"is {INPUT_MEDIA}, but the request has no media references")
    yield from _orders(places, uses)


def _orders(places: Sequence[Place], uses: Sequence[_Use]) -> Iterator[PlanFinding]:
    loops = list(_cycles(uses))
    for loop in loops:
        names = [short_repr(places[index].id) for index in (*loop, loop[0])]
        words = f"is a cycle: {' needs '.join(names if len(loop) > 1 else [names[0], 'itself'])}"
        yield places[loop[0]].finding("cycle", "depends_on", words)
    for use in uses:
        if use.source > use.step and not any(use.step in loop and use.source in loop for loop in loops):
            words = f"names a later step: {short_repr(places[use.source].id)}; move it before this one"
            yield places[use.step].finding("order", use.field, words)


def _cycles(uses: Sequence[_Use]) -> Iterator[list[int]]:
    """Steps that need one another, each list in the order of needing, from its first step in the plan."""
    sources: dict[int, set[int]] = {}
    for use in uses:
        sources.setdefault(use.step, set()).add(use.source)
    while True:
        try:
            TopologicalSorter(sources).prepare()
        except CycleError as error:
            loop: list[int] = error.args[1][:0:-1]  # there each is needed by the next, and the first comes again
            for step in loop:
                sources[step].difference_update(loop)
            first = loop.index(min(loop))
            yield loop[first:] + loop[:first]
        else:
            return


# Whether a plan holds together: decides everything about it that no tool needs to be known for (workflows §2.1).
#
# Called by `plan_check`. It takes the wire form of whatever the caller gave, finds everything that is wrong at
# once, and raises nothing.


TRANSFORMS: tuple[str, ...] = get_args(get_args(StepTransform)[0])
MEDIA: tuple[str, ...] = get_args(get_args(StepMedia)[0])
DEEPEST = 50
"""Levels of arguments within arguments."""


def structure_findings(plan: Any, has_media: bool | None) -> list[PlanFinding]:
    """Everything that is wrong with the wire form of a plan, in the order of its steps.

    `has_media` says whether the request has media references; None when there is no request yet.
    """
    if not isinstance(plan, Mapping):
        return [Place().finding("type", "input", f"must be a WorkflowInput or a dict, not {short_repr(plan)}")]
    found = list(_values(Place(), plan, _PLAN))
    steps = plan.get("steps")
    if isinstance(steps, list):
        places = places_of(steps)
        for place, step in zip(places, steps, strict=True):
            found += _step(place, step)
        found += relation_findings(places, steps, has_media)
    return sorted(found, key=lambda it: -1 if it.index is None else it.index)


# -- single values

Check = Callable[[Any], "tuple[PlanRule, str] | None"]
"""What is wrong with a value: the rule and the words for it."""


def _text(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, str) else ("type", f"must be a text, not {short_repr(value)}")


def _name(value: Any) -> tuple[PlanRule, str] | None:
    if isinstance(value, str) and not value.strip():
        return "required", "must not be empty"
    return _text(value)


def _flag(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, bool) else ("type", f"must be True or False, not {short_repr(value)}")


def _index(value: Any) -> tuple[PlanRule, str] | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "type", f"must be an integer, not {short_repr(value)}"
    return None if value >= 0 else ("range", f"must be 0 or more, not {value}")


def _one_of(allowed: Sequence[str]) -> Check:
    def check(value: Any) -> tuple[PlanRule, str] | None:
        if isinstance(value, str) and value in allowed:
            return None
        guess = did_you_mean(value, allowed)
        return "choice", f"must be one of {', '.join(map(repr, allowed))}, not {short_repr(value)}{guess}"

    return check


def _list(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, list) else ("type", f"must be a list, not {short_repr(value)}")


def _object(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, Mapping) else ("type", f"must be a dict, not {short_repr(value)}")


Fields = Mapping[str, tuple[Check, bool]]
"""The check of every field there is, and whether it must be there."""

_PLAN: Fields = {"title": (_text, False), "steps": (_list, True)}
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
    "source_artifact_id": (_text, False),
    "source_artifact_index": (_index, False),
    "media_type": (_one_of(MEDIA), False),
    "required": (_flag, False),
}


def _values(place: Place, given: Mapping[str, Any], fields: Fields, within: str = "") -> Iterator[PlanFinding]:
    """What is wrong with the fields of an object, each for itself."""
    for name, (check, must) in fields.items():
        key = camel(name)
        if key != name and name in given:
            yield place.finding("spelling", within + name, f"is given twice, also as {key!r}")
        if key not in given:
            if must:
                yield place.finding("required", within + name, "is missing")
        elif wrong := check(given[key]):
            yield place.finding(wrong[0], within + name, wrong[1])
    judged = {camel(name) for name in fields} - {"arguments"}
    for path, value in unsendable(within, {key: value for key, value in given.items() if key not in judged}):
        yield place.finding("json", path or "keys", f"cannot travel as JSON: {short_repr(value)}")


def _step(place: Place, step: Any) -> Iterator[PlanFinding]:
    if not isinstance(step, Mapping):
        yield place.finding(
            "type", f"steps[{place.index}]", f"must be a WorkflowStep or a dict, not {short_repr(step)}"
        )
        return
    yield from _values(place, step, _STEP)
    for index, it in enumerate(listed_dependencies(step)):
        if isinstance(it, Mapping):
            yield from _values(place, it, _DEPENDENCY, f"depends_on[{index}].")
        else:
            yield place.finding(
                "type", f"depends_on[{index}]", f"must be a WorkflowDependency or a dict, not {short_repr(it)}"
            )


def unsendable(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What within a value JSON cannot carry as it is, and where; a value that holds itself is too deep.

    A `path` that ends with a dot is continued as it is.
    """
    if depth > DEEPEST:
        yield path, value
    elif isinstance(value, Mapping):
        joint = "." if path and not path.endswith(".") else ""
        for key, item in value.items():
            if isinstance(key, str):
                yield from unsendable(f"{path}{joint}{key}", item, depth + 1)
            else:
                yield path.rstrip("."), {key: item}
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from unsendable(f"{path}[{index}]", item, depth + 1)
    elif value is not None and not (isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))):
        yield path, value


# Whether a step gives what another can take: decides which dependencies look wrong (workflows §2.1; tools §2.1).
#
# Called by `plan_check` for `check()` and `strict=True`. Everything it finds is a warning: tools may give and take
# more
# than their definitions say.


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
    told = _text_at(need, "media_type")
    wanted = _text_at(need, "transform").partition("_")[0]
    if wanted not in _MADE:
        wanted = told
    elif told in _MADE and told != wanted:
        yield place.finding(
            "media", f"{within}.media_type", f"is {told!r}, but transform takes {wanted}s", warning=True
        )
    source = known.get(_text_at(need, "source_step_id"), {})
    made = _KIND_OF.get(_text_at(source, "tool_name"))
    arguments = source.get("arguments")
    frames = wanted == "image" and isinstance(arguments, Mapping) and _LAST_FRAMES in arguments
    if wanted in _MADE and made not in (None, wanted) and not frames:
        words = f"gives {made}s, but {wanted}s are taken"
        yield place.finding("media", f"{within}.source_step_id", words, warning=True)


def _forms(place: Place, within: str, need: Mapping[str, Any], step: Mapping[str, Any]) -> Iterator[PlanFinding]:
    """A form that the argument does not take."""
    transform, target, tool = (
        _text_at(need, "transform"),
        _text_at(need, "target_argument"),
        _text_at(step, "tool_name"),
    )
    form = next((form for suffix, form in _FORMS.items() if transform.endswith(suffix)), None)
    schema = parameters_of(tool)["properties"].get(target) if tool in tool_names() else None
    if form is None or schema is None:
        return
    kind = schema.get("items", schema).get("type")
    if isinstance(kind, str) and _TYPES.get(kind, kind) != form[0]:
        words = f"gives {form[1]}, which is no value for {target} of {tool}"
        yield place.finding("argument", f"{within}.transform", words, warning=True)


def _text_at(given: Any, name: str) -> str:
    value = given.get(camel(name)) if isinstance(given, Mapping) else None
    return value if isinstance(value, str) else ""


# Whether the steps of a plan fit their tools, as far as this version knows them (workflows §2.2; tools §3).
#
# Called by `plan_check` for `check()` and `strict=True` only: the service may know more tools and arguments than we
# do. An argument that a dependency fills is not missing, and its value is not judged.


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
        yield place.finding(
            "tool", "tool_name", f"is no known tool: {short_repr(tool)}{did_you_mean(tool, STEP_TOOLS, 1)}"
        )
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


# Whether a plan may be started: decides what is refused here, and what is left to the service.
#
# Called by the workflow flows, `WorkflowInput.check` and whatever reads plans from files. What no service could
# run is always refused; what a newer service might know (a tool, an argument) only with `strict`.


def plan_findings(plan: Any, *, media_references: Any = None, whole: bool = True) -> list[PlanFinding]:
    """Everything there is to say about a plan, typed or as dicts, step by step.

    `media_references` as they will be given to `start`; None says nothing about them. Without `whole` only
    what no service could run.
    """
    wire = wire_form(WorkflowInput, plan)
    found = structure_findings(wire, None if media_references is None else bool(media_references))
    if whole:
        found += [*tool_findings(wire), *flow_findings(wire)]
    return sorted(found, key=lambda it: -1 if it.index is None else it.index)


def checked_plan(plan: Any, *, media_references: Any = None, strict: bool = False) -> Any:
    """The wire form of a plan that may be started; ValidationError with all its errors as `findings`."""
    found = plan_findings(plan, media_references=media_references or (), whole=strict)
    refuse(found)
    return wire_form(WorkflowInput, plan)


def refuse(findings: Sequence[PlanFinding]) -> None:
    """ValidationError when there are errors among findings, naming all of them."""
    errors = [it for it in findings if it.severity == "error"]
    if not errors:
        return
    lines = [it.message for it in errors]
    words = lines[0] if len(lines) == 1 else "\n  - ".join([f"the plan has {len(lines)} errors:", *lines])
    first = errors[0]
    where = "input" if first.index is None else f"input.steps[{first.index}]"
    raise ValidationError(words, field=f"{where}.{first.field}", findings=tuple(errors))
