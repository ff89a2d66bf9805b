"""`POST /v1/chat/completions`: completions over the socket, whole or as a stream of events.

Each token costs the server one JSON string and one write: the parts that are the same in all chunks of an answer are
encoded once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from sogni.errors import SogniError, ValidationError
from sogni.models.answers import ThinkingSplitter, split_thinking
from sogni.serve.costs import Charge
from sogni.serve.errors import RequestError, invalid, reported, stopping, unsupported_value
from sogni.serve.fields import Fields, kind_of, shown
from sogni.serve.requests import Call, JsonResponse, Response

if TYPE_CHECKING:
    from sogni.serve.requests import Send
    from sogni_async import ChatCompletionChunk, ChatCompletionResult, ChatStream, TokenUsage

TIMEOUT = 600.0
"""Seconds for a whole answer, or for the beginning of a stream."""
PAUSE = 600.0
"""Seconds without a chunk after which a stream ends."""

_IGNORED = (
    "user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "parallel_tool_calls", "prediction",
)  # fmt: skip
"""Fields that do not affect the answer, or are only hints about how to process the request."""
_REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), "Sogni answers once; send the request again for another answer"),
    "logprobs": ((False,), "Sogni does not report probabilities"),
    "top_logprobs": ((0,), "Sogni does not report probabilities"),
    "logit_bias": (({},), "Sogni cannot change the probability of tokens"),
    "seed": ((), "Sogni does not repeat answers"),
    "store": ((False,), "Sogni does not keep answers"),
    "moderation": ((), "Sogni does not report such findings"),
    "verbosity": (("medium",), "say in the messages how long the answer should be"),
    "modalities": ((["text"],), "Sogni answers with text; see /v1/audio/speech"),
    "audio": ((), "Sogni answers with text; see /v1/audio/speech"),
    "web_search_options": ((), "Sogni does not search the web"),
    "functions": (([],), "use tools"),
    "function_call": (("none", "auto"), "use tool_choice"),
}
_EFFORTS: Mapping[str, bool] = {
    "none": False,
    "minimal": False,
    "low": True,
    "medium": True,
    "high": True,
    "xhigh": True,
    "max": True,
}
_ROLES = ("system", "developer", "user", "assistant", "tool")
_NUMBERS = ("temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
_DETAILS = ("auto", "low", "high")
_FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})


async def chat_completions(call: Call) -> Response:
    """Answer with a completion."""
    fields = await call.json()
    model = await call.models.chat(fields.text("model"))
    call.note(model=model)
    options, streamed, usage = _options(fields)
    messages = await _messages(fields)
    fields.end()
    request = {"model": model, "messages": messages, **options}
    charge = await call.costs.reserve_chat(**request)
    try:
        if streamed:
            return _Events(call, *await _begun(call, request), model, charge, usage)
        result = await call.client.chat.completions.create(**request, timeout=TIMEOUT)
    except SogniError as error:
        await charge.failed(error)
        raise
    await charge.settle_chat(result.cost)
    call.note(tokens=result.usage.completion_tokens, cost=charge.cost, paid_in=charge.token)
    return JsonResponse(_document(result, model), cost=charge)


async def _begun(call: Call, request: Mapping[str, Any]) -> tuple[ChatStream, ChatCompletionChunk | None]:
    """Return a stream and its first chunk. An error before that is still an HTTP error."""
    stream = None
    try:
        # Without a limit for each chunk, which would cost a timer for each token.
        async with asyncio.timeout(TIMEOUT):
            stream = await call.client.chat.completions.create(**request, stream=True, timeout=None)
            return stream, await anext(stream, None)
    except BaseException as error:
        if stream is not None:
            await stream.close()
        if isinstance(error, TimeoutError) and not isinstance(error, SogniError):
            raise _silent(TIMEOUT) from None
        raise


def _options(fields: Fields) -> tuple[dict[str, Any], bool, bool]:
    """Return the options of a completion, whether it is streamed, and whether the stream ends with the usage."""
    streamed = fields.boolean("stream") or False
    stream_options = Fields(fields.mapping("stream_options"), within="stream_options")
    usage = stream_options.boolean("include_usage") or False
    stream_options.ignore(["include_obfuscation"])
    stream_options.end()
    fields.refuse(_REFUSED)
    fields.ignore(_IGNORED)
    limits = [fields.integer("max_tokens", 1), fields.integer("max_completion_tokens", 1)]
    options: dict[str, Any] = {"max_tokens": limits[0] if limits[1] is None else limits[1]}
    options |= {name: fields.number(name) for name in _NUMBERS}
    options["top_k"] = fields.integer("top_k")
    options["stop"] = _stop(fields.take("stop"))
    options["think"] = _thinking(fields)
    options["tools"], options["tool_choice"] = _tools(fields)
    options["response_format"] = _response_format(fields.take("response_format"))
    return {name: value for name, value in options.items() if value is not None}, streamed, usage


def _stop(value: Any) -> Any:
    given = [value] if isinstance(value, str) else value
    if given is None or given == []:
        return None
    if not isinstance(given, list) or not all(isinstance(it, str) and it for it in given) or len(given) > 4:
        raise invalid("stop", "stop must be a string, or a list of up to 4 strings.")
    return given


def _thinking(fields: Fields) -> bool | None:
    """Return whether the model should reason first; None leaves it to the service."""
    effort = fields.one_of("reasoning_effort", _EFFORTS)
    # As other servers of open models have it.
    template = Fields(fields.mapping("chat_template_kwargs"), within="chat_template_kwargs")
    enabled = template.boolean("enable_thinking")
    template.end()
    if enabled is not None:
        return enabled
    return None if effort is None else _EFFORTS[effort]


def _tools(fields: Fields) -> tuple[Any, Any]:
    tools, choice = fields.objects("tools"), fields.take("tool_choice")
    names = []
    for place, tool in enumerate(tools or ()):
        function = tool.get("function")
        if tool.get("type", "function") != "function":
            raise unsupported_value(f"tools[{place}].type", f"tools[{place}].type must be 'function'.")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise invalid(f"tools[{place}].function", f"tools[{place}].function must be an object with a name.")
        names.append(function["name"])
    if isinstance(choice, dict):
        function = choice.get("function")
        if choice.get("type") != "function" or not isinstance(function, dict):
            raise unsupported_value("tool_choice", "tool_choice must be 'none', 'auto', 'required' or a function.")
        if function.get("name") not in names:
            name = shown(function.get("name"))
            raise invalid("tool_choice", f"tool_choice must name one of the tools, got {name}.")
    elif choice is not None and choice not in ("none", "auto", "required"):
        raise invalid("tool_choice", f"tool_choice must be none, auto, required or a function, got {shown(choice)}.")
    if choice is not None and not tools:
        if choice in ("none", "auto"):
            choice = None
        else:
            raise invalid("tool_choice", "tool_choice is only allowed together with tools.")
    return tools or None, choice


def _response_format(value: Any) -> Any:
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind != "json_schema":
        raise invalid("response_format", "response_format.type must be text, json_object or json_schema.")
    schema = value.get("json_schema")
    if not isinstance(schema, dict) or not isinstance(schema.get("schema"), dict):
        raise invalid("response_format", "response_format.json_schema must be an object with a schema.")
    return value


# Messages


async def _messages(fields: Fields) -> list[dict[str, Any]]:
    given = fields.objects("messages")
    if not given:
        raise invalid("messages", "messages must be a list with at least one message.")
    return [await _message(f"messages[{place}]", message) for place, message in enumerate(given)]


async def _message(where: str, given: dict[str, Any]) -> dict[str, Any]:
    role = given.get("role")
    if role not in _ROLES:
        allowed = ", ".join(_ROLES)
        raise invalid(f"{where}.role", f"{where}.role must be one of {allowed}, got {shown(role)}.")
    message: dict[str, Any] = {"role": "system" if role == "developer" else role}
    content = given.get("content")
    if isinstance(content, list):
        parts = [await _part(f"{where}.content[{place}]", part) for place, part in enumerate(content)]
        if role == "user" and any(part["type"] != "text" for part in parts):
            message["content"] = parts
        elif any(part["type"] != "text" for part in parts):
            raise unsupported_value(f"{where}.content", f"{where}.content must be text: its role is {role}.")
        else:
            message["content"] = "".join(part["text"] for part in parts)
    elif isinstance(content, str) or (content is None and role in ("assistant", "tool")):
        message["content"] = content
    else:
        raise invalid(f"{where}.content", f"{where}.content must be a string or a list, got {kind_of(content)}.")
    if isinstance(given.get("tool_calls"), list) and given["tool_calls"]:
        message["tool_calls"] = given["tool_calls"]
    for name in ("tool_call_id", "name"):
        if isinstance(given.get(name), str):
            message[name] = given[name]
    return message


async def _part(where: str, part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal") and isinstance(part.get(kind), str):
        return {"type": "text", "text": part[kind]}
    if kind != "image_url":
        raise unsupported_value(f"{where}.type", f"{where}.type must be text or image_url, got {shown(kind)}.")
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        raise invalid(f"{where}.image_url", f"{where}.image_url must be an object with a url.")
    detail = image.get("detail") if isinstance(image, dict) else None
    if detail not in (None, *_DETAILS):
        raise invalid(
            f"{where}.image_url.detail",
            f"{where}.image_url.detail must be one of {', '.join(_DETAILS)}, got {shown(detail)}.",
        )
    if not url.startswith("data:"):
        # Only those in the storage of the service, which the client checks: others would let callers reach hosts
        # through this server.
        return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}
    return await asyncio.to_thread(_inline_image, f"{where}.image_url", url, detail)


def _inline_image(where: str, url: str, detail: Any) -> dict[str, Any]:
    """Return the part of an image, converted and scaled down as the service requires."""
    from sogni import image_part, to_dict

    header, _, data = url.partition(",")
    try:
        content = base64.b64decode(data, validate=True) if header.endswith(";base64") else b""
    except binascii.Error:
        content = b""
    if not content:
        raise invalid(where, f"{where}.url must be a base64-encoded data: URI of an image.")
    try:
        try:
            made = image_part(content, resize=True, detail=detail)
        except ImportError:
            made = image_part(content, detail=detail)
    except ValidationError as error:
        message = error.message.removeprefix("image ")
        raise invalid(where, f"{where} {message}") from None
    return dict(to_dict(made))


# Answers


def _document(result: ChatCompletionResult, model: str) -> dict[str, Any]:
    content, reasoning = split_thinking(result.content)
    calls = [
        {"id": it.id, "type": it.type, "function": {"name": it.function.name, "arguments": it.function.arguments}}
        for it in result.tool_calls or ()
    ]
    message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else ""), "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(result.finish_reason)}
    return {
        "id": _id(result.job_id),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": _usage(result.usage),
    }


def _id(job_id: str) -> str:
    return f"chatcmpl-{job_id.lower()}"


def _reason(reason: str | None) -> str:
    return reason if reason in _FINISH_REASONS else "stop"


def _usage(usage: TokenUsage) -> dict[str, Any]:
    total = usage.total_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens if total is None else total,
    }


_encode = json.JSONEncoder().encode
_DONE = b"data: [DONE]\n\n"
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ],
}


@frozen
class _Frame:
    """The constant parts of the events of one answer."""

    text: bytes
    reasoning: bytes
    end: bytes
    head: bytes
    tail: bytes

    @classmethod
    def of(cls, job_id: str, model: str, *, usage: bool) -> _Frame:
        document = {"id": _id(job_id), "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        head = b"data: " + json.dumps(document).encode().rstrip(b"}") + b', "choices": '
        tail = (b', "usage": null' if usage else b"") + b"}\n\n"
        delta = head + b'[{"index": 0, "delta": {'
        return cls(
            text=delta + b'"content": ',
            reasoning=delta + b'"reasoning_content": ',
            end=b'}, "logprobs": null, "finish_reason": null}]' + tail,
            head=head,
            tail=tail,
        )

    def pieces(self, answer: str, thinking: str) -> bytes:
        """Return the events of a piece of the answer and one of the reasoning, unless they are empty."""
        events = self.reasoning + _encode(thinking).encode() + self.end if thinking else b""
        return events + self.text + _encode(answer).encode() + self.end if answer else events

    def event(self, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        """Return the event of a delta of any kind."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self.head + json.dumps([choice]).encode() + self.tail

    def usage(self, usage: TokenUsage) -> bytes:
        """Return the event with the usage, which has no choices."""
        return self.head + b'[], "usage": ' + json.dumps(_usage(usage)).encode() + b"}\n\n"


@define
class _Events(Response):
    """An answer as a stream of events."""

    _call: Call
    _stream: ChatStream
    _first: ChatCompletionChunk | None
    _model: str
    _charge: Charge
    _usage: bool
    _chunks: int = field(default=0, init=False)
    _chunks_before: int = field(default=-1, init=False)
    _silent: bool = field(default=False, init=False)
    _watch: asyncio.TimerHandle | None = field(default=None, init=False)

    async def send(self, send: Send) -> None:
        """Send the events, and stop reading the answer if the client has disconnected."""
        task = asyncio.current_task()
        assert task is not None
        self._check(task)
        try:
            await send(_START)
            try:
                await self._send_chunks(send)
            except asyncio.CancelledError:
                if self._silent:
                    task.uncancel()
                    await self._send_error(send, _silent(PAUSE))
                elif self._call.shutting_down:
                    await self._send_error(send, stopping("The service completes the answer and charges for it."))
                else:
                    raise
            except SogniError as error:
                await self._send_error(send, reported(error))
            await send({"type": "http.response.body", "body": b""})
        finally:
            if self._watch is not None:
                self._watch.cancel()
            await asyncio.shield(self._finish())

    def _check(self, task: asyncio.Task[Any]) -> None:
        """End the answer if no chunk has arrived since the last check. A timer per chunk would be expensive."""
        if self._chunks == self._chunks_before:
            self._silent = True
            task.cancel()
            return
        self._chunks_before = self._chunks
        self._watch = asyncio.get_running_loop().call_later(PAUSE, self._check, task)

    async def _finish(self) -> None:
        result = self._stream.final_result
        await self._stream.close()
        await self._charge.settle_chat(None if result is None else result.cost)
        tokens = None if result is None else result.usage.completion_tokens
        self._call.note(stream=True, tokens=tokens, cost=self._charge.cost, paid_in=self._charge.token)

    async def _send_error(self, send: Send, error: RequestError) -> None:
        self._call.note(error=error.code)
        event = b"data: " + error.body() + b"\n\n"
        await send({"type": "http.response.body", "body": event, "more_body": True})

    async def _send_chunks(self, send: Send) -> None:
        frame = _Frame.of(self._stream.job_id, self._model, usage=self._usage)
        splitter, stream = ThinkingSplitter(), self._stream
        feed, pieces = splitter.feed, frame.pieces
        reason: str | None = None
        body = frame.event({"role": "assistant", "content": ""})
        chunk = self._first
        while chunk is not None:
            self._chunks += 1
            if chunk.content:
                body += pieces(*feed(chunk.content))
            if chunk.tool_calls:
                body += frame.event({"tool_calls": chunk.tool_calls})
            reason = chunk.finish_reason or reason
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                body = b""
            chunk = await anext(stream, None)
        body += pieces(*splitter.end()) + frame.event({}, _reason(reason))
        result = self._stream.final_result
        if self._usage and result is not None:
            body += frame.usage(result.usage)
        await send({"type": "http.response.body", "body": body + _DONE, "more_body": True})


def _silent(seconds: float) -> RequestError:
    return RequestError(
        f"The service has been silent for {seconds:g} seconds.",
        status=504,
        type="server_error",
        code="timeout",
        retry=False,
    )
