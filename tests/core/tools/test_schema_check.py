"""Values against a schema, keyword by keyword (tools §3)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sogni.core.tools.schemas import SchemaCheck, is_missing
from tests.tables import each_row


def found(value: Any, schema: dict[str, Any], **options: Any) -> list[str]:
    """The errors."""
    check = SchemaCheck(**options)
    check.value(value, {"properties": {"it": schema}} if "properties" not in schema else schema)
    return check.errors


def about(value: Any, schema: dict[str, Any], **options: Any) -> list[str]:
    """The errors about one value, called `it`."""
    check = SchemaCheck(**options)
    check.value(value, schema, "it")
    return check.errors


@each_row(
    ("kind", "fitting", "others"),
    [
        ("string", ["", "a"], [1, True, None, [], {}]),
        ("number", [0, 1.5, -3], ["1", True, None, math.nan, math.inf]),
        ("integer", [0, 4.0, -3], [1.5, "1", False, math.inf]),
        ("boolean", [True, False], [0, "true", None]),
        ("null", [None], [0, "", False]),
        ("array", [[], (1,)], ["ab", {}]),
        ("object", [{}], [[], "a"]),
        ("colour", [1, "a", None], []),
        (["string", "null"], ["a", None], [1]),
        (None, [1, "a", None, []], []),
    ],
)
def test_a_type_accepts_its_values(kind: Any, fitting: list[Any], others: list[Any]) -> None:
    schema = {} if kind is None else {"type": kind}
    assert [[]] * len(fitting) == [about(value, schema) for value in fitting]
    assert [1] * len(others) == [len(about(value, schema)) for value in others]


@each_row(
    ("value", "schema", "expected"),
    [
        (5, {"const": 5.0}, []),
        (1, {"const": True}, ["it must be true, got 1"]),
        ([1, 2], {"const": [1, 2]}, []),
        ("b", {"enum": ["a", 1]}, ['it must be one of "a", 1, got \'b\'']),
        (True, {"enum": [1]}, ["it must be one of 1, got True"]),
        (1, {"minimum": 2}, ["it must be at least 2, got 1"]),
        (3, {"maximum": 2}, ["it must be at most 2, got 3"]),
        (2, {"minimum": 2, "maximum": 2}, []),
        (2, {"exclusiveMinimum": 2}, ["it must be more than 2, got 2"]),
        (2, {"exclusiveMaximum": 2}, ["it must be less than 2, got 2"]),
        (2, {"minimum": 2, "exclusiveMinimum": True}, ["it must be more than 2, got 2"]),
        (2, {"maximum": 2, "exclusiveMaximum": True}, ["it must be less than 2, got 2"]),
        (2, {"minimum": 2, "maximum": 2, "exclusiveMinimum": False, "exclusiveMaximum": False}, []),
        (2, {"exclusiveMinimum": True, "exclusiveMaximum": True}, []),
        ("a", {"minLength": 2}, ["it must have at least 2 characters, got 1"]),
        ("abc", {"maxLength": 2}, ["it must have at most 2 characters, got 3"]),
        ("ab", {"pattern": "a"}, ["it must match 'a', got 'ab'"]),
        ("ab", {"pattern": "a.", "minLength": 2, "maxLength": 2}, []),
        ([1], {"minItems": 2}, ["it must have at least 2 entries, got 1"]),
        ([1, 2, 3], {"maxItems": 2}, ["it must have at most 2 entries, got 3"]),
        ([1, "a"], {"items": {"type": "number"}}, ["it[1] must be a number, got 'a'"]),
        (["a", 2, None], {"items": [{"type": "number"}]}, ["it[0] must be a number, got 'a'"]),
        (3, {"type": ["string", "null"], "minimum": 9}, ["it must be a string or null, got 3"]),
        (3, {"type": "number", "allOf": [{"minimum": 4}, {"minimum": 5}]},
         ["it must be at least 4, got 3", "it must be at least 5, got 3"]),
        (3, {"anyOf": [{"type": "string"}, {"minimum": 2}]}, []),
        (3, {"anyOf": [{"type": "string"}], "minimum": 9}, ["it must match one of the allowed forms"]),
        (3, {"oneOf": [{"minimum": 2}, {"minimum": 1}], "anyOf": [{}]},
         ["it must match exactly one of the allowed forms"]),
        (3, {"oneOf": [{"minimum": 2}, {"minimum": 8}], "anyOf": [{"minimum": 8}]}, []),
    ],
)  # fmt: skip
def test_keywords(value: Any, schema: dict[str, Any], expected: list[str]) -> None:
    assert expected == about(value, schema)


def test_an_invalid_pattern_is_an_error() -> None:
    (error,) = about("a", {"pattern": "("})
    assert error.split(" (")[0] == "it cannot be checked: its pattern '(' is invalid"


def test_paths_name_properties_and_places() -> None:
    schema = {"properties": {"a": {"items": {"properties": {"b": {"type": "number"}}, "required": ["c"]}}}}
    assert found({"a": [{"b": "x"}]}, schema) == ["a[0].c is required", "a[0].b must be a number, got 'x'"]


def test_the_whole_is_called_arguments() -> None:
    assert found(3, {"type": "object", "properties": {}}) == ["arguments must be an object, got 3"]


@pytest.mark.parametrize("value", [None, "", [], ()])
def test_empty_counts_as_missing(value: Any) -> None:
    assert is_missing(value)
    assert found({"it": value}, {"properties": {}, "required": ["it"]}) == ["it is required"]


@pytest.mark.parametrize("value", [{}, 0, False, " "])
def test_other_values_count_as_given(value: Any) -> None:
    assert found({"it": value}, {"properties": {}, "required": ["it"]}) == []


@pytest.mark.parametrize("skipped", ["model", "deep.model"])
def test_enums_are_skipped_by_name_or_path(skipped: str) -> None:
    schema = {"properties": {"deep": {"properties": {"model": {"enum": ["a"]}}}}}
    assert found({"deep": {"model": "b"}}, schema, skip_enums=[skipped]) == []
    assert found({"deep": {"model": "b"}}, schema, skip_enums=["deep"]) == ["deep.model must be one of \"a\", got 'b'"]


@pytest.mark.parametrize(
    ("text", "kind", "made"),
    [
        ("3", "number", 3), (" 3.5 ", "number", 3.5), ("1e2", "integer", 100), ("TRUE", "boolean", True),
        ("false", ["null", "boolean"], False), ("2", ["boolean", "integer"], 2), ("2.5", ["integer", "number"], 2.5),
    ],
)  # fmt: skip
def test_texts_are_taken_for_what_is_wanted(text: str, kind: Any, made: Any) -> None:
    check = SchemaCheck(coerce=True)
    assert made == check.value(text, {"type": kind}, "it")
    assert (check.errors, len(check.warnings)) == ([], 1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("2.5", "integer"), ("inf", "number"), ("1_0", "number"), ("x", "number"), ("yes", "boolean"), (" ", "number"),
     ("3", "array")],
)  # fmt: skip
def test_other_texts_are_refused(text: str, kind: str) -> None:
    assert len(about(text, {"type": kind}, coerce=True)) == 1


def test_texts_stay_where_texts_are_wanted() -> None:
    check = SchemaCheck(coerce=True)
    assert (check.value("3", {"type": ["number", "string"]}, "it"), check.warnings) == ("3", [])
    assert about("3", {"type": "number"}) == ["it must be a number, got '3'"]


def test_alternatives_give_their_cleaned_value_and_warnings() -> None:
    check = SchemaCheck(coerce=True)
    assert check.value("3", {"anyOf": [{"type": "boolean"}, {"type": "number"}]}, "it") == 3
    assert check.warnings == ["it was the string '3' and is read as 3"]


@pytest.mark.parametrize(
    ("schema", "options", "kept"),
    [
        ({}, {}, {"known": 1, "other": "2", "empty": None}),
        ({"additionalProperties": True}, {}, {"known": 1, "other": "2", "empty": None}),
        ({"additionalProperties": False}, {}, {"known": 1, "empty": None}),
        ({}, {"strip": True}, {"known": 1}),
    ],
)
def test_unknown_properties_are_never_an_error(schema: Any, options: Any, kept: Any) -> None:
    check = SchemaCheck(**options)
    schema = {"properties": {"known": {}}, **schema}
    assert kept == check.value({"known": 1, "other": "2", "empty": None}, schema)
    assert ([], "other" not in kept) == (check.errors, bool(check.warnings))


def test_unknown_properties_fit_the_schema_for_them() -> None:
    schema = {"properties": {}, "additionalProperties": {"type": "number"}}
    assert found({"it": "x"}, schema) == ["it must be a number, got 'x'"]


def test_nothing_that_was_given_is_changed() -> None:
    given = {"list": [{"a": 1}]}
    cleaned = SchemaCheck(strip=True).value(given, {"properties": {"list": {"items": {"properties": {}}}}})
    assert (cleaned, given) == ({"list": [{}]}, {"list": [{"a": 1}]})
