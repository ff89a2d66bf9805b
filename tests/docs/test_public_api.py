"""The record of the public API changes only together with the changelog."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import public_api  # noqa: E402

pytest.importorskip("sogni_async.client", reason="aiohttp is not installed")

API = "sogni.Image.save() -> Path\n"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n{}\n\n## [0.1.0]\n\n- The first.\n"


def record(api: str, unreleased: str) -> str:
    return public_api.HEADER.format(digest=public_api.digest_of(unreleased)) + api


def test_the_record_is_up_to_date() -> None:
    _, _, recorded = public_api.TARGET.read_text(encoding="utf-8").split("\n", 2)
    assert recorded == public_api.public_api(), "describe it in CHANGELOG.md, then run python tools/public_api.py"


@pytest.mark.parametrize(
    ("recorded", "section_then", "section_now", "may_be_written"),
    [
        (API, "- A.", "- A.", None),
        (API, "- A.", "- A.\n- B.", None),
        ("", "- A.", "- A.", False),
        ("", "- A.", "- A.\n- B.", True),
        ("", "- A.", "", False),
    ],
    ids=["same", "only the changelog", "only the API", "both", "just released"],
)
def test_a_change_of_the_api_needs_the_changelog(
    recorded: str, section_then: str, section_now: str, may_be_written: bool | None
) -> None:
    found = public_api.outdated(record(recorded, section_then), API, CHANGELOG.format(section_now))
    assert (found if found is None else not found) == may_be_written


def test_signatures_are_recorded_as_they_are_written() -> None:
    class Image:
        """A class of a package."""

        def save(self, path: str, /, *names: str, size: int = 3, **more: object) -> None: ...

        async def wait(self, timeout: float | None = None, *, progress: bool = False) -> Image: ...

        @property
        def url(self) -> str: ...

    Image.__module__ = "sogni.image"
    assert list(public_api.described("sogni.Image", Image)) == [
        "class sogni.Image()",
        "sogni.Image.save(path: str, /, *names: str, size: int = 3, **more: object) -> None",
        "sogni.Image.url: str",
        "async sogni.Image.wait(timeout: float | None = None, *, progress: bool = False) -> Image",
    ]


def test_commands_are_recorded_with_their_options() -> None:
    pytest.importorskip("click", reason="click is not installed")
    lines = list(public_api.command_lines())
    assert {
        "command sogni image PROMPT",
        "sogni image -n/--count INTEGER",
        "sogni image --metadata/--no-metadata",
        "sogni image --network [fast|relaxed]",
        "sogni image --context-image FILE ...",
        "sogni --profile NAME  # SOGNI_PROFILE",
        "command sogni project save ID...",
    } - set(lines) == set()
