"""Chat completions over the socket, and hosted chats and tools over REST.

A completion is registered before its frame is written, so that no token is lost. Hosted requests are never retried,
because a second answer would be charged.
"""

# Chat: chat §2, §5, §11, §14.5.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from sogni.core import tracing
from sogni.core.attribution import check_header_override, check_override, workload
from sogni.core.chat.images import prepared
from sogni.core.chat.requests import (
    FIELDS,
    HOSTED_FIELDS,
    answer_format,
    as_chat_error,
    chat_estimate_call,
    chat_request,
    check_names,
    check_sampling,
    hosted_chat_call,
    hosted_tool_call,
    input_tokens,
    output_tokens,
    read_chat_estimate,
)
from sogni.core.chat.state import CHAT_MODELS, ChatState
from sogni.core.checks import invalid_value
from sogni.core.connection.flows import send_frame
from sogni.core.failures import unsent_chat_error
from sogni.core.flow import Flow, State, catch_up, change, connect, new_id, until
from sogni.core.http import error_of, json_of
from sogni.core.outbox import CONNECTION
from sogni.core.requests import get_json, get_unwrapped_json, request
from sogni.core.time_limit import limited
from sogni.core.tools.functions import tools_given
from sogni.core.tracing import Trace
from sogni.errors import ConnectionRejectedError, SogniConnectionError, SogniTimeoutError
from sogni.models.chat import (
    ChatCompletionChunk,
    ChatCompletionResult,
    HostedChatChoice,
    HostedChatCompletionResult,
    HostedToolExecution,
    LLMCostEstimation,
    LLMModelInfo,
)
from sogni.models.converter import read
from sogni.settings import check_seconds

R = TypeVar("R")


def wait_for_models(timeout: float | None) -> Flow[dict[str, LLMModelInfo]]:
    """Wait for language models. Raises `SogniTimeoutError`."""
    timeout = check_seconds("timeout", timeout)
    yield from change(lambda state, _: state.check_may_connect())
    yield from connect()

    def found(state: State) -> dict[str, LLMModelInfo] | None:
        if not state.chats.models and state.connection.phase == "ended":
            raise state.why_closed()
        return dict(state.chats.models) or None

    return (
        yield from until(
            (CHAT_MODELS, CONNECTION),
            found,
            timeout=timeout,
            phase="ready",
            waiting_for="a language model with workers",
        )
    )


def begin_completion(model: str, messages: Sequence[Any], options: Mapping[str, Any]) -> Flow[ChatState]:
    """Send a completion request; returns its state once the frame is written.

    Raises `TypeError` for an unknown keyword, `ValidationError` for invalid values, `ChatError` `transport_lost` if the
    frame could not be written, and the credentials' error if the service rejects them.
    """
    check_names(options, FIELDS)
    observer = tracing.observer
    if observer is None:
        return (yield from _begin(model, messages, options, None))
    trace = observer.chat(model, messages, options)
    return (yield from tracing.traced(trace, _begin(model, messages, options, trace)))


def _begin(model: str, messages: Sequence[Any], options: Mapping[str, Any], trace: Trace | None) -> Flow[ChatState]:
    form = answer_format(options.get("response_format"))
    tools, _ = tools_given(options.get("tools"))
    attribution = check_override(options.get("attribution"))
    plain = yield from prepared(messages)
    yield from change(lambda state, _: state.check_may_connect())
    job_id = yield from new_id()

    def register(state: State, _: float) -> tuple[dict[str, ChatState], ChatState, dict[str, Any]]:
        given = state.settings.with_token({**options, "response_format": form.wire, "tools": tools})
        check_sampling(given, state.chats.models.get(model))
        payload = chat_request(job_id, model, plain, given, state.settings.app_source)
        payload |= workload(state.settings.attribution, attribution, job_id)
        chat = ChatState(job_id, state.out, form.kind)
        chat.being_sent = True
        chat.trace = trace
        state.chats.by_id[job_id] = chat
        return state.chats.by_id, chat, payload

    chats, chat, payload = yield from change(register)
    try:
        yield from _send(chat, payload)
    except BaseException:
        # Direct access: this also runs when the wait was interrupted, where a flow must not yield.
        chats.pop(job_id, None)
        raise
    finally:
        chat.being_sent = False
    return chat


def _send(chat: ChatState, payload: dict[str, Any]) -> Flow[None]:
    def sending(state: State, _: float) -> None:
        # A connection lost before sending does not concern this request.
        chat.lost_at = None

    try:
        yield from send_frame("llmJobRequest", payload, sending)
    except ConnectionRejectedError:
        raise
    except (SogniConnectionError, SogniTimeoutError) as error:
        raise unsent_chat_error(error, chat.id) from error


def next_chunks(chat: ChatState, timeout: float | None = None) -> Flow[list[ChatCompletionChunk]]:
    """Return all chunks that have arrived, waiting for the first; empty at the end. Errors follow the last chunk."""

    def found(_: State) -> list[ChatCompletionChunk] | None:
        if chat.chunks:
            return chat.take()
        return [] if chat.done else None

    chunks = yield from until((chat,), found, timeout=timeout, phase="run", waiting_for=f"a response (job {chat.id})")
    if not chunks:
        _raise_failure(chat)
    return chunks


def complete_answer(chat: ChatState, timeout: float | None) -> Flow[ChatCompletionResult]:
    """Return the complete answer. Raises `ChatError`, or `SogniTimeoutError`, after which it can be called again."""
    yield from until(
        (chat,),
        lambda _: True if chat.done else None,
        timeout=timeout,
        phase="run",
        waiting_for=f"the response to chat job {chat.id}",
    )
    _raise_failure(chat)
    result = chat.final_result
    assert result is not None
    return result


def forget_on_timeout(waiting: Flow[R], job_id: Callable[[], str]) -> Flow[R]:
    """Wait; drop the job after a timeout, because no caller can reach it anymore."""
    try:
        return (yield from waiting)
    except SogniTimeoutError as error:
        chat = yield from change(lambda state, _: state.chats.by_id.pop(job_id(), None))
        if chat is not None and chat.trace is not None:
            chat.trace.failed(error)
        raise error


def _raise_failure(chat: ChatState) -> None:
    error = chat.error()
    if error is not None:
        raise error


def complete(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None
) -> Flow[ChatCompletionResult]:
    """Send a request and wait for the complete answer; `timeout` includes connecting."""
    return (yield from limited(_complete(model, messages, options), timeout))


def _complete(model: str, messages: Sequence[Any], options: Mapping[str, Any]) -> Flow[ChatCompletionResult]:
    chat = yield from begin_completion(model, messages, options)
    return (yield from forget_on_timeout(complete_answer(chat, None), lambda: chat.id))


def estimate_completion(
    model: str,
    messages: Sequence[Any],
    *,
    max_tokens: float | None,
    token_type: str | None,
    think: bool | None,
    task_profile: str | None,
) -> Flow[LLMCostEstimation]:
    """Estimate the cost of a completion."""
    tokens_in = input_tokens((yield from prepared(messages)))
    yield from catch_up()
    info, settings = yield from change(lambda state, _: (state.chats.models.get(model), state.settings))
    tokens_out = output_tokens(max_tokens, info, think=think, task_profile=task_profile)
    call = chat_estimate_call(model, tokens_in, tokens_out, token_type or settings.token_type or "sogni")
    return read_chat_estimate((yield from get_json(call)))


# Hosted chats and tools


_STREAM = "stream is not available for hosted chats; use completions.create(stream=True)"


def hosted_completion(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], stream: Any, timeout: float | None
) -> Flow[HostedChatCompletionResult]:
    """Send a hosted chat and return the complete answer. Raises an `ApiError` that is also a `ChatError`."""
    check_names(options, HOSTED_FIELDS)
    check_header_override(options.get("attribution"))
    if stream:
        raise invalid_value("stream", stream, (False, None), _STREAM)
    timeout = check_seconds("timeout", timeout)
    flow = _completion(model, messages, options, timeout)
    if (observer := tracing.observer) is not None:
        flow = _ending(observer.chat(model, messages, options), flow)
    return (yield from limited(flow, timeout))


def _ending(trace: Trace, flow: Flow[R]) -> Flow[R]:
    """Run a flow that is a whole operation."""
    outcome = yield from tracing.traced(trace, flow)
    trace.end(outcome)
    return outcome


def _completion(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None
) -> Flow[HostedChatCompletionResult]:
    form = answer_format(options.get("response_format"))
    tools, _ = tools_given(options.get("tools"))
    plain = yield from prepared(messages)
    settings, info = yield from change(lambda state, _: (state.settings, state.chats.models.get(model)))
    given = settings.with_token({**options, "response_format": form.wire, "tools": tools})
    check_sampling(given, info)
    call = hosted_chat_call(model, plain, given, settings.app_source, timeout)
    reply = yield from request(call)
    if not reply.ok:
        raise as_chat_error(error_of(call, reply))
    body = json_of(call, reply)
    wrapped = body.get("data") if isinstance(body, Mapping) and "choices" not in body else None
    found = read(HostedChatCompletionResult, wrapped if wrapped is not None else body, "the hosted answer")
    # Malformed extra fields are kept in `extra`; malformed choices raise an error.
    read(list[HostedChatChoice], found.extra.get("choices", []), "the choices of the hosted answer")
    return attrs.evolve(found, answer_type=form.kind)


def run_hosted_tool(
    tool: str, arguments: Mapping[str, Any], timeout: float | None, app_source: str | None, **options: Any
) -> Flow[HostedToolExecution]:
    """Run one tool in the service."""
    timeout = check_seconds("timeout", timeout)
    settings = yield from change(lambda state, _: state.settings)
    source = app_source or settings.app_source
    call = hosted_tool_call(tool, arguments, app_source=source, timeout=timeout, **settings.with_token(options))
    flow = get_unwrapped_json(HostedToolExecution, call)
    if (observer := tracing.observer) is not None:
        flow = _ending(observer.tool(tool), flow)
    return (yield from limited(flow, timeout))
