"""Whether a plan holds together: decides everything about it that no tool needs to be known for (workflows §2.1).

Called by `plan_check`. It takes the wire form of whatever the caller gave, finds everything that is wrong at
once, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, get_args

from ..models.converter import camel
from ..models.workflow_plans import PlanFinding, PlanRule, StepMedia, StepTransform
from .field_checks import shown
from .plan_places import Place, listed_dependencies, places_of
from .plan_relations import relation_findings
from .suggestions import did_you_mean

TRANSFORMS: tuple[str, ...] = get_args(get_args(StepTransform)[0])
MEDIA: tuple[str, ...] = get_args(get_args(StepMedia)[0])
DEEPEST = 50
"""Levels of arguments within arguments."""


def structure_findings(plan: Any, has_media: bool | None) -> list[PlanFinding]:
    """Everything that is wrong with the wire form of a plan, in the order of its steps.

    `has_media` says whether the request has media references; None when there is no request yet.
    """
    if not isinstance(plan, Mapping):
        return [Place().finding("type", "input", f"must be a WorkflowInput or a dict, not {shown(plan)}")]
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
    return None if isinstance(value, str) else ("type", f"must be a text, not {shown(value)}")


def _name(value: Any) -> tuple[PlanRule, str] | None:
    if isinstance(value, str) and not value.strip():
        return "required", "must not be empty"
    return _text(value)


def _flag(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, bool) else ("type", f"must be True or False, not {shown(value)}")


def _index(value: Any) -> tuple[PlanRule, str] | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "type", f"must be an integer, not {shown(value)}"
    return None if value >= 0 else ("range", f"must be 0 or more, not {value}")


def _one_of(allowed: Sequence[str]) -> Check:
    def check(value: Any) -> tuple[PlanRule, str] | None:
        if isinstance(value, str) and value in allowed:
            return None
        guess = did_you_mean(value, allowed)
        return "choice", f"must be one of {', '.join(map(repr, allowed))}, not {shown(value)}{guess}"

    return check


def _list(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, list) else ("type", f"must be a list, not {shown(value)}")


def _object(value: Any) -> tuple[PlanRule, str] | None:
    return None if isinstance(value, Mapping) else ("type", f"must be a dict, not {shown(value)}")


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
        yield place.finding("json", path or "keys", f"cannot travel as JSON: {shown(value)}")


def _step(place: Place, step: Any) -> Iterator[PlanFinding]:
    if not isinstance(step, Mapping):
        yield place.finding("type", f"steps[{place.index}]", f"must be a WorkflowStep or a dict, not {shown(step)}")
        return
    yield from _values(place, step, _STEP)
    for index, it in enumerate(listed_dependencies(step)):
        if isinstance(it, Mapping):
            yield from _values(place, it, _DEPENDENCY, f"depends_on[{index}].")
        else:
            yield place.finding(
                "type", f"depends_on[{index}]", f"must be a WorkflowDependency or a dict, not {shown(it)}"
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
