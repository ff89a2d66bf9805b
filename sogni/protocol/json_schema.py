"""JSON schemas of Python types: decides how a type is told to a language model.

Called for `response_format` and for functions that are offered as tools. It reads annotations and calls
nothing of the types; what JSON cannot carry is a `ValidationError` that names class and field.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

from ..errors import ValidationError
from ..models.base import Model
from ..models.converter import is_local, wire_name

Schema = dict[str, Any]

_SIMPLE: Mapping[Any, Schema] = {
    Any: {},
    object: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    UUID: {"type": "string", "format": "uuid"},
}
_LISTS = (list, Sequence, MutableSequence, Iterable)
_SETS = (set, frozenset)
_DICTS = (dict, Mapping, MutableMapping)
_JSON_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


@attrs.frozen
class Member:
    """One member of an object: a field of a class, or a parameter of a function.

    `default` is told to the model when JSON has it; `required` says whether the member may be left out.
    """

    name: str
    kind: Any
    required: bool = True
    description: str | None = None
    default: Any = None


def schema_of(kind: Any) -> Schema:
    """The JSON schema of a type.

    attrs classes and dataclasses become objects whose fields without default are required, their docstrings
    descriptions, as are `Annotated[T, "text"]` and `metadata={"description": "text"}` of a field. Classes
    inside classes stand in `$defs`. Raises `ValidationError` for a type that JSON cannot carry.
    """
    made = _Schemas()
    return made.finished(made.of(kind, _name_of(kind)))


def object_schema(name: str, members: Iterable[Member], description: str | None = None) -> Schema:
    """The JSON schema of an object with these members; `name` stands in errors. ValidationError."""
    made = _Schemas()
    return made.finished(made.object(name, members, description))


def is_data_class(kind: Any) -> bool:
    """Whether a value is a class whose fields are declared: attrs, or a dataclass."""
    return isinstance(kind, type) and (attrs.has(kind) or dataclasses.is_dataclass(kind))


class _Schemas:
    """The schema of one type and the definitions it refers to."""

    def __init__(self) -> None:
        self._names: dict[type, str] = {}
        self._defs: dict[str, Schema] = {}

    def finished(self, schema: Schema) -> Schema:
        return {**schema, "$defs": self._defs} if self._defs else schema

    def of(self, kind: Any, where: str) -> Schema:
        """The schema of a type; `where` is the class and field it was found at."""
        if isinstance(kind, types.GenericAlias | types.UnionType) or get_origin(kind) is not None:
            return self._compound(kind, where)
        if _hashable(kind) and kind in _SIMPLE:
            return dict(_SIMPLE[kind])
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {**_allowed([member.value for member in kind], where), **_described(own_docstring(kind))}
        if is_data_class(kind):
            return self._class(kind, where)
        if kind in _LISTS or kind is tuple:
            return {"type": "array"}
        if kind in _SETS:
            return {"type": "array", "uniqueItems": True}
        if kind in _DICTS:
            return {"type": "object"}
        raise _refused(where, kind)

    def _compound(self, kind: Any, where: str) -> Schema:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            texts = [text for text in arguments[1:] if isinstance(text, str)]
            return {**self.of(arguments[0], where), **_described(texts[0] if texts else None)}
        if origin is Literal:
            return _allowed(list(arguments), where)
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(argument, where) for argument in arguments]}
        if origin in _LISTS:
            return {"type": "array", "items": self.of(arguments[0], f"{where}[]")}
        if origin in _SETS:
            return {"type": "array", "items": self.of(arguments[0], f"{where}[]"), "uniqueItems": True}
        if origin is tuple:
            return self._tuple(arguments, where)
        if origin in _DICTS and arguments[0] is str:
            return {"type": "object", "additionalProperties": self.of(arguments[1], f"{where}[]")}
        raise _refused(where, kind)

    def _tuple(self, arguments: tuple[Any, ...], where: str) -> Schema:
        if len(arguments) == 2 and arguments[1] is ...:
            return {"type": "array", "items": self.of(arguments[0], f"{where}[]")}
        items = [self.of(argument, f"{where}[{place}]") for place, argument in enumerate(arguments)]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}

    def _class(self, kind: type, where: str) -> Schema:
        """The outermost class stands at the root; those inside are defined once and referred to."""
        if kind in self._names:
            return {"$ref": self._names[kind]}
        if not self._names and where == kind.__name__:
            self._names[kind] = "#"
            return self.object(where, _members(kind), own_docstring(kind))
        name = kind.__name__
        while name in self._defs:
            name += "_"
        self._names[kind] = f"#/$defs/{name}"
        self._defs[name] = {}  # the place is taken before its fields are looked at: they may refer to it
        self._defs[name] = self.object(kind.__name__, _members(kind), own_docstring(kind))
        return {"$ref": self._names[kind]}

    def object(self, name: str, members: Iterable[Member], description: str | None) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        for member in members:
            schema = self.of(member.kind, f"{name}.{member.name}")
            if "$ref" in schema and member.description:
                schema = {"allOf": [schema]}  # older drafts ignore what stands beside a reference
            properties[member.name] = {**schema, **_described(member.description)}
            if member.required:
                required.append(member.name)
            elif isinstance(member.default, str | bool | int | float) and not isinstance(member.default, Enum):
                properties[member.name]["default"] = member.default
        return {
            "type": "object",
            **_described(description),
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }


def _members(kind: type) -> list[Member]:
    """The fields of a class, under the names its JSON has."""
    hints = resolved_hints(kind, kind.__name__)
    if not attrs.has(kind):
        return [
            Member(f.name, hints[f.name], required, f.metadata.get("description"), f.default)
            for f in dataclasses.fields(kind)
            if f.init
            for required in [f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
        ]
    ours = issubclass(kind, Model)
    return [
        Member(
            wire_name(a) if ours else a.name,
            hints.get(a.name, Any),
            a.default is attrs.NOTHING,
            a.metadata.get("description"),
            a.default,
        )
        for a in attrs.fields(kind)
        if a.init and not (ours and is_local(a))
    ]


def resolved_hints(owner: type | Callable[..., Any], name: str) -> dict[str, Any]:
    """The annotations of a class or function as types. ValidationError when they name what cannot be found."""
    try:
        return get_type_hints(owner, include_extras=True)
    except (NameError, TypeError) as error:
        raise ValidationError(
            f"the annotations of {name} cannot be resolved: {error}",
            field=name,
            value=name,
            allowed="annotations whose names stand in the module of their class",
        ) from error


def own_docstring(thing: Any) -> str | None:
    """The first paragraph of a docstring in one line; None for those that a decorator has written."""
    text = thing.__dict__.get("__doc__")
    if not text or text.startswith(f"{thing.__name__}("):
        return None
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


def _described(description: str | None) -> Schema:
    return {"description": description} if description else {}


def _allowed(values: list[Any], where: str) -> Schema:
    values = [value.value if isinstance(value, Enum) else value for value in values]
    kinds = {_JSON_TYPES.get(type(value)) for value in values}
    if None in kinds:
        odd = next(value for value in values if type(value) not in _JSON_TYPES)
        raise _refused(where, type(odd))
    return {"type": kinds.pop(), "enum": values} if len(kinds) == 1 else {"enum": values}


def _hashable(kind: Any) -> bool:
    return getattr(type(kind), "__hash__", None) is not None


def _name_of(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _refused(where: str, kind: Any) -> ValidationError:
    shown = _name_of(kind)
    return ValidationError(
        f"{where}: no JSON schema can be made from {shown}",
        field=where,
        value=shown,
        allowed="attrs classes, dataclasses, list, dict with text keys, tuple, set, unions, Literal, Enum, str, int, "
        "float, bool, None, Decimal, datetime, date, time, UUID",
    )
