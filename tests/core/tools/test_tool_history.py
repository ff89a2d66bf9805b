"""Media that tools made earlier in a conversation, for its next round (chat §10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sogni.core.tools.media import AvailableMedia
from sogni.core.tools.results import failed, media_in, names_of, results_of, tool_messages, wants_tools
from sogni.errors import ValidationError
from sogni.models.chat import ChatCompletionResult
from sogni.models.converter import from_dict, to_dict
from sogni.models.tools import ToolCall, ToolExecutionResult, ToolRound


def result(**content: Any) -> dict[str, Any]:
    return {"role": "tool", "content": json.dumps({"success": True, **content})}


def test_messages_tell_what_was_made_and_uploaded() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "up"}}]},
        {"role": "user", "content": "text"},
        result(media_type="image", urls=["a", "b", 3]),
        result(media_type="audio", urls=["song"]),
        result(media_type="video", urls=None),
        result(media_type="model", urls=["m"]),
        {"role": "tool", "content": '{"success": false, "media_type": "image", "urls": ["no"]}'},
        {"role": "tool", "content": "[1]"},
        {"role": "tool", "content": "no JSON"},
        {"role": "tool", "content": None},
        {"role": "user", "content": [{"image_url": "x"}, 3, {"image_url": {"url": 3}}]},
        "no message",
    ]
    assert media_in(messages) == AvailableMedia(images=["a", "b"], audio=["song"], uploaded_images=["up"])


def test_what_the_caller_says_outranks_the_messages() -> None:
    messages = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "up"}}]},
        result(media_type="image", urls=["a"]),
        result(media_type="audio", urls=["b"]),
        result(media_type="video", urls=["v"]),
    ]
    given = AvailableMedia(images=["mine"], audio=["song"], uploaded_images=["own"])
    assert media_in(messages, given) == AvailableMedia(
        images=["mine"], audio=["song"], uploaded_images=["own"], videos=["v"]
    )


def test_turns_tell_calls_and_results() -> None:
    call = ToolCall(id="1")
    answer = ChatCompletionResult(job_id="j", tool_calls=[call])
    turns = tool_messages(answer, [failed(call, "no")])
    assert turns == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "", "arguments": ""}}],
        },
        {"role": "tool", "content": '{"success":false,"error":"no"}', "tool_call_id": "1", "name": ""},
    ]


@pytest.mark.parametrize(
    ("reason", "calls", "expected"),
    [("tool_calls", [ToolCall()], True), ("tool_calls", [], False), ("tool_calls", None, False),
     ("stop", [ToolCall()], False)],
)  # fmt: skip
def test_when_tools_are_wanted(reason: str, calls: Any, expected: bool) -> None:
    assert wants_tools(ChatCompletionResult(job_id="j", finish_reason=reason, tool_calls=calls)) is expected


def test_media_of_tools_get_names() -> None:
    image = ToolExecutionResult(tool_name="generate_image", result_urls=["a", "b"])
    video = ToolExecutionResult(tool_name="generate_video", result_urls=["c"])
    answer = ChatCompletionResult(
        job_id="j", tool_history=[ToolRound(tool_results=[image]), ToolRound(tool_results=[video])]
    )
    assert results_of(answer) == [image, video] == results_of([image, (video,)])
    assert (results_of(image), results_of(ChatCompletionResult(job_id="j"))) == ([image], [])
    assert names_of([image, video]) == (["a", "b", "c"], ["generate_image-0", "generate_image-1", "generate_video-2"])
    assert names_of([video], 7) == (["c"], ["generate_video-7"])
    odd = [ToolExecutionResult(tool_name=name, result_urls=["d"]) for name in ("../../x", "CON.", "c:\\d", "")]
    assert names_of(odd)[1] == ["_.._x-0", "CON-1", "c_d-2", "_-3"]
    with pytest.raises(ValidationError, match="results must be a ToolExecutionResult"):
        results_of("https://x")


def test_an_answer_with_its_rounds_survives_a_round_trip() -> None:
    rounds = [ToolRound(tool_calls=[ToolCall(id="1")], tool_results=[ToolExecutionResult(tool_call_id="1")])]
    answer = ChatCompletionResult(job_id="j", tool_history=rounds)
    assert from_dict(ChatCompletionResult, to_dict(answer)) == answer
