"""JSON schemas of the arguments of tools, and their validation.

The schemas of project parameters are derived from the declarations in the params classes, like the options of the
command line. This module adds what agents need to know beyond those.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from sogni import AudioProjectParams, ImageProjectParams, VideoProjectParams
from sogni.errors import ValidationError

Schema = dict[str, Any]

_NUMBERS: Mapping[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean"}
_MESSAGE_LENGTH = 300
"""Maximum length of a message of jsonschema, which quotes the value."""

MEDIA_TEXT = (
    "A path, absolute or relative to the first allowed folder; the URI of an earlier result "
    "(sogni://projects/ID/results/INDEX); or a data: URI."
)
_TEXTS: Mapping[str, str] = {
    "model_id": "ID of the model; see list_models.",
    "loras": "IDs of up to 8 LoRAs of the model, in the order in which they are applied; see list_loras.",
    "size_preset": "ID of a named size of the model; see get_model. Instead of width and height.",
    "steps": "Number of inference steps; see get_model for the range. Default: the model's.",
    "guidance": "How closely the prompt is followed; see get_model for the range. Default: the model's.",
    "speaker": "Voice; see get_model for those of the model.",
    "seed": "Seed, to make the same result again. Default: random.",
}
"""Descriptions that refer to tools instead of the Python API."""


def parameter(params: type, name: str, text: str | None = None, **more: Any) -> Schema:
    """Return the schema of a project parameter.

    Args:
        params: The params class.
        name: Name of the field.
        text: Description. Default: that of the declaration.
        more: Keywords of the schema that replace those of the declaration.
    """
    declared = attrs.fields_dict(params)[name].metadata["parameter"]
    schema = _schema_of(_hints(params)[name])
    limits = schema.get("items", schema)
    if declared.low is not None and limits["type"] in ("integer", "number"):
        limits["minimum"] = declared.low
    if declared.high is not None and limits["type"] in ("integer", "number"):
        limits["maximum"] = declared.high
    return {**schema, "description": text or _TEXTS.get(name) or declared.description, **more}


def parameters(params: type, *names: str, **renamed: str) -> dict[str, Schema]:
    """Return the schemas of project parameters by argument: `names`, and `argument="name of the field"`."""
    return {argument: parameter(params, name) for argument, name in {**{it: it for it in names}, **renamed}.items()}


@lru_cache
def _hints(params: type) -> dict[str, Any]:
    return get_type_hints(params)


def _schema_of(hint: Any) -> Schema:
    if get_origin(hint) in (Union, UnionType):
        return _schema_of(next(it for it in get_args(hint) if it is not type(None)))
    if get_origin(hint) is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    if get_origin(hint) is not None and issubclass(get_origin(hint), Sequence):
        return {"type": "array", "items": _schema_of(get_args(hint)[0]), "maxItems": 16}
    return {"type": _NUMBERS[hint]}


def media(text: str) -> Schema:
    """Return the schema of a file as input."""
    return {"type": "string", "minLength": 1, "description": f"{text} {MEDIA_TEXT}"}


def media_list(text: str, most: int) -> Schema:
    """Return the schema of several files as input, at least one."""
    items = {"type": "string", "minLength": 1}
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most, "description": f"{text} {MEDIA_TEXT}"}


def object_schema(properties: Mapping[str, Schema], *required: str) -> Schema:
    """Return the schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def checked(schema: Schema, given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the arguments of a call, integers as int.

    Raises:
        ValidationError: The arguments do not match the schema.
    """
    error = best_match(Draft202012Validator(schema).iter_errors(given))
    if error is not None:
        raise ValidationError(prefix + _message(error, schema), field=str(next(iter(error.absolute_path), "")))
    known = schema["properties"]
    for name, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValidationError(f"{prefix}{name} must be a finite number, got {value}", field=name)
    return {name: _as_integer(value, known[name]) for name, value in given.items()}


def _as_integer(value: Any, schema: Schema) -> Any:
    # JSON has one kind of number: 5.0 is an integer there.
    return int(value) if schema.get("type") == "integer" and isinstance(value, float) else value


def _message(error: Any, schema: Schema) -> str:
    path = "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in error.absolute_path).lstrip(".")
    if error.validator == "additionalProperties" and not path:
        unknown = next(name for name in error.instance if name not in schema["properties"])
        near = difflib.get_close_matches(unknown, schema["properties"], 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(schema['properties']) or 'none'}"
        return f"there is no argument {unknown[:80]}: {hint}"
    if error.validator == "required" and not path:
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{missing} is required"
    text = error.message if len(error.message) <= _MESSAGE_LENGTH else f"the value must be {error.validator_value}"
    return f"{path}: {text}" if path else text


__all__ = [
    "AudioProjectParams",
    "ImageProjectParams",
    "Schema",
    "VideoProjectParams",
    "checked",
    "media",
    "media_list",
    "object_schema",
    "parameter",
    "parameters",
]
