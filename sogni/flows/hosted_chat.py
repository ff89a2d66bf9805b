"""Hosted chats and tools over REST: decides the order of checking, asking and reading (chat §11, §14.5).

Called by `client.chat.hosted`. Nothing is asked twice by itself: a second answer would be billed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ..models.converter import read
from ..models.hosted_chat import HostedChatChoice, HostedChatCompletionResult, HostedToolExecution
from ..protocol.answer_format import answer_format
from ..protocol.chat_refusals import as_chat_error
from ..protocol.chat_request import check_names
from ..protocol.field_checks import refusal
from ..protocol.hosted_chat import FIELDS, hosted_chat_call, hosted_tool_call
from ..protocol.http import error_of, json_of
from ..protocol.tool_functions import tools_given
from ..settings import check_seconds
from .messages import prepared
from .requests import ask_bare, request
from .steps import Flow, change
from .time_limit import limited

_STREAM = "stream is not possible with hosted chats; completions.create(stream=True) streams"


def hosted_completion(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], stream: Any, timeout: float | None
) -> Flow[HostedChatCompletionResult]:
    """Ask and read the whole answer. TypeError, ValidationError, ApiError (also ChatError), connection errors."""
    check_names(options, FIELDS)
    if stream:
        raise refusal("stream", stream, (False, None), _STREAM)
    timeout = check_seconds("timeout", timeout)
    return (yield from limited(_completion(model, messages, options, timeout), timeout))


def _completion(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None
) -> Flow[HostedChatCompletionResult]:
    form = answer_format(options.get("response_format"))
    tools, _ = tools_given(options.get("tools"))
    plain = yield from prepared(messages)
    source = yield from change(lambda state, _: state.settings.app_source)
    call = hosted_chat_call(model, plain, {**options, "response_format": form.wire, "tools": tools}, source, timeout)
    reply = yield from request(call)
    if not reply.ok:
        raise as_chat_error(error_of(call, reply))
    body = json_of(call, reply)
    wrapped = body.get("data") if isinstance(body, Mapping) and "choices" not in body else None
    found = read(HostedChatCompletionResult, wrapped if wrapped is not None else body, "the hosted answer")
    # Odd facts beside an answer are kept in `extra`; an answer that cannot be read is none.
    read(list[HostedChatChoice], found.extra.get("choices", []), "the choices of the hosted answer")
    return attrs.evolve(found, answer_type=form.kind)


def run_hosted_tool(
    tool: str, arguments: Mapping[str, Any], timeout: float | None, app_source: str | None, **options: Any
) -> Flow[HostedToolExecution]:
    """Have the service run one tool. ValidationError, ApiError, connection errors."""
    timeout = check_seconds("timeout", timeout)
    source = app_source or (yield from change(lambda state, _: state.settings.app_source))
    call = hosted_tool_call(tool, arguments, app_source=source, timeout=timeout, **options)
    return (yield from limited(ask_bare(HostedToolExecution, call), timeout))
