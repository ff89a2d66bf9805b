"""Attaching projects that another process or client started (transport §13.1, projects-5x §9)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.projects.project import restored_state
from sogni.core.projects.recovery import attach, poll
from sogni.errors import AuthenticationError, ConnectionRejectedError, NotFoundError, ValidationError
from tests.core.play import JOB, MODEL, NOW, PROJECT, Stage, bare, refused
from tests.core.projects.test_recovery import known, live, old_project, record_of, unknown


@pytest.fixture
def stage() -> Stage:
    return Stage().connects()


def unpickled(stage: Stage, status: str = "pending", app_id: str | None = "app-1") -> Any:
    """A project as another process kept it."""
    project = stage.project(tracked=False)
    project.app_id, project.status = app_id, status
    return restored_state(project.snapshot({"modelId": MODEL}))


def test_a_tracked_project_is_that_project(stage: Stage) -> None:
    project = old_project(stage)
    assert stage.play(attach(PROJECT.lower(), None)) is project


def test_an_unpickled_project_goes_on_where_it_is_now(stage: Stage) -> None:
    restored = unpickled(stage)
    job = {"imgID": JOB.lower(), "status": "jobStarted", "worker": {"username": "ann"}}
    project = stage.play(attach(PROJECT, restored), unknown(), (live(), known("processing", workerJobs=[job])))
    assert (project is restored, project.polled, project.jobs[JOB].worker_name) == (True, False, "ann")
    assert (stage.state.projects.by_id[PROJECT] is project, stage.begun) == (True, [])
    stage.state.listen()
    project.jobs[JOB].listeners.add("updated", str)
    stage.receives("jobProgress", {"jobID": PROJECT, "imgID": JOB, "step": 1})
    assert {"step"} in stage.told("updated")


def test_an_unpickled_project_moves_to_the_clock_of_its_client(stage: Stage) -> None:
    stage.project()
    for job_id in (JOB, "ANOTHER"):
        stage.receives("jobProgress", {"jobID": PROJECT, "imgID": job_id, "step": 1})
    stage.receives("jobETA", {"jobID": PROJECT, "imgID": JOB, "etaSeconds": 30})
    restored = restored_state(stage.state.projects.by_id.pop(PROJECT).snapshot({"type": "image", "modelId": MODEL}))
    before = restored.snapshot({})
    stage.state.out.epoch, stage.now = NOW - 100.0, 100.0
    project = stage.play(attach(PROJECT, restored), unknown(), (live(), known("processing")))
    assert (project.sent_at, project.eta_at, project.jobs[JOB].eta_started_at) == (100.0, 130.0, 100.0)
    assert project.snapshot({}) == before


def test_a_finished_unpickled_project_needs_nobody(stage: Stage) -> None:
    restored = unpickled(stage, "completed")
    assert stage.play(attach(PROJECT, restored)) is restored


def test_a_project_is_made_from_its_record(stage: Stage) -> None:
    job = {"imgID": JOB, "status": "jobCompleted", "resultUrl": "u", "performedSteps": 4}
    answer = known("completed", model={"id": MODEL}, imageCount=1, completedWorkerJobs=[job], appId="app-1")
    project = stage.play(attach(PROJECT, None), (record_of(), answer))
    assert (project.params.model_id, project.result_urls, project.settled) == (MODEL, ["u"], True)


@pytest.mark.parametrize(("told", "kept"), [("app-2", None), ("app-2", "app-2"), (None, "app-2")])
def test_a_project_of_another_app_id_is_asked_after(stage: Stage, told: str | None, kept: str | None) -> None:
    restored = unpickled(stage, app_id=kept) if kept else None
    project = stage.play(attach(PROJECT, restored), unknown(), (live(), known("processing", appId=told)))
    assert (project.polled, project.app_id, stage.begun) == (True, "app-2", [outbox.Poll(PROJECT)])


LISTED = "GET socket/api/v1/artist/projects/sync"


def listed(**fields: Any) -> tuple[str, Any]:
    entry = {"id": PROJECT.lower(), "status": "progress", "model": {"id": MODEL}, "imageCount": 3, **fields}
    return LISTED, bare({"activeProjects": [{"id": "P", "appId": "app-1"}, entry], "unclaimedCompletedProjects": []})


@pytest.mark.parametrize(("app_id", "asked_after"), [("app-1", False), ("app-2", True), (None, True)])
@pytest.mark.parametrize("kept", [False, True])
def test_the_list_says_which_app_id_it_is_of_when_the_record_does_not(
    stage: Stage, app_id: str | None, asked_after: bool, kept: bool
) -> None:
    restored = unpickled(stage, app_id=None) if kept else None
    answers = unknown(), (live(), known("processing", imageCount=3)), listed(appId=app_id)
    project = stage.play(attach(PROJECT, restored), *answers)
    assert (project.polled, project.app_id) == (asked_after, app_id)
    assert (project is restored) is kept
    assert kept or (project.params.model_id, project.number_of_media) == (MODEL, 3)
    assert stage.begun == ([outbox.Poll(PROJECT)] if asked_after else [])


@pytest.mark.parametrize("answer", [refused(403), bare({"activeProjects": []}), bare([])])
def test_a_project_of_nobody_knows_which_app_id_is_asked_after(stage: Stage, answer: Any) -> None:
    project = stage.play(attach(PROJECT, None), unknown(), (live(), known("processing")), (LISTED, answer))
    assert (project.polled, stage.begun) == (True, [outbox.Poll(PROJECT)])


def test_our_own_project_is_heard_of_over_a_socket_that_is_opened_for_it() -> None:
    stage = Stage()
    project = stage.play(attach(PROJECT, None), unknown(), (live(), known("processing", appId="app-1")))
    assert (project.polled, stage.state.connection.phase) == (False, "connecting")


def test_our_own_project_cannot_be_followed_while_another_client_has_the_app_id() -> None:
    stage = Stage().connects().drops(4015)
    stage.fail(ConnectionRejectedError, attach(PROJECT, None), unknown(), (live(), known("processing", appId="app-1")))
    stage.fail(ConnectionRejectedError, attach(PROJECT, None))
    assert [project.id for project in stage.state.projects.tracked()] == [PROJECT]


def test_a_project_that_a_snapshot_names_meanwhile_is_that_one(stage: Stage) -> None:
    def snapshot(stage: Stage) -> Any:
        named.append(stage.project())
        return known("processing", appId="app-1")

    named: list[Any] = []
    assert stage.play(attach(PROJECT, None), unknown(), (live(), snapshot)) is named[0]


def test_a_client_without_socket_asks_after_its_own_projects_too() -> None:
    stage = Stage(disable_socket=True)
    project = stage.play(attach(PROJECT, None), unknown(), (live(), known("processing", appId="app-1")))
    assert (project.polled, stage.begun) == (True, [outbox.Poll(PROJECT)])


def test_a_finished_project_of_another_app_id_is_not_asked_after(stage: Stage) -> None:
    project = stage.play(attach(PROJECT, None), (record_of(), known("cancelled", appId="app-2")))
    assert (project.status, stage.begun) == ("canceled", [])
    restored = unpickled(stage, app_id="app-2")
    job = {"imgID": JOB, "status": "jobError", "reason": "genfailure"}
    stage.state.projects.by_id.clear()
    project = stage.play(attach(PROJECT, restored), (record_of(), known("errored", completedWorkerJobs=[job])))
    assert (project.status, stage.begun) == ("failed", [])


def test_a_project_nobody_knows_cannot_be_attached(stage: Stage) -> None:
    stage.fail(NotFoundError, attach(PROJECT, None), unknown(), (live(), refused(404)))
    assert stage.state.projects.tracked() == []


def test_other_failures_to_look_it_up_are_raised(stage: Stage) -> None:
    stage.fail(AuthenticationError, attach(PROJECT, None), (record_of(), refused(401)))


# -- polling -----------------------------------------------------------------------


def polled(stage: Stage) -> Any:
    project = old_project(stage)
    project.polled = True
    return project


def test_a_polled_project_is_asked_after_until_it_is_over_ever_more_rarely(stage: Stage) -> None:
    project = polled(stage)
    still = (live(), known("processing", workerJobs=[{"imgID": JOB, "status": "jobStarted"}]))
    waits = [0.5, 0.75, 1.125, 1.6875, 2.53125, 3.79688, 5.69531, 8.54297, 10, 10]
    script = [step for wait in waits for step in ((f"pause {wait:g} ±20%", None), still)]
    over = known("completed", completedWorkerJobs=[{"imgID": JOB, "status": "jobCompleted", "resultUrl": "u"}])
    stage.play(poll(PROJECT), *script, ("pause 10 ±20%", None), (live(), over), ("pause 10 ±20%", None))
    assert (project.settled, project.result_urls) == (True, ["u"])


def test_a_polled_project_says_why_it_waits(stage: Stage) -> None:
    project = polled(stage)
    why = {"waitingReason": {"reason": "queued", "message": "m"}}
    seen: list[Any] = []
    stage.play(
        poll(PROJECT),
        ("pause 0.5 ±20%", None),
        (live(), known("queued", **why)),
        ("pause 0.75 ±20%", lambda _: seen.append(project.queue.waiting_reason.reason)),
        (live(), known("canceled")),
        ("pause 1.125 ±20%", None),
    )
    assert (seen, project.queue.waiting_reason) == (["queued"], None)


def test_a_polled_project_nobody_knows_any_more_is_lost(stage: Stage) -> None:
    project = polled(stage)
    stage.play(poll(PROJECT), ("pause 0.5 ±20%", None), (live(), refused(404)))
    assert project.error.original_code == "projectLost"


def test_other_failures_are_asked_again(stage: Stage) -> None:
    project = polled(stage)
    stage.play(
        poll(PROJECT),
        ("pause 0.5 ±20%", None),
        (live(), refused(403)),
        ("pause 0.75 ±20%", None),
        (live(), known("canceled")),
        ("pause 1.125 ±20%", None),
    )
    assert project.status == "canceled"


def test_a_polled_project_that_is_forgotten_is_not_asked_after(stage: Stage) -> None:
    stage.play(poll(PROJECT), ("pause 0.5 ±20%", None))


def test_attached_twice_at_once_it_is_asked_after_once(stage: Stage) -> None:
    first: list[Any] = []

    def meanwhile(stage: Stage) -> Any:
        other = known("processing", appId="app-2")
        first.append(stage.play_inside(attach(PROJECT, None), unknown(), (live(), other)))
        return other

    second = stage.play(attach(PROJECT, None), unknown(), (live(), meanwhile))
    assert (first, stage.begun) == ([second], [outbox.Poll(PROJECT)])


@pytest.mark.parametrize("bad", ["", None, 5])
def test_what_is_no_id_is_not_asked_for(stage: Stage, bad: Any) -> None:
    stage.fail(ValidationError, attach(bad, None))
