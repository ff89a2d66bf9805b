"""Declared values: what a type hint allows, as a check, in words and as a JSON schema.

An ``Operation`` reads the parameters of a function or of an attrs class from its hints and its docstring. The Python
API and the control API check arguments with it, and the OpenAPI description is generated from it.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import docstring_parser
from attrs import field, frozen

from sogni.emulator.fields import Json

_SHOWN = 80


@frozen
class Limit:
    """A restriction of a type, used in ``Annotated``.

    Attributes:
        words: What is allowed, for example "an integer from 200 to 599".
        allows: Whether a value of the type is allowed.
        schema: Additional keys of the JSON schema.
    """

    words: str
    allows: Callable[[Any], bool] = field(eq=False)
    schema: Mapping[str, Json] = field(factory=dict, eq=False)


COUNT = Limit("an integer of at least 1", lambda it: it >= 1, {"minimum": 1})
POSITION = Limit("an integer of at least 0", lambda it: it >= 0, {"minimum": 0})
PORT = Limit("a port from 0 to 65535", range(65536).__contains__, {"minimum": 0, "maximum": 65535})
FACTOR = Limit("a positive number", lambda it: 0 < it < math.inf, {"exclusiveMinimum": 0})
AMOUNT = Limit("an amount of at least 0", lambda it: Decimal(str(it)) >= 0)
RATE = Limit("a non-negative number", lambda it: 0 <= it < math.inf, {"minimum": 0})
SECONDS = Limit("a non-negative number of seconds", lambda it: 0 <= it < math.inf, {"minimum": 0})
HEADER = Limit("printable ASCII", lambda it: str(it).isascii() and str(it).isprintable())


class InvalidValueError(ValueError):
    """A value is not allowed.

    Attributes:
        name: Name of the parameter.
        allowed: What is allowed, in words.
    """

    def __init__(self, message: str, name: str, allowed: str) -> None:
        super().__init__(message)
        self.name = name
        self.allowed = allowed


@frozen
class Shape:
    """What a type allows: as a check, in words, and as a JSON schema."""

    allows: Callable[[Any], bool]
    words: str
    schema: Mapping[str, Any]


@functools.cache
def shape(hint: Any) -> Shape:
    """Return what a type hint allows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # Unions with `Json` are flattened.
        if {bool, int, float, str, type(None)} < set(arguments):
            return Shape(lambda it: isinstance(it, bytes) or _is_json(it), "a value that JSON can represent", {})
        members = [shape(it) for it in arguments]
        words = list(dict.fromkeys(it.words for it in members if it.words != "null"))
        schema = {"anyOf": [it.schema for it in members]}
        return Shape(lambda value: any(it.allows(value) for it in members), _either(words), schema)
    if origin is Annotated:
        base, limits = shape(arguments[0]), [it for it in hint.__metadata__ if isinstance(it, Limit)]
        return Shape(
            lambda value: base.allows(value) and all(it.allows(value) for it in limits),
            " and ".join(it.words for it in limits) or base.words,
            functools.reduce(lambda schema, it: {**schema, **it.schema}, limits, base.schema),
        )
    if origin is Literal:
        return Shape(
            lambda value: any(value == it and isinstance(value, type(it)) for it in arguments),
            f"one of {', '.join(map(str, arguments))}",
            {"enum": list(arguments)},
        )
    if is_typeddict(hint):
        return _record(hint)
    if origin is not None and issubclass(origin, Mapping):
        keys, values = map(shape, arguments)
        return Shape(
            lambda value: (
                isinstance(value, Mapping) and all(keys.allows(key) and values.allows(it) for key, it in value.items())
            ),
            "an object",
            {"type": "object"},
        )
    if origin is tuple and arguments[-1] is not Ellipsis:
        parts, size = [shape(it) for it in arguments], len(arguments)
        return Shape(
            lambda value: (
                isinstance(value, list | tuple)
                and len(value) == size
                and all(part.allows(it) for part, it in zip(parts, value, strict=True))
            ),
            f"a list of {size} values",
            {"type": "array", "prefixItems": [it.schema for it in parts], "minItems": size, "maxItems": size},
        )
    if origin is not None:
        each = shape(arguments[0])
        return Shape(
            lambda value: isinstance(value, list | tuple) and all(map(each.allows, value)),
            f"a list of which each is {each.words}",
            {"type": "array", "items": each.schema},
        )
    return _SHAPES[hint]


def _record(kind: Any) -> Shape:
    """Return the shape of a ``TypedDict``."""
    fields = {key: shape(it) for key, it in get_type_hints(kind, include_extras=True).items()}
    required = sorted(kind.__required_keys__)
    return Shape(
        lambda value: (
            isinstance(value, Mapping)
            and all(key in fields and fields[key].allows(it) for key, it in value.items())
            and all(key in value for key in required)
        ),
        f"an object with {', '.join(fields)}",
        _object_schema({key: it.schema for key, it in fields.items()}, required),
    )


def _object_schema(properties: Mapping[str, object], required: Sequence[str]) -> dict[str, Any]:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": dict(properties), **needed, "additionalProperties": False}


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
        if isinstance(value, str):
            value.encode()  # JSON can escape a lone surrogate, but a string is sent as it is
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_amount(value: object) -> bool:
    try:
        return not isinstance(value, bool) and Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


def _either(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _instance(kind: Any, words: str, name: str) -> Shape:
    def allows(value: object) -> bool:
        return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))

    return Shape(allows, words, {"type": name} if name else {})


_SHAPES: Mapping[Any, Shape] = {
    bool: _instance(bool, "true or false", "boolean"),
    int: _instance(int, "an integer", "integer"),
    float: _instance(int | float, "a number", "number"),
    str: _instance(str, "a string", "string"),
    bytes: _instance(bytes, "bytes", ""),
    type(None): _instance(type(None), "null", "null"),
    Decimal: Shape(_is_amount, "an amount", {"type": ["number", "string"]}),
    Any: Shape(lambda _: True, "anything", {}),
}


def shown(value: object) -> str:
    """Return a short form of a value for an error message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the nearest of the known names, or with all of them."""
    known = list(known)
    found = get_close_matches(name, known, 1, 0.5)
    return f"did you mean {found[0]}?" if found else f"there are {', '.join(known)}"


def check_value(name: str, hint: Any, value: object) -> None:
    """Raise ``InvalidValueError`` unless a type hint allows a value."""
    if not shape(hint).allows(value):
        allowed = shape(hint).words
        raise InvalidValueError(f"{name} must be {allowed}, got {shown(value)}", name, allowed)


def to_decimal(amount: Decimal | int | str) -> Decimal:
    """Convert an amount, or raise ``InvalidValueError``."""
    check_value("the amount", Decimal, amount)
    return Decimal(amount)


@frozen(kw_only=True)
class Parameter:
    """A parameter of an operation. ``default`` is ``inspect.Parameter.empty`` if it must be given."""

    name: str
    hint: Any
    default: Any
    description: str

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    def check(self, value: object) -> None:
        """Raise ``InvalidValueError`` unless the value is allowed."""
        check_value(self.name, self.hint, value)

    def schema(self) -> dict[str, Any]:
        found = {**shape(self.hint).schema, "description": self.description}
        if isinstance(self.default, bool | int | float | str):
            found["default"] = self.default
        return found


@frozen(kw_only=True)
class Operation:
    """A function or an attrs class with the parameters that its hints and its docstring declare."""

    name: str
    summary: str
    parameters: Mapping[str, Parameter]

    @classmethod
    def of(
        cls,
        target: Callable[..., object],
        name: str,
        *,
        hints: Mapping[str, Any] | None = None,
        without: Sequence[str] = (),
    ) -> Operation:
        """Read a declaration.

        Args:
            target: A function, or an attrs class.
            name: Name of the operation.
            hints: Hints that replace those of the target.
            without: Parameters to leave out.

        Returns:
            The operation.
        """
        function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
        module = sys.modules[target.__module__]
        declared = get_type_hints(target if inspect.isclass(target) else function, vars(module), include_extras=True)
        parsed = docstring_parser.parse(inspect.getdoc(target) or "")
        described = {it.arg_name: " ".join((it.description or "").split()) for it in parsed.params}
        parameters: dict[str, Parameter] = {}
        for key, it in inspect.signature(function).parameters.items():
            hint = (hints or {}).get(key, declared.get(key))
            if key != "self" and key not in without:
                parameters[key] = Parameter(name=key, hint=hint, default=it.default, description=described.get(key, ""))
        return cls(name=name, summary=parsed.short_description or "", parameters=parameters)

    def check(self, given: Mapping[str, object]) -> None:
        """Raise ``InvalidValueError`` unless all arguments are known and allowed, and none is missing."""
        for key, value in given.items():
            if key not in self.parameters:
                hint = nearest(key, self.parameters) if self.parameters else "it takes none"
                allowed = ", ".join(self.parameters) or "no fields"
                raise InvalidValueError(f"{self.name} has no field {key!r}; {hint}", key, allowed)
            self.parameters[key].check(value)
        for key, parameter in self.parameters.items():
            if parameter.required and key not in given:
                allowed = shape(parameter.hint).words
                raise InvalidValueError(f"{key} is missing; it must be {allowed}", key, allowed)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an object with the arguments."""
        required = [key for key, it in self.parameters.items() if it.required]
        properties = {key: it.schema() for key, it in self.parameters.items()}
        return {"type": "object", "description": self.summary, **_object_schema(properties, required)}


@functools.cache
def declared(kind: type) -> Operation:
    """Return the fields of an attrs class; read once."""
    return Operation.of(kind, kind.__name__)
