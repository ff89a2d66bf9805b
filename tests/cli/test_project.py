"""`sogni project`: finding, following, saving and canceling projects that another command or program started."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.cli.conftest import saved_later
from tests.forkserver import Process

Run = Callable[..., Result]
Start = Callable[..., Process]
UNKNOWN = "0A0A0A0A-0000-4000-8000-000000000001"


def create(supernet: LocalSupernet, *, finished: bool = True, **fields: Any) -> str:
    """The id of a small image project that another program started, and left."""
    given = {"type": "image", "model_id": "flux1-schnell-fp8", "width": 256, "height": 256, **fields}
    with supernet.client(app_id="another program") as client:
        project = client.projects.create(positive_prompt="a pier", **given)
        if finished:
            project.wait(timeout=30, check=False)
        return project.id


def rows(result: Result) -> list[list[str]]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [line.split("\t") for line in result.stdout.splitlines()]


# -- list --------------------------------------------------------------------------


def test_running_projects_are_listed_before_those_with_results(sogni: Run, supernet: LocalSupernet) -> None:
    done = create(supernet, number_of_media=2)
    supernet.pause_workers()
    running = create(supernet, finished=False, number_of_media=3)
    found = rows(sogni("project", "list"))
    model = "flux1-schnell-fp8"
    assert [(row[0], row[1], row[2], row[4]) for row in found] == [
        (running, "queued", "0 of 3", model),
        (done, "completed", "2", model),
    ]
    document = json.loads(sogni("project", "list", "--json").stdout)
    assert [[it["id"] for it in document[key]] for key in ("running", "recent")] == [[running], [done]]


def test_a_list_is_limited_by_time_number_and_application(sogni: Run, supernet: LocalSupernet) -> None:
    ids = [create(supernet, app_source=source) for source in ("painter", "printer")]
    assert [row[0] for row in rows(sogni("project", "list", "--limit", "1"))] == [ids[1]]
    assert [row[0] for row in rows(sogni("project", "list", "--app-source", "painter", "--since", "7d"))] == [ids[0]]
    assert rows(sogni("project", "list", "--since", "2020-01-31", "--app-source", "nobody")) == []


@pytest.mark.parametrize("since", ["yesterday", "3", "3w", "", "2999-01-01"])
def test_a_time_that_is_none_is_wrong_usage(sogni: Run, supernet: LocalSupernet, since: str) -> None:
    result = sogni("project", "list", "--since", since)
    assert (result.exit_code, "--since" in result.stderr) == (2, True)


# -- show --------------------------------------------------------------------------


def test_a_finished_project_has_cost_times_and_urls(sogni: Run, supernet: LocalSupernet) -> None:
    project_id = create(supernet, token_type="spark")
    facts = {row[0]: row[1:] for row in rows(sogni("project", "show", project_id.lower()))}
    paid = supernet.projects[0]["costActual"]["costInToken"]
    assert [facts[name][0] for name in ("id", "status", "cost")] == [project_id, "completed", f"{paid} spark"]
    assert {"started", "finished", "duration"} <= facts.keys()
    (job,) = supernet.projects[0]["completedWorkerJobs"]
    assert facts[job["imgID"]][1].startswith("http")
    document = json.loads(sogni("project", "show", project_id, "--json").stdout)
    assert (document["cost"], document["tokenType"]) == (paid, "spark")
    assert {"startedAt", "finishedAt", "duration"} <= document.keys() & document["jobs"][0].keys()


def test_a_waiting_project_says_why(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project_id = create(supernet, finished=False)
    facts = {row[0]: row[1] for row in rows(sogni("project", "show", project_id))}
    assert (facts["status"], facts["waiting"]) == ("queued", "Waiting for a free worker")
    document = json.loads(sogni("project", "show", project_id, "--json").stdout)
    assert document["waitingReason"]["reason"] == "queued"
    assert "cost" not in document


def test_a_record_that_is_not_there_yet_is_no_error(sogni: Run, supernet: LocalSupernet) -> None:
    project_id = create(supernet)
    supernet.faults.http(f"/v1/projects/{project_id}", status=404)
    assert "cost" not in {row[0] for row in rows(sogni("project", "show", project_id))}


@pytest.mark.parametrize("command", ["show", "watch", "save", "cancel"])
def test_an_unknown_project_is_named(sogni: Run, command: str) -> None:
    result = sogni("project", command, UNKNOWN)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert UNKNOWN in result.stderr


# -- watch -------------------------------------------------------------------------


def test_a_project_is_watched_until_it_ends(sogni: Run, supernet: LocalSupernet) -> None:
    project_id = create(supernet)
    (job,) = rows(sogni("project", "watch", project_id))
    assert job[1] == "completed"
    assert job[2].startswith("http")


def test_results_of_a_watched_project_are_saved(start: Start, supernet: LocalSupernet, tmp_path: Path) -> None:
    supernet.pause_workers()
    project_id = create(supernet, finished=False)
    process = start("project", "watch", project_id, "-o", "out", "--json")
    supernet.wait_for(lambda: any(project_id in getattr(it, "path", "") for it in supernet.requests))
    supernet.resume_workers()
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")
    document = json.loads(stdout)
    with Image.open(tmp_path / document["files"][0]) as image:
        assert image.size == (256, 256)
    assert document["cost"] == supernet.projects[0]["costActual"]["costInToken"]


@pytest.mark.parametrize("ending", ["timeout", "interruption"])
def test_a_project_that_is_no_longer_watched_continues(start: Start, supernet: LocalSupernet, ending: str) -> None:
    supernet.pause_workers()
    project_id = create(supernet, finished=False)
    process = start("project", "watch", project_id, *(("--timeout", "0.5") if ending == "timeout" else ()))
    if ending == "interruption":
        supernet.wait_for(lambda: any(project_id in getattr(it, "path", "") for it in supernet.requests))
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == {"timeout": 124, "interruption": 130}[ending]
    if ending == "timeout":
        assert stderr.endswith(f"did not finish within 0.5 seconds and continues{saved_later(supernet)}")
    assert supernet.projects[0]["status"] == "queued"


def test_a_watched_project_that_failed_is_a_failure(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(0)
    project_id = create(supernet)
    result = sogni("project", "watch", project_id, "-o", "out")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


# -- save --------------------------------------------------------------------------


def test_the_command_that_an_error_names_saves_the_results(sogni: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    supernet.faults.http("/storage/*", method="GET", status=404, times=20)
    failed = sogni("image", "a lighthouse", "-n", "2", "-o", "out")
    supernet.faults.clear()
    command = failed.stderr.partition("'sogni ")[2].partition("'")[0]
    assert (failed.exit_code, command) == (1, f"project save {supernet.projects[0]['id']}")
    paths = [row[0] for row in rows(sogni(*command.split(), "-o", "out", "--name", "{seed}"))]
    assert sorted(paths) == sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").iterdir())
    assert len(paths) == 2


def test_several_projects_are_saved_at_once(sogni: Run, supernet: LocalSupernet) -> None:
    ids = [create(supernet), create(supernet, number_of_media=2)]
    document = json.loads(sogni("project", "save", *ids, "--json").stdout)
    assert [(it["id"], len(it["files"])) for it in document["projects"]] == [(ids[0], 1), (ids[1], 2)]


def test_results_that_are_missing_are_reported_and_the_others_saved(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw(0)
    partial = create(supernet, number_of_media=2)
    supernet.faults.fail_job(0)
    failed = create(supernet)
    supernet.pause_workers()
    waiting = create(supernet, finished=False)
    result = sogni("project", "save", partial, failed, waiting, UNKNOWN)
    assert (result.exit_code, result.stdout.count(".png\n")) == (1, 1)
    assert UNKNOWN in result.stderr
    result = sogni("project", "save", partial, failed, waiting)
    lines = result.stderr.splitlines()
    assert lines[0] == f"sogni: project {partial} has 1 of 2 results: withheld by the content filter"
    assert lines[1].startswith(f"sogni: project {failed} has 0 of 1 results: ")
    assert lines[2].startswith(f"sogni: project {waiting} is queued and has 0 results so far; ")
    assert (result.exit_code, len(lines)) == (1, 3)


def test_a_kind_that_nothing_tells_is_an_option(sogni: Run, supernet: LocalSupernet) -> None:
    assert sogni("project", "save", create(supernet), "--kind", "image").exit_code == 0
    assert sogni("project", "save", UNKNOWN, "--kind", "hologram").exit_code == 2


# -- cancel ------------------------------------------------------------------------


def test_a_project_is_canceled_once(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project_id = create(supernet, finished=False)
    assert rows(sogni("project", "cancel", project_id)) == [[project_id, "canceled"]]
    assert json.loads(sogni("project", "cancel", project_id, "--json").stdout)["status"] == "canceled"


def test_results_of_a_project_that_had_ended_are_not_forgotten(sogni: Run, supernet: LocalSupernet) -> None:
    project_id = create(supernet)
    result = sogni("project", "cancel", project_id)
    assert (result.exit_code, result.stdout) == (0, f"{project_id}\tcompleted\n")
    assert f"'sogni project save {project_id}'" in result.stderr


def test_a_cancellation_that_is_declined_is_an_error(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project_id = create(supernet, finished=False)
    supernet.faults.deny_cancel(message="too late")
    result = sogni("project", "cancel", project_id)
    assert (result.exit_code, "too late" in result.stderr) == (1, True)
