"""Single values: decides whether what was given for a field is a text, a number, a flag or one of a list.

Called by the checks of params and estimates. Every refusal is a `ValidationError` that names the field,
the value and what is allowed. It knows no model and no rule that spans two fields.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, NoReturn, ParamSpec, SupportsInt, TypeVar, cast
from urllib.parse import quote

import attrs

from sogni.errors import ValidationError
from sogni.models.converter import to_dict

T = TypeVar("T")

_PLAIN_LIMIT = 1e21
"""Above this JavaScript writes a number with an exponent, so that it stays a float here."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def short_repr(value: Any) -> str:
    """Return the `repr` of a value, cut short: media and prompts may be long."""
    return _SHORT.repr(value)


def invalid_value(field: str, value: Any, allowed: Any, sentence: str | None = None) -> ValidationError:
    """Make the error for a value that is not allowed; `sentence` says it in other words."""
    words = sentence or f"{field} must be {_listed(allowed)}, not {short_repr(value)}"
    return ValidationError(words, field=field, value=value, allowed=allowed)


def _listed(allowed: Any) -> str:
    return allowed if isinstance(allowed, str) else f"one of {', '.join(map(repr, allowed))}"


def optional(check: Callable[..., T], field: str, value: Any, /, **limits: Any) -> T | None:
    """Check a value that may be None, which stays None."""
    return None if value is None else check(field, value, **limits)


def text(field: str, value: Any, *, empty: bool = True) -> str:
    """Check a text; with `empty=False` there must be more in it than blanks."""
    if not isinstance(value, str):
        raise invalid_value(field, value, "a text")
    if not empty and not value.strip():
        raise invalid_value(field, value, "a text that is not empty")
    return value


def flag(field: str, value: Any) -> bool:
    """Check a boolean."""
    if not isinstance(value, bool):
        raise invalid_value(field, value, "True or False")
    return value


def number(field: str, value: Any, *, low: float | None = None, high: float | None = None) -> int | float:
    """Check a finite number, inclusive limits; an integral one comes back as an int, as JavaScript writes it.

    Numbers of other libraries (numpy) become plain ones. A bool is no number.
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
    """Check an integer, inclusive limits; 4.0 is one."""
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
    """Check a text that must be one of a few."""
    if not isinstance(value, str) or value not in allowed:
        raise invalid_value(field, value, tuple(allowed))
    return value


def without_gaps(field: str, value: T) -> T:
    """Refuse None among the items of a list: what comes after it would quietly have another place, or the list end."""
    if isinstance(value, list | tuple):
        for index, it in enumerate(value):
            if it is None:
                where = f"{field}[{index}]"
                raise invalid_value(
                    where, None, "a value", f"{where} must be a value, got None; remove it from the list"
                )
    return value


def items(field: str, value: Any, *, item: Callable[[str, Any], T]) -> list[T]:
    """Check every item of a list or tuple; a refusal names the place (`loras[2]`)."""
    if not isinstance(value, list | tuple):
        raise invalid_value(field, value, "a list")
    return [item(f"{field}[{index}]", it) for index, it in enumerate(value)]


# What the caller may have meant: decides which known names come close to a wrong one.
#
# Called where a name is refused (keywords, model ids, samplers, presets). It refuses nothing itself.


_MOST = 3
_LIKENESS = 0.6


def nearest(name: Any, known: Iterable[str], most: int = _MOST) -> list[str]:
    """Return the known names most like `name`, best first; none for what is no text."""
    return get_close_matches(name, list(known), n=most, cutoff=_LIKENESS) if isinstance(name, str) else []


def did_you_mean(name: Any, known: Iterable[str], most: int = _MOST) -> str:
    """Return `; did you mean 'x' or 'y'?`, or nothing when no known name comes close."""
    close = nearest(name, known, most)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


# Keywords of calls that have many: decides what is said of one that is none of them.


P = ParamSpec("P")
R = TypeVar("R")


def naming_the_nearest(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function refuse an unknown keyword with a TypeError that names the one that was probably meant."""
    known = tuple(inspect.signature(function).parameters)[1:]

    @functools.wraps(function)
    def checked(*args: P.args, **keywords: P.kwargs) -> R:
        for name in keywords:
            if name not in known:
                raise TypeError(f"{function.__qualname__}() has no parameter {name!r}{did_you_mean(name, known)}")
        return function(*args, **keywords)

    return checked


# JSON objects on their way out and in: whether values can be sent, and what of an object is not modelled.
#
# Called by the calls of runs, workflows, templates and replay, and by whoever reads a frame field by field.


def json_ready(field: str, value: Any) -> Any:
    """The JSON form of a value, of data classes too. ValidationError for what JSON cannot carry, NaN included."""
    try:
        plain = to_dict(value)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        raise invalid_value(
            field, short_repr(value), "JSON values", f"{field} cannot be written as JSON: {error}"
        ) from error
    return plain


def json_object(field: str, value: Any) -> dict[str, Any]:
    """The same, for what must be an object."""
    plain = json_ready(field, value)
    if not isinstance(plain, dict):
        raise invalid_value(field, value, "a mapping, or the data class for it")
    return plain


def json_list(field: str, value: Any) -> list[Any]:
    """The same, for what must be a list."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(json_ready(field, value), list):
        raise invalid_value(field, value, "a list")
    made: list[Any] = json_ready(field, value)
    return without_gaps(field, made)


def beyond(payload: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields of an object that have no name of their own here; they are kept in `extra`, as sent."""
    if known.issuperset(payload):
        return {}
    return {name: value for name, value in payload.items() if name not in known}


# What callers give that ends up in an address or a header: decides whether it can stand there.
#
# Called by the calls of runs, workflows, templates and replay. Every refusal is a `ValidationError`, before anything
# is sent.


_HEADER_TEXT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def path_segment(field: str, value: Any) -> str:
    """An id as one segment of a path, percent-encoded (workflows §1)."""
    if not isinstance(value, str) or not value.strip():
        raise invalid_value(field, value, "the id as a text")
    if value in (".", ".."):
        # Every HTTP library takes these for directions, and would ask for something else.
        raise invalid_value(field, value, "an id")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise invalid_value(field, value, "the id as a text") from None


def header_text(field: str, value: Any) -> str:
    """A text that a header can carry: printable ASCII without blanks around it."""
    if not isinstance(value, str) or not _HEADER_TEXT.fullmatch(value):
        raise invalid_value(field, value, "a text of printable ASCII characters")
    return value


def event_id(field: str, value: Any) -> str | None:
    """The id or number of an event as it is sent; None when there is none, and 0 is one (workflows §6)."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value % 1 == 0:
        return str(int(value))
    if isinstance(value, str):
        return header_text(field, value)
    raise invalid_value(field, value, "the id of an event, a number or a text")


def refuse_unknown(fields: Mapping[str, Any], known: Collection[str], sentence: str) -> None:
    """TypeError for a name that is not known, naming the nearest."""
    for name in fields:
        if name not in known:
            raise TypeError(f"{sentence} {name!r}{did_you_mean(name, known, 1)}")


def nested(kind: type[T], field: str, given: Any, words: str | None = None) -> T | None:
    """Return an object of `kind`, from one or from a mapping with its fields; None stays None.

    TypeError for an unknown or missing field, ValidationError for anything else. `words` say what the object is.
    """
    if given is None or isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise invalid_value(field, given, f"{kind.__name__} or a mapping with its fields")
    words = words or field.replace("_", " ")
    fields = attrs.fields(cast(Any, kind))
    refuse_unknown(given, [it.name for it in fields], f"a {words} has no field")
    for it in fields:
        if it.default is attrs.NOTHING and it.name not in given:
            raise TypeError(f"the field {it.name!r} of the {words} is missing")
    return kind(**given)


def nested_items(kind: type[T], field: str, given: Any, words: str) -> list[T]:
    """Return objects of `kind` from a list of them, or of mappings; none of None."""

    def item(name: str, value: Any) -> T:
        read = nested(kind, name, value, words)
        if read is None:
            raise invalid_value(name, value, f"{kind.__name__} or a mapping with its fields")
        return read

    return [] if given is None else items(field, given, item=item)


def json_or_text(text: str) -> Any:
    """The JSON value a text stands for, else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
