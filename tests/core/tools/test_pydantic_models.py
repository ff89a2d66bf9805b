"""Models of pydantic wherever attrs classes and dataclasses are accepted: formats of answers, arguments, results."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Generic, TypeVar

import pytest
from attrs import frozen
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator, model_validator

from sogni.core.chat.requests import answer_format
from sogni.core.tools.functions import function_tool, tools_given
from sogni.core.tools.results import value_text
from sogni.core.tools.schemas import schema_of
from sogni.errors import ProtocolError, ValidationError
from sogni.models.answers import read_answer
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall, ToolCallFunction
from tests.tables import each_row

T = TypeVar("T")


class Step(BaseModel):
    """One step."""

    text: str
    minutes: int = Field(default=5, ge=1, description="How long it takes.")


class Recipe(BaseModel):
    """How to cook a dish."""

    title: str = Field(alias="dishTitle")
    steps: list[Step]
    day: date | None = None


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    value: dict[str, Step] = {}


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date
    tags: set[str]


class Page(BaseModel, Generic[T]):
    items: list[T]


class Even(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def must_be_even(cls, value: int) -> int:
        if value == 13:
            raise RuntimeError("unlucky")
        if value % 2:
            raise ValueError("must be even")
        return value

    @model_validator(mode="after")
    def must_be_small(self) -> Even:
        if self.value > 100:
            raise ValueError("must be small")
        return self


class Numbers(RootModel[list[int]]):
    pass


class Called(BaseModel):
    back: Callable[[int], str]


@frozen
class Menu:
    soup: Recipe
    trees: dict[str, Tree]


@dataclasses.dataclass
class Shelf:
    steps: list[Step]


def other_step() -> Any:
    class Step(BaseModel):
        height: float

    return Step


def test_a_model_is_sent_as_its_own_schema_closed() -> None:
    form = answer_format(Recipe)
    assert form.kind is Recipe
    assert {key: form.wire["json_schema"][key] for key in ("name", "strict", "description")} == {
        "name": "Recipe", "strict": True, "description": "How to cook a dish.",
    }  # fmt: skip
    schema = form.wire["json_schema"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["dishTitle", "steps"], False)
    assert schema["properties"]["steps"]["items"] == {"$ref": "#/$defs/Step"}
    step = schema["$defs"]["Step"]
    assert (step["additionalProperties"], step["description"], step["properties"]["minutes"]["minimum"]) == (
        False, "One step.", 1,
    )  # fmt: skip
    assert answer_format({"type": "json_schema", "json_schema": {"name": "n", "schema": Recipe}}).kind is Recipe


@each_row(
    ("kind", "value"),
    [
        (Recipe, {"dishTitle": "x", "steps": [{"text": "a"}]}),
        (Tree, {"name": "a", "children": [{"name": "b"}]}),
        (Loose, {"value": {"a": {"text": "b"}}, "more": 1}),
        (Page[Step], {"items": [{"text": "a"}]}),
        (Numbers, [1, 2]),
        (list[Tree], [{"name": "a", "children": [{"name": "b"}]}]),
        (Menu, {"soup": {"dishTitle": "x", "steps": []}, "trees": {"oak": {"name": "a"}}}),
        (Shelf, {"steps": [{"text": "a"}, {"text": "b", "minutes": 3}]}),
    ],
    ids=str,
)
def test_schemas_are_valid_and_describe_what_is_read(kind: Any, value: Any) -> None:
    schema = schema_of(kind)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(value)
    assert "$ref" not in schema
    read_answer(kind, json.dumps(value))


def test_classes_of_the_same_name_have_definitions_of_their_own() -> None:
    other = other_step()

    def cook(first: Shelf, recipe: Recipe, pages: list[Page[other]], step: other, last: Step) -> None: ...

    cook.__annotations__ = {
        "first": Shelf, "recipe": Recipe, "pages": list[Page[other]], "step": other, "last": Step,
    }  # fmt: skip
    schema = function_tool(cook).definition["function"]["parameters"]
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    right = {"first": {"steps": [{"text": "a"}]}, "recipe": {"dishTitle": "x", "steps": [{"text": "a"}]}}
    right |= {"pages": [{"items": [{"height": 1.5}]}], "step": {"height": 2}, "last": {"text": "b"}}
    check.validate(right)
    assert not check.is_valid({**right, "pages": [{"items": [{"text": "a"}]}]})
    assert not check.is_valid({**right, "last": {"height": 1}})


@each_row(
    ("kind", "words"),
    [
        (Called, r"Called: .*has no JSON schema: .*Callable"),
        (list[Called], r"Called has no JSON schema"),
    ],
    ids=str,
)
def test_a_model_without_a_schema_is_refused(kind: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        schema_of(kind)


def test_answers_are_instances_by_the_rules_of_the_model() -> None:
    assert read_answer(Recipe, '{"dishTitle": "x", "steps": [{"text": "a"}], "day": "2026-01-02", "odd": 1}') == Recipe(
        dishTitle="x", steps=[Step(text="a")], day=date(2026, 1, 2)
    )
    assert read_answer(Strict, '{"day": "2026-01-02", "tags": ["a"]}') == Strict(day=date(2026, 1, 2), tags={"a"})
    assert read_answer(Menu, '{"soup": {"dishTitle": "x", "steps": []}, "trees": {}}').soup.title == "x"
    assert read_answer(Numbers, "[1, 2]").root == [1, 2]


@each_row(
    ("kind", "text", "message"),
    [
        (Recipe, '{"steps": []}', r"does not fit Recipe: required field 'dishTitle' is missing at \$\.dishTitle$"),
        (Recipe, '{"dishTitle": "x", "steps": [{"text": "a"}, {}]}', r"'text' is missing at \$\.steps\[1\]\.text$"),
        (
            Recipe,
            '{"dishTitle": 5, "steps": [{"text": "a", "minutes": 0}]}',
            r"valid string, got 5 at \$\.dishTitle; .*greater than or equal to 1, got 0 at \$\.steps\[0\]\.minutes$",
        ),
        (Recipe, "[]", r"got \[\] at \$$"),
        (Menu, '{"soup": {"dishTitle": "x"}, "trees": {}}', r"'steps' is missing at \$\.soup\.steps$"),
        (list[Step], '[{"text": "a"}, {"text": 1}]', r"got 1 at \$\[1\]\.text$"),
        (Even, '{"value": 3}', r"must be even, got 3 at \$\.value$"),
        (Even, '{"value": 200}', r"must be small, got \{'value': 200\} at \$$"),
        (Even, '{"value": 13}', r"unlucky at \$$"),
        (int | Even, '{"value": 3}', "expected one of int, Even"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_with_its_place(kind: Any, text: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message) as caught:
        read_answer(kind, text)
    assert "pydantic.dev" not in str(caught.value)


def cook(step: Step, note: Annotated[str, Field(description="What to mind.")] = "", *, last: Step | None = None) -> Any:
    """Cook."""
    return step


def call(arguments: str) -> ToolCall:
    return ToolCall(id="1", function=ToolCallFunction(name="cook", arguments=arguments))


def test_arguments_of_functions_are_instances() -> None:
    tool = function_tool(cook)
    parameters = tool.definition["function"]["parameters"]
    assert parameters["properties"]["step"] == {"$ref": "#/$defs/Step"}
    assert parameters["properties"]["note"] == {"type": "string", "description": "What to mind.", "default": ""}
    assert tool.arguments(call('{"step": {"text": "a"}, "last": {"text": "b"}}')) == {
        "step": Step(text="a"), "last": Step(text="b"),
    }  # fmt: skip
    with pytest.raises(ValidationError, match=r"'step' is invalid: required field 'text' is missing at \$\.text"):
        tool.arguments(call('{"step": {}}'))
    assert function_tool(functools.partial(cook, note="x")).required == {"step"}


@frozen
class Pot:
    size: Annotated[int, Field(ge=1)]


def stir(
    minutes: Annotated[int, Field(ge=1, description="How long.")],
    speed: Annotated[float | None, Field(gt=0)] = None,
    steps: Annotated[list[Step], Field(max_length=1)] = [],  # noqa: B006  a default for the schema
    pots: Annotated[list[Pot], Field(max_length=1)] = [],  # noqa: B006
) -> None:
    """Stir."""


def test_constraints_of_parameters_are_described_and_checked() -> None:
    tool = function_tool(stir)
    properties = tool.definition["function"]["parameters"]["properties"]
    assert properties["minutes"] == {"type": "integer", "minimum": 1, "description": "How long."}
    assert properties["speed"] == {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]}
    assert properties["steps"] == {"type": "array", "items": {"$ref": "#/$defs/Step"}, "maxItems": 1}
    # pydantic does not know attrs classes.
    assert properties["pots"] == {"type": "array", "items": {"$ref": "#/$defs/Pot"}}
    given = {"minutes": 2, "speed": None, "steps": [{"text": "a"}], "pots": [{"size": 1}] * 2}
    assert tool.arguments(call(json.dumps(given))) == {**given, "steps": [Step(text="a")], "pots": [Pot(1)] * 2}


@each_row(
    ("given", "message"),
    [
        ({"minutes": 0}, "'minutes' is invalid: Input should be greater than or equal to 1, got 0"),
        ({"minutes": "long"}, "'minutes' is invalid"),
        ({"minutes": 1, "speed": 0.0}, "'speed' is invalid: Input should be greater than 0, got 0.0"),
        ({"minutes": 1, "steps": [{"text": "a"}] * 2}, "'steps' is invalid: List should have at most 1 item"),
        ({"minutes": 1, "pots": [{"size": 0}]}, "greater than or equal to 1, got 0 at"),
    ],
)
def test_arguments_beyond_a_constraint_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        function_tool(stir).arguments(call(json.dumps(given)))


def test_results_of_functions_are_written_as_json() -> None:
    recipe = Recipe(dishTitle="x", steps=[Step(text="é")], day=date(2026, 1, 2))
    text = '{"dishTitle":"x","steps":[{"text":"é","minutes":5}],"day":"2026-01-02"}'
    assert value_text(recipe) == text
    assert value_text([recipe]) == f"[{text}]"
    assert value_text(Shelf([Step(text="a")])) == '{"steps":[{"text":"a","minutes":5}]}'
    assert to_dict({"recipe": recipe})["recipe"]["day"] == "2026-01-02"
    with pytest.raises(ValidationError, match="cannot be written as JSON"):
        value_text(Recipe)


def test_definitions_and_formats_may_be_models() -> None:
    class Tool(BaseModel):
        type: str = "function"

    assert tools_given([Tool()]) == ([{"type": "function"}], {})
    with pytest.raises(ValidationError, match="a pydantic model"):
        answer_format(Step(text="a"))


def test_pydantic_is_not_imported_by_the_packages() -> None:
    script = (
        "import sys, sogni, sogni_async; sogni.SogniClient; sogni_async.SogniClient; print('pydantic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
