"""Read and write workflow plans as YAML or JSON files.

Used by `WorkflowInput.load` and `save`, and by the command line. Findings are reported with the file, and with the line
on which their step begins. YAML is read as version 1.2, in which `16:9` and `on` are strings. Only plain values are
read: no file can run code.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from sogni.core.workflows.plans import plan_findings, refuse
from sogni.errors import ValidationError
from sogni.local.files import write_file
from sogni.models.converter import read, to_dict, wire_form
from sogni.models.workflows import PlanFinding, WorkflowInput

Parsed = tuple[Any, Sequence[int]]
"""The value in a file, and the line of each of its steps."""

MISSING = "YAML files need ruamel.yaml, which is not installed: pip install 'sogni[yaml]'"
MAX_VALUES = 100_000
"""Values in a plan. A value counts again wherever an alias repeats it: a few lines can expand to billions."""


def load_plan(path: str | os.PathLike[str], *, media_references: Any = None, whole: bool = False) -> WorkflowInput:
    """Load the plan in a file.

    `media_references` and `whole` are passed to `plan_findings`. Raises ValidationError naming file, line and step of
    every error, OSError if the file cannot be read, and ImportError for YAML without ruamel.yaml.
    """
    value, lines = read_values(path)
    wire = wire_form(WorkflowInput, value)
    refuse(_located(path, lines, plan_findings(wire, media_references=media_references, whole=whole)))
    return read(WorkflowInput, wire, str(path))


def file_findings(path: str | os.PathLike[str]) -> list[PlanFinding]:
    """Return the findings of `plan_findings` for the plan in a file, with file and line. Raises as `read_values`."""
    value, lines = read_values(path)
    return _located(path, lines, plan_findings(value))


def read_values(path: str | os.PathLike[str]) -> Parsed:
    """Return the unchecked content of a YAML or JSON file.

    Raises ValidationError with file and line, OSError, and ImportError for YAML without ruamel.yaml.
    """
    file = Path(path)
    parse = _chosen(file, _PARSERS)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(f"{file}: not a UTF-8 file", field="path") from error
    try:
        parsed: Parsed = parse(file, text)
        return parsed
    except ValidationError:
        raise
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, very deep nesting
        raise ValidationError(f"{file}: cannot be read: {error}", field="path") from error


def save_plan(plan: WorkflowInput, path: str | os.PathLike[str]) -> Path:
    """Write a plan; the file appears only once it is complete.

    Raises ValidationError for a plan that JSON cannot represent, and OSError if the file cannot be written.
    """
    file = Path(path)
    write = _chosen(file, _WRITERS)
    wire = wire_form(WorkflowInput, plan)
    refuse([it for it in plan_findings(wire, whole=False) if it.rule in ("type", "json")])
    text = write(to_dict(wire))
    # JSON is not escaped: a lone surrogate becomes its escape here.
    return write_file(file, text.encode("utf-8", "backslashreplace"))


def _chosen(file: Path, by_suffix: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    chosen = by_suffix.get(file.suffix.lower())
    if chosen is None:
        raise ValidationError(
            f"{file}: the name of a plan must end with {', '.join(by_suffix)}", field="path", allowed=tuple(by_suffix)
        )
    return chosen


def _located(path: str | os.PathLike[str], lines: Sequence[int], findings: Sequence[PlanFinding]) -> list[PlanFinding]:
    where = {it.index: str(path) if it.index is None else f"{path}:{lines[it.index]}" for it in findings}
    return [evolve(it, message=f"{where[it.index]}: {it.message}") for it in findings]


# -- JSON


def _to_json(plan: Any) -> str:
    return json.dumps(plan, indent=2, ensure_ascii=False) + "\n"


def _parse_json(file: Path, text: str) -> Parsed:
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unique_keys(file, pairs))
    except json.JSONDecodeError as error:
        raise ValidationError(f"{file}:{error.lineno}: not valid JSON: {error.msg}", field="path") from error
    return value, _json_step_lines(text)


def _unique_keys(file: Path, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValidationError(f"{file}: duplicate key {key!r}", field="path")
        made[key] = value
    return made


_BLANK = re.compile(r"[\s,:]*")


def _json_step_lines(text: str) -> list[int]:
    """Return the lines on which the entries of `steps` begin, in valid JSON."""
    scan = json.JSONDecoder().raw_decode
    if not text.lstrip().startswith("{"):
        return []
    at = _after_blank(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = scan(text, at)
        at = _after_blank(text, at)
        if key == "steps" and text[at] == "[":
            return _entry_lines(text, at + 1, scan)
        at = _after_blank(text, scan(text, at)[1])
    return []


def _entry_lines(text: str, at: int, scan: Callable[[str, int], tuple[Any, int]]) -> list[int]:
    lines = []
    at = _after_blank(text, at)
    while text[at] != "]":
        lines.append(text.count("\n", 0, at) + 1)
        at = _after_blank(text, scan(text, at)[1])
    return lines


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    assert found is not None
    return found.end()


# -- YAML

_STRING = "tag:yaml.org,2002:str"
_STRINGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
"""Values that the safe loader would convert to dates, or reject: `2026-06-01` and `=` are strings, as in JSON."""
_NEEDS_ESCAPE = re.compile("[^\t\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Control characters, byte order marks, lone surrogates, and the line breaks other than `\\n`."""


_LARGE = 50_000
"""Length of a string from which on the scanner in Python takes a noticeable time."""
_READ_DIFFERENTLY = re.compile(
    "^%|[|>][-+\\d]*#|[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\U00010000-\U0010ffff]", re.MULTILINE
)
"""Directives, comments that touch the sign of a block, tabs, other line breaks, and what else is no ordinary text."""


def _to_yaml(plan: Any) -> str:
    stream = io.StringIO()
    _yaml().dump(plan, stream)
    return stream.getvalue()


def _parse_yaml(file: Path, text: str) -> Parsed:
    value, node = yaml_document(file, text)
    return value, _yaml_step_lines(node)


def yaml_document(file: Path, text: str, max_values: int = MAX_VALUES) -> tuple[Any, Any]:
    """Return the plain value in a YAML document, and its node, which knows lines.

    Raises ValidationError with file and line, and ImportError without ruamel.yaml.
    """
    yaml = _yaml()
    from ruamel.yaml.error import YAMLError

    try:
        node = _compose_quickly(text) if len(text) >= _LARGE else None
        if node is None:
            node = yaml.compose(text)
        # Before anything is constructed: merging aliases of aliases would take time and memory without bounds.
        _count(file, node, {}, max_values)
        value = None if node is None else yaml.constructor.construct_document(node)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark is not None else str(file)
        problem = getattr(error, "problem", None) or error
        raise ValidationError(f"{where}: not valid YAML: {problem}", field="path") from error
    return value, node


def _compose_quickly(text: str) -> Any:
    """Return the node of a document, scanned by libyaml, if that is installed with PyYAML and means the same.

    Only the scanner is that of PyYAML. Values are resolved by the rules of YAML 1.2, as otherwise. Whatever the two
    libraries may read differently is left to the slow way, and so is what is malformed.
    """
    if _READ_DIFFERENTLY.search(text):
        return None
    try:
        from yaml import CSafeLoader, YAMLError, parse
    except ImportError:  # also where PyYAML was built without libyaml
        return None
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
    from ruamel.yaml.resolver import VersionedResolver

    resolver = VersionedResolver()
    events = parse(text, Loader=CSafeLoader)

    def node_of(event: Any) -> Any:
        kind = type(event).__name__
        if kind == "AliasEvent" or event.anchor is not None or event.tag is not None:
            raise _OtherwiseError
        if kind == "ScalarEvent":
            if not event.value and event.implicit[0]:
                raise _OtherwiseError  # nothing, which the two find on different lines
            tag = resolver.resolve(ScalarNode, event.value, event.implicit)
            return ScalarNode(tag, event.value, event.start_mark, event.end_mark, style=event.style)
        is_mapping, end = kind == "MappingStartEvent", kind.replace("Start", "End")
        children = []
        while type(following := next(events)).__name__ != end:
            children.append(node_of(following))
        node_type = MappingNode if is_mapping else SequenceNode
        tag = resolver.resolve(node_type, None, event.implicit)
        content = list(zip(children[::2], children[1::2], strict=True)) if is_mapping else children
        return node_type(tag, content, event.start_mark, event.end_mark, flow_style=event.flow_style)

    try:
        kinds = [type(next(events)).__name__ for _ in range(2)]
        node = node_of(next(events))
        kinds += [type(event).__name__ for event in events]
    except (_OtherwiseError, YAMLError, StopIteration):
        return None
    one = ["StreamStartEvent", "DocumentStartEvent", "DocumentEndEvent", "StreamEndEvent"]
    return node if kinds == one else None


class _OtherwiseError(Exception):
    """A document that libyaml does not read."""


def _yaml() -> Any:
    """Return a YAML 1.2 reader and writer of plain values. Raises ImportError without ruamel.yaml."""
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.nodes import ScalarNode
        from ruamel.yaml.resolver import VersionedResolver
    except ImportError:
        raise ImportError(MISSING, name="ruamel.yaml") from None
    old_rules = VersionedResolver(version=(1, 1))

    def represent_string(representer: Any, text: str) -> Any:
        style = '"' if _NEEDS_ESCAPE.search(text) else "|" if "\n" in text else None
        # Quoted if YAML 1.1, which many programs still read, takes it for something else: 16:9, on.
        if style is None and str(old_rules.resolve(ScalarNode, text, (True, False))) != _STRING:
            style = "'"
        return representer.represent_scalar(_STRING, text, style=style)

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 110
    # On the instances: `add_constructor` and `add_representer` would change the classes for the whole process.
    reader, writer = yaml.constructor, yaml.representer
    reader.yaml_constructors = reader.yaml_constructors | dict.fromkeys(_STRINGS, type(reader).construct_yaml_str)
    writer.yaml_representers = writer.yaml_representers | {str: represent_string}
    writer.ignore_aliases = lambda _: True
    return yaml


def _yaml_step_lines(node: Any) -> list[int]:
    for key, value in node.value if _is(node, "mapping") else ():
        if key.value == "steps" and _is(value, "sequence"):
            return [entry.start_mark.line + 1 for entry in value.value]
    return []


def _is(node: Any, kind: str) -> bool:
    return node is not None and node.id == kind


def _count(file: Path, node: Any, counted: dict[int, int | None], most: int) -> int:
    """Return the number of values in a node, aliases expanded.

    Raises ValidationError for duplicate and compound keys, values that contain themselves, and more than `most`.
    """
    if id(node) in counted:
        size = counted[id(node)]
        if size is None:
            raise ValidationError(f"{file}:{node.start_mark.line + 1}: a value contains itself", field="path")
        return size
    counted[id(node)] = None
    size = 1
    if _is(node, "mapping"):
        keys: set[str] = set()
        for key, value in node.value:
            where = f"{file}:{key.start_mark.line + 1}"
            if not _is(key, "scalar"):
                raise ValidationError(f"{where}: not valid YAML: keys must be strings", field="path")
            if key.value in keys:
                raise ValidationError(f"{where}: duplicate key {key.value!r}", field="path")
            keys.add(key.value)
            size += 1 + _count(file, value, counted, most)
    elif _is(node, "sequence"):
        size += sum(_count(file, entry, counted, most) for entry in node.value)
    if size > most:
        raise ValidationError(f"{file}: more than {most} values", field="path")
    counted[id(node)] = size
    return size


_PARSERS: Mapping[str, Callable[[Path, str], Parsed]] = {
    ".json": _parse_json,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}
_WRITERS: Mapping[str, Callable[[Any], str]] = {".json": _to_json, ".yaml": _to_yaml, ".yml": _to_yaml}
SUFFIXES = tuple(_PARSERS)
