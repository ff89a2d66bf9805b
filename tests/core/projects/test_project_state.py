"""One project: the effects of frames on it, its jobs and its waiters (projects-4.2 §11, §12; projects-5x)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.outbox import Outbox, SignPreview, SignResults, SyncProject
from sogni.core.projects.job import JobState
from sogni.core.projects.project import ProjectState
from sogni.models.params import ImageProjectParams
from sogni.models.projects import ErrorData, EtaRange, JobRecord, RecordWorker
from tests.tables import each_row

URL = "https://h/a"
GONE = ErrorData(code=5002, message="m", original_code="workerDisconnected")


def project_of(media: int = 1, *, listening: bool = True, **fields: Any) -> ProjectState:
    params = ImageProjectParams(model_id="m", number_of_media=media, **fields)
    project = ProjectState("P", params, Outbox(), now=0, kind="image", listening=[True] if listening else [])
    if listening:
        # Who is told of every job may listen to anything of it.
        project.listeners.add("job_started", print)
    return project


def told(project: ProjectState) -> list[tuple[str, Any]]:
    """What listeners were told since the last call: `P.` of the project, the job's id for a job."""
    found = []
    for it in project.out.deliveries:
        owner = "P"
        for job in project.jobs.values():
            if it.listeners is job.listeners:
                owner = job.id
        value = it.value.id if isinstance(it.value, JobState) else it.value
        found.append((f"{owner}.{it.event}", value))
    project.out.deliveries.clear()
    return found


def names(project: ProjectState) -> list[str]:
    return [name for name, _ in told(project)]


def events(project: ProjectState) -> list[tuple[str, Any]]:
    """What a subscriber of now gets to see."""
    feed = project.subscribe()
    return [(e.name, e.value.id if isinstance(e.value, JobState) else e.value) for e in iter(feed.pop, None)]


def start(project: ProjectState, job_id: str = "A", **more: Any) -> JobState:
    project.job_begins({"imgID": job_id, "workerName": "w", **more}, 1, started=True)
    return project.jobs[job_id]


def result(project: ProjectState, job_id: str = "A", now: float = 2, **more: Any) -> None:
    project.job_result({"imgID": job_id, "resultUrl": URL, **more}, now)


def fail(project: ProjectState, job_id: str = "A") -> None:
    project.job_failed({"imgID": job_id, "error": "workerDisconnected", "error_message": "m"}, 2)


# --- project transitions (§11.2)


def test_a_new_project_is_pending_and_nowhere_in_the_queue() -> None:
    project = project_of(3, steps=20)
    assert (
        project.status,
        project.queue_position,
        project.ended,
        project.settled,
        project.number_of_media,
        project.steps,
        project.progress(0),
    ) == ("pending", -1, False, False, 3, 20, 0)


def test_queued_sets_status_and_position() -> None:
    project = project_of()
    project.queued({"queuePosition": 4}, 1)
    assert (project.status, project.queue_position) == ("queued", 4)
    assert [("P.progress", 0), ("P.updated", {"status", "queue_position"})] == told(project)
    project.queued({"queuePosition": 3}, 1)
    assert [("P.updated", {"queue_position"})] == told(project)
    project.queued({"queuePosition": 3}, 1)
    assert told(project) == []


@pytest.mark.parametrize("position", [None, "4", 1.5, True])
def test_a_position_that_is_none_changes_only_the_status(position: Any) -> None:
    project = project_of()
    project.queued({"queuePosition": position}, 1)
    assert (project.status, project.queue_position) == ("queued", -1)


def test_only_progress_makes_a_project_process() -> None:
    project = project_of(2)
    start(project)
    assert project.status == "pending"
    project.job_progressed({"imgID": "A", "step": 1}, 1)
    assert project.status == "processing"


def test_a_queue_behind_running_jobs_is_no_step_back() -> None:
    project = project_of(2)
    project.job_progressed({"imgID": "A"}, 1)
    project.jobs["A"].runs_until = 9.0
    project.tally.working[project.jobs["A"]] = None
    project.queued({"queuePosition": 3}, 2)
    assert (project.status, project.queue_position, project.jobs["A"].runs_until) == ("processing", -1, None)


def test_the_first_sign_of_work_wakes_who_waits_for_the_queue() -> None:
    project = project_of(2)
    project.job_begins({"imgID": "A"}, 1, started=False)
    assert not project.work_began
    start(project)
    start(project, "B")
    assert (True, [project]) == (project.work_began, project.out.woken)


def test_completed_reads_the_record_and_waits_for_the_jobs() -> None:
    """§12.3: complete when status is completed, all jobs are there and all have ended."""
    project = project_of(2)
    result(project, "A")
    project.completed(3)
    assert (project.status, project.settled, project.progress(3)) == ("completed", False, 100)
    assert [SyncProject("P")] == project.out.tasks
    result(project, "B", 4)
    assert (project.settled, project.settled_at, project.result_urls) == (True, 4, [URL, URL])


def test_the_order_of_results_and_completed_does_not_matter() -> None:
    project = project_of(2)
    project.completed(1)
    result(project, "B")
    assert not project.settled
    result(project, "A")
    assert project.settled


def test_completed_without_reading_the_record() -> None:
    project = project_of()
    project.completed(1, sync=False)
    assert project.out.tasks == []


def test_a_project_that_failed() -> None:
    project = project_of(2)
    start(project)
    project.fail(GONE, 3, sync=True)
    assert (
        project.status,
        project.error,
        project.settled,
        project.jobs["A"].status,
    ) == ("failed", GONE, True, "processing")
    assert [SyncProject("P")] == project.out.tasks
    assert events(project)[-1] == ("failed", GONE)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (None, "project P completed after 2.0 s: 1 of 1 results"),
        (GONE, "project P failed after 2.0 s: 0 of 1 results; m (code 5002)"),
    ],
)
def test_the_end_of_a_project_is_logged(error: ErrorData | None, line: str, caplog: pytest.LogCaptureFixture) -> None:
    project = project_of()
    with caplog.at_level("INFO", "sogni"):
        if error is None:
            result(project)
            project.completed(2, sync=False)
        else:
            project.fail(error, 2, sync=False)
        for call in project.out.calls:
            call()
    assert caplog.messages[-1] == line


def test_a_project_that_was_canceled() -> None:
    project = project_of(3)
    start(project, "A")
    result(project, "B")
    project.job_result({"imgID": "C"}, 2)
    told(project)
    project.cancel(3)
    assert {j.id: j.status for j in project.job_list()} == {"A": "canceled", "B": "completed", "C": "canceled"}
    assert (project.status, project.error, project.settled) == ("canceled", None, True)
    assert (project.unsigned(3), events(project)[-1]) == ([], ("canceled", None))
    # projects-4.2 §13.3: for a job, cancelling is no failure.
    assert {"P.progress", "P.updated", "P.canceled", "A.updated", "C.updated"} >= set(names(project))


ENDS = {
    "completed": lambda project: (result(project, "A"), result(project, "B"), project.completed(3)),
    "failed": lambda project: project.fail(GONE, 3),
    "canceled": lambda project: project.cancel(3),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_first_end_counts(end: str) -> None:
    """Nothing reopens a finished project, and nothing is announced after its end."""
    project = project_of(2)
    start(project, "A")
    ENDS[end](project)
    seen, error, jobs = events(project), project.error, len(project.jobs)
    told(project)
    project.queued({"queuePosition": 1}, 4)
    project.completed(4)
    project.fail(ErrorData(code=9), 4)
    project.cancel(4)
    project.overrule("some other end", ErrorData(code=9), 4)
    project.job_begins({"imgID": "NEW"}, 4, started=True)
    project.job_progressed({"imgID": "NEW", "step": 1}, 4)
    project.job_eta({"imgID": "NEW", "etaSeconds": 4}, 4)
    project.job_failed({"imgID": "NEW", "error": 1}, 4)
    project.job_result({"imgID": "NEW", "resultUrl": URL}, 4)
    project.job_retried({"imgID": "A", "jobIndex": 0}, 4)
    project.check_settled(5, anyway=True)
    assert (end, error, True, 3, jobs) == (
        project.status,
        project.error,
        project.settled,
        project.settled_at,
        len(project.jobs),
    )
    assert seen == events(project)
    assert told(project) == []


@pytest.mark.parametrize("status", ["completed", "failed", "canceled"])
def test_the_first_end_of_a_job_counts(status: str) -> None:
    project = project_of(3)
    job = start(project)
    if status == "failed":
        fail(project)
    else:
        result(project, userCanceled=status == "canceled")
    told(project)
    project.job_begins({"imgID": "A", "workerName": "x"}, 4, started=True)
    project.job_progressed({"imgID": "A", "step": 7}, 4)
    project.job_eta({"imgID": "A", "etaSeconds": 4}, 4)
    project.job_failed({"imgID": "A", "error": 1}, 4)
    project.job_retried({"imgID": "A"}, 4)
    project.previewed(job, "https://p", 4)
    assert (status, "w", 0, None) == (job.status, job.worker_name, job.step, job.preview_url)
    assert told(project) == []


# --- jobs (§11.3)


def test_an_unknown_job_is_announced_before_the_event_is_applied() -> None:
    project = project_of(2, steps=20)
    project.job_begins({"imgID": "A", "workerName": "w", "jobIndex": 1, "positivePrompt": "p"}, 1, started=False)
    job = project.jobs["A"]
    assert (
        job.status,
        job.worker_name,
        job.job_index,
        job.positive_prompt,
        job.step_count,
    ) == ("initiating", "w", 1, "p", 20)
    assert names(project) == ["P.job_started", "P.progress", "P.updated", "A.updated", "P.updated"]


def test_a_later_frame_without_prompts_resets_them() -> None:
    project = project_of()
    project.job_begins({"imgID": "A", "positivePrompt": "p", "jobIndex": 2}, 1, started=False)
    job = start(project)
    assert (job.status, job.positive_prompt, job.job_index) == ("processing", None, 2)


@pytest.mark.parametrize("field", ["workerName", "positivePrompt", "negativePrompt", "jobIndex"])
def test_facts_of_another_type_are_not_taken_over(field: str) -> None:
    project = project_of()
    project.job_begins({"imgID": "A", field: ["x"]}, 1, started=True)
    job = project.jobs["A"]
    assert (job.worker_name, job.positive_prompt, job.negative_prompt, job.job_index) == (None, None, None, None)


def test_steps_never_go_back() -> None:
    project = project_of()
    for step in (3, 1, 2):
        project.job_progressed({"imgID": "A", "step": step, "stepCount": 4}, 1)
    assert (project.jobs["A"].step, project.jobs["A"].step_count, project.progress(1)) == (3, 4, 75)


@pytest.mark.parametrize("value", ["3", None, 1.5, True, 10**400, float("inf")])
def test_steps_that_are_none_change_nothing(value: Any) -> None:
    project = project_of(steps=8)
    project.job_progressed({"imgID": "A", "step": value, "stepCount": value}, 1)
    assert (project.jobs["A"].step, project.jobs["A"].step_count) == (0, 8)


@pytest.mark.parametrize("value", ["0.3", None, True, 10**400, float("inf"), float("nan")])
def test_a_fraction_that_is_none_changes_nothing(value: Any) -> None:
    project = project_of()
    project.job_progressed({"imgID": "A", "progress": value}, 1)
    assert project.jobs["A"].external_progress is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"etaMin": 2, "etaMax": 5.5}, EtaRange(min=2, max=5.5)),
        ({"etaMin": 0, "etaMax": 0}, None),
        ({"etaMax": 5}, None),
        ({"etaMin": "2", "etaMax": 5}, None),
    ],
)
def test_the_interval_of_an_estimate(fields: dict[str, Any], expected: Any) -> None:
    """projects-5x §8: when both are numbers and `etaMax` is above 0."""
    project = project_of()
    project.job_progressed({"imgID": "A", **fields}, 1)
    assert expected == project.jobs["A"].eta_range


def test_a_preview_is_asked_for_and_told() -> None:
    project = project_of()
    project.job_progressed({"imgID": "A", "hasImage": True}, 1)
    assert [SignPreview("P", "A")] == project.out.tasks
    told(project)
    project.previewed(project.jobs["A"], "https://p", 2)
    assert [("A.preview", "https://p"), ("A.updated", {"preview_url"}), ("P.updated", {"jobs"})] == told(project)


@pytest.mark.parametrize("value", [False, None, 1, "true"])
def test_no_preview_without_a_plain_yes(value: Any) -> None:
    """projects-4.2 §11.1: `hasImage === true`."""
    project = project_of()
    project.job_progressed({"imgID": "A", "hasImage": value}, 1)
    assert project.out.tasks == []


@pytest.mark.parametrize(("seconds", "shown"), [(12.6, 13), (12.4, 12), (0.5, 1), (-5, -5)])
def test_an_estimate_is_in_whole_seconds(seconds: float, shown: int) -> None:
    project = project_of()
    project.job_eta({"imgID": "A", "etaSeconds": seconds}, 100)
    assert (100 + seconds, shown) == (project.jobs["A"].eta_at, project.jobs["A"].eta_seconds)


def test_an_address_that_comes_while_it_is_asked_for_is_taken() -> None:
    project = project_of()
    result(project, resultUrl=None)
    result(project, resultUrl=None)
    assert project.jobs["A"].signing is not None
    result(project, resultUrl="https://given")
    job = project.jobs["A"]
    assert (job.status, job.result_url, job.signing) == ("completed", "https://given", None)


def test_the_project_is_expected_when_its_last_job_is() -> None:
    project = project_of(2)
    project.job_eta({"imgID": "A", "etaSeconds": 10}, 100)
    project.job_eta({"imgID": "B", "etaSeconds": 5}, 100)
    assert (
        project.jobs["A"].eta_at,
        project.jobs["A"].eta_seconds,
        project.jobs["A"].eta_started_at,
        project.eta_at,
    ) == (110, 10, 100, 110)
    told(project)
    project.job_eta({"imgID": "A", "etaSeconds": 3}, 105)
    assert (project.jobs["A"].eta_at, project.jobs["A"].eta_started_at, project.eta_at) == (108, 100, 108)
    assert ("P.updated", {"jobs", "eta"}) in told(project)


@pytest.mark.parametrize("seconds", [None, "5", True, float("inf"), 1e300, 10**400])
def test_an_estimate_that_is_none_changes_nothing(seconds: Any) -> None:
    project = project_of()
    project.job_eta({"imgID": "A", "etaSeconds": seconds}, 1)
    assert (project.eta_at, project.jobs) == (None, {})


@pytest.mark.parametrize("image", [{}, {"imgID": None}, {"imgID": ""}])
def test_a_frame_without_a_job_makes_none(image: dict[str, Any]) -> None:
    """§11.3: a job with the id '' would spoil the counts; the project is alive all the same."""
    project = project_of()
    project.job_eta({"etaSeconds": 5, **image}, 1)
    project.job_progressed({"step": 1, **image}, 2)
    project.job_result({"resultUrl": URL, **image}, 3)
    project.job_failed({"error": 1, **image}, 4)
    project.job_begins(image, 5, started=True)
    project.job_retried(image, 6)
    assert (project.jobs, project.last_frame_at, project.status) == ({}, 6, "pending")


# --- results (§11.4)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"resultUrl": "r", "videoUrl": "v"}, "r"),
        ({"videoUrl": "v", "videoFile": "f"}, "v"),
        ({"videoFile": "f"}, "f"),
        ({"resultUrl": "", "videoUrl": 5, "videoFile": "f"}, "f"),
    ],
)
def test_the_address_of_a_result_under_any_of_its_names(fields: dict[str, Any], url: str) -> None:
    project = project_of()
    project.job_result({"imgID": "A", **fields}, 1)
    assert (url, "completed") == (project.jobs["A"].result_url, project.jobs["A"].status)


@each_row(
    ("fields", "step", "seed"),
    [
        ({"performedStepCount": 3, "lastSeed": "7"}, 3, 7),
        ({"lastSeed": "18446744073709551615"}, 20, 2**64 - 1),
        ({"performedStepCount": "3", "lastSeed": "x"}, 20, None),
        ({"lastSeed": True}, 20, None),
        ({"lastSeed": float("inf")}, 20, None),
        ({"lastSeed": 5}, 20, 5),
        ({"lastSeed": "1e3"}, 20, 1000),
        ({"lastSeed": ""}, 20, 0),
        ({"lastSeed": "1.5"}, 20, None),
        ({"lastSeed": [1]}, 20, None),
    ],
    ids=str,
)
def test_steps_and_seed_of_a_result(fields: dict[str, Any], step: int, seed: int | None) -> None:
    project = project_of(steps=20)
    result(project, **fields)
    assert (step, seed) == (project.jobs["A"].step, project.jobs["A"].seed)


def test_without_a_count_the_steps_stay_where_they_were() -> None:
    project = project_of()
    project.job_progressed({"imgID": "A", "step": 3}, 1)
    result(project)
    assert project.jobs["A"].step == 3


def test_a_result_without_an_address_waits_for_one() -> None:
    project = project_of(2)
    project.job_result({"imgID": "A", "lastSeed": "7"}, 1)
    project.job_result({"imgID": "B"}, 1)
    project.job_result({"imgID": "A", "lastSeed": "8"}, 1)
    project.completed(2)
    assert [SignResults("P"), SyncProject("P")] == project.out.tasks
    waiting = project.unsigned(3)
    assert ([job.id for job, _ in waiting], project.signing, project.settled) == (["A", "B"], True, False)
    for job, payload in waiting:
        project.job_done(job, payload, URL, 3)
        project.job_done(job, payload, "https://other", 3)
    assert (
        project.unsigned(3),
        project.signing,
        project.settled,
        project.jobs["A"].seed,
        project.result_urls,
    ) == ([], False, True, 7, [URL, URL])


WITHHELD: list[tuple[dict[str, Any], bool, bool]] = [
    # fields of the frame, whether the filter is off, whether the result is withheld (projects-5x §13)
    ({"triggeredNSFWFilter": True}, False, True),
    ({"triggeredNSFWFilter": True, "nsfwDetected": True}, False, False),
    ({"triggeredNSFWFilter": True}, True, False),
    ({"nsfwDetected": True}, False, False),
    ({}, False, False),
]


@pytest.mark.parametrize(("fields", "disabled", "withheld"), WITHHELD)
def test_no_address_is_asked_for_a_withheld_result(fields: dict[str, Any], disabled: bool, withheld: bool) -> None:
    project = project_of(disable_nsfw_filter=disabled)
    project.job_result({"imgID": "A", **fields}, 1)
    assert (withheld, [] if withheld else [SignResults("P")]) == (project.jobs["A"].ended, project.out.tasks)
    assert project.failed_jobs() == ([project.jobs["A"]] if withheld else [])


def test_labels_of_sensitive_media() -> None:
    project = project_of()
    result(project, triggeredNSFWFilter=True, nsfwDetected=True, nsfwSources=["prompt", 5])
    job = project.jobs["A"]
    assert (job.is_nsfw, job.nsfw_detected, job.nsfw_sources, job.withheld) == (True, True, ("prompt",), False)


def test_a_result_of_a_canceled_job_needs_no_address() -> None:
    project = project_of(2)
    project.job_result({"imgID": "A", "userCanceled": True}, 1)
    job = project.jobs["A"]
    assert (job.status, job.result_url, job.user_canceled, project.out.tasks) == ("canceled", None, True, [])


def test_a_repeated_result_brings_a_newer_address() -> None:
    project = project_of(2)
    result(project)
    told(project)
    project.job_result({"imgID": "A", "resultUrl": "https://new"}, 3)
    project.job_result({"imgID": "A"}, 3)
    assert (project.result_urls, project.jobs["A"].status) == (["https://new"], "completed")
    assert [("A.updated", {"result_url"}), ("P.updated", {"jobs"})] == told(project)


@pytest.mark.parametrize(("step", "expected"), [(3, 3), ("3", 0), (None, 0)])
def test_a_result_after_a_failure_brings_only_its_steps(step: Any, expected: int) -> None:
    project = project_of(2)
    start(project)
    fail(project)
    result(project, performedStepCount=step)
    assert ("failed", expected, None) == (
        project.jobs["A"].status,
        project.jobs["A"].step,
        project.jobs["A"].result_url,
    )


def test_an_address_that_comes_after_the_end_is_kept_but_no_news() -> None:
    project = project_of(2)
    project.job_result({"imgID": "A"}, 1)
    project.fail(GONE, 2)
    project.job_done(project.jobs["A"], {"imgID": "A"}, URL, 3)
    assert project.result_urls == [URL]
    assert events(project) == [("job_started", "A"), ("progress", 50), ("failed", GONE)]


# --- failures (§11.5)


def test_the_only_job_takes_the_project_with_it() -> None:
    project = project_of()
    start(project)
    told(project)
    fail(project)
    assert (project.status, project.error, project.settled) == ("failed", GONE, True)
    assert names(project) == ["A.failed", "A.updated", "P.job_failed", "P.failed", "P.updated"]


def test_all_jobs_together_do() -> None:
    project = project_of(2)
    fail(project, "A")
    assert not project.ended
    fail(project, "B")
    assert (project.status, project.settled) == ("failed", True)


def test_some_jobs_do_not() -> None:
    project = project_of(2)
    fail(project, "A")
    result(project, "B")
    assert not project.ended
    project.completed(3)
    assert (project.settled, project.result_urls, [job.id for job in project.failed_jobs()]) == (True, [URL], ["A"])


# --- progress and the order of events (§12.2, §12.3)


@pytest.mark.parametrize(("media", "steps", "expected"), [(1, [1], 13), (2, [1], 7), (2, [1, 8], 57), (3, [8, 8], 67)])
def test_progress_is_rounded_half_up_over_all_jobs(media: int, steps: list[int], expected: int) -> None:
    project = project_of(media)
    for place, step in enumerate(steps):
        project.job_progressed({"imgID": f"J{place}", "step": step, "stepCount": 8}, 1)
    assert expected == project.progress(1)


def test_the_observed_order() -> None:
    project = project_of(2)
    project.queued({"queuePosition": 1}, 1)
    assert names(project) == ["P.progress", "P.updated"]
    start(project)
    assert names(project) == ["P.job_started", "P.updated", "A.updated", "P.updated"]
    project.job_progressed({"imgID": "A", "step": 1, "stepCount": 2}, 2)
    assert names(project) == ["A.progress", "A.updated", "P.progress", "P.updated"]
    result(project)
    assert names(project) == ["A.progress", "A.completed", "A.updated", "P.job_completed", "P.progress", "P.updated"]
    result(project, "B")
    told(project)
    project.completed(3)
    assert [("P.completed", [URL, URL]), ("P.updated", {"status"})] == told(project)


def test_progress_is_told_when_it_changes() -> None:
    project = project_of(100)
    project.job_progressed({"imgID": "A", "step": 1, "stepCount": 200}, 1)
    told(project)
    project.job_progressed({"imgID": "A", "step": 2}, 1)
    assert [("A.updated", {"step"}), ("P.updated", {"jobs"})] == told(project)
    project.job_progressed({"imgID": "A", "step": 3}, 1)
    assert names(project) == ["A.progress", "A.updated", "P.updated"]
    project.job_progressed({"imgID": "A", "step": 2}, 1)
    assert told(project) == []


def test_progress_can_be_merged_by_who_delivers_it() -> None:
    project = project_of(1)
    project.job_progressed({"imgID": "A", "step": 1, "stepCount": 2}, 1)
    merged = [(it.event, it.coalesce) for it in project.out.deliveries if it.coalesce is not None]
    assert [("progress", project), ("progress", project.jobs["A"]), ("progress", project)] == merged


def test_passing_things_are_told_only_to_those_who_listen() -> None:
    """Progress is most of the traffic; without anybody there is nothing to deliver."""
    project = project_of(listening=False)
    project.listening.append(True)
    project.job_progressed({"imgID": "A", "step": 1, "stepCount": 2}, 1)
    assert names(project) == ["P.job_started"]
    project.jobs["A"].listeners.add("progress", print)
    project.listeners.add("updated", print)
    project.job_progressed({"imgID": "A", "step": 2}, 1)
    assert [("A.progress", 100), ("P.updated", {"jobs"})] == told(project)


def test_nobody_is_told_who_does_not_listen() -> None:
    project = project_of(listening=False)
    feed = project.subscribe()
    start(project)
    project.previewed(project.jobs["A"], "https://p", 1)
    result(project)
    project.completed(2)
    assert project.out.deliveries == []
    assert feed.pop() is not None


def test_names_of_changes_are_those_of_the_properties() -> None:
    project = project_of()
    project.job_eta({"imgID": "A", "etaSeconds": 5}, 1)
    told(project)
    project.job_retried({"imgID": "A"}, 2)
    assert ("A.updated", {"eta", "eta_seconds"}) in told(project)


# --- feeds


def test_a_late_subscriber_sees_everything_less_outdated_progress() -> None:
    project = project_of(2)
    start(project)
    project.job_progressed({"imgID": "A", "step": 1, "stepCount": 4}, 1)
    project.job_progressed({"imgID": "A", "step": 2}, 1)
    assert events(project) == [("job_started", "A"), ("progress", 25)]
    result(project)
    result(project, "B")
    project.completed(3)
    assert events(project) == [
        ("job_started", "A"),
        ("job_completed", "A"),
        ("job_started", "B"),
        ("job_completed", "B"),
        ("progress", 100),
        ("completed", [URL, URL]),
    ]


def test_an_early_subscriber_sees_it_happen() -> None:
    project = project_of()
    feed = project.subscribe()
    start(project)
    result(project)
    project.completed(3)
    seen = [event.name for event in iter(feed.pop, None)]
    assert [name for place, name in enumerate(seen) if name != "progress" or place > 1] == [
        "job_started",
        "updated",
        "job_completed",
        "progress",
        "updated",
        "completed",
    ]
    assert project in project.out.woken


def test_who_goes_gets_no_more() -> None:
    project = project_of()
    feed = project.subscribe()
    feed.close()
    feed.close()
    start(project)
    assert feed.pop() is None
    assert project.subscribe() is not feed
    assert feed not in project._feeds


def test_what_is_kept_does_not_grow_with_progress() -> None:
    project = project_of()
    feed = project.subscribe()
    start(project)
    for step in range(1, 2000):
        project.job_progressed({"imgID": "A", "step": step, "stepCount": 2000}, step)
    assert len(events(project)) == 2
    assert len(list(iter(feed.pop, None))) <= 4


# --- jobs that run again (projects-5x §12)


def test_a_retry_begins_the_job_again() -> None:
    project = project_of(2)
    job = start(project)
    project.job_progressed({"imgID": "A", "step": 3, "progress": 0.5}, 1)
    project.previewed(job, "https://p", 1)
    project.job_retried({"imgID": "A", "jobIndex": 1, "error": "x"}, 2)
    assert (
        job.status,
        job.step,
        job.worker_name,
        job.preview_url,
        job.external_progress,
        job.job_index,
        job.error,
    ) == ("pending", 0, None, None, None, 1, None)


@pytest.mark.parametrize("known", [{"jobIndex": 1}, {}])
def test_the_next_attempt_keeps_the_job_and_changes_its_id(known: dict[str, Any]) -> None:
    """By index, or as the only one that runs again; it is no new job."""
    project = project_of(3)
    first, job = start(project, "A"), start(project, "B", **known)
    project.job_retried({"imgID": "B"}, 2)
    told(project)
    project.job_progressed({"imgID": "C", "step": 1, **known}, 3)
    again = project._job({"imgID": "C", **known}, 3)
    assert (job, "C", [first, job], ["A", "C"]) == (again, job.id, project.job_list(), list(project.jobs))
    assert "P.job_started" not in names(project)


def test_an_unfinished_job_of_the_same_index_is_the_same_job() -> None:
    project = project_of(2)
    job = start(project, "A", jobIndex=0)
    start(project, "B", jobIndex=0)
    assert ([job], "B") == (project.job_list(), job.id)


def test_a_finished_job_of_the_same_index_is_another_one() -> None:
    project = project_of(2)
    start(project, "A", jobIndex=0)
    result(project, "A")
    start(project, "B", jobIndex=0)
    assert list(project.jobs) == ["A", "B"]


def test_a_retry_finds_its_job_by_index() -> None:
    project = project_of(2)
    start(project, "A", jobIndex=0)
    job = start(project, "B", jobIndex=1)
    project.job_retried({"imgID": "X", "jobIndex": 1}, 2)
    assert (job.retrying, job.status) == (True, "pending")


@pytest.mark.parametrize("payload", [{"imgID": "X"}, {"imgID": "X", "jobIndex": 7}])
def test_a_retry_of_an_unknown_job_changes_nothing(payload: dict[str, Any]) -> None:
    project = project_of(2)
    job = start(project, "A")
    project.job_retried(payload, 2)
    assert (list(project.jobs), job.status) == (["A"], "processing")


def test_two_that_run_again_cannot_be_told_apart() -> None:
    project = project_of(3)
    for name in ("A", "B"):
        start(project, name)
    for name in ("A", "B"):
        project.job_retried({"imgID": name}, 2)
    start(project, "C")
    assert list(project.jobs) == ["A", "B", "C"]


@pytest.mark.parametrize("end", [True, False])
def test_a_job_that_went_on_under_its_own_id_takes_no_other_one(end: bool) -> None:
    project = project_of(2)
    job = start(project, "A")
    project.job_retried({"imgID": "A"}, 2)
    start(project, "A")
    if end:
        result(project, "A")
    start(project, "B")
    assert (["A", "B"], "completed" if end else "processing") == (list(project.jobs), job.status)


# --- records (§14.3) and the rest


def record(**fields: Any) -> JobRecord:
    return JobRecord(**fields)


def test_a_record_adds_what_frames_did_not_bring() -> None:
    project = project_of(2)
    start(project)
    project.apply_job_record(
        project.jobs["A"], record(performed_steps=8, seed_used="7", worker=RecordWorker(name="x")), 2
    )
    job = project.jobs["A"]
    assert (job.step, job.seed, job.worker_name, job.status) == (8, 7, "x", "processing")
    project.apply_job_record(job, record(), 3)
    assert (job.step, job.seed, job.worker_name) == (8, 7, "x")


def test_the_counts_of_the_record_outrank_what_was_asked_for() -> None:
    project = project_of(2, steps=4)
    project.apply_counts(3, 20, 1)
    assert (
        project.params.number_of_media,
        project.params.steps,
        project.params.number_of_previews,
        project.number_of_media,
    ) == (3, 20, 1, 3)
    project.apply_counts(None, None, None)
    assert (project.params.number_of_media, project.params.steps) == (3, 20)
    project.fail(GONE, 1)
    project.apply_counts(5, None, None)
    assert (project.params.number_of_media, project.number_of_media) == (5, 3)


def test_a_record_that_knows_better_fails_the_project_and_its_jobs() -> None:
    """projects-5x §8: the error applies to every unfinished job as well."""
    project = project_of(3)
    start(project, "A")
    fail(project, "B")
    project.completed(2)
    error = ErrorData(code=0, message="genfailure")
    project.overrule("failed", error, 3)
    assert ("failed", error, True, "failed", error, GONE) == (
        project.status,
        project.error,
        project.settled,
        project.jobs["A"].status,
        project.jobs["A"].error,
        project.jobs["B"].error,
    )


@pytest.mark.parametrize("media", [1, 2, 3])
def test_such_a_project_has_failed_even_when_it_was_said_to_be_complete(media: int) -> None:
    project = project_of(media)
    for name in "ABC"[:media]:
        start(project, name)
    project.completed(2)
    error = ErrorData(code=0, message="genfailure")
    project.overrule("failed", error, 3)
    assert ("failed", error, 3, {"failed"}) == (
        project.status,
        project.error,
        project.settled_at,
        {job.status for job in project.job_list()},
    )
    assert events(project)[-1] == ("failed", error)


def test_the_record_of_a_failed_project_ends_the_jobs_that_still_ran() -> None:
    project = project_of(2)
    start(project)
    project.fail(GONE, 2)
    seen = events(project)
    project.overrule("failed", ErrorData(code=9), 3)
    assert ("failed", GONE, GONE, seen) == (
        project.jobs["A"].status,
        project.jobs["A"].error,
        project.error,
        events(project),
    )


def test_when_nothing_more_comes_the_project_is_what_it_is() -> None:
    project = project_of(3)
    result(project, "A")
    start(project, "B")
    project.completed(2, sync=False)
    project.settle_anyway(3)
    assert (
        project.settled,
        project.status,
        project.result_urls,
        project.jobs["B"].status,
    ) == (True, "completed", [URL], "failed")


def test_addresses_under_way_are_waited_for() -> None:
    project = project_of(3)
    project.job_result({"imgID": "A"}, 1)
    start(project, "B")
    project.completed(2, sync=False)
    project.settle_anyway(3)
    assert not project.settled
    project.job_done(project.jobs["A"], {"imgID": "A"}, URL, 4)
    assert (
        project.settled,
        project.settled_at,
        project.result_urls,
        project.jobs["B"].status,
    ) == (True, 4, [URL], "failed")


def test_a_failure_without_a_reason_gets_one() -> None:
    project = project_of()
    project.status = "failed"
    project.check_settled(1)
    assert project.error == ErrorData(code=0, message="the project failed")


def test_every_frame_proves_that_the_service_knows_the_project() -> None:
    project = project_of()
    project.request, project.missed_checks = {"jobID": "P"}, 2
    project.touch(7)
    assert (project.acknowledged, project.request, project.last_frame_at, project.missed_checks) == (True, None, 7, 0)


def test_a_request_never_written_is_nobodys_project() -> None:
    project = project_of()
    project.request = {"jobID": "P"}
    project.abandon()
    assert (project.abandoned, project.request) == (True, None)


def test_a_restored_project_becomes_part_of_a_client() -> None:
    project, out, listening = project_of(), Outbox(), [True]
    project.join(out, listening)
    assert (out, listening) == (project.out, project.listening)


def test_an_enhanced_version_is_a_change_of_the_job() -> None:
    parent, child = project_of(2), project_of()
    result(parent)
    told(parent)
    child.enhances = parent.jobs["A"]
    child.queued({}, 3)
    assert [("A.updated", {"enhanced_image"}), ("P.updated", {"jobs"})] == told(parent)
    parent.listening = []
    child.queued({"queuePosition": 2}, 4)
    assert told(parent) == []


def test_the_snapshot() -> None:
    project = project_of(2)
    project.app_id = "A"
    project.job_eta({"imgID": "A", "etaSeconds": 5}, 100)
    made = project.snapshot({"modelId": "m"})
    assert (
        made.id,
        made.params,
        made.app_id,
        [job.id for job in made.jobs],
        made.eta.timestamp() if made.eta else None,
        made.started_at.timestamp(),
    ) == ("P", {"modelId": "m"}, "A", ["A"], 105.0, 0.0)


def test_progress_can_be_asked_for_while_jobs_are_added() -> None:
    """Users ask in their own thread."""
    project = project_of(3)

    class Slow(JobState):
        def progress(self, now: float) -> int:
            project.jobs[f"{len(project.jobs)}"] = JobState(project, "new")
            return 30

    project.jobs["A"] = Slow(project, "A")
    assert (project.progress(0), len(project.jobs)) == (10, 2)


@pytest.mark.parametrize(("before", "there"), [([], []), ([True], []), ([True], [True]), ([], [True])])
def test_who_listens_before_a_project_joins_a_client_is_heard_after_it(before: list[bool], there: list[bool]) -> None:
    project = project_of(listening=False)
    project.listening.extend(before)
    expected = bool(before or there)
    out = Outbox()
    project.join(out, there)
    assert (project.out is out, project.listening is there, bool(there)) == (True, True, expected)


def test_a_canceled_job_fails_nothing() -> None:
    project = project_of()
    project.job_canceled("A", 1)
    project.job_canceled("A", 2)
    project.job_canceled("", 2)
    assert ([job.status for job in project.job_list()], project.status) == (["canceled"], "pending")


@pytest.mark.parametrize("frame", ["result", "failure"])
def test_a_job_that_ended_was_begun(frame: str) -> None:
    """The frames before it may be lost in a drop."""
    project = project_of(2)
    if frame == "result":
        result(project)
    else:
        project.job_failed({"imgID": "A", "error": 5}, 1)
    assert project.work_began


@pytest.mark.parametrize("index", [[0], {}, "0", None])
def test_an_index_that_is_no_number_is_none(index: Any) -> None:
    project = project_of(2)
    project.job_begins({"imgID": "A", "jobIndex": 0}, 1, started=True)
    project.job_retried({"jobIndex": index}, 1)
    assert (project.jobs["A"].status, project.jobs["A"].retrying) == ("processing", False)


def test_estimates_are_the_latest_of_all_however_often_they_change() -> None:
    project = project_of(3)
    for seconds in range(300):
        for job_id in ("A", "B", "C"):
            project.job_eta({"imgID": job_id, "etaSeconds": 300 - seconds}, float(seconds // 100))
    assert project.eta_at == 2 + 1


def test_a_late_listener_gets_what_happened_before_and_nothing_twice() -> None:
    project = project_of(3)
    project._listeners = None
    project.job_begins({"imgID": "A"}, 1, started=True)
    project.job_result({"imgID": "A", "resultUrl": "u"}, 1)
    waiting = list(project.out.deliveries)
    remove = project.listen("job_started", print, once=False)
    project.listen("job_completed", print, once=True)
    project.listen_to_job(project.jobs["A"], "completed", print, once=False)
    late = project.out.deliveries[len(waiting) :]
    assert [it.listeners.take(it.event, it.number) for it in waiting if it.event.startswith("job_")] == [[], []]
    assert [(it.event, it.value) for it in late] == [
        ("job_started", project.jobs["A"]), ("job_completed", project.jobs["A"]), ("completed", "u"),
    ]  # fmt: skip
    assert [it.listeners.take(it.event, it.number) for it in late] == [[print], [print], [print]]
    remove()
    assert [it.listeners.take(it.event, it.number) for it in late] == [[], [], [print]]
    project.job_begins({"imgID": "B"}, 1, started=True)
    assert not project.listeners.has("job_started")


def test_a_late_listener_of_a_job_gets_its_preview_or_its_error() -> None:
    project = project_of(3)
    project.job_begins({"imgID": "A"}, 1, started=True)
    job = project.jobs["A"]
    project.listen_to_job(job, "preview", print, once=False)
    project.previewed(job, "p", 1)
    project.out.deliveries.clear()
    project.listen_to_job(job, "preview", print, once=False)
    project.job_failed({"imgID": "A", "error": 5}, 1)
    project.out.deliveries[1:] = []
    project.listen_to_job(job, "failed", print, once=False)
    project.listen_to_job(job, "completed", print, once=False)
    assert [(it.event, it.value) for it in project.out.deliveries] == [("preview", "p"), ("failed", job.error)]


def test_after_the_end_a_listener_is_told_nothing_that_is_over() -> None:
    project = project_of(1)
    project.job_result({"imgID": "A", "resultUrl": "u"}, 1)
    project.completed(1)
    project.out.deliveries.clear()
    project.listen("completed", print, once=False)
    assert (project.settled, project.out.deliveries) == (True, [])
