"""Building a run record from the chats of a turn (replay §2)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sogni.core.replay import RunNotes
from sogni.errors import ChatError, ToolLimitError
from sogni.models.chat import ChatCompletionResult, ChatCost, ChatMessage, TokenUsage
from sogni.models.tools import ToolCall, ToolCallFunction, ToolExecutionResult, ToolRound

ASKED = [{"role": "system", "content": "Be brief."}, ChatMessage(role="user", content="A kite?")]
SENT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A kite?"}]
CALL = ToolCall(id="c1", function=ToolCallFunction(name="generate_image", arguments='{"prompt":"a kite"}'))
CALLED = {"id": "c1", "type": "function", "function": {"name": "generate_image", "arguments": '{"prompt":"a kite"}'}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 1}


def answer(**changes: Any) -> ChatCompletionResult:
    return ChatCompletionResult(
        **{"job_id": "J", "content": "Red.", "usage": TokenUsage(prompt_tokens=3, completion_tokens=1), **changes}
    )


def test_without_chats_there_is_little_to_say() -> None:
    record = RunNotes("r", "s", "a").record()
    assert (record.run_id, record.session_id, record.account_id, record.schema_version) == ("r", "s", "a", 2)
    assert (record.rounds, record.model_id, record.user_request, record.final_response) == ([], None, None, None)
    assert record.extra == {}


def test_a_chat() -> None:
    notes = RunNotes("r")
    notes.begin("qwen", ASKED).answer = answer(worker_name="w", cost=ChatCost(input_tokens=3), time_taken=1.5)
    record = notes.record()
    assert (record.model_id, record.user_request) == ("qwen", "A kite?")
    assert record.final_response == {"content": "Red.", "finish_reason": "stop"}
    assert record.rounds == [
        {
            "round": 0,
            "model_id": "qwen",
            "messages": SENT,
            "job_id": "J",
            "content": "Red.",
            "finish_reason": "stop",
            "usage": USAGE,
            "cost": {"inputTokens": 3},
            "worker_name": "w",
            "time_taken": 1.5,
        }
    ]


def test_a_chat_with_tools_has_a_round_for_each_of_its_calls() -> None:
    done = ToolExecutionResult(tool_call_id="c1", tool_name="generate_image", success=True, content="{}")
    rounds = [ToolRound(round=0, tool_calls=[CALL], tool_results=[done]), {"anything": 1}]
    notes = RunNotes("r")
    notes.begin("qwen", ASKED).answer = answer(tool_history=rounds)
    first, second, last = notes.record().rounds or []
    assert first["messages"] == SENT
    assert first["tool_calls"] == [CALLED]
    assert [it["content"] for it in first["tool_results"]] == ["{}"]
    assert second == {"round": 1, "model_id": "qwen", "tools": {"anything": 1}}
    assert (last["round"], last["content"], "messages" in last) == (2, "Red.", False)


def test_what_tools_did_before_an_error_is_noted() -> None:
    notes = RunNotes("r")
    notes.begin("qwen", ASKED).fail(
        ToolLimitError("on and on", tool_history=[ToolRound(tool_calls=[CALL])], job_id="J")
    )
    first, last = notes.record().rounds or []
    assert (first["messages"], first["tool_calls"], first["tool_results"]) == (SENT, [CALLED], [])
    assert last == {"round": 1, "model_id": "qwen", "error": {"type": "ToolLimitError", "message": "on and on"}}


def test_a_request_for_tools_is_a_final_response() -> None:
    notes = RunNotes("r")
    notes.begin(None, ()).answer = answer(content="", finish_reason="tool_calls", tool_calls=[CALL])
    record = notes.record()
    assert record.final_response == {"content": "", "finish_reason": "tool_calls", "tool_calls": [CALLED]}
    assert (record.rounds or [])[0]["tool_calls"] == [CALLED]


def test_several_chats_are_one_record() -> None:
    notes = RunNotes("r")
    notes.begin("small", [{"role": "assistant", "content": "hm"}]).answer = answer(content="1")
    notes.begin("large", ASKED).answer = answer(content="2")
    notes.begin(None, [{"role": "user", "content": "Later"}]).fail(ChatError("no api_key=abcdef123", job_id="J"))
    record = notes.record()
    assert (record.model_id, record.user_request) == ("large", "A kite?")
    assert record.final_response == {"content": "2", "finish_reason": "stop"}
    assert [it["round"] for it in record.rounds or []] == [0, 1, 2]
    assert (record.rounds or [])[2]["error"] == {"type": "ChatError", "message": "no api_key=***"}


def test_a_stream_is_what_it_ended_with_or_what_it_has_said_so_far() -> None:
    stream = SimpleNamespace(final_result=None, content="Re", tool_calls=[], finish_reason=None)
    notes = RunNotes("r")
    notes.begin("qwen", ASKED).answer = stream
    assert notes.record().final_response == {"content": "Re"}
    stream.final_result = answer()
    assert notes.record().final_response == {"content": "Red.", "finish_reason": "stop"}


@pytest.mark.parametrize("result", [{"id": "run_1"}, SimpleNamespace(content=None, to_dict=lambda: {"id": "run_1"})])
def test_an_answer_of_another_kind_is_noted_whole(result: Any) -> None:
    notes = RunNotes("r")
    notes.begin(None, ()).answer = result
    assert notes.record().rounds == [{"round": 0, "response": {"id": "run_1"}}]


def test_a_request_without_an_answer_yet() -> None:
    notes = RunNotes("r")
    notes.begin("qwen", "no messages")
    assert notes.record().rounds == [{"round": 0, "model_id": "qwen"}]
    assert notes.record().final_response is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("A kite?", "A kite?"),
        ([{"type": "text", "text": "What"}, {"type": "image_url"}, {"type": "text", "text": "is it?"}], "What\nis it?"),
        ([], None),
        (None, None),
    ],
)
def test_the_request_is_what_the_user_said_last(content: Any, text: str | None) -> None:
    notes = RunNotes("r")
    notes.begin(None, [{"role": "user", "content": "Hello"}, "odd", {"role": "user", "content": content}])
    assert notes.record().user_request == text


def test_an_error_of_the_whole_turn() -> None:
    notes = RunNotes("r")
    notes.fail(ValueError("token: abcdef123"))
    assert notes.record().extra == {"error": {"type": "ValueError", "message": "token: ***"}}
