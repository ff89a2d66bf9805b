"""A plan's text as JSON: decides what it stands for, and in which line each step begins.

Called by `plan_files`. It knows of a plan only that there is a list called `steps`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import ValidationError


def json_text(plan: Any) -> str:
    """A plan as JSON, for people to read."""
    return json.dumps(plan, indent=2, ensure_ascii=False) + "\n"


def parse_json(file: Path, text: str) -> tuple[Any, list[int]]:
    """The value of a text, and the lines of its steps. ValidationError with file and line."""
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unrepeated(file, pairs))
    except json.JSONDecodeError as error:
        raise ValidationError(f"{file}:{error.lineno}: is no JSON: {error.msg}", field="path") from error
    return value, _lines_of_steps(text)


def _unrepeated(file: Path, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValidationError(f"{file}: has the key {key!r} twice in one object", field="path")
        made[key] = value
    return made


_BLANK = re.compile(r"[\s,:]*")


def _lines_of_steps(text: str) -> list[int]:
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
