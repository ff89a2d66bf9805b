"""The lines of a batch file: each is a prompt, or a JSON object with the fields of a project.

Files in other formats (CSV, YAML, JSON documents) are rejected by suffix and by content, because each of their lines
would be taken for a prompt and paid for. In doubt, a line is a prompt. No file is opened here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from attrs import field, frozen

from sogni.core.checks import invalid_value, short_repr
from sogni.core.projects.idempotency import checked_key
from sogni.core.projects.kinds import kind_of
from sogni.core.projects.params import project_params
from sogni.errors import ValidationError
from sogni.models.params import ProjectParams

_BY_SUFFIX = {".csv": "CSV", ".tsv": "CSV", ".yaml": "YAML", ".yml": "YAML", ".json": "JSON"}
_ARRAY = re.compile(r"""\[\s*(?:$|["{\]])|\{\s*$""")
"""The start of a JSON document; `[[fox]]` and `[fox:0.5]` are prompts."""
_ITEM = re.compile(r"-(?:\s|$)")
_SECTION = re.compile(r"[A-Za-z_][\w-]*:\s*$")
_PROMPT_KEY = re.compile(r"(?:positive_?)?prompts?\s*:", re.IGNORECASE)
_PROMPT_COLUMN = re.compile(r"(?:positive[_ ]?)?prompts?", re.IGNORECASE)
_SEPARATORS = ",;\t|"


def refuse_other_formats(name: str, lines: Sequence[str]) -> None:
    """Raise `ValidationError` if a file seems to be in another format."""
    suffix = PurePath(name).suffix.lower()
    kind = _BY_SUFFIX.get(suffix)
    if kind is not None:
        found = f"a file that ends with {suffix} ({kind})"
    else:
        content = [line.rstrip().removeprefix("\ufeff") for line in lines]
        content = [line for line in content if line and not line.lstrip().startswith("#")]
        kind = _shape(content) if content else None
        found = f"what looks like {kind}: {content[0][:60]!r}" if kind else ""
    if kind is not None:
        allowed = "a prompt or a JSON object (JSON Lines) on each line"
        raise ValidationError(f"file must contain {allowed}, got {found}", field="file", value=name, allowed=allowed)


def _shape(content: Sequence[str]) -> str | None:
    first = content[0].lstrip()
    if _ARRAY.match(first):
        return "JSON"
    if _is_yaml(first, content):
        return "YAML"
    return "CSV" if _is_csv(first, content) else None


def _is_yaml(first: str, content: Sequence[str]) -> bool:
    if first == "---" or first.startswith("%YAML") or _PROMPT_KEY.match(first):
        return True
    if _SECTION.match(first):
        return len(content) > 1 and (content[1][:1].isspace() or _ITEM.match(content[1]) is not None)
    return _ITEM.match(first) is not None and all(it[:1].isspace() or _ITEM.match(it) for it in content)


def _is_csv(first: str, content: Sequence[str]) -> bool:
    if _PROMPT_COLUMN.fullmatch(first.strip('"')):
        return len(content) > 1
    return any(_is_table(content, separator) for separator in _SEPARATORS if separator in first)


def _is_table(content: Sequence[str], separator: str) -> bool:
    """Whether all lines have the same number of cells, and they are unlikely to be prompts."""
    try:
        rows = list(csv.reader(content, delimiter=separator, skipinitialspace=True))
    except csv.Error:  # a cell that is too long
        return False
    if {len(row) for row in rows} != {max(2, len(rows[0]))}:
        return False
    if any(_PROMPT_COLUMN.fullmatch(cell.strip()) for cell in rows[0]):
        return True
    if separator == "\t":
        return len(rows) > 1
    quoted = re.compile(rf'(?:\s*"(?:[^"]|"")*"\s*(?:{re.escape(separator)}|$))+')
    return all(quoted.fullmatch(line) for line in content)


COMMENT = "#"
_KEY = "idempotency_key"


@frozen(kw_only=True)
class BatchRequest:
    """One project of a batch: its line number, its fields, and its `key` in the journal.

    `idempotency_key` is the one that the line gives its project, if any.
    """

    line: int
    key: str
    fields: Mapping[str, Any]
    idempotency_key: str | None = None
    params: ProjectParams = field(repr=False)


@frozen(kw_only=True)
class LineFinding:
    """An error in a line of a batch file."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


def batch_requests(
    lines: Iterable[str], defaults: Mapping[str, Any], *, common: Mapping[str, Any]
) -> list[BatchRequest]:
    """Return the projects in lines; empty lines and those that begin with `#` are skipped.

    `common` are fields of every line. `defaults` are fields of lines of the same `type`, which is also the default
    type. The fields of a line outrank both. Raises `ValidationError` with all errors as `findings`.
    """
    requests: list[BatchRequest] = []
    findings: list[LineFinding] = []
    seen: Counter[str] = Counter()
    named: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("\ufeff")
        if not text or text.startswith(COMMENT):
            continue
        try:
            fields = {**common, **_fields(text, defaults)}
            params = project_params(None, {name: value for name, value in fields.items() if name != _KEY})
            params = kind_of(params).check(params).params
            idempotency_key = _idempotency_key(fields, number, named)
        except (ValidationError, TypeError) as error:
            findings.append(LineFinding(line=number, message=str(error)))
            continue
        known = json.dumps(fields, sort_keys=True)
        seen[known] += 1
        key = _key(known, seen[known])
        requests.append(
            BatchRequest(line=number, key=key, fields=fields, params=params, idempotency_key=idempotency_key)
        )
    refuse_lines(findings)
    return requests


def refuse_lines(findings: Sequence[LineFinding]) -> None:
    """Raise `ValidationError` with all findings, if there are any."""
    if findings:
        message = "; ".join(map(str, findings))
        raise ValidationError(message, field=f"line {findings[0].line}", findings=tuple(findings))


def _idempotency_key(fields: Mapping[str, Any], line: int, named: dict[str, int]) -> str | None:
    """Return the idempotency key that a line gives its project; `named` are the lines of all keys so far."""
    if fields.get(_KEY) is None:
        return None
    key = checked_key(fields[_KEY])
    if named.setdefault(key, line) != line:
        raise invalid_value(_KEY, key, "different on every line", f"line {named[key]} has the same {_KEY}")
    return key


def _fields(text: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    if not text.startswith("{"):
        return {**defaults, "positive_prompt": text}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValidationError(f"not a JSON object: {error}", field="line", value=short_repr(text)) from None
    kind = given.get("type", defaults.get("type"))
    return {**(defaults if kind == defaults.get("type") else {}), **given}


def _key(known: str, occurrence: int) -> str:
    """Return a key that does not depend on the line number, so that lines can be added and moved."""
    return hashlib.sha256(f"{occurrence} {known}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
