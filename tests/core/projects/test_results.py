"""The URLs of finished jobs, and values from the record of the project (projects-4.2 §10.4, §11.4, §14.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.projects.project import restored_state
from sogni.core.projects.results import (
    any_record,
    apply_record,
    recorded_error,
    sign_preview,
    sign_results,
    sync_project,
)
from sogni.errors import ClientClosedError, ProtocolError, SogniConnectionError
from sogni.models.projects import JobRecord, ProjectRecord
from sogni.settings import RetryPolicy
from tests.core.play import JOB, PROJECT, Stage, ok, refused

OTHER = JOB[:-1] + "2"
RECORD = f"GET rest/v1/projects/{PROJECT}"
PAUSE = ("pause 2.5 ±20%", None)


def address(job_id: str = JOB) -> str:
    return f"GET rest/v1/image/downloadUrl?jobId={PROJECT}&imageId={job_id}&type=complete"


def url(number: int = 1) -> Any:
    return ok({"downloadUrl": f"https://store/{number}"})


def result(job_id: str = JOB, **fields: Any) -> dict[str, Any]:
    return {"jobID": PROJECT, "imgID": job_id, "performedStepCount": 4, "lastSeed": "7", **fields}


def recorded(*jobs: dict[str, Any], status: str | None = "completed", **fields: Any) -> dict[str, Any]:
    return {"id": PROJECT, "status": status, "completedWorkerJobs": list(jobs), **fields}


def done(job_id: str = JOB, **fields: Any) -> dict[str, Any]:
    return {"imgID": job_id, "status": "jobCompleted", "performedSteps": 4, "seedUsed": 7, **fields}


def record(*jobs: JobRecord, status: str | None = "completed", **fields: Any) -> ProjectRecord:
    return ProjectRecord(id=PROJECT, status=status, completed_worker_jobs=list(jobs), **fields)


def ended(job_id: str = JOB, status: str = "jobCompleted", **fields: Any) -> JobRecord:
    return JobRecord(img_id=job_id, status=status, **fields)


@pytest.fixture
def stage() -> Stage:
    return Stage().connects()


def test_a_record_is_that_of_the_end_or_else_the_live_one(stage: Stage) -> None:
    finished = (RECORD, ok({"project": recorded(status="errored")}))
    assert stage.play(any_record(PROJECT), finished).status == "errored"
    live = (f"GET rest/v2/projects/{PROJECT}", ok({"project": {"id": PROJECT, "status": "canceled"}}))
    assert stage.play(any_record(PROJECT), (RECORD, refused(404)), live).status == "cancelled"


# -- addresses of results ----------------------------------------------------------


def test_a_job_completes_once_its_address_is_known(stage: Stage) -> None:
    project = stage.project()
    stage.receives("jobResult", result())
    assert stage.begun == [outbox.SignResults(PROJECT)]
    assert project.jobs[JOB].status == "pending"
    stage.play(sign_results(PROJECT), (address(), url()))
    job = project.jobs[JOB]
    assert (job.status, job.result_url, job.step, job.seed) == ("completed", "https://store/1", 4, 7)
    assert not project.signing


def test_results_complete_in_the_order_of_their_frames_whichever_address_comes_first(stage: Stage) -> None:
    project = stage.project(number_of_media=3)
    stage.state.projects.listeners.add("job", print)
    stage.receives("jobResult", result()).receives("jobResult", result(OTHER))

    def a_third_arrives(stage: Stage) -> Any:
        stage.receives("jobResult", result("B3"))
        return url(2)

    stage.play(sign_results(PROJECT), (address(), url(1)), (address(OTHER), a_third_arrives), (address("B3"), url(3)))
    assert [event.job_id for event in stage.told("job")] == [JOB, OTHER, "B3"]
    assert project.result_urls == ["https://store/1", "https://store/2", "https://store/3"]


def test_what_the_service_said_before_it_gave_an_address_comes_before_the_end_of_the_job(stage: Stage) -> None:
    project = stage.project()
    stage.state.projects.listeners.add("job", print)
    stage.state.projects.listeners.add("project", print)
    stage.receives("jobResult", result())

    def the_project_ends(stage: Stage) -> Any:
        stage.on_the_way.append(("jobState", {"type": "jobCompleted", "jobID": PROJECT}))
        return url()

    stage.play(sign_results(PROJECT), (address(), the_project_ends))
    ends = [delivery for delivery in stage.state.out.deliveries if delivery.event in ("project", "job")]
    assert [delivery.value.type for delivery in ends][-2:] == ["completed", "completed"]
    assert [delivery.event for delivery in ends][-2:] == ["project", "job"]
    assert project.result_urls == ["https://store/1"]


def test_an_address_is_asked_for_in_rounds(stage: Stage) -> None:
    project = stage.project()
    stage.receives("jobResult", result())
    stage.play(
        sign_results(PROJECT),
        (address(), refused(404)),
        ("pause 2 ±20%", None),
        (address(), ok({})),
        ("pause 4 ±20%", None),
        (address(), url()),
    )
    assert project.result_urls == ["https://store/1"]


def test_a_result_without_an_address_is_a_result_all_the_same(stage: Stage) -> None:
    project = stage.project()
    stage.receives("jobResult", result())
    stage.play(
        sign_results(PROJECT),
        (address(), refused(404)),
        ("pause 2 ±20%", None),
        (address(), refused(404)),
        ("pause 4 ±20%", None),
        (address(), refused(404)),
    )
    job = project.jobs[JOB]
    assert (job.status, job.result_url, project.failed_jobs()) == ("completed", None, [job])


def test_the_end_of_the_client_is_no_verdict_about_a_result(stage: Stage) -> None:
    project = stage.project()
    stage.receives("jobResult", result())
    stage.fail(ClientClosedError, sign_results(PROJECT), (address(), ClientClosedError("closed")))
    assert project.jobs[JOB].status == "pending"


def test_a_job_that_ended_while_its_address_was_asked_for_stays_as_it_is(stage: Stage) -> None:
    project = stage.project(number_of_media=2)
    stage.state.projects.listeners.add("job", print)
    stage.receives("jobResult", result()).receives("jobResult", result(OTHER))

    def both_end(stage: Stage) -> Any:
        stage.receives("jobError", {"jobID": PROJECT, "imgID": JOB, "error": "genfailure"})
        project.cancel(stage.now)
        return url()

    stage.play(sign_results(PROJECT), (address(), both_end), (address(OTHER), url()))
    assert [job.status for job in project.job_list()] == ["failed", "canceled"]
    assert [event.type for event in stage.told("job")] == ["error"]


def test_nothing_is_signed_for_a_project_nobody_tracks(stage: Stage) -> None:
    stage.play(sign_results(PROJECT))
    stage.play(sign_preview(PROJECT, JOB))
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded()})))
    stage.play(apply_record(PROJECT, record()))


# -- previews ----------------------------------------------------------------------

PREVIEW = f"GET rest/v1/image/downloadUrl?jobId={PROJECT}&imageId={JOB}&type=preview"


def test_a_running_job_shows_its_preview(stage: Stage) -> None:
    project = stage.project()
    stage.state.projects.listeners.add("job", print)
    stage.receives("jobProgress", {"jobID": PROJECT, "imgID": JOB, "hasImage": True})
    assert stage.begun == [outbox.SignPreview(PROJECT, JOB)]
    stage.play(sign_preview(PROJECT, JOB), (PREVIEW, url()))
    assert project.jobs[JOB].preview_url == "https://store/1"
    assert [(it.type, it.url) for it in stage.told("job")][-1] == ("preview", "https://store/1")


def test_a_preview_that_cannot_be_had_is_no_loss(stage: Stage) -> None:
    stage.project()
    stage.play(sign_preview(PROJECT, JOB), (PREVIEW, refused(404)))


def test_a_preview_that_comes_after_the_end_is_not_shown(stage: Stage) -> None:
    job = stage.finished_job()
    stage.play(sign_preview(PROJECT, JOB), (PREVIEW, url()))
    assert job.preview_url is None
    job.project.jobs.clear()
    stage.play(sign_preview(PROJECT, JOB), (PREVIEW, url()))


# -- records -----------------------------------------------------------------------


def completes(stage: Stage, **params: Any) -> Any:
    project = stage.project(**params)
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})
    assert stage.begun == [outbox.SyncProject(PROJECT)]
    return project


def test_the_record_brings_jobs_that_were_never_heard_of(stage: Stage) -> None:
    project = completes(stage)
    stage.state.projects.listeners.add("job", print)
    assert not project.settled
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(done())})), (address(), url()))
    job = project.jobs[JOB]
    assert (job.status, job.seed, job.step, project.settled) == ("completed", 7, 4, True)
    assert [(it.type, it.result_url) for it in stage.told("job")] == [("completed", "https://store/1")]


@pytest.mark.parametrize(
    ("job", "status", "expected"),
    [
        (done(resultUrl="u"), "completed", ["job completed", "project completed"]),
        ({"imgID": JOB, "status": "jobError", "reason": "genfailure"}, "errored", ["job error", "project error"]),
        ({"imgID": JOB, "status": "jobError", "reason": "artistCanceled"}, "cancelled", []),
    ],
)
def test_an_end_that_only_the_record_tells_is_announced_once(
    stage: Stage, job: dict[str, Any], status: str, expected: list[str]
) -> None:
    stage.project()
    for event in ("project", "job"):
        stage.state.projects.listeners.add(event, print)
    for _ in range(2):
        stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(job, status=status)})))
    told = [it for it in stage.state.out.deliveries if it.listeners is stage.state.projects.listeners]
    assert sorted(f"{it.event} {it.value.type}" for it in told) == expected


def test_a_recorded_failure_keeps_its_details(stage: Stage) -> None:
    project = completes(stage, number_of_media=2)
    details = {"fairUse": {"limit": 5}, "vendorFailureCategory": "timeout"}
    job = {"imgID": JOB, "status": "jobError", "reason": "genfailure", "txId": "t", **details}
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(job)})))
    error = project.jobs[JOB].error
    assert (error.extra, error.vendor_failure_category) == ({"fairUse": {"limit": 5}}, "timeout")


def test_addresses_of_a_record_are_not_asked_for(stage: Stage) -> None:
    project = completes(stage)
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(done(imageUrl="https://other/1"))})))
    assert project.result_urls == ["https://other/1"]


def test_the_counts_of_the_record_outrank_those_that_were_asked_for(stage: Stage) -> None:
    project = completes(stage, number_of_media=4, steps=20)
    counts = {"imageCount": 1, "stepCount": 5, "previewCount": 2}
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(done(resultUrl="u"), **counts)})))
    assert (project.params.number_of_media, project.params.steps, project.params.number_of_previews) == (1, 5, 2)
    assert project.settled


def test_cost_and_times_are_those_of_the_record(stage: Stage) -> None:
    project = completes(stage, token_type="sogni")
    stage.state.listen()
    project.listeners.add("updated", print)
    assert (project.totals, project.token_type) == (None, "sogni")
    jobs = done(resultUrl="u", createTime=1_000, startTime=2_500, endTime=4_000)
    totals = {"costActual": {"costInToken": "2.500", "costInUSD": 1}, "tokenType": "spark"}
    found = recorded(jobs, createTime=1_000, endTime=5_250, **totals)
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": found})))
    end = datetime.fromtimestamp(5.25, UTC)
    assert project.totals == (Decimal("2.500"), "spark", end, 4.25)
    assert {"cost", "token_type", "finished_at", "duration"} in stage.told("updated")
    copy = restored_state(project.snapshot({"modelId": "m"}))
    assert (copy.totals, copy.token_type) == (project.totals, "spark")
    job, again = project.jobs[JOB], copy.jobs[JOB]
    times = (datetime.fromtimestamp(2.5, UTC), datetime.fromtimestamp(4, UTC))
    assert (job.started_at, job.finished_at) == (again.started_at, again.finished_at) == times
    job.restart("B2")
    assert job.started_at is None


@pytest.mark.parametrize("status", ["progress", None])
def test_the_cost_of_a_running_project_is_not_known_yet(stage: Stage, status: str | None) -> None:
    project = stage.project()
    stage.play(apply_record(PROJECT, record(status=status, cost_actual={"costInToken": "1"})))
    assert project.totals is None


@pytest.mark.parametrize("given", [None, 5, [], {}, {"costInToken": None}, {"costInToken": "much"}])
def test_a_record_may_lack_cost_and_times(given: Any) -> None:
    found = ProjectRecord(id=PROJECT, cost_actual=given, create_time=datetime.now(UTC))
    assert (found.cost, found.duration, JobRecord(end_time=datetime.now(UTC)).duration) == (None, None, None)


def test_a_duration_is_never_negative() -> None:
    start = datetime.fromtimestamp(2, UTC)
    assert JobRecord(start_time=start, end_time=start - timedelta(seconds=1)).duration == 0


@pytest.mark.parametrize(
    ("flags", "params", "script"),
    [
        ({"triggeredNSFWFilter": True}, {}, []),
        ({"triggeredNSFWFilter": True, "nsfwDetected": True}, {}, [(address(), url())]),
        ({"triggeredNSFWFilter": True}, {"disable_nsfw_filter": True}, [(address(), url())]),
    ],
)
def test_only_a_withheld_result_has_no_address(
    stage: Stage, flags: dict[str, Any], params: dict[str, Any], script: list[Any]
) -> None:
    project = completes(stage, **params)
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(done(**flags))})), *script)
    assert (project.settled, project.jobs[JOB].is_nsfw, len(project.result_urls)) == (True, True, len(script))


def test_an_address_the_service_refuses_leaves_the_job_without(stage: Stage) -> None:
    project = completes(stage)
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(done())})), (address(), refused(404)))
    assert (project.jobs[JOB].status, project.result_urls, project.settled) == ("completed", [], True)


def test_recorded_jobs_may_have_failed_or_been_canceled(stage: Stage) -> None:
    project = completes(stage, number_of_media=4)
    jobs = [
        {"status": "jobCompleted"},
        {"imgID": "b1", "status": "jobError", "reason": "genfailure"},
        {"imgID": "b2", "status": "jobError", "reason": "artistCanceled"},
        {"imgID": "b3", "status": "jobProgress"},
    ]
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(*jobs)})))
    assert {job.id: job.status for job in project.job_list()} == {"B1": "failed", "B2": "canceled", "B3": "failed"}
    assert (project.status, project.settled) == ("completed", True)


def test_a_job_canceled_with_a_result_keeps_it(stage: Stage) -> None:
    project = completes(stage)
    job = done(resultUrl="u", reason="artistCanceled")
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(job)})))
    assert (project.jobs[JOB].status, project.jobs[JOB].user_canceled) == ("canceled", True)


def test_an_end_once_reached_stays(stage: Stage) -> None:
    project = stage.project()
    stage.receives("jobResult", result(resultUrl="https://first"))
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})
    assert project.settled
    jobs = [ended(status="jobError", worker=None), ended("B9", result_url="u")]
    stage.play(apply_record(PROJECT, record(*jobs, status="errored")))
    assert (project.status, project.result_urls, list(project.jobs)) == ("completed", ["https://first"], [JOB])


def test_a_record_is_asked_for_until_it_is_there(stage: Stage) -> None:
    project = completes(stage)
    stage.play(
        sync_project(PROJECT),
        (RECORD, refused(404)),
        PAUSE,
        (RECORD, ok({"project": None})),
        PAUSE,
        (RECORD, ok({"project": recorded(done(resultUrl="u"))})),
    )
    assert project.settled


def test_without_a_record_the_project_is_what_it_is(stage: Stage) -> None:
    project = completes(stage)
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})
    stage.play(
        sync_project(PROJECT),
        (RECORD, refused(404)), PAUSE, (RECORD, refused(404)), PAUSE, (RECORD, ok([])), PAUSE, (RECORD, refused(404)),
    )  # fmt: skip
    assert (project.settled, project.status, project.jobs[JOB].status) == (True, "completed", "failed")


def test_a_project_that_settles_meanwhile_needs_no_record(stage: Stage) -> None:
    completes(stage)
    late = result(resultUrl="u")
    stage.play(sync_project(PROJECT), (RECORD, lambda stage: stage.receives("jobResult", late) and refused(404)))


def test_a_project_that_goes_on_is_not_settled_for_want_of_a_record(stage: Stage) -> None:
    project = stage.project()
    stage.play(
        sync_project(PROJECT),
        (RECORD, refused(404)), PAUSE, (RECORD, refused(404)), PAUSE, (RECORD, refused(404)), PAUSE,
        (RECORD, refused(404)),
    )  # fmt: skip
    assert not project.settled


def test_a_record_does_not_end_a_job_whose_address_is_being_asked_for(stage: Stage) -> None:
    project = stage.project(number_of_media=3)
    stage.receives("jobResult", result())

    def meanwhile(stage: Stage) -> Any:
        stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})
        stage.play_inside(sync_project(PROJECT), (RECORD, ok({"project": recorded(done())})))
        assert not project.settled
        return url()

    stage.play(sign_results(PROJECT), (address(), meanwhile))
    # Nobody asks again: with the last address, the project is what it is.
    assert (project.settled, project.result_urls) == (True, ["https://store/1"])


def test_a_missing_record_waits_for_addresses_too(stage: Stage) -> None:
    project = completes(stage)
    stage.receives("jobResult", result())
    nothing = (RECORD, refused(404))
    stage.play(sync_project(PROJECT), nothing, PAUSE, nothing, PAUSE, nothing, PAUSE, nothing)
    assert (project.settled, project.jobs[JOB].status) == (False, "pending")
    stage.play(sign_results(PROJECT), (address(), url()))
    assert (project.settled, project.result_urls) == (True, ["https://store/1"])


def test_a_job_that_ends_while_the_record_is_applied_is_told_of_once(stage: Stage) -> None:
    project = stage.project()
    stage.state.projects.listeners.add("job", print)

    def the_frame_comes(stage: Stage) -> Any:
        stage.receives("jobResult", result(resultUrl="https://frame"))
        return url()

    stage.play(apply_record(PROJECT, record(ended())), (address(), the_frame_comes))
    assert ([it.result_url for it in stage.told("job")], project.result_urls) == (["https://frame"], ["https://frame"])


# -- how a project ended -----------------------------------------------------------


def test_a_recorded_failure_fails_what_was_unfinished(stage: Stage) -> None:
    project = stage.project(number_of_media=2)
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})
    stage.play(apply_record(PROJECT, record(ended(OTHER, result_url="u"), status="errored", reason="4081")))
    assert (project.status, project.error.code, project.settled) == ("failed", 4081, True)
    assert (project.jobs[JOB].status, project.jobs[JOB].error) == ("failed", project.error)
    assert project.jobs[OTHER].status == "completed"


def test_a_failure_told_by_frame_keeps_its_error_when_the_record_follows(stage: Stage) -> None:
    project = stage.project(number_of_media=2)
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})
    stage.receives("jobError", {"jobID": PROJECT, "error": 4079, "error_message": "queue full"})
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(status="errored", reason="genfailure")})))
    assert (project.error.code, project.jobs[JOB].error.code) == (4079, 4079)


def test_a_completed_project_without_results_may_have_failed(stage: Stage) -> None:
    project = completes(stage)
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(status="errored")})))
    assert (project.status, project.error.message) == ("failed", "the project failed")


def test_a_completed_project_with_results_is_completed_whatever_the_record_says(stage: Stage) -> None:
    project = completes(stage, number_of_media=2)
    job = done(resultUrl="u")
    stage.play(sync_project(PROJECT), (RECORD, ok({"project": recorded(job, status="errored")})))
    assert (project.status, project.settled) == ("completed", True)


def test_a_recorded_failure_leaves_a_result_whose_address_is_on_its_way(stage: Stage) -> None:
    project = stage.project(number_of_media=2)
    stage.receives("jobResult", result())
    stage.play(apply_record(PROJECT, record(status="errored")))
    assert (project.status, project.jobs[JOB].status) == ("failed", "pending")
    stage.play(sign_results(PROJECT), (address(), url()))
    assert project.jobs[JOB].status == "completed"


def test_a_recorded_cancellation_cancels(stage: Stage) -> None:
    project = stage.project()
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})
    stage.play(apply_record(PROJECT, record(status="cancelled")))
    assert (project.status, project.jobs[JOB].status, project.settled) == ("canceled", "canceled", True)


def test_a_project_completes_by_its_record_alone(stage: Stage) -> None:
    project = stage.project(number_of_media=2)
    stage.play(apply_record(PROJECT, record(ended(result_url="u"))))
    assert (project.status, project.settled, stage.begun) == ("completed", True, [])


@pytest.mark.parametrize("status", [None, "processing", "new word"])
def test_a_record_that_names_no_end_ends_nothing(stage: Stage, status: str | None) -> None:
    project = stage.project()
    stage.play(apply_record(PROJECT, record(status=status)))
    assert not project.ended


def test_a_reason_of_digits_is_a_code() -> None:
    errors = [recorded_error(record(reason=reason)) for reason in ("4081", "genfailure", None, "allJobsCompleted")]
    assert [(error.code, error.message) for error in errors] == [
        (4081, "4081"), (0, "genfailure"), (0, "the project failed"), (0, "the project failed"),
    ]  # fmt: skip


@pytest.mark.parametrize("error", [SogniConnectionError("gone"), ProtocolError("what")])
def test_every_failure_to_read_a_record_is_tried_again(error: Exception) -> None:
    stage = Stage(retry=RetryPolicy(attempts=1)).connects()
    project = completes(stage)
    stage.play(sync_project(PROJECT), (RECORD, error), PAUSE, (RECORD, ok({"project": recorded(done(resultUrl="u"))})))
    assert project.settled


@pytest.mark.parametrize("failure", [refused(503, retry_after="99"), SogniConnectionError("gone"), ok({})])
def test_the_address_of_a_recorded_result_is_asked_for_in_rounds_while_the_failure_may_pass(
    stage: Stage, failure: Any
) -> None:
    project = completes(stage)
    tries = [(address(), failure)] if not isinstance(failure, SogniConnectionError) else []
    if not tries:
        pauses = ("pause 0.25 ±20%", "pause 0.5 ±20%", "pause 1 ±20%")
        tries = [(address(), failure), *(step for p in pauses for step in ((p, None), (address(), failure)))]
    stage.play(
        sync_project(PROJECT),
        (RECORD, ok({"project": recorded(done())})),
        *tries,
        ("pause 2 ±20%", None),
        (address(), url()),
    )
    assert (project.result_urls, project.settled) == (["https://store/1"], True)


def test_addresses_of_recorded_results_are_asked_for_together(stage: Stage) -> None:
    project = completes(stage, number_of_media=3)
    jobs = [done(), done(imgID="b2", resultUrl="https://store/2"), done(imgID="b3")]
    stage.play(
        sync_project(PROJECT),
        (RECORD, ok({"project": recorded(*jobs)})),
        (address(), url(1)),
        (address("B3"), url(3)),
    )
    assert project.result_urls == ["https://store/1", "https://store/2", "https://store/3"]
