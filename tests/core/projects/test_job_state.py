"""Status and progress of one job (projects-4.2 §13)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.outbox import Outbox
from sogni.core.projects.job import JobState, percent
from sogni.core.projects.project import ProjectState
from sogni.models.converter import from_dict, to_dict
from sogni.models.params import ImageProjectParams
from sogni.models.projects import ErrorData, JobSnapshot
from tests.tables import each_row


def job_with(**values: Any) -> JobState:
    project = ProjectState("P", ImageProjectParams(model_id="m"), Outbox(), now=0, kind="image", listening=[])
    job = JobState(project, "J")
    job.change(**values)
    return job


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (1.5, 2), (2.5, 3), (2.4999, 2), (99.5, 100), (99.4999, 99)])
def test_halves_are_rounded_up(value: float, expected: int) -> None:
    assert expected == percent(value)


@pytest.mark.parametrize(("value", "expected"), [(-5, 0), (50.5, 51), (100.4, 100), (1e300, 100)])
def test_percentages_stay_in_bounds(value: float, expected: int) -> None:
    assert expected == percent(value)


PROGRESS: list[tuple[str, dict[str, Any], float, int]] = [
    ("a completed job is done", {"status": "completed", "external_progress": 0.1}, 0, 100),
    ("a fraction", {"external_progress": 0.255}, 0, 26),
    ("1 is all of it", {"external_progress": 1}, 0, 100),
    ("above 1 it is a percentage", {"external_progress": 1.4}, 0, 1),
    ("a percentage", {"external_progress": 42.5}, 0, 43),
    ("too much is all", {"external_progress": 250}, 0, 100),
    ("below 0 is nothing", {"external_progress": -3}, 0, 0),
    ("the fraction outranks the steps", {"external_progress": 0.5, "step": 1, "step_count": 4}, 0, 50),
    ("what is no number does not count", {"external_progress": float("nan"), "step": 1, "step_count": 4}, 0, 25),
    ("steps", {"step": 1, "step_count": 8}, 0, 13),
    ("more steps than there are", {"step": 9, "step_count": 8}, 0, 100),
    ("steps outrank the estimate", {"step": 1, "step_count": 4, "eta_at": 10.0, "eta_started_at": 0.0}, 5, 25),
    ("the estimate", {"eta_at": 10.0, "eta_started_at": 0.0}, 5, 50),
    ("an estimate has begun", {"eta_at": 10.0, "eta_started_at": 0.0}, 0, 1),
    ("an estimate is never all", {"eta_at": 10.0, "eta_started_at": 0.0}, 50, 95),
    ("an estimate of nothing", {"eta_at": 10.0, "eta_started_at": 10.0}, 50, 0),
    ("an end without a beginning", {"eta_at": 10.0}, 5, 0),
    ("nothing is known", {}, 0, 0),
    ("a failed job is where it was", {"status": "failed", "step": 1, "step_count": 4}, 0, 25),
]


@each_row(("values", "now", "expected"), [row[1:] for row in PROGRESS], ids=[row[0] for row in PROGRESS])
def test_progress(values: dict[str, Any], now: float, expected: int) -> None:
    """projects-4.2 §13.2."""
    assert expected == job_with(**values).progress(now)


@pytest.mark.parametrize(
    ("values", "withheld", "media"),
    [
        ({"status": "completed"}, False, True),
        ({"status": "completed", "is_nsfw": True}, True, False),
        ({"status": "completed", "is_nsfw": True, "nsfw_detected": True}, False, True),
        ({"status": "completed", "nsfw_detected": True}, False, True),
        ({"status": "processing"}, False, False),
        ({"status": "canceled"}, False, False),
    ],
)
def test_withheld_means_filtered_and_not_delivered(values: dict[str, Any], withheld: bool, media: bool) -> None:
    """projects-5x §13."""
    job = job_with(**values)
    assert (withheld, media) == (job.withheld, job.has_result_media)


@pytest.mark.parametrize("status", ["pending", "initiating", "processing", "completed", "failed", "canceled"])
def test_three_states_are_final(status: str) -> None:
    assert (status in {"completed", "failed", "canceled"}) is job_with(status=status).ended


def test_a_change_tells_what_is_different_now() -> None:
    job = job_with(step=3)
    assert {"seed"} == job.change(step=3, seed=0)
    assert set() == job.change(step=3, seed=0)


def test_a_new_attempt_forgets_the_old_one() -> None:
    """projects-5x §12."""
    job = job_with(status="processing", step=3, step_count=4, worker_name="w", preview_url="u", job_index=1, seed=5)
    job.runs_until = 9.0
    job.signing = {}
    assert {"status", "step", "worker_name", "preview_url"} == job.restart()
    assert (
        job.status,
        job.step,
        job.worker_name,
        job.preview_url,
        job.runs_until,
        job.signing,
    ) == ("pending", 0, None, None, None, None)
    assert (job.job_index, job.step_count, job.seed) == (1, 4, 5)
    assert {"id"} == job.restart("K")
    assert job.id == "K"


def test_a_snapshot_brings_everything_back() -> None:
    job = job_with(
        status="failed", step=3, step_count=4, worker_name="w", seed=2**64 - 1, is_nsfw=True, nsfw_detected=True,
        nsfw_sources=("prompt",), user_canceled=True, preview_url="p", result_url="r", error=ErrorData(code=5),
        positive_prompt="a", negative_prompt="b", job_index=1, external_progress=0.5, eta_seconds=3.5, eta_at=1003.5,
        eta_started_at=1000.0,
    )  # fmt: skip
    snapshot = job.snapshot()
    again = JobState.restored(job.project, from_dict(JobSnapshot, to_dict(snapshot)))
    assert snapshot == again.snapshot()
    assert (again.eta_at, again.eta_started_at, again.nsfw_sources) == (1003.5, 1000.0, ("prompt",))


def test_the_snapshot_of_a_new_job() -> None:
    assert job_with().snapshot() == JobSnapshot(id="J", project_id="P")
    assert JobState.restored(job_with().project, JobSnapshot(id="J", project_id="P")).eta_at is None
