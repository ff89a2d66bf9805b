"""Where in a plan something is: decides how findings name a step, and which parts of a step can be read.

Called by every check of a plan. It takes the wire form, whatever is in it, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from ..models.converter import camel
from ..models.workflow_plans import PlanFinding, PlanRule
from ..redaction import redact
from .field_checks import shown


@frozen
class Place:
    """Where in a plan: the plan itself, or a step; makes the findings about it."""

    index: int | None = None
    id: str | None = None

    def __str__(self) -> str:
        if self.index is None:
            return "the plan"
        return f"step {shown(self.id)}" if self.id is not None else f"step {self.index + 1} (without an id)"

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
