"""``supernet.chat``: scripted answers, rates and failures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sogni.emulator import Answer, Call, LocalSupernet
from tests.emulator.chat.helpers import IDENTITY, ask
from tests.emulator.wire import Wire

ECHO = f"You said: “Hello”. {IDENTITY}"


@pytest.fixture
def online(wire: Wire) -> Wire:
    return wire.connect()


def test_a_scripted_answer_is_used_once(online: Wire, supernet: LocalSupernet) -> None:
    rule = supernet.chat.reply("Arr!")
    assert [ask(online, "Hello").text for _ in range(2)] == ["Arr!", ECHO]
    assert (rule.fired, supernet.chat.pending) == (1, ())


def test_rules_are_for_models_and_words(online: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.reply("small", model="*-4b-*", times=None)
    supernet.chat.reply("tea", when="TEA", times=None)
    assert ask(online, "Do you like tea?").text == "tea"
    assert ask(online, "Do you like tea?", model="qwen3-vl-4b-instruct-fp8").text == "small"
    assert ask(online, "Hello").text == ECHO
    supernet.chat.clear()
    assert ask(online, "Do you like tea?").text != "tea"


def test_a_function_sees_the_messages(online: Wire, supernet: LocalSupernet) -> None:
    def reverse(messages: list[Mapping[str, Any]]) -> str | None:
        said = messages[-1]["content"]
        return None if said == "Hello" else said[::-1]

    supernet.chat.reply(reverse, times=None)
    assert [ask(online, text).text for text in ("abc", "Hello")] == ["cba", ECHO]


@pytest.mark.parametrize(
    "reply",
    [
        Call("f", {"a": 1}),
        [Call("f", {"a": 1})],
        Answer(calls=(Call("f", {"a": 1}),)),
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]},
    ],
)
def test_tool_calls_are_streamed_name_first(online: Wire, supernet: LocalSupernet, reply: Any) -> None:
    supernet.chat.reply(reply)
    said = ask(online, "Call it")
    assert said.finish_reason == "tool_calls"
    assert [(name, json.loads(arguments)) for name, arguments in said.calls] == [("f", {"a": 1})]
    deltas = [delta for chunk in said.chunks for delta in chunk.get("tool_calls", ())]
    assert deltas[0]["function"] == {"name": "f", "arguments": ""}
    assert deltas[0]["id"].startswith("call-")
    assert len(deltas) > 3
    assert all("name" not in delta["function"] and "id" not in delta for delta in deltas[1:])


def test_text_tool_calls_reasoning_and_finish_reason_go_together(online: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.reply("Look:", tool_calls=[("f", "{broken"), ("g", {})], thought="hm", finish_reason="content_filter")
    said = ask(online, "Call it", chat_template_kwargs={"enable_thinking": True})
    assert (said.text, said.finish_reason) == ("<think>\nhm\n</think>\n\nLook:", "content_filter")
    assert said.calls == [("f", "{broken"), ("g", "{}")]
    with pytest.raises(ValueError, match="function"):
        supernet.chat.reply(lambda _: "x", thought="hm")


def test_tool_calls_are_cut_by_the_limit(online: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.reply(tool_calls=[("f", {"text": "one two three four five six seven"})])
    said = ask(online, "Call it", max_tokens=6)
    assert said.finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.calls[0][1])


def test_a_failure_declines_a_request_or_comes_in_the_middle(online: Wire, supernet: LocalSupernet) -> None:
    owned = supernet.account.balance
    supernet.chat.fail("server_restarting", "one moment")
    said = ask(online, "Hello")
    assert (said.error["error"], said.error["error_message"], said.text) == ("server_restarting", "one moment", "")
    assert said.states == []
    supernet.chat.fail("model_unavailable", code="4104", after_tokens=3)
    said = ask(online, "Hello")
    assert (said.error["error"], said.error["error_code"], said.text) == ("model_unavailable", "4104", "You said:")
    assert said.error["workerName"]
    assert supernet.account.balance == owned


def test_a_failure_can_name_missing_plan_features(online: Wire, supernet: LocalSupernet) -> None:
    lacks = {"requiredPlans": ["unlimited_pro"], "feature": "long_context", "limitation": "Not in this plan"}
    supernet.chat.fail("subscription_unavailable", code="4081", subscription=lacks)
    error = ask(online, "Hello").error
    assert error["subscriptionLimit"] is True
    assert {key: error[key] for key in lacks} == lacks


def test_a_function_that_raises_fails_its_own_completion(
    online: Wire, supernet: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(messages: list[Mapping[str, Any]]) -> str:
        raise LookupError("nothing here")

    supernet.chat.reply(broken)
    assert ask(online, "Hello").error["error"] == "server_error"
    assert "could not answer" in caplog.text
    assert ask(online, "Hello").text == ECHO


def test_the_latest_rate_counts_and_may_be_for_one_model(online: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.rate(5)
    supernet.chat.rate(0)
    supernet.chat.rate(50, model="*-8b-*")
    fast = ask(online, "Hello").result["timeTaken"]
    slow = ask(online, "Hello", model="qwen3-vl-8b-instruct-fp8").result["timeTaken"]
    # 18 tokens: 3.6 s at the general rate, 0.36 s at that of the model.
    assert slow >= 0.3
    assert fast < 3.4
    with pytest.raises(ValueError, match="negative"):
        supernet.chat.rate(-1)
