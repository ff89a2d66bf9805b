"""What tools gave back, as a conversation tells of it: media with their numbers, texts, failures.

Called by the choice of tools and for the sentence that follows results. It reads the results of the client, of the
hosted tools and of any function.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, frozen

from .messages import Message, text_of

_URL = re.compile(r"https?://[^\s\"'<>)\]}]+|data:[\w/+.-]+;base64,[\w+/=]+")
_KINDS = {
    "generate_image": "image",
    "edit_image": "image",
    "apply_style": "image",
    "restore_photo": "image",
    "refine_result": "image",
    "change_angle": "image",
    "upscale_image": "image",
    "remove_background": "image",
    "generate_music": "audio",
    "generate_speech": "audio",
}
_VIDEO = re.compile(r"video|montage|animate|subtitles")


@frozen
class ToolResult:
    """One result. ``media`` is the kind of what was made, ``urls`` where it is; ``text`` what the tool wrote."""

    name: str
    text: str
    media: str | None
    urls: Sequence[str]
    failed: bool
    start_index: int | None = None


@define
class MadeMedia:
    """What was made so far, in order, and the number of uploaded images (tools §2.1)."""

    results: Sequence[ToolResult]
    uploads: int = 0

    def all(self, kind: str) -> list[int]:
        """The indices of everything of a kind."""
        found: list[int] = []
        for result in self.results:
            if result.media == kind and not result.failed:
                start = len(found) if result.start_index is None else result.start_index
                found += range(start, start + max(1, len(result.urls)))
        return found

    def newest(self, kind: str) -> int | None:
        """The index of the newest of a kind; -1 is the first upload."""
        made = self.all(kind)
        if made:
            return made[-1]
        return -1 if kind == "image" and self.uploads else None


def results_of(messages: Sequence[Message]) -> list[ToolResult]:
    """Read the tool turns among messages, oldest first."""
    names = {call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    tools = [message for message in messages if message.get("role") == "tool"]
    return [_read(message, names.get(message.get("tool_call_id"), "")) for message in tools]


def _read(message: Message, called: str) -> ToolResult:
    name, text = str(message.get("name") or called or "the tool"), text_of(message)
    try:
        value = json.loads(text)
    except ValueError:
        return ToolResult(name, text, None, (), failed=False)
    media = None
    start = None
    if isinstance(value, Mapping):
        media = _media_of(name, value)
        start = value.get("startIndex") if isinstance(value.get("startIndex"), int) else None
    failed = isinstance(value, Mapping) and (
        value.get("success") is False or value.get("status") in ("error", "failed")
    )
    told = value.get("urls") if isinstance(value, Mapping) else None
    urls = list(dict.fromkeys(_urls(told or value))) if media else []
    return ToolResult(name, text, media, urls, failed, start)


def _media_of(name: str, value: Mapping[str, Any]) -> str | None:
    told = value.get("media_type") or value.get("mediaType")
    if isinstance(told, str):
        return told
    if not any(True for _ in _urls(value)):
        return None
    return _KINDS.get(name) or ("video" if _VIDEO.search(name) else None)


def _urls(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _URL.findall(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _urls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _urls(inner)


def summary(results: Sequence[ToolResult]) -> str:
    """Say what came of the tools, with every URL."""
    return " ".join(_said(result) for result in results)


def _said(result: ToolResult) -> str:
    if result.failed:
        return f"The tool {result.name} failed: {_reason(result.text)}"
    if result.media is not None:
        what = {"image": "image", "video": "video", "audio": "audio track"}.get(result.media, result.media)
        if len(result.urls) == 1:
            return f"Here is your {what}: {result.urls[0]}"
        return f"Here are your {len(result.urls)} {what}s: {' '.join(result.urls)}"
    return f"{result.name} says: {result.text}"


def _reason(text: str) -> str:
    value = json.loads(text)
    for key in ("error", "message", "error_message"):
        reason = value.get(key)
        if isinstance(reason, Mapping):
            reason = reason.get("message")
        if isinstance(reason, str):
            return reason
    return text
