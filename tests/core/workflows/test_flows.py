"""Durable runs, workflows, templates and replay records: the order of what is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sogni.core.replay as replay
import sogni.core.workflows.flows as workflows
import sogni.core.workflows.runs as runs
import sogni.core.workflows.templates as templates
from sogni.core.http import HttpReply
from sogni.core.workflows.requests import artifact_paths
from sogni.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    SogniConnectionError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.replay import RunRecord
from sogni.models.workflows import MediaReference
from tests.core.play import PNG, Body, Stage, bare, ok, refused

HELLO = [{"role": "user", "content": "hello"}]
PLAN = {"title": "T", "steps": [{"tool_name": "generate_image", "arguments": {"prompt": "x"}}]}
RUN, WORKFLOW = "GET rest/v1/chat/runs/r", "GET rest/v1/creative-agent/workflows/w"
RUN_EVENTS, FRAMES = "events /v1/chat/runs/r/events/stream", "events /v1/creative-agent/workflows/w/events/stream"
LOST = SogniConnectionError("lost")


def run(status: str = "running", **fields: Any) -> HttpReply:
    return ok({"run": {"runId": "r", "status": status, **fields}})


def workflow(status: str = "running", **fields: Any) -> HttpReply:
    return ok({"workflow": {"workflowId": "w", "status": status, **fields}})


def frame(number: int, status: str) -> bytes:
    return f"id: {number}\ndata: {json.dumps({'status': status})}\n\n".encode()


# -- once ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "place", "answer"),
    [
        (lambda: runs.create_run({"messages": HELLO}), "POST rest/v1/chat/runs", run()),
        (lambda: workflows.start_workflow({"input": PLAN}), "POST rest/v1/creative-agent/workflows", workflow()),
        (
            lambda: workflows.reseed_workflow("w", {}),
            "POST rest/v1/creative-agent/workflows/w/reseed",
            ok({"workflow": {"workflowId": "w2"}}),
        ),
        (
            lambda: runs.confirm_cost("r", {"tool_call_id": "t", "decision": "cancel"}),
            "POST rest/v1/chat/runs/r/confirm-cost",
            run(),
        ),
    ],
)
def test_what_must_happen_once_is_asked_for_again_with_the_same_key(flow: Any, place: str, answer: HttpReply) -> None:
    stage, keys = Stage(), []

    def remembering(outcome: Any) -> Any:
        def happen(_: Stage) -> Any:
            keys.append(stage_call.headers["Idempotency-Key"])
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return happen

    perform = stage._perform

    def watching(step: Any) -> Any:
        nonlocal stage_call
        stage_call = getattr(step, "call", None)
        return perform(step)

    stage_call: Any = None
    stage._perform = watching  # type: ignore[method-assign]
    stage.play(
        flow(),
        (place, remembering(LOST)),
        ("pause 0.25 ±20%", None),
        (place, remembering(refused(503, retry_after="2"))),
        ("pause 2", None),
        (place, remembering(answer)),
    )
    assert keys == ["ID-1"] * 3


@pytest.mark.parametrize(
    ("flow", "place"),
    [
        (lambda: runs.cancel_run("r", None), "POST rest/v1/chat/runs/r/cancel"),
        (lambda: workflows.cancel_workflow("w"), "POST rest/v1/creative-agent/workflows/w/cancel"),
        (lambda: workflows.resume_workflow("w", {}), "POST rest/v1/creative-agent/workflows/w/resume"),
        (lambda: templates.fork_template("t", None), "POST rest/v1/creative-agent/workflows/templates/t/fork"),
        (lambda: templates.delete_template("t"), "DELETE rest/v1/creative-agent/workflows/templates/t"),
        (lambda: replay.write_record({"run_id": "r"}), "POST rest/v1/replay/records"),
    ],
)
def test_what_has_no_key_is_asked_for_once(flow: Any, place: str) -> None:
    Stage().fail(SogniConnectionError, flow(), (place, LOST))


def test_a_key_of_the_caller_is_kept() -> None:
    stage = Stage()
    for flow in (
        runs.create_run({"messages": HELLO, "idempotency_key": "mine"}),
        workflows.start_workflow({"input": PLAN, "idempotency_key": "mine"}),
        workflows.reseed_workflow("w", {"idempotency_key": "mine"}),
        runs.confirm_cost("r", {"tool_call_id": "t", "decision": "cancel", "idempotency_key": "mine"}),
    ):
        step: Any = next(flow)
        while not hasattr(step, "call"):
            step = flow.send(stage._perform(step))
        assert step.call.headers["Idempotency-Key"] == "mine"
        flow.close()


def test_the_source_of_the_client_goes_along() -> None:
    stage = Stage(app_source="client")
    for flow in (runs.create_run({"messages": HELLO}), workflows.resume_workflow("w", {})):
        step: Any = next(flow)
        while not hasattr(step, "call"):
            step = flow.send(stage._perform(step))
        assert (step.call.headers["X-App-Source"], step.call.body["app_source"]) == ("client", "client")
        flow.close()


# -- plain questions -----------------------------------------------------------


def test_answers_are_read() -> None:
    stage = Stage()
    assert stage.play(runs.get_run("r"), (RUN, run("completed"))).status == "completed"
    assert stage.play(runs.cancel_run("r", "x"), ("POST rest/v1/chat/runs/r/cancel", run("cancelled"))).ended
    base = "rest/v1/creative-agent/workflows"
    listed = stage.play(workflows.list_workflows(5, 10), (f"GET {base}?limit=5&offset=10", ok({"workflows": []})))
    assert listed == []
    assert stage.play(workflows.workflow_events("w"), (f"{WORKFLOW}/events", ok({"events": [{"id": 1}]})))[0].id == 1
    assert stage.play(workflows.cancel_workflow("w"), (f"POST {base}/w/cancel", workflow("cancelled"))).ended
    assert stage.play(workflows.resume_workflow("w", {}), (f"POST {base}/w/resume", workflow())).resumed is False
    kept = bare({"template": {"id": "t", "name": "N"}})
    assert stage.play(templates.get_template("t"), (f"GET {base}/templates/t", kept)).name == "N"
    assert stage.play(templates.create_template({"name": "N"}), (f"POST {base}/templates", kept)).id == "t"
    assert stage.play(templates.update_template("t", {}), (f"PATCH {base}/templates/t", kept)).id == "t"
    assert stage.play(templates.fork_template("t", "M"), (f"POST {base}/templates/t/fork", kept)).id == "t"
    stage.play(templates.delete_template("t"), (f"DELETE {base}/templates/t", bare(None)))
    page = stage.play(templates.list_templates("own", None, None), (f"GET {base}/templates?visibility=own", bare({})))
    assert page.templates == []
    records = "rest/v1/replay/records"
    assert (
        stage.play(replay.write_record(RunRecord(run_id="r")), (f"POST {records}", bare({"runId": "r"}))).run_id == "r"
    )
    assert stage.play(replay.list_records(None), (f"GET {records}", bare({}))).records == []
    assert stage.play(replay.get_record("r"), (f"GET {records}/r", bare({"record": {}}))).record.run_id == "r"


@pytest.mark.parametrize(
    ("flow", "place", "kept"),
    [
        (lambda: runs.get_run("r"), RUN, True),
        (lambda: workflows.get_workflow("w"), WORKFLOW, False),
        (lambda: replay.get_record("r"), "GET rest/v1/replay/records/r", False),
    ],
)
def test_only_a_run_leaves_credentials_that_are_refused(flow: Any, place: str, kept: bool) -> None:
    stage = Stage()
    stage.fail(AuthenticationError, flow(), (place, refused(401)))
    assert stage.state.session.credentials.authenticated(stage.now) is kept


# -- waiting -------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "partial_failure", "failed", "cancelled", "waiting_for_user"])
def test_what_does_nothing_any_more_is_not_waited_for(status: str) -> None:
    assert Stage().play(runs.wait_for_run("r", None), (RUN, run(status))).status == status
    assert Stage().play(workflows.wait_for_workflow("w", None), (WORKFLOW, workflow(status))).status == status


def test_a_wait_ends_when_the_events_tell_and_the_record_says_so() -> None:
    body = Body()
    events = [{"sequence": 3}, {"sequence": 4}, {}]
    waited = Stage().play(
        runs.wait_for_run("r", None),
        (RUN, run(events=events)),
        (f"{RUN_EVENTS} after 4", body),
        ("piece within 15 s", b'data: {"sequence":5,"type":"tool"}\n\n'),
        ("piece within 15 s", b'data: {"sequence":6,"type":"run_waiting_for_user"}\n\n'),
        (RUN, run()),
        ("piece within 15 s", b'data: {"sequence":7,"type":"run_completed"}\n\n'),
        (RUN, run("completed")),
    )
    assert (waited.status, body.closed) == ("completed", True)


def test_the_record_is_looked_at_now_and_then_without_any_event() -> None:
    late = SogniTimeoutError("nothing", phase="run")
    stage = Stage()

    def nothing(stage: Stage) -> None:
        stage.passes(15)
        raise late

    waited = stage.play(
        workflows.wait_for_workflow("w", 60),
        (WORKFLOW, workflow()),
        (FRAMES, Body()),
        ("piece within 15 s", nothing),
        (WORKFLOW, workflow()),
        ("piece within 15 s", frame(1, "running")),
        (WORKFLOW, workflow("waiting_for_user")),
    )
    assert waited.status == "waiting_for_user"


def test_without_an_event_stream_the_record_is_asked_again_and_again() -> None:
    waited = Stage().play(
        workflows.wait_for_workflow("w", None),
        (WORKFLOW, workflow()),
        (FRAMES, refused(404)),
        (WORKFLOW, workflow()),
        ("pause 0.5", None),
        (WORKFLOW, workflow()),
        ("pause 1", None),
        (WORKFLOW, workflow()),
        ("pause 2", None),
        (WORKFLOW, workflow()),
        ("pause 5", None),
        (WORKFLOW, workflow()),
        ("pause 5", None),
        (WORKFLOW, workflow("failed")),
    )
    assert waited.status == "failed"


def test_an_event_stream_that_is_over_is_not_asked_again() -> None:
    waited = Stage().play(
        workflows.wait_for_workflow("w", None),
        (WORKFLOW, workflow()),
        (FRAMES, Body()),
        ("piece within 15 s", frame(1, "completed")),
        (WORKFLOW, workflow()),
        ("pause 0.5", None),
        (WORKFLOW, workflow("completed")),
    )
    assert waited.status == "completed"


def test_a_wait_that_runs_out_of_time_cancels_nothing() -> None:
    stage, body = Stage(), Body()

    def nothing(stage: Stage) -> None:
        stage.passes(3)
        raise SogniTimeoutError("nothing", phase="run")

    error = stage.fail(
        SogniTimeoutError,
        runs.wait_for_run("r", 3),
        (RUN, run()),
        (RUN_EVENTS, body),
        ("piece within 3 s", nothing),
        (RUN, run()),
    )
    assert (error.phase, error.timeout, body.closed) == ("run", 3, True)


def test_waiting_for_what_is_not_there_fails() -> None:
    Stage().fail(NotFoundError, runs.wait_for_run("r", None), (RUN, refused(404)))


@pytest.mark.parametrize("status", ["completed", "running"])
def test_a_stream_that_ends_without_an_end_asks_the_record(status: str) -> None:
    assert Stage().play(runs.run_feed("r").has_ended(), (RUN, run(status))) is (status == "completed")
    feed = workflows.workflow_feed("w")
    assert Stage().play(feed.has_ended(), (WORKFLOW, workflow(status))) is (status == "completed")


# -- files ---------------------------------------------------------------------


def test_everything_that_was_made_is_saved(tmp_path: Path) -> None:
    artifacts = [{"url": "https://store/a?sig=1"}, {"id": "none"}, {"id": "x", "url": "https://store/b"}]
    paths = artifact_paths(tmp_path, "w")
    saved = Stage().play(
        workflows.save_artifacts("w", paths),
        (WORKFLOW, workflow(artifacts=artifacts)),
        ("save https://store/a?sig=1", refused(503)),
        ("pause 0.25 ±20%", None),
        ("save https://store/a?sig=1", tmp_path / "w-0.png"),
        ("save https://store/b", tmp_path / "w-2-x.png"),
    )
    assert saved == [tmp_path / "w-0.png", tmp_path / "w-2-x.png"]


def test_an_artifact_that_is_gone_is_an_error(tmp_path: Path) -> None:
    answer = workflow(artifacts=[{"url": "https://store/a"}])
    flow = workflows.save_artifacts("w", artifact_paths(tmp_path, "w"))
    script = [(WORKFLOW, answer), ("save https://store/a", refused(403))]
    Stage().fail(PermissionDeniedError, flow, *script, (WORKFLOW, answer))
    flow = workflows.save_artifacts("w", artifact_paths(tmp_path, "w"))
    Stage().fail(PermissionDeniedError, flow, *script, (WORKFLOW, workflow()))


def test_an_address_that_is_too_old_is_asked_for_anew(tmp_path: Path) -> None:
    old, fresh = ("https://store/a?sig=1", "https://store/a?sig=2")
    saved = Stage().play(
        workflows.save_artifacts("w", artifact_paths(tmp_path, "w")),
        (WORKFLOW, workflow(artifacts=[{"url": old}])),
        (f"save {old}", refused(403)),
        (WORKFLOW, workflow(artifacts=[{"url": fresh}])),
        (f"save {fresh}", tmp_path / "w-0.png"),
    )
    assert saved == [tmp_path / "w-0.png"]


def test_a_file_is_uploaded_and_its_address_asked_for() -> None:
    stage = Stage()
    where = "imageId=ID-2&jobId=ID-1&type=startingImage&contentType=image%2Fpng"
    reference = stage.play(
        workflows.upload_reference(PNG),
        (f"GET rest/v1/image/uploadUrl?{where}", ok({"uploadUrl": "https://store/put"})),
        ("PUT the bytes given as media to https://store/put", HttpReply(status=200)),
        (f"GET rest/v1/image/downloadUrl?{where}", ok({"downloadUrl": "https://store/get?sig=1"})),
    )
    assert reference == MediaReference(url="https://store/get?sig=1", media_type="image", mime_type="image/png")
    assert stage.sources[0].closed


@pytest.mark.parametrize("media", [None, True, b"plain words here"])
def test_what_is_no_medium_is_not_uploaded(media: Any) -> None:
    Stage().fail(ValidationError, workflows.upload_reference(media))
