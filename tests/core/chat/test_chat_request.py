"""The payload of a chat request (chat §2)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sogni.core.chat.requests import FIELDS, chat_request, check_names, check_sampling, checked_messages
from sogni.errors import ValidationError
from sogni.models.chat import LLMModelInfo, LLMRange
from sogni.models.tools import ToolCall, ToolCallFunction
from tests.tables import each_row

HELLO = [{"role": "user", "content": "hello"}]
BASE = {"jobID": "J", "type": "llm", "model": "qwen", "messages": HELLO}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"a": None}}}


def payload(clients: str | None = None, **options: Any) -> dict[str, Any]:
    """What is sent besides what is always sent."""
    made = chat_request("J", "qwen", HELLO, options, clients)
    assert {key: made.pop(key) for key in BASE} == BASE
    return made


def test_what_is_not_given_is_absent() -> None:
    assert payload() == {}
    assert payload(**dict.fromkeys(FIELDS)) == {}


AS_GIVEN: dict[str, Any] = {
    "max_tokens": 0, "temperature": 0.0, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "stream": False,
    "repetition_penalty": 1.1, "frequency_penalty": -2, "presence_penalty": 2, "stop": ["a", "b"], "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "f"}}, "sogni_tool_execution": False,
}  # fmt: skip
RENAMED: dict[str, tuple[str, Any]] = {
    "token_type": ("tokenType", "spark"),
    "task_profile": ("taskProfile", "coding"),
    "safe_content_filter": ("safeContentFilter", False),
    "billing_mode": ("billingMode", "tokens"),
}


@each_row("name", AS_GIVEN)
def test_sampling_and_tools_keep_their_names_and_values(name: str) -> None:
    assert payload(**{name: AS_GIVEN[name]}) == {name: AS_GIVEN[name]}


@pytest.mark.parametrize("name", RENAMED)
def test_the_services_own_fields_are_camel_case(name: str) -> None:
    wire, value = RENAMED[name]
    assert payload(**{name: value}) == {wire: value}


def test_an_empty_billing_mode_is_none() -> None:
    """chat §2.2."""
    assert payload(billing_mode="") == {}


@pytest.mark.parametrize("think", [True, False])
def test_thinking_is_a_template_argument(think: bool) -> None:
    """chat §2.4."""
    assert payload(think=think) == {"chat_template_kwargs": {"enable_thinking": think}}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (" Rich ", "creative-tools"),
        ("rich", "creative-tools"),
        ("Creative-Agent", "Creative-Agent"),
        ("other", "other"),
        (True, True),
        (False, False),
    ],
)
def test_rich_is_the_old_name_of_the_creative_tools(given: Any, sent: Any) -> None:
    """chat §2.7."""
    assert payload(sogni_tools=given) == {"sogni_tools": sent}


def test_a_response_format_goes_out_as_it_is() -> None:
    assert payload(response_format={"type": "odd"}) == {"response_format": {"type": "odd"}}


def test_a_keyword_nobody_knows_is_refused_with_the_one_that_was_meant() -> None:
    check_names(dict.fromkeys(FIELDS), FIELDS)
    with pytest.raises(TypeError, match="no parameter 'temprature'; did you mean 'temperature'"):
        check_names({"temprature": 1}, FIELDS)


@pytest.mark.parametrize(
    ("own", "clients", "sent"),
    [("a", "b", {"appSource": "a"}), (None, "b", {"appSource": "b"}), ("", "b", {"appSource": "b"}), (None, None, {})],
)
def test_the_app_source_of_a_request_outranks_the_clients(own: Any, clients: Any, sent: Any) -> None:
    assert payload(clients, app_source=own) == sent


def test_messages_keep_their_nulls_and_their_unknown_keys() -> None:
    """chat §2.3, §2.8."""
    call = ToolCall(id="c", function=ToolCallFunction(name="f", arguments="{}"))
    turn = {"role": "assistant", "content": None, "tool_calls": [call], "x": 1}
    parts = {"role": "user", "content": [{"type": "text", "text": "t"}, "odd"]}
    wire = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert checked_messages((turn, parts)) == [{**turn, "tool_calls": [wire]}, parts]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        (["odd"], "messages[0]"),
        ([*HELLO, {"role": "developer", "content": "x"}], "messages[1].role"),
        ([{"content": "x"}], "messages[0].role"),
    ],
)
def test_messages_have_a_known_role(messages: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        checked_messages(messages)
    assert (caught.value.field, bool(caught.value.allowed)) == (field, True)


MODEL_INFO = LLMModelInfo(
    max_output_tokens=LLMRange(min=1, max=8192), temperature=LLMRange(min=0.1, max=1.5), top_k=LLMRange(min=1, max=100)
)


@pytest.mark.parametrize(
    ("name", "value", "model", "limits"),
    [
        ("temperature", 2.1, None, "a number from 0 to 2"),
        ("temperature", 1.6, MODEL_INFO, "a number from 0.1 to 1.5"),
        ("temperature", "hot", None, "a number from 0 to 2"),
        ("top_p", -0.1, MODEL_INFO, "a number from 0 to 1"),
        ("top_k", 101, MODEL_INFO, "a number from 1 to 100"),
        ("frequency_penalty", -2.5, None, "a number from -2 to 2"),
        ("presence_penalty", 3, None, "a number from -2 to 2"),
        ("max_tokens", -1, None, "an integer of 0 or more"),
        ("max_tokens", 1.5, None, "an integer of 0 or more"),
        ("max_tokens", 8193, MODEL_INFO, "an integer from 0 to 8192"),
    ],
)
def test_sampling_is_within_the_ranges_of_the_model(name: str, value: Any, model: Any, limits: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_sampling({name: value}, model, "sampling.")
    assert caught.value.message == f"sampling.{name} must be {limits}, got {value!r}"


def test_sampling_at_the_limits_is_accepted() -> None:
    check_sampling({"temperature": 2, "top_p": 0, "presence_penalty": -2, "top_k": 9999, "max_tokens": 0}, None)
    check_sampling({"temperature": 1.5, "max_tokens": 8192, "top_k": 1, "min_p": None}, MODEL_INFO)
    check_sampling({"temperature": 0}, LLMModelInfo(temperature=LLMRange()))


@pytest.mark.parametrize("messages", ["hello", b"hello", {"role": "user"}, 5, None, iter(HELLO)])
def test_messages_are_a_list(messages: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        checked_messages(messages)
    assert (caught.value.field, caught.value.value) == ("messages", type(messages).__name__)


@pytest.mark.parametrize("content", [math.nan, math.inf])
def test_a_message_json_cannot_carry_is_named(content: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        checked_messages([*HELLO, {"role": "user", "content": content}])
    assert caught.value.field == "messages[1]"
