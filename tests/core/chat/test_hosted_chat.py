"""Hosted chats and tools over REST (chat §11, §14.5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import frozen

from sogni.core.chat.flows import hosted_completion, run_hosted_tool
from sogni.core.chat.requests import HOSTED_FIELDS as FIELDS
from sogni.core.chat.requests import NO_TIME_LIMIT
from sogni.core.http import HttpCall, HttpReply
from sogni.errors import ApiError, AuthenticationError, ChatError, ProtocolError, ValidationError
from sogni.models.chat import ChatMessage, HostedChatCompletionResult
from sogni.models.converter import to_dict
from tests.core.play import Stage, bare, refused
from tests.tables import each_row

HELLO = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": None, "tool_calls": []}]
POST = "POST rest/v1/chat/completions"
TOOL = "POST rest/v1/creative-agent/tools/execute"
ANSWER = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "qwen",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


class Listener(Stage):
    """A stage that keeps what was asked."""

    calls: list[HttpCall]

    def _answer(self, step: Any) -> Any:
        self.calls = [*getattr(self, "calls", []), step.call]
        return super()._answer(step)


def asked(options: dict[str, Any], timeout: float | None = 9, **settings: Any) -> HttpCall:
    stage = Listener(**settings)
    stage.play(hosted_completion("qwen", HELLO, options, None, timeout), (POST, bare(ANSWER)))
    return stage.calls[0]


def test_an_answer_is_read_as_it_came() -> None:
    found = Stage().play(hosted_completion("qwen", HELLO, {}, False, 9), (POST, bare(ANSWER)))
    assert to_dict(found) == ANSWER
    assert (found.content, found.message, found.created_at, found.parsed) == (
        "hi", ChatMessage(role="assistant", content="hi"), datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), None,
    )  # fmt: skip


def test_an_empty_answer_has_no_text() -> None:
    empty = HostedChatCompletionResult()
    assert (empty.content, empty.message, empty.created_at, empty.parsed) == ("", None, None, None)


def test_calls_workflows_and_tool_results_are_kept() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    more = {
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "creative_workflows": [
            {"workflowId": "w", "status": "queued", "url": "/v1/w", "eventsUrl": "e", "streamUrl": "s"}
        ],
        "sogni_tool_results": [{"anything": 1}],
    }
    found = Stage().play(hosted_completion("qwen", HELLO, {}, None, 9), (POST, bare({"data": {**ANSWER, **more}})))
    assert to_dict(found) == {**ANSWER, **more}
    assert found.creative_workflows is not None
    assert (found.content, found.creative_workflows[0].workflow_id) == ("", "w")


@frozen
class Size:
    width: int


def test_an_answer_becomes_what_was_asked_for() -> None:
    message = {"role": "assistant", "content": '{"width": 3}'}
    answer = bare({**ANSWER, "choices": [{"message": message}]})
    found = Stage().play(hosted_completion("qwen", HELLO, {"response_format": Size}, None, 9), (POST, answer))
    assert found.parsed == Size(3)


AS_GIVEN: dict[str, Any] = {
    "max_tokens": 0, "temperature": 0.5, "top_p": 1, "top_k": 2, "min_p": 0, "repetition_penalty": 1,
    "frequency_penalty": 0, "presence_penalty": 0, "stop": ["a"], "token_type": "spark", "tools": [{"a": None}],
    "tool_choice": "auto", "sogni_tool_execution": False, "task_profile": "coding", "media_references": [{"url": "u"}],
    "api_media_references": [], "chat_template_kwargs": {"x": 1}, "response_format": {"type": "text"},
    "safe_content_filter": False, "app_source": "shop",
}  # fmt: skip


@each_row(
    ("given", "sent"),
    [
        *(({name: value}, {name: value}) for name, value in AS_GIVEN.items()),
        ({"sogni_tools": "rich"}, {"sogni_tools": "creative-tools"}),
        ({"billing_mode": "auto"}, {"billingMode": "auto"}),
        ({"billing_mode": ""}, {}),
        ({"think": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"think": True, "chat_template_kwargs": {}}, {"chat_template_kwargs": {}}),
        (dict.fromkeys(sorted(FIELDS)), {}),
    ],
    ids=str,
)
def test_what_is_asked(given: dict[str, Any], sent: dict[str, Any]) -> None:
    """chat §11.1."""
    assert asked(given).body == {"model": "qwen", "messages": HELLO, **sent}


def test_every_keyword_is_asked_somehow() -> None:
    assert {*AS_GIVEN, "sogni_tools", "billing_mode", "think", "attribution"} == FIELDS
    assert "X-Sogni-Workload-Kind" in asked({"attribution": {"workload_kind": "direct"}}).headers


def test_the_application_is_named_in_body_and_header() -> None:
    for call in (asked({}, app_source="shop"), asked({"app_source": "shop"}, app_source="other")):
        assert (call.body["app_source"], dict(call.headers)) == ("shop", {"X-App-Source": "shop"})
    assert dict(asked({}).headers) == {}


def test_nothing_is_asked_twice_and_time_has_a_limit() -> None:
    assert (asked({}).timeout, asked({}, None).timeout, asked({}).repeatable) == (9, NO_TIME_LIMIT, False)


def test_mistakes_are_found_before_anything_is_sent() -> None:
    Stage().fail(ValidationError, hosted_completion("qwen", HELLO, {}, True, 9))
    Stage().fail(TypeError, hosted_completion("qwen", HELLO, {"temprature": 1}, None, 9))
    Stage().fail(ValidationError, hosted_completion("qwen", "hello", {}, None, 9))
    error = Stage().fail(ValidationError, hosted_completion("qwen", HELLO, {"tools": [b"x"]}, None, 9))
    assert error.field == "tools[0]"


def test_a_refusal_is_an_error_of_the_chat_where_it_says_why() -> None:
    error = Stage().fail(ApiError, hosted_completion("qwen", HELLO, {}, None, 9), (POST, refused(400, "no")))
    assert not isinstance(error, ChatError)
    answer = HttpReply(status=400, body=b'{"error": {"type": "model_unavailable", "message": "gone"}}')
    failed = Stage().fail(ChatError, hosted_completion("qwen", HELLO, {}, None, 9), (POST, answer))
    assert (failed.error_type, failed.message, failed.job_id) == ("model_unavailable", "gone", None)


def test_odd_facts_beside_an_answer_do_not_lose_it() -> None:
    odd = {"id": 5, "created": "now", "creative_workflows": [{"workflowId": 7}]}
    found = Stage().play(hosted_completion("qwen", HELLO, {}, None, 9), (POST, bare({**ANSWER, **odd})))
    assert (found.content, found.id, found.extra["id"]) == ("hi", None, 5)


@pytest.mark.parametrize("body", [b"fine", b"[]", b'{"choices": 5}', b'{"data": 5}'])
def test_what_is_no_answer_is_told(body: bytes) -> None:
    Stage().fail(ProtocolError, hosted_completion("qwen", HELLO, {}, None, 9), (POST, HttpReply(status=200, body=body)))


def test_credentials_that_are_no_good_are_cleared() -> None:
    stage = Stage()
    stage.fail(AuthenticationError, hosted_completion("qwen", HELLO, {}, None, 9), (POST, refused(401)))
    assert not stage.state.session.signed_in


# --- tools (chat §14.5)


def run(stage: Stage, *script: Any, tool: Any = "compose_lyrics", arguments: Any = None, **options: Any) -> Any:
    given = {"token_type": None, "safe_content_filter": None, **options}
    source = given.pop("app_source", None)
    return stage.play(
        run_hosted_tool(tool, {"topic": "sea"} if arguments is None else arguments, 9, source, **given), *script
    )


def test_a_tool_is_run() -> None:
    data = {"toolCallId": "t", "tool": "compose_lyrics", "result": {"lyrics": "la"}, "message": None}
    stage = Listener(app_source="shop")
    found = run(stage, (TOOL, bare({"status": "success", "data": data})), token_type="auto", safe_content_filter=False)
    assert (found.status, found.data.tool, found.data.result, found.data.message) == (
        "success", "compose_lyrics", {"lyrics": "la"}, None,
    )  # fmt: skip
    call = stage.calls[0]
    assert call.body == {
        "tool": "compose_lyrics", "arguments": {"topic": "sea"}, "app_source": "shop", "token_type": "auto",
        "safe_content_filter": False,
    }  # fmt: skip
    assert (dict(call.headers), call.timeout) == ({"X-App-Source": "shop"}, 9)


def test_a_refused_tool_is_no_chat() -> None:
    answer = HttpReply(status=400, body=b'{"error": {"type": "t", "message": "m"}}')
    with pytest.raises(ApiError) as caught:
        run(Stage(), (TOOL, answer))
    assert not isinstance(caught.value, ChatError)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tool": ""}, "tool"),
        ({"tool": 5}, "tool"),
        ({"arguments": "x"}, "arguments"),
        ({"arguments": {"a": b""}}, "arguments"),
    ],
)
def test_what_is_no_tool_call_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        run(Stage(), **given)
    assert caught.value.field == field
