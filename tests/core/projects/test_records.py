"""Applying a record to a tracked project (projects-5x §9.4): nothing is downgraded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sogni.core.client_state import ClientState
from sogni.core.projects.project import ProjectState
from sogni.core.projects.results import replay_jobs, replay_record, restored_project
from sogni.models.converter import from_dict
from sogni.models.projects import ProjectRecord
from sogni.settings import Settings
from tests.tables import each_row


def state_of() -> ClientState:
    return ClientState(Settings(api_key="k", auth_type="api_key"), "APP")


def record_of(**fields: Any) -> ProjectRecord:
    return from_dict(ProjectRecord, {"id": "p", "imageCount": 2, "stepCount": 20, "model": {"id": "m"}, **fields})


def replayed(project: ProjectState | None = None, state: ClientState | None = None, **fields: Any) -> ProjectState:
    state = state or state_of()
    record = record_of(**fields)
    project = project or restored_project(state, record, 1.0)
    state.projects.track(project, 1.0)
    replay_record(project, record, state, 5.0)
    return project


def job(image: str, status: str, **fields: Any) -> dict[str, Any]:
    return {"id": "p", "imgID": image, "status": status, **fields}


def test_a_recovered_project_is_made_from_its_record() -> None:
    project = restored_project(state_of(), record_of(createTime=1000, appId="OTHER"), 5.0)
    assert (
        project.id,
        project.number_of_media,
        project.steps,
        project.params.model_id,
        project.app_id,
        project.recovered,
        project.acknowledged,
        project.started_at,
    ) == ("P", 2, 20, "m", "OTHER", True, True, 1.0)
    assert (
        restored_project(state_of(), record_of(), 5.0).app_id,
        restored_project(state_of(), record_of(), 5.0).started_at,
    ) == (None, 5.0)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"modelType": "video"}, "video"),
        ({"modelType": "music"}, "audio"),
        ({"model": {"id": "m", "type": "audio"}}, "audio"),
        ({"modelType": "image"}, "model"),
        ({}, "model"),
    ],
)
def test_its_kind_is_what_the_record_or_else_the_list_says(fields: dict[str, Any], kind: str) -> None:
    state = state_of()
    state.catalogue.kinds = {"m": "model"}
    assert kind == restored_project(state, record_of(**fields), 1.0).kind


@each_row(
    ("status", "expected"),
    [
        ("pending", "pending"),
        ("authorized", "pending"),
        ("active", "queued"),
        ("queued", "queued"),
        ("assigned", "pending"),
        ("completed", "completed"),
        ("errored", "failed"),
        ("cancelled", "canceled"),
        ("something new", "pending"),
        (None, "pending"),
    ],
)
def test_the_status_of_a_project(status: str | None, expected: str) -> None:
    assert expected == replayed(status=status).status


def test_a_project_at_work_is_not_put_back_into_the_queue() -> None:
    assert replayed(status="active", workerJobs=[job("a", "jobProgress")]).status == "processing"


@each_row(
    ("status", "fields", "expected"),
    [
        ("created", {}, None),
        ("queued", {}, None),
        ("something new", {}, None),
        ("assigned", {"worker": {"name": "n"}}, ("initiating", 0, "n")),
        ("initiatingModel", {"worker": {"username": "u", "name": "n"}}, ("initiating", 0, "u")),
        ("jobStarted", {}, ("processing", 0, None)),
        ("jobProgress", {"performedSteps": 7}, ("processing", 7, None)),
        ("jobCompleted", {"resultUrl": "u", "performedSteps": 7}, ("completed", 7, None)),
        ("jobCompleted", {"resultUrl": "u", "reason": "artistCanceled"}, ("canceled", 20, None)),
        ("jobError", {}, ("failed", 0, None)),
    ],
)
def test_the_status_of_a_job(status: str, fields: dict[str, Any], expected: Any) -> None:
    jobs = replayed(status="active", workerJobs=[job("a", status, **fields)]).jobs
    assert ([expected] if expected else []) == [(it.status, it.step, it.worker_name) for it in jobs.values()]
    assert {"A"} >= jobs.keys()


def test_a_result_of_a_record() -> None:
    found = job("a", "jobCompleted", seedUsed=2**63, triggeredNSFWFilter=True, nsfwDetected=True, imageUrl="u")
    (made,) = replayed(completedWorkerJobs=[found]).job_list()
    assert (made.seed, made.is_nsfw, made.nsfw_detected, made.result_url) == (2**63, True, True, "u")


@pytest.mark.parametrize(
    ("reason", "code", "original"),
    [(None, 5000, "genfailure"), ("jobTimedOut", 5003, "jobTimedOut"), ("4081", 4081, None)],
)
def test_a_failure_of_a_record(reason: str | None, code: int, original: str | None) -> None:
    (made,) = replayed(workerJobs=[job("a", "jobError", reason=reason)]).job_list()
    assert made.error is not None
    assert (code, original) == (made.error.code, made.error.original_code)


@pytest.mark.parametrize(
    ("reason", "original"),
    [(None, "genfailure"), ("allJobsCompleted", "genfailure"), ("workerDisconnected", "workerDisconnected")],
)
def test_an_errored_project_takes_its_unfinished_jobs_with_it(reason: str | None, original: str) -> None:
    jobs = [job("a", "jobProgress"), job("b", "jobCompleted", resultUrl="u")]
    project = replayed(status="errored", reason=reason, imageCount=3, workerJobs=jobs)
    failed = project.jobs["A"]
    assert project.error is not None
    assert failed.error is not None
    assert (project.status, failed.status, project.jobs["B"].status) == ("failed", "failed", "completed")
    assert (original, original) == (project.error.original_code, failed.error.original_code)


def test_a_cancelled_project_cancels_its_jobs() -> None:
    project = replayed(status="cancelled", workerJobs=[job("a", "jobProgress")])
    assert (project.status, project.error, project.jobs["A"].status) == ("canceled", None, "canceled")


def test_each_job_counts_once_and_running_ones_come_first() -> None:
    project = replayed(
        workerJobs=[job("a", "jobProgress", performedSteps=5), job("", "jobProgress"), job("a", "jobError")],
        completedWorkerJobs=[job("A", "jobCompleted", resultUrl="u"), job("b", "jobCompleted", resultUrl="u")],
    )
    assert [(it.id, it.status) for it in project.job_list()] == [("A", "processing"), ("B", "completed")]


def test_a_job_that_ended_here_stays_ended() -> None:
    state = state_of()
    project = replayed(state=state, workerJobs=[job("a", "jobError"), job("b", "jobStarted")])
    again = replayed(project, state, workerJobs=[job("a", "jobProgress"), job("b", "jobProgress")])
    assert {it.id: it.status for it in again.job_list()} == {"A": "failed", "B": "processing"}


@pytest.mark.parametrize("kind", ["initiatingModel", "jobStarted"])
@pytest.mark.parametrize("status", ["assigned", "jobStarted", "jobProgress"])
def test_what_frames_have_told_is_not_taken_back(kind: str, status: str) -> None:
    """Neither the status nor the prompts, which no record holds."""
    state = state_of()
    project = replayed(state=state)
    frame = {"jobID": "P", "imgID": "A", "type": kind, "workerName": "w", "positivePrompt": "p", "negativePrompt": "n"}
    state.receive("jobState", frame, 2.0)
    if kind == "jobStarted":
        state.receive("jobProgress", {"jobID": "P", "imgID": "A", "step": 9}, 2.0)
    replayed(project, state, workerJobs=[job("a", status, performedSteps=4, worker={"name": "w"})])
    made = project.jobs["A"]
    steps = 9 if kind == "jobStarted" else 0 if status == "assigned" else 4
    expected = "processing" if "jobStarted" in (kind, status) or status == "jobProgress" else "initiating"
    assert (expected, "w", "p", "n", steps) == (
        made.status,
        made.worker_name,
        made.positive_prompt,
        made.negative_prompt,
        made.step,
    )


def test_a_finished_project_is_left_alone() -> None:
    state = state_of()
    project = replayed(state=state, status="errored")
    replay_jobs(project, record_of(workerJobs=[job("a", "jobProgress")]), state, 9.0)
    assert (project.status, project.jobs) == ("failed", {})


@pytest.mark.parametrize("status", ["progress", "cancelled"])
def test_a_canceled_job_does_not_fail_a_project_of_one(status: str) -> None:
    ended = job("a", "jobError", reason="artistCanceled")
    project = replayed(status=status, imageCount=1, completedWorkerJobs=[ended])
    expected = "canceled" if status == "cancelled" else "pending"
    assert ([j.status for j in project.job_list()], project.status, project.error) == (["canceled"], expected, None)


def test_a_record_also_tells_the_last_frame_and_where_a_result_comes_from() -> None:
    told = {"resultUrl": "u", "lastFrameUrl": "f", "result": {"sha256": "AB" * 32, "imgID": "OTHER"}}
    project = replayed(status="progress", workerJobs=[job("i1", "jobCompleted", **told)])
    (found,) = project.job_list()
    assert (found.id, found.last_frame_url, found.provenance.sha256) == ("I1", "f", "ab" * 32)


def test_a_running_job_has_started_when_the_record_says() -> None:
    project = replayed(status="progress", workerJobs=[job("B1", "jobProgress", startTime=4_000, performedSteps=3)])
    (running,) = project.job_list()
    assert (running.started_at, running.finished_at) == (datetime.fromtimestamp(4, UTC), None)
