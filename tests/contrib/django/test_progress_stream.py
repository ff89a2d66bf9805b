"""The view `progress_stream`: server-sent events, under WSGI and ASGI, until the project is finished."""

from __future__ import annotations

import json
import uuid
from types import ModuleType
from typing import Any

import pytest

from tests.contrib.django.conftest import IMAGE, SLOW, Outcomes

pytestmark = pytest.mark.integration


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream: names and data."""
    found = [block.split("\n") for block in text.split("\n\n") if block.startswith("event: ")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in found]


def test_the_stream_ends_with_the_results(app: ModuleType, outcomes: Outcomes) -> None:
    from django.test import Client

    project = app.SogniProject.objects.start(**SLOW)
    response = Client().get(f"/progress/{project.pk}/")
    assert (response.status_code, response["Content-Type"]) == (200, "text/event-stream")
    text = b"".join(response.streaming_content).decode()
    assert text.startswith("retry: 1000\n\n")
    *before, (last, state) = events(text)
    assert {name for name, _ in before} == {"progress"}
    assert [it["progress"] for _, it in before] == sorted(it["progress"] for _, it in before)
    assert (last, state) == ("finished", outcomes()[1].to_dict())
    assert len(state["results"]) == 16


def test_the_stream_works_under_asgi(app: ModuleType, outcomes: Outcomes) -> None:
    from asgiref.sync import async_to_sync
    from django.test import AsyncClient

    project = app.SogniProject.objects.start(**IMAGE)

    async def read() -> str:
        response = await AsyncClient().get(f"/progress/{project.pk}/")
        return b"".join([part async for part in response.streaming_content]).decode()

    name, state = events(async_to_sync(read)())[-1]
    assert (name, state) == ("finished", outcomes()[1].to_dict())


def test_the_stream_continues_what_another_process_left(app: ModuleType, outcomes: Outcomes) -> None:
    from django.test import Client

    project = app.SogniProject.objects.start(**IMAGE)
    app.close_clients()
    text = b"".join(Client().get(f"/progress/{project.pk}/").streaming_content).decode()
    assert events(text)[-1][0] == "finished"
    assert outcomes()[1] == project


def test_a_stream_ends_after_a_while_and_with_its_project(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.test import Client

    from sogni.contrib.django import views

    monkeypatch.setattr(views, "INTERVAL", 0.0)
    monkeypatch.setattr(views, "KEEP_ALIVE", 0.0)
    row = app.SogniProject.objects.create(project_id="A")
    parts = iter(Client().get(f"/progress/{row.pk}/").streaming_content)
    assert [next(parts).decode().partition(":")[0] for _ in range(3)] == ["retry", "event", ""]
    monkeypatch.setattr(views, "LONGEST", 0.0)
    assert list(parts) == [b": waiting\n\n"]
    response = Client().get(f"/progress/{row.pk}/")
    row.delete()
    assert list(response.streaming_content)[1:] == [b"event: deleted\ndata: {}\n\n"]
    assert Client().get(f"/progress/{uuid.uuid4()}/").status_code == 404
