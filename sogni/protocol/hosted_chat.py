"""Hosted chats over REST: decides what is asked of them (chat §11.1, §14.5).

Called by the flows of `client.chat.hosted`. Values are left to the service, which knows its models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.chat_options import HostedFields
from .app_source import app_source_headers
from .chat_request import carried, tool_family
from .field_checks import refusal
from .http import HttpCall, post

FOR_EVER = 10_000_000.0
"""Seconds that no socket refuses as too many, and nobody waits."""
FIELDS = frozenset(HostedFields.__annotations__)
_AS_GIVEN = (
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty",
    "presence_penalty", "stop", "token_type", "tools", "tool_choice", "sogni_tool_execution", "task_profile",
    "media_references", "api_media_references", "chat_template_kwargs", "response_format", "safe_content_filter",
)  # fmt: skip


def hosted_chat_call(
    model: str, messages: list[Any], options: Mapping[str, Any], app_source: str | None, timeout: float | None
) -> HttpCall:
    """The request for an answer; messages and `response_format` are in wire form already."""
    given = {name: value for name, value in options.items() if value is not None}
    source = given.get("app_source") or app_source
    body: dict[str, Any] = {"model": model, "messages": messages}
    if source:
        body["app_source"] = source
    if "think" in given:
        body["chat_template_kwargs"] = {"enable_thinking": given["think"]}
    body |= {name: carried(name, given[name]) for name in _AS_GIVEN if name in given}
    if "sogni_tools" in given:
        body["sogni_tools"] = tool_family(given["sogni_tools"])
    if given.get("billing_mode"):
        body["billingMode"] = given["billing_mode"]
    return post("/v1/chat/completions", body, headers=app_source_headers(source), timeout=_limit(timeout), operation="")


def hosted_tool_call(
    tool: str,
    arguments: Mapping[str, Any],
    *,
    token_type: str | None,
    safe_content_filter: bool | None,
    app_source: str | None,
    timeout: float | None,
) -> HttpCall:
    """The request to run one tool. ValidationError."""
    if not isinstance(tool, str) or not tool.strip():
        raise refusal("tool", tool, "the name of a hosted tool")
    if not isinstance(arguments, Mapping):
        raise refusal("arguments", type(arguments).__name__, "a dict")
    body = {"tool": tool, "arguments": carried("arguments", arguments)}
    optional = {"app_source": app_source, "token_type": token_type, "safe_content_filter": safe_content_filter}
    body |= {name: value for name, value in optional.items() if value is not None}
    headers = app_source_headers(app_source)
    return post("/v1/creative-agent/tools/execute", body, headers=headers, timeout=_limit(timeout), operation="")


def _limit(timeout: float | None) -> float:
    """Seconds for the whole call; None in a call would mean those of any other request."""
    return FOR_EVER if timeout is None else timeout
