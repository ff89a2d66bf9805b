"""`client.chat`: the language models of the network and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack, overload

from ..flows import chat, tool_rounds
from ..listening import Listening
from ..machine.run_recording import asking
from ..models.base import TokenType
from ..models.chat import ChatCompletionResult, LLMCostEstimation, LLMModelInfo
from ..models.chat_options import CompletionFields
from ..protocol.chat_request import DEFAULT_MODEL, check_names
from ..protocol.client_state import CHAT_EVENTS
from ..protocol.conversation import History
from ..protocol.listeners import Listeners
from ..protocol.tool_functions import refuse_async
from ..settings import check_seconds
from .chat_tools import ChatTools
from .conversation import Conversation
from .hosted_chat import HostedChat
from .runs import ChatRuns
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
        **options: Unpack[CompletionFields],
    ) -> ChatStream: ...
    @overload
    def create(
        self,
        *,
        messages: Sequence[Any],
        model: str = ...,
        stream: Literal[False] | None = ...,
        timeout: float | None = ...,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult: ...
    def create(
        self,
        *,
        messages: Sequence[Any],
        model: str = DEFAULT_MODEL,
        stream: bool | None = None,
        timeout: float | None = 300,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult | ChatStream:
        """Ask a language model; returns the whole answer, or a `ChatStream` with `stream=True`.

        `messages` are dicts in the OpenAI form or `ChatMessage` objects; images in them are checked, those of the
        service's stores fetched (chat §9). Options travel as given: `max_tokens`, `temperature`, `top_p`, `top_k`,
        `min_p`, `repetition_penalty`, `frequency_penalty`, `presence_penalty`, `stop`, `tools`, `tool_choice`,
        `sogni_tools`, `sogni_tool_execution`, `think`, `task_profile`, `token_type`, `billing_mode`,
        `safe_content_filter`, `app_source` (chat §2.2). `response_format` is a class (attrs or dataclass), whose
        instance is the `parsed` of the result, a JSON schema, or the OpenAI form. `timeout` is for
        everything, in seconds: connecting, sending and the whole answer; for a stream it limits sending the request,
        and then each wait for the next chunk.

        `tools` are definitions in the OpenAI form (`SogniTools.direct`) and Python functions. With
        `auto_execute_tools` what the model calls is executed and told to it, in up to `max_tool_rounds` rounds (5
        when None or 0), each with a `timeout` of its own: Python functions with arguments of their annotated types,
        Sogni's media tools through projects, any other by `on_tool_call(call)`, which returns a text.
        `on_tool_progress(call, progress)` hears how projects go; an interruption cancels them. What fails is told to
        the model. A `tool_choice` that forces a call does so in the first round only. Indices in calls stand for the
        images in `messages` and for what tools made before; `media_context` says otherwise. The rounds are in
        `tool_history` of the result (chat §10).

        Raises `TypeError` for an unknown option, `ValidationError` for messages and formats that cannot be sent,
        `ChatError` when the service declines or the request cannot be sent, `SogniTimeoutError`, `ToolLimitError`
        when the model would go on calling tools.

        >>> result = client.chat.completions.create(
        ...     messages=[{"role": "user", "content": "What is 6 times 7?"}]
        ... )
        >>> result.content
        '6 * 7 = 42'
        """
        refuse_async(**{name: options.get(name) for name in ("tools", "on_tool_call", "on_tool_progress")})
        seconds = check_seconds("timeout", timeout)
        given: dict[str, Any] = {**options, "stream": stream}
        with asking(self._engine, model, messages) as asked:
            if stream:
                begun, rounds = self._engine.run(tool_rounds.begin_answer(model, messages, given, seconds))
                asked.answer = ChatStream(self._engine, begun, rounds, seconds)
            else:
                asked.answer = self._engine.run(tool_rounds.answer_whole(model, messages, given, seconds))
            return asked.answer  # type: ignore[no-any-return]


class Chat(Listening):
    """Language models and completions.

    Events: `token` (`ChatCompletionChunk`), `completed` (`ChatCompletionResult`), `error` (`ChatFailure`),
    `job_state` (`ChatJobState`), `models_updated` (dict of `LLMModelInfo` by id).
    """

    _events = CHAT_EVENTS

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.completions = Completions(engine)
        self.runs = ChatRuns(engine)
        self.hosted = HostedChat(engine)
        self.tools = ChatTools(engine)

    def _listeners(self) -> Listeners:
        return self._engine.state.chat_listeners  # type: ignore[no-any-return]

    def _heard(self) -> None:
        self._engine.state.listen()

    def conversation(
        self, *, system: str | None = None, model: str = DEFAULT_MODEL, **options: Unpack[CompletionFields]
    ) -> Conversation:
        """Begin a conversation that remembers what was said; sends nothing yet.

        `options` are those of `completions.create`, for every question of it.

        >>> conversation = client.chat.conversation(system="You are a helpful assistant.")
        >>> answer = conversation.ask("My name is Ada.")
        >>> "Ada" in conversation.ask("What is my name?").content
        True
        """
        check_names(options, CompletionFields.__annotations__)
        return Conversation(self._engine, self.completions, History(model, system), options)

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
