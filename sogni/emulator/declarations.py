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


def allows(hint: Any, value: object) -> bool:
    """Return whether a value has a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if _is_any_json(hint):
        return isinstance(value, bytes) or _is_json(value)
    if origin is Annotated:
        return allows(arguments[0], value) and all(it.allows(value) for it in _limits(hint))
    if origin in (Union, types.UnionType):
        return any(allows(it, value) for it in arguments)
    if origin is Literal:
        return any(value == it and isinstance(value, type(it)) for it in arguments)
    if is_typeddict(hint):
        return isinstance(value, Mapping) and not any(True for _ in _problems_of_keys(hint, value))
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            allows(arguments[0], key) and allows(arguments[1], it) for key, it in value.items()
        )
    if origin is tuple and arguments[-1] is not Ellipsis:
        pair = isinstance(value, list | tuple) and len(value) == len(arguments)
        return pair and all(map(allows, arguments, value))  # type: ignore[call-overload]
    if origin is not None:
        return isinstance(value, list | tuple) and all(allows(arguments[0], it) for it in value)
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    if hint is Decimal:
        return _is_amount(value)
    return hint is Any or isinstance(value, hint)


def words(hint: Any) -> str:
    """Return what a type allows, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if _is_any_json(hint):
        return "a value that JSON can represent"
    if origin is Annotated:
        return " and ".join(it.words for it in _limits(hint)) or words(arguments[0])
    if origin in (Union, types.UnionType):
        return _either(words(it) for it in arguments if it is not type(None))
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if is_typeddict(hint):
        return f"an object with {', '.join(hint.__annotations__)}"
    if origin is not None and issubclass(origin, Mapping):
        return "an object"
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)} values"
    if origin is not None:
        return f"a list of which each is {words(arguments[0])}"
    return _WORDS[hint]


def schema(hint: Any) -> dict[str, Any]:
    """Return the JSON schema of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if _is_any_json(hint):
        return {}
    if origin is Annotated:
        found = schema(arguments[0])
        for limit in _limits(hint):
            found.update(limit.schema)
        return found
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema(it) for it in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if is_typeddict(hint):
        return _object_schema(get_type_hints(hint, include_extras=True), sorted(hint.__required_keys__))
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object"}
    if origin is tuple and arguments[-1] is not Ellipsis:
        return {"type": "array", "prefixItems": [schema(it) for it in arguments], "minItems": 2, "maxItems": 2}
    if origin is not None:
        return {"type": "array", "items": schema(arguments[0])}
    return dict(_SCHEMAS[hint])


def _object_schema(hints: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    properties = {name: schema(it) for name, it in hints.items()}
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def _problems_of_keys(kind: Any, value: Mapping[str, object]) -> Iterable[str]:
    hints = get_type_hints(kind, include_extras=True)
    yield from (key for key in value if key not in hints or not allows(hints[key], value[key]))
    yield from (key for key in kind.__required_keys__ if key not in value)


def _limits(hint: Any) -> list[Limit]:
    return [it for it in hint.__metadata__ if isinstance(it, Limit)]


def _is_any_json(hint: Any) -> bool:
    # Unions with `Json` are flattened.
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()
    return {bool, int, float, str, type(None)} < set(parts)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
        if isinstance(value, str):
            value.encode()  # JSON can escape a lone surrogate, but a string is sent as it is
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_amount(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return False
    try:
        return Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


def _either(parts: Iterable[str]) -> str:
    found = list(dict.fromkeys(parts))
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"


_WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    bytes: "bytes",
    Decimal: "an amount",
    type(None): "null",
    Any: "anything",
}
_SCHEMAS: Mapping[Any, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Decimal: {"type": ["number", "string"]},
    type(None): {"type": "null"},
    Any: {},
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
        if not allows(self.hint, value):
            allowed = words(self.hint)
            raise InvalidValueError(f"{self.name} must be {allowed}, got {shown(value)}", self.name, allowed)

    def schema(self) -> dict[str, Any]:
        found = {**schema(self.hint), "description": self.description}
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
                allowed = words(parameter.hint)
                raise InvalidValueError(f"{key} is missing; it must be {allowed}", key, allowed)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an object with the arguments."""
        required = [key for key, it in self.parameters.items() if it.required]
        return {
            "type": "object",
            "description": self.summary,
            "properties": {key: it.schema() for key, it in self.parameters.items()},
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }


@functools.cache
def declared(kind: type) -> Operation:
    """Return the fields of an attrs class; read once."""
    return Operation.of(kind, kind.__name__)
