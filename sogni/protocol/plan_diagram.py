"""A plan as a Mermaid flowchart: decides how steps and dependencies are drawn, and that no text breaks the drawing.

Called by `WorkflowInput.to_mermaid`. It draws any plan, also one that may not be started; a step that is not there is
drawn as missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..models.workflow_plans import INPUT_MEDIA

if TYPE_CHECKING:
    from ..models.workflow_plans import WorkflowInput, WorkflowStep

_LONGEST = 60
_TOLD_BY_CODE = re.compile(r"[^\w \-/,$:()+]")
"""Everything else means something to Mermaid, Markdown or HTML somewhere."""


def mermaid(plan: WorkflowInput) -> str:
    """The text of the flowchart."""
    head = ["---", f"title: {json.dumps(_shortened(plan.title))}", "---"] if plan.title else []
    return "\n".join([*head, "flowchart TD", *(f"    {line}" for line in _lines(plan))])


def _lines(plan: WorkflowInput) -> Iterator[str]:
    nodes: dict[str, str] = {}
    for index, step in enumerate(plan.steps):
        nodes.setdefault(step.id or "", f"s{index}")
        yield f'{f"s{index}"}["{_label(step)}"]'
    nodes.pop("", None)
    missing = dict.fromkeys(
        need.source_step_id for step in plan.steps for need in step.depends_on or () if need.source_step_id not in nodes
    )
    for index, source in enumerate(missing):
        media = source == INPUT_MEDIA
        nodes[source] = "media" if media else f"missing{index}"
        yield """media[/"media of the request"/]""" if media else f'{nodes[source]}>"{_escaped(source)}: missing"]'
    for index, step in enumerate(plan.steps):
        for need in step.depends_on or ():
            arrow = "-.->" if need.required is False else "-->"
            text = f"{need.transform} to {need.target_argument}"
            yield f'{nodes[need.source_step_id]} {arrow}|"{_escaped(text)}"| s{index}'


def _label(step: WorkflowStep) -> str:
    tool = _escaped(step.tool_name)
    return f"{_escaped(step.id)}<br/>{tool}" if step.id else tool


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def _escaped(text: str) -> str:
    """A text for a quoted label, on one line, with the characters that mean something as their codes."""
    return _TOLD_BY_CODE.sub(lambda found: f"#{ord(found[0])};", _shortened(text))
