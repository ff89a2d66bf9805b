"""A file appears under its name only when it is complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sogni.machine.downloads import PartialFile, suffix_of

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 4


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_finished_file_gets_the_suffix_of_its_content(tmp_path: Path) -> None:
    asked: list[str] = []

    def path_for(suffix: str) -> Path:
        asked.append(suffix)
        return tmp_path / "new" / "place" / f"result{suffix}"

    with PartialFile(path_for) as file:
        for start in range(0, len(PNG), 5):
            file.write(PNG[start : start + 5])
        assert asked == [".part"]
        assert len(names(tmp_path / "new" / "place")) == 1
        path = file.finish()
    assert (path, path.read_bytes(), names(path.parent)) == (
        tmp_path / "new" / "place" / "result.png", PNG, ["result.png"],
    )  # fmt: skip


def test_an_unfinished_file_leaves_nothing(tmp_path: Path) -> None:
    with PartialFile(lambda suffix: tmp_path / f"result{suffix}") as file:
        file.write(PNG)
    with pytest.raises(KeyboardInterrupt), PartialFile(lambda suffix: tmp_path / f"result{suffix}") as file:
        file.write(PNG)
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_an_existing_file_is_replaced_only_in_the_end(tmp_path: Path) -> None:
    target = tmp_path / "result.png"
    target.write_bytes(b"old")
    with PartialFile(lambda suffix: target) as file:
        file.write(PNG)
        assert target.read_bytes() == b"old"
        file.finish()
    assert (target.read_bytes(), names(tmp_path)) == (PNG, ["result.png"])


def test_a_file_that_cannot_be_put_in_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "result.png").mkdir()
    with pytest.raises(OSError), PartialFile(lambda suffix: tmp_path / f"result{suffix}") as file:
        file.write(PNG)
        file.finish()
    assert names(tmp_path) == ["result.png"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_result_is_as_readable_as_any_new_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    with PartialFile(lambda suffix: tmp_path / f"result{suffix}") as file:
        file.write(PNG)
        assert file.finish().stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (PNG, ".png"),
        (b"\x00\x00\x00\x18ftypmp42", ".mp4"),
        (b"ID3\x04", ".mp3"),
        (b"what is this?", ".bin"),
        (b"", ".bin"),
    ],
)
def test_content_names_its_suffix(head: bytes, suffix: str) -> None:
    assert suffix_of(head) == suffix
