"""Every example in a public docstring runs, in both packages.

Examples are `>>>` prompts, whose output is compared as doctest does (with ELLIPSIS and
NORMALIZE_WHITESPACE), or ```python fences, which only have to run. `await`, `async with` and `async for`
may stand at the top level. An example finds the public names of its module and its package, the account `ada`
with the password "correct horse battery", a plan if it imports LoRAs, and `supernet`, `client`, `project` (one
finished image) and `job` where it uses them without making them.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import re
import sys
import textwrap
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docs.public_members import MODULES, public_members

MODEL = "krea2_turbo_fp8_scaled"
GIVEN = ("supernet", "client", "project", "job")
PASSWORD = "correct horse battery"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples() -> list[tuple[str, str, str]]:
    """Module, place and docstring of everything that shows an example; equal docstrings once."""
    found: dict[str, tuple[str, str, str]] = {}
    modules = [(name, name, importlib.import_module(name)) for name in MODULES]
    for module, place, value in (*modules, *public_members()):
        text = inspect.getdoc(value) or ""
        if ">>> " in text or "```python" in text:
            found.setdefault(text, (module, place, text))
    return list(found.values())


EXAMPLES = examples()


@pytest.fixture(scope="module")
def supernet() -> Iterator[Any]:
    """An emulator whose workers take no time."""
    emulator = pytest.importorskip("sogni.emulator")
    with emulator.LocalSupernet(step_time=0) as running:
        yield running


@pytest.mark.parametrize(("module", "place", "text"), EXAMPLES, ids=[place for _, place, _ in EXAMPLES])
def test_examples_run(module, place, text, supernet, monkeypatch, tmp_path):
    monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
    monkeypatch.setenv("SOGNI_REST_ENDPOINT", supernet.rest_endpoint)
    monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", supernet.socket_endpoint)
    monkeypatch.chdir(tmp_path)
    if module == "sogni.telemetry":
        pytest.importorskip("opentelemetry", reason="opentelemetry is not installed")
    supernet.reset()
    if PASSWORD in text:
        supernet.add_account("ada", PASSWORD)
    if "personal_loras" in text:
        supernet.set_subscription(pytest.importorskip("sogni.emulator").Membership())
    namespace = names_for(module)
    with asyncio.Runner() as runner:
        runner.run(play(place, text, namespace, supernet))


def names_for(module: str) -> dict[str, Any]:
    """What an example of a module finds without importing it."""
    package = importlib.import_module(module.partition(".")[0])
    namespace = {"__name__": "__main__", package.__name__: package}
    for home in (package, importlib.import_module(module)):
        namespace |= {name: getattr(home, name) for name in getattr(home, "__all__", ())}
    return namespace


async def play(place: str, text: str, namespace: dict[str, Any], supernet: Any) -> None:
    """Run the examples of one docstring in order."""
    steps = list(steps_of(text))
    async with contextlib.AsyncExitStack() as stack:
        wanted = used_but_not_made("\n".join(step.source for step in steps))
        if wanted:
            namespace |= await given(stack, wanted, supernet, asynchronous="sogni_async" in namespace)
        for step in steps:
            seen = await run(step, place, namespace)
            if step.want is not None and not doctest.OutputChecker().check_output(step.want, seen, OPTIONS):
                pytest.fail(f"{place}\n  {step.source}expected:\n  {step.want}got:\n  {seen}", pytrace=False)


class Step:
    """One prompt (`want` is its output) or one fence (`want` is None)."""

    def __init__(self, source: str, want: str | None, error: str | None = None) -> None:
        self.source = source
        self.want = want if error is None else error
        self.may_raise = error is not None


def steps_of(text: str) -> Iterator[Step]:
    """The prompts of a docstring, then its fences."""
    for example in doctest.DocTestParser().get_examples(FENCE.sub("", text)):
        if not example.options.get(doctest.SKIP):
            yield Step(example.source, example.want, example.exc_msg)
    for source in FENCE.findall(text):
        yield Step(textwrap.dedent(source), None)


def used_but_not_made(source: str) -> set[str]:
    """The names an example expects to be there."""
    names = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names if node.id in GIVEN} - made


async def given(
    stack: contextlib.AsyncExitStack, wanted: set[str], supernet: Any, *, asynchronous: bool
) -> dict[str, Any]:
    """The emulator, a client of it, and a finished project with its job, if they are wanted."""
    if wanted == {"supernet"}:
        return {"supernet": supernet}
    if asynchronous:
        client = await stack.enter_async_context(supernet.async_client())
    else:
        client = stack.enter_context(supernet.client())
    if not wanted & {"project", "job"}:
        return {"supernet": supernet, "client": client}
    project = client.projects.create(type="image", model_id=MODEL, positive_prompt="a lighthouse")
    if asynchronous:
        project = await project
        await project.wait()
    else:
        project.wait()
    return {"supernet": supernet, "client": client, "project": project, "job": project.jobs[0]}


async def run(step: Step, place: str, namespace: dict[str, Any]) -> str:
    """Execute one step; what it prints, or how its error reads."""
    mode = "exec" if step.want is None else "single"
    code = compile(step.source, place, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), shown_by_repr():
        try:
            outcome = eval(code, namespace)
            if inspect.iscoroutine(outcome):
                await outcome
        except Exception as error:
            if not step.may_raise:
                raise
            # doctest's words for an error have no module.
            return "".join(traceback.format_exception_only(error)).rpartition(f"{type(error).__module__}.")[2]
    return printed.getvalue()


@contextlib.contextmanager
def shown_by_repr() -> Iterator[None]:
    """Show values at a prompt as Python does, whatever display hook is installed; `_` is left alone."""
    hook = sys.displayhook
    sys.displayhook = lambda value: None if value is None else print(repr(value))
    try:
        yield
    finally:
        sys.displayhook = hook


@pytest.mark.parametrize(
    "text",
    [
        "Add.\n\n>>> 1 + 1\n2\n>>> print('a', 'b')\na b\n",
        "Wait.\n\n>>> import asyncio\n>>> await asyncio.sleep(0, 'done')\n'done'\n",
        "Refuse.\n\n>>> int('x')\nTraceback (most recent call last):\nValueError: invalid literal ...\n",
        "Loop.\n\n```python\nimport asyncio\nasync with asyncio.timeout(1):\n    pass\n```\n",
    ],
)
async def test_examples_of_each_form_are_run(text):
    await play("here", text, {}, None)


async def test_another_output_than_shown_fails():
    with pytest.raises(pytest.fail.Exception, match="expected"):
        await play("here", ">>> 1 + 1\n3\n", {}, None)
