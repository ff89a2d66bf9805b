"""Looking up projects that the client does not track (projects-5x §9.5, §9.7; additions-5x §5, §6)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.http import HttpReply
from sogni.core.projects.lookups import missing_projects, projects_elsewhere
from sogni.errors import ProtocolError, SogniConnectionError, ValidationError
from sogni.models.converter import from_dict
from sogni.models.projects import MissingProject, ProjectRecord
from sogni.settings import RetryPolicy
from tests.core.play import PROJECT, Stage, bare, ok, refused

OTHER = PROJECT[:-1] + "2"
SYNC = "GET socket/api/v1/artist/projects/sync"
ACTIVE = "GET socket/api/v1/artist/projects/active"
PAUSE = ("pause 1 ±20%", None)


@pytest.fixture
def stage() -> Stage:
    return Stage(retry=RetryPolicy(attempts=1))


def record_of(project_id: str = PROJECT) -> str:
    return f"GET rest/v1/projects/{project_id}"


def live(status: str = "processing", project_id: str = PROJECT) -> tuple[str, Any]:
    return f"GET rest/v2/projects/{project_id}", ok({"project": {"id": project_id, "status": status}})


def active(*ids: str) -> tuple[str, Any]:
    return ACTIVE, bare({"projects": [{"id": it} for it in ids]})


def missing(stage: Stage, *script: tuple[str, Any]) -> MissingProject:
    """What is found out about one project, by one request for its record."""
    return stage.play(missing_projects([PROJECT], attempts=1), *script)[PROJECT]


# -- resolve_missing ---------------------------------------------------------------


def test_a_project_with_a_record_is_finished(stage: Stage) -> None:
    found = missing(stage, (record_of(), ok({"project": {"id": PROJECT, "status": "completed"}})))
    assert found == MissingProject(id=PROJECT, state="finished", project=ProjectRecord(id=PROJECT, status="completed"))


def test_only_projects_without_a_record_are_looked_up_again(stage: Stage) -> None:
    found = stage.play(
        missing_projects([PROJECT, OTHER, PROJECT], attempts=2, delay=1),
        (record_of(), refused(404)),
        (record_of(OTHER), refused(403)),
        PAUSE,
        (record_of(), ok({"project": {"id": PROJECT, "status": "completed"}})),
    )
    assert [(it, project.state) for it, project in found.items()] == [(PROJECT, "finished"), (OTHER, "unknown")]
    assert "no" in str(found[OTHER].error)


def test_a_listed_project_is_active_whatever_the_case_of_its_id(stage: Stage) -> None:
    script = [(record_of(PROJECT.lower()), refused(404)), active(PROJECT)]
    found = stage.play(missing_projects([PROJECT.lower()], attempts=1), *script)
    assert found == {PROJECT.lower(): MissingProject(id=PROJECT.lower(), state="active")}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", "active"),
        ("queued", "active"),
        ("processing", "active"),
        ("failed", "terminal"),
        ("canceled", "terminal"),
        ("completed", "unknown"),
    ],
)
def test_without_a_record_the_live_status_counts(stage: Stage, status: str, state: str) -> None:
    found = missing(stage, (record_of(), refused(404)), active(OTHER), live(status))
    assert (found.state, found.project) == (state, ProjectRecord(id=PROJECT, status=status))
    assert found.error == (
        "the project is completed, but the service has no record of it yet" if state == "unknown" else None
    )


LIVE = live()[0]


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ([active(), (LIVE, refused(404))], "lost"),
        ([active(), (LIVE, refused(403))], "unknown"),
        ([active(), (LIVE, SogniConnectionError("gone"))], "unknown"),
        ([(ACTIVE, refused(403))], "unknown"),
        ([(ACTIVE, bare([]))], "unknown"),
        ([(ACTIVE, bare({"projects": None}))], "unknown"),
    ],
)
def test_a_project_is_lost_only_if_every_source_was_readable(stage: Stage, end: list[Any], state: str) -> None:
    found = missing(stage, (record_of(), refused(404)), *end)
    assert (found.state, found.error is None) == (state, state == "lost")


@pytest.mark.parametrize(("acknowledged", "state"), [(False, "unknown"), (True, "lost")])
def test_an_own_request_that_may_be_on_its_way_is_not_lost(stage: Stage, acknowledged: bool, state: str) -> None:
    project = stage.connects().project()
    if acknowledged:
        project.touch(stage.now)
    assert missing(stage, (record_of(), refused(404)), active(), (LIVE, refused(404))).state == state


def test_nothing_is_asked_for_no_ids(stage: Stage) -> None:
    assert stage.play(missing_projects([])) == {}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"ids": PROJECT}, "ids"),
        ({"ids": None}, "ids"),
        ({"ids": [PROJECT, ""]}, "ids[1]"),
        ({"attempts": 0}, "attempts"),
        ({"attempts": 101}, "attempts"),
        ({"delay": -1}, "delay"),
        ({"delay": None}, "delay"),
        ({"delay": 3601}, "delay"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(stage: Stage, arguments: Any, field: str) -> None:
    assert stage.fail(ValidationError, missing_projects(**{"ids": [PROJECT], **arguments})).field == field


# -- list_elsewhere ----------------------------------------------------------------


def listed(*entries: dict[str, Any]) -> HttpReply:
    return bare({"activeProjects": list(entries), "unclaimedCompletedProjects": [{"id": "C3", "appId": "app-3"}]})


def test_projects_elsewhere_are_active_ones_of_other_app_ids(stage: Stage) -> None:
    entries = [
        {"id": PROJECT, "appId": "app-2", "status": "active"},
        {"id": "A1", "appId": "app-1"},
        {"id": "A2", "appId": "app-2", "jobType": "llm"},
        {"id": "A3"},
    ]
    found = stage.play(projects_elsewhere(), (SYNC, listed(*entries)))
    assert found == [from_dict(ProjectRecord, entries[0])]


def test_for_a_client_without_an_app_id_all_are_elsewhere() -> None:
    stage = Stage(disable_socket=True)
    stage.state.app_id = ""
    assert len(stage.play(projects_elsewhere(), (SYNC, listed({"id": PROJECT, "appId": "app-2"})))) == 1


def test_a_malformed_list_is_an_error(stage: Stage) -> None:
    stage.fail(ProtocolError, projects_elsewhere(), (SYNC, bare([1])))
