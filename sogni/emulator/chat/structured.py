"""Values for a JSON schema, filled from a sentence: JSON answers and tool arguments.

The values are valid for any sentence. This is not a validator: it builds values that one accepts.
"""
# Protocol notes: chat §2.5.

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from sogni.emulator.chat import language as sentences

Schema = Mapping[str, Any]
_DEPTH = 12
_NEGATED = re.compile(r"\b(?:not|no|never|without|don't|isn't|off|false|disable)\b", re.I)
_PROSE = re.compile(
    r"answer|summary|text|message|reply|response|content|result|explanation|reason|description|output", re.I
)
_PLACES = re.compile(r"city|location|place|country|town|address|where", re.I)
_PEOPLE = re.compile(r"name|person|author|who|recipient|contact|user|customer", re.I)
_PREPOSITIONS = {"from": "from", "source": "from", "origin": "from", "to": "to", "target": "to", "destination": "to"}
_POSITIVE = re.compile(
    r"\b(?:great|good|love|loved|excellent|wonderful|happy|amazing|best|like|enjoy(?:ed)?|perfect)\b", re.I
)
_NEGATIVE = re.compile(r"\b(?:bad|terrible|awful|hate|hated|worst|sad|broken|poor|disappoint\w*|angry)\b", re.I)


@define
class Filler:
    """Fills one schema from one text. ``answer`` is the plain answer, used for properties that hold prose."""

    text: str
    answer: str = ""
    root: Schema = field(factory=dict)
    _numbers: list[float] = field(init=False)
    _names: list[str] = field(init=False)
    _quoted: list[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._numbers = sentences.numbers(self.text)
        self._names = sentences.names(self.text)
        self._quoted = sentences.quoted(self.text)

    def fill(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        """Return a value that is valid for the schema."""
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choice(schema["enum"])
        if depth > _DEPTH:
            return None
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("number", "integer"):
            return self._number(schema, name, integral=kind == "integer")
        if kind == "boolean":
            return not _NEGATED.search(self.text)
        return None if kind == "null" else self._string(schema, name)

    def finds(self, schema: Schema, name: str) -> bool:
        """Return whether the text mentions an optional property."""
        schema = self._resolved(schema)
        lower = self.text.lower()
        mentioned = any(word in lower for word in _spoken(name))
        if schema.get("enum"):
            return any(_mentions(lower, str(value)) for value in schema["enum"])
        kind = _kind(schema)
        if kind in ("number", "integer"):
            return self._number_near(name) is not None
        if kind == "boolean":
            return mentioned
        if name in _PREPOSITIONS:
            return sentences.between(self.text, _PREPOSITIONS[name]) is not None
        return mentioned and bool(self._quoted)

    def _resolved(self, schema: Schema) -> Schema:
        for _ in range(_DEPTH):
            if "$ref" in schema:
                schema = {**self._target(schema["$ref"]), **{k: v for k, v in schema.items() if k != "$ref"}}
            elif schema.get("allOf"):
                merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
                for part in schema["allOf"]:
                    merged = _merged(merged, self._resolved(part))
                schema = merged
            elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = _merged(rest, self._resolved(alternatives[0]))
            else:
                break
        return schema

    def _target(self, reference: str) -> Schema:
        found: Any = self.root
        for step in reference.lstrip("#/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}

    def _object(self, schema: Schema, depth: int) -> dict[str, object]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        filled = {}
        for name, inner in properties.items():
            # Recursive schemas end as soon as they are allowed to.
            if name in required or depth < 3:
                filled[name] = self.fill(inner, name, depth + 1)
        for name in required:
            filled.setdefault(name, self.answer or self.text)
        return filled

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        items = schema.get("items") or schema.get("prefixItems") or {}
        if isinstance(items, list):
            return [self.fill(item, name, depth + 1) for item in items]
        kind, low = _kind(self._resolved(items)), schema.get("minItems", 0)
        high = schema.get("maxItems", math.inf)
        found: list[Any] = []
        if kind == "string" and not self._resolved(items).get("enum"):
            found = [self._fitted(items, entry) for entry in sentences.items(self.text) or self._quoted]
        elif kind in ("number", "integer"):
            found = [self._bounded(items, n, integral=kind == "integer") for n in sentences.numbers(self.text)]
        if schema.get("uniqueItems"):
            found = list(dict.fromkeys(found))
        while len(found) < max(low, min(1, high)):
            found.append(self.fill(items, name, depth + 1))
        return found[: int(min(high, len(found)))]

    def _number(self, schema: Schema, name: str, *, integral: bool) -> float | int:
        near = self._number_near(name)
        if near is None:
            near = self._numbers.pop(0) if self._numbers else schema.get("default", 1)
        elif near in self._numbers:
            self._numbers.remove(near)
        return self._bounded(schema, near, integral=integral)

    def _bounded(self, schema: Schema, value: float, *, integral: bool) -> float | int:
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        step: float = schema.get("multipleOf", 1 if integral else 0)
        if isinstance(edge := schema.get("exclusiveMinimum"), int | float) and not isinstance(edge, bool):
            low = max(low, edge + (step or 1e-6))
        if isinstance(edge := schema.get("exclusiveMaximum"), int | float) and not isinstance(edge, bool):
            high = min(high, edge - (step or 1e-6))
        value = min(max(value, low), high)
        if step:
            value = round(value / step) * step
            value = value + step if value < low else value - step if value > high else value
        return int(value) if integral or float(value).is_integer() else value

    def _number_near(self, name: str) -> float | None:
        """Return the number next to the name of a property: "duration of 5", "12 seconds"."""
        for word in _spoken(name):
            for pattern in (
                rf"{word}\w*\W{{1,3}}(?:(?:of|is|to|at|=)\W+)?(-?\d+(?:\.\d+)?)",
                rf"(-?\d+(?:\.\d+)?)[\s-]*{word}",
            ):
                found = re.search(pattern, self.text, re.I)
                if found:
                    return float(found[1])
        if re.search(r"duration|seconds|length", name, re.I):
            found = re.search(r"(\d+(?:\.\d+)?)[\s-]*(?:seconds?|secs?|s)\b", self.text, re.I)
            return float(found[1]) if found else None
        return None

    def _choice(self, allowed: Sequence[Any]) -> Any:
        lower = self.text.lower()
        for value in allowed:
            if isinstance(value, str) and _mentions(lower, value):
                return value
        for pattern, word in ((_POSITIVE, "positive"), (_NEGATIVE, "negative")):
            match = next((value for value in allowed if str(value).lower() == word), None)
            if match is not None and pattern.search(self.text):
                return match
        return next((value for value in allowed if str(value).lower() == "neutral"), allowed[0])

    def _string(self, schema: Schema, name: str) -> str:
        return self._fitted(schema, self._text_value(schema, name))

    def _text_value(self, schema: Schema, name: str) -> str:
        form = schema.get("format")
        by_form = {
            "email": (sentences.emails, "someone@example.com"),
            "uri": (sentences.urls, "https://example.com/"),
            "url": (sentences.urls, "https://example.com/"),
            "date": (sentences.dates, "2026-01-01"),
            "time": (sentences.times, "12:00:00"),
        }
        if form in by_form:
            find, otherwise = by_form[form]
            return next(iter(find(self.text)), otherwise)
        if form == "date-time":
            return f"{next(iter(sentences.dates(self.text)), '2026-01-01')}T12:00:00Z"
        if form == "uuid":
            return "00000000-0000-4000-8000-000000000000"
        if schema.get("default") is not None and isinstance(schema["default"], str):
            return schema["default"]
        return self._by_name(name)

    def _by_name(self, name: str) -> str:
        """Return the part of the sentence that fits the name of a property."""
        lower = name.lower()
        if lower in _PREPOSITIONS and (part := sentences.between(self.text, _PREPOSITIONS[lower])):
            return part
        for requested, find in (("email", sentences.emails), ("url", sentences.urls), ("date", sentences.dates)):
            if requested in lower and (found := find(self.text)):
                return found[0]
        if "time" in lower and (found := sentences.times(self.text)):
            return found[0]
        if "expression" in lower and (sum_ := re.search(r"[-(]*\d[\d.\s()+*/%^-]*\d\)*", self.text)):
            return sum_[0].strip()
        if re.search(r"unit", lower) and (found := sentences.units(self.text)):
            return found[0]
        if _PLACES.search(lower) and (part := sentences.place(self.text)):
            return part
        if _PEOPLE.search(lower) and self._names:
            return self._names.pop(0)
        if self._quoted:
            return self._quoted.pop(0)
        if _PROSE.search(lower) and self.answer:
            return self.answer
        if re.search(r"topic|subject|title|query|keyword|about|search", lower):
            return sentences.topic(self.text) or self.text
        if (named := re.search(rf"\b{re.escape(lower)}\s*(?:is|:|=|of)?\s+([\w'-]+)", self.text, re.I)) is not None:
            return named[1]
        if self._names:
            return self._names.pop(0)
        return self.answer or sentences.topic(self.text) or self.text or name

    def _fitted(self, schema: Schema, value: str) -> str:
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        value = value or "text"
        value = value if len(value) >= low else (value + "." * low)[:low]
        value = value if high is None else value[:high]
        pattern = schema.get("pattern")
        if pattern is None or re.search(pattern, value):
            return value
        for found in re.finditer(r"\S+", self.text):
            if re.search(pattern, found[0]):
                return found[0]
        return _matching(pattern)


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


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, object]:
    merged = {**first, **second}
    for key, join in (("properties", dict), ("required", list)):
        if key in first and key in second:
            merged[key] = {**first[key], **second[key]} if join is dict else [*first[key], *second[key]]
    return merged


def _spoken(name: str) -> list[str]:
    """Return the words of a property's name: "max results" for ``maxResults``."""
    phrase = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()
    return [re.escape(phrase)] if phrase else []


def _mentions(lower: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value.lower().replace('_', ' '))}(?!\w)", lower) is not None


_KEYS = re.compile(r"\b(?:keys?|fields?|properties|attributes)\b:?(.*)", re.I | re.DOTALL)


def answer(format: Mapping[str, Any], text: str, plain: str) -> str:
    """Return the JSON answer to a question whose plain answer is known."""
    if format["type"] == "json_schema":
        schema = format["json_schema"]["schema"]
        return json.dumps(Filler(text, plain, schema).fill(schema), ensure_ascii=False)
    named = _KEYS.search(text)
    keys = [] if named is None else sentences.quoted(named[1]) or sentences.items(named[1]) or named[1].split()[:1]
    remainder = text
    for key in keys:
        remainder = re.sub(rf"[“\"'`]?\b{re.escape(key)}\b[”\"'`]?", "", remainder)
    if not keys:
        return json.dumps({"answer": plain}, ensure_ascii=False)
    filler = Filler(remainder, plain)
    return json.dumps({key.strip(".:,"): filler.fill(_guess(key), key) for key in keys}, ensure_ascii=False)


def _guess(key: str) -> dict[str, str]:
    counted = re.search(r"age|count|number|total|price|amount|year|population|size|length", key, re.I)
    return {"type": "integer" if counted else "string"}
