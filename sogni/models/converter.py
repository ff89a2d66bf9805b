"""Conversion between the wire form and data classes: camelCase keys, times and amounts.

Only this module knows the wire form. Values of the wrong type raise `ProtocolError` with their path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache, partial
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from sogni.errors import ProtocolError
from sogni.models.base import LooseModel, Model

T = TypeVar("T")

_WORD = re.compile(r"_([a-z0-9])")
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def camel(name: str) -> str:
    """Convert snake_case to camelCase: `worker_count` → `workerCount`."""
    return _WORD.sub(lambda match: match[1].upper(), name)


@lru_cache(maxsize=1024)
def snake(name: str) -> str:
    """Convert camelCase to snake_case: `disableNSFWFilter` → `disable_nsfw_filter`."""
    return _SNAKE.sub("_", name).lower()


def wire_name(attribute: Any) -> str:
    """Return the wire name of an attrs attribute."""
    name: str = attribute.metadata.get("wire") or camel(attribute.name)
    return name


def is_local(attribute: Any) -> bool:
    """Whether an attribute is not part of the wire form."""
    return attribute.name == "extra" or bool(attribute.metadata.get("local"))


def _string(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    # A `Secret` becomes an ordinary string: the object may show it.
    return str(value)


def _integer(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise TypeError(f"expected an integer, got {value!r}")
    return int(value)


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    return value


def _flag(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value


def _money(value: Any, _: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise TypeError(f"expected an amount, got {value!r}")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"not an amount: {value!r}") from None
    if not amount.is_finite():
        raise ValueError(f"not an amount: {value!r}")
    return amount


def read_time(value: Any) -> datetime:
    """Return a wire time (milliseconds since 1970, or ISO 8601) as an aware datetime in UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, str):
        return read_time(datetime.fromisoformat(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"expected a time, got {value!r}")
    return datetime.fromtimestamp(value / 1000, UTC)


def _is_open_enum(kind: Any) -> bool:
    """Whether a type is `Literal["a", "b"] | str`, possibly with None: newer servers may send other values."""
    if get_origin(kind) not in (Union, UnionType):
        return False
    parts = get_args(kind)
    open_parts = [part for part in parts if part is not type(None)]
    return len(open_parts) > 1 and str in parts and all(it is str or get_origin(it) is Literal for it in open_parts)


def _is_number_or_string(kind: Any) -> bool:
    """Whether a type is `int | str`, possibly with None: some hosts send a number, others a string."""
    parts = set(get_args(kind)) - {type(None)}
    return get_origin(kind) in (Union, UnionType) and parts in ({int, str}, {float, str})


def _number_or_string(value: Any, kind: Any) -> float | str:
    return value if isinstance(value, str) else _number(value, kind)


def _is_model_or_string(kind: Any) -> bool:
    """Whether a type is `SomeModel | str`, possibly with None."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    return get_origin(kind) in (Union, UnionType) and len(parts) == 2 and str in parts and any(map(_is_model, parts))


def _overrides(cls: type[Model]) -> dict[str, Any]:
    return {
        a.name: override(omit=True) if is_local(a) else override(rename=wire_name(a), unstruct_hook=_form_of(a))
        for a in attrs.fields(attrs.resolve_types(cls))
    }


def _form_of(attribute: Any) -> Any:
    return _milliseconds if attribute.metadata.get("epoch") else None


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _register_models(converter: cattrs.Converter) -> None:
    def structure(cls: type[Model]) -> Any:
        overrides = _overrides(cls)
        known = frozenset(it.rename for it in overrides.values() if it.rename)
        inner = make_dict_structure_fn(cls, converter, **overrides)
        types = {wire_name(a): a.type for a in attrs.fields(cls)} if issubclass(cls, LooseModel) else {}

        def structured(data: Any, kind: Any) -> Any:
            if isinstance(data, cls):
                return data
            if not isinstance(data, Mapping):
                raise TypeError(f"expected an object, got {type(data).__name__}")
            unknown = {key: value for key, value in data.items() if key not in known}
            given = {key: value for key, value in data.items() if value is not None and key in known}
            if types:
                odd = {key: value for key, value in given.items() if not fits(value, types[key])}
                given = {key: value for key, value in given.items() if key not in odd}
                unknown |= odd
            result = inner(given, kind)
            return attrs.evolve(result, extra=unknown) if unknown else result

        return structured

    def unstructure(cls: type[Model]) -> Any:
        own = getattr(cls, "to_dict", None)
        if own is not None:
            return own
        inner = make_dict_unstructure_fn(cls, converter, **_overrides(cls))

        def unstructured(value: Any) -> dict[str, Any]:
            result = {key: item for key, item in inner(value).items() if item is not None}
            return {**result, **value.extra}

        return unstructured

    def model_or_string(value: Any, kind: Any) -> Any:
        model = next(part for part in get_args(kind) if _is_model(part))
        return value if isinstance(value, str) else converter.structure(value, model)

    def fits(value: Any, kind: Any) -> bool:
        try:
            converter.structure(value, kind)
        except Exception:  # cattrs raises groups of whatever the hooks raise
            return False
        return True

    converter.register_structure_hook_func(_is_model_or_string, model_or_string)
    converter.register_structure_hook_factory(_is_model, structure)
    converter.register_unstructure_hook_factory(_is_model, unstructure)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _new_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True, prefer_attrib_converters=False)
    for kind, hook in ((str, _string), (int, _integer), (float, _number), (bool, _flag), (Decimal, _money)):
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook(datetime, lambda value, _: read_time(value))
    converter.register_structure_hook(date, lambda value, _: date.fromisoformat(_string(value, str)))
    converter.register_structure_hook(time, lambda value, _: time.fromisoformat(_string(value, str)))
    converter.register_structure_hook(UUID, lambda value, _: UUID(_string(value, str)))
    converter.register_structure_hook_func(_is_open_enum, _string)
    converter.register_structure_hook_func(_is_number_or_string, _number_or_string)
    converter.register_unstructure_hook(Decimal, lambda amount: format(amount, "f"))
    converter.register_unstructure_hook(
        datetime, lambda moment: moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    )
    converter.register_structure_hook_factory(_is_list, partial(_list_of, converter))
    _register_models(converter)
    return converter


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _list_of(converter: cattrs.Converter, kind: Any) -> Any:
    inner = list_structure_factory(kind, converter)

    def structured(value: Any, kind: Any) -> Any:
        # Strings and objects are iterable too.
        if not isinstance(value, list | tuple):
            raise TypeError(f"expected a list, got {type(value).__name__}")
        return inner(value, kind)

    return structured


CONVERTER = _new_converter()


def is_pydantic_model(kind: Any) -> bool:
    """Whether a type is a pydantic model. Checks its methods, because this package does not import pydantic."""
    return isinstance(kind, type) and hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json")


def constraint_adapter(kind: Any) -> Any:
    """Return the `TypeAdapter` of an annotation like `Annotated[int, Field(ge=1)]`; None for one without constraints.

    Constraints on a type that pydantic does not support, such as an attrs class, are ignored.
    """
    if get_origin(kind) is not Annotated or not any(_has_constraints(it) for it in kind.__metadata__):
        return None
    from pydantic import TypeAdapter  # as whoever made the field has done

    try:
        return TypeAdapter(kind)
    except Exception:  # pydantic has several, and runs hooks of the user
        return None


def _has_constraints(metadata: Any) -> bool:
    return type(metadata).__module__ == "pydantic.fields" and bool(getattr(metadata, "metadata", None))


def read(cls: type[T], data: Any, source: str = "the response") -> T:
    """Convert wire data. Raises `ProtocolError` with the path of what is invalid (`$.jobs[3].seed`)."""
    try:
        return CONVERTER.structure(data, cls)
    except Exception as error:  # cattrs raises groups of whatever the hooks raise
        raise ProtocolError(f"{source} is malformed: {'; '.join(findings(error))}") from error


def findings(error: Exception) -> list[str]:
    """Return the findings of a conversion error, each with its path."""
    return [finding.replace(" @ ", " at ") for finding in cattrs.transform_error(error, format_exception=_reason)]


def _reason(error: BaseException, _: Any) -> str:
    if isinstance(error, KeyError):
        return f"required field {error.args[0]!r} is missing"
    return str(error)


def to_dict(value: Any) -> Any:
    """Return the JSON-ready wire form of any value of this library.

    Data classes become dicts with the keys of the wire format, times ISO 8601 strings and amounts decimal strings;
    projects and jobs become their snapshots, and pydantic models their JSON form. Plain values are returned unchanged.

    Args:
        value: A data class, project or job, or a list or mapping of them.

    Returns:
        JSON-ready data.

    Example:
        >>> sogni.to_dict(sogni.WorkflowStep(id="still", tool_name="generate_image", arguments={"prompt": "a kite"}))
        {'toolName': 'generate_image', 'arguments': {'prompt': 'a kite'}, 'id': 'still'}
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_dict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_dict(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(to_dict(item) for item in value)
    if isinstance(value, PurePath):
        return str(value)
    own = getattr(value, "to_dict", None)
    if own is not None:
        return own()
    if is_pydantic_model(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    if attrs.has(type(value)) and not isinstance(value, Model):
        return _given(value)
    return CONVERTER.unstructure(value)


def _given(params: Any) -> dict[str, Any]:
    """Return the fields of params that are set, without media, which have no JSON form."""
    values = {wire_name(a): getattr(params, a.name) for a in attrs.fields(type(params))}
    given = {key: _without_media(value) for key, value in values.items() if value is not None}
    return {key: to_dict(value) for key, value in given.items() if value is not None}


def _without_media(value: Any) -> Any:
    if isinstance(value, list | tuple):
        items = [item for item in map(_without_media, value) if item is not None]
        return items if items or not value else None
    plain = value is None or isinstance(value, str | bool | int | float | Mapping | Decimal | datetime)
    return value if plain or attrs.has(type(value)) else None


def wire_form(cls: type[Model], data: Any) -> Any:
    """Return a model, or a mapping with keys in either spelling, with the keys of the wire, at any depth.

    Fields that are None are omitted; unknown keys and other values are kept. Nothing is checked: if a mapping has a key
    in both spellings, both are kept.
    """
    if isinstance(data, cls):
        given = {wire_name(a): getattr(data, a.name) for a in attrs.fields(cls) if a.name != "extra"}
        data = given | dict(data.extra)
    if not isinstance(data, Mapping):
        return data
    spellings, result = _spellings(cls), {}  # type: ignore[arg-type]  # not seen by lru_cache: a class is hashable
    for key, value in data.items():
        name, inner = spellings.get(key, (key, None))
        if value is not None or key not in spellings:
            result[key if name != key and name in data else name] = _inner_form(inner, value)
    return result


def _inner_form(cls: type[Model] | None, value: Any) -> Any:
    if cls is None:
        return value
    return [wire_form(cls, item) for item in value] if isinstance(value, list | tuple) else wire_form(cls, value)


@lru_cache(maxsize=64)
def _spellings(cls: type[Model]) -> dict[Any, tuple[str, type[Model] | None]]:
    """Return, by both spellings of each field, its wire name and the model it contains, if any."""
    found: dict[Any, tuple[str, type[Model] | None]] = {}
    for a in attrs.fields(attrs.resolve_types(cls)):
        if a.name != "extra":
            found[a.name] = found[wire_name(a)] = wire_name(a), _model_in(a.type)
    return found


def _model_in(kind: Any) -> type[Model] | None:
    if _is_model(kind):
        model: type[Model] = kind
        return model
    return next((found for part in get_args(kind) if (found := _model_in(part)) is not None), None)


def from_dict(cls: type[T], data: Any) -> T:
    """Make an instance of a data class from its wire form.

    Args:
        cls: The class.
        data: The result of `to_dict`, or data of the service.

    Returns:
        The instance.

    Raises:
        ProtocolError: The data is malformed.

    Example:
        >>> sogni.from_dict(sogni.SizePreset, {"id": "square", "width": 512, "height": 512}).width
        512
    """
    return read(cls, data, f"data for {getattr(cls, '__name__', cls)}")
