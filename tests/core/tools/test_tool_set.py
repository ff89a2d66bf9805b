"""The public helpers of tools: definitions, choices of live models, and reading calls (tools §1.3, §1.4)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.tools.hosted import (
    DIRECT,
    SogniTools,
    as_tool_call,
    build_sogni_tools,
    definition_of,
    is_sogni_tool_call,
    parse_tool_call_arguments,
    tool_names,
)
from sogni.errors import ProtocolError
from sogni.models.catalogue import AvailableModel
from sogni.models.tools import ToolCall, ToolCallFunction

T2V, S2V, V2V = "ltx23-22b-fp8_t2v_distilled", "wan_v2.2-14b-fp8_s2v_lightx2v", "ltx23-22b-fp8_v2v_distilled"


def test_every_tool_has_an_attribute_of_its_name() -> None:
    assert [getattr(SogniTools, name) for name in tool_names()] == SogniTools.all
    assert set(tool_names()) <= set(dir(SogniTools))
    assert repr(SogniTools) == "<SogniTools>"


def test_the_six_that_run_here() -> None:
    assert [tool["function"]["name"] for tool in SogniTools.direct] == list(DIRECT)


def test_an_unknown_tool_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'generate_image'"):
        _ = SogniTools.generate_imagee


@pytest.mark.parametrize("models", [None, [], [AvailableModel(id="x", name="x", worker_count=1, media="model")]])
def test_without_models_tools_stay_as_they_are(models: Any) -> None:
    assert build_sogni_tools(models) == SogniTools.all


def test_models_become_the_choices_of_the_tools_they_run() -> None:
    listed = [
        AvailableModel(id="flux1", name="Flux", worker_count=1, media="image"),
        {"id": "gpt-image-2", "media": "image"},
        {"id": T2V, "media": "video"},
        {"id": S2V, "media": "video"},
        {"id": V2V, "media": "video"},
        {"id": "ace_step_1.5_turbo", "media": "audio"},
        {"id": "of_no_kind"},
    ]
    tools = {tool["function"]["name"]: tool for tool in build_sogni_tools(listed)}
    choices = {
        name: tool["function"]["parameters"]["properties"]["model"]["enum"]
        for name, tool in tools.items()
        if name in DIRECT
    }
    assert choices == {
        "generate_image": ["flux1", "gpt-image-2"],
        "edit_image": ["gpt-image-2"],
        "generate_video": [T2V],
        "sound_to_video": [S2V],
        "video_to_video": [V2V],
        "generate_music": ["ace_step_1.5_turbo"],
    }
    assert tools["generate_video"]["function"]["parameters"]["properties"]["model"]["description"]
    assert all(tools[name] == definition_of(name) for name in tool_names() if name not in DIRECT)


def test_voices_are_no_choice_for_music() -> None:
    listed = [{"id": name, "media": "audio"} for name in ("qwen3_tts_1.7b_custom_voice_bf16", "minimax_music3")]
    tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in build_sogni_tools(listed)}
    assert tools["generate_music"]["properties"]["model"]["enum"] == ["minimax_music3"]


def test_calls_of_all_tools_are_known() -> None:
    assert [is_sogni_tool_call({"function": {"name": name}}) for name in tool_names()] == [True] * 30


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"function": {"name": "orbit_video", "arguments": "{}"}}, True),
        (ToolCall(function=ToolCallFunction(name="generate_image")), True),
        ({"function": {"name": "sogni_generate_image"}}, False),
        ({"function": {}}, False),
        ({"function": 3}, False),
    ],
)
def test_calls_of_the_tools_are_known(call: Any, expected: bool) -> None:
    assert is_sogni_tool_call(call) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [('{"a": [1]}', {"a": [1]}), ("{oops", {}), ("[1]", {}), ("", {}), ("3", {}), ('{"a": NaN}', {})],
)
def test_arguments_are_an_object_or_nothing(text: str, expected: Any) -> None:
    call = {"id": "1", "function": {"name": "x", "arguments": text}}
    assert parse_tool_call_arguments(call) == expected == parse_tool_call_arguments(as_tool_call(call))


def test_what_is_no_call_has_no_arguments() -> None:
    assert parse_tool_call_arguments({"function": []}) == {}
    with pytest.raises(ProtocolError, match="the tool call"):
        as_tool_call({"function": []})
