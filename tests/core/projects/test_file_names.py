"""The name templates of `save(name=…)`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sogni.core.outbox import Outbox
from sogni.core.projects.file_names import (
    DEFAULT,
    check_name,
    exact_path,
    is_unique_per_project,
    paths_in,
    plain,
    portable,
)
from sogni.core.projects.job import JobState
from sogni.core.projects.project import ProjectState
from sogni.errors import ValidationError
from sogni.models.params import ImageProjectParams
from tests.tables import each_row


def names(pattern: str, *seeds: int | None) -> list[str]:
    project = ProjectState("P", ImageProjectParams(model_id="m"), Outbox(), now=0, kind="image", listening=[])
    for_job = paths_in("out", pattern)
    made = []
    for index, seed in enumerate(seeds):
        job = JobState(project, f"J{index}")
        job.seed = seed
        made.append(str(for_job(index, job)(".png")))
    return made


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (DEFAULT, ["out/P-0.png", "out/P-1.png"]),
        ("{job_id}", ["out/J0.png", "out/J1.png"]),
        ("{seed}", ["out/7.png", "out/8.png"]),
        ("{index:03d}_{seed}", ["out/000_7.png", "out/001_8.png"]),
        ("cat", ["out/cat.png", "out/cat-1.png"]),
        ("{project_id}", ["out/P.png", "out/P-1.png"]),
        ("a.b{{}}", ["out/a.b{}.png", "out/a.b{}-1.png"]),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    assert expected == names(pattern, 7, 8)


def test_results_with_the_same_seed_do_not_replace_each_other() -> None:
    assert names("{seed}", 7, 7, 8) == ["out/7.png", "out/7-1.png", "out/8.png"]


def test_a_seed_nobody_knows_is_none_to_speak_of() -> None:
    assert names("{seed:04d}", None, None) == ["out/0000.png", "out/0000-1.png"]


def test_asking_twice_gives_the_same_path() -> None:
    project = ProjectState("P", ImageProjectParams(model_id="m"), Outbox(), now=0, kind="image", listening=[])
    for_job = paths_in("out", "{seed}")
    job = JobState(project, "J")
    assert for_job(0, job)(".png") == for_job(0, job)(".png")


@each_row(
    ("id", "expected"),
    [
        ("2EF10868-F69A-4540", "2EF10868-F69A-4540"),
        ("../../X", "_.._X"),
        ("/etc/passwd", "_etc_passwd"),
        ("..\\..\\X", "_.._X"),
        ("C:X", "C_X"),
        ("C:\\X", "C_X"),
        ("a:stream", "a_stream"),
        ("a\0b\x1b[0m\x85\n", "a_b_0m_"),
        ('a?*|<>"b', "a_b"),
        ("a. .", "a._"),
        ("...", "_"),
        ("", "_"),
        ("\ud800", "_"),
        ("日本語", "_"),
        ("x" * 300, "x" * 100),
    ],
)
def test_an_id_of_the_service_is_a_plain_part_of_a_name(id: str, expected: str) -> None:
    assert plain(id) == expected


@each_row(
    "id", ["CON", "nul", "Aux.txt", "prn", "COM1", "lpt9.tar.gz", "COM¹", "CONIN$", "conout$", "com0", "nul .txt"]
)
def test_a_device_of_windows_is_no_name(id: str) -> None:
    assert portable(id) == f"_{id}"


@pytest.mark.parametrize("stem", ["console", "CONfetti", "nul-0", "com10", "a.con", "größe 1.5"])
def test_what_only_begins_like_a_device_stays(stem: str) -> None:
    assert portable(stem) == stem


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("a/b\\c:d", "a_b_c_d"),
        ("\0\x7f\x9f\udc80", "____"),
        ("", "_"),
        ("é" * 150, "é" * 100),
        ("x" + "é" * 150, "x" + "é" * 99),
    ],
)
def test_a_name_is_one_on_every_platform(stem: str, expected: str) -> None:
    assert portable(stem) == expected


def test_what_fills_a_pattern_stays_in_the_directory() -> None:
    project = ProjectState("../P", ImageProjectParams(model_id="m"), Outbox(), now=0, kind="image", listening=[])
    jobs = [JobState(project, it) for it in ("A/1", "a\\1", "NUL")]
    for_job = paths_in("out", "{job_id}")
    assert [str(for_job(place, job)(".png")) for place, job in enumerate(jobs)] == [
        "out/A_1.png", "out/a_1-1.png", "out/_NUL.png",
    ]  # fmt: skip
    assert str(paths_in("out", "{project_id} {seed:*>3}")(0, jobs[0])(".png")) == "out/_P __0.png"


@each_row(
    ("pattern", "why"),
    [
        ("a:b", 'it has a control character or one of < > : " | ? *'),
        ("a\0", 'it has a control character or one of < > : " | ? *'),
        ("{seed}?", 'it has a control character or one of < > : " | ? *'),
        ("\ud800", 'it has a control character or one of < > : " | ? *'),
        ("nul", "it is a device name on Windows"),
        ("Con.{index}", "it is a device name on Windows"),
        ("é" * 101, "it is longer than 200 bytes"),
        ("{index:0201d}", "it is longer than 200 bytes"),
        ("", "it is not a file name without a directory"),
        ("a/b", "it is not a file name without a directory"),
        ("a\\b", "it is not a file name without a directory"),
        ("..", "it is not a file name without a directory"),
        (".", "it is not a file name without a directory"),
        ("{prompt}", "there is no field 'prompt'"),
        ("{}", "there is no field ''"),
        ("{job_id.__class__}", "there is no field 'job_id.__class__'"),
        ("{job_id[0]}", "there is no field 'job_id[0]'"),
        ("{index", "expected '}' before end of string"),
        ("{index:zz}", "ValueError: "),
        ("{index:{width}}", "KeyError: 'width'"),
        ("{seed!x}", "ValueError: "),
    ],
)
def test_patterns_that_cannot_be_filled_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_name(pattern)
    expected = f"name must be a file name with fields from {caught.value.allowed}, got {pattern!r}: {why}"
    assert str(caught.value).startswith(expected)
    assert ("name", pattern) == (caught.value.field, caught.value.value)


def test_a_pattern_that_can_be_filled_is_returned() -> None:
    assert check_name(DEFAULT) == DEFAULT


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("out/cat", "out/cat.png"),
        ("out/cat.jpg", "out/cat.jpg"),
        (Path("cat"), "cat.png"),
        ("out/.cat", "out/.cat.png"),
    ],
)
def test_a_path_gets_a_suffix_only_when_it_has_none(path: Any, expected: str) -> None:
    assert expected == str(exact_path(path)(".png"))


@pytest.mark.parametrize("path", ["", ".", "..", "out/..", "/", "a\0b"])
def test_a_path_that_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="path must be a file") as caught:
        exact_path(path)
    assert caught.value.field == "path"


@pytest.mark.parametrize(
    ("name", "apart"),
    [(DEFAULT, True), ("{job_id}", True), ("{index}-{seed}", False), ("one", False), ("{{project_id}}", False)],
)
def test_results_of_two_projects_need_something_of_the_project(name: str, apart: bool) -> None:
    assert is_unique_per_project(name) is apart
