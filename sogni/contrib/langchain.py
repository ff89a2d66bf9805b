"""A chat model for LangChain: `ChatSogni`, with streaming, tools, structured output and images.

Built on the public API of `sogni` and `sogni_async`. Requires the extra `sogni[langchain]`.
"""

# Requests and answers: chat §2, §5; what may be sent again: chat §14.3.

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, Literal, Self
from weakref import WeakKeyDictionary

try:
    import langchain_core  # noqa: F401  reports a missing library at once
except ModuleNotFoundError as _error:
    if _error.name != "langchain_core":
        raise
    raise ModuleNotFoundError(
        "sogni.contrib.langchain requires langchain-core, which is not installed: pip install 'sogni[langchain]'",
        name="langchain_core",
    ) from None

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import (
    JsonOutputKeyToolsParser,
    PydanticToolsParser,
    make_invalid_tool_call,
    parse_tool_call,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils import secret_from_env
from langchain_core.utils.function_calling import convert_to_openai_function, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr

import sogni
from sogni import ChatCompletionResult, ChatError, TokenUsage, is_retryable_chat_error
from sogni.core.chat.requests import DEFAULT_MODEL
from sogni.core.checks import invalid_value
from sogni.models.answers import ThinkingSplitter, split_thinking
from sogni.redaction import secret

__all__ = ["ChatSogni"]

_METHODS = ("json_schema", "function_calling", "json_mode")
_SENT = (
    "temperature", "max_tokens", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty",
    "presence_penalty", "stop", "think", "task_profile", "token_type", "safe_content_filter",
)  # fmt: skip
"""Fields that are options of `completions.create`."""
_NEVER_SENT = frozenset(
    {"reasoning", "thinking", "tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call"}
)
"""Blocks of earlier answers: reasoning is not sent back, and tool calls are sent separately from the content."""


class ChatSogni(BaseChatModel):
    """A language model of the Sogni Supernet, for LangChain.

    Answers stream over the socket of one client per model (and event loop), which is opened by the first request. It is
    closed by `close` and `aclose`, by leaving a `with` block, or when the model is no longer used. The reasoning of a
    model is `additional_kwargs["reasoning_content"]` and a block of `content_blocks`, not part of the text.

    Attributes:
        model: ID of the model.
        api_key: API key of the account; `SOGNI_API_KEY` by default.
        temperature: Sampling temperature, 0 to 2.
        max_tokens: Largest number of tokens of an answer, including its reasoning.
        top_p: Probability mass that is sampled from, 0 to 1.
        top_k: Number of most likely tokens that are sampled from.
        min_p: Smallest probability of a token, relative to the most likely one.
        repetition_penalty: Penalty for repeated tokens.
        frequency_penalty: Penalty for frequent tokens, -2 to 2.
        presence_penalty: Penalty for tokens that have appeared before, -2 to 2.
        stop: Strings that end an answer; they are not part of it. Those of a call take precedence.
        think: Whether the model reasons before it answers. By default the service decides.
        task_profile: `"general"`, `"coding"` or `"reasoning"`.
        token_type: Token that pays, `"sogni"` or `"spark"`. Default: that of the client.
        safe_content_filter: Filter sensitive content. Default: that of the service.
        timeout: Seconds for a whole answer, or for each wait for the next part of a stream; None for no limit.
        max_retries: How often to retry a request whose job was lost because the connection broke or the service
            restarted. A stream is not retried once its first part has arrived.
        streaming: Also stream in `invoke`, for callbacks that receive tokens.
        local: Use an emulator in this process (extra `sogni[emulator]`): no account, no network, no cost.
        client: A `sogni.SogniClient` to use. It is not closed. Without an `async_client`, the methods of asyncio use it
            in a thread, too.
        async_client: A `sogni_async.SogniClient` to use for the methods of asyncio. It is not closed.
        client_options: Further arguments of `SogniClient`, such as `app_source`, `proxy` or the endpoints.

    Example:
        >>> from sogni.contrib.langchain import ChatSogni
        >>> with ChatSogni(local=True, max_tokens=100) as model:
        ...     answer = model.invoke("What is 6 times 7?")
        >>> answer.text
        'You said: “What is 6 times 7?”. I am the Sogni emulator, not a language model.'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    model: str = DEFAULT_MODEL
    api_key: SecretStr | None = Field(default_factory=secret_from_env("SOGNI_API_KEY", default=None))
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: list[str] | None = None
    think: bool | None = None
    task_profile: Literal["general", "coding", "reasoning"] | None = None
    token_type: Literal["sogni", "spark"] | None = None
    safe_content_filter: bool | None = None
    timeout: float | None = 300
    max_retries: int = Field(default=2, ge=0)
    streaming: bool = False
    local: bool = False
    client: Any = Field(default=None, exclude=True, repr=False)
    async_client: Any = Field(default=None, exclude=True, repr=False)
    client_options: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    _clients: _Clients = PrivateAttr(default_factory=lambda: _Clients())

    # -- what LangChain knows of the model -----------------------------------------

    @property
    def _llm_type(self) -> str:
        return "chat-sogni"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, **self._own_options()}

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Environment variables for fields that are not serialized."""
        return {"api_key": "SOGNI_API_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `langchain_core.load` can save and load this class. It can, without clients and their options."""
        return True

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        found: LangSmithParams = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        return found

    # -- clients -----------------------------------------------------------------

    def close(self) -> None:
        """Close the blocking client, and the emulator of `local=True`. The next request opens new ones.

        Call `aclose` after using the methods of asyncio. Clients that were passed stay open.

        Example:
            >>> from sogni.contrib.langchain import ChatSogni
            >>> model = ChatSogni(local=True)
            >>> _ = model.invoke("Hello")
            >>> model.close()
        """
        self._clients.close()

    async def aclose(self) -> None:
        """Close the asyncio client of the running event loop, and everything that `close` closes.

        Example:
            >>> import asyncio
            >>> from sogni.contrib.langchain import ChatSogni
            >>> async def ask():
            ...     async with ChatSogni(local=True) as model:
            ...         return await model.ainvoke("Hello")
            >>> asyncio.run(ask()).response_metadata["finish_reason"]
            'stop'
        """
        await self._clients.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _blocking(self) -> sogni.SogniClient:
        if self.client is not None:
            given: sogni.SogniClient = self.client
            return given
        if self.async_client is not None:
            raise TypeError("this model has an async_client only; use ainvoke or astream, or pass client, too")
        return self._clients.blocking(self._client_options(), self.local)

    def _asyncio(self) -> Any:
        """Return the asyncio client for the running event loop; None if only a blocking one was passed."""
        if self.async_client is not None or self.client is not None:
            return self.async_client
        return self._clients.asyncio(self._client_options(), self.local)

    def _client_options(self) -> dict[str, Any]:
        options = dict(self.client_options)
        # The key of an emulator is its own.
        if self.api_key is not None and not self.local:
            options.setdefault("api_key", self.api_key.get_secret_value())
        return {name: secret(value) if name in ("api_key", "proxy") else value for name, value in options.items()}

    # -- answers -----------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        completions = self._blocking().chat.completions
        for attempt in range(self.max_retries + 1):
            try:
                return _chat_result(completions.create(**request), request["model"])
            except ChatError as error:
                self._check_repeatable(error, attempt)
        raise AssertionError("unreachable")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client = self._asyncio()
        if client is None:
            in_a_thread: ChatResult = await super()._agenerate(messages, stop, run_manager, **kwargs)
            return in_a_thread
        request = self._request(messages, stop, kwargs)
        for attempt in range(self.max_retries + 1):
            try:
                return _chat_result(await client.chat.completions.create(**request), request["model"])
            except ChatError as error:
                self._check_repeatable(error, attempt)
        raise AssertionError("unreachable")

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        completions = self._blocking().chat.completions
        for attempt in range(self.max_retries + 1):
            parts = _Parts(request["model"])
            try:
                with completions.create(**request, stream=True) as stream:
                    for chunk in stream:
                        yield from parts.of(chunk)
                    yield parts.last(stream.result())
                    return
            except ChatError as error:
                self._check_repeatable(error, attempt, parts)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        client = self._asyncio()
        if client is None:
            async for part in super()._astream(messages, stop, run_manager, **kwargs):
                yield part
            return
        request = self._request(messages, stop, kwargs)
        for attempt in range(self.max_retries + 1):
            parts = _Parts(request["model"])
            try:
                async with await client.chat.completions.create(**request, stream=True) as stream:
                    async for chunk in stream:
                        for part in parts.of(chunk):
                            yield part
                    yield parts.last(await stream.result())
                    return
            except ChatError as error:
                self._check_repeatable(error, attempt, parts)

    def _check_repeatable(self, error: ChatError, attempt: int, parts: _Parts | None = None) -> None:
        """Raise the error unless the request can be sent again."""
        begun = parts is not None and parts.begun
        if begun or attempt >= self.max_retries or not is_retryable_chat_error(error):
            raise error

    def _own_options(self) -> dict[str, Any]:
        # An empty list of stops is none.
        values = {name: getattr(self, name) for name in _SENT}
        return {name: value for name, value in values.items() if value is not None and value != []}

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the arguments of `completions.create`, which checks them."""
        given = {name: value for name, value in kwargs.items() if value is not None and name != "stream"}
        if stop:
            given["stop"] = stop
        return {
            "model": self.model,
            "timeout": self.timeout,
            **self._own_options(),
            **given,
            "messages": [wire for message in messages for wire in _wire_messages(message)],
        }

    # -- tools and structured output ---------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools that it may call.

        Args:
            tools: Tools, functions, pydantic models, TypedDicts, JSON schemas, or definitions in the OpenAI form.
            tool_choice: `"auto"` (the model decides), `"none"`, `"any"`, `"required"` or True (it calls at least one),
                the name of the tool that it calls, or a choice in the OpenAI form. By default the model decides.
            strict: Send the schemas in OpenAI's strict form: every property is required, and no others are allowed.
            **kwargs: Further options of each request.

        Returns:
            The model with these tools.

        Raises:
            ValidationError: `tool_choice` names an unknown tool.

        Example:
            >>> from sogni.contrib.langchain import ChatSogni
            >>> def get_weather(city: str) -> str:
            ...     '''Return the weather in a city.'''
            >>> with ChatSogni(local=True) as model:
            ...     answer = model.bind_tools([get_weather]).invoke("What is the weather in Oslo?")
            >>> answer.tool_calls[0]["name"]
            'get_weather'
        """
        definitions = [_definition(tool, strict) for tool in tools]
        choice = _tool_choice(tool_choice, [one.get("function", {}).get("name") for one in definitions])
        given = kwargs if choice is None else {**kwargs, "tool_choice": choice}
        bound: Runnable[LanguageModelInput, AIMessage] = self.bind(tools=definitions, **given)
        return bound

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a model whose answers are instances of a class, or dicts.

        Args:
            schema: A pydantic model, whose instance is the answer; or a TypedDict, a JSON schema with a title, or a
                function in the OpenAI form, for dicts.
            method: `"json_schema"` (the service forces the answer to match the schema), `"function_calling"` (the model
                calls a tool with this schema), or `"json_mode"` (any JSON; the prompt must describe it). Default
                `"json_schema"`.
            include_raw: Return a dict with `raw`, `parsed` and `parsing_error` instead. An answer that does not fit is
                then not an error. Default False.
            strict: As in `bind_tools`; for `"json_schema"` it is sent, too. Default: strict for `"json_schema"`, in the
                schema as it is.
            **kwargs: Further options of each request.

        Returns:
            The model, followed by a parser.

        Raises:
            ValidationError: The method is unknown.

        Example:
            >>> from pydantic import BaseModel
            >>> from sogni.contrib.langchain import ChatSogni
            >>> class Dish(BaseModel):
            ...     name: str
            >>> with ChatSogni(local=True) as model:
            ...     model.with_structured_output(Dish).invoke("A dish, please: name=Soup")
            Dish(name='Soup')
        """
        if method not in _METHODS:
            raise invalid_value("method", method, _METHODS)
        options = {
            **kwargs,
            "ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema},
        }
        kind: Any = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
        parser: Any
        if method == "function_calling":
            model = self.bind_tools([schema], tool_choice="any", strict=strict, **options)
            name = _definition(schema, strict)["function"]["name"]
            parser = (
                PydanticToolsParser(tools=[kind], first_tool_only=True)
                if kind
                else JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
            )
        else:
            form = {"type": "json_object"} if method == "json_mode" else _response_format(schema, strict)
            model = self.bind(response_format=form, **options)
            parser = PydanticOutputParser(pydantic_object=kind) if kind else JsonOutputParser()
        answers: Runnable[LanguageModelInput, Any] = model | parser
        if not include_raw:
            return answers
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


class _Clients:
    """The clients that a model has opened: a blocking one, and one for each event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._supernet: Any = None
        self._blocking: sogni.SogniClient | None = None
        self._asyncio: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def __deepcopy__(self, memo: object) -> _Clients:
        return _Clients()

    def __reduce__(self) -> tuple[type[_Clients], tuple[()]]:
        return _Clients, ()

    def blocking(self, options: dict[str, Any], local: bool) -> sogni.SogniClient:
        with self._lock:
            if self._blocking is None:
                self._blocking = sogni.SogniClient(**self._arguments(options, local))
            return self._blocking

    def asyncio(self, options: dict[str, Any], local: bool) -> Any:
        import sogni_async

        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._asyncio:
                self._asyncio[loop] = sogni_async.SogniClient(**self._arguments(options, local))
            return self._asyncio[loop]

    def _arguments(self, options: dict[str, Any], local: bool) -> dict[str, Any]:
        if not local:
            return options
        from sogni.emulator import LocalSupernet

        if self._supernet is None:
            self._supernet = LocalSupernet(step_time=0)
            self._supernet.start()
        net = self._supernet
        endpoints = {"rest_endpoint": net.rest_endpoint, "socket_endpoint": net.socket_endpoint}
        return {"api_key": secret(net.api_key), **endpoints, **options}

    def close(self) -> None:
        with self._lock:
            client, self._blocking = self._blocking, None
            supernet, self._supernet = self._supernet, None
            if supernet is not None:
                self._asyncio.clear()  # there is nothing left that they could reach
        if client is not None:
            client.close()
        if supernet is not None:
            supernet.close()

    async def aclose(self) -> None:
        with self._lock:
            client = self._asyncio.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()
        await asyncio.to_thread(self.close)


# Requests


def _wire_messages(message: BaseMessage) -> list[dict[str, Any]]:
    """Return a message in the OpenAI form; several for one that contains results of tools."""
    if isinstance(message.content, list):
        kept = [it for it in message.content if isinstance(it, str) or it.get("type") not in _NEVER_SENT]
        message = message.model_copy(update={"content": kept})
    found: list[dict[str, Any]] = convert_to_openai_messages([message])
    if isinstance(message, AIMessage):
        for call in message.invalid_tool_calls:
            function = {"name": call["name"], "arguments": call["args"]}
            found[0].setdefault("tool_calls", []).append({"type": "function", "id": call["id"], "function": function})
        if found[0].get("tool_calls"):
            found[0]["content"] = found[0]["content"] or None
    return found


def _definition(tool: Any, strict: bool | None) -> dict[str, Any]:
    found: dict[str, Any] = convert_to_openai_tool(tool, strict=strict)
    if "function" in found:
        # The service has no such option; what it changes is in the schema.
        return {**found, "function": {key: value for key, value in found["function"].items() if key != "strict"}}
    return found


def _response_format(schema: Any, strict: bool | None) -> dict[str, Any]:
    function = convert_to_openai_function(schema, strict=strict)
    form = {"name": function["name"], "schema": function["parameters"], "strict": strict is not False}
    if function.get("description"):
        form["description"] = function["description"]
    return {"type": "json_schema", "json_schema": form}


def _tool_choice(choice: Any, names: Sequence[str | None]) -> Any:
    if choice in (None, False) or choice in ("auto", "none", "required") or isinstance(choice, Mapping):
        return choice or None
    if choice in ("any", True):
        return "required"
    if choice not in names:
        raise invalid_value("tool_choice", choice, ["auto", "none", "any", *filter(None, names)])
    return {"type": "function", "function": {"name": choice}}


# Answers


class _Parts:
    """Makes the parts of a stream from its chunks."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._splitter = ThinkingSplitter()
        self.begun = False

    def of(self, chunk: sogni.ChatCompletionChunk) -> Iterator[ChatGenerationChunk]:
        text, thought = self._splitter.feed(chunk.content)
        calls = [_call_delta(delta) for delta in chunk.tool_calls or ()]
        if text or thought or calls:
            self.begun = True
            yield _part(text, thought, tool_call_chunks=calls)

    def last(self, result: ChatCompletionResult) -> ChatGenerationChunk:
        return _part(
            *self._splitter.end(),
            usage_metadata=_usage(result.usage),
            response_metadata=_metadata(result, self._model),
            chunk_position="last",
        )


def _part(text: str, thought: str, **fields: Any) -> ChatGenerationChunk:
    more = {"reasoning_content": thought} if thought else {}
    return ChatGenerationChunk(message=AIMessageChunk(content=text, additional_kwargs=more, **fields))


def _call_delta(delta: Mapping[str, Any]) -> Any:
    function = delta.get("function") or {}
    return tool_call_chunk(
        name=function.get("name"), args=function.get("arguments"), id=delta.get("id"), index=delta.get("index")
    )


def _chat_result(result: ChatCompletionResult, model: str) -> ChatResult:
    text, thought = split_thinking(result.content)
    calls: list[Any] = []
    invalid: list[Any] = []
    for call in result.tool_calls or ():
        raw = {"id": call.id, "function": {"name": call.function.name, "arguments": call.function.arguments}}
        try:
            calls.append(parse_tool_call(raw, return_id=True))
        except OutputParserException as error:
            invalid.append(make_invalid_tool_call(raw, str(error)))
    message = AIMessage(
        content=text,
        additional_kwargs={"reasoning_content": thought} if thought else {},
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=_usage(result.usage),
        response_metadata=_metadata(result, model),
    )
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output={"model_name": model})


def _usage(usage: TokenUsage) -> UsageMetadata:
    total = usage.total_tokens
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens if total is None else total,
    )


def _metadata(result: ChatCompletionResult, model: str) -> dict[str, Any]:
    found = {
        "model_provider": "sogni",
        "model_name": model,
        "finish_reason": result.finish_reason,
        "job_id": result.job_id,
        "worker_name": result.worker_name,
        "cost": None if result.cost is None else sogni.to_dict(result.cost),
    }
    return {key: value for key, value in found.items() if value is not None}
