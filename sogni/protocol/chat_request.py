"""Chat requests: decides what an `llmJobRequest` holds (chat §2).

Called by the chat flows. Roles, ranges and models are left to the service, which knows them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import ValidationError
from ..models.chat_options import CompletionFields
from ..models.converter import to_dict
from .field_checks import without_gaps
from .suggestions import did_you_mean

DEFAULT_MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"

_AS_GIVEN = (
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "stream", "repetition_penalty",
    "frequency_penalty", "presence_penalty", "stop", "tools", "tool_choice", "sogni_tool_execution", "response_format",
)  # fmt: skip
_RENAMED = {
    "token_type": "tokenType",
    "task_profile": "taskProfile",
    "safe_content_filter": "safeContentFilter",
}
FIELDS = frozenset({*CompletionFields.__annotations__, "stream"})
"""Keywords of a completion; those of `ToolFields` are for the loop that executes tools, and never sent."""


def check_names(options: Mapping[str, Any], known: Collection[str]) -> None:
    """TypeError for a keyword nobody knows, with the one that may have been meant."""
    for name in options:
        if name not in known:
            raise TypeError(f"no parameter {name!r}{did_you_mean(name, sorted(known))}")


def chat_request(
    job_id: str, model: str, messages: list[Any], options: Mapping[str, Any], app_source: str | None
) -> dict[str, Any]:
    """The payload of `llmJobRequest`; what is None is left out. Messages and `response_format` are in wire form."""
    given = {name: value for name, value in options.items() if value is not None}
    payload: dict[str, Any] = {"jobID": job_id, "type": "llm", "model": model, "messages": messages}
    source = given.get("app_source") or app_source
    if source:
        payload["appSource"] = source
    payload |= {name: carried(name, given[name]) for name in _AS_GIVEN if name in given}
    payload |= {wire: carried(name, given[name]) for name, wire in _RENAMED.items() if name in given}
    if "sogni_tools" in given:
        payload["sogni_tools"] = tool_family(given["sogni_tools"])
    if given.get("billing_mode"):
        payload["billingMode"] = carried("billing_mode", given["billing_mode"])
    if "think" in given:
        payload["chat_template_kwargs"] = {"enable_thinking": given["think"]}
    return payload


def tool_family(value: Any) -> Any:
    """`rich` is the old name of `creative-tools` (chat §2.7)."""
    rich = isinstance(value, str) and value.strip().lower() == "rich"
    return "creative-tools" if rich else value


def checked_messages(messages: Sequence[Any]) -> list[Any]:
    """Messages as they travel. ValidationError names the message that cannot."""
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise ValidationError(
            f"messages must be a list of messages, not {type(messages).__name__}",
            field="messages",
            value=type(messages).__name__,
            allowed="a list of dicts with role and content",
        )
    without_gaps("messages", messages)
    return [_message(f"messages[{place}]", message) for place, message in enumerate(messages)]


def _message(where: str, message: Any) -> Any:
    plain = carried(where, message)
    if isinstance(plain, Mapping):
        for name in ("content", "tool_calls"):
            without_gaps(f"{where}.{name}", plain.get(name))
    return plain


def carried(where: str, value: Any) -> Any:
    """A value in wire form. ValidationError when JSON cannot carry it; `where` names it."""
    try:
        plain = to_dict(value)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(
            f"{where} cannot be written as JSON: {error}",
            field=where,
            value=type(value).__name__,
            allowed="JSON values",
        ) from error
    return without_gaps(where, plain)
