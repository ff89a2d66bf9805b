"""Every Python example of the README and the documentation runs.

The fences of one file are executed in order in one namespace, as a reader would paste them, against an
emulator, in an empty directory, without an account. Clients and emulators that a page leaves open are closed. A
fence below a line `<!-- skip -->` is left out, and a page with a line `<!-- needs NAME -->` where that library is
missing.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni import SogniClient

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<skip><!-- skip -->\s*\n)?^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```\s*$",
    re.MULTILINE | re.DOTALL,
)


def fences(text: str) -> Iterator[tuple[int, str]]:
    """The Python fences that run, each with the number of its first line of code."""
    for found in FENCE.finditer(text):
        if not found["skip"]:
            yield text.count("\n", 0, found.start("code")) + 1, found["code"]


WITH_EXAMPLES = [path for path in FILES if path.is_file() and any(fences(path.read_text(encoding="utf-8")))]


@pytest.fixture(scope="module")
def supernet() -> Iterator[Any]:
    """An emulator whose workers take no time."""
    emulator = pytest.importorskip("sogni.emulator")
    with emulator.LocalSupernet(step_time=0) as running:
        yield running


@pytest.fixture
def unchanged_logging() -> Iterator[None]:
    """Undo what an example does to the root logger and to that of the package."""
    loggers = [logging.getLogger(), logging.getLogger("sogni")]
    before = [(it.level, list(it.handlers)) for it in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)
            handler.close()


@pytest.mark.usefixtures("unchanged_logging")
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=[str(path.relative_to(ROOT)) for path in WITH_EXAMPLES])
def test_examples_run(path, supernet, monkeypatch, tmp_path):
    monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
    monkeypatch.setenv("SOGNI_REST_ENDPOINT", supernet.rest_endpoint)
    monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", supernet.socket_endpoint)
    # Also those that an example starts with `SogniClient.local()`.
    monkeypatch.setattr("sogni.emulator.clock.STEP_TIME", 0.0)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    text = path.read_text(encoding="utf-8")
    for library in re.findall(r"^<!-- needs (\w+) -->$", text, re.MULTILINE):
        pytest.importorskip(library, reason=f"{library} is not installed")
    try:
        for line, code in fences(text):
            tree = ast.parse(code, str(path))
            # So that a traceback shows the line of the document.
            ast.increment_lineno(tree, line - 1)
            exec(compile(tree, str(path), "exec", dont_inherit=True), namespace)
    finally:
        # Clients first, because they close their connections to the emulator.
        for kind in (SogniClient, type(supernet)):
            for value in list(namespace.values()):
                if isinstance(value, kind):
                    value.close()


def test_fences_are_found_with_their_lines_and_may_be_skipped():
    text = "a\n\n```python\nx = 1\n```\n<!-- skip -->\n```python\nz = 3\n```\n```sh\nls\n```\n"
    assert list(fences(text + "```python\ny = 2\n```\n")) == [(4, "x = 1\n"), (14, "y = 2\n")]
