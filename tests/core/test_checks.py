"""Checks of strings, numbers, flags and choices, and their error messages."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import sogni.core.checks as checks
from sogni.errors import ValidationError
from tests.tables import each_row

INFINITY, NAN = float("inf"), float("nan")

ACCEPTED: list[tuple[str, Callable[..., Any], Any, dict[str, Any], Any]] = [
    ("a text", checks.text, "a", {}, "a"),
    ("an empty text where it may be", checks.text, "", {}, ""),
    ("a boolean", checks.flag, True, {}, True),
    ("an int", checks.number, 3, {}, 3),
    ("a fraction of a number", checks.number, 0.30000000000000004, {}, 0.30000000000000004),
    ("an integral float becomes an int", checks.number, 512.0, {}, 512),
    ("a number of another library becomes plain", checks.number, Fraction(1, 2), {}, 0.5),
    ("an integer beyond floats stays exact", checks.number, 10**400, {}, 10**400),
    ("a float too large to be written out stays one", checks.number, 1e300, {}, 1e300),
    ("the lower limit itself", checks.number, 0, {"low": 0, "high": 1}, 0),
    ("the upper limit itself", checks.number, 1.0, {"low": 0, "high": 1}, 1),
    ("an integer", checks.integer, 4, {}, 4),
    ("an integral float", checks.integer, 4.0, {"low": 1, "high": 4}, 4),
    ("one of a few", checks.one_of, "fast", {"allowed": ("fast", "relaxed")}, "fast"),
    ("a list", checks.items, ["a"], {"item": checks.text}, ["a"]),
    ("a tuple as a list", checks.items, (1.0, 2), {"item": checks.number}, [1, 2]),
]

REFUSED: list[tuple[Callable[..., Any], Any, dict[str, Any], str]] = [
    (checks.text, 1, {}, "f must be a string, got 1"),
    (checks.text, b"a", {}, "f must be a string, got b'a'"),
    (checks.text, " ", {"empty": False}, "f must be a non-empty string, got ' '"),
    (checks.flag, 1, {}, "f must be True or False, got 1"),
    (checks.number, "1", {}, "f must be a number, got '1'"),
    (checks.number, True, {}, "f must be a number, got True"),
    (checks.number, Decimal(1), {}, "f must be a number, got Decimal('1')"),
    (checks.number, NAN, {}, "f must be a finite number, got nan"),
    (checks.number, INFINITY, {"low": 0, "high": 1}, "f must be a finite number from 0 to 1, got inf"),
    (checks.number, 1.01, {"low": 0, "high": 1}, "f must be a number from 0 to 1, got 1.01"),
    (checks.number, -0.5, {"low": 0, "high": 1}, "f must be a number from 0 to 1, got -0.5"),
    (checks.integer, 1.5, {}, "f must be an integer, got 1.5"),
    (checks.integer, "1", {}, "f must be an integer, got '1'"),
    (checks.integer, False, {}, "f must be an integer, got False"),
    (checks.integer, NAN, {}, "f must be an integer, got nan"),
    (checks.integer, INFINITY, {}, "f must be an integer, got inf"),
    (checks.integer, 0, {"low": 1}, "f must be an integer of 1 or more, got 0"),
    (checks.integer, 101, {"low": 0, "high": 100}, "f must be an integer from 0 to 100, got 101"),
    (
        checks.one_of,
        "slow",
        {"allowed": ["fast", "relaxed"]},
        "f must be one of 'fast', 'relaxed', got 'slow'",
    ),
    (checks.one_of, ["fast"], {"allowed": ("fast",)}, "f must be one of 'fast', got ['fast']"),
    (checks.items, "ab", {"item": checks.text}, "f must be a list, got 'ab'"),
    (checks.items, ["a", 2], {"item": checks.text}, "f[1] must be a string, got 2"),
]


@each_row(("check", "value", "limits", "expected"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_a_value_that_fits_comes_back_plain(
    check: Callable[..., Any], value: Any, limits: dict[str, Any], expected: Any
) -> None:
    actual = check("f", value, **limits)
    assert (type(expected), expected) == (type(actual), actual)


@each_row(("check", "value", "limits", "expected"), REFUSED, ids=[row[3] for row in REFUSED])
def test_a_refusal_names_the_field_the_value_and_what_is_allowed(
    check: Callable[..., Any], value: Any, limits: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        check("f", value, **limits)
    assert expected == caught.value.message


def test_a_refusal_carries_what_it_says() -> None:
    error = checks.invalid_value("network", "slow", ("fast", "relaxed"))
    assert (error.field, error.value, error.allowed, error.status) == (
        "network",
        "slow",
        ("fast", "relaxed"),
        400,
    )


def test_a_refusal_may_have_a_sentence_of_its_own() -> None:
    assert checks.invalid_value("network", 1, "a text", "no network").message == "no network"


def test_what_may_be_none_stays_none() -> None:
    assert checks.optional(checks.integer, "f", None, low=1) is None


def test_what_may_be_none_is_checked_when_it_is_given() -> None:
    assert checks.optional(checks.integer, "f", 2, low=1) == 2


def test_long_values_are_shown_short() -> None:
    assert len(checks.short_repr("x" * 1000)) == 80
