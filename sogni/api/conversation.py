# Generated from sogni_async/api/conversation.py by tools/unasync.py. Do not edit.
"""Conversations with a language model: questions, answers and their history."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack, overload

from sogni.api.streams import ChatStream
from sogni.base import with_fields
from sogni.core.chat.conversation import History, add_answer, add_answer_when_done, messages_for, question_of
from sogni.core.flow import compute
from sogni.keywords import suggest_keywords
from sogni.local.chat_files import image_parts, read_conversation, write_conversation
from sogni.models.chat import ChatCompletionResult, ChatMessage, CompletionFields
from sogni.models.converter import to_dict
from sogni.transport.engine import Engine


@suggest_keywords
class Conversation:
    """A conversation with a language model; created by `client.chat.conversation`.

    Each question is sent with as many previous messages as fit into the context of the model. The oldest turns are
    omitted first; the system message is always sent. The reasoning of the model is not sent back.
    """

    def __init__(self, engine: Engine, completions: Any, history: History, options: Mapping[str, Any]) -> None:
        self._engine = engine
        self._completions = completions
        self._history = history
        self._options = dict(options)

    @property
    def model(self) -> str:
        """ID of the model."""
        return self._history.model

    @property
    def system(self) -> str | None:
        """The system message; None if there is none."""
        return self._history.system

    @property
    def messages(self) -> list[ChatMessage]:
        """All messages, oldest first, without the system message."""
        return list(self._history.messages)

    @overload
    def ask(
        self,
        text: str | None = ...,
        *,
        images: Any = ...,
        stream: Literal[True],
        timeout: float | None = ...,
        **options: Unpack[CompletionFields],
    ) -> ChatStream: ...
    @overload
    def ask(
        self,
        text: str | None = ...,
        *,
        images: Any = ...,
        stream: Literal[False] | None = ...,
        timeout: float | None = ...,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult: ...
    @with_fields(CompletionFields)
    def ask(
        self,
        text: str | None = None,
        *,
        images: Any = None,
        stream: bool | None = None,
        timeout: float | None = 300,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult | ChatStream:
        """Ask the next question.

        Question and answer are added to the history together, once the answer is complete. If it fails, or its stream
        is closed early, the history does not change.

        Args:
            text: The question. If None, the model continues from the last message.
            images: An image or a list of images, in any form that `sogni.image_part` accepts.
            stream: Return a `ChatStream` instead of the complete answer.
            timeout: Seconds, as in `completions.create`; None for no limit. Default 300.
            **options: Options of `completions.create`. They take precedence over those of the conversation.

        Returns:
            The complete answer, or a `ChatStream` if `stream` is true.

        Raises:
            TypeError: An option is unknown.
            ValidationError: An argument is invalid, or an image does not meet the requirements.
            ChatError: The service declined the request, or it could not be sent.
            SogniTimeoutError: The answer did not arrive in time.
            ToolLimitError: The model would continue to call tools after the last round.

        Example:
            >>> conversation = client.chat.conversation()
            >>> conversation.ask("What is 6 times 7?").content
            'You said: “What is 6 times 7?”. I am the Sogni emulator, not a language model.'
        """
        parts = self._engine.run(compute("the images of a question", lambda: image_parts(images)))
        question = question_of(text, parts)
        given: dict[str, Any] = {**self._options, **options}
        messages = self._engine.run(messages_for(self._history, question, given))
        answer: ChatCompletionResult | ChatStream = self._completions.create(
            messages=messages, model=self._history.model, stream=stream, timeout=timeout, **given
        )
        if isinstance(answer, ChatStream):
            self._engine.run(add_answer_when_done(self._history, question, answer._answer))
            return answer
        self._engine.run(add_answer(self._history, question, answer))
        return answer

    def add(self, message: ChatMessage | Mapping[str, Any]) -> None:
        """Add a message from elsewhere, such as the result of a tool or an earlier turn.

        Args:
            message: A `ChatMessage`, or a dict in the OpenAI form.

        Raises:
            ProtocolError: The message is malformed.

        Example:
            >>> conversation = client.chat.conversation()
            >>> conversation.add({"role": "user", "content": "My name is Ada."})
            >>> len(conversation.messages)
            1
        """
        self._engine.changed(lambda *_: self._history.add(message))

    def clear(self) -> None:
        """Remove all messages except the system message.

        Example:
            >>> conversation = client.chat.conversation()
            >>> _ = conversation.ask("My name is Ada.")
            >>> conversation.clear()
            >>> conversation.messages
            []
        """
        self._engine.changed(lambda *_: self._history.clear())

    def to_dict(self) -> dict[str, Any]:
        """Return the model, the system message and all messages, images included.

        Returns:
            JSON-ready data for `from_dict`.

        Example:
            >>> client.chat.conversation(system="Be brief.").to_dict()["system"]
            'Be brief.'
        """
        record: dict[str, Any] = to_dict(self._engine.changed(lambda *_: self._history.record()))
        return record

    def from_dict(self, data: Mapping[str, Any]) -> Conversation:
        """Replace the content of this conversation.

        Args:
            data: The result of `to_dict`.

        Returns:
            The conversation itself.

        Raises:
            ProtocolError: The data is malformed.

        Example:
            >>> saved = client.chat.conversation(system="Be brief.").to_dict()
            >>> client.chat.conversation().from_dict(saved).system
            'Be brief.'
        """
        self._engine.changed(lambda *_: self._history.restore(data))
        return self

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the conversation as a JSON file, replacing an existing one.

        Args:
            path: Path of the file.

        Returns:
            The path.

        Raises:
            OSError: The file cannot be written.

        Example:
            >>> client.chat.conversation(system="Be brief.").save("conversation.json")
            PosixPath('conversation.json')
        """
        data = self.to_dict()
        return self._engine.run(compute("a conversation", lambda: write_conversation(path, data)))

    def load(self, path: str | os.PathLike[str]) -> Conversation:
        """Replace the content of this conversation with that of a saved one.

        Args:
            path: Path of the file.

        Returns:
            The conversation itself.

        Raises:
            ValidationError: The file cannot be read or is not JSON.
            ProtocolError: The file does not contain a conversation.

        Example:
            >>> _ = client.chat.conversation(system="Be brief.").save("conversation.json")
            >>> client.chat.conversation().load("conversation.json").system
            'Be brief.'
        """
        return self.from_dict(self._engine.run(compute("a conversation", lambda: read_conversation(path))))

    def __repr__(self) -> str:
        return f"<Conversation with {self.model}, {len(self._history.messages)} messages>"
