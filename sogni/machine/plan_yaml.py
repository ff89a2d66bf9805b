"""A plan's text as YAML: decides what it stands for, and in which line each step begins.

Called by `plan_files`. It knows of a plan only that there is a list called `steps`. The loader is the safe one, with
the plain values of YAML 1.2: in 1.1 `16:9` is the number 969, `on` is true, and `2026-06-01` a date.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ValidationError

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
    return value, _lines_of_steps(node)


def _lines_of_steps(node: Any) -> list[int]:
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
