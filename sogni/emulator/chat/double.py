"""The language model of the emulator: a test double with a few rules, described in docs/reference/emulator-behavior.md.

It calls the tools that the last user message names, sums up their results, returns JSON if a schema was asked for, and
otherwise repeats the beginning of the message. The same request always has the same answer.
"""
# Protocol notes: tools §2.1.

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from sogni.core.tools.hosted import definition_of, tool_names
from sogni.emulator.chat.messages import Conversation, Message, size_of, text_of
from sogni.emulator.chat.requests import ChatRequest
from sogni.emulator.chat.script import Answer, Call
from sogni.emulator.chat.structured import Filler, json_answer
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
