"""What a model is told of a tool call: the text of a result, of a failure, of a function's value (tools §4.3).

Called by the executor and by the loop. Texts are compact JSON, as the service's own clients write them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any
from uuid import UUID

import attrs

from sogni.core.checks import invalid_value, without_gaps
from sogni.core.projects.file_names import plain, portable
from sogni.core.tools.media import Made
from sogni.errors import ValidationError
from sogni.models.base import Model
from sogni.models.chat import ChatCompletionResult
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall, ToolExecutionResult


def succeeded(call: ToolCall, content: str, urls: list[str] | None = None) -> ToolExecutionResult:
    """The result of a call that did what it should."""
    return ToolExecutionResult(
        tool_call_id=call.id, tool_name=call.function.name, success=True, result_urls=urls or [], content=content
    )


def failed(call: ToolCall, error: str) -> ToolExecutionResult:
    """The result of a call that did not; the model reads the reason."""
    return ToolExecutionResult(
        tool_call_id=call.id,
        tool_name=call.function.name,
        content=json_text({"success": False, "error": error}),
        error=error,
    )


def media_content(
    kind: str, urls: list[str], model: str, prompt: str, last_frame_urls: Sequence[str | None] = ()
) -> str:
    """What a model reads about media that were made; the keys in the order of tools §4.3.

    `last_frame_urls`: one for each job, None where it has none; not told when there is none at all.
    """
    frames = {"lastFrameUrls": list(last_frame_urls)} if any(last_frame_urls) else {}
    return json_text({"success": True, "media_type": kind, "urls": urls, **frames, "model": model, "prompt": prompt})


def value_text(value: Any) -> str:
    """What a function returned as a text: a text as it is, anything else as JSON.

    ValidationError for a value that JSON cannot carry.
    """
    if isinstance(value, str):
        return value
    try:
        return json_text(_plain(value))
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"what a tool returned cannot be written as JSON: {error}", field="content", value=type(value).__name__
        ) from error


def _plain(value: Any) -> Any:
    """A value as JSON has it; classes of the user keep the names of their fields."""
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


def reason_of(error: BaseException) -> str:
    """What went wrong in words, or at least its kind."""
    return str(error).strip() or type(error).__name__


def json_text(value: Any) -> str:
    """Compact JSON, other letters than ASCII as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


# What tools did in a conversation: decides which media it has made and what its messages say next (chat §10).
#
# Called by the loop that executes tools. It executes and sends nothing.


_KINDS = ("image", "video", "audio")


def wants_tools(result: ChatCompletionResult) -> bool:
    """Whether an answer is to be followed by the results of its calls."""
    return result.finish_reason == "tool_calls" and bool(result.tool_calls)


def turns_of(result: ChatCompletionResult, results: Sequence[ToolExecutionResult]) -> list[dict[str, Any]]:
    """The messages that tell the model of its calls and of what came of them."""
    calls = {"role": "assistant", "content": result.content or None, "tool_calls": to_dict(result.tool_calls)}
    answers = [
        {"role": "tool", "content": one.content, "tool_call_id": one.tool_call_id, "name": one.tool_name}
        for one in results
    ]
    return [calls, *answers]


def results_of(outcome: Any) -> list[ToolExecutionResult]:
    """The results of tools in one of them, in a list, or in the answer of a completion. ValidationError."""
    if isinstance(outcome, ToolExecutionResult):
        return [outcome]
    if isinstance(outcome, ChatCompletionResult):
        return [one for turn in outcome.tool_history or () for one in turn.tool_results]
    if isinstance(outcome, list | tuple):
        return [one for item in without_gaps("results", outcome) for one in results_of(item)]
    raise invalid_value(
        "results", type(outcome).__name__, "a ToolExecutionResult, a list of them, a ChatCompletionResult"
    )


def names_of(results: Iterable[ToolExecutionResult], first: int = 0) -> tuple[list[str], list[str]]:
    """Addresses of all media and the file names they get, without suffix: the tool, and a number from `first`."""
    urls: list[str] = []
    names: list[str] = []
    for one in results:
        for url in one.result_urls:
            names.append(portable(f"{plain(one.tool_name)}-{first + len(urls)}"))
            urls.append(url)
    return urls, names


def made_in(messages: Iterable[Any], made: Made | None = None) -> Made:
    """What a conversation has made and what was uploaded to it so far: images of the user, results of tools.

    With `made`, what a caller says outranks that.
    """
    found = made or Made()
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
    """Kind and addresses in the result of a tool that made media (tools §4.3)."""
    try:
        told = json.loads(content) if isinstance(content, str) else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("success") is not True or told.get("media_type") not in _KINDS:
        return None, []
    urls = told.get("urls")
    return told["media_type"], [url for url in urls if isinstance(url, str)] if isinstance(urls, list) else []


def _images(content: Any) -> list[str]:
    parts = content if isinstance(content, list) else []
    addresses = [part.get("image_url") for part in parts if isinstance(part, Mapping)]
    urls = [address.get("url") for address in addresses if isinstance(address, Mapping)]
    return [url for url in urls if isinstance(url, str)]
