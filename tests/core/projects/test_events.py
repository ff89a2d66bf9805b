"""Iterating over the events of a project, step by step."""

from __future__ import annotations

from typing import Any

from sogni.core.projects.waiting import next_event
from sogni.errors import AuthenticationError, ConnectionRejectedError, SogniTimeoutError
from tests.core.play import JOB, PROJECT, TIMEOUT, Stage

WAIT = f"until an event of project {PROJECT} (run, 9 s)"


def step(project: Any, feed: Any) -> Any:
    return next_event(project, feed, left=9)


def starts(stage: Stage) -> None:
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})


def test_events_come_in_order_and_end_with_none() -> None:
    stage = Stage().connects()
    project = stage.project()
    feed = project.subscribe()
    names = [stage.play(step(project, feed), (WAIT, starts)).name]
    project.cancel(stage.now)
    while (event := stage.play(step(project, feed))) is not None:
        names.append(event.name)
    assert names == ["job_started", "progress", "updated", "canceled"]
    assert stage.play(step(project, feed)) is None


def test_an_iteration_ends_with_its_time() -> None:
    stage = Stage().connects()
    project = stage.project()
    error = stage.fail(SogniTimeoutError, step(project, project.subscribe()), (WAIT, TIMEOUT))
    assert error.phase == "run"


def test_an_iteration_ends_with_the_connection_after_the_events_there_are() -> None:
    stage = Stage().connects()
    project = stage.project()
    feed = project.subscribe()
    starts(stage)
    stage.drops(4015)
    while feed._events:
        assert stage.play(step(project, feed)) is not None
    stage.fail(ConnectionRejectedError, step(project, feed))


def test_an_iteration_opens_the_connection_that_brings_the_news() -> None:
    stage = Stage()
    project = stage.project()
    assert stage.play(step(project, project.subscribe()), (WAIT, starts)).name == "job_started"
    assert stage.state.connection.phase == "connecting"


def test_an_iteration_without_a_connection_needs_credentials() -> None:
    stage = Stage()
    stage.state.session.sign_out()
    project = stage.project()
    stage.fail(AuthenticationError, step(project, project.subscribe()))


def test_a_polled_project_goes_on_without_a_connection() -> None:
    stage = Stage().connects().drops(4015)
    project = stage.project()
    project.polled = True
    assert stage.play(step(project, project.subscribe()), (WAIT, starts)).name == "job_started"


def test_an_iteration_over_a_polled_project_ends_with_the_session() -> None:
    stage = Stage()
    project = stage.project()
    project.polled = True
    ended = (WAIT, lambda stage: stage.state.session.sign_out(lost=True))
    stage.fail(AuthenticationError, step(project, project.subscribe()), ended)
