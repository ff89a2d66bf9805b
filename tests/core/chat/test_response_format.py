"""`response_format`: its wire form, and parsing the answer (chat §2.5)."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from sogni.core.chat.requests import AnswerFormat, answer_format
from sogni.core.tools.schemas import schema_of
from sogni.errors import ValidationError
from sogni.models.base import Model
from tests.tables import each_row


@frozen
class Answer:
    """What is to be known."""

    value: int


@frozen
class Plain:
    value: int


@frozen(kw_only=True)
class Format(Model):
    type: str = "json_object"

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.type}


def sent(name: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True, **more}}


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
OWN = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "description": "d"}}


@each_row(
    ("given", "wire", "kind"),
    [
        (None, None, None),
        ({}, None, None),
        (Answer, sent("Answer", schema_of(Answer), description="What is to be known."), Answer),
        (Plain, sent("Plain", schema_of(Plain)), Plain),
        (list[int], sent("answer", schema_of(list[int])), list[int]),
        (SCHEMA, sent("answer", SCHEMA), Any),
        ({**SCHEMA, "title": "My answer!"}, sent("My_answer_", {**SCHEMA, "title": "My answer!"}), Any),
        ({"type": ["object", "null"]}, sent("answer", {"type": ["object", "null"]}), Any),
        ({"anyOf": [SCHEMA], "title": 5}, sent("answer", {"anyOf": [SCHEMA], "title": 5}), Any),
        ({"type": "text"}, {"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}, Any),
        (OWN, OWN, Any),
        ({"type": "json_schema", "json_schema": 5}, {"type": "json_schema", "json_schema": 5}, Any),
        ({"type": "odd"}, {"type": "odd"}, None),
        ({"odd": 1}, {"odd": 1}, None),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": Plain}},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": schema_of(Plain)}},
            Plain,
        ),
        (Format(), {"type": "json_object"}, Any),
    ],
    ids=str,
)
def test_the_form_of_an_answer(given: Any, wire: Any, kind: Any) -> None:
    assert answer_format(given) == AnswerFormat(wire, kind)


@pytest.mark.parametrize("given", [5, "json", Answer(1), [Answer]])
def test_what_is_no_format_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match="response_format must be an attrs class"):
        answer_format(given)


def test_a_class_without_a_schema_is_refused_by_its_field() -> None:
    @frozen
    class Photo:
        data: bytes

    with pytest.raises(ValidationError, match=r"Photo\.data: bytes has no JSON schema"):
        answer_format(Photo)
