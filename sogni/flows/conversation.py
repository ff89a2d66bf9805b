"""Asking within a conversation: decides what is sent along, and when an answer becomes part of the history.

Called by `Conversation` before and after a completion. An answer that does not come leaves the history as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import SogniTimeoutError
from ..models.chat import ChatCompletionResult, ChatMessage, LLMModelInfo
from ..protocol.chat_state import ChatState
from ..protocol.client_state import ClientState
from ..protocol.conversation import History
from .chat import wait_for_models
from .steps import Flow, change
from .tool_rounds import ToolRounds

MODELS_SECONDS = 2.0
"""How long a long conversation waits for the list that tells the length of contexts; a client may get none."""


def request_of(
    history: History, question: ChatMessage | None, options: Mapping[str, Any]
) -> Flow[list[dict[str, Any]]]:
    """The messages to send with a question. ValidationError, connection errors."""
    info = yield from change(lambda state, _: state.chat_models.get(history.model))
    if info is None and (yield from change(lambda *_: history.may_be_long(question))):
        info = yield from _looked_up(history.model)

    def made(_: ClientState, __: float) -> list[dict[str, Any]]:
        return history.request(question, info, options)

    return (yield from change(made))


def _looked_up(model: str) -> Flow[LLMModelInfo | None]:
    try:
        return (yield from wait_for_models(MODELS_SECONDS)).get(model)
    except SogniTimeoutError:
        return None


def keep(history: History, question: ChatMessage | None, result: ChatCompletionResult) -> Flow[None]:
    """A question was answered."""
    yield from change(lambda *_: history.keep(question, result))


def keep_when_done(history: History, question: ChatMessage | None, chat: ChatState | ToolRounds) -> Flow[None]:
    """The answer becomes part of the history when it is whole; never one that fails or that nobody reads to its end."""

    def follow(_: ClientState, __: float) -> None:
        def done(result: ChatCompletionResult) -> None:
            history.keep(question, result)

        if chat.final_result is not None:
            done(chat.final_result)
        else:
            chat.when_done = done

    yield from change(follow)
