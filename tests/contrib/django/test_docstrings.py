"""The public names describe their parameters and results, and their examples run."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from tests.contrib.django.conftest import Outcomes
from tests.docs.test_documented import missing

MODEL_MEMBERS = ("cancel", "finished", "resume", "resume_if_orphaned", "to_dict")


def public(app: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in app.__all__:
        if inspect.isroutine(value := getattr(app, name)):
            yield name, value
    yield from ((name, getattr(app.SogniProject, name)) for name in MODEL_MEMBERS)
    manager = type(app.SogniProject.objects)
    yield from ((name, value) for name, value in vars(manager).items() if inspect.isfunction(value) and name[0] != "_")


def test_every_public_call_is_described(app: ModuleType) -> None:
    found = {name: missing(value) for name, value in public(app)}
    assert {"start", "astart", "sync", "get_client", "progress_stream", "cancel"} <= set(found)
    assert {name: lacks for name, lacks in found.items() if lacks} == {}


def test_the_examples_run(app: ModuleType, outcomes: Outcomes) -> None:
    from asgiref.sync import async_to_sync
    from django.http import JsonResponse
    from django.urls import path

    started = 0
    for name, value in public(app):
        example = inspect.getdoc(value).replace("await SogniProject.objects.astart(", "astart(")
        project = app.SogniProject.objects.filter(status="completed").first()
        names = {it: getattr(app, it) for it in app.__all__} | {
            "JsonResponse": JsonResponse,
            "astart": async_to_sync(app.SogniProject.objects.astart),
            "login_required": lambda view: view,
            "path": path,
            "project": project,
        }
        if name == "to_dict" and project is None:
            app.SogniProject.objects.start(type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse")
            names["project"] = outcomes()[1]
        elif name in MODEL_MEMBERS and project is None:
            names["project"] = app.SogniProject(status="completed")
        test = doctest.DocTestParser().get_doctest(example, names, name, None, 0)
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0
        if name in ("start", "astart"):
            started += 1
            assert outcomes()[0] == "completed"
    assert started == 2
