"""A Django project without a web server: settings, a database in a file, which threads can share, and an emulator."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sogni.emulator import LocalSupernet

ROOT = Path(__file__).resolve().parents[3]
IMAGE = {
    "type": "image",
    "model_id": "flux1-schnell-fp8",
    "positive_prompt": "a lighthouse",
    "width": 256,
    "height": 256,
    "steps": 4,
}
SLOW = {**IMAGE, "number_of_media": 16}
"""A project of a second."""

Outcomes = Callable[[], tuple[str, Any]]


@pytest.fixture(scope="session")
def configured(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Django, set up once per process, with the tables."""
    pytest.importorskip("django")
    import django
    from django.conf import settings
    from django.core.management import call_command

    directory = tmp_path_factory.mktemp("django")
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": directory / "db.sqlite3",
                "OPTIONS": {"timeout": 20},
            }
        },
        DEBUG=True,
        INSTALLED_APPS=["sogni.contrib.django"],
        LOGGING_CONFIG=None,
        MEDIA_ROOT=str(directory / "media"),
        MEDIA_URL="/media/",
        ROOT_URLCONF="tests.contrib.django.urls",
        SECRET_KEY="not secret",
        SOGNI={"LOCAL": True},
        STORAGES={
            "default": files,
            "private": {**files, "OPTIONS": {"location": str(directory / "private"), "base_url": "/private/"}},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True)
def closed_connections(configured: None) -> Iterator[None]:
    """No connection is left open; the system check opens one, too."""
    from django.db import connections

    yield
    connections.close_all()


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    """An emulator that takes a sixth of a second for an image."""
    with LocalSupernet(step_time=0.04) as running:
        yield running


@pytest.fixture
def app(configured: None, supernet: LocalSupernet) -> Iterator[ModuleType]:
    """`sogni.contrib.django` with clients of the emulator and empty tables."""
    from django.test import override_settings

    import sogni.contrib.django as app

    with override_settings(SOGNI=settings_of(supernet)):
        yield app
        app.close_clients()
        app.SogniProject.objects.all().delete()
    supernet.faults.clear()


def settings_of(supernet: LocalSupernet, **others: Any) -> dict[str, Any]:
    """The setting `SOGNI` for an emulator."""
    return {
        "API_KEY": supernet.api_key,
        "REST_ENDPOINT": supernet.rest_endpoint,
        "SOCKET_ENDPOINT": supernet.socket_endpoint,
        **others,
    }


@pytest.fixture
def outcomes(app: ModuleType) -> Iterator[Outcomes]:
    """Waits for the next signal: its name and its project."""
    seen: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def completed(sender: Any, project: Any, **_: Any) -> None:
        seen.put(("completed", project))

    def failed(sender: Any, project: Any, **_: Any) -> None:
        seen.put(("failed", project))

    app.project_completed.connect(completed)
    app.project_failed.connect(failed)
    yield lambda: seen.get(timeout=20)
    app.project_completed.disconnect(completed)
    app.project_failed.disconnect(failed)
    app.close_clients()
    assert seen.empty()
