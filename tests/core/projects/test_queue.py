"""Why a project waits: queue frames, reasons, and what ends them (additions-5x §7)."""

from __future__ import annotations

from typing import Any

from sogni.core.projects.project import ProjectState, restored_state
from sogni.core.projects.queue import NO_QUEUE, read_job_reasons, read_preparation, read_waiting_reason
from sogni.models.converter import from_dict, to_dict
from sogni.models.projects import (
    ErrorData,
    Event,
    JobWaitingReason,
    Preparation,
    ProjectEvent,
    ProjectSnapshot,
    QueueChange,
    QueueChangedEvent,
    WaitingReason,
)
from tests.core.projects.test_project_state import fail, project_of, result, start, told
from tests.core.test_client_state import connected, lost, tracked
from tests.tables import each_row

SENT = {"reason": "concurrency_limit", "message": "Three projects at a time"}
REASON = WaitingReason(reason="concurrency_limit", message="Three projects at a time")
OF_JOBS = [{"jobIndex": index, "waitingReason": SENT} for index in range(2)]
OF_FIRST, OF_SECOND = (JobWaitingReason(job_index=index, waiting_reason=REASON) for index in range(2))
QUEUED = {
    "queuePosition": 2, "estimatedStartSeconds": 7, "queueStatus": "waiting", "waitingReason": SENT,
    "jobWaitingReasons": OF_JOBS,
}  # fmt: skip


def waiting() -> ProjectState:
    project = project_of(2)
    project.queued(QUEUED, 1)
    told(project)
    return project


# -- reading -----------------------------------------------------------------------


@each_row(
    "given",
    [
        None,
        "queued",
        {},
        {"reason": "queued"},
        {"reason": "tired", "message": "m"},
        {"reason": "queued", "message": 5},
        {"reason": "queued", "message": " \n"},
        {"reason": "queued", "message": "m" * 601},
    ],
)
def test_a_malformed_reason_counts_as_none(given: Any) -> None:
    assert read_waiting_reason(given) is None


def test_unknown_details_of_a_reason_are_dropped() -> None:
    details = {"mediaType": "video", "paymentModel": "gold", "subscriptionTier": 5, "modelFamily": "minimax_h3"}
    found = read_waiting_reason({"reason": "concurrency_limit", "message": "m" * 600, **details})
    assert found is not None
    assert (found.media_type, found.payment_model, found.subscription_tier) == ("video", None, None)
    assert (found.model_family, found.extra) == ("minimax_h3", {"paymentModel": "gold", "subscriptionTier": 5})


@each_row(
    ("given", "indices"),
    [
        (None, []),
        ({}, []),
        ([], []),
        (OF_JOBS, [0, 1]),
        (OF_JOBS[::-1], [1, 0]),
        ([*OF_JOBS, {"jobIndex": 2, "waitingReason": SENT}], [0, 1]),
        ([5, OF_JOBS[1]], [1]),
        ([OF_JOBS[1], OF_JOBS[1]], [1]),
        *(([{"jobIndex": index, "waitingReason": SENT}, OF_JOBS[1]], [1]) for index in (-1, 2, "0", True, None, 0.0)),
        *(([{"jobIndex": 0, "waitingReason": reason}, OF_JOBS[1]], [1]) for reason in (None, {"reason": "queued"})),
        ([{"jobIndex": 0}, OF_JOBS[1]], [1]),
    ],
    ids=str,
)
def test_which_reasons_of_jobs_count(given: Any, indices: list[int]) -> None:
    """At most as many entries are read as there are jobs."""
    assert [it.job_index for it in read_job_reasons(given, 2)] == indices


@each_row(("sent", "job_id"), [("a1", "A1"), ("x" * 128, "X" * 128), ("", None), ("x" * 129, None), (5, None)])
def test_the_id_of_a_waiting_job(sent: Any, job_id: str | None) -> None:
    (found,) = read_job_reasons([{"jobIndex": 0, "waitingReason": SENT, "imgID": sent, "new": 1}], 1)
    assert (found.img_id, found.extra) == (job_id, {"new": 1})


def test_a_preparation_that_is_malformed_counts_as_none() -> None:
    assert [read_preparation(given) for given in (None, 5, {}, {"phase": 1})] == [None] * 4
    sent = {"phase": "downloadingAssets", "assetType": "lora", "requested": 3, "total": "two", "current": "detail"}
    expected = Preparation(
        phase="downloadingAssets", asset_type="lora", requested=3, current="detail", extra={"total": "two"}
    )
    assert read_preparation(sent) == expected


# -- frames ------------------------------------------------------------------------


def test_a_queue_frame_tells_status_start_and_reasons() -> None:
    project = project_of(2)
    project.queued(QUEUED, 1)
    assert project.queue == ("waiting", 8, REASON, (OF_FIRST, OF_SECOND))
    names = {"status", "queue_position", "queue_status", "estimated_start_at", "waiting_reason", "job_waiting_reasons"}
    change = QueueChange(project_id="P", waiting_reason=REASON, job_waiting_reasons=[OF_FIRST, OF_SECOND])
    project.listeners.add("queue_changed", print)
    assert ("P.updated", names) in told(project)
    project.queued({**QUEUED, "waitingReason": None}, 1)
    assert ("P.queue_changed", QueueChange(project_id="P", job_waiting_reasons=[OF_FIRST, OF_SECOND])) in told(project)
    project.explain_wait({"waitingReason": SENT, "jobWaitingReasons": OF_JOBS}, 1)
    assert ("P.queue_changed", change) in told(project)


@each_row(
    ("sent", "expected"),
    [
        ({}, None),
        ({"estimatedStartSeconds": None, "queueStatus": "gone"}, None),
        *(({"estimatedStartSeconds": seconds}, None) for seconds in (-1, "7", True, float("nan"), 1e10)),
        ({"estimatedStartSeconds": 0}, 1),
        ({"estimatedStartSeconds": 0.5}, 1.5),
    ],
    ids=str,
)
def test_an_estimated_start_counts_from_now(sent: dict[str, Any], expected: float | None) -> None:
    project = project_of()
    project.queued(sent, 1)
    assert project.queue[:2] == (None, expected)


def test_a_queue_frame_without_reasons_keeps_those_there_are() -> None:
    project = waiting()
    project.queued({"queuePosition": 1, "queueStatus": "no-workers"}, 2)
    assert project.queue == ("no-workers", None, REASON, (OF_FIRST, OF_SECOND))


@each_row("sent", [{}, {"waitingReason": None, "jobWaitingReasons": []}, {"waitingReason": {"reason": "new"}}])
def test_the_frame_with_the_reasons_has_all_of_them(sent: dict[str, Any]) -> None:
    project = waiting()
    project.explain_wait(sent, 2)
    assert project.queue == ("waiting", 8, None, ())
    names = {"waiting_reason", "job_waiting_reasons"}
    assert [("P.queue_changed", QueueChange(project_id="P")), ("P.updated", names)] == told(project)
    project.explain_wait(sent, 2)
    assert told(project) == []


def test_reasons_may_come_while_other_jobs_are_processed() -> None:
    project = project_of(2)
    project.job_progressed({"imgID": "A", "step": 1}, 1)
    project.queued({"queuePosition": 4, "queueStatus": "waiting", "jobWaitingReasons": OF_JOBS[1:]}, 1)
    assert (project.queue, project.queue_position) == ((None, None, None, (OF_SECOND,)), -1)
    project.queued({"jobWaitingReasons": []}, 1)
    assert project.queue is NO_QUEUE


@each_row(
    "frame",
    [
        lambda it: it.job_begins({"imgID": "A", "jobIndex": 0}, 2, started=False),
        lambda it: start(it, jobIndex=0),
        lambda it: fail(it, "A"),
        lambda it: it.job_eta({"imgID": "A", "etaSeconds": 3}, 2),
        lambda it: it.job_progressed({"imgID": "A"}, 2),
        lambda it: result(it),
        lambda it: it.job_result({"imgID": "A"}, 2),
        lambda it: it.job_canceled("A", 2),
    ],
)
def test_a_job_that_leaves_the_queue_ends_the_wait_of_the_project(frame: Any) -> None:
    project = project_of(2)
    reasons = [{**OF_JOBS[0], "imgID": "a"}, OF_JOBS[1]]
    project.queued({**QUEUED, "jobWaitingReasons": reasons}, 1)
    frame(project)
    assert project.queue == (None, None, None, (OF_SECOND,))


@each_row(
    "end",
    [
        lambda it: it.completed(2),
        lambda it: it.cancel(2),
        lambda it: it.fail(error_of(it), 2),
        lambda it: it.overrule("failed", error_of(it), 2),
        lambda it: [it.end_job(start(it, job), "failed", error_of(it), 2) for job in "AB"],
    ],
)
def test_the_end_of_a_project_ends_the_wait(end: Any) -> None:
    project = waiting()
    end(project)
    assert (project.ended, project.queue) == (True, NO_QUEUE)
    project.queued(QUEUED, 3)
    project.explain_wait({"waitingReason": SENT}, 3)
    assert project.queue is NO_QUEUE


def error_of(project: ProjectState) -> Any:
    return ErrorData(code=5, message=project.id)


def test_the_reason_of_a_job_is_that_of_its_index_or_id() -> None:
    project = project_of(3)
    retried, other, third = (start(project, job, jobIndex=index) for index, job in enumerate("ABC"))
    project.job_retried({"imgID": "A"}, 2)
    project.job_retried({"imgID": "C"}, 2)
    project.explain_wait({"jobWaitingReasons": [*OF_JOBS, {"jobIndex": 2, "waitingReason": SENT, "imgID": "c"}]}, 2)
    assert [project.waiting_reason_of(job) for job in (retried, other, third)] == [REASON, None, REASON]
    project.explain_wait({"jobWaitingReasons": OF_JOBS[1:]}, 2)
    assert project.waiting_reason_of(retried) is None


def test_a_preparation_lasts_until_the_job_starts() -> None:
    project = project_of()
    sent = {"phase": "loadingModel", "model": "Flux", "step": "start"}
    project.job_begins({"imgID": "A", "preparation": sent}, 1, started=False)
    job = project.jobs["A"]
    assert job.preparation == Preparation(phase="loadingModel", model="Flux", step="start")
    project.job_progressed({"imgID": "A"}, 2)
    assert job.preparation is None


# -- who is told -------------------------------------------------------------------


def test_who_listens_later_is_told_the_latest_reasons() -> None:
    project = waiting()
    change = QueueChange(project_id="P", waiting_reason=REASON, job_waiting_reasons=[OF_FIRST, OF_SECOND])
    project.listen("queue_changed", print, once=False)
    assert [("P.queue_changed", change)] == [(f"P.{it.event}", it.value) for it in project.out.deliveries]
    feed = project.subscribe()
    assert feed.pop() == QueueChangedEvent("queue_changed", change)
    for seconds in (1, 2, 3):
        project.queued({**QUEUED, "waitingReason": None if seconds % 2 else SENT, "queuePosition": seconds}, seconds)
    assert [event.name for event in iter(feed.pop, None)] == ["queue_changed", "updated"]
    start(project)
    project.explain_wait({}, 4)
    project.listen("queue_changed", print, once=False)
    assert [it for it in project.subscribe()._events if it.name == "queue_changed"] == []
    assert isinstance(feed.pop(), Event)


def test_listeners_of_all_projects_are_told_the_reasons() -> None:
    state = connected()
    tracked(state)
    state.projects.listeners.add("project", print)
    state.projects.listeners.add("queue_changed", print)
    state.receive("projectQueue", {"jobID": "P", "waitingReason": SENT, "jobWaitingReasons": OF_JOBS}, 1.0)
    state.receive("jobState", {"jobID": "P", "type": "queued", "queuePosition": 1, "new": 1}, 1.0)
    state.receive("projectQueue", {"jobID": "P"}, 1.0)
    state.receive("projectQueue", {"jobID": "OTHER", "waitingReason": SENT}, 1.0)
    reasons: dict[str, Any] = {"waiting_reason": REASON, "job_waiting_reasons": [OF_FIRST, OF_SECOND]}
    events = [
        ProjectEvent(type="queueChanged", project_id="P", **reasons),
        ProjectEvent(type="queued", project_id="P", queue_position=1, **reasons, extra={"new": 1}),
        ProjectEvent(type="queueChanged", project_id="P", job_waiting_reasons=[]),
    ]
    found = [it for it in state.out.deliveries if it.listeners is state.projects.listeners]
    assert events == [it.value for it in found if it.event == "project"]
    changes = [QueueChange(project_id="P", **reasons), QueueChange(project_id="P")]
    assert changes == [it.value for it in found if it.event == "queue_changed"]


def test_reasons_end_with_the_connection() -> None:
    state = connected()
    project, other = tracked(state), tracked(state, "OTHER")
    project.queued(QUEUED, 1)
    other.explain_wait({"waitingReason": SENT}, 1)
    lost(state, 1006)
    assert (project.queue, other.queue) == (("waiting", 8, None, ()), NO_QUEUE)


def test_a_snapshot_keeps_the_wait() -> None:
    project = waiting()
    params = {"type": "image", "modelId": "m"}
    snapshot = from_dict(ProjectSnapshot, to_dict(project.snapshot(params)))
    restored = restored_state(snapshot)
    assert restored.queue == project.queue
    restored.join(project.out, [])
    assert restored.queue.estimated_start_at == 8
    assert restored_state(ProjectSnapshot(id="P", started_at=snapshot.started_at, params=params)).queue is NO_QUEUE
