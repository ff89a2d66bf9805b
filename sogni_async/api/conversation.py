"""`Conversation`: questions and answers that remember what was said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack, overload

from sogni.base import with_fields
from sogni.core.chat import conversation as asking
from sogni.core.chat.conversation import History, question_of
from sogni.core.flow import compute
from sogni.local.chat_files import image_parts, read_conversation, write_conversation
from sogni.models.chat import ChatCompletionResult, ChatMessage, CompletionFields
from sogni.models.converter import to_dict
from sogni_async.api.streams import ChatStream
from sogni_async.transport.engine import Engine


class Conversation:
    """A conversation with a language model; made by `client.chat.conversation`.

    Each question goes along with all that was said before, as far as it fits into the model's context: the oldest
    turns are left out first, the system message never. What the model thought is not sent again.
    """

    def __init__(self, engine: Engine, completions: Any, history: History, options: Mapping[str, Any]) -> None:
        self._engine = engine
        self._completions = completions
        self._history = history
        self._options = dict(options)

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._history.model

    @property
    def system(self) -> str | None:
        """The system message."""
        return self._history.system

    @property
    def messages(self) -> list[ChatMessage]:
        """All that was said, the oldest first, without the system message."""
        return list(self._history.messages)

    @overload
    async def ask(
        self,
        text: str | None = ...,
        *,
        images: Any = ...,
        stream: Literal[True],
        timeout: float | None = ...,
        **options: Unpack[CompletionFields],
    ) -> ChatStream: ...
    @overload
    async def ask(
        self,
        text: str | None = ...,
        *,
        images: Any = ...,
        stream: Literal[False] | None = ...,
        timeout: float | None = ...,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult: ...
    @with_fields(CompletionFields)
    async def ask(
        self,
        text: str | None = None,
        *,
        images: Any = None,
        stream: bool | None = None,
        timeout: float | None = 300,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult | ChatStream:
        """Ask the next question; returns the answer, or a `ChatStream` with `stream=True`.

        `images` is one image or a list of them, in every form that `sogni.image_part` takes. Without a text the model
        goes on from what was added last. Options outrank those of the conversation. Question and answer become part
        of the history together, when the answer is whole; one that fails, or that nobody listens to to its end,
        leaves the history as it was. Raises what `completions.create` raises.
        """
        parts = await self._engine.run(compute("the images of a question", lambda: image_parts(images)))
        question = question_of(text, parts)
        given: dict[str, Any] = {**self._options, **options}
        messages = await self._engine.run(asking.request_of(self._history, question, given))
        answer: ChatCompletionResult | ChatStream = await self._completions.create(
            messages=messages, model=self._history.model, stream=stream, timeout=timeout, **given
        )
        if isinstance(answer, ChatStream):
            await self._engine.run(asking.keep_when_done(self._history, question, answer._answer))
            return answer
        await self._engine.run(asking.keep(self._history, question, answer))
        return answer

    def add(self, message: ChatMessage | Mapping[str, Any]) -> None:
        """Add a message from elsewhere: what a tool gave, or an earlier turn."""
        self._engine.changed(lambda *_: self._history.add(message))

    def clear(self) -> None:
        """Forget all that was said, not the system message."""
        self._engine.changed(lambda *_: self._history.clear())

    def to_dict(self) -> dict[str, Any]:
        """Return model, system message and all messages, JSON-ready; images are in it."""
        record: dict[str, Any] = to_dict(self._engine.changed(lambda *_: self._history.record()))
        return record

    def from_dict(self, data: Mapping[str, Any]) -> Conversation:
        """Become what `to_dict` gave, here or elsewhere. Raises `ProtocolError` when it does not fit."""
        self._engine.changed(lambda *_: self._history.restore(data))
        return self

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all that was said to a JSON file, which is replaced when it is there."""
        data = self.to_dict()
        return await self._engine.run(compute("a conversation", lambda: write_conversation(path, data)))

    async def load(self, path: str | os.PathLike[str]) -> Conversation:
        """Become what was saved in a file; returns the conversation itself. Raises `ValidationError`."""
        return self.from_dict(await self._engine.run(compute("a conversation", lambda: read_conversation(path))))

    def __repr__(self) -> str:
        return f"<Conversation with {self.model}, {len(self._history.messages)} messages>"
