"""Base classes of the data classes, and metadata of their fields for `converter`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from sogni.redaction import redact

MediaKind = Literal["image", "video", "audio", "model"] | str
BillingMode = Literal["auto", "subscription", "tokens"]


def redacted_repr(value: Any) -> str:
    """Return the `repr` of unchecked data, without keys, tokens and signed queries."""
    return redact(repr(value))


@frozen(kw_only=True)
class Model:
    """Data from the service.

    Attributes:
        extra: Fields that this version does not know, in wire form.
    """

    extra: Mapping[str, Any] = field(factory=dict, repr=lambda extra: redacted_repr(dict(extra)), eq=True)


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
