"""`client.chat`: the language models of the network and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from ..flows import chat
from ..models.base import TokenType
from ..models.chat import ChatCompletionResult, LLMCostEstimation, LLMModelInfo
from ..protocol.chat_request import DEFAULT_MODEL
from ..protocol.client_state import CHAT_EVENTS
from ..protocol.listeners import Listeners
from ..views import Listening
from .streams import ChatStream


class Completions:
    """Chat completions over the socket."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @overload
    def create(
        self,
        *,
        messages: Sequence[Any],
        model: str = ...,
        stream: Literal[True],
        timeout: float | None = ...,
        **options: Any,
    ) -> ChatStream: ...
    @overload
    def create(
        self,
        *,
        messages: Sequence[Any],
        model: str = ...,
        stream: Literal[False] | None = ...,
        timeout: float | None = ...,
        **options: Any,
    ) -> ChatCompletionResult: ...
    def create(
        self,
        *,
        messages: Sequence[Any],
        model: str = DEFAULT_MODEL,
        stream: bool | None = None,
        timeout: float | None = 300,
        **options: Any,
    ) -> ChatCompletionResult | ChatStream:
        """Ask a language model; returns the whole answer, or a `ChatStream` with `stream=True`.

        `messages` are dicts in the OpenAI form. Options travel as given: `max_tokens`, `temperature`,
        `top_p`, `top_k`, `min_p`, `repetition_penalty`, `frequency_penalty`, `presence_penalty`, `stop`,
        `tools`, `tool_choice`, `think`, `task_profile`, `response_format`, `token_type`, `billing_mode`
        (chat §2.2). `timeout` is for the whole answer, in seconds. Raises `TypeError` for an unknown
        option, `ValidationError` for messages JSON cannot carry, `ChatError` when the service declines.
        """
        given = {**options, "stream": stream}
        if stream:
            return ChatStream(self._engine, self._engine.run(chat.begin_completion(model, messages, given)))
        return self._engine.run(chat.complete(model, messages, given, timeout))  # type: ignore[no-any-return]


class Chat(Listening):
    """Language models and completions.

    Events: `token` (`ChatCompletionChunk`), `completed` (`ChatCompletionResult`), `error` (`ChatFailure`),
    `job_state` (`ChatJobState`), `models_updated` (dict of `LLMModelInfo` by id).
    """

    _events = CHAT_EVENTS

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.completions = Completions(engine)

    def _listeners(self) -> Listeners:
        return self._engine.state.chat_listeners  # type: ignore[no-any-return]

    def _heard(self) -> None:
        self._engine.state.listen()

    @property
    def models(self) -> dict[str, LLMModelInfo]:
        """Language models with workers now, by id, as last announced; empty before the socket has connected."""
        return dict(self._engine.state.chat_models)

    def estimate_cost(
        self,
        *,
        messages: Sequence[Any],
        model: str = DEFAULT_MODEL,
        max_tokens: float | None = None,
        token_type: TokenType | None = None,
        think: bool | None = None,
        task_profile: str | None = None,
    ) -> LLMCostEstimation:
        """What a completion would cost; the token is `sogni` when None.

        Input tokens are counted by formula, output tokens are `max_tokens`, else what the model's entry in
        `models` says, else 4096 (chat §8). Raises `ValidationError` for messages JSON cannot carry.
        """
        flow = chat.estimate_completion(
            model, messages, max_tokens=max_tokens, token_type=token_type, think=think, task_profile=task_profile
        )
        return self._engine.run(flow)  # type: ignore[no-any-return]

    def wait_for_models(self, timeout: float | None = 10) -> dict[str, LLMModelInfo]:
        """The language models, as soon as any is announced; connects when needed.

        Raises `SogniTimeoutError` after `timeout` seconds.
        """
        return self._engine.run(chat.wait_for_models(timeout))  # type: ignore[no-any-return]
