"""Partial files of a killed program are removed; those of a running one are not."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import sogni.local.files as file_lock
import sogni.local.files as part_files
from sogni.local.files import PartFile, write_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="an id of the running kernel")

WRITING = """
import os, sys
from pathlib import Path
from sogni.local.files import PartFile
with PartFile(Path(sys.argv[1])) as part:
    part.write(b"half")
    if sys.argv[2:] == ["fork"] and os.fork():
        os._exit(0)
    print("writing", flush=True)
    sys.stdin.read()
    part.replace(Path(sys.argv[1]) / "done")
"""


@contextmanager
def writer(directory: Path, *how: str) -> Iterator[subprocess.Popen[str]]:
    """Another program that is in the middle of writing a file."""
    command = [sys.executable, "-c", WRITING, str(directory), *how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def parts(directory: Path) -> list[Path]:
    return sorted(directory.glob(".*.part"))


@pytest.fixture(autouse=True)
def new_program() -> None:
    """A directory is looked at once by a program."""
    part_files._remove_stale_parts.cache_clear()


def test_what_a_killed_program_left_is_removed(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(parts(tmp_path)) == 1
        write_file(tmp_path / "other", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize("how", [(), ("fork",)], ids=["itself", "a forked child"])
def test_what_another_program_is_writing_is_kept(tmp_path: Path, how: tuple[str, ...]) -> None:
    with writer(tmp_path, *how) as process:
        write_file(tmp_path / "other", b"")
        assert len(parts(tmp_path)) == 1
        assert process.stdin is not None
        process.stdin.close()
        assert process.stdout is not None
        process.stdout.read()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "other"]


def test_what_this_program_is_writing_is_kept(tmp_path: Path) -> None:
    with PartFile(tmp_path) as part:
        part.write(b"content")
        part_files._remove_stale_parts.cache_clear()
        write_file(tmp_path / "other", b"")
        assert part.add(tmp_path / "done").read_bytes() == b"content"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "other"]


@pytest.mark.parametrize(
    "change",
    [
        lambda place: place.with_name(f".{'0' * 32}.{'1' * 16}.part"),  # another host, or before a reboot
        lambda place: place.with_name(f".{'0' * 32}.part"),  # where locks do not work
        lambda place: place.with_name("mine.part"),
        lambda place: place.with_name(place.name + ".keep"),
    ],
)
def test_what_may_be_somebody_elses_is_kept(tmp_path: Path, change: object) -> None:
    with PartFile(tmp_path):
        (place,) = parts(tmp_path)
        kept = change(place)  # type: ignore[operator]
        kept.touch()
        part_files._remove_stale_parts.cache_clear()
        write_file(tmp_path / "other", b"")
        assert kept.exists()


def test_a_link_that_looks_like_a_part_is_kept(tmp_path: Path) -> None:
    with PartFile(tmp_path):
        (place,) = parts(tmp_path)
        link = place.with_name("." + "0" * 32 + place.name[33:])
        link.symlink_to(tmp_path / "precious")
        (tmp_path / "precious").touch()
        part_files._remove_stale_parts.cache_clear()
        write_file(tmp_path / "other", b"")
        assert (link.is_symlink(), (tmp_path / "precious").exists()) == (True, True)


@pytest.mark.parametrize("granted", [True, False])
def test_where_locks_prove_nothing_the_name_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: bool
) -> None:
    monkeypatch.setattr(file_lock, "try_lock", lambda _: granted)
    with PartFile(tmp_path) as part:
        assert [len(path.name) for path in parts(tmp_path)] == [len(f".{'0' * 32}.part")]
        assert part.add(tmp_path / "done").exists()


def test_an_unknown_kernel_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_files, "_KERNEL_ID", tmp_path / "missing")
    part_files._kernel_id.cache_clear()
    try:
        with PartFile(tmp_path):
            assert [len(path.name) for path in parts(tmp_path)] == [len(f".{'0' * 32}.part")]
    finally:
        part_files._kernel_id.cache_clear()


def test_a_part_that_was_swept_away_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    hold = file_lock.hold

    def sweep(descriptor: int, path: Path) -> bool:
        taken.append(path)
        path.unlink()
        return hold(descriptor, path)

    monkeypatch.setattr(part_files, "hold", sweep)
    assert write_file(tmp_path / "done", b"content").read_bytes() == b"content"
    assert (len(taken), [path.name for path in tmp_path.iterdir()]) == (1, ["done"])


def test_a_forked_child_leaves_the_file_of_its_parent(tmp_path: Path) -> None:
    with PartFile(tmp_path) as part:
        part.write(b"content")
        child = os.fork()
        if child == 0:
            part.__exit__(None, None, None)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert part.add(tmp_path / "done").read_bytes() == b"content"


def test_a_file_is_not_closed_under_a_write(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def write(self, data: Any) -> int:
            begun.set()
            go_on.wait(10)
            return super().write(bytes(data)[:2])

    slow = Slow()
    with PartFile(tmp_path) as part:
        assert part._file is not None
        part._file.close()
        part._file = slow  # type: ignore[assignment]
        writing = threading.Thread(target=part.write, args=(b"content",))
        writing.start()
        begun.wait(10)
        leaving = threading.Thread(target=part.__exit__, args=(None, None, None))
        leaving.start()
        leaving.join(0.05)
        assert (leaving.is_alive(), slow.closed) == (True, False)
        go_on.set()
        writing.join()
        leaving.join()
    assert (slow.closed, list(tmp_path.iterdir())) == (True, [])


def test_the_next_file_of_a_directory_is_not_slowed_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "first", b"")
    monkeypatch.delattr(os, "scandir")
    assert write_file(tmp_path / "second", b"").exists()
