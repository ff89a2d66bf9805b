"""Whose clock decides when a token expires (transport §5.1)."""

from __future__ import annotations

import base64
import json
from typing import Any

from sogni.core.credentials import clock_at, clock_at_issue, date_of
from tests.tables import each_row

WALL, MONOTONIC = 1_800_000_000.0, 50.0
DAY = 86400.0


def token(**claims: Any) -> str:
    return f"head.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.sign"


@each_row(
    ("headers", "date"),
    [
        ({"date": "Fri, 15 Jan 2027 08:00:00 GMT"}, WALL),
        ({"date": "Fri, 15 Jan 2027 08:00:00"}, WALL),
        ({"date": "Fri, 15 Jan 2027 08:00:00 GMT", "age": "0"}, WALL),
        ({"date": "Fri, 15 Jan 2027 08:00:00 GMT", "age": "30"}, None),
        ({"date": "yesterday"}, None),
        ({"date": "Fri, 31 Dec 9999 23:59:59 -2359"}, None),
        ({"date": "Mon, 01 Jan 99999 00:00:00 GMT"}, None),
        ({"date": ""}, None),
        ({}, None),
    ],
)
def test_when_an_answer_was_given(headers: dict[str, str], date: float | None) -> None:
    assert date_of(headers) == date


def test_a_small_difference_is_none_and_a_large_one_rounds_up() -> None:
    assert clock_at(WALL - 5, MONOTONIC, WALL).latest(MONOTONIC, WALL) == WALL
    assert clock_at(WALL - 6, MONOTONIC, WALL).latest(MONOTONIC, WALL) == WALL - 5


def test_two_clocks_that_part_bound_the_time() -> None:
    clock = clock_at(WALL + DAY, MONOTONIC, WALL)
    slept = (MONOTONIC + 1, WALL + 3601)
    assert (clock.earliest(*slept), clock.latest(*slept)) == (WALL + DAY + 2, WALL + DAY + 3602)


@each_row(
    ("claims", "date", "service_time"),
    [
        ({"iat": WALL - DAY, "exp": WALL - DAY + 3600}, None, WALL - DAY + 1),
        ({"iat": WALL - DAY, "exp": WALL - DAY + 3600}, WALL, WALL - DAY + 1),
        ({"iat": WALL - DAY, "exp": WALL - DAY}, None, WALL - DAY + 1),
        ({"exp": WALL + 3600}, None, None),
        ({"exp": WALL - 3600}, None, WALL - 3600 - 59),
        ({"exp": WALL - 3600}, WALL - DAY, WALL - DAY + 1),
        ({"exp": WALL - 3600}, WALL, WALL - 3600 - 59),
        ({"iat": True, "exp": "soon"}, None, None),
        ({}, WALL + DAY, WALL + DAY + 1),
    ],
)
def test_a_token_is_measured_from_its_issue(claims: Any, date: float | None, service_time: float | None) -> None:
    clock = clock_at_issue(token(**claims), date, MONOTONIC, WALL)
    assert (None if clock is None else clock.latest(MONOTONIC, WALL)) == service_time
