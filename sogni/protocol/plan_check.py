"""Whether a plan may be started: decides what is refused here, and what is left to the service.

Called by the workflow flows, `WorkflowInput.check` and whatever reads plans from files. What no service could
run is always refused; what a newer service might know (a tool, an argument) only with `strict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ValidationError
from ..models.converter import wire_form
from ..models.workflow_plans import PlanFinding, WorkflowInput
from .plan_flow import flow_findings
from .plan_structure import structure_findings
from .plan_tools import tool_findings


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
