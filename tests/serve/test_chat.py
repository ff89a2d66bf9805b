"""`POST /v1/chat/completions`: what is asked for, what is answered, and what is refused."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import Answer, Call, LocalSupernet
from sogni.serve import chat
from tests.serve.asgi import Caller

WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def sent(supernet: LocalSupernet) -> list[dict[str, Any]]:
    """The chat requests that arrived."""
    return [it.data for it in supernet.requests if getattr(it, "type", None) == "llmJobRequest"]


def text_of(events: list[Any], name: str = "content") -> str:
    return "".join(event["choices"][0]["delta"].get(name) or "" for event in events if event["choices"])


async def test_answer_in_the_form_of_openai(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.reply(Answer("Hello.", thought="A greeting."))
    reply = await call.chat(reasoning_effort="low")
    assert reply.status == 200
    document = reply.json
    assert document.pop("id").startswith("chatcmpl-")
    assert isinstance(document.pop("created"), int)
    message = {"role": "assistant", "content": "Hello.", "refusal": None, "reasoning_content": "A greeting."}
    usage = document.pop("usage")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert document == {
        "object": "chat.completion",
        "model": "qwen3.6-35b-a3b-gguf-iq4xs",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
    }
    assert reply.headers["x-sogni-cost"].endswith(" sogni")


async def test_stream_has_one_event_per_token(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.reply(Answer("Hello “there”.", thought="A greeting."))
    reply = await call.chat(stream=True, reasoning_effort="low", stream_options={"include_usage": True})
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = reply.events
    assert text_of(events) == "Hello “there”."
    assert text_of(events, "reasoning_content").strip() == "A greeting."
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [*[None] * (len(events) - 2), "stop"]
    assert [event["usage"] for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] > 0


async def test_usage_is_only_streamed_on_request(call: Caller) -> None:
    assert all("usage" not in event for event in (await call.chat(stream=True)).events)


async def test_tool_calls_whole_and_streamed(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.reply(Call("get_weather", {"city": "Oslo"}), times=2)
    reply = await call.chat(tools=[WEATHER], tool_choice="required")
    choice = reply.json["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    (made,) = choice["message"]["tool_calls"]
    assert (made["type"], made["function"]["name"]) == ("function", "get_weather")
    assert json.loads(made["function"]["arguments"]) == {"city": "Oslo"}
    events = (await call.chat(tools=[WEATHER], stream=True)).events
    deltas = [it for event in events for it in event["choices"][0]["delta"].get("tool_calls", ())]
    assert deltas[0]["function"]["name"] == "get_weather"
    assert json.loads("".join(it["function"]["arguments"] for it in deltas)) == {"city": "Oslo"}
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_request_reaches_the_service_as_it_is(call: Caller, supernet: LocalSupernet) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}}
    called = {"id": "call-1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [called], "refusal": None, "audio": None},
        {"role": "tool", "content": "Snow.", "tool_call_id": "call-1"},
    ]
    options = {"temperature": 0.5, "top_p": 0.9, "frequency_penalty": 0.1, "presence_penalty": 0.2}
    reply = await call.chat(
        messages=messages,
        **options,
        max_completion_tokens=50,
        stop="END",
        tools=[WEATHER],
        response_format=schema,
        reasoning_effort="none",
        user="someone",
        n=1,
        logprobs=False,
        seed=None,
    )
    assert reply.status == 200
    (request,) = sent(supernet)
    assert request["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "content": "Snow.", "tool_call_id": "call-1"},
    ]
    expected = {
        **options,
        "max_tokens": 50,
        "stop": ["END"],
        "tools": [WEATHER],
        "response_format": schema,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert {name: request.get(name) for name in expected} == expected


async def test_images_are_converted_as_the_service_needs_them(call: Caller, supernet: LocalSupernet) -> None:
    content = io.BytesIO()
    Image.new("RGB", (2048, 512), "teal").save(content, format="WEBP")
    url = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    reply = await call.chat(messages=[{"role": "user", "content": parts}])
    assert "Images: 1024 x 256." in reply.json["choices"][0]["message"]["content"]


PART = "messages[0].content[0]"


def shown(part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"n": 2}, "unsupported_parameter", "n"),
    ({"logprobs": True}, "unsupported_parameter", "logprobs"),
    ({"seed": 7}, "unsupported_parameter", "seed"),
    ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities"),
    ({"functions": [{"name": "f"}]}, "unsupported_parameter", "functions"),
    ({"temprature": 1}, "unknown_parameter", "temprature"),
    ({"stream_options": {"usage": True}}, "unknown_parameter", "stream_options.usage"),
    ({"temperature": "hot"}, "invalid_value", "temperature"),
    ({"temperature": 3}, "invalid_value", "temperature"),
    ({"temperature": 10**400}, "invalid_value", "temperature"),
    ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    ({"max_tokens": 1.5}, "invalid_value", "max_tokens"),
    ({"max_tokens": True}, "invalid_value", "max_tokens"),
    ({"stream": "yes"}, "invalid_value", "stream"),
    ({"stop": ["a"] * 5}, "invalid_value", "stop"),
    ({"reasoning_effort": "some"}, "invalid_value", "reasoning_effort"),
    ({"tools": [{"type": "custom"}]}, "unsupported_value", "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "invalid_value", "tools[0].function"),
    ({"tools": "all"}, "invalid_value", "tools"),
    ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": "some"}, "invalid_value", "tool_choice"),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        "invalid_value",
        "tool_choice",
    ),
    ({"response_format": {"type": "xml"}}, "invalid_value", "response_format"),
    ({"response_format": {"type": "json_schema"}}, "invalid_value", "response_format"),
    ({"messages": []}, "invalid_value", "messages"),
    ({"messages": "hi"}, "invalid_value", "messages"),
    ({"messages": [{"role": "robot", "content": "hi"}]}, "invalid_value", "messages[0].role"),
    ({"messages": [{"role": "user", "content": None}]}, "invalid_value", "messages[0].content"),
    (shown({"type": "input_audio"}), "unsupported_value", f"{PART}.type"),
    (shown({"type": "image_url", "image_url": {}}), "invalid_value", f"{PART}.image_url"),
    (
        shown({"type": "image_url", "image_url": {"url": "data:,", "detail": ["low"]}}),
        "invalid_value",
        f"{PART}.image_url.detail",
    ),
    (shown({"type": "image_url", "image_url": {"url": "data:x"}}), "invalid_value", f"{PART}.image_url"),
    (
        shown({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        "invalid_value",
        f"{PART}.image_url",
    ),
    (shown({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}), "invalid_value", PART),
    (shown({"type": "image_url", "image_url": {"url": "/etc/hosts"}}), "invalid_value", PART),
    ({"model": None}, "missing_required_parameter", "model"),
    ({"model": 7}, "invalid_value", "model"),
]


async def test_what_sogni_cannot_do_is_an_error_that_names_the_field(call: Caller, supernet: LocalSupernet) -> None:
    for fields, code, param in REFUSED:
        reply = await call.chat(**fields)
        assert reply.refusal == (400, code, param), (fields, reply.json)
    assert sent(supernet) == []


async def test_unknown_models_are_answered_with_the_nearest(call: Caller) -> None:
    reply = await call.chat(model="qwen3.6-35b")
    assert reply.refusal == (404, "model_not_found", "model")
    assert "The nearest are qwen3.6-35b-a3b-gguf-iq4xs" in reply.error["message"]
    reply = await call.chat(model="krea2_turbo_fp8_scaled")
    assert reply.refusal == (400, "unsupported_value", "model")
    assert "use /v1/images/generations" in reply.error["message"]


async def test_alias_stands_for_a_model(call: Caller, supernet: LocalSupernet) -> None:
    call.service.models.aliases = {"gpt-4o-mini": "qwen3.6-35b-a3b-gguf-iq4xs"}
    assert (await call.chat(model="gpt-4o-mini")).json["model"] == "qwen3.6-35b-a3b-gguf-iq4xs"
    listed = (await call("GET", "/v1/models/gpt-4o-mini")).json
    assert (listed["id"], listed["object"], listed["kind"]) == ("gpt-4o-mini", "model", "chat")


async def test_errors_of_the_service_before_and_during_a_stream(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.fail("insufficient_balance", "You have no tokens left", times=2)
    for streamed in (False, True):
        reply = await call.chat(stream=streamed)
        assert reply.refusal == (429, "insufficient_quota", None)
        assert reply.headers["x-should-retry"] == "false"
    supernet.chat.fail("model_unavailable", "No workers", after_tokens=2)
    reply = await call.chat(stream=True)
    assert reply.status == 200
    *_, last = reply.body.decode().removesuffix("\n\n").split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "model_unavailable"


async def test_client_that_leaves_ends_the_stream(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.rate(20)
    supernet.chat.reply("word " * 200)
    body = {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    exchange = call.begin("POST", "/v1/chat/completions", body)
    await exchange.received.wait()
    exchange.leave()
    await exchange.task
    assert not exchange.reply.complete
    assert (await call("GET", "/health")).json == {"status": "ok", "requests": 1}


async def test_streams_end_in_order_when_the_server_ends(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.rate(20)
    supernet.chat.reply("word " * 200)
    body = {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    exchange = call.begin("POST", "/v1/chat/completions", body)
    await exchange.received.wait()
    call.service.stop()
    await exchange.task
    assert exchange.reply.complete
    assert b'"code": "shutting_down"' in exchange.reply.parts[-2]
    assert (await call.chat()).refusal == (503, "shutting_down", None)


async def test_silent_service_is_waited_for_no_longer(
    call: Caller, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "PAUSE", 0.05)
    supernet.chat.rate(1)
    supernet.chat.reply("word " * 200)
    reply = await call.chat(stream=True)
    assert (reply.status, b'"code": "timeout"' in reply.parts[-2]) == (200, True)
    monkeypatch.setattr(chat, "TIMEOUT", 0.5)
    for streamed in (True, False):
        supernet.faults.lose_request(drop=False)
        assert (await call.chat(stream=streamed)).refusal == (504, "timeout", None)
