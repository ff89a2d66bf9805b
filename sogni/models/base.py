"""Base classes of the data classes, and metadata of their fields for `converter`."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from attrs import field, fields, frozen

from sogni.redaction import redact

MediaKind = Literal["image", "video", "audio", "model"] | str
BillingMode = Literal["auto", "subscription", "tokens"]


def redacted_repr(value: Any) -> str:
    """Return the `repr` of unchecked data, without keys, tokens and signed queries."""
    return redact(repr(value))


_MAX_REPR = 200
_MAX_CELL = 2000
_MAX_ROWS = 30
_LEFT = 'style="text-align:left;white-space:pre-wrap"'


def _shown_fields(model: Model) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and `repr` of every field that is set: neither None nor empty."""
    for it in sorted(fields(type(model)), key=lambda it: it.name == "extra"):
        value = getattr(model, it.name)
        if it.repr is False or value is None or (isinstance(value, (str, list, tuple, Mapping)) and not value):
            continue
        yield it.name, value, it.repr(value) if callable(it.repr) else repr(value)


def _shortened(text: str, longest: int = _MAX_REPR) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _head(name: str) -> str:
    return f"<th {_LEFT}>{name}</th>"


def _cell(value: Any, text: str) -> str:
    """Return a cell of a table; records in it are a table of their own. `text` is the `repr`, which hides secrets."""
    if isinstance(value, Model):
        return f"<td {_LEFT}>{_records([value])}</td>"
    if isinstance(value, (list, tuple)) and all(isinstance(it, Model) for it in value):
        return f"<td {_LEFT}>{_records(value)}</td>"
    return _text_cell(value, text, _MAX_CELL)


def _text_cell(value: Any, text: str, longest: int) -> str:
    # A subclass of `str` has secrets that only its `repr` hides.
    readable = type(value) in (str, Decimal, datetime) and repr(value) == text
    return f"<td {_LEFT}>{html.escape(_shortened(str(value) if readable else text, longest))}</td>"


def _records(models: list[Model] | tuple[Model, ...]) -> str:
    """Return a table with one row per record, and one column per field that is set in any of them."""
    rows = [{name: (value, text) for name, value, text in _shown_fields(it)} for it in models[:_MAX_ROWS]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = (
        "".join(_text_cell(*row[name], _MAX_REPR) if name in row else "<td></td>" for name in names) for row in rows
    )
    more = f"<div>… {len(models) - _MAX_ROWS} more</div>" if len(models) > _MAX_ROWS else ""
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><tr>{''.join(map(_head, names))}</tr>{body}</table>{more}"


@frozen(kw_only=True)
class Model:
    """Data from the service.

    Attributes:
        extra: Fields that this version does not know, in wire form.
    """

    extra: Mapping[str, Any] = field(factory=dict, repr=lambda extra: redacted_repr(dict(extra)), eq=True)

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        # attrs generates one for every class, with all fields that are not set and `extra={}`.
        cls.__repr__ = Model.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_shortened(text)}" for name, _, text in _shown_fields(self))
        return f"{type(self).__name__}({shown})"

    def _repr_html_(self) -> str:
        """Return a table of the fields that are set, for notebooks."""
        rows = "".join(f"<tr>{_head(name)}{_cell(value, text)}</tr>" for name, value, text in _shown_fields(self))
        return f"<div><b>{type(self).__name__}</b><table>{rows}</table></div>"


@frozen(kw_only=True)
class LooseModel(Model):
    """Data with a form that the service does not guarantee: values of unexpected types are kept in `extra`."""


def wire(name: str) -> dict[str, str]:
    """Return metadata for a field whose wire name is not its camelCase form."""
    return {"wire": name}


EPOCH = {"epoch": True}
"""Metadata for a time sent as milliseconds since 1970."""


def local() -> dict[str, bool]:
    """Return metadata for a field that is not part of the wire form."""
    return {"local": True}
