"""A plan as a Mermaid flowchart: decides how steps and dependencies are drawn, and that no text breaks the drawing.

Called by `WorkflowInput.to_mermaid`. It draws any plan, also one that may not be started; a step that is not there is
drawn as missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..models.converter import wire_form
from ..models.workflow_plans import INPUT_MEDIA, WorkflowInput

_LONGEST = 60
_TOLD_BY_CODE = re.compile(r"[^\w \-/,$:()+]")
"""Everything else means something to Mermaid, Markdown or HTML somewhere."""


def mermaid(plan: WorkflowInput) -> str:
    """The text of the flowchart."""
    wire = wire_form(WorkflowInput, plan)
    title = _text(wire, "title")
    head = ["---", f"title: {json.dumps(_shortened(title))}", "---"] if title else []
    return "\n".join([*head, "flowchart TD", *(f"    {line}" for line in _lines(_objects(wire.get("steps"))))])


def _lines(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    nodes: dict[str, str] = {}
    for index, step in enumerate(steps):
        nodes.setdefault(_text(step, "id"), f"s{index}")
        yield f'{f"s{index}"}["{_label(step)}"]'
    nodes.pop("", None)
    needs = [(index, need) for index, step in enumerate(steps) for need in _objects(step.get("dependsOn"))]
    sources = [_text(need, "sourceStepId") for _, need in needs]
    for number, source in enumerate(dict.fromkeys(it for it in sources if it not in nodes)):
        media = source == INPUT_MEDIA
        nodes[source] = "media" if media else f"missing{number}"
        yield """media[/"media of the request"/]""" if media else f'{nodes[source]}>"{_escaped(source)}: missing"]'
    for (index, need), source in zip(needs, sources, strict=True):
        arrow = "-.->" if need.get("required") is False else "-->"
        text = f"{_text(need, 'transform')} to {_text(need, 'targetArgument')}"
        yield f'{nodes[source]} {arrow}|"{_escaped(text)}"| s{index}'


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """What can be drawn of a list."""
    return [it for it in value if isinstance(it, Mapping)] if isinstance(value, list) else []


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return "" if value is None else str(value)


def _label(step: Mapping[str, Any]) -> str:
    name, tool = _escaped(_text(step, "id")), _escaped(_text(step, "toolName"))
    return f"{name}<br/>{tool}" if name else tool


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def _escaped(text: str) -> str:
    """A text for a quoted label, on one line, with the characters that mean something as their codes."""
    return _TOLD_BY_CODE.sub(lambda found: f"#{ord(found[0])};", _shortened(text))
