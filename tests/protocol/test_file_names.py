"""What `save(name=…)` means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sogni.errors import ValidationError
from sogni.models.params import ImageProjectParams
from sogni.protocol.file_names import DEFAULT, check_name, exact_path, paths_in, tells_projects_apart
from sogni.protocol.job_state import JobState
from sogni.protocol.outbox import Outbox
from sogni.protocol.project_state import ProjectState


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


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "it must be a file name without a directory"),
        ("a/b", "it must be a file name without a directory"),
        ("a\\b", "it must be a file name without a directory"),
        ("..", "it must be a file name without a directory"),
        (".", "it must be a file name without a directory"),
        ("{prompt}", "it has no 'prompt'"),
        ("{}", "it has no ''"),
        ("{job_id.__class__}", "it has no 'job_id.__class__'"),
        ("{job_id[0]}", "it has no 'job_id[0]'"),
        ("{index", "expected '}' before end of string"),
        ("{index:zz}", "ValueError: "),
        ("{index:{width}}", "KeyError: 'width'"),
        ("{seed!x}", "ValueError: "),
    ],
)
def test_patterns_that_cannot_be_filled_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_name(pattern)
    assert str(caught.value).startswith(f"name {pattern!r} cannot be used: {why}")
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


@pytest.mark.parametrize(
    ("name", "apart"),
    [(DEFAULT, True), ("{job_id}", True), ("{index}-{seed}", False), ("one", False), ("{{project_id}}", False)],
)
def test_results_of_two_projects_need_something_of_the_project(name: str, apart: bool) -> None:
    assert tells_projects_apart(name) is apart
