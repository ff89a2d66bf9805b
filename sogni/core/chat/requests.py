"""Requests and responses of chat: messages, response formats, hosted calls, estimates and errors.

Roles, ranges and models are checked by the service.
"""

# Chat: chat §2, §8, §11, §14.

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from typing import Any, get_origin
from urllib.parse import quote

from attrs import field, frozen

from sogni.core.attribution import app_source_headers, check_header_override
from sogni.core.chat.state import subscription_fields
from sogni.core.checks import (
    integer,
    invalid_value,
    json_ready,
    number,
    one_of,
    refuse_unknown,
    reject_none_items,
    string_or_none,
)
from sogni.core.failures import chat_api_error
from sogni.core.http import HttpCall, get, number_text, post
from sogni.core.tools.schemas import is_data_class, own_docstring, schema_of
from sogni.errors import ApiError, ChatError, ProtocolError, SogniError
from sogni.models.chat import CompletionFields, HostedFields, LLMCostEstimation, LLMModelInfo
from sogni.models.converter import read, to_dict

DEFAULT_MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"

_UNCHANGED = (
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "stream", "repetition_penalty",
    "frequency_penalty", "presence_penalty", "stop", "tools", "tool_choice", "sogni_tool_execution", "response_format",
)  # fmt: skip
_RENAMED = {
    "token_type": "tokenType",
    "task_profile": "taskProfile",
    "safe_content_filter": "safeContentFilter",
}
FIELDS = frozenset({*CompletionFields.__annotations__, "stream"})
"""Keywords of a completion; those of `ToolFields` control local tool execution and are never sent."""

_NAMED = ("text", "images", "system", "model", "stream", "timeout")
"""Further parameters of the methods that take these keywords, so that misspelled ones are recognized."""


def check_names(options: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise TypeError for an unknown keyword, suggesting the closest known one."""
    refuse_unknown(options, known, "a chat has no parameter", also=_NAMED)


def chat_request(
    job_id: str, model: str, messages: list[Any], options: Mapping[str, Any], app_source: str | None
) -> dict[str, Any]:
    """Return the payload of `llmJobRequest`, omitting None; messages and `response_format` are in wire form."""
    given = {name: value for name, value in options.items() if value is not None}
    payload: dict[str, Any] = {"jobID": job_id, "type": "llm", "model": model, "messages": messages}
    source = given.get("app_source") or app_source
    if source:
        payload["appSource"] = source
    payload |= {name: _json(name, given[name]) for name in _UNCHANGED if name in given}
    payload |= {wire: _json(name, given[name]) for name, wire in _RENAMED.items() if name in given}
    if "sogni_tools" in given:
        payload["sogni_tools"] = tool_family(given["sogni_tools"])
    if given.get("billing_mode"):
        payload["billingMode"] = _json("billing_mode", given["billing_mode"])
    if "think" in given:
        payload["chat_template_kwargs"] = {"enable_thinking": given["think"]}
    return payload


# Documented for all models (chat §2.3); a model may narrow them or limit further parameters.
_RANGES: Mapping[str, tuple[float | None, float | None]] = {
    "max_tokens": (0, None),
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (None, None),
    "min_p": (None, None),
    "repetition_penalty": (None, None),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


def check_sampling(given: Mapping[str, Any], model: LLMModelInfo | None, prefix: str = "") -> None:
    """Raise ValidationError for a sampling parameter that is out of the range of every model, or of this one.

    `model` is what is known of the model; None if nothing is.
    """
    for name, (low, high) in _RANGES.items():
        value = given.get(name)
        if value is None:
            continue
        own = getattr(model, "max_output_tokens" if name == "max_tokens" else name, None)
        if own is not None and own.max is not None:
            high = own.max
        if own is not None and own.min is not None and name != "max_tokens":
            low = own.min
        check: Callable[..., Any] = integer if name == "max_tokens" else number
        check(f"{prefix}{name}", value, low=low, high=high)


def tool_family(value: Any) -> Any:
    """Return the current name of a tool family: `rich` is the old name of `creative-tools`."""
    rich = isinstance(value, str) and value.strip().lower() == "rich"
    return "creative-tools" if rich else value


ROLES = ("system", "user", "assistant", "tool")


def checked_messages(messages: Sequence[Any]) -> list[Any]:
    """Return messages in wire form. Raises `ValidationError` with the position of an invalid one."""
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise invalid_value("messages", type(messages).__name__, "a list of messages")
    if not messages:
        raise invalid_value("messages", messages, "a list with at least one message")
    reject_none_items("messages", messages)
    return [_message(f"messages[{index}]", message) for index, message in enumerate(messages)]


def _message(where: str, message: Any) -> Any:
    plain = _json(where, message)
    if not isinstance(plain, Mapping):
        raise invalid_value(where, message, "a ChatMessage or a mapping with its fields")
    one_of(f"{where}.role", plain.get("role"), ROLES)
    for name in ("content", "tool_calls"):
        reject_none_items(f"{where}.{name}", plain.get(name))
    return plain


def _json(where: str, value: Any) -> Any:
    """Return the JSON form of a value, which must not be a list with None. Raises `ValidationError`."""
    return reject_none_items(where, json_ready(where, value))


# Response formats: chat §2.5


_SCHEMA_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_SCHEMA_KEYS = frozenset({"properties", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "$schema"})
_ALLOWED = "an attrs class, a dataclass, a pydantic model, a JSON schema, or a response format of the OpenAI form"


@frozen
class AnswerFormat:
    """A response format: `wire` is sent (or None), `kind` is the type the answer is parsed as (or None)."""

    wire: Any = field(repr=False)
    kind: Any


def answer_format(given: Any) -> AnswerFormat:
    """Return the response format for a type, schema or dict. Raises `ValidationError` for other values."""
    if not given:
        return AnswerFormat(None, None)
    if isinstance(given, type) or get_origin(given) is not None:
        return AnswerFormat(_for_type(given), given)
    plain = given if isinstance(given, Mapping) else to_dict(given) if hasattr(given, "to_dict") else None
    if not isinstance(plain, Mapping):
        raise invalid_value("response_format", getattr(given, "__name__", type(given).__name__), _ALLOWED)
    if _is_schema(plain):
        name = plain.get("title")
        return AnswerFormat(_named(name if isinstance(name, str) and name else "answer", dict(plain)), Any)
    inner = plain.get("json_schema")
    if isinstance(inner, Mapping) and is_data_class(inner.get("schema")):
        kind = inner["schema"]
        return AnswerFormat({**plain, "json_schema": {**inner, "schema": schema_of(kind)}}, kind)
    return AnswerFormat(to_dict(plain), Any if plain.get("type") in ("json_object", "json_schema") else None)


def _for_type(kind: Any) -> dict[str, Any]:
    data_class = is_data_class(kind)
    form = _named(kind.__name__ if data_class else "answer", schema_of(kind))
    description = own_docstring(kind) if data_class else None
    if description:
        form["json_schema"]["description"] = description
    return form


def _named(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    return {"type": "json_schema", "json_schema": {"name": plain, "schema": schema, "strict": True}}


def _is_schema(given: Mapping[str, Any]) -> bool:
    """Whether a dict is a bare JSON schema; other dicts are sent unchanged and checked by the service."""
    kind = given.get("type")
    if isinstance(kind, list):
        return True
    return kind in _SCHEMA_TYPES if kind is not None else not _SCHEMA_KEYS.isdisjoint(given)


# Hosted chats: chat §11.1, §14.5


NO_TIME_LIMIT = 10_000_000.0
"""Seconds that mean no time limit, and that every socket accepts."""
HOSTED_FIELDS = frozenset(HostedFields.__annotations__)
_HOSTED_UNCHANGED = (
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty",
    "presence_penalty", "stop", "token_type", "tools", "tool_choice", "sogni_tool_execution", "task_profile",
    "media_references", "api_media_references", "chat_template_kwargs", "response_format", "safe_content_filter",
)  # fmt: skip


def hosted_chat_call(
    model: str, messages: list[Any], options: Mapping[str, Any], app_source: str | None, timeout: float | None
) -> HttpCall:
    """Return the request for a hosted chat; messages and `response_format` are in wire form."""
    given = {name: value for name, value in options.items() if value is not None}
    source = given.get("app_source") or app_source
    body: dict[str, Any] = {"model": model, "messages": messages}
    if source:
        body["app_source"] = source
    if "think" in given:
        body["chat_template_kwargs"] = {"enable_thinking": given["think"]}
    body |= {name: _json(name, given[name]) for name in _HOSTED_UNCHANGED if name in given}
    if "sogni_tools" in given:
        body["sogni_tools"] = tool_family(given["sogni_tools"])
    if given.get("billing_mode"):
        body["billingMode"] = given["billing_mode"]
    attribution = check_header_override(options.get("attribution"))
    return post(
        "/v1/chat/completions",
        body,
        headers=app_source_headers(source),
        timeout=_limit(timeout),
        operation="",
        attribution=attribution,
    )


def hosted_tool_call(
    tool: str,
    arguments: Mapping[str, Any],
    *,
    token_type: str | None,
    safe_content_filter: bool | None,
    app_source: str | None,
    timeout: float | None,
    attribution: Any = None,
) -> HttpCall:
    """Return the request to run one tool. Raises `ValidationError`."""
    if not isinstance(tool, str) or not tool.strip():
        raise invalid_value("tool", tool, "the name of a hosted tool")
    if not isinstance(arguments, Mapping):
        raise invalid_value("arguments", type(arguments).__name__, "a dict")
    body = {"tool": tool, "arguments": _json("arguments", arguments)}
    optional = {"app_source": app_source, "token_type": token_type, "safe_content_filter": safe_content_filter}
    body |= {name: value for name, value in optional.items() if value is not None}
    return post(
        "/v1/creative-agent/tools/execute",
        body,
        headers=app_source_headers(app_source),
        timeout=_limit(timeout),
        operation="",
        attribution=check_header_override(attribution),
    )


def _limit(timeout: float | None) -> float:
    """Return the time limit of the call in seconds; None means no limit, unlike in other calls."""
    return NO_TIME_LIMIT if timeout is None else timeout


# Estimates: chat §8. Input tokens are estimated by a formula that all clients share, not by a tokenizer.


DEFAULT_OUTPUT_TOKENS = 4096
CHARACTERS_PER_TOKEN = 4
COMPLEX_PROFILES = frozenset({"coding", "reasoning"})
_PATH_SAFE = "-_.!~*'()"


def input_tokens(messages: list[Any]) -> int:
    """Return a quarter of the UTF-16 length of the messages' compact JSON, without image URLs."""
    return math.ceil(text_length(messages) / CHARACTERS_PER_TOKEN)


def text_length(value: Any) -> int:
    """Return the UTF-16 length of the compact JSON of one or all messages, without image URLs."""
    text = json.dumps(_counted(value), ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _counted(value: Any) -> Any:
    if isinstance(value, list):
        return [_counted(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, Mapping):
        return value
    image = value.get("image_url")
    if value.get("type") == "image_url" and isinstance(image, Mapping):
        detail = {"detail": image["detail"]} if image.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": "[image]", **detail}}
    return {key: _counted(item) for key, item in value.items()}


def output_tokens(
    max_tokens: float | None, info: LLMModelInfo | None, *, think: bool | None, task_profile: str | None
) -> float:
    """Return `max_tokens` if finite, otherwise the model's limit, otherwise the service's."""
    if isinstance(max_tokens, Real) and not isinstance(max_tokens, bool) and math.isfinite(max_tokens):
        return max_tokens
    limits = info.max_output_tokens if info is not None else None
    if limits is None:
        return DEFAULT_OUTPUT_TOKENS
    if think is True and task_profile in COMPLEX_PROFILES and limits.thinking_complex_default is not None:
        return limits.thinking_complex_default
    return DEFAULT_OUTPUT_TOKENS if limits.default is None else limits.default


def chat_estimate_call(model: str, tokens_in: int, tokens_out: float, token_type: str) -> HttpCall:
    """Return the estimate request."""
    segments = [token_type, model, str(tokens_in), number_text(tokens_out)]
    path = "/".join(quote(segment, safe=_PATH_SAFE, errors="surrogatepass") for segment in segments)
    return get(f"/api/v1/job-llm/estimate/{path}", host="socket")


def read_chat_estimate(data: Any) -> LLMCostEstimation:
    """Return the estimate in a response. Raises `ProtocolError` if it is malformed."""
    quoted = data.get("quote") if isinstance(data, Mapping) else None
    if not isinstance(quoted, Mapping):
        raise ProtocolError("the estimate contains no quote")
    return read(LLMCostEstimation, quoted, "the estimate")


# Errors: chat §14.4


def as_chat_error(error: SogniError) -> SogniError:
    """Return the error as a `ChatError` too if its body has one of the two known forms; otherwise unchanged."""
    found = _error_fields(error.payload) if isinstance(error, ApiError) and isinstance(error.payload, Mapping) else None
    if found is None or not isinstance(error, ApiError):
        return error
    return chat_api_error(error, ChatError(error.message, **found))


def _error_fields(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a `ChatError` from either form of a body; None if it has neither."""
    inner = payload.get("error")
    if isinstance(inner, Mapping):
        given = inner.get("subscription")
        about = subscription_fields(given if isinstance(given, Mapping) else {})
        code, tag = string_or_none(inner.get("code")), string_or_none(inner.get("type"))
        known = code is not None or tag is not None
    else:
        about = subscription_fields(payload)
        code, tag = string_or_none(payload.get("error_code")), string_or_none(inner)
        known = code is not None or (tag is not None and string_or_none(payload.get("error_message")) is not None)
    if not known and not about["subscription_limit"]:
        return None
    return {"code": code, "error_type": tag, **about}
