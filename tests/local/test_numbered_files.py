"""Numbers in file names go on where a directory left off."""

from __future__ import annotations

from pathlib import Path

import pytest

from sogni.local.files import next_number


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ([], 0),
        (["generate_image-0.png"], 1),
        (["generate_image-2.png", "generate_video-10.mp4", "generate_image-3.png"], 11),
        (["notes.txt", "kite-x.png", "generate_image-5", ".generate_image-7.png.part"], 0),
    ],
)
def test_the_number_after_the_highest(tmp_path: Path, names: list[str], number: int) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert next_number(tmp_path) == number


def test_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    assert next_number(tmp_path / "out") == 0
