"""The form of an answer: decides what `response_format` travels as, and what the answer is read as (chat §2.5).

Called by the chat flows before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_origin

from attrs import field, frozen

from ..models.converter import to_dict
from .field_checks import refusal
from .json_schema import is_data_class, own_docstring, schema_of

_OPENAI = frozenset({"text", "json_object", "json_schema"})
_SCHEMA_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_SCHEMA_KEYS = frozenset({"properties", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "$schema"})
_ALLOWED = "an attrs class, a dataclass, a JSON schema, or a response format of the OpenAI form"


@frozen
class AnswerFormat:
    """`wire`: what is sent, None for nothing. `kind`: what the JSON of the answer becomes, None when it has none."""

    wire: Any = field(repr=False)
    kind: Any


def answer_format(given: Any) -> AnswerFormat:
    """The form of an answer. ValidationError for a class without a schema, and for what is no format at all."""
    if not given:
        return AnswerFormat(None, None)
    if isinstance(given, type) or get_origin(given) is not None:
        return AnswerFormat(_for_type(given), given)
    plain = given if isinstance(given, Mapping) else to_dict(given) if hasattr(given, "to_dict") else None
    if not isinstance(plain, Mapping):
        raise refusal("response_format", getattr(given, "__name__", type(given).__name__), _ALLOWED)
    if _is_schema(plain):
        name = plain.get("title")
        return AnswerFormat(_named(name if isinstance(name, str) and name else "answer", dict(plain)), Any)
    inner = plain.get("json_schema")
    if isinstance(inner, Mapping) and is_data_class(inner.get("schema")):
        kind = inner["schema"]
        return AnswerFormat({**plain, "json_schema": {**inner, "schema": schema_of(kind)}}, kind)
    return AnswerFormat(to_dict(plain), Any if plain.get("type") in ("json_object", "json_schema") else None)


def _for_type(kind: Any) -> dict[str, Any]:
    named = is_data_class(kind)
    made = _named(kind.__name__ if named else "answer", schema_of(kind))
    told = own_docstring(kind) if named else None
    if told:
        made["json_schema"]["description"] = told
    return made


def _named(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    return {"type": "json_schema", "json_schema": {"name": plain, "schema": schema, "strict": True}}


def _is_schema(given: Mapping[str, Any]) -> bool:
    """A bare JSON schema; anything else is sent untouched, and the service decides (chat §2.5)."""
    kind = given.get("type")
    if isinstance(kind, list):
        return True
    return kind in _SCHEMA_TYPES if kind is not None else not _SCHEMA_KEYS.isdisjoint(given)
