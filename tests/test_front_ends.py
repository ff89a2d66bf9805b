"""Rules that generating `sogni.api` cannot ensure: what is awaited, and what both transports offer."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import pydoc
import sys
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sogni.keywords import suggest_keywords
from sogni.models import chat, params
from sogni.models.project_fields import AudioProjectFields, ImageProjectFields, VideoProjectFields
from tests.tables import each_row

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import unasync  # noqa: E402

sogni_async = pytest.importorskip("sogni_async")

# Never awaited; the iterators are, where they are iterated.
PLAIN = {"local", "on", "once", "off", "to_dict", "events", "stream_events", "map", "as_completed", "record"}
# Named like an iterator, but a list that is requested from the service.
REQUESTED = {"Workflows.events", "WorldBuilds.events"}


def modules(package: str) -> Iterator[ModuleType]:
    yield importlib.import_module(f"{package}.client")
    for found in pkgutil.iter_modules(importlib.import_module(f"{package}.api").__path__, f"{package}.api."):
        yield importlib.import_module(found.name)


def public_callables(package: str) -> dict[str, Callable[..., Any]]:
    """The public functions and methods of a front end, and the constructors."""
    found: dict[str, Callable[..., Any]] = {}
    for module in modules(package):
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
                continue
            if inspect.isfunction(value):
                found[name] = value
            elif inspect.isclass(value):
                for member, function in inspect.getmembers(value, inspect.isfunction):
                    if member == "__init__" or not member.startswith("_"):
                        found[f"{name}.{member}"] = function
    return found


ASYNCIO = public_callables("sogni_async")


def test_both_front_ends_have_the_same_callables() -> None:
    assert sorted(ASYNCIO) == sorted(public_callables("sogni"))


@each_row("name", sorted(ASYNCIO))
def test_what_never_waits_is_plain_in_both(name: str) -> None:
    if name.rpartition(".")[2] in {*PLAIN, "__init__"} and name not in REQUESTED:
        assert not inspect.iscoroutinefunction(ASYNCIO[name])


@each_row("package", ["sogni", "sogni_async"])
def test_every_call_suggests_keywords(package: str) -> None:
    """Decorate a new class with `sogni.keywords.suggest_keywords`."""
    methods = {name: it for name, it in public_callables(package).items() if "." in name and name[:2] != "On"}
    assert [name for name, it in methods.items() if suggest_keywords(it) is not it] == []


def test_nothing_is_awaited_in_the_blocking_front_end() -> None:
    awaited = [name for name, it in public_callables("sogni").items() if inspect.iscoroutinefunction(it)]
    assert awaited == []


def test_transport_offers_what_the_front_end_imports_from_it() -> None:
    missing = []
    for source, _ in unasync.pairs():
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sogni_async.transport"):
                module = importlib.import_module((node.module or "").replace("sogni_async", "sogni"))
                names = [it.name for it in node.names if it.name != "AsyncBinaryIO"]
                missing += [f"{module.__name__}.{name}" for name in names if not hasattr(module, name)]
    assert missing == []


@pytest.mark.parametrize(
    ("asyncio_form", "blocking_form"),
    [
        ("(await project.wait(60)).status", "project.wait(60).status"),
        ("present(await run(create(x, (1, 2))))", "present(await run(create(x, (1, 2))))"),
        ("[(await first()).a, (await second(b())).c]", "[first().a, second(b()).c]"),
    ],
)
def test_parentheses_around_an_awaited_operand_disappear(asyncio_form: str, blocking_form: str) -> None:
    assert unasync.unwrap_awaited(asyncio_form) == blocking_form


def test_generated_modules_are_marked_as_generated() -> None:
    for source, target in unasync.pairs():
        stamp = unasync.STAMP.format(source=source.relative_to(ROOT).as_posix())
        assert target.read_text().startswith(stamp)


@each_row("package", ["sogni", "sogni_async"])
@each_row(
    ("call", "fields"),
    [
        (
            "projects.create",
            ImageProjectFields | VideoProjectFields | AudioProjectFields,
        ),
        (
            "projects.estimate",
            ImageProjectFields | VideoProjectFields | AudioProjectFields,
        ),
        ("chat.completions.create", chat.CompletionFields),
        ("chat.conversation", chat.CompletionFields),
        ("chat.hosted.create", chat.HostedFields),
    ],
)
def test_signatures_show_every_parameter(package: str, call: str, fields: Any) -> None:
    client = importlib.import_module(package).SogniClient(api_key="k")
    shown = inspect.signature(attrgetter(call)(client))
    expected = {name for kind in getattr(fields, "__args__", (fields,)) for name in kind.__annotations__}
    assert expected <= set(shown.parameters)
    assert not [it for it in shown.parameters.values() if it.kind is it.VAR_KEYWORD]


def test_signatures_show_defaults_and_what_is_required() -> None:
    shown = inspect.signature(sogni_async.Projects.create)
    lines = {name: str(it) for name, it in shown.parameters.items()}
    assert lines["model_id"] == "model_id: 'str' = <required>"
    assert lines["number_of_media"] == "number_of_media: 'int' = 1"
    assert lines["output_format"] == "output_format: 'ImageFormat | VideoFormat | AudioFormat | None' = None"
    shown.bind(None, params.ImageProjectParams(model_id="m"))


def test_help_shows_every_parameter() -> None:
    assert "negative_prompt: 'str | None' = None" in pydoc.render_doc(
        sogni_async.Projects.create, renderer=pydoc.plaintext
    )
