"""A plugin for `llm`: the language models of Sogni on its command line and in its Python API (extra `sogni[llm]`).

It is loaded with every `llm` command, so it imports the client only when a model is used, and never
waits for the network to list models: their IDs are those of the last connection, which are kept in a file.
"""

# The announced models: chat §7.

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import click
import llm
from llm.parts import AttachmentPart, StreamEvent, TextPart, ToolCallPart, ToolResultPart
from pydantic import Field

from sogni.redaction import secret

if TYPE_CHECKING:
    from sogni import ChatCompletionChunk, ChatCompletionResult

__all__ = ["register_commands", "register_models"]

_DEFAULT = "qwen3.6-35b-a3b-gguf-iq4xs"
"""`sogni.core.chat.requests.DEFAULT_MODEL`, without importing it."""
_PREFIX = "sogni/"


def register_models(register: Any) -> None:
    """Register the language models of the last connection, with the prefix `sogni/`.

    Args:
        register: The function that `llm` passes.

    Example:
        >>> import llm
        >>> llm.get_model("sogni").model_id
        'sogni/qwen3.6-35b-a3b-gguf-iq4xs'
    """
    for name in dict.fromkeys([_DEFAULT, *_known_models()]):
        register(_Sogni(name), _AsyncSogni(name), aliases=("sogni",) if name == _DEFAULT else ())


def register_commands(cli: Any) -> None:
    """Add `llm sogni refresh`, which fetches the language models of the service.

    Args:
        cli: The group of commands that `llm` passes.

    Example:
        >>> from click.testing import CliRunner
        >>> from llm.cli import cli
        >>> CliRunner().invoke(cli, ["sogni", "--help"]).exit_code
        0
    """

    @cli.group(name="sogni")  # type: ignore[untyped-decorator]
    def sogni_group() -> None:
        """Language models of the Sogni Supernet"""

    @sogni_group.command()  # type: ignore[untyped-decorator]
    @click.option("--key", help="API key, or the name of a stored one. Default: that of 'llm keys set sogni'.")
    def refresh(key: str | None) -> None:
        """Fetch the language models of the service and list them."""
        import sogni

        key = secret(key)
        given = secret(llm.get_key(explicit_key=key, key_alias="sogni", env_var="SOGNI_API_KEY"))
        try:
            with sogni.SogniClient(api_key=given) as client:
                names = sorted(client.chat.wait_for_models())
        except sogni.SogniError as error:
            raise click.ClickException(str(error)) from error
        _remember(names)
        for name in names:
            click.echo(_PREFIX + name)


# As statements, because decorators of a library without types would hide those of the functions.
llm.hookimpl(register_models)
llm.hookimpl(register_commands)


# The known models


def _file() -> Path:
    return Path(llm.user_dir()) / "sogni-models.json"


def _known_models() -> list[str]:
    """Return the IDs in the file; none if it is missing or malformed."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))["models"]
        return [name for name in found if isinstance(name, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _remember(names: Any) -> None:
    """Write the IDs that the service has announced, if they have changed."""
    if sorted(names) in ([], _known_models()):
        return
    # The list is a convenience: a directory that cannot be written to is no reason to fail.
    with suppress(OSError):
        temporary = _file().with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({"models": sorted(names)}, indent=2) + "\n", encoding="utf-8")
        temporary.replace(_file())


# The models


class _Options(llm.Options):
    max_tokens: int | None = Field(
        default=None, ge=1, description="Largest number of tokens of an answer, including its reasoning"
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling temperature, 0 to 2")
    top_p: float | None = Field(default=None, ge=0, le=1, description="Probability mass that is sampled from, 0 to 1")
    top_k: int | None = Field(default=None, description="Number of most likely tokens that are sampled from")
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="Smallest probability of a token, relative to the most likely one"
    )
    repetition_penalty: float | None = Field(default=None, description="Penalty for repeated tokens")
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Penalty for frequent tokens, -2 to 2"
    )
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Penalty for tokens that have appeared before, -2 to 2"
    )
    stop: str | None = Field(default=None, description="String that ends an answer, and is not part of it")
    think: bool | None = Field(default=None, description="Whether the model reasons before it answers")
    task_profile: Literal["general", "coding", "reasoning"] | None = Field(
        default=None, description="Kind of task: general, coding or reasoning"
    )
    json_object: bool | None = Field(default=None, description="Answer with JSON, which the prompt must describe")
    token_type: Literal["sogni", "spark"] | None = Field(
        default=None, description="Token that pays, sogni or spark. Default: that of SOGNI_TOKEN_TYPE"
    )
    timeout: float | None = Field(
        default=None, gt=0, description="Seconds for the answer, or for each wait for its next part. Default 300"
    )


class _Shared:
    needs_key = "sogni"
    key_env_var = "SOGNI_API_KEY"
    can_stream = True
    supports_schema = True
    supports_tools = True
    # WebP and GIF are converted before they are sent.
    attachment_types: ClassVar[frozenset[str]] = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
    Options = _Options

    def __init__(self, name: str) -> None:
        self.model_id = _PREFIX + name
        self._name = name

    def __str__(self) -> str:
        return f"Sogni: {self.model_id}"

    def _request(self, prompt: Any) -> dict[str, Any]:
        options = {name: value for name, value in prompt.options.model_dump().items() if value is not None}
        if options.pop("json_object", False):
            options["response_format"] = {"type": "json_object"}
        if prompt.schema:
            form = {"name": "output", "schema": prompt.schema, "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": form}
        if prompt.tools:
            options["tools"] = [_definition(tool) for tool in prompt.tools]
        messages = [wire for message in prompt.messages for wire in _wire_messages(message)]
        return {"model": self._name, "messages": messages, **options}


class _Sogni(_Shared, llm.KeyModel):
    def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any, key: str | None) -> Iterator[Any]:
        import sogni

        key = secret(key)
        with sogni.SogniClient(api_key=key) as client:
            events = _Events(response)
            request = self._request(prompt)
            if stream:
                with client.chat.completions.create(**request, stream=True) as chunks:
                    for chunk in chunks:
                        yield from events.of(chunk)
                    result = chunks.result()
            else:
                result = client.chat.completions.create(**request)
                yield from events.of_whole(result)
            yield from events.last(result)
            _remember(client.chat.models)


class _AsyncSogni(_Shared, llm.AsyncKeyModel):
    async def execute(
        self, prompt: Any, stream: bool, response: Any, conversation: Any, key: str | None
    ) -> AsyncIterator[Any]:
        import sogni_async

        key = secret(key)
        async with sogni_async.SogniClient(api_key=key) as client:
            events = _Events(response)
            request = self._request(prompt)
            if stream:
                async with await client.chat.completions.create(**request, stream=True) as chunks:
                    async for chunk in chunks:
                        for event in events.of(chunk):
                            yield event
                    result = await chunks.result()
            else:
                result = await client.chat.completions.create(**request)
                for event in events.of_whole(result):
                    yield event
            for event in events.last(result):
                yield event
            _remember(client.chat.models)


# Requests


def _definition(tool: Any) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": tool.input_schema}}


def _wire_messages(message: Any) -> list[dict[str, Any]]:
    """Return a message in the OpenAI form: one for each result of a tool, none for one without content."""
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    if results:
        # What tools attach follows as a message of the user.
        return [
            {"role": "tool", "name": part.name, "tool_call_id": part.tool_call_id, "content": part.output}
            for part in results
        ]
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    images = [part.attachment for part in message.parts if isinstance(part, AttachmentPart) and part.attachment]
    calls = [
        {
            "type": "function",
            "id": part.tool_call_id,
            "function": {"name": part.name, "arguments": json.dumps(part.arguments, ensure_ascii=False)},
        }
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]
    if not (text or images or calls):
        return []
    found: dict[str, Any] = {"role": message.role, "content": _content(text, images) or None}
    return [{**found, "tool_calls": calls} if calls else found]


def _content(text: str, images: list[Any]) -> Any:
    if not images:
        return text
    from sogni import image_part, to_dict

    described = [{"type": "text", "text": text}] if text else []
    return described + [to_dict(image_part(image.content_bytes(), resize=True)) for image in images]


# Answers


class _Events:
    """Creates the events of an answer, and adds the usage and other details of the service to the response."""

    def __init__(self, response: Any) -> None:
        from sogni.models.answers import ThinkingSplitter

        self._response = response
        self._splitter = ThinkingSplitter()
        self._ids: dict[Any, str | None] = {}

    def of(self, chunk: ChatCompletionChunk) -> Iterator[Any]:
        yield from self._text(*self._splitter.feed(chunk.content))
        for delta in chunk.tool_calls or ():
            yield from self._call(delta)

    def of_whole(self, result: ChatCompletionResult) -> Iterator[Any]:
        yield from self._text(*self._splitter.feed(result.content))
        for index, call in enumerate(result.tool_calls or ()):
            function = {"name": call.function.name, "arguments": call.function.arguments}
            yield from self._call({"index": index, "id": call.id, "function": function})

    def last(self, result: ChatCompletionResult) -> Iterator[Any]:
        from sogni import to_dict

        yield from self._text(*self._splitter.end())
        for call in result.tool_calls or ():
            self._response.add_tool_call(
                llm.ToolCall(
                    name=call.function.name, arguments=_arguments(call.function.arguments), tool_call_id=call.id
                )
            )
        usage = result.usage
        self._response.set_usage(input=usage.prompt_tokens, output=usage.completion_tokens)
        about = {
            "job_id": result.job_id,
            "finish_reason": result.finish_reason,
            "worker_name": result.worker_name,
            "cost": None if result.cost is None else to_dict(result.cost),
        }
        self._response.response_json = {name: value for name, value in about.items() if value is not None}

    def _text(self, text: str, reasoning: str) -> Iterator[Any]:
        if reasoning:
            yield StreamEvent(type="reasoning", chunk=reasoning)
        if text:
            yield StreamEvent(type="text", chunk=text)

    def _call(self, delta: Mapping[str, Any]) -> Iterator[Any]:
        function = delta.get("function") or {}
        place = delta.get("index")
        if place not in self._ids:
            self._ids[place] = delta.get("id")
            yield StreamEvent(type="tool_call_name", chunk=function.get("name") or "", tool_call_id=self._ids[place])
        if function.get("arguments"):
            yield StreamEvent(type="tool_call_args", chunk=function["arguments"], tool_call_id=self._ids[place])


def _arguments(text: str) -> dict[str, Any]:
    """Return the arguments of a call. Raises `llm.ModelError` unless they are a JSON object."""
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise llm.ModelError(f"the model calls a tool with arguments that are not JSON: {error}") from error
    if not isinstance(found, dict):
        raise llm.ModelError("the model calls a tool with arguments that are not a JSON object")
    return found
