"""Suggestions name what comes close, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.checks import did_you_mean, nearest

KNOWN = ("steps", "guidance", "sampler")


@pytest.mark.parametrize(("name", "expected"), [("stpes", ["steps"]), ("zzz", []), (7, []), (None, [])], ids=repr)
def test_only_texts_that_come_close_are_named(name: Any, expected: list[str]) -> None:
    assert expected == nearest(name, KNOWN)


def test_the_best_comes_first_and_the_number_is_limited() -> None:
    assert nearest("aab", ["abb", "aab1", "aabb", "aab"], 2) == ["aab", "aabb"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sampelr", "; did you mean 'sampler'?"), ("zzz", "")],
)
def test_the_sentence_is_empty_without_a_suggestion(name: str, expected: str) -> None:
    assert expected == did_you_mean(name, KNOWN)


def test_several_suggestions_stand_in_one_sentence() -> None:
    assert did_you_mean("aab", ["aab1", "aabb"]) == "; did you mean 'aabb' or 'aab1'?"
