"""JSON schemas: made from Python types, and checked against values.

`schema_of` describes a type to a language model, for `response_format` and for functions that are offered as tools. It
reads annotations only; a type that JSON cannot represent is a `ValidationError` naming class and field.

`SchemaCheck` checks the arguments of tools. It does what a validator of JSON schemas does not: it converts strings,
drops unknown properties, and words its errors for the caller. It knows only the keywords that the tools use.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
from attrs import define, field

from sogni.core.checks import is_finite_number, short_repr
from sogni.errors import ValidationError
from sogni.models.base import Model
from sogni.models.converter import constraint_adapter, is_local, is_pydantic_model, wire_name

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

    `default` becomes part of the schema if JSON can represent it.
    """

    name: str
    kind: Any
    required: bool = True
    description: str | None = None
    default: Any = None


def schema_of(kind: Any) -> Schema:
    """Return the JSON schema of a type.

    attrs classes and dataclasses become objects whose fields without a default are required. Descriptions come from
    docstrings, `Annotated[T, "description"]`, and `metadata={"description": ...}` of a field. A pydantic model provides
    its own schema. Nested classes are defined in `$defs`. Raises `ValidationError` for a type that JSON cannot
    represent.
    """
    schemas = _Schemas()
    return schemas.finished(schemas.of(kind, _name_of(kind)))


def object_schema(name: str, members: Iterable[Member], description: str | None = None) -> Schema:
    """Return the JSON schema of an object with these members; `name` appears in errors. Raises ValidationError."""
    schemas = _Schemas()
    return schemas.finished(schemas.object(name, members, description))


def is_data_class(kind: Any) -> bool:
    """Whether a value is an attrs class, a dataclass or a pydantic model."""
    return isinstance(kind, type) and (attrs.has(kind) or dataclasses.is_dataclass(kind) or is_pydantic_model(kind))


class _Schemas:
    """Builds the schema of one type and the definitions it refers to."""

    def __init__(self) -> None:
        self._names: dict[type, str] = {}
        self._defs: dict[str, Schema] = {}

    def finished(self, schema: Schema) -> Schema:
        return {**schema, "$defs": self._defs} if self._defs else schema

    def of(self, kind: Any, where: str) -> Schema:
        """Return the schema of a type; `where` is the class and field where it is used."""
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
        raise _no_schema(where, kind)

    def _compound(self, kind: Any, where: str) -> Schema:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            # The description of a string, or of a `Field` of pydantic.
            descriptions = [it if isinstance(it, str) else getattr(it, "description", None) for it in arguments[1:]]
            found = next((it for it in descriptions if isinstance(it, str)), None)
            schema = self.of(arguments[0], where)
            return {**schema, **_constraints(kind), **_described(found)}
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
        raise _no_schema(where, kind)

    def _tuple(self, arguments: tuple[Any, ...], where: str) -> Schema:
        if len(arguments) == 2 and arguments[1] is ...:
            return {"type": "array", "items": self.of(arguments[0], f"{where}[]")}
        items = [self.of(argument, f"{where}[{index}]") for index, argument in enumerate(arguments)]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}

    def _class(self, kind: type, where: str) -> Schema:
        """Return the schema of a class: in full for the outermost, a reference to its definition for nested ones."""
        if kind in self._names:
            return {"$ref": self._names[kind]}
        if not self._names and where == kind.__name__:
            self._names[kind] = "#"
            return self._definition(kind, where)
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", kind.__name__)
        while name in self._defs:
            name += "_"
        self._names[kind] = f"#/$defs/{name}"
        self._defs[name] = {}  # reserved before its fields are read, because they may refer to it
        self._defs[name] = self._definition(kind, where)
        return {"$ref": self._names[kind]}

    def _definition(self, kind: type, where: str) -> Schema:
        if is_pydantic_model(kind):
            return self._pydantic(kind, where)
        return self.object(kind.__name__, _members(kind), own_docstring(kind))

    def _pydantic(self, kind: Any, where: str) -> Schema:
        """Return the schema that a pydantic model provides, and add the definitions in it to ours."""
        prefix = ""
        while True:
            try:
                schema: Schema = kind.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
            except Exception as error:  # what has no schema, names that are not defined, and hooks of the user
                raise _no_schema(where, kind, f": {error}".partition("\n")[0]) from error
            found = {f"{prefix}{name}": _closed(inner) for name, inner in schema.pop("$defs", {}).items()}
            if all(self._defs.get(name, inner) == inner for name, inner in found.items()):
                break
            prefix += "_"  # another class of the same name is defined already
        self._defs |= found
        # A model that refers to itself is a reference to its definition.
        reference = schema.pop("$ref", "").removeprefix("#/$defs/")
        complete: Schema = _closed({**found.get(reference, {}), **schema})
        return complete

    def object(self, name: str, members: Iterable[Member], description: str | None) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        for member in members:
            schema = self.of(member.kind, f"{name}.{member.name}")
            if "$ref" in schema and member.description:
                schema = {"allOf": [schema]}  # older drafts ignore what is beside a reference
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


def _constraints(kind: Any) -> Schema:
    """Return what a `Field` of pydantic adds to the schema of the type that it annotates."""
    adapter = constraint_adapter(kind)
    schema: Schema = {} if adapter is None else adapter.json_schema()
    if "$defs" not in schema:
        return schema
    # Classes are described already, so only the limits: minItems, maxItems, …
    return {key: value for key, value in schema.items() if isinstance(value, int | float)}


def _members(kind: type) -> list[Member]:
    """Return the fields of a class, under their names in JSON."""
    hints = resolved_hints(kind, kind.__name__)
    if not attrs.has(kind):
        return [
            Member(f.name, hints[f.name], required, f.metadata.get("description"), f.default)
            for f in dataclasses.fields(kind)
            if f.init
            for required in [f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
        ]
    own = issubclass(kind, Model)
    return [
        Member(
            wire_name(a) if own else a.name,
            hints.get(a.name, Any),
            a.default is attrs.NOTHING,
            a.metadata.get("description"),
            a.default,
        )
        for a in attrs.fields(kind)
        if a.init and not (own and is_local(a))
    ]


def resolved_hints(owner: type | Callable[..., Any], name: str) -> dict[str, Any]:
    """Return the annotations of a class or function as types. Raises ValidationError if a name is not defined."""
    try:
        return get_type_hints(owner, include_extras=True)
    except (NameError, TypeError) as error:
        raise ValidationError(
            f"the annotations of {name} cannot be resolved: {error}",
            field=name,
            value=name,
            allowed="annotations whose names are defined in the module of their class",
        ) from error


def own_docstring(owner: Any) -> str | None:
    """Return the first paragraph of a docstring in one line; None for one that a decorator generated."""
    text = owner.__dict__.get("__doc__")
    if not text or text.startswith(f"{owner.__name__}("):
        return None
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


def _described(description: str | None) -> Schema:
    return {"description": description} if description else {}


def _allowed(values: list[Any], where: str) -> Schema:
    values = [value.value if isinstance(value, Enum) else value for value in values]
    kinds = {_JSON_TYPES.get(type(value)) for value in values}
    if None in kinds:
        unsupported = next(value for value in values if type(value) not in _JSON_TYPES)
        raise _no_schema(where, type(unsupported))
    return {"type": kinds.pop(), "enum": values} if len(kinds) == 1 else {"enum": values}


def _hashable(kind: Any) -> bool:
    return getattr(type(kind), "__hash__", None) is not None


def _name_of(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


_INNER = frozenset({"items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties"})


def _closed(schema: Any) -> Any:
    """Return a schema of pydantic whose objects have no further properties, unless their model allows them."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) if key in _INNER else value for key, value in schema.items()}
    if "properties" not in schema:
        return closed
    properties = {name: _closed(inner) for name, inner in schema["properties"].items()}
    return {"additionalProperties": False, **closed, "properties": properties}


def _no_schema(where: str, kind: Any, reason: str = "") -> ValidationError:
    name = _name_of(kind)
    return ValidationError(
        f"{where}: {name} has no JSON schema{reason}",
        field=where,
        value=name,
        allowed="attrs classes, dataclasses, pydantic models, list, dict with string keys, tuple, set, unions, "
        "Literal, Enum, str, int, float, bool, None, Decimal, datetime, date, time, UUID",
    )


# Checking values

SchemaMapping = Mapping[str, Any]


@define
class SchemaCheck:
    """A check of one value: its options, and the errors and warnings so far, in the order of the values.

    `skip_enums` names properties (or whole paths) whose `enum` is ignored. `coerce` converts strings to numbers and
    booleans where only those fit. `strip` drops properties that the schema does not name; they are never an error.
    """

    skip_enums: Collection[str] = ()
    coerce: bool = False
    strip: bool = False
    errors: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)

    def value(self, value: Any, schema: SchemaMapping, path: str = "") -> Any:
        """Check a value and return a cleaned copy; `path` names it in errors (`overlays[0].text`)."""
        for member in schema.get("allOf", ()):
            value = self.value(value, member, path)
        if "allOf" not in schema and ("oneOf" in schema or "anyOf" in schema):
            fits, value = self._alternative(value, schema, path)
            if not fits:
                return value
        types = _types(schema)
        if self.coerce and isinstance(value, str) and value.strip() and not _fits_any(value, types):
            value = self._coerced(value, types, path)
        if not _fits_any(value, types):
            self._add_error(path, f"must be {' or '.join(map(_called, types))}, got {short_repr(value)}")
            return value
        self._allowed(value, schema, path)
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            self._number(value, schema, path)
        elif isinstance(value, str):
            self._string(value, schema, path)
        elif isinstance(value, Mapping):
            return self._object(value, schema, path)
        elif isinstance(value, Sequence):
            return self._array(value, schema, path)
        return value

    def _add_error(self, path: str, what: str) -> None:
        self.errors.append(f"{path or 'arguments'} {what}")

    def _alternative(self, value: Any, schema: SchemaMapping, path: str) -> tuple[bool, Any]:
        """Check `oneOf`, of which exactly one member must fit, or else `anyOf`, of which at least one must."""
        exactly = "oneOf" in schema
        fitting = []
        for member in schema["oneOf" if exactly else "anyOf"]:
            trial = SchemaCheck(self.skip_enums, self.coerce, self.strip)
            cleaned = trial.value(value, member, path)
            if not trial.errors:
                fitting.append((cleaned, trial.warnings))
        if not fitting or (exactly and len(fitting) > 1):
            self._add_error(path, f"must match {'exactly one' if exactly else 'one'} of the allowed forms")
            return False, value
        cleaned, warnings = fitting[0]
        self.warnings += warnings
        return True, cleaned

    def _coerced(self, value: str, types: Sequence[str], path: str) -> Any:
        converted = _from_string(value.strip(), types)
        if converted is None:
            return value
        self.warnings.append(f"{path} was the string {short_repr(value)} and is read as {json.dumps(converted)}")
        return converted

    def _allowed(self, value: Any, schema: SchemaMapping, path: str) -> None:
        if "const" in schema and not _same(value, schema["const"]):
            self._add_error(path, f"must be {json.dumps(schema['const'])}, got {short_repr(value)}")
        allowed = schema.get("enum")
        skipped = path in self.skip_enums or path.rpartition(".")[2] in self.skip_enums
        if allowed is not None and not skipped and not any(_same(value, one) for one in allowed):
            self._add_error(path, f"must be one of {', '.join(map(json.dumps, allowed))}, got {short_repr(value)}")

    def _number(self, value: float, schema: SchemaMapping, path: str) -> None:
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        # Draft 4: a boolean that makes the plain bound an exclusive one.
        above, low = (low, None) if above is True else (above, low)
        below, high = (high, None) if below is True else (below, high)
        bounds: list[tuple[Any, Callable[[float, float], bool], str]] = [
            (low, lambda it, bound: it >= bound, "at least"),
            (high, lambda it, bound: it <= bound, "at most"),
            (above, lambda it, bound: it > bound, "more than"),
            (below, lambda it, bound: it < bound, "less than"),
        ]
        for bound, holds, words in bounds:
            if isinstance(bound, int | float) and not isinstance(bound, bool) and not holds(value, bound):
                self._add_error(path, f"must be {words} {bound}, got {short_repr(value)}")

    def _string(self, value: str, schema: SchemaMapping, path: str) -> None:
        if len(value) < schema.get("minLength", 0):
            self._add_error(path, f"must have at least {schema['minLength']} characters, got {len(value)}")
        if len(value) > schema.get("maxLength", math.inf):
            self._add_error(path, f"must have at most {schema['maxLength']} characters, got {len(value)}")
        pattern = schema.get("pattern")
        if pattern is not None:
            try:
                matches = re.fullmatch(pattern, value) is not None
            except re.error as error:
                self._add_error(path, f"cannot be checked: its pattern {pattern!r} is invalid ({error})")
            else:
                if not matches:
                    self._add_error(path, f"must match {pattern!r}, got {short_repr(value)}")

    def _array(self, value: Sequence[Any], schema: SchemaMapping, path: str) -> list[Any]:
        if len(value) < schema.get("minItems", 0):
            self._add_error(path, f"must have at least {schema['minItems']} entries, got {len(value)}")
        if len(value) > schema.get("maxItems", math.inf):
            self._add_error(path, f"must have at most {schema['maxItems']} entries, got {len(value)}")
        items = schema.get("items")
        if isinstance(items, Mapping):
            return [self.value(one, items, f"{path}[{index}]") for index, one in enumerate(value)]
        checked = items or ()  # a tuple: by position; further values are not checked
        return [
            self.value(one, checked[index], f"{path}[{index}]") if index < len(checked) else one
            for index, one in enumerate(value)
        ]

    def _object(self, value: Mapping[str, Any], schema: SchemaMapping, path: str) -> dict[str, Any]:
        for name in schema.get("required", ()):
            if name not in value or is_missing(value[name]):
                self._add_error(_joined(path, name), "is required")
        cleaned = {name: self._property(name, one, schema, path) for name, one in value.items()}
        return {name: one for name, one in cleaned.items() if one is not _GONE}

    def _property(self, name: str, value: Any, schema: SchemaMapping, path: str) -> Any:
        here = _joined(path, name)
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        if value is None:
            return _GONE if self.strip and name not in known else None
        if name in known:
            return self.value(value, known[name], here)
        if others is False or self.strip:
            self.warnings.append(f"{here} is unknown and was omitted")
            return _GONE
        return self.value(value, others, here) if isinstance(others, Mapping) else value


_GONE = object()


def is_missing(value: Any) -> bool:
    """Whether a required value counts as missing: null, an empty string or an empty list."""
    # tools §3
    return value is None or (isinstance(value, str | list | tuple) and not value)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _types(schema: SchemaMapping) -> Sequence[str]:
    """Return the types that a schema allows; empty means any."""
    kind = schema.get("type")
    return () if kind is None else [kind] if isinstance(kind, str) else kind


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": is_finite_number,
    "integer": lambda value: is_finite_number(value) and value == math.floor(value),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
}
_CALLED = {
    "null": "null", "boolean": "true or false", "number": "a number", "integer": "an integer",
    "string": "a string", "array": "a list", "object": "an object",
}  # fmt: skip


def _called(kind: str) -> str:
    return _CALLED.get(kind, kind)


def _fits_any(value: Any, types: Sequence[str]) -> bool:
    return not types or any(kind not in _FITS or _FITS[kind](value) for kind in types)


def _from_string(text: str, types: Sequence[str]) -> Any:
    """Return the number or boolean in a string, if the schema allows one; otherwise None."""
    if "number" in types or "integer" in types:
        try:
            number = float(text) if "_" not in text else math.nan
        except ValueError:
            number = math.nan
        whole = math.isfinite(number) and number == math.floor(number)
        if math.isfinite(number) and (whole or "integer" not in types or "number" in types):
            return int(number) if whole else number
    if "boolean" in types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return None


def _same(one: Any, other: Any) -> bool:
    """Equality as in JSON, where true is not a number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, str | int | float | None):
        return bool(one == other)
    return json.dumps(one) == json.dumps(other)
