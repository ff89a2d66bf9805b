"""Frames of a chat build its answer; lost connections (chat §3, §4, §6, §7; transport §13.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.core.chat.state import CHAT_EVENTS, CHAT_MODELS, LOST_SECONDS, ChatState, subscription_fields
from sogni.core.client_state import ClientState
from sogni.core.connection.state import Closed
from sogni.core.outbox import EndLostChats
from sogni.errors import ChatError, ProtocolError
from sogni.models.chat import (
    ChatCompletionResult,
    ChatCost,
    ChatFailure,
    ChatJobState,
    LLMModelInfo,
    LLMRange,
    TokenUsage,
)
from sogni.models.converter import to_dict
from sogni.models.projects import ConsentRequired
from sogni.models.tools import ToolCall, ToolCallFunction
from sogni.settings import Settings
from tests.tables import each_row

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def online() -> ClientState:
    state = ClientState(Settings(api_key="k", auth_type="api_key"), "APP")
    state.connection.request_connection()
    return comes_back(state, 0.0)


def comes_back(state: ClientState, now: float, **payload: Any) -> ClientState:
    state.connection.phase = "connecting"
    state.opened(now)
    state.receive("authenticated", {"clientType": "artist", **payload}, now)
    return state


def drops(state: ClientState, now: float, code: int = 1006) -> None:
    state.lost(Closed(code), now=now, jitter=1.0)


def tries_in_vain(state: ClientState, now: float) -> None:
    state.connection.phase = "connecting"
    drops(state, now)


def opened(state: ClientState, job_id: str = "J") -> ChatState:
    state.chats.by_id[job_id] = ChatState(job_id, state.out)
    return state.chats.by_id[job_id]


def frame(state: ClientState, kind: str, now: float = 1.0, **payload: Any) -> None:
    state.receive(kind, {"jobID": "J", **payload}, now)


def listening(state: ClientState) -> ClientState:
    for event in CHAT_EVENTS:
        state.chats.listeners.add(event, print)
    return state


def told(state: ClientState) -> list[tuple[str, Any]]:
    return [(it.event, it.value) for it in state.out.deliveries if it.listeners is state.chats.listeners]


def answer_of(*chunks: dict[str, Any], **result: Any) -> ChatCompletionResult:
    state = online()
    chat = opened(state)
    for chunk in chunks:
        frame(state, "jobTokens", **chunk)
    assert chat.final_result is None
    frame(state, "llmJobResult", **result)
    assert chat.final_result is not None
    return chat.final_result


# --- the answer


def test_an_answer_without_any_piece() -> None:
    assert answer_of() == ChatCompletionResult(
        job_id="J", content="", role="assistant", finish_reason="stop", time_taken=0, usage=TokenUsage(total_tokens=0)
    )


@pytest.mark.parametrize(
    ("chunks", "name", "value"),
    [
        ([{"content": "a"}, {"content": "b"}, {}, {"content": None}], "content", "ab"),
        ([{"content": "a"}, {"content": 5}], "content", "a"),
        ([{"role": "tool"}, {"role": None}], "role", "tool"),
        ([{"role": "tool"}, {"role": "user"}], "role", "user"),
        ([{"finishReason": "length"}, {"finishReason": None}], "finish_reason", "length"),
        ([{"usage": USAGE}, {"usage": {"prompt_tokens": 1}}], "usage", TokenUsage(prompt_tokens=1)),
        (
            [{"usage": USAGE}, {"usage": None}],
            "usage",
            TokenUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
        ),
    ],
)
def test_pieces_add_text_and_replace_the_rest(chunks: list[dict[str, Any]], name: str, value: Any) -> None:
    assert getattr(answer_of(*chunks), name) == value


COST = {"costInToken": "0.5", "inputTokens": 3}


@each_row(
    ("result", "name", "value"),
    [
        ({"timeTaken": 1.5}, "time_taken", 1.5),
        ({"timeTaken": "soon"}, "time_taken", 0),
        ({"usage": {"prompt_tokens": 9}}, "usage", TokenUsage(prompt_tokens=9)),
        ({"usage": None}, "usage", TokenUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7)),
        ({"workerName": "w"}, "worker_name", "w"),
        ({"workerName": ""}, "worker_name", None),
        ({"cost": None}, "cost", None),
        ({"cost": {}}, "cost", ChatCost()),
        ({"cost": {"inputTokens": 3}}, "cost", ChatCost(input_tokens=3)),
    ],
)
def test_the_end_brings_time_usage_worker_and_cost(result: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(answer_of({"usage": USAGE}, **result), name) == value


def call(index: Any, **delta: Any) -> dict[str, Any]:
    return {"index": index, **delta}


def tool(id: str = "", name: str = "", arguments: str = "") -> ToolCall:
    return ToolCall(id=id, function=ToolCallFunction(name=name, arguments=arguments))


@each_row(
    ("deltas", "calls"),
    [
        ([], None),
        ([call(0)], [tool()]),
        ([call(0, id="a", type="other", function={"name": "f"})], [tool("a", "f")]),
        ([call(0, id="a", function={"name": "f"}), call(0, id="b", function={"name": "g"})], [tool("b", "g")]),
        ([call(0, id="a", function={"name": "f"}), call(0, id="", function={"name": None})], [tool("a", "f")]),
        ([call(0, function={"arguments": '{"a"'}), call(0, function={"arguments": ":1}"})], [tool("", "", '{"a":1}')]),
        ([call(1, id="b"), call(0, id="a")], [tool("a"), tool("b")]),
        ([call("x", id="a"), call(0, function=5)], [tool("a")]),
        (["odd", None, call(0, id="a")], [tool("a")]),
    ],
)
def test_ids_and_names_of_tool_calls_replace_and_arguments_are_appended(deltas: list[Any], calls: Any) -> None:
    assert answer_of(*({"tool_calls": [delta]} for delta in deltas)).tool_calls == calls
    assert answer_of({"tool_calls": deltas}).tool_calls == calls
    assert answer_of({"tool_calls": "odd"}).tool_calls is None


def test_the_first_end_counts_and_a_later_one_adds_its_cost() -> None:
    state = online()
    chat = opened(state)
    chat.completed({"timeTaken": 1, "usage": USAGE})
    chat.completed({"timeTaken": 2, "usage": {"prompt_tokens": 1}, "cost": COST})
    chat.failed(ChatFailure(job_id="J", error="late", message="late"))
    assert (chat.time_taken, chat.usage, chat.cost, chat.error()) == (
        1,
        TokenUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
        ChatCost(input_tokens=3, cost_in_token=chat.cost.cost_in_token if chat.cost else None),
        None,
    )


def test_an_end_that_cannot_be_read_is_an_end() -> None:
    state = listening(online())
    chat = opened(state)
    with pytest.raises(ProtocolError):
        frame(state, "llmJobResult", usage="much", timeTaken=2)
    assert (chat.done, chat.time_taken, state.chats.by_id) == (True, 2, {})
    assert [event for event, _ in told(state)] == ["completed"]


def test_whoever_leaves_hears_nothing_more_but_the_end() -> None:
    """chat §4: the service goes on and bills."""
    state = listening(online())
    chat = opened(state)
    frame(state, "jobTokens", content="a")
    chat.leave()
    frame(state, "jobTokens", content="b")
    frame(state, "llmJobResult", timeTaken=5, cost={"inputTokens": 3})
    assert chat.take() == []
    events = told(state)
    assert [event for event, _ in events] == ["token", "completed"]
    result = events[-1][1]
    assert (result.content, result.time_taken, result.cost) == ("a", 0, ChatCost(input_tokens=3))


def test_odd_facts_are_kept_as_sent_and_lose_nothing_else() -> None:
    state = listening(online())
    chat = opened(state)
    frame(state, "jobState", type="queued", queuePosition="2", workerName="w")
    frame(state, "jobTokens", content="a", usage={"prompt_tokens": 1.5, "completion_tokens": 2})
    frame(state, "llmJobResult", cost={"costInUSD": "n/a", "costInToken": "1"})
    assert chat.usage == TokenUsage(completion_tokens=2, extra={"prompt_tokens": 1.5})
    assert chat.cost == ChatCost(cost_in_token=Decimal(1), extra={"costInUSD": "n/a"})
    odd = ChatJobState(job_id="J", type="queued", worker_name="w", extra={"queuePosition": "2"})
    assert told(state)[0] == ("job_state", odd)


def test_a_chunk_has_a_wire_form_whatever_its_deltas_are() -> None:
    state = online()
    chat = opened(state)
    frame(state, "jobTokens", tool_calls=[None, 5, {"index": 0, "id": "a"}])
    assert to_dict(chat.take()[0])["tool_calls"] == [{"index": 0, "id": "a"}]
    assert [call.id for call in chat.tool_calls] == ["a"]


# --- failures


@pytest.mark.parametrize(
    ("payload", "failure"),
    [
        ({"error": "busy", "error_message": "try later"}, ChatFailure(job_id="J", error="busy", message="try later")),
        ({"error": "busy", "error_message": ""}, ChatFailure(job_id="J", error="busy", message="busy")),
        ({"error": 4080}, ChatFailure(job_id="J", error="4080", message="4080")),
        ({}, ChatFailure(job_id="J", error="", message="")),
        (
            {"error": "busy", "error_message": 5, "error_code": 4078, "workerName": "w"},
            ChatFailure(job_id="J", error="busy", message="busy", error_code="4078", worker_name="w"),
        ),
        (
            {"error": "consent", "error_code": "4103", "vendorFailureCategory": "timeout", "new": 1},
            ChatFailure(
                job_id="J",
                error="consent",
                message="consent",
                error_code="4103",
                vendor_failure_category="timeout",
                consent_required=ConsentRequired(),
                extra={"new": 1},
            ),
        ),
        (
            {"error": "busy", "error_code": "4081", "consentRequired": True},
            ChatFailure(
                job_id="J",
                error="busy",
                message="busy",
                error_code="4081",
                subscription_limit=True,
                extra={"consentRequired": True},
            ),
        ),
    ],
)
def test_a_failure_says_what_the_service_said(payload: dict[str, Any], failure: ChatFailure) -> None:
    """chat §6."""
    state = online()
    chat = opened(state)
    frame(state, "jobTokens", content="so far", tool_calls=[call(0, id="a")])
    frame(state, "llmJobError", **payload)
    error = chat.error()
    assert isinstance(error, ChatError)
    assert (chat.failure, error.error_type, error.job_id) == (failure, failure.error, "J")
    assert (error.consent_required, error.subscription_limit, error.extra) == (
        failure.consent_required, failure.subscription_limit, failure.extra,
    )  # fmt: skip
    assert (chat.final_result, chat.text(), chat.tool_calls, state.chats.by_id) == (None, "so far", [], {})
    assert told(state) == [("error", failure)]


def test_every_reader_gets_an_error_of_its_own() -> None:
    state = online()
    chat = opened(state)
    frame(state, "llmJobError", error="busy")
    assert chat.error() is not chat.error()


# --- frames


@each_row("kind", ["jobTokens", "llmJobResult", "llmJobError"])
@each_row("payload", [None, 5, ["J"], {}, {"jobID": "OTHER", "content": "x"}])
def test_frames_of_unknown_jobs_are_ignored(kind: str, payload: Any) -> None:
    state = listening(online())
    chat = opened(state)
    state.receive(kind, payload, 1.0)
    assert (told(state), chat.chunks, chat.done) == ([], [], False)


def test_a_change_of_a_job_names_its_worker_and_is_told() -> None:
    state = listening(online())
    chat = opened(state)
    frame(state, "jobState", type="assigned", workerName="w", queuePosition=2)
    assert (chat.worker_name, chat.acknowledged) == ("w", True)
    assert told(state) == [("job_state", ChatJobState(job_id="J", type="assigned", worker_name="w", queue_position=2))]


def test_nobody_is_told_of_pieces_and_changes_who_does_not_listen() -> None:
    state = online()
    opened(state)
    frame(state, "jobState", type="queued")
    frame(state, "jobTokens", content="x")
    assert told(state) == []


def test_each_list_of_models_replaces_the_last_one() -> None:
    """chat §7: an entry is a number of workers, or an object; both may be mixed."""
    state = online()
    state.out.woken.clear()
    limits = {"min": 1, "max": 9000, "default": 3000}
    state.receive("swarmLLMModels", {"a": 4, "b": {"workers": 2, "maxOutputTokens": limits}}, 1.0)
    first = {
        "a": LLMModelInfo(workers=4),
        "b": LLMModelInfo(workers=2, max_output_tokens=LLMRange(min=1, max=9000, default=3000)),
    }
    assert (state.chats.models, state.out.woken) == (first, [CHAT_MODELS])
    state.receive("swarmLLMModels", {}, 2.0)
    assert state.chats.models == {}
    assert told(state) == [("models_updated", first), ("models_updated", {})]


def test_an_odd_entry_does_not_hide_the_other_models() -> None:
    state = online()
    odd = {"a": 4.0, "b": None, "c": "x", "d": {"workers": 2, "maxContextLength": "many"}}
    state.receive("swarmLLMModels", odd, 1.0)
    assert state.chats.models == {
        "a": LLMModelInfo(workers=4),
        "d": LLMModelInfo(workers=2, extra={"maxContextLength": "many"}),
    }


def test_a_list_of_models_that_is_none_empties_it() -> None:
    state = online()
    state.chats.models = {"a": LLMModelInfo(workers=1)}
    state.receive("swarmLLMModels", None, 1.0)
    assert state.chats.models == {}


# --- drops (transport §13.3)


def test_an_answer_survives_a_drop_when_the_service_says_so() -> None:
    state = online()
    kept, gone = opened(state, "A"), opened(state, "B")
    drops(state, 10.0)
    comes_back(state, 12.0, activeLLMJobIDs=["a"])
    assert state.chats.end_lost(100.0) is None
    assert (kept.done, kept.lost_at) == (False, None)
    assert (gone.failure.error if gone.failure else None, state.chats.by_id) == ("transport_lost", {"A": kept})


@pytest.mark.parametrize("kind", ["jobTokens", "jobState"])
def test_an_answer_that_is_heard_of_has_survived(kind: str) -> None:
    state = online()
    chat = opened(state)
    drops(state, 10.0)
    comes_back(state, 12.0)
    frame(state, kind, 13.0, type="jobStarted", content="x")
    assert state.chats.end_lost(100.0) is None
    assert not chat.done


def test_an_answer_nobody_speaks_of_is_given_up() -> None:
    state = online()
    chat = opened(state)
    drops(state, 10.0)
    comes_back(state, 12.0)
    assert state.chats.end_lost(10.0 + LOST_SECONDS - 0.5) == 0.5
    assert not chat.done
    assert state.chats.end_lost(10.0 + LOST_SECONDS) is None
    assert chat.failure is not None
    assert chat.failure.error == "transport_lost"


def watched(state: ClientState) -> int:
    return sum(isinstance(task, EndLostChats) for task in state.out.tasks)


@pytest.mark.parametrize("code", [1006, 4015])
def test_somebody_looks_after_answers_that_a_drop_left_whether_or_not_a_connection_comes_back(code: int) -> None:
    """chat §14.2: also when another connection has taken over the app id."""
    state = online()
    chat = opened(state)
    drops(state, 10.0, code)
    tries_in_vain(state, 20.0)
    assert watched(state) == 1
    assert state.chats.end_lost(10.0 + LOST_SECONDS) is None
    assert chat.done
    opened(state, "NEXT")
    tries_in_vain(state, 60.0)
    assert watched(state) == 2


def test_what_began_after_a_drop_is_not_given_up_with_what_was_lost() -> None:
    state = online()
    old = opened(state, "OLD")
    drops(state, 10.0)
    comes_back(state, 12.0)
    new = opened(state, "NEW")
    assert state.chats.end_lost(60.0) is None
    assert (old.done, new.done) == (True, False)


def test_what_is_yet_to_be_sent_is_not_ended_with_the_connection() -> None:
    """chat §14.2: whoever sends it finds out."""
    state = online()
    chat = opened(state)
    chat.being_sent = True
    drops(state, 10.0, 4010)
    assert not chat.done


def test_numbers_that_cannot_be_read_cost_no_text() -> None:
    state = online()
    chat = opened(state)
    deltas = [{"index": 0, "id": 5, "function": {"name": None, "arguments": 7}}]
    with pytest.raises(ProtocolError, match="usage of a jobTokens frame"):
        state.receive("jobTokens", {"jobID": chat.id, "content": "hi", "usage": [1], "tool_calls": deltas}, 1.0)
    assert (chat.text(), [chunk.content for chunk in chat.take()], chat.tool_calls) == ("hi", ["hi"], [ToolCall()])


def test_a_refusal_says_which_plan_is_missing() -> None:
    """chat §14.4."""
    state = online()
    chat = opened(state)
    said = {"subscriptionLimit": True, "requiredPlans": ["unlimited", 5], "feature": "f", "limitation": "text"}
    frame = {"jobID": chat.id, "error": "subscription_unavailable", "error_code": 4081, **said}
    state.receive("llmJobError", frame, 1.0)
    error = chat.error()
    assert error is not None
    assert (error.subscription_limit, error.required_plans, error.feature, error.limitation) == (
        True, ("unlimited",), "f", "text",
    )  # fmt: skip
    assert (error.subscription_error_code, error.payload) == (4081, frame)
    assert subscription_fields({"subscriptionLimit": 1, "requiredPlans": "all", "feature": 5, "limitation": 5}) == {
        "subscription_limit": False, "required_plans": [], "feature": None, "limitation": None,
    }  # fmt: skip


@pytest.mark.parametrize(("code", "ended"), [(1000, True), (4010, True), (4021, True), (4015, False), (1006, False)])
def test_a_connection_that_ends_for_good_ends_its_answers_unless_it_was_displaced(code: int, ended: bool) -> None:
    state = online()
    chat = opened(state)
    drops(state, 10.0, code)
    assert chat.done == ended


def test_what_has_no_field_of_its_own_is_kept_as_sent() -> None:
    state = online()
    chat = state.chats.by_id["C"] = ChatState("C", state.out)
    state.receive("jobTokens", {"jobID": "C", "content": "a", "role": "assistant", "logprobs": [1]}, 1.0)
    state.receive("llmJobResult", {"jobID": "C", "timeTaken": 1, "fairUse": {"limit": 5}}, 1.0)
    (chunk,) = chat.take()
    assert (chunk.extra, chat.final_result and chat.final_result.extra) == (
        {"logprobs": [1]},
        {"fairUse": {"limit": 5}},
    )
    failed = state.chats.by_id["D"] = ChatState("D", state.out)
    fair_use = {"fairUse": {"limit": 5}}
    state.receive("llmJobError", {"jobID": "D", "error": "e", "feature": "f", **fair_use}, 1.0)
    assert failed.failure == ChatFailure(job_id="D", error="e", message="e", feature="f", extra=fair_use)
