"""The lines of a batch file: decides which project each of them asks for, and what they are known by in the next run.

Called by `sogni batch`. A line is a prompt, or a JSON object with the fields of a project. It opens no file.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from ..errors import ValidationError
from ..models.params import ProjectParams
from .field_checks import shown
from .project_kinds import kind_of
from .project_params import project_params

COMMENT = "#"


@frozen(kw_only=True)
class BatchRequest:
    """One project of a batch: the line it stands in, its fields, and its `key` in the journal."""

    line: int
    key: str
    fields: Mapping[str, Any]
    params: ProjectParams = field(repr=False)


@frozen(kw_only=True)
class LineFinding:
    """What is wrong with a line of a batch file."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


def batch_requests(
    lines: Iterable[str], defaults: Mapping[str, Any], *, common: Mapping[str, Any]
) -> list[BatchRequest]:
    """The projects that lines ask for; empty lines and those that begin with `#` are none.

    `common` are fields of every line, `defaults` those of lines of the same `type`, which is also the type of lines
    that name none; what a line says outranks both. ValidationError with all the mistakes as `findings`.
    """
    requests: list[BatchRequest] = []
    findings: list[LineFinding] = []
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("\ufeff")
        if not text or text.startswith(COMMENT):
            continue
        try:
            fields = {**common, **_fields(text, defaults)}
            params = project_params(None, fields)
            params = kind_of(params).check(params)
        except (ValidationError, TypeError) as error:
            findings.append(LineFinding(line=number, message=str(error)))
            continue
        known = json.dumps(fields, sort_keys=True)
        seen[known] += 1
        requests.append(BatchRequest(line=number, key=_key(known, seen[known]), fields=fields, params=params))
    refuse_lines(findings)
    return requests


def refuse_lines(findings: Sequence[LineFinding]) -> None:
    """ValidationError when there are findings, naming all of them."""
    if findings:
        words = "; ".join(map(str, findings))
        raise ValidationError(words, field=f"line {findings[0].line}", findings=tuple(findings))


def _fields(text: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    if not text.startswith("{"):
        return {**defaults, "positive_prompt": text}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValidationError(f"not a JSON object: {error}", field="line", value=shown(text)) from None
    kind = given.get("type", defaults.get("type"))
    return {**(defaults if kind == defaults.get("type") else {}), **given}


def _key(known: str, occurrence: int) -> str:
    """The same for the same request wherever it stands, so that lines may be added and moved."""
    return hashlib.sha256(f"{occurrence} {known}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
