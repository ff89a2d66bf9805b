"""Projects requested by id, without tracking them."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from sogni.core.projects.past_projects import project_status, waiting_reason
from sogni.errors import NotFoundError, ProtocolError, ServerError, ValidationError
from sogni.models.projects import JobRecord, ProjectStatusRecord, RecordModel, WaitingReason
from sogni.settings import RetryPolicy
from tests.core.play import JOB, MODEL, PROJECT, Stage, ok, refused

STATUS = f"GET rest/v2/projects/{PROJECT}"
QUEUED = {"reason": "queued", "message": "Waiting for a worker"}


def status(**fields: Any) -> dict[str, Any]:
    return {"id": PROJECT, "status": "processing", "finished": False, **fields}


@pytest.fixture
def stage() -> Stage:
    return Stage(retry=RetryPolicy(attempts=1))


# -- status ------------------------------------------------------------------------


def test_a_status_has_the_jobs_the_model_and_the_reason_of_a_wait(stage: Stage) -> None:
    sent = status(
        workerJobs=[{"imgID": JOB, "status": "jobProgress"}],
        completedWorkerJobs=[{"imgID": "B2", "status": "jobCompleted"}],
        model={"id": MODEL, "type": "image"},
        waitingReason=QUEUED,
        outputFormat="png",
    )
    expected = ProjectStatusRecord(
        id=PROJECT,
        status="processing",
        finished=False,
        waiting_reason=WaitingReason(reason="queued", message="Waiting for a worker"),
        model=RecordModel(id=MODEL, type="image"),
        worker_jobs=[JobRecord(img_id=JOB, status="jobProgress")],
        completed_worker_jobs=[JobRecord(img_id="B2", status="jobCompleted")],
        extra={"outputFormat": "png"},
    )
    assert expected == stage.play(project_status(PROJECT), (STATUS, ok({"project": sent})))


def test_an_id_is_one_encoded_segment_of_the_path(stage: Stage) -> None:
    sent = {"project": {"id": "a/b", "status": "failed", "finished": True}}
    assert stage.play(project_status("a/b"), ("GET rest/v2/projects/a%2Fb", ok(sent))).status == "failed"


def test_an_unknown_project_is_named_in_the_error(stage: Stage) -> None:
    reply = evolve(refused(404, "Project not found"), url=f"https://rest/v2/projects/{PROJECT}")
    assert PROJECT in str(stage.fail(NotFoundError, project_status(PROJECT), (STATUS, reply)))


def test_a_busy_service_is_a_server_error(stage: Stage) -> None:
    assert stage.fail(ServerError, project_status(PROJECT), (STATUS, refused(503))).status == 503


@pytest.mark.parametrize(
    "data", [None, {}, {"project": None}, {"project": []}, {"project": {"id": PROJECT}}, {"project": {"status": "x"}}]
)
def test_a_response_without_a_status_is_malformed(stage: Stage, data: Any) -> None:
    stage.fail(ProtocolError, project_status(PROJECT), (STATUS, ok(data)))


@pytest.mark.parametrize("bad", ["", " ", "..", None, 5])
def test_an_id_must_be_a_string_with_content(stage: Stage, bad: Any) -> None:
    assert stage.fail(ValidationError, project_status(bad)).field == "project_id"


@pytest.mark.parametrize(
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
def test_a_malformed_reason_counts_as_none(stage: Stage, given: Any) -> None:
    assert waiting_reason(given) is None
    sent = {"project": status(waitingReason=given)}
    assert stage.play(project_status(PROJECT), (STATUS, ok(sent))).waiting_reason is None


def test_unknown_details_of_a_reason_are_dropped() -> None:
    details = {"mediaType": "video", "paymentModel": "gold", "subscriptionTier": 5, "modelFamily": "minimax_h3"}
    found = waiting_reason({"reason": "concurrency_limit", "message": "m" * 600, **details})
    assert found is not None
    assert (found.media_type, found.payment_model, found.subscription_tier) == ("video", None, None)
    assert (found.model_family, found.extra) == ("minimax_h3", {"paymentModel": "gold", "subscriptionTier": 5})
