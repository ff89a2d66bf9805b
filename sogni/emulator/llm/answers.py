"""An answer and how it is told: cut at the limit and at stop texts, in pieces of one token.

Called by the three surfaces with what the responder or a test's script said. Nothing is decided here about what
is said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from . import tokens


def _written(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


@frozen
class Call:
    """A tool call the model makes; arguments that are no text are written as JSON."""

    name: str
    arguments: str = field(default="{}", converter=_written)


@frozen
class Answer:
    """What a model says: its text, its reasoning, its tool calls. ``finish_reason`` None is the ordinary one."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thought: str = ""
    finish_reason: str | None = None


@frozen(kw_only=True)
class Telling:
    """An answer as it is sent: pieces of content, then deltas of tool calls; ``output_tokens`` is what it costs."""

    content: Sequence[str]
    deltas: Sequence[Mapping[str, Any]]
    finish_reason: str
    output_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.content)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The tool calls put together."""
        calls: dict[int, dict[str, Any]] = {}
        for delta in self.deltas:
            call = calls.setdefault(
                delta["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = delta.get("id") or call["id"]
            function = delta.get("function", {})
            call["function"]["name"] = function.get("name") or call["function"]["name"]
            call["function"]["arguments"] += function.get("arguments", "")
        return list(calls.values())

    def pieces(self) -> list[dict[str, Any]]:
        """Everything between the first and the last piece, as keys of ``jobTokens``."""
        told = [{"content": piece} for piece in self.content]
        return told + [{"content": "", "tool_calls": [delta]} for delta in self.deltas]


def tell(answer: Answer, *, limit: int, stops: Sequence[str] = (), think: bool = False, call_id: str) -> Telling:
    """Cut an answer into what is sent of it. ``call_id`` is what ids of tool calls begin with."""
    text, stopped = _until_stop(answer.text, stops)
    if think and answer.thought:
        text = f"<think>\n{answer.thought}\n</think>\n\n{text}"
    pieces = tokens.split(text)
    if len(pieces) > limit:
        return Telling(content=pieces[:limit], deltas=[], finish_reason="length", output_tokens=limit)
    deltas: list[dict[str, Any]] = []
    left = limit - len(pieces)
    for index, call in enumerate(() if stopped else answer.calls):
        made, used = _deltas(index, call, f"{call_id}-{index}", left)
        deltas += made
        left -= used
        if left < 0:
            return Telling(content=pieces, deltas=deltas, finish_reason="length", output_tokens=limit)
    reason = answer.finish_reason or ("tool_calls" if deltas else "stop")
    return Telling(content=pieces, deltas=deltas, finish_reason=reason, output_tokens=limit - left)


def _until_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """A stop text ends the answer and is not part of it."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _deltas(index: int, call: Call, id: str, left: int) -> tuple[list[dict[str, Any]], int]:
    """The name comes first, then the arguments, token by token."""
    used = tokens.count(call.name)
    first = {"index": index, "id": id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    pieces = tokens.split(call.arguments)
    kept = pieces[: max(0, left - used)]
    deltas = [first, *({"index": index, "function": {"arguments": piece}} for piece in kept)]
    return deltas, used + len(pieces)
