"""Read the fields of requests from JSON or a form. Errors name the field."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from sogni.serve.errors import RequestError, invalid, unsupported

MAX_DEPTH = 100
"""Levels of objects and lists in a body. Functions that call themselves for each level could not process many more."""
NOT_JSON = (
    "We could not parse the JSON body of your request. The body must be a JSON object, in UTF-8, "
    f"sent with the content type application/json, and nested at most {MAX_DEPTH} levels deep."
)


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raises `RequestError` for anything else."""
    document = _object(body)
    if document is None:
        raise RequestError(NOT_JSON, code="invalid_json")
    return document


def _object(text: bytes | str) -> dict[str, Any] | None:
    """Return a JSON object; None for anything else, and for what is nested too deep."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and not _is_deep(document) else None


def _is_deep(document: Any) -> bool:
    level = [document]
    for _ in range(MAX_DEPTH):
        inner = (it.values() if isinstance(it, dict) else it for it in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
    return bool(level)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class Fields:
    """The fields of a request. Each field is taken once; `end` rejects the rest.

    A field that is null counts as absent.

    Args:
        given: The fields.
        form: Whether they come from a form, in which all values are strings.
        within: Field that they belong to.
    """

    def __init__(self, given: Mapping[str, Any], *, form: bool = False, within: str = "") -> None:
        self._within = f"{within}." if within else ""
        self._left = {name: value for name, value in given.items() if value is not None}
        self._form = form

    def take(self, name: str) -> Any:
        """Return a field unchanged; None if it is absent."""
        return self._left.pop(name, None)

    def string(self, name: str, *, required: bool = False, most: int | None = None) -> str | None:
        """Return a string."""
        value = self.take(name)
        if value is None:
            if required:
                raise RequestError(
                    f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
                )
            return None
        if not isinstance(value, str):
            raise invalid(name, f"{name} must be a string, got {kind_of(value)}.")
        if most is not None and len(value) > most:
            raise invalid(name, f"{name} must have at most {most} characters, got {len(value)}.")
        return value

    def text(self, name: str, *, most: int | None = None) -> str:
        """Return a required string that is not blank."""
        value = self.string(name, required=True, most=most) or ""
        if not value.strip():
            raise invalid(name, f"{name} must not be empty.")
        return value

    def one_of(self, name: str, allowed: Collection[str], default: str | None = None) -> str | None:
        """Return one of the allowed strings."""
        value = self.string(name)
        if value is None:
            return default
        if value not in allowed:
            raise invalid(name, f"{name} must be one of {', '.join(sorted(allowed))}, got {shown(value)}.")
        return value

    def boolean(self, name: str) -> bool | None:
        """Return a boolean."""
        value = self.take(name)
        if self._form and isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if value is not None and not isinstance(value, bool):
            raise invalid(name, f"{name} must be true or false, got {shown(value)}.")
        return value

    def integer(self, name: str, low: int | None = None, high: int | None = None) -> int | None:
        """Return an integer."""
        value = self._number(name, int)
        if value is not None and not isinstance(value, int):
            raise invalid(name, f"{name} must be an integer, got {shown(value)}.")
        self._check_range(name, value, low, high)
        return value

    def number(self, name: str, low: float | None = None, high: float | None = None) -> float | None:
        """Return a number."""
        value = self._number(name, float)
        # Nor what is too large for a float, which an integer may be.
        if value is not None and not (isinstance(value, int | float) and abs(value) <= sys.float_info.max):
            raise invalid(name, f"{name} must be a number, got {shown(value)}.")
        self._check_range(name, value, low, high)
        return value

    def _number(self, name: str, parse: Callable[[str], Any]) -> Any:
        value = self.take(name)
        if isinstance(value, bool):
            raise invalid(name, f"{name} must be a number, got {shown(value)}.")
        if self._form and isinstance(value, str):
            try:
                return parse(value)
            except ValueError:
                return value
        return value

    @staticmethod
    def _check_range(name: str, value: float | None, low: float | None, high: float | None) -> None:
        if value is None:
            return
        if (low is not None and value < low) or (high is not None and value > high):
            allowed = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
            raise invalid(name, f"{name} must be {allowed}, got {value}.")

    def objects(self, name: str) -> list[dict[str, Any]] | None:
        """Return a list of objects."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise invalid(name, f"{name} must be a list of objects.")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object; an empty one if it is absent. In a form it is written as JSON."""
        value = self.take(name)
        if value is None:
            return {}
        if self._form and isinstance(value, str):
            value = _object(value)
        if not isinstance(value, dict):
            raise invalid(name, f"{name} must be an object.")
        return value

    def ignore(self, names: Iterable[str]) -> None:
        """Ignore fields that do not affect the answer."""
        for name in names:
            self._left.pop(name, None)

    def refuse(self, reasons: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
        """Raise `RequestError` for a field that Sogni does not support.

        Args:
            reasons: For each field, the values without an effect, and why others are rejected.
        """
        for name, (neutral, reason) in reasons.items():
            value = self.take(name)
            if value is not None and not any(value == it and type(value) is type(it) for it in neutral):
                raise unsupported(name, f"{name} is not supported: {reason}.")

    def end(self) -> None:
        """Raise `RequestError` for unknown fields."""
        for name in self._left:
            name = f"{self._within}{name[:100]}"
            raise RequestError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def kind_of(value: Any) -> str:
    """Return the JSON type of a value, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    if isinstance(value, str):
        return f"'{value[:60]}…'" if len(value) > 60 else f"'{value}'"
    return json.dumps(value) if isinstance(value, bool | int | float) else kind_of(value)


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that are closest to a name, best first."""
    names = {it.lower(): it for it in known}
    return [names[it] for it in get_close_matches(name.lower(), names, n=most, cutoff=0.3)]
