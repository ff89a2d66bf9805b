"""Parsing the text of an answer: reasoning, and JSON as an instance of a class (chat §2.4)."""

from __future__ import annotations

import dataclasses
import pickle
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from sogni.errors import ProtocolError
from sogni.models.answers import ThinkingFilter, ThinkingSplitter, read_answer, split_thinking, without_thinking
from sogni.models.chat import ChatCompletionResult, ChatMessage, ImageAddress, ImagePart, TextPart
from sogni.models.converter import from_dict, to_dict
from sogni.models.tools import ToolCall
from tests.tables import each_row


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<think>a\nb</think>\n\nanswer", "answer"),
        ("one <think>x</think>two<think>y</think> three", "one twothree"),
        ("answer<think>cut of", "answer"),
        ("<think>", ""),
        ("a < b </think>", "a < b </think>"),
    ],
)
def test_thinking_is_left_out(text: str, shown: str) -> None:
    assert without_thinking(text) == shown


TEXTS = ["<think>hm</think>\n\nAn <b>answer</b>", "no tags <thin", "a<think>b", "", "<think></think>x", "< think>y"]


@each_row("size", [1, 2, 3, 5, 8, 100])
@each_row("text", TEXTS)
def test_a_stream_shows_what_the_whole_text_would(text: str, size: int) -> None:
    thinking = ThinkingFilter()
    shown = [thinking.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(shown) + thinking.end() == without_thinking(text)


@given(lists(sampled_from(["<think>", "</think>", "<th", "ink>", "</", "a", " ", "\n", "<", "b"]), max_size=12))
def test_pieces_and_the_whole_agree_on_any_text(pieces: list[str]) -> None:
    thinking = ThinkingFilter()
    shown = "".join(thinking.feed(piece) for piece in pieces) + thinking.end()
    assert shown == without_thinking("".join(pieces))


def test_text_that_cannot_be_a_tag_is_shown_at_once() -> None:
    thinking = ThinkingFilter()
    assert [thinking.feed(piece) for piece in ("one ", "<th", "e ", "<think", ">x</", "think> ", " y")] == [
        "one ", "", "<the ", "", "", "", "y",
    ]  # fmt: skip


@given(lists(sampled_from(["<think>", "</think>", "<th", "ink>", "</", "a", " ", "\n", "<", "b"]), max_size=12))
def test_thinking_is_the_same_however_it_is_cut(pieces: list[str]) -> None:
    splitter = ThinkingSplitter()
    parts = [*map(splitter.feed, pieces), splitter.end()]
    together = "".join(answer for answer, _ in parts), "".join(thinking for _, thinking in parts)
    assert together == split_thinking("".join(pieces))
    assert together[1] == together[1].strip()


@each_row(
    ("text", "thinking"),
    [
        ("plain", ""),
        ("<think>\n6 < 7.\n</think>\n\nYes", "6 < 7."),
        ("<think>a </think>b<think> c</think>", "a  c"),
        ("b<think>cut </thi", "cut </thi"),
    ],
)
def test_thinking_is_kept_apart(text: str, thinking: str) -> None:
    assert split_thinking(text) == (without_thinking(text), thinking)


def test_space_in_thinking_waits_for_what_follows_it() -> None:
    splitter = ThinkingSplitter()
    pieces = ("<think>\n", "one", " ", "two\n", "</think>", "three ")
    assert [splitter.feed(piece) for piece in pieces] == [
        ("", ""), ("", "one"), ("", ""), ("", " two"), ("", ""), ("three ", ""),
    ]  # fmt: skip


# --- JSON


class Colour(Enum):
    RED = "red"


@frozen
class Step:
    text: str
    minutes: int = 5


@dataclasses.dataclass
class Size:
    width: int


@frozen
class Recipe:
    title: str
    steps: list[Step] = field(factory=list)
    size: Size | None = None
    colour: Colour = Colour.RED
    kind: Literal["cake", "soup"] = "soup"
    amount: int | float | str = 0
    other: dict[str, list[int]] = field(factory=dict)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ('{"title": "x"}', Recipe("x")),
        ('<think>{"title": 1}</think> {"title": "x"}', Recipe("x")),
        ('```json\n{"title": "x"}\n```', Recipe("x")),
        ('{"title": "x", "size": null, "unknown": 1}', Recipe("x")),
        (
            '{"title": "x", "steps": [{"text": "a"}, {"text": "b", "minutes": 2}], "size": {"width": 3}}',
            Recipe("x", [Step("a"), Step("b", 2)], Size(3)),
        ),
        (
            '{"title": "x", "colour": "red", "kind": "cake", "amount": "a lot"}',
            Recipe("x", kind="cake", amount="a lot"),
        ),
        ('{"title": "x", "amount": 1.5, "other": {"a": [1]}}', Recipe("x", amount=1.5, other={"a": [1]})),
    ],
)
def test_an_answer_becomes_an_instance(text: str, made: Recipe) -> None:
    assert read_answer(Recipe, text) == made


@each_row(
    ("kind", "text", "value"),
    [
        (Any, '{"a": [1]}', {"a": [1]}),
        (list[int], "[1, 2]", [1, 2]),
        (list, '[1, "a"]', [1, "a"]),
        (set[str], '["a", "a"]', {"a"}),
        (tuple[int, ...], "[1]", (1,)),
        (tuple, "[1]", (1,)),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (int | None, "null", None),
        (int | str, '"a"', "a"),
        (Annotated[int, "told"], "1", 1),
        (datetime, '"2026-01-02T03:04:05+00:00"', datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (date, '"2026-01-02"', date(2026, 1, 2)),
        (time, '"03:04"', time(3, 4)),
        (UUID, '"00000000-0000-0000-0000-000000000001"', UUID(int=1)),
    ],
    ids=str,
)
def test_an_answer_becomes_what_was_asked_for(kind: Any, text: str, value: Any) -> None:
    assert read_answer(kind, text) == value


@each_row(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value"),
        ("Sure! {}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("null", "expected an object, got None at \\$"),
        ("[]", "expected an object, got \\[\\] at \\$"),
        ("{}", "required field 'title' is missing at \\$.title"),
        ('{"title": 5}', "expected a string, got int at \\$.title"),
        ('{"title": "x", "steps": "ab"}', "expected a list, got 'ab' at \\$.steps"),
        ('{"title": "x", "steps": [{"text": "a"}, {}]}', "'text' is missing at \\$.steps\\[1\\].text"),
        ('{"title": "x", "steps": [{"text": "a", "minutes": "b"}]}', "'b' at \\$.steps\\[0\\].minutes"),
        ('{"title": "x", "amount": []}', "expected one of int, float, str, got \\[\\] at \\$.amount"),
        ('{"title": "x", "kind": "pie"}', "pie.* at \\$.kind"),
        ('{"title": "x", "colour": "mauve"}', "mauve.* at \\$.colour"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        read_answer(Recipe, text)


def test_a_time_is_a_text() -> None:
    with pytest.raises(ProtocolError, match="expected a date, got 5"):
        read_answer(date, "5")


# --- results and messages


def result(content: str, **fields: Any) -> ChatCompletionResult:
    return ChatCompletionResult(job_id="J", content=content, **fields)


def test_a_result_holds_what_was_asked_for() -> None:
    made = result('{"title": "x"}', answer_type=Recipe)
    assert made.parsed == Recipe("x")
    assert (result("text").parsed, result("[1]", answer_type=Any).parsed) == (None, [1])
    assert "answer" not in str(to_dict(made))
    assert pickle.loads(pickle.dumps(made)).parsed == Recipe("x")


def test_any_answer_can_be_read_as_a_class() -> None:
    assert result('{"title": "x"}').parsed_as(Recipe).title == "x"
    with pytest.raises(ProtocolError, match=r"\$\.title"):
        result("{}", answer_type=Any).parsed_as(Recipe)


def test_an_answer_that_was_cut_off_says_so() -> None:
    with pytest.raises(ProtocolError) as caught:
        result("{", answer_type=Recipe, finish_reason="length").parsed
    assert caught.value.__notes__ == ["the answer was cut off at max_tokens"]
    with pytest.raises(ProtocolError) as caught:
        result("{", answer_type=Recipe).parsed
    assert not hasattr(caught.value, "__notes__")


def test_an_answer_is_the_next_message() -> None:
    call = ToolCall(id="c")
    assert to_dict(result("hi").message) == {"role": "assistant", "content": "hi"}
    assert to_dict(result("", tool_calls=[call]).message) == {
        "role": "assistant", "content": None, "tool_calls": [to_dict(call)],
    }  # fmt: skip


def test_messages_are_data_like_any_other() -> None:
    message = ChatMessage(role="tool", content=[TextPart(text="t")], tool_call_id="c", name="f", extra={"x": 1})
    wire = {"role": "tool", "content": [{"text": "t", "type": "text"}], "tool_call_id": "c", "name": "f", "x": 1}
    assert to_dict(message) == wire
    assert to_dict(from_dict(ChatMessage, wire)) == wire


def test_an_image_is_not_shown_whole() -> None:
    shown = repr(ImagePart(image_url=ImageAddress(url="data:image/png;base64," + "A" * 99)))
    assert "A" * 30 not in shown
    assert "sig" not in repr(ImageAddress(url="https://cdn.sogni.ai/a?sig=1"))
