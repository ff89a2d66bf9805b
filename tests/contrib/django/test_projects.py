"""The model: a project is stored, kept up to date and settled once, and its results are in a storage."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.errors import ApiError, CostLimitError, SogniConnectionError, ValidationError
from tests.contrib.django.conftest import IMAGE, SLOW, Outcomes, settings_of


def test_a_project_is_stored_with_its_results(app: ModuleType, outcomes: Outcomes) -> None:
    started = app.SogniProject.objects.start(**IMAGE, number_of_media=2, seed=7)
    assert (started.status, started.prompt, started.finished) == ("pending", "a lighthouse", False)
    name, project = outcomes()
    assert (name, project, project.status, project.progress) == ("completed", started, "completed", 100)
    assert project.cost == app.get_client().projects.get(project.project_id).cost > 0
    assert project.token_type in ("spark", "sogni")
    assert project.finished_at > project.created_at
    first, second = project.results.all()
    assert [(it.index, it.kind) for it in (first, second)] == [(0, "image"), (1, "image")]
    assert first.seed == 7
    with first.file.open() as file:
        assert file.read(4) == b"\x89PNG"
    assert first.file.name == f"sogni/{project.pk}/0.png"
    shown = project.to_dict()
    assert shown["results"][1]["url"] == f"/media/sogni/{project.pk}/1.png"
    assert Decimal(shown["cost"]) == project.cost
    assert str(project) == f"image {project.pk}: completed"


def test_results_go_to_the_chosen_storage(app: ModuleType, outcomes: Outcomes, supernet: LocalSupernet) -> None:
    from django.test import override_settings

    with override_settings(SOGNI=settings_of(supernet, STORAGE="private", UPLOAD_TO="")):
        app.SogniProject.objects.start(**IMAGE)
        _, project = outcomes()
        (result,) = project.results.all()
        assert result.file.url == f"/private/{project.pk}/0.png"
        assert result.file.size > 0


def test_a_failed_project_is_stored_with_its_reason(
    app: ModuleType, outcomes: Outcomes, supernet: LocalSupernet
) -> None:
    supernet.faults.fail_job(0, error=5002, message="the worker left")
    app.SogniProject.objects.start(**IMAGE)
    name, project = outcomes()
    assert (name, project.status, project.error) == ("failed", "failed", "the worker left")
    assert (project.error_code, project.failed_jobs, project.results.count()) == ("5002", 1, 0)


def test_a_canceled_project_is_failed_for_the_signals(app: ModuleType, outcomes: Outcomes) -> None:
    app.SogniProject.objects.start(**SLOW).cancel()
    name, project = outcomes()
    assert (name, project.status) == ("failed", "canceled")
    project.cancel()


def test_progress_is_written_while_the_project_runs(app: ModuleType, outcomes: Outcomes) -> None:
    started = app.SogniProject.objects.start(**SLOW)
    seen: set[tuple[str, int]] = set()
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(0.05):
            row = app.SogniProject.objects.get(pk=started.pk)
            seen.add((row.status, row.progress))
        from django.db import connections

        connections.close_all()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        outcomes()
    finally:
        finished.set()
        watcher.join()
    assert {it for it in seen if it[0] == "processing" and 0 < it[1] < 100}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"number_of_media": 0}, ValidationError),
        ({"number_of_medias": 1}, TypeError),
        ({"max_cost": "0.000001"}, CostLimitError),
    ],
    ids=["value", "keyword", "cost"],
)
def test_a_refused_project_is_not_stored(fields: dict[str, Any], error: type[Exception], app: ModuleType) -> None:
    with pytest.raises(error):
        app.SogniProject.objects.start(**IMAGE, **fields)
    assert app.SogniProject.objects.count() == 0


def test_the_cost_limit_of_the_settings_applies(app: ModuleType, supernet: LocalSupernet) -> None:
    from django.test import override_settings

    with override_settings(SOGNI=settings_of(supernet, MAX_COST="0.000001")), pytest.raises(CostLimitError):
        app.SogniProject.objects.start(**IMAGE)


def test_a_project_whose_file_is_refused_is_not_stored(app: ModuleType, supernet: LocalSupernet, tmp_path: Any) -> None:
    from django.test import override_settings
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "start.png")
    supernet.faults.http("/v1/image/uploadUrl", status=403, times=10)
    with override_settings(SOGNI=settings_of(supernet, SAVED_UPLOADS=False)), pytest.raises(ApiError):
        app.SogniProject.objects.start(**IMAGE, starting_image=tmp_path / "start.png")
    assert app.SogniProject.objects.count() == 0


def test_a_key_has_one_project(app: ModuleType, outcomes: Outcomes, supernet: LocalSupernet) -> None:
    before = len(supernet.projects)

    def start(_: int) -> Any:
        from django.db import connections

        try:
            return app.SogniProject.objects.start(**IMAGE, idempotency_key="form-1").pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(start, range(4)))) == 1
    outcomes()
    assert len(supernet.projects) == before + 1


def test_a_project_is_followed_once_its_transaction_is_committed(app: ModuleType, outcomes: Outcomes) -> None:
    from django.db import transaction

    from sogni.contrib.django.follower import follower

    with transaction.atomic():
        project = app.SogniProject.objects.start(**IMAGE)
        assert not follower.follows(project.pk)
    assert follower.follows(project.pk)
    assert outcomes()[1] == project


def test_two_processes_settle_a_project_once(app: ModuleType, outcomes: Outcomes) -> None:
    from django.db import connections

    from sogni.contrib.django.follower import follower, settle

    row = app.SogniProject.objects.start(**IMAGE, number_of_media=2)
    project = app.get_client().projects.attach(row.project_id)
    follower.stop()
    project.wait(timeout=20)

    def settle_here(_: int) -> None:
        try:
            settle(row.pk, project, "default")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(settle_here, range(4)))
    _, settled = outcomes()
    assert settled.results.count() == 2
    kept = sorted(it.file.name.rpartition("/")[2] for it in settled.results.all())
    assert sorted(settled.results.first().file.storage.listdir(f"sogni/{row.pk}")[1]) == kept


def test_storing_is_repeated_after_an_error(
    app: ModuleType, outcomes: Outcomes, supernet: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    from sogni.contrib.django.follower import Followed, follower

    row = app.SogniProject.objects.start(**IMAGE)
    project = app.get_client().projects.attach(row.project_id)
    follower.stop()
    project.wait(timeout=20)
    followed = Followed(project, "default")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(project.jobs[0]), "save", _refuse)
        follower._settle(row.pk, followed)
    assert (followed.attempts, followed.settled) == (1, False)
    assert ["results could not be stored" in it for it in caplog.messages][-1:] == [True]
    assert "X-Amz-Signature=abc" not in caplog.text
    follower._settle(row.pk, followed)
    assert followed.settled
    assert outcomes()[1] == row


def _refuse(*_: Any, **__: Any) -> None:
    raise SogniConnectionError("GET http://host/file?X-Amz-Signature=abc failed")


def test_a_project_can_be_started_in_async_code(app: ModuleType, outcomes: Outcomes) -> None:
    from asgiref.sync import async_to_sync

    assert async_to_sync(app.SogniProject.objects.astart)(**IMAGE) == outcomes()[1]
