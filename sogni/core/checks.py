"""Checks of single values and names that callers pass in.

Each check returns the value in its plain form or raises `ValidationError` with the field, the value and what is
allowed. Unknown names raise `TypeError` with the closest known one. Rules that span several fields live with their
subject.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, NoReturn, SupportsInt, TypeVar, cast
from urllib.parse import quote

import attrs

from sogni.errors import ValidationError, brief
from sogni.models.converter import snake, to_dict

T = TypeVar("T")

_PLAIN_LIMIT = 1e21
"""JavaScript writes larger numbers with an exponent, so they stay floats here."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def short_repr(value: Any) -> str:
    """Return a shortened `repr` of a value: media and prompts may be long."""
    return _SHORT.repr(value)


def invalid_value(field: str, value: Any, allowed: Any, message: str | None = None) -> ValidationError:
    """Return the error for a value that is not allowed; `message` replaces the default message."""
    message = message or f"{field} must be {_listed(allowed)}, got {short_repr(value)}"
    return ValidationError(message, field=field, value=value, allowed=allowed)


def _listed(allowed: Any) -> str:
    return allowed if isinstance(allowed, str) else f"one of {', '.join(map(repr, allowed))}"


def optional(check: Callable[..., T], field: str, value: Any, /, **limits: Any) -> T | None:
    """Check a value that may be None; None is returned unchanged."""
    return None if value is None else check(field, value, **limits)


def text(field: str, value: Any, *, empty: bool = True) -> str:
    """Check a string; with `empty=False` it must contain more than whitespace."""
    if not isinstance(value, str):
        raise invalid_value(field, value, "a string")
    if not empty and not value.strip():
        raise invalid_value(field, value, "a non-empty string")
    return value


def private_text(field: str, value: Any) -> str:
    """Check a non-empty string that may be a password, so that errors never show it."""
    allowed = "a non-empty string"
    if not isinstance(value, str) or not value:
        given = "an empty one" if isinstance(value, str) else type(value).__name__
        raise ValidationError(f"{field} must be {allowed}, got {given}", field=field, allowed=allowed)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError(f"{field} contains a character that cannot be encoded", field=field) from None
    return value


def flag(field: str, value: Any) -> bool:
    """Check a boolean."""
    if not isinstance(value, bool):
        raise invalid_value(field, value, "True or False")
    return value


def number(field: str, value: Any, *, low: float | None = None, high: float | None = None) -> int | float:
    """Check a finite number within inclusive limits; an integral value is returned as an int, as JavaScript writes it.

    Numbers of other libraries (numpy) become plain ones. Booleans are rejected.
    """
    allowed = "a number" + _limits(low, high)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise invalid_value(field, value, allowed)
    plain: int | float = int(value) if isinstance(value, Integral) else float(value)
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise invalid_value(field, value, "a finite number" + _limits(low, high))
        if plain.is_integer() and abs(plain) < _PLAIN_LIMIT:
            plain = int(plain)
    if (low is not None and plain < low) or (high is not None and plain > high):
        raise invalid_value(field, value, allowed)
    return plain


def integer(field: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """Check an integer within inclusive limits; 4.0 counts as one."""
    allowed = "an integer" + _limits(low, high)
    if isinstance(value, bool) or not isinstance(value, Real) or value % 1 != 0:
        raise invalid_value(field, value, allowed)
    plain = int(cast(SupportsInt, value))
    if (low is not None and plain < low) or (high is not None and plain > high):
        raise invalid_value(field, value, allowed)
    return plain


def _limits(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return "" if low is None else f" of {low} or more"


def one_of(field: str, value: Any, allowed: Sequence[str]) -> str:
    """Check a string against a list of allowed values."""
    if not isinstance(value, str) or value not in allowed:
        raise invalid_value(field, value, tuple(allowed))
    return value


def reject_none_items(field: str, value: T) -> T:
    """Reject None among the items of a list: it would shift the items that follow it, or shorten the list."""
    if isinstance(value, list | tuple):
        for index, it in enumerate(value):
            if it is None:
                where = f"{field}[{index}]"
                raise invalid_value(
                    where, None, "a value", f"{where} must be a value, got None; remove it from the list"
                )
    return value


def items(field: str, value: Any, *, item: Callable[[str, Any], T]) -> list[T]:
    """Check every item of a list or tuple; errors name the position (`loras[2]`)."""
    if not isinstance(value, list | tuple):
        raise invalid_value(field, value, "a list")
    return [item(f"{field}[{index}]", it) for index, it in enumerate(value)]


# Suggestions for misspelled names


_MAX_SUGGESTIONS = 3
_MIN_SIMILARITY = 0.6
_ELSEWHERE = {
    "prompt": "positive_prompt",
    "n": "number_of_media",
    "num_images": "number_of_media",
    "batch_size": "number_of_media",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "cfg_scale": "guidance",
    "init_image": "starting_image",
}
"""What other libraries call our parameters."""


def nearest(name: Any, known: Iterable[str], most: int = _MAX_SUGGESTIONS) -> list[str]:
    """Return the known names closest to `name`, best first; an empty list if `name` is not a string."""
    return get_close_matches(name, list(known), n=most, cutoff=_MIN_SIMILARITY) if isinstance(name, str) else []


def did_you_mean(name: Any, known: Iterable[str], most: int = _MAX_SUGGESTIONS) -> str:
    """Return `; did you mean 'x' or 'y'?`, or an empty string if no known name is close."""
    close = nearest(name, known, most)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def did_you_mean_keyword(name: Any, known: Iterable[str]) -> str:
    """Return the hint of `did_you_mean` for a keyword or field, in camelCase, or as other libraries call it."""
    name = snake(name) if isinstance(name, str) else name
    known = list(known)
    ours = _ELSEWHERE.get(name)
    return f"; did you mean {ours!r}?" if ours in known else did_you_mean(name, known, 1)


# JSON values


def json_ready(field: str, value: Any) -> Any:
    """Return the JSON form of a value or data class; `ValidationError` if JSON cannot represent it, as with NaN."""
    try:
        plain = to_dict(value)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        raise invalid_value(
            field, short_repr(value), "JSON values", f"{field} cannot be written as JSON: {error}"
        ) from error
    return plain


def json_object(field: str, value: Any) -> dict[str, Any]:
    """Like `json_ready`, but the result must be an object."""
    plain = json_ready(field, value)
    if not isinstance(plain, dict):
        raise invalid_value(field, value, "a mapping or its data class")
    return plain


def json_list(field: str, value: Any) -> list[Any]:
    """Like `json_ready`, but the result must be a list without None."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(json_ready(field, value), list):
        raise invalid_value(field, value, "a list")
    plain: list[Any] = json_ready(field, value)
    return reject_none_items(field, plain)


def extra_fields(payload: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the fields of an object that its data class does not declare; they are kept in `extra`."""
    if known.issuperset(payload):
        return {}
    return {name: value for name, value in payload.items() if name not in known}


# Values that become part of a URL or a header


_HEADER_TEXT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def path_segment(field: str, value: Any) -> str:
    """Return an id as one percent-encoded path segment."""
    if not isinstance(value, str) or not value.strip():
        raise invalid_value(field, value, "an id (a non-empty string)")
    if value in (".", ".."):
        # HTTP libraries resolve these as relative paths and would request another resource.
        raise invalid_value(field, value, "an id")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise invalid_value(field, value, "an id that can be encoded as UTF-8") from None


def header_text(field: str, value: Any) -> str:
    """Check a string that a header can carry: printable ASCII without surrounding whitespace."""
    if not isinstance(value, str) or not _HEADER_TEXT.fullmatch(value):
        raise invalid_value(field, value, "a string of printable ASCII characters")
    return value


def event_id(field: str, value: Any) -> str | None:
    """Return the id or number of an event in its wire form; None stays None, and 0 is valid."""
    if value is None:
        return None
    if is_finite_number(value) and value % 1 == 0:
        return str(int(value))
    if isinstance(value, str):
        return header_text(field, value)
    raise invalid_value(field, value, "an event id (a number or a string)")


def refuse_unknown(fields: Mapping[str, Any], known: Collection[str], prefix: str, also: Collection[str] = ()) -> None:
    """Raise `TypeError` for an unknown name, suggesting the closest known one; `prefix` begins the message.

    `also` are names that are suggested as well: parameters that `fields` cannot contain.
    """
    for name in fields:
        if name not in known:
            raise brief(TypeError(f"{prefix} {name!r}{did_you_mean_keyword(name, [*known, *also])}"))


def nested(kind: type[T], field: str, given: Any, noun: str | None = None) -> T | None:
    """Return an object of `kind` from one or from a mapping with its fields; None stays None.

    Raises `TypeError` for an unknown or missing field and `ValidationError` for any other type. `noun` is the name of
    the object in error messages.
    """
    if given is None or isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise invalid_value(field, given, f"{kind.__name__} or a mapping with its fields")
    noun = noun or field.replace("_", " ")
    fields = attrs.fields(cast(Any, kind))
    refuse_unknown(given, [it.name for it in fields], f"a {noun} has no field")
    for it in fields:
        if it.default is attrs.NOTHING and it.name not in given:
            raise brief(TypeError(f"the field {it.name!r} of the {noun} is missing"))
    return kind(**given)


def nested_items(kind: type[T], field: str, given: Any, noun: str) -> list[T]:
    """Return objects of `kind` from a list of objects or mappings; an empty list for None."""

    def item(name: str, value: Any) -> T:
        read = nested(kind, name, value, noun)
        if read is None:
            raise invalid_value(name, value, f"{kind.__name__} or a mapping with its fields")
        return read

    return [] if given is None else items(field, given, item=item)


def json_or_text(text: str) -> Any:
    """Return the value of a JSON document; a string that is not JSON is returned unchanged."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def is_finite_number(value: Any) -> bool:
    """Whether a value of a response is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def string_or_none(value: Any) -> str | None:
    """Return a string unchanged, and None for any other value of a response."""
    return value if isinstance(value, str) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
