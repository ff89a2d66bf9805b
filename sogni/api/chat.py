# Generated from sogni_async/api/chat.py by tools/unasync.py. Do not edit.
"""Completions, hosted chats and local execution of tool calls: `client.chat`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol, Unpack, overload

from sogni.api.conversation import Conversation
from sogni.api.runs import ChatRuns
from sogni.api.streams import ChatStream
from sogni.base import with_fields
from sogni.core.attribution import check_override
from sogni.core.chat import flows as chat
from sogni.core.chat import tool_rounds
from sogni.core.chat.conversation import History
from sogni.core.chat.flows import hosted_completion, run_hosted_tool
from sogni.core.chat.requests import DEFAULT_MODEL, check_names
from sogni.core.chat.state import CHAT_EVENTS
from sogni.core.checks import reject_none_items
from sogni.core.flow import compute
from sogni.core.outbox import Listeners
from sogni.core.projects.transfers import save_urls
from sogni.core.storage import placed
from sogni.core.tools import flows as tools
from sogni.core.tools.hosted import as_tool_call
from sogni.core.tools.results import names_of, results_of
from sogni.emitter import Decorator, EventEmitter, Remover
from sogni.keywords import suggest_keywords
from sogni.local.recording import recorded_request
from sogni.local.storage import directory_or_storage, hidden, next_number
from sogni.models.chat import (
    ChatCompletionChunk,
    ChatCompletionResult,
    ChatFailure,
    ChatJobState,
    ChatMessage,
    CompletionFields,
    HostedChatCompletionResult,
    HostedFields,
    HostedToolExecution,
    LLMCostEstimation,
    LLMModelInfo,
    MediaContext,
)
from sogni.models.tools import ToolCall, ToolExecutionProgress, ToolExecutionResult
from sogni.settings import Attribution, Network, TokenType, check_seconds
from sogni.transport.driver import check_callbacks
from sogni.transport.engine import Engine


@suggest_keywords
class ChatTools:
    """Local execution of tool calls of a language model, through `client.projects`.

    Six of the hosted tools run locally: `generate_image`, `edit_image`, `generate_video`, `sound_to_video`,
    `video_to_video` and `generate_music` (`SogniTools.direct`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def execute(
        self,
        tool_call: ToolCall | Mapping[str, Any],
        *,
        on_progress: Callable[[ToolExecutionProgress], Any] | None = None,
        timeout: float | None = tools.DEFAULT_SECONDS,
        token_type: TokenType | None = None,
        network: Network | None = None,
        number_of_media: int = 1,
        media_context: MediaContext | Mapping[str, Any] | None = None,
        attribution: Attribution | Mapping[str, Any] | None = None,
    ) -> ToolExecutionResult:
        """Execute a call of a hosted tool and wait for its result. Failures are returned, not raised.

        If the time limit is exceeded or the call is interrupted, the project is canceled. If the requested model has no
        workers, another one is used.

        Args:
            tool_call: The call, as in `ChatCompletionResult.tool_calls`: a `ToolCall`, or a dict in the OpenAI form.
            on_progress: Receives a `ToolExecutionProgress`.
            timeout: Seconds for the whole execution; None for no limit. Default 5400.
            token_type: Token that pays, `"sogni"` or `"spark"`. Default: as in `projects.create`.
            network: `"fast"` or `"relaxed"`. Default: that of the client.
            number_of_media: Number of results if the call does not specify one. Default 1.
            media_context: Media that indices in the arguments refer to: a `MediaContext`, or a mapping with its fields,
                whose entries may also be finished jobs.
            attribution: Origin of the project, for statistics: an `Attribution`, or a mapping with its fields. It takes
                precedence over that of the client, field by field.

        Returns:
            The result. If `.success` is False, `.error` is the reason.

        Raises:
            ValidationError: This is not a Sogni tool, or `attribution` is invalid.
            TypeError: `media_context` has an unknown field, or a callback is async although the client is blocking.

        Example:
            >>> call = {"id": "1", "function": {"name": "generate_image", "arguments": '{"prompt": "a red kite"}'}}
            >>> client.chat.tools.execute(call).success
            True
        """
        check_callbacks(on_progress=on_progress)
        options = tools.ToolOptions(
            on_progress=on_progress,
            timeout=check_seconds("timeout", timeout),
            token_type=token_type,
            network=network,
            attribution=check_override(attribution),
            number_of_media=number_of_media,
            available=tools.available_media(media_context),
        )
        return self._engine.run(tools.execute_call(as_tool_call(tool_call), options))

    def execute_all(
        self,
        tool_calls: Sequence[ToolCall | Mapping[str, Any]],
        *,
        on_tool_call: Callable[[ToolCall], Any] | None = None,
        on_tool_progress: Callable[[ToolCall, ToolExecutionProgress], Any] | None = None,
        on_progress: Callable[[ToolExecutionProgress], Any] | None = None,
        timeout: float | None = tools.DEFAULT_SECONDS,
        token_type: TokenType | None = None,
        network: Network | None = None,
        number_of_media: int = 1,
        media_context: MediaContext | Mapping[str, Any] | None = None,
        attribution: Attribution | Mapping[str, Any] | None = None,
    ) -> list[ToolExecutionResult]:
        """Execute tool calls one after the other.

        Args:
            tool_calls: The calls, as in `ChatCompletionResult.tool_calls`.
            on_tool_call: Executes calls of tools other than Sogni's: receives the call and returns its result, as a
                string or a JSON-ready value. Without it, or if it raises an error, the result is a failure.
            on_tool_progress: Receives the call and a `ToolExecutionProgress`.
            on_progress: Receives a `ToolExecutionProgress`. Used only without `on_tool_progress`.
            timeout: Seconds for each call; None for no limit. Default 5400.
            token_type: As in `execute`.
            network: As in `execute`.
            number_of_media: As in `execute`.
            media_context: As in `execute`. Results of earlier calls are added to it.
            attribution: As in `execute`.

        Returns:
            One result per call, in the same order.

        Raises:
            ValidationError: There are more than 8 calls of tools that run locally, or `attribution` is invalid. Nothing
                has been executed.
            TypeError: `media_context` has an unknown field, or a callback is async although the client is blocking.

        Example:
            >>> call = {"id": "1", "function": {"name": "lookup", "arguments": '{"word": "kite"}'}}
            >>> results = client.chat.tools.execute_all([call], on_tool_call=lambda call: "a bird")
            >>> [result.content for result in results]
            ['a bird']
        """
        check_callbacks(on_tool_call=on_tool_call, on_tool_progress=on_tool_progress, on_progress=on_progress)
        options = tools.ToolOptions(
            on_tool_call=on_tool_call,
            on_tool_progress=on_tool_progress,
            on_progress=on_progress,
            timeout=check_seconds("timeout", timeout),
            token_type=token_type,
            network=network,
            attribution=check_override(attribution),
            number_of_media=number_of_media,
            available=tools.available_media(media_context),
        )
        calls = [as_tool_call(call) for call in reject_none_items("tool_calls", tool_calls)]
        return self._engine.run(tools.execute_calls(calls, options))

    @overload
    def save(
        self,
        results: ToolExecutionResult | ChatCompletionResult | Sequence[ToolExecutionResult],
        directory: PathLike[str],
        *,
        storage_options: None = ...,
    ) -> list[Path]: ...
    @overload
    def save(
        self,
        results: ToolExecutionResult | ChatCompletionResult | Sequence[ToolExecutionResult],
        directory: str,
        *,
        storage_options: Mapping[str, Any],
    ) -> list[str]: ...
    @overload
    def save(
        self,
        results: ToolExecutionResult | ChatCompletionResult | Sequence[ToolExecutionResult],
        directory: str,
        *,
        storage_options: None = ...,
    ) -> list[Path] | list[Any]: ...
    def save(
        self,
        results: ToolExecutionResult | ChatCompletionResult | Sequence[ToolExecutionResult],
        directory: str | PathLike[str],
        *,
        storage_options: Mapping[str, Any] | None = None,
    ) -> list[Path] | list[Any]:
        """Download the media of tool results to a directory or a storage.

        Files are named after their tool (`generate_image-0.png`), numbered from the highest number in the directory,
        and appear only when they are complete. URLs are valid for a limited time.

        Args:
            results: A result or results of `execute` and `execute_all`, or an answer with `tool_history`.
            directory: The directory, which is created if necessary, or the URL of a storage such as
                ``s3://bucket/prefix`` (extra ``sogni[fsspec]``).
            storage_options: Options of fsspec for a URL, such as credentials and the endpoint. By default fsspec uses
                the environment. With options, type checkers know that the result is a list of URLs.

        Returns:
            The paths of the saved files, or the URLs of the objects, in the order of the results.

        Raises:
            ValidationError: `results` is something else, or the URL is invalid. Nothing has been downloaded.
            ApiError: The service refused a download, for example because its URL has expired.
            SogniConnectionError: The service cannot be reached.
            OSError: A file or object cannot be written.
            ImportError: A URL is given, and fsspec or the library for its protocol is not installed.

        Example:
            >>> call = {"id": "1", "function": {"name": "generate_image", "arguments": '{"prompt": "a red kite"}'}}
            >>> result = client.chat.tools.execute(call)
            >>> [path.name for path in client.chat.tools.save(result, "kites")]
            ['generate_image-0.png']
        """
        directory, storage_options = hidden(directory, storage_options)
        made = results_of(results)
        target = directory_or_storage(directory, storage_options)
        first = self._engine.run(compute("the names of files", lambda: next_number(target)))
        urls, names = names_of(made, first)
        return self._engine.run(save_urls(urls, lambda place: placed(target, names[place])))


@suggest_keywords
class HostedChat:
    """Chats over REST, with tools that run in the service. They are never streamed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @with_fields(HostedFields)
    def create(
        self,
        *,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        model: str = DEFAULT_MODEL,
        stream: Literal[False] | None = None,
        timeout: float | None = 300,
        **options: Unpack[HostedFields],
    ) -> HostedChatCompletionResult:
        """Ask a language model over REST. It can use the tools of the service.

        The request is not repeated automatically.

        Args:
            messages: As in `completions.create`.
            model: ID of the model.
            stream: Not available here; None or False.
            timeout: Seconds for the whole answer; None for no limit.
            **options: Options of `completions.create`, and `media_references`, `api_media_references` and
                `chat_template_kwargs`, which takes precedence over `think`. `sogni_tools` offers the tools of the
                service to the model, and `sogni_tool_execution=True` has the service run them.

        Returns:
            The whole answer in the OpenAI form.

        Raises:
            TypeError: An option is unknown.
            ValidationError: `stream` is true, or the request cannot be sent.
            ApiError: The service declined the request. It is also a `ChatError` if the service gives a reason.

        Example:
            >>> result = client.chat.hosted.create(messages=[{"role": "user", "content": "What is 6 times 7?"}])
            >>> result.choices[0].message.content
            'You said: “What is 6 times 7?”. I am the Sogni emulator, not a language model.'
        """
        with recorded_request(self._engine, model, messages) as recorded:
            flow = hosted_completion(model, messages, options, stream, timeout)
            recorded.answer = result = self._engine.run(flow)
            return result

    def execute_tool(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        token_type: Literal["sogni", "spark", "auto"] | None = None,
        safe_content_filter: bool | None = None,
        app_source: str | None = None,
        attribution: Attribution | Mapping[str, Any] | None = None,
        timeout: float | None = 300,
    ) -> HostedToolExecution:
        """Run a tool in the service, without a language model. The request is not repeated automatically.

        Args:
            tool: `"enhance_prompt"`, `"compose_script"`, `"compose_lyrics"`, `"compose_instrumental"`,
                `"compose_workflow"` or `"compose_workflow_template"`.
            arguments: Arguments of the tool.
            token_type: Token that pays, `"sogni"`, `"spark"` or `"auto"`. Default: that of the service.
            safe_content_filter: Filter sensitive content. Default: that of the service.
            app_source: Name of the application, as the service records it. Default: that of the client.
            attribution: Origin of this call, for statistics: an `Attribution`, or a mapping with its fields. It takes
                precedence over that of the client, field by field.
            timeout: Seconds for the whole call; None for no limit. Default 300.

        Returns:
            The response. The result of the tool is `.data.result`.

        Raises:
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused the request.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> outcome = client.chat.hosted.execute_tool("compose_lyrics", {"prompt": "a red kite"})
            >>> "red kite" in outcome.data.result["lyrics"]
            True
        """
        flow = run_hosted_tool(
            tool,
            arguments,
            timeout,
            app_source,
            attribution=attribution,
            token_type=token_type,
            safe_content_filter=safe_content_filter,
        )
        return self._engine.run(flow)


@suggest_keywords
class Completions:
    """Chat completions over the socket."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @overload
    def create(
        self,
        *,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        model: str = ...,
        stream: Literal[True],
        timeout: float | None = ...,
        **options: Unpack[CompletionFields],
    ) -> ChatStream: ...
    @overload
    def create(
        self,
        *,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        model: str = ...,
        stream: Literal[False] | None = ...,
        timeout: float | None = ...,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult: ...
    @with_fields(CompletionFields)
    def create(
        self,
        *,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        model: str = DEFAULT_MODEL,
        stream: bool | None = None,
        timeout: float | None = 300,
        **options: Unpack[CompletionFields],
    ) -> ChatCompletionResult | ChatStream:
        """Ask a language model.

        Args:
            messages: Dicts in the OpenAI form, or `ChatMessage` objects. Images in them are checked; those in storage
                of the service are fetched.
            model: ID of the model.
            stream: Return a `ChatStream` instead of the whole answer.
            timeout: Seconds for connecting, sending and the whole answer; None for no limit. For a stream, seconds for
                sending the request and then for each wait for the next chunk. With tools, each round has a timeout of
                its own.
            **options: Sampling options such as `max_tokens`, `temperature` and `stop` are sent as they are.
                `response_format` is an attrs class, dataclass or pydantic model, whose instance is the `parsed` of the
                result, a JSON schema, or the OpenAI form. `tools` are definitions in the OpenAI form
                (`SogniTools.direct`) and Python functions. With `auto_execute_tools=True`, calls of the model are
                executed and their results sent back, in up to `max_tool_rounds` rounds (5 by default): Python
                functions, the media tools of Sogni through projects, and all others by `on_tool_call(call)`, which
                returns a string. `on_tool_progress(call, progress)` is notified of the progress of projects. Indices in
                calls refer to the images in `messages` and to earlier results, unless `media_context` defines other
                media. `attribution` is the origin of the call, for statistics; it takes precedence over that of the
                client, field by field.

        Returns:
            The whole answer, with the rounds of tools in `tool_history`, or a `ChatStream` if `stream` is true.

        Raises:
            TypeError: An option is unknown.
            ValidationError: Messages or formats cannot be sent.
            ChatError: The service declined the request, or it could not be sent.
            SogniTimeoutError: The answer did not arrive in time.
            ToolLimitError: The model would continue to call tools after the last round.

        Example:
            >>> result = client.chat.completions.create(
            ...     messages=[{"role": "user", "content": "What is 6 times 7?"}]
            ... )
            >>> result.content
            'You said: “What is 6 times 7?”. I am the Sogni emulator, not a language model.'
        """
        check_callbacks(**{name: options.get(name) for name in ("tools", "on_tool_call", "on_tool_progress")})
        seconds = check_seconds("timeout", timeout)
        given: dict[str, Any] = {**options, "stream": stream}
        with recorded_request(self._engine, model, messages) as recorded:
            if stream:
                begun, rounds = self._engine.run(tool_rounds.begin_answer(model, messages, given, seconds))
                recorded.answer = answer = ChatStream(self._engine, begun, rounds, seconds)
                return answer
            recorded.answer = result = self._engine.run(tool_rounds.get_answer(model, messages, given, seconds))
            return result


class OnChatEvent(Protocol):
    """`Chat.on` and `Chat.once`."""

    @overload
    def __call__(self, event: Literal["token"], function: Callable[[ChatCompletionChunk], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["token"]) -> Decorator[ChatCompletionChunk]: ...
    @overload
    def __call__(self, event: Literal["completed"], function: Callable[[ChatCompletionResult], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["completed"]) -> Decorator[ChatCompletionResult]: ...
    @overload
    def __call__(self, event: Literal["error"], function: Callable[[ChatFailure], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["error"]) -> Decorator[ChatFailure]: ...
    @overload
    def __call__(self, event: Literal["job_state"], function: Callable[[ChatJobState], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["job_state"]) -> Decorator[ChatJobState]: ...
    @overload
    def __call__(
        self, event: Literal["models_updated"], function: Callable[[dict[str, LLMModelInfo]], Any]
    ) -> Remover: ...
    @overload
    def __call__(self, event: Literal["models_updated"]) -> Decorator[dict[str, LLMModelInfo]]: ...


@suggest_keywords
class Chat(EventEmitter[OnChatEvent]):
    """Language models: completions, conversations, durable runs and tools.

    Events: `token` (`ChatCompletionChunk`), `completed` (`ChatCompletionResult`), `error` (`ChatFailure`), `job_state`
    (`ChatJobState`), `models_updated` (dict of `LLMModelInfo` by ID).

    Attributes:
        completions: Completions over the socket, by workers of the network.
        hosted: Completions by the service itself, optionally with hosted tools.
        runs: Durable chat runs.
        tools: Hosted tools that you run yourself.
    """

    _events = CHAT_EVENTS

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.completions: Completions = Completions(engine)
        self.runs: ChatRuns = ChatRuns(engine)
        self.hosted: HostedChat = HostedChat(engine)
        self.tools: ChatTools = ChatTools(engine)

    def _listeners(self) -> Listeners:
        return self._engine.state.chats.listeners

    def _on_listener_added(self) -> None:
        self._engine.state.listen()

    @with_fields(CompletionFields)
    def conversation(
        self, *, system: str | None = None, model: str = DEFAULT_MODEL, **options: Unpack[CompletionFields]
    ) -> Conversation:
        """Start a conversation that keeps its history. Nothing is sent yet.

        Args:
            system: System message.
            model: ID of the model.
            **options: Options of `completions.create`, for every question.

        Returns:
            The conversation.

        Raises:
            TypeError: An option is unknown.

        Example:
            >>> conversation = client.chat.conversation(system="You are a helpful assistant.")
            >>> answer = conversation.ask("My name is Ada.")
            >>> answer = conversation.ask("What is my name?")
            >>> [message.role for message in conversation.messages]
            ['user', 'assistant', 'user', 'assistant']
        """
        check_names(options, CompletionFields.__annotations__)
        return Conversation(self._engine, self.completions, History(model, system), options)

    @property
    def models(self) -> dict[str, LLMModelInfo]:
        """Language models that the service has announced, by ID; empty until the socket has connected."""
        return dict(self._engine.state.chats.models)

    def estimate_cost(
        self,
        *,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        model: str = DEFAULT_MODEL,
        max_tokens: float | None = None,
        token_type: TokenType | None = None,
        think: bool | None = None,
        task_profile: str | None = None,
    ) -> LLMCostEstimation:
        """Estimate what a completion would cost.

        The number of input tokens is approximated.

        Args:
            messages: As in `completions.create`.
            model: ID of the model.
            max_tokens: Output tokens to assume. Default: the number in the entry of the model in `models`, or 4096.
            token_type: Token to estimate in, `"sogni"` or `"spark"`; `"sogni"` if None.
            think: As in `completions.create`.
            task_profile: As in `completions.create`.

        Returns:
            The estimate.

        Raises:
            ValidationError: The messages cannot be represented as JSON.

        Example:
            >>> messages = [{"role": "user", "content": "What is 6 times 7?"}]
            >>> client.chat.estimate_cost(messages=messages, max_tokens=100).cost_in_usd > 0
            True
        """
        flow = chat.estimate_completion(
            model, messages, max_tokens=max_tokens, token_type=token_type, think=think, task_profile=task_profile
        )
        return self._engine.run(flow)

    def wait_for_models(self, timeout: float | None = 10) -> dict[str, LLMModelInfo]:
        """Wait until language models are announced. Connects if necessary.

        Args:
            timeout: Seconds to wait; None for no limit.

        Returns:
            The models that have workers now, by ID.

        Raises:
            SogniTimeoutError: No models were announced in time.

        Example:
            >>> "qwen3.6-35b-a3b-gguf-iq4xs" in client.chat.wait_for_models()
            True
        """
        return self._engine.run(chat.wait_for_models(timeout))
