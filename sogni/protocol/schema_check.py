"""Values against a JSON schema: decides what fits, and says where what does not (tools §3).

Called by `tool_arguments` for the arguments of a tool, and for those of a user's own function. It knows the
keywords that the tools use; unknown properties are never an error, unknown types accept anything. It never raises
for a value and changes none: what it returns is a copy.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from attrs import define, field

from .field_checks import shown

Schema = Mapping[str, Any]


@define
class SchemaCheck:
    """One check: the options, and what was found so far, in the order of the values.

    `skip_enums` names properties (or whole paths) whose `enum` is not looked at. `coerce` turns texts into numbers
    and booleans where only those fit. `strip` leaves out what the schema does not name.
    """

    skip_enums: Collection[str] = ()
    coerce: bool = False
    strip: bool = False
    errors: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)

    def value(self, value: Any, schema: Schema, path: str = "") -> Any:
        """Check a value and return what is left of it; `path` names it in errors (`overlays[0].text`)."""
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
            self._wrong(path, f"must be {' or '.join(map(_called, types))}, not {shown(value)}")
            return value
        self._allowed(value, schema, path)
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            self._number(value, schema, path)
        elif isinstance(value, str):
            self._text(value, schema, path)
        elif isinstance(value, Mapping):
            return self._object(value, schema, path)
        elif isinstance(value, Sequence):
            return self._array(value, schema, path)
        return value

    def _wrong(self, path: str, what: str) -> None:
        self.errors.append(f"{path or 'arguments'} {what}")

    def _alternative(self, value: Any, schema: Schema, path: str) -> tuple[bool, Any]:
        """`oneOf`, looked at first: exactly one member must fit; `anyOf`: at least one."""
        exactly = "oneOf" in schema
        fitting = []
        for member in schema["oneOf" if exactly else "anyOf"]:
            trial = SchemaCheck(self.skip_enums, self.coerce, self.strip)
            cleaned = trial.value(value, member, path)
            if not trial.errors:
                fitting.append((cleaned, trial.warnings))
        if not fitting or (exactly and len(fitting) > 1):
            self._wrong(path, f"must fit {'exactly one' if exactly else 'one'} of the forms allowed here")
            return False, value
        cleaned, warnings = fitting[0]
        self.warnings += warnings
        return True, cleaned

    def _coerced(self, value: str, types: Sequence[str], path: str) -> Any:
        made = _from_text(value.strip(), types)
        if made is not None:
            self.warnings.append(f"{path} was the text {shown(value)} and is taken as {json.dumps(made)}")
            return made
        return value

    def _allowed(self, value: Any, schema: Schema, path: str) -> None:
        if "const" in schema and not _same(value, schema["const"]):
            self._wrong(path, f"must be {json.dumps(schema['const'])}, not {shown(value)}")
        allowed = schema.get("enum")
        skipped = path in self.skip_enums or path.rpartition(".")[2] in self.skip_enums
        if allowed is not None and not skipped and not any(_same(value, one) for one in allowed):
            self._wrong(path, f"must be one of {', '.join(map(json.dumps, allowed))}, not {shown(value)}")

    def _number(self, value: float, schema: Schema, path: str) -> None:
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        # The older form: a boolean that makes the plain bound an exclusive one.
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
                self._wrong(path, f"must be {words} {bound}, not {shown(value)}")

    def _text(self, value: str, schema: Schema, path: str) -> None:
        if len(value) < schema.get("minLength", 0):
            self._wrong(path, f"must have at least {schema['minLength']} characters, not {len(value)}")
        if len(value) > schema.get("maxLength", math.inf):
            self._wrong(path, f"must have at most {schema['maxLength']} characters, not {len(value)}")
        pattern = schema.get("pattern")
        if pattern is not None:
            try:
                matches = re.fullmatch(pattern, value) is not None
            except re.error as error:
                self._wrong(path, f"cannot be checked: its pattern {pattern!r} is none ({error})")
            else:
                if not matches:
                    self._wrong(path, f"must match {pattern!r}, not {shown(value)}")

    def _array(self, value: Sequence[Any], schema: Schema, path: str) -> list[Any]:
        if len(value) < schema.get("minItems", 0):
            self._wrong(path, f"must have at least {schema['minItems']} entries, not {len(value)}")
        if len(value) > schema.get("maxItems", math.inf):
            self._wrong(path, f"must have at most {schema['maxItems']} entries, not {len(value)}")
        items = schema.get("items")
        if isinstance(items, Mapping):
            return [self.value(one, items, f"{path}[{place}]") for place, one in enumerate(value)]
        checked = items or ()  # a tuple: by position, what is beyond it stays unchecked
        return [
            self.value(one, checked[place], f"{path}[{place}]") if place < len(checked) else one
            for place, one in enumerate(value)
        ]

    def _object(self, value: Mapping[str, Any], schema: Schema, path: str) -> dict[str, Any]:
        for name in schema.get("required", ()):
            if name not in value or is_missing(value[name]):
                self._wrong(_joined(path, name), "is required")
        cleaned = {name: self._property(name, one, schema, path) for name, one in value.items()}
        return {name: one for name, one in cleaned.items() if one is not _GONE}

    def _property(self, name: str, value: Any, schema: Schema, path: str) -> Any:
        here = _joined(path, name)
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        if value is None:
            return _GONE if self.strip and name not in known else None
        if name in known:
            return self.value(value, known[name], here)
        if others is False or self.strip:
            self.warnings.append(f"{here} is not known and was left out")
            return _GONE
        return self.value(value, others, here) if isinstance(others, Mapping) else value


_GONE = object()


def is_missing(value: Any) -> bool:
    """Whether a required value counts as not given: null, an empty text, an empty list (tools §3)."""
    return value is None or (isinstance(value, str | list | tuple) and not value)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _types(schema: Schema) -> Sequence[str]:
    """The types a schema allows; none means any."""
    kind = schema.get("type")
    return () if kind is None else [kind] if isinstance(kind, str) else kind


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and value == math.floor(value),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
}
_CALLED = {
    "null": "null", "boolean": "true or false", "number": "a number", "integer": "a whole number",
    "string": "a text", "array": "a list", "object": "an object",
}  # fmt: skip


def _called(kind: str) -> str:
    return _CALLED.get(kind, kind)


def _fits_any(value: Any, types: Sequence[str]) -> bool:
    return not types or any(kind not in _FITS or _FITS[kind](value) for kind in types)


def _from_text(text: str, types: Sequence[str]) -> Any:
    """A number or boolean that a text stands for, where the schema wants one; None when it is none."""
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
    """Equality as in JSON, where true is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, str | int | float | None):
        return bool(one == other)
    return json.dumps(one) == json.dumps(other)
