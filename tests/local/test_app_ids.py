"""The default app id: stable for an installation, distinct for clients that are open together."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

import sogni.local.app_ids as app_slots
import sogni.local.files as file_lock
from sogni.local.app_ids import AppSlot, acquire_app_id

STABLE = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}-\d+\Z")
RANDOM = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\Z")

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


@contextmanager
def held(directory: Path, count: int = 1) -> Iterator[list[AppSlot]]:
    slots = [acquire_app_id(directory) for _ in range(count)]
    try:
        yield slots
    finally:
        for slot in slots:
            slot.release()


def numbers(slots: list[AppSlot]) -> list[int]:
    return [int(slot.app_id.rpartition("-")[2]) for slot in slots]


def test_the_id_is_the_same_each_time(tmp_path: Path) -> None:
    with held(tmp_path) as [first]:
        assert STABLE.match(first.app_id)
        assert first.stable
    with held(tmp_path) as [second]:
        assert second.app_id == first.app_id


def test_clients_that_are_open_together_differ_in_the_slot_only(tmp_path: Path) -> None:
    with held(tmp_path, 5) as slots:
        assert numbers(slots) == [0, 1, 2, 3, 4]
        assert len({slot.app_id.rpartition("-")[0] for slot in slots}) == 1


def test_the_lowest_free_slot_is_taken(tmp_path: Path) -> None:
    with held(tmp_path, 3) as slots:
        slots[1].release()
        with held(tmp_path, 2) as more:
            assert numbers(more) == [1, 3]


def test_release_can_be_repeated_and_takes_nothing_from_its_successor(tmp_path: Path) -> None:
    with held(tmp_path) as [first]:
        first.release()
        with held(tmp_path) as [second]:
            first.release()
            first.release_after_fork()
            assert numbers([second]) == [0]
            with held(tmp_path) as [third]:
                assert numbers([third]) == [1]


def test_two_installations_have_different_ids(tmp_path: Path) -> None:
    with held(tmp_path / "one") as [one], held(tmp_path / "two") as [two]:
        assert one.app_id != two.app_id


@pytest.mark.parametrize("damage", ["", "no uuid", "\N{SNOWMAN}"])
def test_a_damaged_installation_id_is_replaced(tmp_path: Path, damage: str) -> None:
    (tmp_path / "installation").write_text(damage, encoding="utf-8")
    with held(tmp_path) as [first]:
        assert STABLE.match(first.app_id)
    with held(tmp_path) as [second]:
        assert second.app_id == first.app_id


def test_while_another_process_repairs_the_id_is_random(tmp_path: Path) -> None:
    (tmp_path / "installation").write_text("damaged")
    repairing = file_lock.lock(tmp_path / "installation.lock")
    assert repairing is not None
    with held(tmp_path) as [slot]:
        assert RANDOM.match(slot.app_id)
    os.close(repairing)


def test_an_id_that_another_process_published_first_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faster = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
    publish = app_slots._publish

    def late(name: str, path: Path) -> None:
        path.write_text(faster)
        publish(name, path)

    monkeypatch.setattr(app_slots, "_publish", late)
    with held(tmp_path) as [slot]:
        assert slot.app_id == f"{faster}-0"


@posix
def test_a_file_system_without_links_keeps_an_id_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)
    with held(tmp_path) as [first]:
        assert STABLE.match(first.app_id)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["installation", "slot-0.lock"]


def test_nothing_is_left_but_the_id_and_the_locks(tmp_path: Path) -> None:
    with held(tmp_path, 2):
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "installation",
            "slot-0.lock",
            "slot-1.lock",
        ]


# -- where no state can be kept ----------------------------------------------------------------------------


def expect_random(directory: Path | None = None) -> None:
    slots = [acquire_app_id(directory) for _ in range(2)]
    assert all(RANDOM.match(slot.app_id) for slot in slots)
    assert not any(slot.stable for slot in slots)
    assert slots[0].app_id != slots[1].app_id
    for slot in slots:
        slot.release()
        slot.release_after_fork()


def test_a_directory_that_cannot_be_made_means_a_random_id(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    expect_random(tmp_path / "file" / "below")
    expect_random(tmp_path / "zero\0byte")


@pytest.mark.parametrize("name", ["open", "link"])
def test_a_directory_that_cannot_be_written_means_a_random_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, read_only)
        patch.setattr(os, "replace", read_only)
        expect_random(tmp_path)


def test_locks_that_are_refused_mean_a_random_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(file_lock, "try_lock", no_locks)
    expect_random(tmp_path)


def test_locks_that_lock_nothing_mean_a_random_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "try_lock", lambda descriptor: True)
    expect_random(tmp_path)


def test_more_clients_than_slots_get_random_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_slots, "_SLOTS", 1)
    with held(tmp_path):
        expect_random(tmp_path)


@posix
@pytest.mark.parametrize("home", [None, "relative"])
def test_without_a_home_directory_the_id_is_random(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    def nobody(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)
    expect_random()


# -- where state is kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "environ", "expected"),
    [
        (Unix, {"HOME": "/home/me"}, "/home/me/.local/state/sogni"),
        (Unix, {"HOME": "/home/me", "XDG_STATE_HOME": "/state"}, "/state/sogni"),
        (Unix, {"HOME": "/home/me", "XDG_STATE_HOME": "relative"}, "/home/me/.local/state/sogni"),
        (Unix, {"HOME": None}, str(Path.home() / ".local/state/sogni")),
        (MacOS, {"HOME": "/Users/me"}, "/Users/me/Library/Application Support/sogni"),
        (Windows, {}, "/CSIDL_LOCAL_APPDATA/sogni"),
    ],
)
def test_the_directory_of_each_system(
    system: type, environ: dict[str, str | None], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directories are those of all earlier versions: what an installation has is found again."""
    monkeypatch.setattr("platformdirs.PlatformDirs", system)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", "/{}".format)
    for name, value in {"XDG_STATE_HOME": None, **environ}.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert app_slots.state_directory() == Path(expected)


@posix
def test_the_directory_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    slot = acquire_app_id()
    assert stat.S_IMODE((tmp_path / "state" / "sogni").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "sogni" / "installation").stat().st_mode) == 0o600
    slot.release()


def test_the_lock_is_not_inherited_by_programs(tmp_path: Path) -> None:
    with held(tmp_path) as [slot]:
        assert slot._descriptor is not None
        assert not os.get_inheritable(slot._descriptor)


# -- processes ---------------------------------------------------------------------------------------------

CONTENDER = """
import sys, pathlib
from sogni.local.app_ids import acquire_app_id
print("ready", flush=True)
sys.stdin.readline()
print(acquire_app_id(pathlib.Path(sys.argv[1])).app_id, flush=True)
sys.stdin.readline()
"""


@contextmanager
def contenders(directory: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", CONTENDER, str(directory)]
    root = Path(app_slots.__file__).parents[2]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def say_and_hear(processes: list[subprocess.Popen[str]]) -> list[str]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [heard(process) for process in processes]


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_start_at_once_share_the_installation_and_no_slot(tmp_path: Path) -> None:
    with contenders(tmp_path / "new", 6) as processes:
        assert [heard(process) for process in processes] == ["ready"] * 6
        ids = say_and_hear(processes)
        assert len({one.rpartition("-")[0] for one in ids}) == 1
        assert sorted(one.rpartition("-")[2] for one in ids) == ["0", "1", "2", "3", "4", "5"]


def test_the_slot_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with contenders(tmp_path, 1) as processes:
        assert heard(processes[0]) == "ready"
        [taken] = say_and_hear(processes)
        with held(tmp_path) as [other]:
            assert other.app_id != taken
    with held(tmp_path) as [again]:
        assert again.app_id == taken


def in_child(call: Callable[[], bool]) -> int:
    """Return the exit code of a forked child: 0 when `call` held there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: what is tested
        child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if call() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@posix
@pytest.mark.parametrize("let_go", [AppSlot.release_after_fork, AppSlot.release])
def test_a_forked_child_lets_go_without_taking_the_slot_from_its_parent(
    tmp_path: Path, let_go: Callable[[AppSlot], None]
) -> None:
    with held(tmp_path) as [parents]:

        def child() -> bool:
            let_go(parents)
            with held(tmp_path) as [own]:
                return numbers([own]) == [1]

        assert in_child(child) == 0
        with held(tmp_path) as [other]:
            assert numbers([other]) == [1]


@posix
def test_the_slot_is_free_at_once_though_a_child_has_the_file_open(tmp_path: Path) -> None:
    with held(tmp_path) as [first]:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
        first.release()
        with held(tmp_path) as [second]:
            assert second.app_id == first.app_id
        os.close(writing)
        os.waitpid(child, 0)
