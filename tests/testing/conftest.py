"""Runs of pytest within a test, with the plugin and no other."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from textwrap import dedent

import pytest

import sogni

RunFile = Callable[..., pytest.RunResult]

HEAD = """
import pytest
import requests
from sogni.testing import fault

def create(client, prompt="a lighthouse", **others):
    project = client.projects.create(
        type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt=prompt, width=256, height=256, **others
    )
    project.wait(timeout=60)
    return project
"""


@pytest.fixture(scope="package")
def _everything_is_imported() -> None:
    """What an inner run imports is unloaded afterwards, and what was imported before would not match it."""
    for module in pkgutil.walk_packages(sogni.__path__, "sogni."):
        if not module.name.startswith(("sogni.contrib.", "sogni.cli")):
            importlib.import_module(module.name)
    importlib.import_module("sogni_async.client")


@pytest.fixture
def run_file(_everything_is_imported: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> RunFile:
    """Run a test file in this process."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text: str, *options: str, ini: str = "") -> pytest.RunResult:
        pytester.makepyfile(HEAD + dedent(text))
        pytester.makeini(f"[pytest]\naddopts = -p sogni.testing --strict-markers -W error\n{ini}")
        return pytester.runpytest_inprocess(*options)

    return run
