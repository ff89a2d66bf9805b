"""Single values: decides whether what was given for a field is a text, a number, a flag or one of a list.

Called by the checks of params and estimates. Every refusal is a `ValidationError` that names the field,
the value and what is allowed. It knows no model and no rule that spans two fields.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, SupportsInt, TypeVar, cast

from ..errors import ValidationError

T = TypeVar("T")

_PLAIN_LIMIT = 1e21
"""Above this JavaScript writes a number with an exponent, so that it stays a float here."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: Any) -> str:
    """Return the `repr` of a value, cut short: media and prompts may be long."""
    return _SHORT.repr(value)


def refusal(field: str, value: Any, allowed: Any, sentence: str | None = None) -> ValidationError:
    """Make the error for a value that is not allowed; `sentence` says it in other words."""
    words = sentence or f"{field} must be {_listed(allowed)}, not {shown(value)}"
    return ValidationError(words, field=field, value=value, allowed=allowed)


def _listed(allowed: Any) -> str:
    return allowed if isinstance(allowed, str) else f"one of {', '.join(map(repr, allowed))}"


def optional(check: Callable[..., T], field: str, value: Any, /, **limits: Any) -> T | None:
    """Check a value that may be None, which stays None."""
    return None if value is None else check(field, value, **limits)


def text(field: str, value: Any, *, empty: bool = True) -> str:
    """Check a text; with `empty=False` there must be more in it than blanks."""
    if not isinstance(value, str):
        raise refusal(field, value, "a text")
    if not empty and not value.strip():
        raise refusal(field, value, "a text that is not empty")
    return value


def flag(field: str, value: Any) -> bool:
    """Check a boolean."""
    if not isinstance(value, bool):
        raise refusal(field, value, "True or False")
    return value


def number(field: str, value: Any, *, low: float | None = None, high: float | None = None) -> int | float:
    """Check a finite number, inclusive limits; an integral one comes back as an int, as JavaScript writes it.

    Numbers of other libraries (numpy) become plain ones. A bool is no number.
    """
    allowed = "a number" + _limits(low, high)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise refusal(field, value, allowed)
    plain: int | float = int(value) if isinstance(value, Integral) else float(value)
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise refusal(field, value, "a finite number" + _limits(low, high))
        if plain.is_integer() and abs(plain) < _PLAIN_LIMIT:
            plain = int(plain)
    if (low is not None and plain < low) or (high is not None and plain > high):
        raise refusal(field, value, allowed)
    return plain


def integer(field: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """Check an integer, inclusive limits; 4.0 is one."""
    allowed = "an integer" + _limits(low, high)
    if isinstance(value, bool) or not isinstance(value, Real) or value % 1 != 0:
        raise refusal(field, value, allowed)
    plain = int(cast(SupportsInt, value))
    if (low is not None and plain < low) or (high is not None and plain > high):
        raise refusal(field, value, allowed)
    return plain


def _limits(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return "" if low is None else f" of {low} or more"


def one_of(field: str, value: Any, allowed: Sequence[str]) -> str:
    """Check a text that must be one of a few."""
    if not isinstance(value, str) or value not in allowed:
        raise refusal(field, value, tuple(allowed))
    return value


def without_gaps(field: str, value: T) -> T:
    """Refuse None among the items of a list: what comes after it would quietly have another place, or the list end."""
    if isinstance(value, list | tuple):
        for index, it in enumerate(value):
            if it is None:
                where = f"{field}[{index}]"
                raise refusal(where, None, "a value", f"{where} must be a value, got None; remove it from the list")
    return value


def items(field: str, value: Any, *, item: Callable[[str, Any], T]) -> list[T]:
    """Check every item of a list or tuple; a refusal names the place (`loras[2]`)."""
    if not isinstance(value, list | tuple):
        raise refusal(field, value, "a list")
    return [item(f"{field}[{index}]", it) for index, it in enumerate(value)]
