"""Conversations: the messages that are sent with a question, and those that are kept of an answer."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from sogni.core.chat.conversation import History, question_of
from sogni.errors import ProtocolError, ValidationError
from sogni.models.chat import ChatCompletionResult, ChatMessage, ImageAddress, ImagePart, LLMModelInfo, LLMRange
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall

TEXT = "x" * 400
"""A hundred tokens, and some for the keys around it."""


def user(text: str = TEXT) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def answered(text: str = TEXT, **fields: Any) -> ChatCompletionResult:
    return ChatCompletionResult(job_id="J", content=text, **fields)


def told(turns: int, system: str | None = "be brief") -> History:
    history = History("qwen", system)
    for turn in range(turns):
        history.add_answer(user(f"{turn} {TEXT}"), answered())
    return history


def context(tokens: int, output: float = 100) -> LLMModelInfo:
    return LLMModelInfo(max_context_length=tokens, max_output_tokens=LLMRange(default=output))


def questions(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"].split()[0] for message in messages if message["role"] == "user"]


def test_everything_goes_along_as_long_as_nobody_knows_a_limit() -> None:
    for info in (None, LLMModelInfo(), context(262_144)):
        sent = told(3).request(user("3 next"), info, {})
        assert (sent[0], questions(sent)) == ({"role": "system", "content": "be brief"}, ["0", "1", "2", "3"])
    assert told(0, None).request(user("0"), None, {}) == [{"role": "user", "content": "0"}]


@pytest.mark.parametrize(
    ("tokens", "options", "kept"),
    [
        (1100, {}, ["0", "1", "2", "3"]),
        (700, {}, ["1", "2", "3"]),
        (460, {}, ["2", "3"]),
        (250, {}, ["3"]),
        (10, {}, ["3"]),
        (1100, {"max_tokens": 500}, ["1", "2", "3"]),
        (1100, {"max_tokens": 99_999}, ["1", "2", "3"]),
    ],
)
def test_the_oldest_turns_are_left_out_and_never_the_system_message(
    tokens: int, options: dict[str, Any], kept: list[str]
) -> None:
    history = told(3)
    sent = history.request(user("3 next"), context(tokens), options)
    assert (sent[0]["role"], questions(sent)) == ("system", kept)
    assert len(history.messages) == 6


def test_calls_of_tools_keep_their_results() -> None:
    @frozen
    class Outcome:
        tool_call_id: str
        tool_name: str
        content: str

    @frozen
    class Round:
        tool_calls: list[ToolCall]
        tool_results: list[Outcome]

    call = ToolCall(id="c")
    history = History("qwen", None)
    history.add_answer(user("0"), answered("done", tool_history=[Round([call], [Outcome("c", "f", "{}")])]))
    history.add_answer(user("1"), answered())
    whole = history.request(user("2"), None, {})
    assert whole[:4] == [
        {"role": "user", "content": "0"},
        {"role": "assistant", "content": None, "tool_calls": [to_dict(call)]},
        {"role": "tool", "content": "{}", "tool_call_id": "c", "name": "f"},
        {"role": "assistant", "content": "done"},
    ]
    assert [message["role"] for message in history.request(user("2"), context(250), {})] == [
        "user",
        "assistant",
        "user",
    ]


def test_messages_added_by_hand_belong_to_the_history() -> None:
    history = told(0)
    history.add({"role": "assistant", "content": "Welcome!"})
    history.add_answer(user("0"), answered("", tool_calls=[ToolCall(id="c")]))
    history.add(ChatMessage(role="tool", content="5", tool_call_id="c"))
    sent = history.request(None, None, {})
    assert [message["role"] for message in sent] == ["system", "assistant", "user", "assistant", "tool"]
    assert sent[3]["content"] is None
    history.add({"role": "system", "content": "from now on in French"})
    kept = history.request(user("1"), context(30), {})
    assert [message["content"] for message in kept] == ["be brief", "from now on in French", "1"]
    history.clear()
    assert [message["role"] for message in history.request(user("0"), None, {})] == ["system", "user"]


def test_what_was_thought_is_not_told_again() -> None:
    history = History("qwen", None)
    history.add_answer(user("0"), answered("<think>hm</think>yes"))
    history.add_answer(None, answered(""))
    assert [message.content for message in history.messages] == ["0", "yes", ""]


def test_there_must_be_something_to_ask() -> None:
    with pytest.raises(ValidationError, match="text is required"):
        told(0).request(None, None, {})


def test_only_a_long_history_needs_to_know_the_limit() -> None:
    assert not told(3).may_be_long(user())
    assert told(30).may_be_long(user())


def test_a_question_is_text_and_images() -> None:
    image = ImagePart(image_url=ImageAddress(url="data:x"))
    assert question_of(None, []) is None
    assert question_of("a", []) == ChatMessage(role="user", content="a")
    assert to_dict(question_of("a", [image]))["content"] == [{"type": "text", "text": "a"}, to_dict(image)]
    assert to_dict(question_of(None, [image]))["content"] == [to_dict(image)]
    with pytest.raises(ValidationError):
        question_of(5, [])  # type: ignore[arg-type]


def test_a_conversation_can_be_written_down_and_restored() -> None:
    history = told(2)
    data = to_dict(history.record())
    assert (data["model"], data["system"], len(data["messages"])) == ("qwen", "be brief", 4)
    for given in (data, history.record()):
        other = History("other", None)
        other.restore(given)
        assert other.record() == history.record()
    with pytest.raises(ProtocolError, match=r"\$\.messages\[0\]"):
        history.restore({"model": "m", "messages": [{}]})
    assert len(history.messages) == 4
