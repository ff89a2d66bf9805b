"""Progress of a workflow, and how it is displayed."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from sogni.cli.follow import WorkflowProgress, raise_if_failed, tree
from sogni.errors import SogniError
from sogni.models.converter import from_dict
from sogni.models.workflows import WorkflowRecord, WorkflowSseEvent
from tests.tables import each_row

PLAN = {"steps": [{"id": "a", "toolName": "edit_image"}, {"toolName": "stitch_video"}]}


def record(**wire: Any) -> WorkflowRecord:
    return from_dict(WorkflowRecord, {"workflowId": "wf_1", "status": "running", "input": PLAN, **wire})


def known(**wire: Any) -> WorkflowProgress:
    progress = WorkflowProgress("wf_1")
    progress.take_record(record(**wire))
    return progress


def frame(data: Any) -> WorkflowSseEvent:
    return WorkflowSseEvent(data=data)


def test_steps_are_read_from_the_plan_first() -> None:
    assert known().rows() == [
        ("workflow", "running", "wf_1"),
        ("a", "pending", "edit_image"),
        ("step-2", "pending", "stitch_video"),
    ]


def test_the_record_updates_the_steps() -> None:
    failed = {"id": "a", "status": "failed", "error": {"message": "no worker"}}
    progress = known(status="failed", steps=[failed, {"index": 1, "status": "skipped"}], error={"message": "it failed"})
    assert progress.rows() == [
        ("workflow", "failed", "it failed"),
        ("a", "failed", "no worker"),
        ("step-2", "skipped", "stitch_video"),
    ]


@pytest.mark.parametrize(
    "record", [{"input": None}, {"input": {"steps": "x"}}, {"input": {"steps": [5]}}, {"steps": []}]
)
def test_malformed_steps_are_omitted(record: dict[str, Any]) -> None:
    assert known(**record).rows()[0] == ("workflow", "running", "wf_1")


def test_frames_update_steps_or_request_the_record() -> None:
    progress = known()
    assert progress.take_frame(frame(None))
    assert progress.take_frame(frame({"status": "running"}))
    assert progress.take_frame(frame({"step": {"id": "a", "status": "completed"}}))
    assert progress.rows()[1] == ("a", "completed", "edit_image")
    assert not progress.take_frame(frame({"status": "completed"}))
    assert not progress.take_frame(frame({"something": "new"}))


def test_only_changes_are_reported() -> None:
    progress = known()
    assert len(list(progress.changes())) == 3
    assert list(progress.changes()) == []
    progress.take_frame(frame({"step": {"id": "a", "status": "running"}}))
    assert list(progress.changes()) == [("a", "running", "edit_image")]


def test_the_end_of_the_workflow_is_told_after_that_of_its_steps() -> None:
    progress = known()
    list(progress.changes())
    progress.take_record(record(status="completed", input={}, steps=[{"id": "a", "status": "completed"}]))
    assert [row[:2] for row in progress.changes()] == [("a", "completed"), ("workflow", "completed")]


def told(progress: WorkflowProgress, *statuses: str) -> list[str]:
    """The statuses of the step a that are told when the frames say these."""
    list(progress.changes())
    shown = []
    for status in statuses:
        progress.take_frame(frame({"step": {"id": "a", "status": status}}))
        shown += [status for name, status, _ in progress.changes() if name == "a"]
    return shown


@each_row(
    ("recorded", "said", "news"),
    [
        ("pending", ["running", "completed"], ["running", "completed"]),
        ("queued", ["running", "completed"], ["running", "completed"]),
        ("running", ["running", "completed"], ["completed"]),
        ("completed", ["running", "completed"], []),
        ("completed", ["running", "failed", "running", "completed"], []),
        ("completed", ["running", "completed", "running"], ["running"]),
        ("processing", ["started", "completed"], ["completed"]),
        ("waiting_for_user", ["running", "waiting_for_user", "running"], ["running"]),
    ],
)
def test_frames_older_than_the_record_are_not_reported(recorded: str, said: list[str], news: list[str]) -> None:
    """The stream begins with the first frame, the record says how it is now."""
    assert told(known(steps=[{"id": "a", "status": recorded}]), *said) == news


def test_a_record_equal_to_the_frames_is_not_ahead() -> None:
    progress = known()
    assert told(progress, "running") == ["running"]
    progress.take_record(record(steps=[{"id": "a", "status": "running"}]))
    assert told(progress, "failed", "running") == ["failed", "running"]


def test_the_tree_has_a_line_for_every_step() -> None:
    console = Console(file=io.StringIO(), width=40, color_system=None)
    console.print(tree(known(title="A plan with [brackets] and a very long title indeed")))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("A plan with [brackets]")
    assert [line.strip() for line in lines[1:]] == ["├── a pending edit_image", "└── step-2 pending stitch_video"]
    assert all(len(line) <= 40 for line in lines)


def test_completed_is_the_only_success() -> None:
    raise_if_failed(record(status="completed"))
    with pytest.raises(SogniError, match=r"^workflow wf_1 ended with status partial_failure: no worker$"):
        raise_if_failed(record(status="partial_failure", error={"message": "no worker"}))
    with pytest.raises(SogniError, match=r"user input: insufficient_credit; see 'sogni workflow resume wf_1'"):
        raise_if_failed(record(status="waiting_for_user", waitingReason="insufficient_credit"))
    with pytest.raises(SogniError, match=r"^workflow wf_1 is running, but its events have ended$"):
        raise_if_failed(record())
