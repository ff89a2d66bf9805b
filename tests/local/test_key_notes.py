"""Notes of idempotency keys: what one process wrote, a later one reads, and nothing ever raises."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sogni.local import key_notes
from sogni.local.app_ids import state_directory
from sogni.local.key_notes import KeyNotes

PLACE = ("https://service.example", "0A0A0A0A-0000-4000-8000-000000000001")
DIGESTS = {"steps": "00ff", "seed": "ff00"}


def test_a_later_process_reads_what_was_written(tmp_path: Path) -> None:
    assert KeyNotes(tmp_path).read(*PLACE) is None
    KeyNotes(tmp_path).write(*PLACE, {"steps": "11"})
    KeyNotes(tmp_path).write(*PLACE, DIGESTS)
    assert KeyNotes(tmp_path).read(*PLACE) == DIGESTS
    assert KeyNotes(tmp_path).read("https://another.example", PLACE[1]) is None


def test_notes_are_kept_in_the_state_directory_and_private() -> None:
    KeyNotes().write(*PLACE, DIGESTS)
    (path,) = (state_directory() / "keys").glob(f"{PLACE[1]}*")
    if os.name == "posix":
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.unlink()


def test_a_note_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeyNotes(tmp_path).write(*PLACE, DIGESTS)
    monkeypatch.setattr(key_notes, "VERSION", "99.0.0")
    assert KeyNotes(tmp_path).read(*PLACE) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"service": 1, "version": 2}', b"null"])
def test_a_damaged_note_is_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{PLACE[1]}.json").write_bytes(content)
    assert KeyNotes(tmp_path).read(*PLACE) is None


@pytest.mark.parametrize("parameters", [None, [], "steps"])
def test_a_note_without_parameters_is_not_used(tmp_path: Path, parameters: object) -> None:
    note = {"service": PLACE[0], "version": key_notes.VERSION, "parameters": parameters}
    (tmp_path / f"{PLACE[1]}.json").write_text(json.dumps(note))
    assert KeyNotes(tmp_path).read(*PLACE) is None


def test_old_notes_are_removed_once_per_client(tmp_path: Path) -> None:
    old = [tmp_path / name for name in ("1.json", "2.json")]
    notes = KeyNotes(tmp_path)
    for path in old:
        path.write_text("{}")
        os.utime(path, (0, 0))
        notes.write(*PLACE, DIGESTS)
    assert [path.exists() for path in old] == [False, True]
    assert notes.read(*PLACE) == DIGESTS


def test_without_a_place_to_write_there_are_no_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    notes = KeyNotes(tmp_path / "file")
    notes.write(*PLACE, DIGESTS)
    assert notes.read(*PLACE) is None

    def no_home() -> Path:
        raise RuntimeError("there is no home directory")

    monkeypatch.setattr(key_notes, "state_directory", no_home)
    KeyNotes().write(*PLACE, DIGESTS)
    assert KeyNotes().read(*PLACE) is None
