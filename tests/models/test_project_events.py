"""Events of projects: their classes, and what their representation shows."""

from __future__ import annotations

from sogni.models.projects import JobStartedEvent, ProgressEvent, project_event


def test_the_name_of_an_event_determines_its_class() -> None:
    assert [type(project_event(name, 1)) for name in ("progress", "job_started")] == [ProgressEvent, JobStartedEvent]


def test_the_representation_of_an_event_shows_no_signature() -> None:
    shown = repr(project_event("completed", ["https://store/result?sig=secret"]))
    assert shown.startswith("Event(name='completed', value=['https://store/result")
    assert "secret" not in shown
