"""Results of tool calls: the content for the model, and the media that they add to a conversation.

Content is compact JSON, as written by the service's own clients.
"""

# Results: tools §4.3, chat §10.

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any
from uuid import UUID

import attrs

from sogni.core.checks import invalid_value, reject_none_items
from sogni.core.projects.file_names import plain, portable
from sogni.core.tools.media import AvailableMedia
from sogni.errors import ValidationError
from sogni.models.base import Model
from sogni.models.chat import ChatCompletionResult
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall, ToolExecutionResult


def succeeded(call: ToolCall, content: str, urls: list[str] | None = None) -> ToolExecutionResult:
    """Return the result of a successful call."""
    return ToolExecutionResult(
        tool_call_id=call.id, tool_name=call.function.name, success=True, result_urls=urls or [], content=content
    )


def failed(call: ToolCall, error: str) -> ToolExecutionResult:
    """Return the result of a failed call; the model reads the error."""
    return ToolExecutionResult(
        tool_call_id=call.id,
        tool_name=call.function.name,
        content=json_text({"success": False, "error": error}),
        error=error,
    )


def media_content(
    kind: str, urls: list[str], model: str, prompt: str, last_frame_urls: Sequence[str | None] = ()
) -> str:
    """Return the content for the model about created media.

    `last_frame_urls` has one entry per job, None where there is none; omitted if all are None.
    """
    frames = {"lastFrameUrls": list(last_frame_urls)} if any(last_frame_urls) else {}
    return json_text({"success": True, "media_type": kind, "urls": urls, **frames, "model": model, "prompt": prompt})


def value_text(value: Any) -> str:
    """Return a function's value as a string: strings unchanged, anything else as JSON.

    Raises `ValidationError` for a value that JSON cannot represent.
    """
    if isinstance(value, str):
        return value
    try:
        return json_text(_plain(value))
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"the return value of a tool cannot be written as JSON: {error}",
            field="content",
            value=type(value).__name__,
        ) from error


def _plain(value: Any) -> Any:
    """Return a value in JSON types; data classes keep their field names."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if not hasattr(value, "to_dict") and not isinstance(value, Model | type):
        if attrs.has(type(value)):
            return {it.name: _plain(getattr(value, it.name)) for it in attrs.fields(type(value))}
        if dataclasses.is_dataclass(value):
            return {it.name: _plain(getattr(value, it.name)) for it in dataclasses.fields(value)}
    return to_dict(value)


def message_of(error: BaseException) -> str:
    """Return the message of an error, or its class if it has none."""
    return str(error).strip() or type(error).__name__


def json_text(value: Any) -> str:
    """Return compact JSON without ASCII escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


# Results in a conversation


_KINDS = ("image", "video", "audio")


def wants_tools(result: ChatCompletionResult) -> bool:
    """Whether an answer requires the results of its tool calls."""
    return result.finish_reason == "tool_calls" and bool(result.tool_calls)


def tool_messages(result: ChatCompletionResult, results: Sequence[ToolExecutionResult]) -> list[dict[str, Any]]:
    """Return the messages with the model's calls and their results."""
    calls = {"role": "assistant", "content": result.content or None, "tool_calls": to_dict(result.tool_calls)}
    answers = [
        {"role": "tool", "content": it.content, "tool_call_id": it.tool_call_id, "name": it.tool_name} for it in results
    ]
    return [calls, *answers]


def results_of(outcome: Any) -> list[ToolExecutionResult]:
    """Return tool results as a list, from one result, a list, or a completion. Raises `ValidationError`."""
    if isinstance(outcome, ToolExecutionResult):
        return [outcome]
    if isinstance(outcome, ChatCompletionResult):
        return [result for turn in outcome.tool_history or () for result in turn.tool_results]
    if isinstance(outcome, list | tuple):
        return [result for item in reject_none_items("results", outcome) for result in results_of(item)]
    raise invalid_value(
        "results", type(outcome).__name__, "a ToolExecutionResult, a list of them, a ChatCompletionResult"
    )


def names_of(results: Iterable[ToolExecutionResult], first: int = 0) -> tuple[list[str], list[str]]:
    """Return the URLs of all media and their file names without suffix: the tool, and a number from `first`."""
    urls: list[str] = []
    names: list[str] = []
    for result in results:
        for url in result.result_urls:
            names.append(portable(f"{plain(result.tool_name)}-{first + len(urls)}"))
            urls.append(url)
    return urls, names


def media_in(messages: Iterable[Any], given: AvailableMedia | None = None) -> AvailableMedia:
    """Return the media that a conversation has created and uploaded: the user's images and the results of tools.

    Lists that the caller has `given` take precedence.
    """
    found = given or AvailableMedia()
    known = {name for name in ("images", "videos", "audio", "uploaded_images") if getattr(found, name)}
    for message in messages:
        if not isinstance(message, Mapping):
            continue
        if message.get("role") == "tool":
            kind, urls = _media(message.get("content"))
            if kind is not None and f"{kind}s".replace("audios", "audio") not in known:
                found.add(kind, urls)
        elif "uploaded_images" not in known:
            found.uploaded_images.extend(_images(message.get("content")))
    return found


def _media(content: Any) -> tuple[Any, list[str]]:
    """Return kind and URLs in the result of a tool that created media."""
    try:
        result = json.loads(content) if isinstance(content, str) else None
    except (ValueError, RecursionError):
        result = None
    if not isinstance(result, dict) or result.get("success") is not True or result.get("media_type") not in _KINDS:
        return None, []
    urls = result.get("urls")
    return result["media_type"], [url for url in urls if isinstance(url, str)] if isinstance(urls, list) else []


def _images(content: Any) -> list[str]:
    parts = content if isinstance(content, list) else []
    images = [part.get("image_url") for part in parts if isinstance(part, Mapping)]
    urls = [image.get("url") for image in images if isinstance(image, Mapping)]
    return [url for url in urls if isinstance(url, str)]
