"""The language model of the emulator: a test double with a few rules, described in docs/reference/emulator-behavior.md.

It calls the tools that the last user message names, sums up their results, returns JSON if a schema was asked for, and
otherwise repeats the beginning of the message. The same request always has the same answer.
"""
# Protocol notes: tools §2.1.

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from sogni.core.tools.hosted import definition_of, tool_names
from sogni.emulator.chat.messages import Conversation, Message, size_of, text_of
from sogni.emulator.chat.requests import ChatRequest
from sogni.emulator.chat.script import Answer, Call
from sogni.emulator.fields import present
from sogni.emulator.tools.runner import TOOLS

_IDENTITY = "I am the Sogni emulator, not a language model."
_THOUGHT = "I do not think: I am the Sogni emulator."
_ECHOED = 100
_MOST_PARTS = 16
_THEN = re.compile(r"[\s,;.]{0,2}\b(?:and )?then\b[\s,]{0,2}", re.I)


def answer_to(chat_request: ChatRequest) -> Answer:
    """Return the answer to a request: tool calls, or text."""
    conversation = chat_request.conversation
    results = [_ToolResult.of(message) for message in conversation.tool_results]
    if not any(result.failed for result in results):
        wanted = wanted_calls(chat_request)[len(conversation.rounds) :]
        if wanted:
            name, part = wanted[0]
            arguments = {**call_arguments(chat_request, name, part), **_media(name, conversation)}
            return Answer(calls=(Call(name, arguments),))
    text = " ".join(map(str, results)) if results else _echo(conversation)
    if chat_request.response_format is not None:
        source = text if results else conversation.question
        text = json_answer(chat_request.response_format, source, text)
    return Answer(text, thought=_THOUGHT)


def _echo(conversation: Conversation) -> str:
    question = conversation.question
    said = f"{question[:_ECHOED]}…" if len(question) > _ECHOED else question
    sizes = [size_of(url) for url in conversation.new_images]
    shown = ", ".join("of unknown size" if size is None else f"{size[0]} x {size[1]}" for size in sizes)
    images = f" Images: {shown}." if shown else ""
    return f"You said: “{said}”.{images} {_IDENTITY}"


# Tool calls


def _offered(chat_request: ChatRequest) -> dict[str, Mapping[str, Any]]:
    """Return the functions that may be called; ``sogni_tools`` adds the hosted tools."""
    # Protocol notes: chat §2.7.
    hosted = [] if chat_request.sogni_tools is None else [definition_of(name) for name in tool_names()]
    functions = [tool["function"] for tool in (*hosted, *chat_request.tools)]
    return {function["name"]: function for function in functions}


def wanted_calls(chat_request: ChatRequest) -> list[tuple[str, str]]:
    """Return the tools that the last user message asks for, one per round, each with its part of the message."""
    offered, question = _offered(chat_request), chat_request.conversation.question
    if chat_request.tool_choice == "none" or not offered:
        return []
    if chat_request.named_tool:
        return [(str(chat_request.tool_choice), question)]
    parts = [(_named(part, offered), part) for part in _THEN.split(question, _MOST_PARTS)]
    wanted = [(name, part) for name, part in parts if name is not None]
    if not wanted and chat_request.tool_choice == "required":
        return [(next(iter(offered)), question)]
    return wanted


def _named(part: str, offered: Mapping[str, object]) -> str | None:
    """Return the tool with the most words of its name in a part; of equals, the first."""
    words = re.findall(r"[a-z]{3,}", part.lower())

    def score(name: str) -> int:
        named = set(re.findall(r"[a-z]{3,}", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
        return sum(any(word.startswith(one) for word in words) for one in named)

    best = max(offered, key=score)
    return best if score(best) else None


def call_arguments(chat_request: ChatRequest, name: str, part: str) -> dict[str, Any]:
    """Return the required arguments of a call, and those given as ``name=value``."""
    schema = _offered(chat_request)[name].get("parameters") or {}
    properties, required = schema.get("properties") or {}, schema.get("required") or ()
    filler = Filler(part.strip(), schema, parts=name not in tool_names())
    arguments = {key: filler.given(key, inner) for key, inner in properties.items()}
    arguments |= {key: filler.fill(properties.get(key, {}), key) for key in required}
    return present(arguments)


def _media(name: str, conversation: Conversation) -> dict[str, object]:
    """Return the argument of a hosted tool that names the newest medium, or all of them if it takes several."""
    tool = TOOLS.get(name)
    if tool is None or tool.takes is None:
        return {}
    numbers: list[int] = []
    for result in map(_ToolResult.of, (it for it in conversation.messages if it.get("role") == "tool")):
        if result.kind == tool.takes:
            start = len(numbers) if result.start_index is None else result.start_index
            numbers += range(start, start + len(result.urls))
    if not numbers and tool.takes == "image" and conversation.images:
        numbers = [-1]
    if not numbers:
        return {}
    if name == "stitch_video":
        return {tool.argument: numbers}
    return {tool.argument: numbers[-1:] if tool.argument.endswith("Indices") else numbers[-1]}


@frozen
class _ToolResult:
    """A tool's message. ``kind`` is that of its media, ``urls`` are theirs."""

    name: str
    text: str
    failed: bool = False
    kind: str | None = None
    urls: Sequence[str] = ()
    start_index: int | None = None

    @classmethod
    def of(cls, message: Message) -> _ToolResult:
        name, text = str(message.get("name") or "The tool"), text_of(message)
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            return cls(name, text)
        if value.get("success") is False:
            return cls(name, str(value.get("error") or text), failed=True)
        kind, urls = value.get("mediaType") or value.get("media_type"), value.get("urls")
        return cls(name, text, False, kind, urls if kind and isinstance(urls, list) else (), value.get("startIndex"))

    def __str__(self) -> str:
        if self.failed:
            return f"{self.name} failed: {self.text}"
        return f"{self.name} returned {' '.join(self.urls) or self.text}"


# Values for a JSON schema, from a message (chat §2.5). A value given as ``name=value`` counts. Without it, strings
# are the quotes and names in the text or the text itself, numbers those in the text, and choices the one that is
# mentioned or the first. The values fit the schema whatever the text is.


Schema = Mapping[str, Any]
_DEPTH = 12
_MOST = 1e15
"""Larger numbers in a message are not used: they could not be rounded."""
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
        if not abs(value) < _MOST:  # nor NaN
            value = 1
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
