"""The history of a conversation: the messages to send with a question, and adding answers.

One `History` per `Conversation`, changed under the state lock. A failed answer leaves the history unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from sogni.core.chat.flows import wait_for_models
from sogni.core.chat.requests import CHARACTERS_PER_TOKEN, output_tokens, text_length
from sogni.core.chat.state import ChatState
from sogni.core.chat.tool_rounds import ToolRounds
from sogni.core.checks import invalid_value
from sogni.core.flow import Flow, State, change
from sogni.errors import SogniTimeoutError, ValidationError
from sogni.models.answers import without_thinking
from sogni.models.chat import ChatCompletionResult, ChatMessage, ConversationRecord, LLMModelInfo, TextPart
from sogni.models.converter import from_dict, to_dict

SMALLEST_CONTEXT = 8192
"""Tokens that every model accepts; beyond them, the model's context length matters."""


class History:
    """The messages of a conversation; `messages` excludes the system message."""

    def __init__(self, model: str, system: str | None) -> None:
        self.model: str = model
        self.system = system
        self.messages: list[ChatMessage] = []

    def may_be_long(self, question: ChatMessage | None) -> bool:
        """Whether the conversation may exceed the model's context."""
        return text_length(self._all(question)) > SMALLEST_CONTEXT * CHARACTERS_PER_TOKEN / 2

    def request(
        self, question: ChatMessage | None, info: LLMModelInfo | None, options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the messages to send: the system message and as many of the last turns as fit.

        A turn is a question with everything that belongs to its answer, so that tool calls keep their results.
        """
        if question is None and not self.messages:
            raise ValidationError(
                "text is required for the first message", field="text", value=None, allowed="a string"
            )
        groups = _turns(self._all(question))
        available = _available_characters(info, options)
        lengths = [sum(text_length(message) + 1 for message in turn) for turn in groups]
        while len(groups) > 1 and sum(lengths) + 1 > available:
            system = [message for message in groups[0] if message["role"] == "system"]
            groups[1:2] = [system + groups[1]]
            lengths[1] += sum(text_length(message) + 1 for message in system)
            del groups[0], lengths[0]
        return [message for turn in groups for message in turn]

    def _all(self, question: ChatMessage | None) -> list[dict[str, Any]]:
        system = [ChatMessage(role="system", content=self.system)] if self.system else []
        new = [question] if question is not None else []
        return [to_dict(message) for message in (*system, *self.messages, *new)]

    def add_answer(self, question: ChatMessage | None, result: ChatCompletionResult) -> None:
        """Add a question and its answer, with the tool calls in between."""
        new = [question] if question is not None else []
        self.messages += [*new, *_rounds(result), _answer(result)]

    def add(self, message: ChatMessage | Mapping[str, Any]) -> None:
        """Add a message from elsewhere: the result of a tool or an earlier turn."""
        self.messages.append(message if isinstance(message, ChatMessage) else from_dict(ChatMessage, message))

    def clear(self) -> None:
        """Discard all messages except the system message."""
        self.messages.clear()

    def record(self) -> ConversationRecord:
        """Return the conversation as data."""
        return ConversationRecord(model=self.model, system=self.system, messages=list(self.messages))

    def restore(self, data: Any) -> None:
        """Restore a saved conversation. Raises `ProtocolError` if it is malformed."""
        record = data if isinstance(data, ConversationRecord) else from_dict(ConversationRecord, data)
        self.model, self.system, self.messages = record.model, record.system, list(record.messages)


def question_of(text: str | None, images: Sequence[Any]) -> ChatMessage | None:
    """Return the user's message, None if there is nothing new. Raises `ValidationError`."""
    if text is not None and not isinstance(text, str):
        raise invalid_value("text", type(text).__name__, "a string or None")
    if not images:
        return None if text is None else ChatMessage(role="user", content=text)
    parts = [*([TextPart(text=text)] if text is not None else []), *images]
    return ChatMessage(role="user", content=parts)


def _available_characters(info: LLMModelInfo | None, options: Mapping[str, Any]) -> float:
    """Return how many characters the model's context leaves for the request; infinite for an unknown model."""
    if info is None or info.max_context_length is None:
        return math.inf
    context = info.max_context_length
    answer = output_tokens(
        options.get("max_tokens"), info, think=options.get("think"), task_profile=options.get("task_profile")
    )
    return (context - min(answer, context / 2)) * CHARACTERS_PER_TOKEN


def _turns(messages: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    turns: list[list[dict[str, Any]]] = [[]]
    for message in messages:
        if message["role"] == "user" and any(other["role"] != "system" for other in turns[-1]):
            turns.append([])
        turns[-1].append(message)
    return turns


def _answer(result: ChatCompletionResult) -> ChatMessage:
    """Return an answer as part of the next request: the model's reasoning is not sent back."""
    text = without_thinking(result.content)
    return attrs.evolve(result.message, content=None if not text and result.tool_calls else text)


def _rounds(result: ChatCompletionResult) -> list[ChatMessage]:
    """Return the tool calls executed on the way to an answer, each round with its results."""
    messages: list[ChatMessage] = []
    for tool_round in result.tool_history or ():
        messages.append(ChatMessage(role="assistant", tool_calls=list(tool_round.tool_calls)))
        messages += [
            ChatMessage(role="tool", content=it.content, tool_call_id=it.tool_call_id, name=it.tool_name)
            for it in tool_round.tool_results
        ]
    return messages


# Flows


MODELS_SECONDS = 2.0
"""How many seconds a long conversation waits for the model list, which may never arrive."""


def messages_for(
    history: History, question: ChatMessage | None, options: Mapping[str, Any]
) -> Flow[list[dict[str, Any]]]:
    """Return the messages to send with a question. Raises `ValidationError` or connection errors."""
    info = yield from change(lambda state, _: state.chats.models.get(history.model))
    if info is None and (yield from change(lambda *_: history.may_be_long(question))):
        info = yield from _model_info(history.model)

    return (yield from change(lambda *_: history.request(question, info, options)))


def _model_info(model: str) -> Flow[LLMModelInfo | None]:
    try:
        return (yield from wait_for_models(MODELS_SECONDS)).get(model)
    except SogniTimeoutError:
        return None


def add_answer(history: History, question: ChatMessage | None, result: ChatCompletionResult) -> Flow[None]:
    """Add a question and its answer to the history."""
    yield from change(lambda *_: history.add_answer(question, result))


def add_answer_when_done(history: History, question: ChatMessage | None, chat: ChatState | ToolRounds) -> Flow[None]:
    """Add the answer once it is complete; never one that fails or is not read to its end."""

    def follow(_: State, __: float) -> None:
        def done(result: ChatCompletionResult) -> None:
            history.add_answer(question, result)

        if chat.final_result is not None:
            done(chat.final_result)
        else:
            chat.when_done = done

    yield from change(follow)
