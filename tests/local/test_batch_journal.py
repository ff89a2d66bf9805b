"""The journal of a batch: recording progress, and resuming in the next run."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

import sogni.local.batch_journal as batch_journal
from sogni.errors import ConflictError, ValidationError
from sogni.local.batch_journal import BatchJournal, Entry

SERVICE = "https://example.com"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "animals.journal.jsonl"


def journal(path: Path, service: str = SERVICE) -> BatchJournal:
    return BatchJournal(path, service=service)


def test_the_next_run_knows_what_was_begun_saved_and_forgotten(path: Path) -> None:
    with journal(path) as first:
        assert first["a"] == Entry()
        for key in "abc":
            first.begins(key, key.upper(), "key")
        first.saved("a", [path.parent / "a-0.png", path.parent / "a-1.png"])
        first.forget("b")
        before = [first[key] for key in "abcd"]
    with journal(path) as second:
        assert [second[key] for key in "abcd"] == before
    assert before == [
        Entry(project="A", idempotency_key="key", files=(path.parent / "a-0.png", path.parent / "a-1.png")),
        Entry(),
        Entry(project="C", idempotency_key="key"),
        Entry(),
    ]


def test_what_is_noted_is_there_when_the_process_is_killed(path: Path) -> None:
    with journal(path) as running:
        running.begins("a", "A", "key")
        (line,) = path.read_text().splitlines()
    assert json.loads(line) == {"service": SERVICE, "request": "a", "project": "A", "idempotency_key": "key"}


def test_keys_survive_the_loss_of_all_lines_but_the_first(path: Path) -> None:
    with journal(path) as running:
        keys = [running.new_key(request) for request in "aab"]
        first = path.read_bytes()
        running.begins("a", "A", keys[0])
        running.saved("a", [])
    path.write_bytes(first)
    with journal(path) as again:
        assert ([again.new_key(request) for request in "aab"], again["a"]) == (keys, Entry())
    assert (keys[0] == keys[1], len(set(keys))) == (True, 2)


def test_a_failed_project_is_followed_by_one_with_another_key(path: Path) -> None:
    with journal(path) as running:
        first = running.new_key("a")
        running.begins("a", "A", first)
        running.forget("a")
        second = running.new_key("a")
    with journal(path) as again, journal(path.with_name("other.jsonl")) as other:
        keys = {first, second, other.new_key("a")}
        assert (again.new_key("a"), len(keys)) == (second, 3)


def test_the_first_line_is_on_disk_before_it_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_bytes()))
    with journal(path) as running:
        key = running.new_key("a")
        assert (synced, running.sync_is_due) == ([path.read_bytes()], False)
        running.begins("a", "A", key)
        monkeypatch.setattr(batch_journal, "_SYNC_SECONDS", -1.0)
        assert (len(synced), running.sync_is_due) == (1, True)


def test_journals_of_former_versions_have_no_idempotency_keys(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f'{{"service": "{SERVICE}", "request": "a", "project": "A"}}\n')
    with journal(path) as running:
        assert running["a"] == Entry(project="A")
        running.saved("a", [path.parent / "a.png"])
        running.begins("a", "B", "key")
        running.forget("b")
    with journal(path) as again:
        assert (again["a"], again["b"]) == (Entry(project="B", idempotency_key="key"), Entry())


def test_a_directory_may_be_moved_with_its_journal(path: Path, tmp_path: Path) -> None:
    with journal(path) as first:
        first.begins("a", "A", "key")
        first.saved("a", [path.parent / "a.png"])
    path.parent.rename(tmp_path / "elsewhere")
    with journal(tmp_path / "elsewhere" / path.name) as second:
        assert second["a"].files == (tmp_path / "elsewhere" / "a.png",)


def test_what_another_service_made_is_not_there(path: Path) -> None:
    with journal(path) as first:
        first.begins("a", "A", "key")
    with journal(path, "local") as second:
        assert second["a"] == Entry()
        second.begins("a", "L", "key")
    with journal(path) as third:
        assert third["a"] == Entry(project="A", idempotency_key="key")


def test_a_line_that_was_not_finished_had_no_consequence(path: Path) -> None:
    with journal(path) as first:
        first.begins("a", "A", "key")
    with path.open("ab") as file:
        file.write(b'{"service": "https://exam')
    with journal(path) as second:
        assert second["a"] == Entry(project="A", idempotency_key="key")
        second.begins("b", "B", "key")
    with journal(path) as third:
        assert (third["a"], third["b"]) == (
            Entry(project="A", idempotency_key="key"),
            Entry(project="B", idempotency_key="key"),
        )


@pytest.mark.parametrize("line", ["a fox", "[1]", '{"request": "a"}', '{"service": "s", "request": "a", "x": 1}'])
def test_another_file_is_neither_used_nor_changed(path: Path, line: str) -> None:
    path.parent.mkdir()
    path.write_text(f"{line}\nan owl")
    with pytest.raises(ValidationError, match="line 1 is malformed") as caught, journal(path):
        raise AssertionError
    assert (caught.value.field, path.read_text()) == ("journal", f"{line}\nan owl")
    with pytest.raises(ValidationError), journal(path):  # the lock was given back
        raise AssertionError


@pytest.mark.parametrize("text", ["a fox", '{"service"; "x"', " "])
def test_another_file_of_one_unfinished_line_stays_as_it_is(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValidationError, match="line 1 is malformed"), journal(path):
        raise AssertionError
    assert path.read_text() == text


@pytest.mark.parametrize("torn", [b"{", b'{"serv', b'{"service": "https://e'])
def test_a_line_may_be_torn_anywhere(path: Path, torn: bytes) -> None:
    with journal(path) as first:
        first.begins("a", "A", "key")
    kept = path.read_bytes()
    path.write_bytes(kept + torn)
    with journal(path) as second:
        assert second["a"] == Entry(project="A", idempotency_key="key")
    assert path.read_bytes() == kept


@pytest.mark.parametrize("torn", [b"", b'{"serv'])
def test_zeros_that_a_power_failure_left_had_no_consequence(path: Path, torn: bytes) -> None:
    with journal(path) as first:
        first.begins("a", "A", "key")
    kept = path.read_bytes()
    path.write_bytes(kept + torn + bytes(5000))
    with journal(path) as second:
        assert second["a"] == Entry(project="A", idempotency_key="key")
        assert path.read_bytes() == kept
    path.write_bytes(bytes(64))
    with journal(path) as empty:
        assert empty["a"] == Entry()
    assert not path.exists()


def test_zeros_between_lines_are_no_journal(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(bytes(3) + b'{"service": "s", "request": "a"}\n')
    with pytest.raises(ValidationError, match="line 1 is malformed"), journal(path):
        raise AssertionError


def test_a_byte_order_mark_is_no_part_of_a_journal(path: Path) -> None:
    with journal(path) as first:
        first.begins("a", "A", "key")
    kept = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + kept)
    with journal(path) as second:
        assert second["a"] == Entry(project="A", idempotency_key="key")
        second.begins("b", "B", "key")
    with journal(path) as third:
        assert (third["a"], third["b"]) == (
            Entry(project="A", idempotency_key="key"),
            Entry(project="B", idempotency_key="key"),
        )


def test_a_line_that_cannot_be_written_is_not_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(descriptor: int, text: bytes) -> int:
        if len(text) > 20:
            return write(descriptor, text[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with journal(path) as first:
        first.begins("a", "A", "key")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(OSError, match="No space left on device") as caught:
                first.begins("b", "B", "key")
        assert (caught.value.filename, first["b"]) == (str(path), Entry())
        first.begins("c", "C", "key")
    with journal(path) as second:
        assert [second[key].project for key in "abc"] == ["A", None, "C"]


def test_two_batches_do_not_share_a_journal(path: Path) -> None:
    with journal(path), pytest.raises(ConflictError, match="another batch"), journal(path):
        raise AssertionError
    with journal(path):
        pass


def test_a_batch_that_does_nothing_leaves_nothing(path: Path) -> None:
    with journal(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_where_locks_do_not_work_one_goes_on_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(batch_journal, "lock", none)
    with journal(path) as alone:
        alone.begins("a", "A", "key")
    with journal(path) as again:
        assert again["a"] == Entry(project="A", idempotency_key="key")


def test_a_journal_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"), journal(tmp_path / "taken"):
        raise AssertionError


def test_files_on_another_drive_are_noted_by_their_whole_path(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(*_: Any) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", apart)
    with journal(path) as notes:
        notes.saved("a", [tmp_path / "a.png"])
    with journal(path) as again:
        assert again["a"].files == (tmp_path / "a.png",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_hold_the_lock(path: Path) -> None:
    reading, writing = os.pipe()
    with journal(path) as first:
        first.begins("a", "A", "key")
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    with journal(path) as second:
        assert second["a"].project == "A"
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
    os.close(reading)
