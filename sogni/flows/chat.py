"""Chat completions over the socket: decides the order of checking, sending and reading (chat §2, §5).

Called by `client.chat`. A completion is registered before its frame is written, so that no token is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import ConnectionRejectedError, SogniConnectionError, SogniTimeoutError
from ..models.chat import ChatCompletionChunk, ChatCompletionResult, LLMCostEstimation, LLMModelInfo
from ..protocol.answer_format import answer_format
from ..protocol.attribution import workload
from ..protocol.chat_estimate import chat_estimate_call, input_tokens, output_tokens, read_chat_estimate
from ..protocol.chat_request import FIELDS, chat_request, check_names
from ..protocol.chat_state import ChatState
from ..protocol.client_state import CHAT_MODELS, CONNECTION, ClientState
from ..protocol.failures import unsent_chat_error
from ..protocol.tool_functions import tools_given
from ..settings import check_seconds
from .messages import prepared
from .requests import ask
from .sending import send_frame
from .steps import Flow, catch_up, change, connect, new_id, until
from .time_limit import limited

R = TypeVar("R")


def wait_for_models(timeout: float | None) -> Flow[dict[str, LLMModelInfo]]:
    """The language models as soon as there are any. SogniTimeoutError."""
    timeout = check_seconds("timeout", timeout)
    yield from change(lambda state, _: state.check_may_connect())
    yield from connect()

    def found(state: ClientState) -> dict[str, LLMModelInfo] | None:
        if not state.chat_models and state.connection.phase == "ended":
            raise state.why_closed()
        return dict(state.chat_models) or None

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

    TypeError for an unknown keyword, ValidationError for what cannot be sent, ChatError `transport_lost` when the
    frame could not be written, the error of the credentials when the service refuses them.
    """
    check_names(options, FIELDS)
    form = answer_format(options.get("response_format"))
    tools, _ = tools_given(options.get("tools"))
    plain = yield from prepared(messages)
    yield from change(lambda state, _: state.check_may_connect())
    job_id = yield from new_id()

    def register(state: ClientState, _: float) -> tuple[dict[str, ChatState], ChatState, dict[str, Any]]:
        given = {**options, "response_format": form.wire, "tools": tools}
        payload = chat_request(job_id, model, plain, given, state.settings.app_source)
        payload |= workload(state.settings.attribution, None, job_id)
        chat = ChatState(job_id, state.out, form.kind)
        chat.being_sent = True
        state.chats[job_id] = chat
        return state.chats, chat, payload

    chats, chat, payload = yield from change(register)
    try:
        yield from _send(chat, payload)
    except BaseException:
        # Not through a step: this also runs when the wait was interrupted, where a flow must not yield.
        chats.pop(job_id, None)
        raise
    finally:
        chat.being_sent = False
    return chat


def _send(chat: ChatState, payload: dict[str, Any]) -> Flow[None]:
    def sending(state: ClientState, _: float) -> None:
        # What was lost before concerns no request that had not been sent.
        chat.lost_at = None

    try:
        yield from send_frame("llmJobRequest", payload, sending)
    except ConnectionRejectedError:
        raise
    except (SogniConnectionError, SogniTimeoutError) as error:
        raise unsent_chat_error(error, chat.id) from error


def next_chunks(chat: ChatState, timeout: float | None = None) -> Flow[list[ChatCompletionChunk]]:
    """All chunks that have arrived, waiting for the first; empty at the end. ChatError after the last."""

    def found(_: ClientState) -> list[ChatCompletionChunk] | None:
        if chat.chunks:
            return chat.take()
        return [] if chat.done else None

    chunks = yield from until((chat,), found, timeout=timeout, phase="run", waiting_for=f"an answer (job {chat.id})")
    if not chunks:
        _raise_failure(chat)
    return chunks


def whole_answer(chat: ChatState, timeout: float | None) -> Flow[ChatCompletionResult]:
    """The finished answer. ChatError; SogniTimeoutError, after which it can be waited for again."""
    yield from until(
        (chat,),
        lambda _: True if chat.done else None,
        timeout=timeout,
        phase="run",
        waiting_for=f"the answer of chat job {chat.id}",
    )
    _raise_failure(chat)
    result = chat.final_result
    assert result is not None
    return result


def forgotten_when_late(waiting: Flow[R], job_id: Callable[[], str]) -> Flow[R]:
    """Wait; a job whose answer does not come in time is forgotten here, as nobody can ask for it (chat §5)."""
    try:
        return (yield from waiting)
    except SogniTimeoutError as error:
        yield from change(lambda state, _: state.chats.pop(job_id(), None))
        raise error


def _raise_failure(chat: ChatState) -> None:
    error = chat.error()
    if error is not None:
        raise error


def complete(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None
) -> Flow[ChatCompletionResult]:
    """Send a request and wait for the whole answer; `timeout` is for everything, connecting included."""
    return (yield from limited(_complete(model, messages, options), timeout))


def _complete(model: str, messages: Sequence[Any], options: Mapping[str, Any]) -> Flow[ChatCompletionResult]:
    chat = yield from begin_completion(model, messages, options)
    return (yield from forgotten_when_late(whole_answer(chat, None), lambda: chat.id))


def estimate_completion(
    model: str,
    messages: Sequence[Any],
    *,
    max_tokens: float | None,
    token_type: str | None,
    think: bool | None,
    task_profile: str | None,
) -> Flow[LLMCostEstimation]:
    """What a completion would cost."""
    counted = input_tokens((yield from prepared(messages)))
    yield from catch_up()
    info = yield from change(lambda state, _: state.chat_models.get(model))
    wanted = output_tokens(max_tokens, info, think=think, task_profile=task_profile)
    return read_chat_estimate((yield from ask(chat_estimate_call(model, counted, wanted, token_type or "sogni"))))
