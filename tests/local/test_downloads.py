"""A file appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sogni.local.files import DownloadFile, suffix_of

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 4


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_finished_file_gets_the_suffix_of_its_content(tmp_path: Path) -> None:
    asked: list[str] = []

    def path_for(suffix: str) -> Path:
        asked.append(suffix)
        return tmp_path / "new" / "place" / f"result{suffix}"

    with DownloadFile(path_for) as file:
        for start in range(0, len(PNG), 5):
            file.write(PNG[start : start + 5])
        assert asked == [".part"]
        assert len(names(tmp_path / "new" / "place")) == 1
        path = file.finish()
    assert (path, path.read_bytes(), names(path.parent)) == (
        tmp_path / "new" / "place" / "result.png", PNG, ["result.png"],
    )  # fmt: skip


def test_an_unfinished_file_leaves_nothing(tmp_path: Path) -> None:
    with DownloadFile(lambda suffix: tmp_path / f"result{suffix}") as file:
        file.write(PNG)
    with pytest.raises(KeyboardInterrupt), DownloadFile(lambda suffix: tmp_path / f"result{suffix}") as file:
        file.write(PNG)
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_an_existing_file_is_replaced_only_when_asked_and_only_in_the_end(tmp_path: Path) -> None:
    target = tmp_path / "result.png"
    target.write_bytes(b"old")
    with DownloadFile(lambda suffix: target, overwrite=True) as file:
        file.write(PNG)
        assert target.read_bytes() == b"old"
        file.finish()
    assert (target.read_bytes(), names(tmp_path)) == (PNG, ["result.png"])


def save(directory: Path, content: bytes = PNG, *, overwrite: bool = False, stem: str = "result") -> str:
    with DownloadFile(lambda suffix: directory / f"{stem}{suffix}", overwrite=overwrite) as file:
        file.write(content)
        return file.finish().name


def test_a_file_with_other_content_is_kept_and_the_new_one_numbered(tmp_path: Path) -> None:
    contents = [PNG + bytes([number]) for number in (0, 1, 2, 1, 0)]
    made = [save(tmp_path, content) for content in contents]
    assert made == ["result.png", "result-1.png", "result-2.png", "result-1.png", "result.png"]
    assert [(tmp_path / name).read_bytes() for name in made] == contents
    assert names(tmp_path) == ["result-1.png", "result-2.png", "result.png"]


def test_a_file_system_without_links_keeps_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert [save(tmp_path, PNG + bytes([number])) for number in range(2)] == ["result.png", "result-1.png"]
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        save(tmp_path, b"other")
    assert names(tmp_path) == ["result-1.png", "result.png"]


def test_savers_that_come_together_take_different_names(tmp_path: Path) -> None:
    contents = [PNG + bytes([number]) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda content: save(tmp_path, content), contents))
    assert [(tmp_path / name).read_bytes() for name in made] == contents


def test_a_long_name_gets_its_number_too(tmp_path: Path) -> None:
    stem = "ü" * 125
    first, second = (save(tmp_path, PNG + bytes([number]), stem=stem) for number in range(2))
    assert (first, second) == (f"{stem}.png", f"{stem[:124]}-1.png")


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_not_written_through(tmp_path: Path, overwrite: bool, there: bool) -> None:
    outside, directory = tmp_path / "outside.png", tmp_path / "out"
    directory.mkdir()
    if there:
        outside.write_bytes(PNG)
    (directory / "result.png").symlink_to(outside)
    name = save(directory, overwrite=overwrite)
    assert name == ("result.png" if overwrite else "result-1.png")
    assert ((directory / name).is_symlink(), (directory / name).read_bytes()) == (False, PNG)
    assert (outside.exists(), names(directory)) == (there, sorted({"result.png", name}))


def test_a_directory_of_that_name_is_kept(tmp_path: Path) -> None:
    (tmp_path / "result.png").mkdir()
    with pytest.raises(OSError, match=r"result\.png"):
        save(tmp_path, overwrite=True)
    assert names(tmp_path) == ["result.png"]
    assert save(tmp_path) == "result-1.png"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_result_is_as_readable_as_any_new_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    with DownloadFile(lambda suffix: tmp_path / f"result{suffix}") as file:
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
