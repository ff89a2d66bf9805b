"""The base of every data class: decides that unknown fields are kept, not lost.

Called by the classes of this package. It converts nothing; see `converter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from sogni.redaction import redact

MediaKind = Literal["image", "video", "audio", "model"] | str
TokenType = Literal["sogni", "spark"]
BillingMode = Literal["auto", "subscription", "tokens"]


def shown(value: Any) -> str:
    """The `repr` of free data, without keys, tokens and signed queries."""
    return redact(repr(value))


@frozen(kw_only=True)
class Model:
    """Data from the service; `extra` holds the fields this version does not know, as sent."""

    extra: Mapping[str, Any] = field(factory=dict, repr=lambda extra: shown(dict(extra)), eq=True)


@frozen(kw_only=True)
class LooseModel(Model):
    """Data the service makes few promises about: a field that does not fit is kept in `extra`, as sent."""


def wire(name: str) -> dict[str, str]:
    """Metadata for a field whose wire name is not its camelCase."""
    return {"wire": name}


EPOCH = {"epoch": True}
"""Metadata for a time that travels as milliseconds since 1970."""


def local() -> dict[str, bool]:
    """Metadata for a field that never travels."""
    return {"local": True}
