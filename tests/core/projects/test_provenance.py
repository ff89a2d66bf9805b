"""Reading the provenance of a result, and ignoring malformed values (projects-5x §14)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.job import read_provenance
from sogni.models.projects import MaskSelection, Provenance
from tests.tables import each_row

HASH = "AB" * 32
SELECTION = {"score": 0.5, "box": [0, 0, 1, 1], "coverage": 0.25, "included": True}


def test_without_anything_there_is_none() -> None:
    assert read_provenance({}) is None
    assert read_provenance({"sha256": "short", "lastSeed": "1"}) is None


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("sha256", "sha256"),
        ("sourceImageSha256", "source_image_sha256"),
        ("samPromptSha256", "sam_prompt_sha256"),
        ("maskRleSha256", "mask_rle_sha256"),
        ("selectionHash", "selection_hash"),
        ("firstFrameSha256", "first_frame_sha256"),
        ("lastFrameSha256", "last_frame_sha256"),
    ],
)
def test_hashes_are_in_lower_case(key: str, name: str) -> None:
    assert read_provenance({key: HASH}) == Provenance(**{name: HASH.lower()})  # type: ignore[arg-type]
    for wrong in (HASH[1:], HASH + "0", "g" * 64, 5, None):
        assert read_provenance({key: wrong}) is None


@each_row(
    ("key", "value", "read"),
    [
        ("maskWidth", 5, 5), ("maskWidth", 5.0, 5), ("maskWidth", 0, None), ("maskHeight", True, None),
        ("maskHeight", 1.5, None), ("maskHeight", float("inf"), None), ("maskHeight", 10**400, None),
        ("maskDetectedCount", 0, 0), ("maskReturnedCount", -1, None), ("maskReturnedCount", "1", None),
        ("samVersion", "3.0:a_b+c", "3.0:a_b+c"), ("samVersion", ".3", None), ("samVersion", "3" * 81, None),
        ("maskCoverage", 0, 0), ("maskCoverage", 1.01, None), ("maskCoverage", True, None),
        ("maskBox", [0, 0.5, 1, 0.6], [0, 0.5, 1, 0.6]), ("maskBox", [0, 0.5, 0, 0.6], None),
        ("maskBox", [0, 0.7, 1, 0.6], None), ("maskBox", [0, 1], None), ("maskBox", [0, 0, 1, 2], None),
        ("maskBox", "0011", None),
    ],
)  # fmt: skip
def test_what_is_malformed_is_left_out(key: str, value: Any, read: Any) -> None:
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
    assert read_provenance({key: value, "sha256": HASH}) == Provenance(sha256=HASH.lower(), **{name: read})


def test_malformed_selections_are_dropped() -> None:
    given = [
        SELECTION,
        {**SELECTION, "score": None, "box": None},
        {**SELECTION, "score": 2},
        {**SELECTION, "box": [1, 0, 0, 1]},
        {**SELECTION, "coverage": None},
        {**SELECTION, "included": "yes"},
        5,
    ]
    found = read_provenance({"maskSelections": given})
    assert found == Provenance(
        mask_selections=[
            MaskSelection(score=0.5, box=[0, 0, 1, 1], coverage=0.25, included=True),
            MaskSelection(coverage=0.25, included=True),
        ]
    )
    assert read_provenance({"maskSelections": given[2:]}) is None
    assert read_provenance({"maskSelections": 5}) is None
