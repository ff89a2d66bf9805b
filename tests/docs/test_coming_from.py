"""The tables of names for users of the published clients."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that generates the tables."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return import_module("coming_from")


def test_the_tables_are_up_to_date(tool: Any) -> None:
    assert tool.main(["--check"]) == 0


@pytest.mark.parametrize("language", ["javascript", "python"])
def test_every_published_name_is_in_a_row(tool: Any, language: str) -> None:
    sections = json.loads((ROOT / f"tests/conformance/{language}-names.json").read_text())["names"]
    listed = [(row.section, name) for row in tool.rows(language) for name in row.names]
    assert sorted(listed) == sorted((section, name) for section, names in sections.items() for name in names)


@pytest.mark.parametrize("language", ["javascript", "python"])
def test_every_row_has_a_name_of_ours_or_a_reason(tool: Any, language: str) -> None:
    wrong = [row for row in tool.rows(language) if bool(row.ours) == bool(row.instead)]
    assert wrong == []
    assert [row.ours for row in tool.rows(language) if row.ours and not tool.exists(row.ours)] == []


def test_no_entry_is_unused(tool: Any) -> None:
    used = {key for language in tool.LANGUAGES for row in tool.rows(language) for key in tool.keys(row)}
    assert {*tool.OURS, *tool.NONE} - tool.CLASSES.keys() - used == set()


def test_a_name_without_a_counterpart_is_reported(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "NONE", {})
    with pytest.raises(ValueError, match=r"no counterpart, in tools/coming_from.py, of .*Logger"):
        list(tool.rows("javascript"))


@pytest.mark.parametrize(
    ("ours", "there"),
    [
        ("client.projects.create", True),
        ("client.projects.crate", False),
        ("client.projects.create(steps)", True),
        ("client.projects.create(stepps)", False),
        ('project.on("job_completed")', True),
        ('project.on("jobCompleted")', False),
        ("ChatError.job_id", True),
        ("ChatError.job", False),
        ("SogniKlient", False),
        ("sogni_async.SogniClient", True),
    ],
)
def test_a_name_of_ours_exists(tool: Any, ours: str, there: bool) -> None:
    assert tool.exists(ours) is there
