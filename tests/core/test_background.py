"""The flow of each background task."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.background import flow_of
from sogni.core.chat.state import ChatState
from sogni.core.projects.registry import Synchronization
from sogni.errors import ClientClosedError, SogniConnectionError
from sogni.models.projects import JobRecord, ProjectRecord, Snapshot
from sogni.settings import RetryPolicy
from tests.core.play import JOB, MODEL, MODELS, PROJECT, Stage, bare, ok, refused
from tests.tables import each_row

ACTIVE = "GET socket/api/v1/artist/projects/active"
OTHER = PROJECT[:-1] + "2"
SYNC = Synchronization("authenticated")
RECORD = f"GET rest/v1/projects/{PROJECT}"
LIVE = f"GET rest/v2/projects/{PROJECT}"
URL = ok({"downloadUrl": "https://store/1"})
SIGN = f"GET rest/v1/image/downloadUrl?jobId={PROJECT}&imageId={JOB}&type="


def signing(stage: Stage) -> None:
    stage.receives("jobResult", {"jobID": PROJECT, "imgID": JOB})


@each_row(
    ("task", "script"),
    [
        (outbox.SignResults(PROJECT), [(SIGN + "complete", URL)]),
        (outbox.SignPreview(PROJECT, JOB), [(SIGN + "preview", URL)]),
        (outbox.SyncProject(PROJECT), [(RECORD, ok({"project": {"id": PROJECT}}))]),
        (outbox.Reconcile(Snapshot(), SYNC), []),
        (outbox.ApplyRecord(ProjectRecord(id=PROJECT, status="completed"), SYNC), []),
        (outbox.Recover((ProjectRecord(id=OTHER, status="completed"),), SYNC), []),
        (outbox.LookUp((PROJECT,), SYNC, 0), [(RECORD, refused(403))]),
        (outbox.Reconcile(None, SYNC), [("GET socket/api/v1/artist/projects/sync?appId=app-1", refused(403))]),
        (outbox.Resend(PROJECT), []),
        (outbox.CheckLiveness(PROJECT), [(ACTIVE, bare({"projects": [{"id": PROJECT}]}))]),
        (outbox.CheckOverrun(PROJECT, JOB), [(ACTIVE, bare({"projects": [{"id": PROJECT}]}))]),
        (outbox.Poll(PROJECT), [("pause 0.5 ±20%", None), (LIVE, refused(404))]),
        (outbox.EndLostChats(), []),
        (outbox.NameModels({MODEL: 1}, 0), [MODELS]),
        (outbox.FetchAccount(), [("GET rest/v1/account/me", ok({}))]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_task_has_its_flow(task: Any, script: list[Any]) -> None:
    stage = Stage().connects()
    project = stage.project()
    project.request, project.polled = None, isinstance(task, outbox.Poll)
    signing(stage)
    stage.passes(6).play(flow_of(task), *script)


def test_an_account_that_cannot_be_read_is_no_news() -> None:
    stage = Stage(retry=RetryPolicy(attempts=1))
    stage.play(flow_of(outbox.FetchAccount()), ("GET rest/v1/account/me", SogniConnectionError("gone")))


def test_the_end_of_the_client_ends_its_tasks() -> None:
    closed = ClientClosedError("closed")
    stage = Stage().connects()
    project = stage.project()
    signing(stage)
    stage.fail(ClientClosedError, flow_of(outbox.FetchAccount()), ("GET rest/v1/account/me", closed))
    stage.fail(ClientClosedError, flow_of(outbox.SignResults(PROJECT)), (SIGN + "complete", closed))
    stage.fail(ClientClosedError, flow_of(outbox.LookUp((PROJECT,), SYNC, 0)), (RECORD, closed))
    assert (project.status, project.jobs[JOB].status) == ("pending", "pending")


# -- a flow that dies ------------------------------------------------------------------

DIES = RuntimeError("of a mistake")
POLLED = [("pause 0.5 ±20%", None), (LIVE, DIES)]
DYING = [
    (outbox.SyncProject(PROJECT), [(RECORD, DIES)]),
    (outbox.ApplyRecord(ProjectRecord(id=PROJECT, completed_worker_jobs=[DIES]), SYNC), []),  # type: ignore[list-item]
    (outbox.LookUp((PROJECT,), SYNC, 0), [(RECORD, DIES)]),
    (outbox.Resend(PROJECT), [("until the next connection (connect, 60 s)", DIES)]),
    (outbox.CheckLiveness(PROJECT), [(ACTIVE, DIES)]),
    (outbox.CheckOverrun(PROJECT, JOB), [(ACTIVE, DIES)]),
    (outbox.Poll(PROJECT), POLLED),
]


@each_row(("task", "script"), DYING, ids=lambda value: type(value).__name__)
@each_row("with_result", [False, True])
def test_a_project_whose_background_flow_dies_fails_with_the_cause(
    task: Any, script: list[Any], with_result: bool
) -> None:
    stage = Stage().connects()
    project = stage.project(number_of_media=3)
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobStarted", "imgID": "B2"})
    project.request, project.polled = {}, isinstance(task, outbox.Poll)
    signing(stage)
    if with_result:
        stage.receives("jobResult", {"jobID": PROJECT, "imgID": "B3", "resultUrl": "https://store/3"})
    error = stage.fail(Exception, flow_of(task), *script)
    assert (project.settled, project.status, project.signing) == (True, "failed", False)
    assert [job.status for job in project.failed_jobs()] == ["failed", "failed"]
    assert project.error is not None
    assert project.error.message.endswith(f" failed: {type(error).__name__}: {error}")


def test_an_ended_project_whose_background_flow_dies_keeps_its_results() -> None:
    stage = Stage().connects()
    project = stage.project(number_of_media=2)
    stage.receives("jobResult", {"jobID": PROJECT, "imgID": JOB, "resultUrl": "https://store/1"})
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobStarted", "imgID": "B2"})
    stage.fail(RuntimeError, flow_of(outbox.SyncProject(PROJECT)), (RECORD, DIES))
    assert (project.settled, project.status, project.result_urls) == (True, "completed", ["https://store/1"])
    assert [job.error.message for job in project.failed_jobs()] == [
        "reading the record of the project failed: RuntimeError: of a mistake"
    ]
    project.abort(project.failed_jobs()[0].error, stage.now)
    assert project.status == "completed"


def test_a_task_that_dies_after_its_project_is_gone_concerns_nobody() -> None:
    stage = Stage().connects()
    stage.fail(RuntimeError, flow_of(outbox.SyncProject(PROJECT)), (RECORD, DIES))
    stage.project()
    signing(stage)

    def gone(stage: Stage) -> Any:
        stage.state.projects.by_id.clear()
        return URL

    stage.play(flow_of(outbox.SignResults(PROJECT)), (SIGN + "complete", gone))


@pytest.mark.parametrize("over", [False, True])
def test_an_url_whose_request_dies_fails_its_job_with_the_cause(over: bool) -> None:
    """Also of a project that is over, which waits for nothing else."""
    stage = Stage().connects()
    project = stage.project(number_of_media=2)
    signing(stage)
    stage.receives("jobResult", {"jobID": PROJECT, "imgID": "B2"})
    if over:
        stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})
        project.settle_anyway(stage.now)
    second = SIGN.replace(JOB, "B2") + "complete"
    stage.fail(RuntimeError, flow_of(outbox.SignResults(PROJECT)), (SIGN + "complete", DIES), (second, URL))
    first, other = project.job_list()
    assert (first.status, other.status, project.signing) == ("failed", "completed", False)
    assert first.error.message == "getting the URL of the result failed: RuntimeError: of a mistake"
    assert project.settled is over


@pytest.mark.parametrize("over", [False, True])
def test_requesting_urls_may_die_as_a_whole(over: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobStarted", "imgID": "B0"})
    project.number_of_media = 2
    signing(stage)
    if over:
        project.completed(stage.now)
        project.settle_anyway(stage.now)
    stage.on_the_way.append(("jobState", 7))
    monkeypatch.setattr(stage.state, "receive", lambda *_: (_ for _ in ()).throw(DIES))
    stage.fail(RuntimeError, flow_of(outbox.SignResults(PROJECT)), (SIGN + "complete", URL))
    assert (project.jobs[JOB].status, project.signing, project.settled) == ("failed", False, over)


def test_requesting_urls_may_die_after_the_project_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage().connects()
    stage.project()
    signing(stage)
    stage.on_the_way.append(("jobState", 7))
    monkeypatch.setattr(stage.state, "receive", lambda *_: (_ for _ in ()).throw(DIES))
    gone = (SIGN + "complete", lambda stage: stage.state.projects.by_id.clear() or URL)
    stage.fail(RuntimeError, flow_of(outbox.SignResults(PROJECT)), gone)


def test_a_result_whose_id_is_half_a_surrogate_pair_is_signed() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.receives("jobResult", {"jobID": PROJECT, "imgID": "\ud800"})
    sign = SIGN.replace(f"imageId={JOB}", "imageId=%ED%A0%80") + "complete"
    stage.play(flow_of(outbox.SignResults(PROJECT)), (sign, URL))
    assert [(job.id, job.result_url) for job in project.job_list()] == [("\ud800", "https://store/1")]
    assert type(project.job_list()[0].result_url) is str


@pytest.mark.parametrize("late", ["jobState", "jobResult"])
def test_an_url_only_counts_for_the_result_it_was_requested_for(late: str) -> None:
    """The render begins again under another id while the URL is requested, and may even be done by then."""
    stage = Stage().connects()
    project = stage.project()
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobStarted", "imgID": JOB, "jobIndex": 0})
    signing(stage)

    def again(stage: Stage) -> Any:
        stage.receives("jobRetry", {"jobID": PROJECT, "imgID": JOB, "jobIndex": 0})
        stage.receives(late, {"jobID": PROJECT, "imgID": "B2", "jobIndex": 0, "type": "jobStarted"})
        return URL

    second = (SIGN.replace(JOB, "B2") + "complete", ok({"downloadUrl": "https://store/2"}))
    script = [second] if late == "jobResult" else []
    stage.play(flow_of(outbox.SignResults(PROJECT)), (SIGN + "complete", again), *script)
    (job,) = project.job_list()
    assert (job.id, job.result_url, project.signing) == ("B2", "https://store/2" if script else None, False)


def test_a_record_only_completes_the_attempt_it_is_about() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobStarted", "imgID": JOB, "jobIndex": 0})

    def again(stage: Stage) -> Any:
        stage.receives("jobState", {"jobID": PROJECT, "type": "jobStarted", "imgID": "B2", "jobIndex": 0})
        return URL

    record = ProjectRecord(id=PROJECT, completed_worker_jobs=[JobRecord(img_id=JOB, status="jobCompleted")])
    stage.play(flow_of(outbox.ApplyRecord(record, SYNC)), (SIGN + "complete", again))
    assert [(job.id, job.status, job.result_url) for job in project.job_list()] == [("B2", "processing", None)]


def test_a_recorded_result_whose_url_cannot_be_requested_fails_with_the_cause() -> None:
    stage = Stage().connects()
    project = stage.project()
    record = ProjectRecord(
        id=PROJECT, status="completed", completed_worker_jobs=[JobRecord(img_id=JOB, status="jobCompleted")]
    )
    stage.play(flow_of(outbox.ApplyRecord(record, SYNC)), (SIGN + "complete", DIES))
    assert project.settled
    assert project.error is not None
    assert project.error.message == "getting the URL of the result failed: RuntimeError: of a mistake"

    other = stage.project(OTHER, number_of_media=2)
    record = ProjectRecord(id=OTHER, completed_worker_jobs=[JobRecord(img_id=JOB, status="jobCompleted")])

    def ends(stage: Stage) -> Any:
        other.end_job(other.jobs[JOB], "canceled", None, stage.now)
        raise DIES

    stage.play(flow_of(outbox.ApplyRecord(record, SYNC)), (SIGN.replace(PROJECT, OTHER) + "complete", ends))
    assert other.jobs[JOB].status == "canceled"


@pytest.mark.parametrize("frame", ["jobRetry", "jobError"])
def test_a_project_that_is_over_is_settled_although_its_last_url_is_not_needed_any_more(frame: str) -> None:
    stage = Stage().connects()
    project = stage.project(number_of_media=2)
    signing(stage)
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})
    project.settle_anyway(stage.now)

    def not_needed(stage: Stage) -> Any:
        stage.receives(frame, {"jobID": PROJECT, "imgID": JOB, "error": "genfailure"})
        return URL

    stage.play(flow_of(outbox.SignResults(PROJECT)), (SIGN + "complete", not_needed))
    assert (project.settled, project.jobs[JOB].status) == (True, "failed")


def test_models_are_listed_although_naming_them_dies() -> None:
    stage = Stage().connects()
    stage.fail(RuntimeError, flow_of(outbox.NameModels({"a-b": 1}, 0)), (MODELS[0], DIES))
    assert [(model.id, model.name) for model in stage.state.catalogue.available] == [("a-b", "a b")]


def test_chats_without_news_end_although_nobody_watches_over_them() -> None:
    stage = Stage().connects()
    stage.state.chats.by_id["C1"] = chat = ChatState("C1", stage.state.out)
    stage.drops()
    stage.fail(RuntimeError, flow_of(outbox.EndLostChats()), ("pause 35", DIES))
    assert chat.failure is not None
    assert chat.failure.message == "waiting for the connection failed: RuntimeError: of a mistake"
    stage.connects()
    stage.state.chats.by_id["C2"] = ChatState("C2", stage.state.out)
    assert outbox.EndLostChats() in stage.drops().begun
