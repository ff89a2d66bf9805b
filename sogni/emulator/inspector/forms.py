"""Forms for the operations of the control API, made from their declarations, and their values read back."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from sogni.emulator.declarations import InvalidValueError, Operation, Parameter, allows, schema
from sogni.emulator.inspector.html import Markup, element


def fields(operation: Operation, prefix: str) -> list[Markup]:
    """Return a labeled input for each parameter. ``prefix`` makes the IDs unique."""
    return [_field(it, f"{prefix}-{it.name}") for it in operation.parameters.values()]


def _field(parameter: Parameter, id: str) -> Markup:
    hint_id = f"{id}-hint"
    members = _members(parameter.hint)
    common: dict[str, Any] = {
        "id": id,
        "name": parameter.name,
        "aria_describedby": hint_id,
        "required": parameter.required,
    }
    choices = [value for it in members if get_origin(it) is Literal for value in get_args(it)]
    default = parameter.default if isinstance(parameter.default, int | float | str) else None
    placeholder = "" if default is None else str(default)
    if choices:
        empty = [] if parameter.required else [element("option", "", value="")]
        control = element("select", empty, [element("option", it, value=it) for it in choices], **common)
    elif members == [bool]:
        options = [element("option", it, value=it) for it in ("", "true", "false")]
        control = element("select", options, **common)
    elif all(_base(it) in (int, float) for it in members):
        limits = schema(members[0])
        step = 1 if _base(members[0]) is int else "any"
        edges = {"min": limits.get("minimum"), "max": limits.get("maximum"), "step": step}
        control = element("input", type="number", placeholder=placeholder, **common, **edges)
    else:
        control = element("input", type="text", placeholder=placeholder, autocomplete="off", **common)
    label = element("label", parameter.name.replace("_", " "), for_=id)
    return element(
        "div", label, control, element("small", parameter.description.replace("`", ""), id=hint_id), class_="field"
    )


def read(operation: Operation, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a form; empty ones are left out."""
    found: dict[str, Any] = {}
    for name, text in given.items():
        parameter = operation.parameters.get(name)
        if parameter is None:
            raise InvalidValueError(f"{operation.name} has no field {name!r}", name, ", ".join(operation.parameters))
        if text.strip():
            found[name] = _value(parameter.hint, text)
    return found


def _value(hint: Any, text: str) -> Any:
    """Return the value that a string stands for: JSON if that is allowed, else the string itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if allows(hint, value) else text


def _members(hint: Any) -> list[Any]:
    """Return the members of a union, without None."""
    if get_origin(hint) in (Union, types.UnionType):
        return [it for it in get_args(hint) if it is not type(None)]
    return [hint]


def _base(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint
