"""The page that says what of the protocol is covered."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that generates the page."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return import_module("protocol_coverage")


def test_the_page_is_up_to_date(tool: Any) -> None:
    assert tool.main(["--check"]) == 0


def test_an_endpoint_that_only_one_source_has_is_reported(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    described = [*tool.described_paths(), tool.Endpoint("/v1/kites/{id}", "account §99")]
    monkeypatch.setattr(tool, "client_paths", lambda: {"/v1/balloons": "sogni/core/balloons.py"})
    found = sorted(tool.inconsistencies(described, {"GET /v1/gliders"}))
    assert found == [
        "account §99 describes /v1/kites/{id}, which METHODS does not have",
        "sogni/core/balloons.py requests /v1/balloons, which no protocol note describes",
        "the emulator serves GET /v1/gliders, which no protocol note describes",
    ]


def test_a_gap_is_listed(tool: Any) -> None:
    gaps: list[str] = []
    tool.row("GET /v1/kites", {"method": "", "emulator": "yes"}, gaps)
    assert gaps == ["- `GET /v1/kites` has no method."]


@pytest.mark.parametrize(
    ("described", "path", "is_that"),
    [
        ("/v1/assets/{id}/bind", "/v1/assets/{}/bind", True),
        ("/v1/assets/{id}", "/v1/assets/{}/bind", False),
        ("/v1/assets/*", "/v1/assets/{}/bind", True),
        ("/v1/media/*Url", "/v1/media/uploadUrl", True),
        ("/v1/media/*Url", "/v1/media/upload", False),
        ("/v1/projects/", "/v1/projects/{}", True),
        ("/api/v{n}/job/estimate/", "/api/v2/job/estimate/{}", True),
        ("/api/v2/job/estimate/spark/fast/a/1", "/api/v2/job/estimate/{}", True),
        ("/api/v2/job/estimate/spark/fast/a/1", "/api/v3/job/estimate/{}", False),
    ],
)
def test_a_note_means_an_endpoint(tool: Any, described: str, path: str, is_that: bool) -> None:
    assert tool.matches(described, path) is is_that
