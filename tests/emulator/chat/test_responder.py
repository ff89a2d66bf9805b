"""Answers of the emulated model: they depend on the conversation alone."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sogni.emulator.chat.models import DEFAULT_MODEL, LANGUAGE_MODELS
from sogni.emulator.chat.requests import ChatRequest
from sogni.emulator.chat.responder import Responder
from sogni.emulator.chat.structured import Filler
from tests.emulator.chat.helpers import assistant, picture, seeing, system, user
from tests.emulator.wire import Payload


def say(*messages: Payload | str, **options: Any) -> str:
    turns = [user(message) if isinstance(message, str) else message for message in messages]
    chat_request = ChatRequest(model=LANGUAGE_MODELS[DEFAULT_MODEL], messages=turns, **options)
    return Responder().answer(chat_request).text


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("What is 17 * 23?", "391"),
        ("what's 2+2", "= 4"),
        ("What is twelve plus three minus two?", "13"),
        ("What is 12 plus 30?", "42"),
        ("What is five times six?", "30"),
        ("What is (3 + 4) * 2 - 1?", "13"),
        ("What is 7 divided by 2?", "3.5"),
        ("What is 1,000 + 2,500?", "3500"),
        ("2 to the power of 10", "1024"),
        ("What is 10 / 0?", "not defined"),
        ("What is 7 mod 4?", "3"),
        ("What is -5 + 2?", "-3"),
        ("What is 2 to the power of 100000?", "You said"),
        ("What is 999999999 to the power of 512?", "You said"),
        (f"What is {'1 + ' * 5000}1?", "You said"),
        ("What's 15% of 80?", "12"),
        ("What is the square root of 2?", "1.414214"),
        ("What is the square root of 144?", "12"),
        ("Give me the sum of 3, 4 and 5", "12"),
        ("What is the average of 2, 4 and 9?", "5"),
        ("Which is the largest of 3, 9 and 4?", "9"),
        ("Count from 1 to 5", "1, 2, 3, 4, 5"),
        ("Please count to three", "1, 2, 3"),
        ("Count from 3 to 1", "3, 2, 1"),
        ("How many r's are in strawberry?", "3"),
        ("How many words are in 'the sea is calm'?", "4"),
        ("How many letters are in the word banana?", "6"),
        ('How many vowels are in "emulator"?', "4"),
        ("How many characters are in 'a b'?", "3"),
        ("Reverse the word hello", "olleh"),
        ("Write 'sea' in uppercase", "SEA"),
        ("Sort these alphabetically: pear, apple, fig", "apple, fig, pear"),
        ("Summarise: The sea is calm. The sky is blue.", "The sea is calm."),
        ("What is the capital of France?", "Paris"),
        ("What is the capital of Nowhere?", "do not know"),
        ("How many planets are there?", "8"),
        ("List three colours", "1. red\n2. blue\n3. green"),
        ("Reply with exactly: PONG", "PONG"),
        ("Say hello in one word", "hello"),
        ("Say 'it works'", "it works"),
        ("Say one word", "Hello"),
        ("Repeat after me: the sea is calm", "the sea is calm"),
        ("Hello!", "How can I help"),
        ("Thank you", "welcome"),
        ("Who are you?", DEFAULT_MODEL),
        ("Tell me a story about a lighthouse", "a lighthouse"),
        ("Write a haiku about rain", "\n"),
        ("Explain photosynthesis", "photosynthesis"),
        ("Write a poem about rain", "rain"),
        ("Tell me a joke about cats", "cats"),
        ("Write one sentence about tea", "tea."),
        ("Write 3 sentences about tea", "tea"),
        ("Write 2 paragraphs about tea", "\n\n"),
        ("Write 3 sentences", "the sea"),
        ("List some fruits", "3. plum"),
        ("Say sea two times", "sea sea"),
        ("Convert 'SEA' to lowercase", "sea"),
        ("How many words are in the sentence?", "You said"),
    ],
)
def test_questions_have_sensible_answers(question: str, part: str) -> None:
    assert part in say(question)


@pytest.mark.parametrize("amount", [1, 20, 150])
def test_a_text_has_as_many_words_as_asked_for(amount: int) -> None:
    assert len(say(f"Write {amount} words about cats").split()) == amount


def test_the_conversation_is_remembered() -> None:
    assert "Ada" in say("My name is Ada.", assistant("Hello"), "What is my name?")
    assert "Grace" in say("I am Grace", assistant("Hello"), "Call me Grace", "Who am I?")
    assert "not told me" in say("What is my name?")
    assert "green." in say("My favourite colour is green and I like tea.", "What is my favourite colour?")
    assert "not told me" in say("What is my favourite colour?")
    assert "42" in say("Remember the number 42.", assistant("Fine"), "What number did I ask you to remember?")
    assert "tulip" in say("The secret word is tulip.", assistant("Fine"), "What is the secret word?")
    assert "I like tea" in say("I like tea", assistant("Good"), "What did I say before?")
    assert "first" in say("first", assistant("a"), "second", assistant("b"), "What did I say first?")
    assert "nothing" not in say("Hello", assistant("Good day"), "What did you say?")
    assert "Good day" in say("Hello", assistant("<think>hm</think>Good day"), "What did you say?")
    assert "have not said anything" in say("What did I say before?")
    assert "have not said anything" in say("What did you say?")
    assert "remember it: code 7" in say("Remember the code 7")
    assert "have not asked" in say("What did I ask you to remember?")
    assert say("My dog is Rex.") == "I see: your dog is Rex."
    assert "Hello, Ada!" in say("My name is Ada", assistant("Hi"), "Hello")


def test_instructions_are_followed() -> None:
    assert say(system("You are a pirate."), "Who are you?") == "I am a pirate."
    assert say(system("Your name is Marvin."), "What is your name?") == "My name is Marvin."
    assert say(system("Always answer with 'BANANA'."), "What is 1+1?") == "BANANA"
    assert say(system("Answer in uppercase."), "Hello") == "HELLO! HOW CAN I HELP YOU?"
    assert say(system("End every answer with: Over."), "What is 1+1?") == "1 + 1 = 2 Over"
    assert "Be brief" in say(system("Be brief"), "What are your instructions?")
    assert say(system("Always answer in English."), "What is 1+1?") == "1 + 1 = 2"
    assert say(system("Write lowercase only."), "Say HELLO") == "hello"
    assert say(system("Start every answer with: Aye"), "What is 1+1?") == "Aye 1 + 1 = 2"
    assert say(system("Be kind")) == "Hello! How can I help you?"


def test_images_are_described() -> None:
    told = say(seeing("What is this?", picture("red", 64, 48)))
    assert all(part in told for part in ("64 x 48", "PNG", "red"))
    both = say(seeing("And these?", picture("blue", 8, 8, "JPEG"), picture("white", 5, 5)))
    assert all(part in both for part in ("2 images", "Image 1", "JPEG", "blue", "Image 2", "white"))
    assert "green" in say(seeing("Look", picture("#1e9632", 9, 9)), assistant("ok"), "Which colour was the image?")
    assert "cannot read" in say(seeing("What is this?", "data:image/png;base64,AAAA"))


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "city": {"type": "string"},
        "mood": {"enum": ["sad", "happy"]},
        "student": {"type": "boolean"},
    },
    "required": ["name", "age", "city", "mood", "student"],
    "additionalProperties": False,
}


def json_of(schema: Payload, *messages: Payload | str) -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "made", "schema": schema}}
    made = json.loads(say(*messages, response_format=form))
    jsonschema.validate(made, schema)
    return made


def test_json_for_a_schema_is_filled_from_the_text() -> None:
    made = json_of(PERSON, "John Smith is 34 years old, lives in Oslo, is happy and not a student.")
    assert made == {"name": "John Smith", "age": 34, "city": "Oslo", "mood": "happy", "student": False}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"answer": {"type": "number", "maximum": 3}}, "required": ["answer"]},
        {"type": "array", "items": {"type": "integer", "multipleOf": 5}, "minItems": 2, "maxItems": 3},
        {"type": "object", "properties": {"when": {"type": "string", "format": "date"}}, "required": ["when", "why"]},
        {"type": "string", "minLength": 400},
        {"type": "string", "maxLength": 3},
        {"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"},
        {"type": ["null", "integer"], "exclusiveMinimum": 50},
        {"anyOf": [{"type": "object", "properties": {"a": {"const": 5}}, "required": ["a"]}, {"type": "null"}]},
        {
            "allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"required": ["b"]}],
            "type": "object",
        },
        {
            "$defs": {
                "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}}}
            },
            "$ref": "#/$defs/node",
        },
        {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2},
        {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
        {"type": "object", "properties": {"sentiment": {"type": "string", "enum": ["negative", "positive"]}}},
        {
            "type": "array",
            "items": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
        },
    ],
)
@pytest.mark.parametrize("text", ["I love the 7 red apples and 12 pears of Ada.", "", "Nothing.", "-1.5 ? “x”"])
def test_json_for_a_schema_is_valid_for_any_text(schema: Payload, text: str) -> None:
    json_of(schema, text or user(""))


@pytest.mark.parametrize(
    ("name", "schema", "text", "value"),
    [
        ("contact", {"type": "string", "format": "email"}, "Write to ada@example.com soon.", "ada@example.com"),
        ("link", {"type": "string", "format": "uri"}, "See https://example.com/a, please", "https://example.com/a"),
        ("day", {"type": "string", "format": "date"}, "on 2026-03-04 at noon", "2026-03-04"),
        ("moment", {"type": "string", "format": "date-time"}, "on 2026-03-04", "2026-03-04T12:00:00Z"),
        ("email", {"type": "string"}, "Write to ada@example.com", "ada@example.com"),
        ("start_time", {"type": "string"}, "Meet Bob at 14:30 today", "14:30"),
        ("from", {"type": "string"}, "Fly from Oslo to Rome", "Oslo"),
        ("to", {"type": "string"}, "Fly from Oslo to Rome", "Rome"),
        ("unit", {"type": "string"}, "in Oslo in celsius", "celsius"),
        ("code", {"type": "string", "pattern": "^[A-Z]{2}\\d+$"}, "the part AB12 is missing", "AB12"),
        ("query", {"type": "string"}, "Search for articles about red kites.", "articles about red kites"),
        ("colour", {"type": "string", "default": "blue"}, "any", "blue"),
        ("kind", {"const": 7}, "any", 7),
        ("sizes", {"type": "array", "items": {"type": "integer"}}, "sizes 3, 4 and 5", [3, 4, 5]),
        ("people", {"type": "array", "items": {"type": "string"}}, "Invite: Ada, Bob and Eve", ["Ada", "Bob", "Eve"]),
        ("pair", {"type": "array", "items": [{"type": "integer"}, {"const": "x"}]}, "5", [5, "x"]),
        ("sentiment", {"enum": ["positive", "negative", "neutral"]}, "I love it", "positive"),
        ("sentiment", {"enum": ["positive", "negative", "neutral"]}, "It is terrible", "negative"),
        ("sentiment", {"enum": ["positive", "negative", "neutral"]}, "It is there", "neutral"),
        ("share", {"type": "number", "exclusiveMaximum": 3, "multipleOf": 0.5}, "9", 2.5),
        ("nothing", {"type": "null"}, "any", None),
    ],
)
def test_values_are_found_in_the_text(name: str, schema: Payload, text: str, value: Any) -> None:
    whole = {"type": "object", "properties": {name: schema}, "required": [name]}
    assert Filler(text, text, whole).fill(whole) == {name: value}


def test_json_objects_have_the_named_keys() -> None:
    form = {"type": "json_object"}
    made = json.loads(say("Give me a JSON object with keys 'name' and 'age' for Ada, 36", response_format=form))
    assert made == {"name": "Ada", "age": 36}
    assert json.loads(say("What is 2+2? Answer in JSON", response_format=form)) == {"answer": "2 + 2 = 4"}


WORDS = st.sampled_from(
    [
        "what",
        "is",
        "the",
        "sum",
        "of",
        "3",
        "4",
        ",",
        "my",
        "name",
        "Ada",
        "age",
        ".",
        "how",
        "many",
        "letters",
        "in",
        "'x'",
        "write",
        "20",
        "words",
        "about",
        "sea",
        "count",
        "from",
        "to",
        "1",
        "10",
        "/",
        "0",
        "(",
        ")",
        "^",
        "%",
        "turn",
        "it",
        "into",
        "a",
        "video",
        "create",
        "an",
        "image",
        "then",
        "song",
        "remember",
        "did",
        "i",
        "say",
        "you",
        "json",
        "keys",
        "é",
        "日本",
        "🙂",
        "“",
        "”",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "sort",
        ":",
        "uppercase",
        "capital",
        "list",
        "three",
        "tell",
        "story",
        "edit",
        "add",
        "hat",
        "5",
        "seconds",
        "640x480",
        "*",
        "+",
        "-",
        "reverse",
    ]
)


@given(st.lists(st.lists(WORDS, max_size=20).map(" ".join), min_size=1, max_size=3), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_text_has_a_deterministic_answer(texts: list[str], structured: bool) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}} if structured else None
    told = {say(*texts, response_format=form) for _ in range(2)}
    assert len(told) == 1
    if structured:
        jsonschema.validate(json.loads(told.pop()), PERSON)
