"""A plan's text as JSON: decides what it stands for, and in which line each step begins.

Called by `plan_files`. It knows of a plan only that there is a list called `steps`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from attrs import evolve

from sogni.core.workflows.plans import plan_findings, refuse
from sogni.errors import ValidationError
from sogni.local.files import write_file
from sogni.models.converter import read, to_dict, wire_form
from sogni.models.workflows import PlanFinding, WorkflowInput


def json_text(plan: Any) -> str:
    """A plan as JSON, for people to read."""
    return json.dumps(plan, indent=2, ensure_ascii=False) + "\n"


def parse_json(file: Path, text: str) -> tuple[Any, list[int]]:
    """The value of a text, and the lines of its steps. ValidationError with file and line."""
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unrepeated(file, pairs))
    except json.JSONDecodeError as error:
        raise ValidationError(f"{file}:{error.lineno}: is no JSON: {error.msg}", field="path") from error
    return value, _json_step_lines(text)


def _unrepeated(file: Path, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValidationError(f"{file}: has the key {key!r} twice in one object", field="path")
        made[key] = value
    return made


_BLANK = re.compile(r"[\s,:]*")


def _json_step_lines(text: str) -> list[int]:
    """The lines in which the entries of the list `steps` begin, in a text that is JSON."""
    scan = json.JSONDecoder().raw_decode
    if not text.lstrip().startswith("{"):
        return []
    at = _after_blank(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = scan(text, at)
        at = _after_blank(text, at)
        if key == "steps" and text[at] == "[":
            return _entries(text, at + 1, scan)
        at = _after_blank(text, scan(text, at)[1])
    return []


def _entries(text: str, at: int, scan: Callable[[str, int], tuple[Any, int]]) -> list[int]:
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


# A plan's text as YAML: decides what it stands for, and in which line each step begins.
#
# Called by `plan_files`. It knows of a plan only that there is a list called `steps`. The loader is the safe one,
# with
# the plain values of YAML 1.2: in 1.1 `16:9` is the number 969, `on` is true, and `2026-06-01` a date.


MISSING = "plans in YAML need PyYAML, which is not installed: pip install 'sogni[yaml]'"
MOST_VALUES = 100_000
"""Values in a plan, each counted wherever an alias repeats it: a few lines can stand for billions."""

_RARE_BREAK = re.compile("[\r\x85\u2028\u2029]")
_TAG = "tag:yaml.org,2002:"
_PLAIN = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
    (
        "float",
        re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
        "-+.0123456789",
    ),
)


def yaml_text(plan: Any) -> str:
    """A plan as YAML, for people to read and change. ImportError without PyYAML."""
    text: str = _yaml().dump(plan, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=110)
    return text


def parse_yaml(file: Path, text: str) -> tuple[Any, list[int]]:
    """The value of a text, and the lines of its steps. ValidationError with file and line; ImportError."""
    yaml = _yaml()
    try:
        loader = _loader()(text)
        try:
            node = loader.get_single_node()
            _count(file, node, {})
            value = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark is not None else str(file)
        raise ValidationError(
            f"{where}: is no YAML: {getattr(error, 'problem', None) or error}", field="path"
        ) from error
    return value, _yaml_step_lines(node)


def _yaml_step_lines(node: Any) -> list[int]:
    for key, value in node.value if _is(node, "map") else ():
        if key.value == "steps" and _is(value, "seq"):
            return [entry.start_mark.line + 1 for entry in value.value]
    return []


def _is(node: Any, kind: str) -> bool:
    return node is not None and node.tag == _TAG + kind


def _count(file: Path, node: Any, counted: dict[int, int | None]) -> int:
    """How many values a node stands for. ValidationError for keys given twice, and for what has no end."""
    if id(node) in counted:
        size = counted[id(node)]
        if size is None:
            raise ValidationError(f"{file}:{node.start_mark.line + 1}: is a value that holds itself", field="path")
        return size
    counted[id(node)] = None
    size = 1
    if _is(node, "map"):
        keys: set[str | int] = set()
        for key, value in node.value:
            name = key.value if isinstance(key.value, str) else id(key)
            if name in keys:
                where = f"{file}:{key.start_mark.line + 1}"
                raise ValidationError(f"{where}: has the key {key.value!r} twice in one object", field="path")
            keys.add(name)
            size += _count(file, key, counted) + _count(file, value, counted)
    elif _is(node, "seq"):
        size += sum(_count(file, entry, counted) for entry in node.value)
    if size > MOST_VALUES:
        raise ValidationError(f"{file}: has more than {MOST_VALUES} values", field="path")
    counted[id(node)] = size
    return size


# -- PyYAML, made when it is first needed


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise ImportError(MISSING, name="yaml") from None
    return yaml


@cache
def _loader() -> Any:
    class Loader(_yaml().SafeLoader):  # type: ignore[misc]
        """The safe loader, without the surprises of YAML 1.1."""

    Loader.yaml_implicit_resolvers = {
        first: [it for it in resolvers if it[0] in (_TAG + "null", _TAG + "merge")]
        for first, resolvers in _yaml().SafeLoader.yaml_implicit_resolvers.items()
    }
    for name, pattern, first in _PLAIN:
        Loader.add_implicit_resolver(_TAG + name, pattern, list(first))
    return Loader


@cache
def _dumper() -> Any:
    class Dumper(_yaml().SafeDumper):  # type: ignore[misc]
        """Quotes every text that any loader might take for something else, and writes lines as lines."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    for name, pattern, first in _PLAIN:
        Dumper.add_implicit_resolver(_TAG + name, pattern, list(first))
    Dumper.add_representer(str, _lines_as_lines)
    return Dumper


def _lines_as_lines(dumper: Any, text: str) -> Any:
    # The further line breaks of YAML 1.1 survive only as escapes.
    style = '"' if _RARE_BREAK.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar(_TAG + "str", text, style=style)


# Plans as files: decides how YAML and JSON become a plan, and where in the file a mistake stands.
#
# Called by `WorkflowInput.load` and `save`, and by the command line. YAML is that of its version 1.2: `16:9` and `on`
# are
# texts. Only plain values are read; no file can make anything run.


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
