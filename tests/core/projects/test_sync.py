"""Synchronizing projects, and the events about it (projects-5x §9.3, additions-5x §6)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.background import flow_of
from sogni.core.projects.recovery import sync_projects
from sogni.core.projects.registry import MAX_ENDED
from sogni.errors import PermissionDeniedError, ProtocolError, ValidationError
from sogni.models.converter import to_dict
from sogni.models.projects import ProjectsSync, RecentProject, Snapshot
from tests.core.play import JOB, PROJECT, Stage, bare, ok, refused

IDS = {letter: PROJECT[:-1] + letter for letter in "ABCDEF"}
SYNC = "GET socket/api/v1/artist/projects/sync?appId=app-1"
ACTIVE = "GET socket/api/v1/artist/projects/active"
WAIT = "until the projects of this app id (request, for ever)"
EVENTS = ("active_projects_recovered", "completed_projects_recovered", "projects_synced")


@pytest.fixture
def stage() -> Stage:
    return Stage().connects()


def old(stage: Stage, letter: str) -> Any:
    """A project that was acknowledged a while ago."""
    project = stage.project(IDS[letter])
    project.touch(stage.now)
    return project


def snapshot(active: str = "", ended: str = "", **fields: Any) -> Any:
    def record(letter: str, status: str) -> dict[str, Any]:
        jobs = [{"imgID": JOB, "status": "jobCompleted", "resultUrl": f"https://store/{letter}"}]
        done = {"completedWorkerJobs": jobs} if status == "completed" else {}
        return {"id": IDS[letter], "status": status, "appId": "app-1", "imageCount": 1, **done, **fields}

    return {
        "activeProjects": [record(letter, "active") for letter in active],
        "unclaimedCompletedProjects": [record(letter, "completed") for letter in ended],
    }


def background(*script: tuple[str, Any]) -> tuple[str, Any]:
    """The step that waits, while the background tasks run."""

    def run(stage: Stage) -> None:
        tasks = stage.begun
        steps = list(script)
        while tasks:
            task = tasks.pop(0)
            assert isinstance(task, outbox.Reconcile | outbox.ApplyRecord | outbox.Recover | outbox.LookUp)
            count = {"Reconcile": 1, "LookUp": len(steps)}.get(type(task).__name__, 0)
            stage.play_inside(flow_of(task), *steps[:count])
            steps = steps[count:]
            tasks += stage.begun

    return WAIT, run


def letters(projects: list[Any]) -> str:
    return "".join(project.id[-1] for project in projects)


def test_every_project_is_in_the_list_of_what_became_of_it(stage: Stage) -> None:
    running, done, gone, unclear = (old(stage, letter) for letter in "ABEF")
    stage.passes(60)
    unknown = {letter: (f"GET rest/v1/projects/{IDS[letter]}", refused(404)) for letter in "EF"}
    rounds = [step for _ in range(3) for step in (unknown["E"], ("pause 2.5 ±20%", None))]
    script = [(SYNC, bare(snapshot("AC", "BD"))), rounds[0], (unknown["F"][0], refused(403)), *rounds[1:], unknown["E"]]
    live = (f"GET rest/v2/projects/{IDS['E']}", refused(404))
    found = stage.play(sync_projects(), background(*script, (ACTIVE, bare({"projects": []})), live))
    assert found.reason == "manual"
    assert (letters(found.active), letters(found.completed), letters(found.lost), letters(found.unverified)) == (
        "A", "B", "E", "F",
    )  # fmt: skip
    assert (letters(found.recovered_active), letters(found.recovered_completed)) == ("C", "D")
    assert found.recovered_completed[0].result_urls == ["https://store/D"]
    assert [project.status for project in (running, done, gone, unclear)] == [
        "queued", "completed", "failed", "pending",
    ]  # fmt: skip
    assert {project.id[-1] for project in stage.state.projects.tracked() if project.recovered} == {"C", "D"}
    announced = [(it.event, it.value) for it in stage.state.out.deliveries if it.event in EVENTS]
    assert [event for event, _ in announced] == list(EVENTS)
    assert [letters(value) for _, value in announced[:2]] == ["C", "D"]
    assert announced[2][1] is found


def test_a_comparison_that_finds_nothing_is_announced_alone(stage: Stage) -> None:
    stage.play(sync_projects(), background((SYNC, bare(snapshot()))))
    assert [it.event for it in stage.state.out.deliveries if it.event in EVENTS] == ["projects_synced"]


def test_settled_projects_are_in_no_list(stage: Stage) -> None:
    for letter in "AB":
        old(stage, letter).cancel(stage.now)
    found = stage.play(sync_projects(), background((SYNC, bare(snapshot("A", "B")))))
    assert letters(found.active + found.completed) == ""


def test_a_project_is_recovered_once(stage: Stage) -> None:
    first = stage.play(sync_projects(), background((SYNC, bare(snapshot("", "D")))))
    again = stage.play(sync_projects(), background((SYNC, bare(snapshot("", "D")))))
    stage.passes(3600)
    stage.state.projects.forget_finished(stage.now)
    assert stage.state.projects.tracked() == []
    later = stage.play(sync_projects(), background((SYNC, bare(snapshot("", "D")))))
    assert [letters(it.recovered_completed) for it in (first, again, later)] == ["D", "", ""]


def test_some_thousand_ended_projects_are_remembered(stage: Stage) -> None:
    registry = stage.state.projects
    for number in range(MAX_ENDED + 1):
        registry.note_end(str(number))
    assert [registry.has_ended(it) for it in ("0", "1", str(MAX_ENDED))] == [False, True, True]


def test_every_connection_is_compared_if_somebody_listens(stage: Stage) -> None:
    stage.receives("authenticated", {})
    assert [task for task in stage.begun if isinstance(task, outbox.Reconcile)] == []
    stage.state.projects.listeners.add("projects_synced", print)
    stage.receives("authenticated", {})
    (task,) = [task for task in stage.begun if isinstance(task, outbox.Reconcile)]
    stage.play(flow_of(task))
    assert [found.reason for found in stage.told("projects_synced")] == ["authenticated"]


def test_callers_share_the_next_comparison_after_the_one_that_runs(stage: Stage) -> None:
    registry = stage.state.projects
    running = registry.reconcile(None, "manual")
    first, second = registry.reconcile(None, "manual"), registry.reconcile(None, "manual")
    registry.reconcile(Snapshot(), "connected")
    newest = registry.reconcile(Snapshot(), "authenticated")
    assert running is not first is second
    order = []
    while begun := stage.begun:
        (task,) = begun
        order.append(task.sync)
        stage.play(flow_of(task), *[(SYNC, bare(snapshot()))] * (task.snapshot is None))
    assert order == [running, newest, first]


def test_lookups_that_a_newer_snapshot_ends_have_verified_nothing(stage: Stage) -> None:
    old(stage, "A"), old(stage, "B")
    stage.passes(60)
    first = stage.state.projects.reconcile(Snapshot(), "authenticated")
    stage.play(flow_of(stage.begun[0]))
    (look_up,) = stage.begun
    stage.state.projects.new_lookups()
    del stage.state.projects.by_id[IDS["B"]]
    stage.play(flow_of(look_up))
    assert (letters(first.found.unverified), first.finished) == ("A", True)


def test_a_project_too_new_to_judge_is_checked_again_by_itself(stage: Stage) -> None:
    stage.project(IDS["A"])
    found = stage.play(
        sync_projects(),
        background((SYNC, bare(snapshot())), ("pause 5.25", None), (f"GET rest/v1/projects/{IDS['A']}", refused(403))),
    )
    assert letters(found.unverified) == ""
    assert [(it.reason, letters(it.unverified)) for it in stage.told("projects_synced")] == [
        ("manual", ""), ("recheck", "A"),
    ]  # fmt: skip


def test_a_project_that_is_still_alive_without_a_record_is_active(stage: Stage) -> None:
    """Its request was written to a connection that broke."""
    stage.project(IDS["A"])
    stage.passes(60).reconnects()
    stage.state.projects.reconciled()
    found = stage.play(
        sync_projects(), background((SYNC, bare(snapshot())), (ACTIVE, bare({"projects": [{"id": IDS["A"]}]})))
    )
    assert letters(found.active) == "A"


@pytest.mark.parametrize(("reply", "kind"), [(refused(403), PermissionDeniedError), (bare([]), ProtocolError)])
def test_without_a_snapshot_each_caller_gets_an_error_of_its_own(stage: Stage, reply: Any, kind: Any) -> None:
    error = stage.fail(kind, sync_projects(), background((SYNC, reply)))
    assert error is not error.__cause__
    assert stage.told("projects_synced") == []


def test_a_mistake_while_requesting_a_snapshot_reaches_the_caller(stage: Stage) -> None:
    def run(stage: Stage) -> None:
        (task,) = stage.begun
        with pytest.raises(ValueError, match="ours"):
            stage.play_inside(flow_of(task), (SYNC, ValueError("a mistake of ours")))

    stage.fail(ValueError, sync_projects(), (WAIT, run))


def test_a_part_that_fails_does_not_keep_callers_waiting(stage: Stage) -> None:
    def run(stage: Stage) -> None:
        (task,) = stage.begun
        stage.play_inside(flow_of(task), (SYNC, bare(snapshot("", "D"))))
        (task,) = stage.begun
        stage.state.projects.track = None  # type: ignore[assignment, method-assign]
        with pytest.raises(TypeError):
            stage.play_inside(flow_of(task))

    assert letters(stage.play(sync_projects(), (WAIT, run)).recovered_completed) == ""


def test_a_client_without_a_socket_polls_what_it_recovers() -> None:
    stage = Stage(disable_socket=True)
    found = stage.play(
        sync_projects(), (WAIT, lambda stage: stage.play_inside(flow_of(stage.begun[0]), (SYNC, bare(snapshot("A")))))
    )
    assert stage.begun == [outbox.Poll(IDS["A"])]
    assert [project.polled for project in found.recovered_active] == [True]


def test_a_client_without_a_socket_needs_an_app_id() -> None:
    stage = Stage(disable_socket=True)
    stage.state.app_id = ""
    assert stage.fail(ValidationError, sync_projects()).field == "app_id"


def test_a_recovered_project_is_complete_before_it_is_announced(stage: Stage) -> None:
    def run(stage: Stage) -> None:
        (task,) = stage.begun
        answer = snapshot("", "D")
        answer["unclaimedCompletedProjects"][0]["completedWorkerJobs"][0]["resultUrl"] = None
        stage.play_inside(flow_of(task), (SYNC, bare(answer)))
        (task,) = stage.begun
        sign = f"GET rest/v1/image/downloadUrl?jobId={IDS['D']}&imageId={JOB}&type=complete"
        stage.play_inside(flow_of(task), (sign, ok({"downloadUrl": "https://store/1?sig=1"})))

    found = stage.play(sync_projects(), (WAIT, run))
    assert [project.result_urls for project in found.recovered_completed] == [["https://store/1?sig=1"]]


def test_a_project_that_ends_while_another_is_looked_up_is_in_no_list(stage: Stage) -> None:
    first, second = old(stage, "E"), old(stage, "F")
    stage.passes(60)
    sync = stage.state.projects.reconcile(Snapshot(), "authenticated")
    stage.play(flow_of(stage.begun[0]))
    unknown = [(f"GET rest/v1/projects/{IDS[letter]}", refused(404)) for letter in "EF"]
    script = [step for _ in range(3) for step in (*unknown, ("pause 2.5 ±20%", None))]

    def meanwhile(stage: Stage) -> Any:
        second.cancel(stage.now)
        return bare({"projects": [{"id": IDS["E"]}]})

    stage.play(flow_of(stage.begun[0]), *script, *unknown, (ACTIVE, meanwhile))
    assert (letters(sync.found.active), sync.found.lost, first.ended, second.status) == ("E", [], False, "canceled")


def test_a_comparison_is_written_as_json() -> None:
    found = ProjectsSync[Any](reason="manual", recovered_active=[RecentProject(id="A")])
    lists = {"active": [], "completed": [], "lost": [], "unverified": [], "recoveredCompleted": []}
    assert to_dict(found) == {"reason": "manual", **lists, "recoveredActive": [{"id": "A", "jobs": []}]}
