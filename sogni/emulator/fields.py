"""Strict reading of received objects: required keys, types, ranges and unknown keys.

Every finding gives the path and the problem. A ``refused`` finding makes the service refuse the request; the others
are only recorded as violations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from attrs import define, field, frozen

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
"""A value that JSON can represent."""


@frozen
class Finding:
    """A problem in a request, for example ``$.keyFrames[0].steps``: ``must be a number``."""

    where: str
    message: str
    refused: bool = True

    def __str__(self) -> str:
        return f"{self.where} {self.message}"


def type_name(value: object) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)


def is_https(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.netloc)


def is_web_url(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http://", "https://"))


def plain(number: float) -> str:
    return f"{number:g}" if abs(number) < 1e6 else f"{number:.0f}"


def present(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are not None: records omit what is unset."""
    return {key: value for key, value in record.items() if value is not None}


def one_of(allowed: Sequence[str]) -> Callable[[object, Any, str], None]:
    """Return a validator for a field of an attrs class."""

    def check(_: object, attribute: Any, value: str) -> None:
        if value not in allowed:
            raise ValueError(f"{attribute.name} must be one of {', '.join(allowed)}, got {value!r}")

    return check


@define
class Fields:
    """Reads one object. ``leftover`` reports the keys that were not read."""

    values: Mapping[str, Any]
    where: str
    findings: list[Finding]
    _read: set[str] = field(factory=set)

    def refuse(self, key: str, message: str) -> None:
        self.findings.append(Finding(f"{self.where}.{key}", message))

    def note(self, key: str, message: str) -> None:
        self.findings.append(Finding(f"{self.where}.{key}", message, refused=False))

    def has(self, key: str) -> bool:
        self._read.add(key)
        return key in self.values

    def raw(self, key: str) -> Any:
        self._read.add(key)
        return self.values.get(key)

    def _typed(self, key: str, kind: type | tuple[type, ...], expected: str, required: bool, null: bool) -> Any:
        if not self.has(key):
            if required:
                self.refuse(key, "is missing")
            return None
        value = self.values[key]
        if value is None and null:
            return None
        wrong_bool = isinstance(value, bool) and kind is not bool
        if wrong_bool or not isinstance(value, kind):
            self.refuse(key, f"must be {expected}, got {type_name(value)}")
            return None
        return value

    def text(
        self, key: str, *, required: bool = False, null: bool = False, allowed: tuple[str, ...] = ()
    ) -> str | None:
        value = self._typed(key, str, "a string", required, null)
        if value is not None and allowed and value not in allowed:
            self.refuse(key, f"must be one of {', '.join(allowed)}, got {value!r}")
            return None
        return None if value is None else str(value)

    def flag(self, key: str, *, required: bool = False) -> bool | None:
        value = self._typed(key, bool, "a boolean", required, False)
        return None if value is None else bool(value)

    def number(
        self,
        key: str,
        *,
        required: bool = False,
        null: bool = False,
        minimum: float | None = None,
        maximum: float | None = None,
        whole: bool = False,
    ) -> float | None:
        value = self._typed(key, (int, float), "a number", required, null)
        if value is None:
            return None
        if not math.isfinite(value) or (whole and value != int(value)):
            self.refuse(key, f"must be {'an integer' if whole else 'a finite number'}, got {value}")
            return None
        low = minimum is not None and value < minimum
        high = maximum is not None and value > maximum
        if low or high:
            edge_low = "" if minimum is None else f"at least {plain(minimum)}"
            edge_high = "" if maximum is None else f"at most {plain(maximum)}"
            edges = " and ".join(edge for edge in (edge_low, edge_high) if edge)
            self.refuse(key, f"must be {edges}, got {plain(value)}")
            return None
        return float(value)

    def whole(
        self, key: str, *, required: bool = False, minimum: float | None = None, maximum: float | None = None
    ) -> int | None:
        value = self.number(key, required=required, minimum=minimum, maximum=maximum, whole=True)
        return None if value is None else int(value)

    def texts(self, key: str, *, limit: int | None = None) -> tuple[str, ...]:
        value = self._typed(key, list, "a list", False, False)
        if value is None:
            return ()
        if not all(isinstance(entry, str) for entry in value):
            self.refuse(key, "must contain strings only")
            return ()
        if limit is not None and len(value) > limit:
            self.refuse(key, f"must have at most {limit} entries, got {len(value)}")
            return ()
        return tuple(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self._typed(key, list, "a list", False, False)
        if value is None:
            return ()
        if not all(isinstance(entry, int | float) and not isinstance(entry, bool) for entry in value):
            self.refuse(key, "must contain numbers only")
            return ()
        return tuple(float(entry) for entry in value)

    def object(self, key: str, value: Any, suffix: str = "") -> Fields | None:
        """Read a nested object."""
        self._read.add(key)
        if not isinstance(value, dict):
            self.refuse(f"{key}{suffix}", f"must be an object, got {type_name(value)}")
            return None
        return Fields(value, f"{self.where}.{key}{suffix}", self.findings)

    def constants(self, template: Mapping[str, Any]) -> None:
        """Check the template keys: some servers and workers fail if one is missing."""
        # Protocol notes: projects-4.2 §4.1.
        for key, expected in template.items():
            if not self.has(key):
                self.refuse(key, "is missing; every request requires it")
            elif self.values[key] != expected or isinstance(self.values[key], bool) != isinstance(expected, bool):
                self.refuse(key, f"must be {expected!r}, got {self.values[key]!r}")

    def leftover(self) -> None:
        """Report the keys that are not part of the protocol."""
        for key in self.values:
            if key not in self._read:
                self.note(key, "is not a known key")
