"""JSON schemas of Python types."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from attrs import define, field, frozen
from jsonschema import Draft202012Validator

from sogni.core.tools.schemas import Member, is_data_class, object_schema, schema_of
from sogni.errors import ValidationError
from sogni.models.answers import read_answer
from sogni.models.base import Model, local
from sogni.models.chat import ChatCost
from tests.tables import each_row


class Colour(Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Odd(Enum):
    THING = object()


@frozen
class Step:
    """One step.

    More about it that a model need not know.
    """

    text: str
    minutes: int = field(default=5, metadata={"description": "How long it takes."})


@frozen
class Recipe:
    title: str
    steps: list[Step]
    main: Annotated[Step, "the one that matters"]
    colour: Colour = Colour.RED
    note: str | None = None


@define
class Tree:
    name: str
    children: list[Tree] = field(factory=list)
    hidden: int = field(default=0, init=False)


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.5
    tags: list[str] = dataclasses.field(default_factory=list)
    seen: int = dataclasses.field(default=0, init=False)


@frozen
class Photo:
    data: bytes


@frozen
class Album:
    photos: dict[str, list[Photo]]


@frozen
class Lost:
    what: Nowhere  # type: ignore[name-defined]  # noqa: F821


def a_local_twin() -> type:
    @frozen
    class Step:
        other: str

    return Step


STEP = {
    "type": "object",
    "description": "One step.",
    "properties": {
        "text": {"type": "string"},
        "minutes": {"type": "integer", "description": "How long it takes.", "default": 5},
    },
    "required": ["text"],
    "additionalProperties": False,
}

TEXT = {"type": "string"}


@each_row(
    ("kind", "schema"),
    [
        (str, TEXT),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Decimal, {"type": "number"}),
        (None, {"type": "null"}),
        (Any, {}),
        (datetime, {"type": "string", "format": "date-time"}),
        (date, {"type": "string", "format": "date"}),
        (time, {"type": "string", "format": "time"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (list, {"type": "array"}),
        (tuple, {"type": "array"}),
        (set, {"type": "array", "uniqueItems": True}),
        (dict, {"type": "object"}),
        (list[str], {"type": "array", "items": TEXT}),
        (Sequence[str], {"type": "array", "items": TEXT}),
        (frozenset[str], {"type": "array", "items": TEXT, "uniqueItems": True}),
        (tuple[str, ...], {"type": "array", "items": TEXT}),
        (
            tuple[str, int],
            {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "minItems": 2, "maxItems": 2},
        ),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Mapping[str, str], {"type": "object", "additionalProperties": TEXT}),
        (str | None, {"anyOf": [TEXT, {"type": "null"}]}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (Literal[Colour.RED], {"type": "string", "enum": ["red"]}),
        (Colour, {"type": "string", "enum": ["red", "blue"], "description": "A colour."}),
        (Annotated[str, 7, "a name"], {"type": "string", "description": "a name"}),
        (Annotated[str, 7], TEXT),
        (Step, STEP),
        (list[Step], {"type": "array", "items": {"$ref": "#/$defs/Step"}, "$defs": {"Step": STEP}}),
    ],
    ids=str,
)
def test_the_schema_of_a_type(kind: Any, schema: dict[str, Any]) -> None:
    assert schema_of(kind) == schema


def test_classes_inside_a_class_are_defined_once() -> None:
    assert schema_of(Recipe) == {
        "type": "object",
        "properties": {
            "title": TEXT,
            "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
            "main": {"$ref": "#/$defs/Step", "description": "the one that matters"},
            "colour": {"type": "string", "enum": ["red", "blue"], "description": "A colour."},
            "note": {"anyOf": [TEXT, {"type": "null"}]},
        },
        "required": ["title", "steps", "main"],
        "additionalProperties": False,
        "$defs": {"Step": STEP},
    }


def test_a_class_may_hold_its_own_kind() -> None:
    made = schema_of(Tree)
    assert made["properties"] == {"name": TEXT, "children": {"type": "array", "items": {"$ref": "#"}}}
    assert made["required"] == ["name"]
    inside = schema_of(list[Tree])
    assert inside["items"] == {"$ref": "#/$defs/Tree"}
    assert inside["$defs"]["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


def test_two_classes_of_one_name_stay_two() -> None:
    twin = a_local_twin()
    made = object_schema("f", [Member("a", Step), Member("b", twin)])
    assert list(made["$defs"]) == ["Step", "Step_"]
    assert made["properties"] == {"a": {"$ref": "#/$defs/Step"}, "b": {"$ref": "#/$defs/Step_"}}


def test_a_dataclass_is_an_object() -> None:
    assert schema_of(Point) == {
        "type": "object",
        "properties": {
            "x": {"type": "number"},
            "y": {"type": "number", "default": 0.5},
            "tags": {"type": "array", "items": TEXT},
        },
        "required": ["x"],
        "additionalProperties": False,
    }


def test_our_own_data_has_the_names_of_the_wire() -> None:
    assert next(iter(schema_of(ChatCost)["properties"])) == "costInUSD"

    @frozen(kw_only=True)
    class Kept(Model):
        here: int = field(default=0, metadata=local())

    assert schema_of(Kept)["properties"] == {}


def test_the_members_of_an_object() -> None:
    """As for the parameters of a function."""
    made = object_schema(
        "search",
        [
            Member("query", str, description="what to look for"),
            Member("place", Step, description="where"),
            Member("limit", int, required=False, default=10),
            Member("colour", Colour, False, None, Colour.RED),
        ],
        "Search.",
    )
    assert made == {
        "type": "object",
        "description": "Search.",
        "properties": {
            "query": {"type": "string", "description": "what to look for"},
            "place": {"allOf": [{"$ref": "#/$defs/Step"}], "description": "where"},
            "limit": {"type": "integer", "default": 10},
            "colour": {"type": "string", "enum": ["red", "blue"], "description": "A colour."},
        },
        "required": ["query", "place"],
        "additionalProperties": False,
        "$defs": {"Step": STEP},
    }


@pytest.mark.parametrize(
    ("kind", "where", "what"),
    [
        (Photo, "Photo.data", "bytes"),
        (Album, "Photo.data", "bytes"),
        (dict[int, str], "dict[int, str]", "dict[int, str]"),
        (type[str], "type[str]", "type[str]"),
        (Odd, "Odd", "object"),
        (7, "7", "7"),
        ([str], "[<class 'str'>]", "[<class 'str'>]"),
    ],
    ids=str,
)
def test_what_json_cannot_carry_is_refused_by_class_and_field(kind: Any, where: str, what: str) -> None:
    with pytest.raises(ValidationError, match="no JSON schema") as caught:
        schema_of(kind)
    assert (caught.value.field, caught.value.value) == (where, what)


def test_names_that_cannot_be_found_are_told() -> None:
    with pytest.raises(ValidationError, match="annotations of Lost cannot be resolved: name 'Nowhere'"):
        schema_of(Lost)


def test_what_is_a_data_class() -> None:
    assert [is_data_class(it) for it in (Step, Point, str, Step("a"), datetime.now(UTC))] == [True, True] + 3 * [False]


@pytest.mark.parametrize("kind", [Recipe, Tree, Point, list[Step], dict[str, Colour | None]], ids=str)
def test_every_schema_is_one(kind: Any) -> None:
    Draft202012Validator.check_schema(schema_of(kind))


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"title": "Soup", "steps": [{"text": "Boil"}], "main": {"text": "Boil", "minutes": 3}}, True),
        ({"title": "Soup", "steps": [], "main": {"text": "Boil"}, "note": None, "colour": "blue"}, True),
        ({"title": "Soup", "steps": [{}], "main": {"text": "Boil"}}, False),
        ({"title": "Soup", "steps": [], "main": {"text": "Boil"}, "colour": "mauve"}, False),
        ({"title": "Soup", "steps": [], "main": {"text": "Boil"}, "more": 1}, False),
    ],
)
def test_what_a_schema_lets_through_can_be_read(given: dict[str, Any], fits: bool) -> None:
    assert Draft202012Validator(schema_of(Recipe)).is_valid(given) == fits
    if fits:
        assert read_answer(Recipe, json.dumps(given)).title == "Soup"
