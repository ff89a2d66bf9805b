"""Plans as files: decides how YAML and JSON become a plan, and where in the file a mistake stands.

Called by `WorkflowInput.load` and `save`, and by the command line. YAML is that of its version 1.2: `16:9` and `on` are
texts. Only plain values are read; no file can make anything run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from ..errors import ValidationError
from ..models.converter import read, to_dict, wire_form
from ..models.workflow_plans import PlanFinding, WorkflowInput
from ..protocol.plan_check import plan_findings, refuse
from .part_files import write_file
from .plan_json import json_text, parse_json
from .plan_yaml import parse_yaml, yaml_text

Parsed = tuple[Any, Sequence[int]]
"""What a file holds, and the line of each of its steps."""

_PARSERS: Mapping[str, Callable[[Path, str], Parsed]] = {
    ".json": parse_json,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
}
_WRITERS: Mapping[str, Callable[[Any], str]] = {".json": json_text, ".yaml": yaml_text, ".yml": yaml_text}
SUFFIXES = tuple(_PARSERS)


def load_plan(path: str | os.PathLike[str], *, media_references: Any = None, whole: bool = False) -> WorkflowInput:
    """The plan in a file. ValidationError names file, line and step of everything that is wrong; OSError.

    `media_references` and `whole` are those of `plan_findings`.
    """
    value, lines = read_values(path)
    wire = wire_form(WorkflowInput, value)
    refuse(_located(path, lines, plan_findings(wire, media_references=media_references, whole=whole)))
    return read(WorkflowInput, wire, str(path))


def file_findings(path: str | os.PathLike[str]) -> list[PlanFinding]:
    """What `plan_findings` says about the plan in a file, with file and line. ValidationError, OSError as above."""
    value, lines = read_values(path)
    return _located(path, lines, plan_findings(value))


def read_values(path: str | os.PathLike[str]) -> Parsed:
    """What a file in YAML or JSON holds, unchecked. ValidationError names file and line; OSError, ImportError."""
    file = Path(path)
    parse = _chosen(file, _PARSERS)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(f"{file}: is not a text in UTF-8", field="path") from error
    try:
        parsed: Parsed = parse(file, text)
    except ValidationError:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, values within values within values
        raise ValidationError(f"{file}: is more than can be read: {error}", field="path") from error
    return parsed


def _located(path: str | os.PathLike[str], lines: Sequence[int], findings: Sequence[PlanFinding]) -> list[PlanFinding]:
    where = {it.index: str(path) if it.index is None else f"{path}:{lines[it.index]}" for it in findings}
    return [evolve(it, message=f"{where[it.index]}: {it.message}") for it in findings]


def save_plan(plan: WorkflowInput, path: str | os.PathLike[str]) -> Path:
    """Write a plan; the file appears when it is complete. ValidationError for what no file can hold, OSError."""
    file = Path(path)
    write = _chosen(file, _WRITERS)
    wire = wire_form(WorkflowInput, plan)
    refuse([it for it in plan_findings(wire, whole=False) if it.rule in ("type", "json")])
    text = write(to_dict(wire))
    # In JSON a lone surrogate becomes its escape; PyYAML has escaped it already.
    return write_file(file, text.encode("utf-8", "backslashreplace"))


def _chosen(file: Path, by_suffix: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    way = by_suffix.get(file.suffix.lower())
    if way is None:
        raise ValidationError(
            f"{file}: a plan is a file that ends with {', '.join(by_suffix)}", field="path", allowed=tuple(by_suffix)
        )
    return way
