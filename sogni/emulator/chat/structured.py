"""Values for a JSON schema, taken from a message: JSON answers and tool arguments.

A value given as ``name=value`` counts. Without it, strings are the quotes and names in the text or the text itself,
numbers those in the text, and choices the one that is mentioned or the first. The values fit the schema whatever the
text is.
"""
# Protocol notes: chat §2.5.

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from attrs import define, field

Schema = Mapping[str, Any]
_DEPTH = 12
_QUOTE_OR_NAME = re.compile(
    r"[\"“]([^\"“”]+)[\"”]|(?<!\w)'([^']+)'(?!\w)|(?<=[a-z,;:] )([A-Z][\w/-]*(?: [A-Z][\w/-]*)*)"
)
_VALUE = r"=(\"[^\"]*\"|\[[^\]]*\]|[^\s,;]+)"
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_EXAMPLES = {
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "date": "2026-01-01",
    "time": "12:00:00",
    "date-time": "2026-01-01T12:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


@define
class Filler:
    """Fills one schema from one text. With ``parts``, a string may be a quote or a name in it."""

    text: str
    root: Schema = field(factory=dict)
    parts: bool = True
    _words: str = field(init=False)
    _numbers: list[str] = field(init=False)
    _strings: list[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._words = re.sub(rf"[\s,]{{0,2}}\b\w+{_VALUE}", "", self.text).strip()
        self._numbers = _NUMBER.findall(self._words)
        self._strings = ["".join(found) for found in _QUOTE_OR_NAME.findall(self._words)] if self.parts else []

    def given(self, name: str, schema: Schema) -> Any:
        """Return what the text gives as ``name=value``; None if there is no such value of the right type."""
        found = re.search(rf"(?<!\w){re.escape(name)}{_VALUE}", self.text)
        if found is None:
            return None
        text = found[1].rstrip(".?!:")
        kind = _kind(self._resolved(schema))
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if kind == "string" and not isinstance(value, str):
            value = text
        return value if isinstance(value, _TYPES.get(kind, object)) else None

    def fill(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        """Return a value that is valid for the schema."""
        schema = self._resolved(schema)
        given = self.given(name, schema) if name else None
        kind = _kind(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return given if given in schema["enum"] else self._choice(schema["enum"])
        if depth > _DEPTH or kind == "null":
            return None
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth) if given is None else given
        if kind == "boolean":
            return schema.get("default", True) if given is None else given
        if kind == "string":
            return self._string(schema, given)
        return self._number(schema, given, integral=kind == "integer")

    def _resolved(self, schema: Schema) -> Schema:
        for _ in range(_DEPTH):
            if "$ref" in schema:
                schema = {**self._target(schema["$ref"]), **{k: v for k, v in schema.items() if k != "$ref"}}
                continue
            parts = schema.get("allOf") or (schema.get("anyOf") or schema.get("oneOf") or [])[:1]
            if not parts:
                break
            schema = {key: value for key, value in schema.items() if key not in ("allOf", "anyOf", "oneOf")}
            for part in parts:
                schema = _merged(schema, self._resolved(part))
        return schema

    def _target(self, reference: str) -> Schema:
        found: Any = self.root
        for step in reference.lstrip("#/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}

    def _object(self, schema: Schema, depth: int) -> dict[str, object]:
        required = schema.get("required") or []
        # Recursive schemas end as soon as they are allowed to.
        wanted = {
            name: inner for name, inner in (schema.get("properties") or {}).items() if name in required or depth < 3
        }
        filled = {name: self.fill(inner, name, depth + 1) for name, inner in wanted.items()}
        return {**dict.fromkeys(required, self._words), **filled}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        items = schema.get("items") or schema.get("prefixItems") or {}
        if isinstance(items, list):
            return [self.fill(item, name, depth + 1) for item in items]
        count = min(max(schema.get("minItems", 1), 1), schema.get("maxItems", math.inf))
        return [self.fill(items, name, depth + 1) for _ in range(int(count))]

    def _choice(self, allowed: list[Any]) -> Any:
        mentioned = (
            value for value in allowed if re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", self._words, re.I)
        )
        return next(mentioned, allowed[0])

    def _number(self, schema: Schema, given: float | None, *, integral: bool) -> float | int:
        value = given
        if value is None:
            value = float(self._numbers.pop(0)) if self._numbers else schema.get("default", 1)
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        step: float = schema.get("multipleOf", 1 if integral else 0)
        low = max(low, schema.get("exclusiveMinimum", -math.inf) + (step or 1e-6))
        high = min(high, schema.get("exclusiveMaximum", math.inf) - (step or 1e-6))
        value = min(max(value, low), high)
        if step:
            value = round(value / step) * step
            value = value + step if value < low else value - step if value > high else value
        return int(value) if integral or float(value).is_integer() else value

    def _string(self, schema: Schema, given: str | None) -> str:
        example = schema.get("default") or _EXAMPLES.get(str(schema.get("format")))
        value = given or (example if isinstance(example, str) else None)
        value = value or (self._strings.pop(0) if self._strings else self._words) or "text"
        low = schema.get("minLength", 0)
        value = (value if len(value) >= low else (value + "." * low)[:low])[: schema.get("maxLength")]
        pattern = schema.get("pattern")
        return value if pattern is None or re.search(pattern, value) else _matching(pattern)


def _matching(pattern: str) -> str:
    """Return a string for a simple pattern: letters, digits, classes and counts."""
    pieces = re.findall(r"(\\d|\\w|\[[^\]]+\]|\\.|[^\\^$])(\{(\d+)(?:,\d*)?\}|[+*?])?", pattern)
    example = ""
    for piece, repeat, least in pieces:
        character = "0" if piece == "\\d" else "a" if piece == "\\w" else piece[1] if piece[0] in "[\\" else piece
        example += character * (int(least) if least else 0 if repeat in ("*", "?") else 1)
    return example


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return str(next((entry for entry in kind if entry != "null"), "null"))
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _merged(first: Schema, second: Schema) -> dict[str, object]:
    merged = {**first, **second}
    if "properties" in first and "properties" in second:
        merged["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        merged["required"] = [*first["required"], *second["required"]]
    return merged


def json_answer(format: Mapping[str, Any], text: str, plain: str) -> str:
    """Return the JSON answer to a message; ``plain`` is the answer without a schema."""
    schema = format["json_schema"]["schema"] if format["type"] == "json_schema" else None
    value = {"answer": plain} if schema is None else Filler(text, schema).fill(schema)
    return json.dumps(value, ensure_ascii=False)
