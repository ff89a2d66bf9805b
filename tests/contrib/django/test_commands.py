"""`manage.py sogni_check` and `manage.py sogni_sync`."""

from __future__ import annotations

import io
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.contrib.django.conftest import IMAGE, SLOW, Outcomes, settings_of


def run(command: str, *arguments: str, error: str | None = None) -> list[str]:
    """The lines that a command prints."""
    from django.core.management import CommandError, call_command

    out = io.StringIO()
    if error is None:
        call_command(command, *arguments, stdout=out, stderr=out)
    else:
        with pytest.raises(CommandError, match=error):
            call_command(command, *arguments, stdout=out, stderr=out)
    return out.getvalue().splitlines()


def interrupted(app: ModuleType, **fields: Any) -> Any:
    """A project whose process ends after it has started."""
    project = app.SogniProject.objects.start(**{**IMAGE, **fields})
    app.close_clients()
    return project


def test_sogni_check_reports_service_and_storage(app: ModuleType) -> None:
    lines = run("sogni_check")
    assert [line.partition(":")[0] for line in lines] == [
        "ok  credentials",
        "ok  balance",
        "ok  socket",
        "ok  storage",
    ]


def test_sogni_check_fails_if_something_does_not_work(app: ModuleType, supernet: LocalSupernet, tmp_path: Any) -> None:
    from django.conf import settings
    from django.test import override_settings

    blocked = tmp_path / "file"
    blocked.touch()
    # Not "default": Django 4.2 loses its options when tests override it.
    storages = {
        **settings.STORAGES,
        "blocked": {**settings.STORAGES["default"], "OPTIONS": {"location": str(blocked)}},
    }
    with override_settings(SOGNI=settings_of(supernet, API_KEY="wrong", STORAGE="blocked"), STORAGES=storages):
        lines = run("sogni_check", error="lines that begin with NO")
    assert lines[0].startswith("NO  credentials")
    assert lines[-1].startswith("NO  storage: 'blocked' cannot store files: ")


def test_sogni_sync_settles_what_has_ended_or_still_runs(app: ModuleType, outcomes: Outcomes) -> None:
    assert run("sogni_sync") == ["nothing to do"]
    first = interrupted(app, number_of_media=2)
    second = interrupted(app, **SLOW)
    app.get_client().projects.attach(first.project_id).wait(timeout=20)
    app.close_clients()
    lines = run("sogni_sync", "--wait")
    assert lines == [f"{first.pk} completed", f"{second.pk} completed", "2 completed"]
    assert {outcomes()[1] for _ in range(2)} == {first, second}
    assert first.results.count() == 2


def test_sogni_sync_marks_lost_projects_as_failed(app: ModuleType, outcomes: Outcomes) -> None:
    from django.utils import timezone

    ages = [timedelta(seconds=10), timedelta(seconds=700)]
    rows = [
        app.SogniProject.objects.create(
            project_id=f"00000000-0000-4000-8000-00000000000{number}",
            followed_at=timezone.now() - age,
            created_at=timezone.now() - age,
        )
        for number, age in enumerate(ages)
    ]
    reason = "The service does not know the project. It was interrupted before it was sent."
    lines = run("sogni_sync")
    assert lines == [f"{rows[1].pk} failed: {reason}", f"{rows[0].pk} pending", "1 failed, 1 unfinished"]
    assert outcomes()[:2] == ("failed", rows[1])
    assert [it.status for it in app.SogniProject.objects.sync(lost_after=0)] == ["failed"]
    assert outcomes()[1] == rows[0]


def test_sogni_sync_names_what_it_could_not_look_up(app: ModuleType, supernet: LocalSupernet) -> None:
    project = interrupted(app)
    supernet.faults.http("/v*", status=400, times=50)
    lines = run("sogni_sync", error="1 of 1 could not be looked up")
    assert lines[0].startswith(f"{project.pk}: ")


def test_the_migrations_are_complete(app: ModuleType) -> None:
    assert run("makemigrations", "--check", "--dry-run") == ["No changes detected"]
