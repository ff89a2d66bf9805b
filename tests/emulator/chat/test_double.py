"""The test double that answers chats: its rules, as docs/reference/emulator-behavior.md states them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.emulator.chat.double import answer_to
from sogni.emulator.chat.models import DEFAULT_MODEL, LANGUAGE_MODELS
from sogni.emulator.chat.requests import ChatRequest
from tests.emulator.chat.helpers import IDENTITY, assistant, picture, seeing, user
from tests.emulator.wire import Payload
from tests.tables import each_row

Round = tuple[str, dict[str, Any]]


def answer(*messages: Payload | str, **options: Any) -> Any:
    turns = [user(message) if isinstance(message, str) else message for message in messages]
    return answer_to(ChatRequest(model=LANGUAGE_MODELS[DEFAULT_MODEL], messages=turns, **options))


def test_an_answer_repeats_the_beginning_of_the_last_message() -> None:
    assert answer("Hello", assistant("Hi"), "What now?").text == f"You said: “What now?”. {IDENTITY}"
    assert answer("a" * 101).text == f"You said: “{'a' * 100}…”. {IDENTITY}"
    seen = answer(seeing("And these?", picture("blue", 8, 9, "JPEG"), "https://cdn.test/a.png")).text
    assert seen == f"You said: “And these?”. Images: 8 x 9, of unknown size. {IDENTITY}"


# --- JSON


def json_of(schema: Payload, text: str) -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "made", "schema": schema}}
    made = json.loads(answer(text, response_format=form).text)
    jsonschema.validate(made, schema)
    return made


def one(schema: Payload) -> Payload:
    return {"type": "object", "properties": {"it": schema}, "required": ["it"]}


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}}}


@each_row(
    "schema, text, value",
    [
        ({"type": "string"}, "Meet Ada Lovelace at 'noon'", "Ada Lovelace"),
        ({"type": "string"}, "Say 'it works' to Ada", "it works"),
        ({"type": "string"}, "how are you?", "how are you?"),
        ({"type": "string"}, "how are you? it=well", "well"),
        ({"type": "string"}, 'it="very well" then', "very well"),
        ({"type": "string"}, "it=5", "5"),
        ({"type": "string"}, "", "text"),
        ({"type": "string", "default": "blue"}, "any", "blue"),
        ({"type": "integer"}, "9" * 400, 1),
        ({"type": "number"}, "it=NaN", 1),
        ({"type": "string", "format": "date"}, "any", "2026-01-01"),
        ({"type": "string", "minLength": 6}, "any", "any..."),
        ({"type": "string", "maxLength": 2}, "any", "an"),
        ({"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"}, "any", "AAA-0000"),
        ({"type": "integer"}, "there are 7 of them", 7),
        ({"type": "integer", "minimum": 50}, "there are 7 of them", 50),
        ({"type": ["null", "integer"], "exclusiveMinimum": 50}, "none", 51),
        ({"type": "integer"}, "it=many", 1),
        ({"type": "number", "exclusiveMaximum": 3, "multipleOf": 0.5}, "9", 2.5),
        ({"type": "boolean"}, "any", True),
        ({"type": "boolean"}, "it=false", False),
        ({"type": "null"}, "any", None),
        ({"const": 7}, "any", 7),
        ({"enum": ["sad", "happy"]}, "I am happy.", "happy"),
        ({"enum": ["sad", "happy"]}, "any", "sad"),
        ({"enum": ["sad", "happy"]}, "not sad but it=happy", "happy"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, "3 and 4", [3, 4]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, "3 and 4", []),
        ({"type": "array", "items": {"type": "integer"}}, "it=[3,4]", [3, 4]),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"const": "x"}]}, "5", [5, "x"]),
        ({"anyOf": [{"type": "object", "properties": {"a": {"const": 5}}}, {"type": "null"}]}, "any", {"a": 5}),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"required": ["b"]}]},
            "b",
            {"a": 1, "b": "b"},
        ),
    ],
)
def test_json_fits_the_schema(schema: Payload, text: str, value: Any) -> None:
    assert json_of(one(schema), text) == {"it": value}


def test_recursive_schemas_end() -> None:
    assert json_of({"$defs": {"node": NODE}, "$ref": "#/$defs/node"}, "5")["v"] == 1


def test_json_without_a_schema_has_the_answer() -> None:
    told = json.loads(answer("Hello", response_format={"type": "json_object"}).text)
    assert told == {"answer": answer("Hello").text}


# --- tool calls


def function(name: str, required: Payload, **optional: Payload) -> Payload:
    parameters = {"type": "object", "properties": {**required, **optional}, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": "A function", "parameters": parameters}}


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
OWN = (
    function("get_weather", {"city": TEXT}, unit={"type": "string", "enum": ["celsius", "fahrenheit"]}),
    function("addNumbers", {"a": NUMBER, "b": NUMBER}),
    function("get_time", {"timezone": TEXT}),
)
KINDS = {"generate_image": "image", "edit_image": "image", "generate_music": "audio", "generate_video": "video"}


def converse(question: str | Payload, *tools: Payload, **options: Any) -> tuple[list[Round], str]:
    """Run a client's tool loop: the call of each round, and the final answer."""
    messages: list[Payload] = [user(question) if isinstance(question, str) else question]
    rounds: list[Round] = []
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    for at in range(8):
        said = answer(*messages, tools=tools, **options)
        if not said.calls:
            return rounds, said.text
        (call,) = said.calls
        rounds.append((call.name, json.loads(call.arguments)))
        jsonschema.validate(rounds[-1][1], schemas.get(call.name) or parameters_of(call.name))
        made = {"success": True, "media_type": KINDS.get(call.name), "urls": [f"https://cdn.test/{at}"]}
        result = json.dumps(made) if call.name in tool_names() else "5"
        called = {"id": f"c{at}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [called]})
        messages.append({"role": "tool", "tool_call_id": f"c{at}", "name": call.name, "content": result})
    raise AssertionError("the model never stops calling tools")


@each_row(
    "question, rounds",
    [
        ("Create an image of a kite", [("generate_image", {"prompt": "Create an image of a kite"})]),
        ("A kite video, duration=5", [("generate_video", {"prompt": "A kite video", "duration": 5})]),
        (
            "An image of a kite at width=512 height=768, edit the image, and then turn it into a video, then add music",
            [
                ("edit_image", {"prompt": "An image of a kite at, edit the image", "width": 512, "height": 768}),
                ("generate_video", {"prompt": "turn it into a video", "referenceImageIndices": [0]}),
                ("generate_music", {"prompt": "add music"}),
            ],
        ),
        (
            "One video, then another video, then stitch them",
            [
                ("generate_video", {"prompt": "One video"}),
                ("generate_video", {"prompt": "another video"}),
                ("stitch_video", {"videoIndices": [0, 1]}),
            ],
        ),
        (
            "Enhance this prompt destination_model=ltx25: a kite",
            [
                (
                    "enhance_prompt",
                    {
                        "prompt": "Enhance this prompt a kite",
                        "target_output": "image_prompt",
                        "destination_model": "ltx25",
                    },
                )
            ],
        ),
        ("Hello", []),
    ],
)
def test_hosted_tools_are_called_when_a_part_names_them(question: str, rounds: list[Round]) -> None:
    made, told = converse(question, sogni_tools="creative-tools")
    assert made == rounds
    assert all(f"https://cdn.test/{at}" in told for at in range(len(rounds)))


@each_row(
    "question, rounds",
    [
        ("What's the weather in Oslo?", [("get_weather", {"city": "Oslo"})]),
        ("weather unit=fahrenheit city=Rome", [("get_weather", {"unit": "fahrenheit", "city": "Rome"})]),
        ("add 2 and 3, then the time", [("addNumbers", {"a": 2, "b": 3}), ("get_time", {"timezone": "the time"})]),
        ("Use the get_time tool for Europe/Paris", [("get_time", {"timezone": "Europe/Paris"})]),
        ("What is the capital of France?", []),
    ],
)
def test_functions_are_called_when_a_part_names_them(question: str, rounds: list[Round]) -> None:
    made, told = converse(question, *OWN)
    assert made == rounds
    assert told == " ".join(f"{name} returned 5" for name, _ in rounds) or not rounds


def test_tool_choice_is_respected() -> None:
    assert converse("What's the weather in Rome?", *OWN, tool_choice="none")[0] == []
    assert converse("to Rome", *OWN, tool_choice="required")[0] == [("get_weather", {"city": "Rome"})]
    assert converse("to Rome", *OWN, tool_choice="get_time", named_tool=True)[0] == [("get_time", {"timezone": "Rome"})]


def test_an_upload_has_a_negative_number() -> None:
    made, _ = converse(seeing("Turn this into a video", picture("red", 8, 8)), sogni_tools="creative-tools")
    assert made[0][1]["referenceImageIndices"] == [-1]


def test_a_failed_tool_ends_the_calls_and_is_reported() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "generate_image", "arguments": "{}"}}
    messages: list[Any] = [
        user("An image and then a video"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "generate_image", "content": '{"success":false,"error":"No"}'},
    ]
    said = answer(*messages, sogni_tools="creative-tools")
    assert (said.calls, said.text) == ((), "generate_image failed: No")
