"""What tools did in a conversation: decides which media it has made and what its messages say next (chat §10).

Called by the loop that executes tools. It executes and sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..models.chat import ChatCompletionResult
from ..models.converter import to_dict
from ..models.tools import ToolExecutionResult
from .field_checks import refusal, without_gaps
from .file_names import plain, portable
from .tool_media import Made

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
    raise refusal("results", type(outcome).__name__, "a ToolExecutionResult, a list of them, a ChatCompletionResult")


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
