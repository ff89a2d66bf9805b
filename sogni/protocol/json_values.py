"""JSON objects on their way out and in: whether values can be sent, and what of an object is not modelled.

Called by the calls of runs, workflows, templates and replay, and by whoever reads a frame field by field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..models.converter import to_dict
from .field_checks import refusal, shown, without_gaps


def json_ready(field: str, value: Any) -> Any:
    """The JSON form of a value, of data classes too. ValidationError for what JSON cannot carry, NaN included."""
    try:
        plain = to_dict(value)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        raise refusal(field, shown(value), "JSON values", f"{field} cannot be written as JSON: {error}") from error
    return plain


def json_object(field: str, value: Any) -> dict[str, Any]:
    """The same, for what must be an object."""
    plain = json_ready(field, value)
    if not isinstance(plain, dict):
        raise refusal(field, value, "a mapping, or the data class for it")
    return plain


def json_list(field: str, value: Any) -> list[Any]:
    """The same, for what must be a list."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(json_ready(field, value), list):
        raise refusal(field, value, "a list")
    made: list[Any] = json_ready(field, value)
    return without_gaps(field, made)


def beyond(payload: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields of an object that have no name of their own here; they are kept in `extra`, as sent."""
    if known.issuperset(payload):
        return {}
    return {name: value for name, value in payload.items() if name not in known}
