"""What a model is told of a tool call: the text of a result, of a failure, of a function's value (tools §4.3).

Called by the executor and by the loop. Texts are compact JSON, as the service's own clients write them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any
from uuid import UUID

import attrs

from ..errors import ValidationError
from ..models.base import Model
from ..models.chat import ToolCall
from ..models.converter import to_dict
from ..models.tools import ToolExecutionResult


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
