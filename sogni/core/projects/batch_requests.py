"""The requests of a batch: the format of a file, and the projects that its rows describe.

The format follows from the suffix, or else from the content, because each line of a CSV, YAML or JSON document would
otherwise be taken for a prompt and paid for. In doubt, a line is a prompt. No file is opened here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

import attrs
from attrs import field, frozen

from sogni.core.checks import invalid_value, short_repr
from sogni.core.projects.idempotency import checked_key
from sogni.core.projects.kinds import kind_of
from sogni.core.projects.params import PARAMS_BY_TYPE, project_params
from sogni.errors import (
    InsufficientBalanceError,
    PartialFailureError,
    ProjectCanceledError,
    ProjectError,
    RateLimitError,
    ServerError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
    WorkerError,
)
from sogni.models.converter import wire_name
from sogni.models.params import AudioProjectParams, ImageProjectParams, ProjectParams, VideoProjectParams

Format = Literal["lines", "CSV", "JSON", "YAML"]
_BY_SUFFIX: Mapping[str, Format] = {
    ".csv": "CSV", ".tsv": "CSV", ".yaml": "YAML", ".yml": "YAML", ".json": "JSON", ".jsonl": "lines",
    ".ndjson": "lines",
}  # fmt: skip
_ARRAY = re.compile(r"""\[\s*(?:$|["{\]])|\{\s*$""")
"""The start of a JSON document; `[[fox]]` and `[fox:0.5]` are prompts."""
_ITEM = re.compile(r"-(?:\s|$)")
_SECTION = re.compile(r"[A-Za-z_][\w-]*:\s*$")
_PROMPT_KEY = re.compile(r"(?:positive_?)?prompts?\s*:", re.IGNORECASE)
_PROMPT_COLUMN = re.compile(r"(?:positive[_ ]?)?prompts?", re.IGNORECASE)
_SEPARATORS = ",;\t|"
COMMENT = "#"
"""Starts a line that is skipped."""


def format_of(name: str, text: str) -> Format:
    """Return the format of a batch file, from the suffix of its name or else from its content."""
    known = _BY_SUFFIX.get(PurePath(name).suffix.lower())
    if known is not None:
        return known
    # The last cells of a row may be empty, so tabs at the end belong to it.
    content = [line.rstrip(" \r") for line in text.removeprefix("\ufeff").split("\n")]
    content = [line for line in content if line.strip() and not line.lstrip().startswith(COMMENT)]
    return (_shape(content) if content else None) or "lines"


def _shape(content: Sequence[str]) -> Format | None:
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


TEMPLATE = "*"
"""In place of a prompt: the other fields of the row apply to all rows."""
_KEY = "idempotency_key"
_PROMPT = "positive_prompt"
_DEFAULT_TYPE = "image"


@frozen(kw_only=True)
class BatchRow:
    """A row of a batch as it was read: a prompt, the fields of a project, a params object, or why it is malformed.

    `place` names it in messages ("animals.csv:3").
    """

    line: int
    place: str
    content: Any = None
    error: ValidationError | None = None


@frozen(kw_only=True)
class BatchRequest:
    """One project of a batch: its line number, its fields, and its `key` in the journal.

    `idempotency_key` is the one that the line gives its project, if any.
    """

    line: int
    place: str
    key: str
    fields: Mapping[str, Any]
    idempotency_key: str | None = None
    params: ProjectParams = field(repr=False)


@frozen(kw_only=True)
class LineFinding:
    """An error in a row of a batch: where it is, the field, its value and what is allowed, where these are known."""

    line: int
    place: str
    message: str
    field: str | None = None
    value: Any = None
    allowed: Any = None
    fields: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @classmethod
    def of(cls, row: BatchRow | BatchRequest, error: Exception, fields: Mapping[str, Any]) -> LineFinding:
        """Return the finding for an error."""
        details = {name: getattr(error, name, None) for name in ("field", "value", "allowed")}
        return cls(line=row.line, place=row.place, message=str(error), fields=fields, **details)

    @property
    def error(self) -> ValidationError:
        """The error of this row."""
        return ValidationError(self.message, field=self.field, value=self.value, allowed=self.allowed)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def line_rows(lines: Iterable[str], file: str | None = None) -> list[BatchRow]:
    """Return the rows in lines: prompts and JSON objects. Empty lines and those that begin with `#` are skipped."""
    rows = []
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("\ufeff")
        if not text or text.startswith(COMMENT):
            continue
        content: Any = text
        error = None
        if text.startswith("{"):
            try:
                content = json.loads(text)
            except (ValueError, RecursionError) as problem:
                error = ValidationError(f"not a JSON object: {problem}", field="line", value=short_repr(text))
        rows.append(BatchRow(line=number, place=row_place(file, number), content=content, error=error))
    return rows


def row_place(file: str | None, line: int) -> str:
    """Return how messages name a row."""
    return f"line {line}" if file is None else f"{file}:{line}"


def batch_requests(
    rows: Iterable[BatchRow], defaults: Mapping[str, Any], *, common: Mapping[str, Any]
) -> tuple[list[BatchRequest], list[LineFinding]]:
    """Return the projects in rows, and all errors in them.

    `common` are fields of every row. `defaults` are fields of rows of the same `type`, which is also the default type;
    without a type, they apply to all. So do those of a template row, which outrank both. The fields of a row outrank
    all others.
    """
    requests: list[BatchRequest] = []
    findings: list[LineFinding] = []
    seen: Counter[str] = Counter()
    named: dict[str, str] = {}
    rows = list(rows)
    template = _template(rows)
    for row in rows:
        given: dict[str, Any] = {}
        try:
            if row.error is not None:
                raise row.error
            given = row_fields(row.content)
            if given.get(_PROMPT) == TEMPLATE:
                continue
            fields = _with_defaults(given, common, defaults, template)
            params = project_params(None, {name: value for name, value in fields.items() if name != _KEY})
            params = kind_of(params).check(params).params
            idempotency_key = _idempotency_key(fields, row.place, named)
            known = json.dumps(fields, sort_keys=True, default=_comparable)
        except (ValidationError, TypeError) as error:
            findings.append(LineFinding.of(row, error, given))
            continue
        seen[known] += 1
        requests.append(
            BatchRequest(
                line=row.line,
                place=row.place,
                key=_key(known, seen[known]),
                fields=fields,
                params=params,
                idempotency_key=idempotency_key,
            )
        )
    return requests, findings


def refuse_lines(findings: Sequence[LineFinding]) -> None:
    """Raise `ValidationError` with all findings, if there are any."""
    if findings:
        message = "; ".join(map(str, findings))
        raise ValidationError(message, field=f"line {findings[0].line}", findings=tuple(findings))


def may_succeed_again(error: SogniError) -> bool:
    """Return whether the same request may succeed if it is repeated."""
    if isinstance(error, InsufficientBalanceError | ProjectCanceledError | PartialFailureError):
        return False
    if isinstance(error, ProjectError):
        # 4xxx: what was requested is refused, and would be again. 5xxx: workers, timeouts (projects-4.2 §11.5).
        return not str(error.code or "").startswith("4")
    return isinstance(error, RateLimitError | ServerError | SogniConnectionError | SogniTimeoutError | WorkerError)


def row_fields(content: Any) -> dict[str, Any]:
    """Return the fields in a row: of a prompt, a mapping, a params object, or what a command prints with `--json`."""
    if isinstance(content, str):
        return {_PROMPT: content}
    if isinstance(content, ImageProjectParams | VideoProjectParams | AudioProjectParams):
        return _explicit(content)
    if not isinstance(content, Mapping):
        allowed = "a prompt, an object with the fields of a project, or a params object"
        raise invalid_value("request", content, allowed)
    params = content.get("params")
    if isinstance(params, Mapping) and "jobs" in content:
        return _of_snapshot(params)
    request = content.get("request")
    if isinstance(request, Mapping) and "status" in content:
        return dict(request)
    return dict(content)


def _explicit(params: ProjectParams) -> dict[str, Any]:
    """Return the fields of a params object that differ from their defaults."""
    declared: Any = attrs.fields(type(params))
    values = {it.name: (getattr(params, it.name), it.default) for it in declared}
    return {name: value for name, (value, default) in values.items() if name == "type" or value != default}


def _of_snapshot(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields in the params of a project that a command printed."""
    kind = PARAMS_BY_TYPE.get(str(params.get("type")), PARAMS_BY_TYPE[_DEFAULT_TYPE])
    names = {wire_name(it): it.name for it in attrs.fields(kind)}
    return {names.get(name, name): value for name, value in params.items()}


def _template(rows: Iterable[BatchRow]) -> dict[str, Any]:
    """Return the fields of the template rows, without their prompts."""
    found: dict[str, Any] = {}
    for row in rows:
        if isinstance(row.content, Mapping) and row.content.get(_PROMPT) == TEMPLATE:
            found |= {name: value for name, value in row.content.items() if name != _PROMPT}
    return found


def _with_defaults(given: Mapping[str, Any], common: Mapping[str, Any], *defaults: Mapping[str, Any]) -> dict[str, Any]:
    types = [it["type"] for it in (given, *reversed(defaults), common) if "type" in it]
    kind = types[0] if types else _DEFAULT_TYPE
    fields = dict(common)
    for applied in defaults:
        if applied.get("type", kind) == kind:
            fields |= applied
    return {**fields, **given, "type": kind}


def _idempotency_key(fields: Mapping[str, Any], place: str, named: dict[str, str]) -> str | None:
    """Return the idempotency key that a row gives its project; `named` are the places of all keys so far."""
    if fields.get(_KEY) is None:
        return None
    key = checked_key(fields[_KEY])
    if key in named:
        raise invalid_value(_KEY, key, "different on every line", f"{named[key]} has the same {_KEY}")
    named[key] = place
    return key


def _comparable(value: Any) -> Any:
    """Return what stands for a value in the key of a request: it is the same in the next run."""
    if isinstance(value, bytes | bytearray | memoryview):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if attrs.has(type(value)):
        return {it.name: getattr(value, it.name) for it in attrs.fields(type(value))}
    allowed = "strings, numbers, paths and bytes, by which the next run knows the request again"
    raise invalid_value("request", value, allowed)


def _key(known: str, occurrence: int) -> str:
    """Return a key that does not depend on the line number, so that lines can be added and moved."""
    return hashlib.sha256(f"{occurrence} {known}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
