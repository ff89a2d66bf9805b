"""Tool calls that the emulated model makes because of the user's words."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.emulator import LocalSupernet
from sogni.emulator.chat.models import DEFAULT_MODEL, LANGUAGE_MODELS
from sogni.emulator.chat.requests import ChatRequest
from sogni.emulator.chat.tool_choice import ToolChoice
from tests.emulator.chat.helpers import ask, picture, seeing, user
from tests.emulator.wire import Payload, Wire

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
Round = list[tuple[str, dict[str, Any]]]


def function(name: str, description: str, required: Payload, **optional: Payload) -> Payload:
    parameters = {"type": "object", "properties": {**required, **optional}, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = function(
    "get_weather",
    "Get the current weather for a city",
    {"city": TEXT},
    unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
)
TIME = function("get_time", "The current time in a timezone", {"timezone": TEXT})
ADD = function("add", "Add two numbers", {"a": NUMBER, "b": NUMBER})
MULTIPLY = function("multiply", "Multiply two numbers", {"a": NUMBER, "b": NUMBER})
MAIL = function("send_email", "Send an email to somebody", {"to": TEXT, "subject": TEXT, "body": TEXT})
CALCULATOR = function("calculator", "Evaluate an arithmetic expression", {"expression": TEXT})
OWN = [WEATHER, TIME, ADD, MULTIPLY, MAIL]

KINDS = {
    "generate_image": "image", "edit_image": "image", "segment_image": "image", "generate_music": "audio",
    "image_to_3d": "model",
}  # fmt: skip


def result_of(name: str, index: int) -> str:
    if name not in tool_names():
        return "5"
    kind = KINDS.get(name, "video")
    return json.dumps({"success": True, "media_type": kind, "urls": [f"https://cdn.test/{index}-{name}"], "model": "m"})


def converse(question: str | Payload, *tools: Payload, **options: Any) -> tuple[list[Round], str | None]:
    """Run a client's tool loop: all rounds of calls and the final answer, or None if no tool is needed."""
    messages: list[Payload] = [user(question) if isinstance(question, str) else question]
    rounds: list[Round] = []
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    for at in range(8):
        chat_request = ChatRequest(model=LANGUAGE_MODELS[DEFAULT_MODEL], messages=messages, tools=tools, **options)
        answer = ToolChoice(chat_request).answer()
        if answer is None or not answer.calls:
            return rounds, None if answer is None else answer.text
        calls = [
            {"id": f"c{at}-{n}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for n, call in enumerate(answer.calls)
        ]
        rounds.append([(call.name, json.loads(call.arguments)) for call in answer.calls])
        for name, arguments in rounds[-1]:
            jsonschema.validate(arguments, schemas.get(name) or parameters_of(name))
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        for call in calls:
            name = call["function"]["name"]  # type: ignore[index]
            messages.append({"role": "tool", "tool_call_id": call["id"], "name": name, "content": result_of(name, at)})
    raise AssertionError("the model never stops calling tools")


@pytest.mark.parametrize(
    ("question", "rounds"),
    [
        ("Draw a red kite", [[("generate_image", {"prompt": "a red kite"})]]),
        ("Can you generate a picture of a house?", [[("generate_image", {"prompt": "a house"})]]),
        ("create image: a blue bird", [[("generate_image", {"prompt": "a blue bird"})]]),
        ("Create a song about the sea", [[("generate_music", {"prompt": "the sea"})]]),
        ("Make a 5 second video of waves", [[("generate_video", {"prompt": "waves", "duration": 5})]]),
        ("Generate 3 images of a fox", [[("generate_image", {"prompt": "a fox", "numberOfVariations": 3})]]),
        (
            "Create an image of a lighthouse and then turn it into a video",
            [
                [("generate_image", {"prompt": "a lighthouse"})],
                [("generate_video", {"prompt": "a lighthouse, in motion", "referenceImageIndices": [0]})],
            ],
        ),
        (
            "Generate an image of a cat at 512x768, then animate it",
            [
                [("generate_image", {"prompt": "a cat", "width": 512, "height": 768})],
                [("generate_video", {"prompt": "a cat, in motion", "referenceImageIndices": [0]})],
            ],
        ),
        (
            "Draw a robot, edit it to add a hat, turn it into a 6 second video, and write a song about it",
            [
                [("generate_image", {"prompt": "a robot"})],
                [("edit_image", {"prompt": "edit it to add a hat", "sourceImageIndex": 0})],
                [("generate_video", {"prompt": "a robot, in motion", "referenceImageIndices": [1], "duration": 6})],
                [("generate_music", {"prompt": "a robot"})],
            ],
        ),
        (
            "Draw a kite, segment the tail in it, and turn it into a 3D model",
            [
                [("generate_image", {"prompt": "a kite"})],
                [("segment_image", {"sourceImageIndex": 0, "text": "the tail"})],
                [("image_to_3d", {"sourceImageIndex": 1})],
            ],
        ),
        (
            "Enhance this prompt: a kite",
            [
                [
                    (
                        "enhance_prompt",
                        {
                            "prompt": "Enhance this prompt: a kite",
                            "target_output": "image_prompt",
                            "destination_model": "krea-2-turbo",
                        },
                    )
                ]
            ],
        ),
        (
            "Create an image of a cat and an image of a dog",
            [[("generate_image", {"prompt": "a cat"}), ("generate_image", {"prompt": "a dog"})]],
        ),
    ],
)
def test_hosted_tools_are_called_step_by_step(question: str, rounds: list[Round]) -> None:
    made, told = converse(question, sogni_tools="creative-tools")
    assert made == rounds
    for at, calls in enumerate(rounds):
        assert all(f"https://cdn.test/{at}-{name}" in (told or "") for name, _ in calls)


@pytest.mark.parametrize(
    ("question", "rounds"),
    [
        ("What's the weather in Paris?", [[("get_weather", {"city": "Paris"})]]),
        ("Is it raining in Berlin, in fahrenheit?", [[("get_weather", {"city": "Berlin", "unit": "fahrenheit"})]]),
        (
            "What is the weather in Paris and Oslo?",
            [[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})]],
        ),
        (
            "What's the weather in Paris and the time in Tokyo?",
            [[("get_weather", {"city": "Paris"}), ("get_time", {"timezone": "Tokyo"})]],
        ),
        ("Use the get_time tool for Europe/Paris", [[("get_time", {"timezone": "Europe/Paris"})]]),
        ("What is 2 plus 3?", [[("add", {"a": 2, "b": 3})]]),
        (
            "Add 2 and 3 and then multiply the result by 4",
            [[("add", {"a": 2, "b": 3})], [("multiply", {"a": 5, "b": 4})]],
        ),
        (
            "Send an email to bob@example.com with subject 'Hi' and body 'See you'",
            [[("send_email", {"to": "bob@example.com", "subject": "Hi", "body": "See you"})]],
        ),
    ],
)
def test_functions_are_called_when_the_sentence_mentions_them(question: str, rounds: list[Round]) -> None:
    made, told = converse(question, *OWN)
    assert made == rounds
    assert "5" in (told or "")


def test_a_calculator_is_given_the_expression() -> None:
    assert converse("What is 12 * 7?", CALCULATOR)[0] == [[("calculator", {"expression": "12 * 7"})]]


@pytest.mark.parametrize(
    "question", ["Hello", "What is the capital of France?", "Count from 1 to 5", "Tell me a story"]
)
def test_other_questions_call_nothing(question: str) -> None:
    assert converse(question, *OWN, sogni_tools="creative-agent") == ([], None)
    assert converse("What is in this image?", sogni_tools="creative-tools") == ([], None)


def test_tool_choice_is_respected() -> None:
    assert converse("What's the weather in Rome?", WEATHER, tool_choice="none") == ([], None)
    assert converse("Rome", WEATHER, tool_choice="required")[0] == [[("get_weather", {"city": "Rome"})]]
    made, _ = converse("London please", TIME, WEATHER, tool_choice="get_weather", named_tool=True)
    assert made == [[("get_weather", {"city": "London"})]]


def test_an_upload_has_a_negative_index() -> None:
    made, _ = converse(seeing("Turn this image into a video", picture("red", 8, 8)), sogni_tools="creative-tools")
    assert made[0][0][1]["referenceImageIndices"] == [-1]


def test_a_failed_tool_ends_the_steps_and_is_reported() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "generate_image", "arguments": "{}"}}
    failed = {
        "role": "tool",
        "tool_call_id": "c1",
        "name": "generate_image",
        "content": '{"success":false,"error":"No"}',
    }
    messages = [
        user("Draw a cat and then turn it into a video"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        failed,
    ]
    chat_request = ChatRequest(model=LANGUAGE_MODELS[DEFAULT_MODEL], messages=messages, sogni_tools="creative-tools")
    answer = ToolChoice(chat_request).answer()
    assert answer is not None
    assert (answer.calls, answer.text) == ((), "The tool generate_image failed: No")


def test_calls_are_streamed_and_end_with_their_reason(wire: Wire) -> None:
    wire.connect()
    said = ask(wire, "What's the weather in Paris?", tools=[WEATHER])
    assert (said.finish_reason, said.text) == ("tool_calls", "")
    assert [(name, json.loads(arguments)) for name, arguments in said.calls] == [("get_weather", {"city": "Paris"})]
    assert ask(wire, "Hello", tools=[WEATHER]).finish_reason == "stop"
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    turns = [
        user("What's the weather in Paris?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "get_weather", "content": "18 degrees"},
    ]
    assert "18 degrees" in ask(wire, *turns, tools=[WEATHER]).text
    schema = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"]}
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": schema}}
    assert json.loads(ask(wire, *turns, tools=[WEATHER], response_format=form).text) == {"degrees": 18}


def test_the_service_runs_its_own_tools_before_it_answers_on_the_socket(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    before = supernet.account.balance.spark
    said = ask(wire, "Draw a red kite at 256x256", sogni_tools=True, sogni_tool_execution=True, tokenType="spark")
    assert (said.finish_reason, said.calls) == ("stop", [])
    url = said.text.rpartition(" ")[2]
    assert wire.http.get(url, timeout=10).content.startswith(b"\x89PNG")
    spent = before - supernet.account.balance.spark
    paid = [project["costActual"]["costInToken"] for project in supernet.projects]
    assert spent == Decimal(said.result["cost"]["costInToken"]) + sum(map(Decimal, paid))
