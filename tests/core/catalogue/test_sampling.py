"""Names of samplers and schedulers on the wire, and which a model accepts (projects-4.2 §9.2, §9.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sogni.core.catalogue.state import check_choice, sampler_alias, scheduler_alias
from sogni.core.data import table
from sogni.errors import ValidationError
from sogni.models.catalogue import Choice
from tests.tables import each_row

SHEETS = Path(__file__).parents[3] / "docs" / "protocol"
SAMPLERS = json.loads((SHEETS / "sampler-aliases.json").read_text("utf-8"))["aliases"]
SCHEDULERS = json.loads((SHEETS / "scheduler-aliases.json").read_text("utf-8"))["aliases"]
LISTED = Choice(allowed=["euler", "dpmpp_2m"], default="euler")


@pytest.mark.parametrize("name", ["sampler-aliases", "scheduler-aliases", "model-families"])
def test_the_tables_say_what_the_sheets_say(name: str) -> None:
    assert json.loads((SHEETS / f"{name}.json").read_text("utf-8")) == table(name)


@each_row(("name", "expected"), SAMPLERS.items())
def test_samplers_have_an_alias(name: str, expected: str) -> None:
    assert expected == sampler_alias(name)


@each_row(("name", "expected"), SCHEDULERS.items())
def test_schedulers_have_an_alias(name: str, expected: str) -> None:
    assert expected == scheduler_alias(name)


@pytest.mark.parametrize("name", ["res_multistep", "dpm_pp_2m", None, 3])
def test_other_names_stay_as_they_are(name: Any) -> None:
    assert (name, name) == (sampler_alias(name), scheduler_alias(name))


def test_a_listed_alias_is_sent() -> None:
    assert check_choice("sampler", "dpmpp_2m", LISTED) == "dpmpp_2m"


@pytest.mark.parametrize("choice", [None, Choice()], ids=["no list", "an empty list"])
def test_a_value_for_a_model_without_a_list_is_dropped(choice: Choice | None) -> None:
    assert check_choice("sampler", "euler", choice) is None


@pytest.mark.parametrize("choice", [None, Choice(), LISTED])
def test_nothing_given_is_nothing_sent(choice: Choice | None) -> None:
    assert check_choice("sampler", None, choice) is None


@each_row("choice", [None, Choice(), LISTED])
@each_row("value", ["", " ", 1, True, ["euler"]])
def test_what_is_no_name_is_refused(value: Any, choice: Choice | None) -> None:
    with pytest.raises(ValidationError, match=r"sampler must be a (non-empty )?string"):
        check_choice("sampler", value, choice)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("Euler", "; did you mean 'euler'?"),
        ("DPM++ 2M", "; did you mean 'dpmpp_2m'?"),
        ("EULER", ""),
        ("dpmpp_2n", "; did you mean 'dpmpp_2m'?"),
        ("warp_drive", ""),
    ],
)
def test_only_exact_aliases_are_accepted(value: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_choice("sampler", value, LISTED)
    expected = f"sampler must be one of 'euler', 'dpmpp_2m', got {value!r}{hint}"
    assert (expected, 400, ("euler", "dpmpp_2m")) == (
        caught.value.message,
        caught.value.status,
        caught.value.allowed,
    )
