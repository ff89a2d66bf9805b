"""The reference describes every public name, member and parameter."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.docs.public_members import public_members

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tools")]

pytest.importorskip("click", reason="click is not installed")
pytest.importorskip("sogni.emulator", reason="the emulator's libraries are not installed", exc_type=ImportError)

import expand  # noqa: E402
import tables  # noqa: E402

PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md")}
LISTED = [expand.path_of(name) for text in PAGES.values() for name in expand.names_in(text)]
NOT_LISTED = {
    # fixtures, and what makes faults for a marker
    *(f"sogni.testing.{name}" for name in ("sogni_async_client", "sogni_cassette", "sogni_client", "sogni_supernet")),
    "sogni.testing.fault",
    "sogni.__version__",
}
WHOLE = (ROOT / "llms-full.txt").read_text(encoding="utf-8")


def public_names() -> Iterator[str]:
    """Every public name of the distribution; those of `sogni_async` are the same."""
    for module in ("sogni", "sogni.batch", "sogni.emulator", "sogni.telemetry", "sogni.testing"):
        yield from (f"{module}.{name}" for name in importlib.import_module(module).__all__)


def test_every_public_name_is_on_one_page() -> None:
    assert {name: times for name, times in Counter(LISTED).items() if times > 1} == {}
    assert sorted(set(public_names()) - set(LISTED) - NOT_LISTED) == []
    django = re.search(r"__all__ = \[(.*?)\]", (ROOT / "sogni/contrib/django/__init__.py").read_text(), re.DOTALL)
    assert django is not None
    assert [it for it in re.findall(r'"(\w+)"', django[1]) if f"sogni.contrib.django.{it}" not in LISTED] == []


def test_every_class_of_the_front_ends_is_on_a_page() -> None:
    missing = []
    for module, name, value in public_members():
        blocking = name.replace("sogni_async", "sogni", 1)
        if inspect.isclass(value) and not set(places(blocking)) & set(LISTED):
            missing.append(f"{module}: {name}")
    assert missing == []


def places(name: str) -> tuple[str, str]:
    """Where a name may be listed: as it is, or as exported by `sogni`."""
    return name, f"sogni.{name.rpartition('.')[2]}"


def test_every_member_and_parameter_is_described() -> None:
    """In the text for language models, which has the same sources as the pages."""
    missing = []
    for name in LISTED:
        kind = None if ".django." in name else expand.resolve(name)
        if not inspect.isclass(kind):
            continue
        text = section_of(name)
        # The fields of parameter classes are on a page of their own, those of events are inherited.
        if not issubclass(kind, BaseException | tuple) and not name.endswith("ProjectParams"):
            fields = [it for it in expand.types_of_attributes(kind) if it != "extra"]
            missing += [f"{name}({it})" for it in fields if not re.search(rf"^- `{it}\b", text, re.MULTILINE)]
        for member, value in expand.members_of(kind):
            missing += [f"{name}.{member}{it}" for it in not_described(text, member, value)]
    assert missing == []


def section_of(name: str) -> str:
    """What `llms-full.txt` says about a class."""
    shown = name.removeprefix("sogni.") if name.count(".") == 1 else name
    found = re.search(rf"^### `{re.escape(shown)}[`(].*?(?=^##|\Z)", WHOLE, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def not_described(text: str, member: str, value: Any) -> Iterator[str]:
    """What a section lacks of a member: all of it, or parameters."""
    if isinstance(value, property):
        if not re.search(rf"^- `{member}\b", text, re.MULTILINE):
            yield ""
        return
    found = re.search(rf"^- `{member}\(.*?(?=^- |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        yield ""
        return
    function = inspect.unwrap(value.__func__ if isinstance(value, classmethod | staticmethod) else value)
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    yield from (f"({it})" for it in names if it not in ("self", "cls") and f"  - `{it}`: " not in found[0])


@pytest.mark.parametrize("kind", ["ImageProjectParams", "VideoProjectParams", "AudioProjectParams"])
def test_every_parameter_of_projects_has_a_heading(kind: str) -> None:
    fields = attrs.fields(expand.resolve(f"sogni.{kind}"))
    headings = set(re.findall(r"^### `(\w+)`$", PAGES["parameters"], re.MULTILINE))
    assert {it.name for it in fields if "parameter" in it.metadata} - headings == set()
    assert {"max_cost", "idempotency_key"} <= headings


def test_every_event_is_in_a_table() -> None:
    from sogni.core.outbox import CLIENT_EVENTS, CONNECTION_EVENTS

    listed = {emitter: set(when) for emitter, (_, _, when) in tables.EMITTERS.items()}
    emitted = {
        "Project": expand.resolve("sogni.Project")._events,
        "Job": expand.resolve("sogni.Job")._events,
        "client": CLIENT_EVENTS,
        "client.projects": expand.resolve("sogni.Projects")._events,
        "client.chat": expand.resolve("sogni.Chat")._events,
        "client.current_account": expand.resolve("sogni.CurrentAccount")._events,
        "client.api_client": {*CONNECTION_EVENTS, "FrameType"},
        "client.api_client.auth": expand.resolve("sogni.api.api_client.AuthState")._events,
    }
    assert listed == {emitter: set(names) for emitter, names in emitted.items()}


def test_every_command_and_option_is_listed() -> None:
    text = tables.command_line()
    missing = []
    for name, command in tables.commands():
        section = re.search(rf"^### {name}\n.*?(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section is not None, name
        for it in command.params:
            option = max(it.opts, key=len)
            if (
                option.startswith("-")
                and not it.hidden
                and f"{option}`" not in section[0]
                and f"{option} " not in section[0]
            ):
                missing.append(f"{name} {option}")
    assert missing == []


def test_every_option_of_chats_is_described() -> None:
    from sogni.models.chat import CompletionFields, HostedFields

    names = {*CompletionFields.__annotations__, *HostedFields.__annotations__}
    assert [it for it in names if f"\n| `{it}` | `" not in WHOLE] == []


@pytest.mark.parametrize("name", sorted(tables.GENERATED))
def test_every_table_is_on_a_page(name: str) -> None:
    assert [page for page, text in PAGES.items() if f"```{{generated}} {name}\n" in text] != []


def test_the_pages_keep_what_they_are_given() -> None:
    page = "# A\n\n```{api}\nNetwork\n```\n\n```python\nx = 1\n```\n"
    text = expand.for_language_models(page)
    assert text == '# A\n\n- `Network`: one of `"fast"`, `"relaxed"`\n\n```python\nx = 1\n```\n'
    assert ".. py:data:: sogni.Network" in expand.for_sphinx(page)


VARIABLE = re.compile(r"_?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
NOT_FOR_USERS = {"REQUEST_METHOD", "_SOGNI_COMPLETE"}


def read_variables() -> set[str]:
    """The names of environment variables in the source of both packages."""
    found = {"TERM", "TMUX", "SOGNI_CONTROL_ENDPOINT", "SOGNI_CONTROL_TOKEN", "SOGNI_INSPECTOR_URL"}
    for path in (*(ROOT / "sogni").rglob("*.py"), *(ROOT / "sogni_async").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        # Only strings of modules that have to do with the environment; others name codes and constants.
        if "environ" in source or "envvar" in source or "SOGNI_" in source:
            names = {it.value for it in ast.walk(ast.parse(source)) if isinstance(it, ast.Constant)}
            strings = {it for it in names if isinstance(it, str) and VARIABLE.fullmatch(it)}
            found |= {it for it in strings if it.startswith("SOGNI_") or "environ" in source}
    return found - NOT_FOR_USERS


def test_every_environment_variable_is_described() -> None:
    others = {"ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "MAX_COST", "MEDIA_ROOT", "MEDIA_URL", "UPLOAD_TO"}
    assert {it for it in read_variables() - others if f"`{it}`" not in PAGES["environment"]} == set()


def test_doctor_knows_every_variable() -> None:
    from sogni.cli.doctor import VARIABLES

    printed = {"SOGNI_CONTROL_ENDPOINT", "SOGNI_CONTROL_TOKEN", "SOGNI_INSPECTOR_URL"}
    assert {it for it in read_variables() if it.startswith("SOGNI_")} - printed == set(VARIABLES)


def test_every_exit_code_is_described() -> None:
    from sogni.cli import exit_codes

    names = (
        "DONE",
        "FAILED",
        "USAGE",
        "AUTHENTICATION",
        "OVER_BUDGET",
        "BUSY",
        "TIMED_OUT",
        "INTERRUPTED",
        "TERMINATED",
    )
    described = re.findall(r"^\| (\d+) \|", PAGES["command-line"], re.MULTILINE)
    assert sorted(getattr(exit_codes, it) for it in names) == sorted(map(int, described))


def test_every_fault_is_on_the_page_about_faults() -> None:
    from sogni.emulator.faults import FAULTS

    page = (ROOT / "docs/how-to/inject-faults.md").read_text(encoding="utf-8")
    assert [name for name in FAULTS if f"faults.{name}(" not in page] == []
