"""Completions over the socket: checks, frames, usage and billing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Membership
from tests.emulator.chat.helpers import IDENTITY, MODEL, ask, chat_request, on_delta, picture, seeing, system, user
from tests.emulator.wire import Wire, of_type


@pytest.fixture
def online(wire: Wire) -> Wire:
    return wire.connect()


def test_the_models_are_pushed_with_their_limits(wire: Wire) -> None:
    models = wire.connect().next("swarmLLMModels")
    info = models[MODEL]
    assert info["workers"] > 0
    assert info["maxContextLength"] == 262_144
    assert set(info["maxOutputTokens"]) == {"min", "max", "default", "thinkingComplexDefault"}
    assert set(info["defaultsThinking"]) >= {"temperature", "top_p", "top_k", "presence_penalty"}


def test_unsubscribed_clients_receive_no_models(wire: Wire) -> None:
    wire.connect(socketEventSubscriptions='{"modelAvailability": false}')
    said = ask(wire, "Hello")
    assert said.text
    wire.connect(socketEventSubscriptions='{"modelAvailability": false}')
    assert [wire.receive()[0] for _ in range(2)] == ["authenticated", "balanceUpdate"]


def test_a_completion_passes_through_all_states(online: Wire) -> None:
    said = ask(online, "Good morning")
    assert said.states == ["pending", "queued", "assigned", "jobStarted"]
    pending, queued, assigned, _ = of_type(said.frames, "jobState")
    assert pending["modelId"] == queued["modelId"] == MODEL
    assert Decimal(pending["estimatedCost"]) > 0
    assert queued["queuePosition"] == 1
    assert assigned["workerName"] == said.result["workerName"]
    first, *middle, last = said.chunks
    assert (first["role"], first["content"]) == ("assistant", "")
    assert all(chunk["finishReason"] is None for chunk in [first, *middle])
    assert said.text == f"You said: “Good morning”. {IDENTITY}"
    assert (last["finishReason"], last["usage"]) == ("stop", said.result["usage"])


def test_the_usage_is_counted_and_the_total_is_its_sum(online: Wire) -> None:
    short, long = ask(online, "Hello"), ask(online, system("Be kind and patient."), "Hello")
    for said in (short, long):
        usage = said.result["usage"]
        assert usage["completion_tokens"] == len(said.chunks) - 2
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert long.result["usage"]["prompt_tokens"] > short.result["usage"]["prompt_tokens"]


def test_images_count_as_prompt_tokens_by_their_size(online: Wire) -> None:
    def read(*urls: str) -> Any:
        return ask(online, seeing("What is this?", *urls)).result["usage"]["prompt_tokens"]

    none, small, large = read(), read(picture("red", 28, 28)), read(picture("red", 280, 280))
    assert (small - none, large - none) == (1, 100)


@pytest.mark.parametrize("token", ["sogni", "spark"])
def test_usage_is_charged_in_the_requested_token(online: Wire, supernet: LocalSupernet, token: str) -> None:
    before = getattr(supernet.account.balance, token)
    said = ask(online, "Hello", tokenType=token)
    cost = said.result["cost"]
    assert all(isinstance(cost[key], str) for key in ("costInUSD", "costInToken", "costInSogni", "costInSpark"))
    assert (cost["inputTokens"], cost["outputTokens"]) == (
        said.result["usage"]["prompt_tokens"],
        said.result["usage"]["completion_tokens"],
    )
    assert cost["costInToken"] == cost["costInSogni" if token == "sogni" else "costInSpark"]
    assert before - getattr(supernet.account.balance, token) == Decimal(cost["costInToken"]) > 0


def test_balance_updates_follow_reservation_and_settlement(online: Wire, supernet: LocalSupernet) -> None:
    online.next("swarmModels")
    request = chat_request("Hello", max_tokens=50)
    online.send("llmJobRequest", request)
    frames = online.until(lambda name, _: name == "llmJobResult")
    held, paid = of_type(frames, "balanceUpdate")
    assert Decimal(held["sogni"]["debit"]) == Decimal(of_type(frames, "jobState")[0]["estimatedCost"])
    assert paid["sogni"]["debit"] == "0"
    assert Decimal(paid["sogni"]["net"]) == supernet.account.balance.sogni


def test_a_bill_is_an_estimate_of_the_tokens_used(online: Wire) -> None:
    cost = ask(online, "Hello", tokenType="spark").result["cost"]
    path = f"/api/v1/job-llm/estimate/spark/{MODEL}/{cost['inputTokens']}/{cost['outputTokens']}"
    body = online.get(path).json()
    assert body["request"]["model"] == MODEL
    assert {key: body["quote"][key] for key in ("inputTokens", "outputTokens")} == {
        "inputTokens": cost["inputTokens"],
        "outputTokens": cost["outputTokens"],
    }
    for key in ("costInUSD", "costInToken", "costInSogni", "costInSpark"):
        assert body["quote"][key] == float(cost[key])


@pytest.mark.parametrize("path", [f"gold/{MODEL}/1/1", "sogni/nobody/1/1", f"sogni/{MODEL}/x/1", f"sogni/{MODEL}/1/-1"])
def test_an_invalid_estimate_is_refused(wire: Wire, path: str) -> None:
    assert wire.get(f"/api/v1/job-llm/estimate/{path}").status_code == 400


def test_too_little_money_is_insufficient_balance(online: Wire, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(sogni=0)
    said = ask(online, "Hello")
    assert said.error["error"] == "insufficient_balance"
    assert "sogni" in said.error["error_message"]
    assert "error_code" not in said.error
    assert ask(online, "Hello", tokenType="spark").text


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"temperature": 2.1}, "$.temperature"),
        ({"top_p": -0.1}, "$.top_p"),
        ({"presence_penalty": 3}, "$.presence_penalty"),
        ({"max_tokens": 0}, "$.max_tokens"),
        ({"max_tokens": "5"}, "$.max_tokens"),
        ({"messages": []}, "$.messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "$.messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "$.messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "$.messages[0].content[0].text"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c1"}]}, "c1"),
        ({"messages": [{"role": "assistant", "content": None}]}, "$.messages[0].content"),
        ({"stop": 5}, "$.stop"),
        ({"type": "image"}, "$.type"),
        ({"tokenType": "gold"}, "$.tokenType"),
        ({"taskProfile": "poetry"}, "$.taskProfile"),
        ({"tools": [{"type": "function"}]}, "$.tools[0].function"),
        ({"tool_choice": "sometimes"}, "$.tool_choice"),
        ({"tool_choice": "required"}, "$.tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "unknown"}}}, "unknown"),
        ({"response_format": {"type": "yaml"}}, "$.response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "$.response_format.json_schema"),
        ({"chat_template_kwargs": {"enable_thinking": "yes"}}, "enable_thinking"),
        ({"sogni_tools": "all-of-them"}, "$.sogni_tools"),
    ],
)
def test_a_malformed_request_is_invalid(
    online: Wire, supernet: LocalSupernet, changes: dict[str, Any], where: str
) -> None:
    before = supernet.account.balance
    said = ask(online, "Hello", **changes)
    assert said.error["error"] == "invalid_request"
    assert where in said.error["error_message"]
    assert supernet.account.balance == before


def test_too_many_or_unreadable_images_are_invalid(online: Wire) -> None:
    url = picture("red", 2, 2)
    assert "20" in ask(online, seeing("?", *[url] * 21)).error["error_message"]
    assert ask(online, seeing("?", "https://cdn.sogni.ai/x.png")).error["error"] == "invalid_request"
    for wrong, told in (
        ("data:image/png;base64,@@", "data URI"),
        ("data:image/png;base64,AAAA", "neither PNG nor JPEG"),
        (picture("red", 4, 4, "GIF"), "neither PNG nor JPEG"),
        ("data:image/jpeg;base64,/9j/AAAA", "unreadable"),
        (picture("red", 1025, 4), "1024"),
    ):
        assert told in ask(online, seeing("?", wrong)).error["error_message"]
    assert "1024 x 4" in ask(online, seeing("?", picture("red", 1024, 4))).text


def test_more_than_the_context_holds_is_invalid(online: Wire) -> None:
    said = ask(online, "word " * 40_000, model="qwen3-vl-4b-instruct-fp8")
    assert said.error["error"] == "invalid_request"
    assert "40" in said.error["error_message"]


def test_an_unserved_model_is_unavailable(online: Wire) -> None:
    assert ask(online, "Hello", model="nobody").error["error"] == "model_unavailable"


def test_unknown_keys_are_noted_and_requests_without_an_id_ignored(online: Wire, supernet: LocalSupernet) -> None:
    assert ask(online, "Hello", surprise=1).text
    online.send("llmJobRequest", {"model": MODEL})
    online.send("llmJobRequest", None)
    lower = chat_request("Hello")
    lower["jobID"] = lower["jobID"].lower()
    online.send("llmJobRequest", lower)
    assert on_delta(online, lower["jobID"].upper()).text
    told = [str(violation.where) for violation in supernet.violations]
    assert told == ["llmJobRequest $.surprise", *["llmJobRequest $.jobID"] * 3]


def test_the_token_limit_ends_an_answer(online: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.reply("1, 2, 3, 4")
    said = ask(online, "Count", max_tokens=5)
    assert (said.finish_reason, said.text) == ("length", "1, 2, 3")
    assert said.result["usage"]["completion_tokens"] == 5


def test_a_stop_sequence_ends_an_answer_and_is_not_part_of_it(online: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.reply("1, 2, 3, 4, 5, 6, 7, 8, 9", times=2)
    assert ask(online, "Count", stop=", 5").text == "1, 2, 3, 4"
    said = ask(online, "Count", stop=["nothing", ", 7", ", 3"])
    assert (said.finish_reason, said.text) == ("stop", "1, 2")


def test_reasoning_precedes_the_answer(online: Wire) -> None:
    def thinking(on: bool) -> str:
        return ask(online, "Hello", chat_template_kwargs={"enable_thinking": on}).text

    assert not thinking(False).startswith("<think>")
    thought, _, answer = thinking(True).partition("</think>\n\n")
    assert thought.startswith("<think>\n")
    assert answer == thinking(False)


def test_the_same_request_has_the_same_answer(online: Wire) -> None:
    told = {ask(online, "Hello").text for _ in range(3)}
    assert len(told) == 1


def test_tokens_come_at_the_rate_that_is_set() -> None:
    with LocalSupernet(step_time=0, token_rate=200) as supernet, Wire(supernet) as wire:
        supernet.chat.reply("sea " * 50, times=2)
        slow = ask(wire.connect(), "The sea").result["timeTaken"]
        supernet.chat.rate(0)
        fast = ask(wire, "The sea").result["timeTaken"]
    assert slow >= 0.2
    assert fast < slow


def test_more_requests_than_workers_wait_in_a_queue() -> None:
    with LocalSupernet(step_time=0, workers=1) as supernet, Wire(supernet) as wire:
        wire.connect()
        supernet.pause_workers()
        requests = [chat_request(f"Say {word}") for word in ("one", "two", "three")]
        for request in requests:
            wire.send("llmJobRequest", request)
        positions = [wire.next("jobState", "queued")["queuePosition"] for _ in range(3)]
        supernet.resume_workers()
        told = wire.until(lambda name, data: name == "llmJobResult" and data["jobID"] == requests[2]["jobID"])
    assert positions == [1, 1, 2]
    assert [data["jobID"] for data in of_type(told, "llmJobResult")] == [request["jobID"] for request in requests]


def test_a_subscription_covers_completions_if_requested(online: Wire, supernet: LocalSupernet) -> None:
    refused = ask(online, "Hello", billingMode="subscription").error
    assert (refused["error"], refused["error_code"]) == ("subscription_unavailable", "4078")
    supernet.set_subscription(Membership(status="grace"))
    assert ask(online, "Hello", billingMode="subscription").error["error_code"] == "4080"
    supernet.set_subscription(Membership())
    before = supernet.account.balance
    cost = ask(online, "Hello", billingMode="subscription").result["cost"]
    assert (cost["costInToken"], supernet.account.balance) == ("0", before)
    assert ask(online, user("Hello"), billingMode="auto").text
