"""The hash of a media input: of exactly what is uploaded, and computed once for a file that stays the same."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.local import media
from sogni.local.media import open_source, spooled

CONTENT = b"\x89PNG" + bytes(range(256)) * 8192


def expected(content: bytes = CONTENT) -> str:
    return hashlib.sha256(content).hexdigest()


def hashed(value: Any) -> str:
    source = open_source("starting_image", value)
    try:
        return source.sha256()
    finally:
        source.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that has not changed for a while."""
    path = tmp_path / "a.png"
    path.write_bytes(CONTENT)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the sources that were read for their hash."""
    seen: list[str] = []
    compute = media._sha256

    def counted(file: Any, source: Any) -> str:
        seen.append(source.name)
        return compute(file, source)

    monkeypatch.setattr(media, "_sha256", counted)
    monkeypatch.setattr(media, "_hashes", {})
    return seen


def test_every_kind_of_input_has_the_hash_of_its_content(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(7)
        assert hashed(file) == expected()
        assert file.tell() == 7
    assert {hashed(it) for it in (path, str(path), CONTENT, bytearray(CONTENT), io.BytesIO(CONTENT))} == {expected()}
    spool = spooled("a result", iter([CONTENT[:5], CONTENT[5:]]))
    assert spool.sha256() == expected()
    spool.close()
    image = open_source("starting_image", Image.new("RGB", (9, 9)))
    with image.open() as reader:
        assert image.sha256() == expected(reader.read())


def test_an_unchanged_file_is_read_once(path: Path, readings: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool, path.open("rb") as file:
        given = [path, str(path), file] * 8
        assert {*pool.map(hashed, given)} == {expected()}
    assert readings == ["a.png"]


def test_a_changed_file_is_read_again(path: Path, readings: list[str], tmp_path: Path) -> None:
    assert hashed(path) == expected()
    other = CONTENT[::-1]
    path.write_bytes(other)
    assert hashed(path) == expected(other)
    (tmp_path / "b.png").write_bytes(CONTENT)
    (tmp_path / "b.png").replace(path)
    assert hashed(path) == expected()
    assert len(readings) == 3


def test_a_file_that_has_just_been_written_may_change_again(tmp_path: Path, readings: list[str]) -> None:
    path = tmp_path / "new.png"
    path.write_bytes(CONTENT)
    assert [hashed(path), hashed(path)] == [expected()] * 2
    assert len(readings) == 2


def test_what_was_added_since_is_not_hashed(path: Path, readings: list[str]) -> None:
    source = open_source("starting_image", path)
    with path.open("ab") as file:
        file.write(b"more")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert source.sha256() == expected()
    assert hashed(path) == expected(CONTENT + b"more")


def test_a_file_that_became_shorter_is_an_error(path: Path) -> None:
    source = open_source("starting_image", path)
    path.write_bytes(CONTENT[:9])
    with pytest.raises(OSError, match=r"a\.png became shorter while it was read"):
        source.sha256()


def test_only_so_many_hashes_are_remembered(path: Path, readings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_MAX_HASHES", 1)
    for second in (1, 2, 1):
        os.utime(path, (1_600_000_000 + second, 1_600_000_000 + second))
        hashed(path)
    assert len(media._hashes) == 1
