"""Read the rows of a batch from CSV, JSON, JSON Lines, YAML, or lines of prompts.

Only a file that cannot be divided into rows is an error here; malformed rows are reported together. The values of CSV
and of `key=value` are strings, which are converted to the numbers and lists that the field needs.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from sogni.core.checks import short_repr
from sogni.core.projects.batch_requests import COMMENT, BatchRow, format_of, line_rows, row_place
from sogni.core.projects.params import PARAMS_BY_TYPE
from sogni.errors import ValidationError, brief

MAX_VALUES = 2_000_000
"""Values in a YAML file, aliases expanded."""

_ALIASES = {"prompt": "positive_prompt", "model": "model_id", "count": "number_of_media"}
"""Short names of fields in the header of a CSV file and in `key=value`."""
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_BLANK = re.compile(r"[\s,]*")
_SEPARATORS = ",;\t|"


def source_rows(source: Any) -> tuple[list[BatchRow], str]:
    """Return the rows of a file or an iterable, and a name for its journal.

    Raises ValidationError with file and line, TypeError, OSError, and ImportError for YAML without ruamel.yaml.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return read_rows(str(path), path.read_bytes()), path.stem
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise brief(
            TypeError(f"source must be the path of a file or an iterable of requests, got {short_repr(source)}")
        )
    rows = [
        BatchRow(line=number, place=f"requests[{number - 1}]", content=content)
        for number, content in enumerate(source, 1)
    ]
    return rows, "batch"


def read_rows(name: str, content: bytes) -> list[BatchRow]:
    """Return the rows of a file, of which `-` is standard input. Raises ValidationError with file and line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(f"{name} is not UTF-8 text", field="file", value=name) from error
    file = None if name == "-" else name
    match format_of(name, text):
        case "CSV":
            return _csv_rows(file, text)
        case "JSON":
            return _json_rows(file, text)
        case "YAML":
            return _yaml_rows(file, text)
        case _:
            return line_rows(text.split("\n"), file)


# -- values that are strings


def field_name(name: str) -> str:
    """Return the name of the field that a column or `key=value` names."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return _ALIASES.get(plain, plain)


def field_value(name: str, text: str) -> Any:
    """Return the value of a field as its type; a string that does not fit is left for the check of the field."""
    kinds = _kinds(name)
    if kinds & {"list", "object"} and text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if "list" in kinds and str not in kinds:
        return [_number(part.strip(), kinds) for part in text.split(";")]
    if bool in kinds and text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    return text if str in kinds else _number(text, kinds)


def _number(text: str, kinds: frozenset[Any]) -> Any:
    for kind in (int, float):
        if kind in kinds or (kind is int and float in kinds):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


@lru_cache(maxsize=256)
def _kinds(name: str) -> frozenset[Any]:
    """Return the types that a field may have; "list" and "object" are those with members."""
    found: set[Any] = set()
    for hint in _hints().get(name, ()):
        members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if bytes in members:  # media: in a string, only a path or URL
            found.add(str)
            continue
        for member in members:
            origin = get_origin(member)
            if origin is Sequence:
                found |= {"list", *(it for it in get_args(member) if it in (int, float))}
            elif origin is Mapping or attrs.has(member):
                found.add("object")
            elif member is not NoneType:
                found.add(member if member in (bool, int, float) else str)
    return frozenset(found)


@lru_cache(maxsize=1)
def _hints() -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for kind in PARAMS_BY_TYPE.values():
        for name, hint in get_type_hints(kind).items():
            found.setdefault(name, []).append(hint)
    return found


SUMMARY = ("done", "failed", "kept", "cost", "duration")
"""The keys of a report in addition to its requests."""
FIELDS = frozenset(it.name for kind in PARAMS_BY_TYPE.values() for it in attrs.fields(kind)) | {"idempotency_key"}
"""The names of all fields of projects."""


# -- formats


def _csv_rows(file: str | None, text: str) -> list[BatchRow]:
    lines = text.splitlines(keepends=True)
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith(COMMENT)), "")
    separator = max(_SEPARATORS, key=first.count) if any(it in first for it in _SEPARATORS) else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    names: list[str] = []
    rows: list[BatchRow] = []
    try:
        before = 0
        for cells in reader:
            number, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells) or (cells[0].startswith(COMMENT)):
                continue
            if not names:
                names = _header(file, number, cells)
            else:
                rows.append(_csv_row(file, number, names, cells))
    except csv.Error as error:
        raise ValidationError(f"{row_place(file, reader.line_num)}: not valid CSV: {error}", field="file") from error
    return rows


def _header(file: str | None, number: int, cells: Sequence[str]) -> list[str]:
    names = [field_name(cell) for cell in cells]
    if not FIELDS.intersection(names):
        allowed = "the names of fields, such as prompt,steps,seed"
        message = f"{row_place(file, number)}: the first row of a CSV file must contain {allowed}, got {cells[0]!r}"
        raise ValidationError(message, field="file", value=cells[0], allowed=allowed)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise ValidationError(f"{row_place(file, number)}: two columns are named {twice!r}", field=twice)
    return names


def _csv_row(file: str | None, number: int, names: Sequence[str], cells: Sequence[str]) -> BatchRow:
    error = None
    if any(cell.strip() for cell in cells[len(names) :]):
        error = ValidationError(
            f"the row has {len(cells)} cells, but the header names {len(names)}", field="row", value=list(cells)
        )
    pairs = zip(names, map(str.strip, cells), strict=False)
    fields = {name: field_value(name, text) for name, text in pairs if name and text}
    return BatchRow(line=number, place=row_place(file, number), content=fields, error=error)


def _json_rows(file: str | None, text: str) -> list[BatchRow]:
    """Return the rows of an array, an object with `requests`, or objects one after another."""
    decoder = json.JSONDecoder()
    at, line = _after_blank(text, 0), 1
    line += text.count("\n", 0, at)
    rows: list[BatchRow] = []
    try:
        if text[at : at + 1] == "[":
            start = at
            at = _after_blank(text, at + 1)
            while text[at : at + 1] != "]":
                line += text.count("\n", start, at)
                value, end = decoder.raw_decode(text, at)
                rows.append(BatchRow(line=line, place=row_place(file, line), content=value))
                start, at = at, _after_blank(text, end)
            at = _after_blank(text, at + 1)
            if at < len(text):
                raise json.JSONDecodeError("Extra data", text, at)
            return rows
        start = at
        while at < len(text):
            line += text.count("\n", start, at)
            value, end = decoder.raw_decode(text, at)
            rows += _document_rows(file, value, lambda _, line=line: line, line)
            start, at = at, _after_blank(text, end)
    except json.JSONDecodeError as error:
        place = row_place(file, error.lineno)
        raise ValidationError(f"{place}: not valid JSON: {error.msg}", field="file") from error
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{row_place(file, line)}: not valid JSON: {error}", field="file") from error
    return rows


def _document_rows(file: str | None, value: Any, line_of: Any, line: int) -> list[BatchRow]:
    """Return the rows of an object: its `requests`, with its `defaults` as a template, or the object itself.

    The report of a batch is such an object, too.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("requests"), list):
        return [BatchRow(line=line, place=row_place(file, line), content=value)]
    unknown = [name for name in value if name not in ("requests", "defaults", *SUMMARY)]
    defaults = value.get("defaults", {})
    if unknown or not isinstance(defaults, Mapping):
        got = repr(unknown[0]) if unknown else f"defaults {short_repr(defaults)}"
        allowed = "requests (a list) and defaults (an object)"
        message = f"{row_place(file, line)}: a document must contain {allowed}, got {got}"
        raise ValidationError(message, field="file", allowed=allowed)
    rows = [BatchRow(line=line, place=row_place(file, line), content={**defaults, "positive_prompt": "*"})]
    for index, content in enumerate(value["requests"]):
        number = line_of(index)
        rows.append(BatchRow(line=number, place=row_place(file, number), content=content))
    return rows


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    assert found is not None
    return found.end()


def _yaml_rows(file: str | None, text: str) -> list[BatchRow]:
    from sogni.local.plan_files import yaml_document

    try:
        value, node = yaml_document(Path(file or "-"), text, MAX_VALUES)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise
        raise ValidationError(f"{file or '-'}: cannot be read: {error}", field="file") from error
    if value is None:
        return []
    if isinstance(value, list):
        lines = [entry.start_mark.line + 1 for entry in node.value]
        return [
            BatchRow(line=line, place=row_place(file, line), content=content)
            for line, content in zip(lines, value, strict=True)
        ]
    entries = [
        entry
        for key, held in (node.value if isinstance(value, Mapping) else ())
        if key.value == "requests" and held.id == "sequence"
        for entry in held.value
    ]
    return _document_rows(file, value, lambda index: entries[index].start_mark.line + 1, node.start_mark.line + 1)
