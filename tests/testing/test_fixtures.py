"""The pytest plugin in a project that has only the package installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.forkserver import ROOT, Process

BLOCKING = """
def test_an_image(sogni_client, sogni_supernet, tmp_path):
    assert not sogni_client.is_connected
    project = sogni_client.projects.create(
        type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
    )
    (path,) = project.wait(timeout=20).save(tmp_path)
    assert path.stat().st_size
    assert len(sogni_supernet.projects) == 1

def test_tests_share_no_state(sogni_supernet, sogni_client):
    assert sogni_supernet.projects == []
    assert sogni_supernet.requests == []
"""

ASYNCIO = """
import pytest

seen = []
HEAD

@MARK
async def test_an_image(sogni_async_client, tmp_path):
    seen.append(sogni_async_client)
    assert not sogni_async_client.is_connected
    project = await sogni_async_client.projects.create(
        type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
    )
    await project.wait(timeout=20)
    (path,) = await project.save(tmp_path)
    assert path.stat().st_size

class TestClass:
    @MARK
    async def test_in_a_class(self, sogni_async_client):
        seen.append(sogni_async_client)
        async with sogni_async_client as client:
            await client.connect(timeout=20)

def test_without_a_loop(sogni_async_client):
    seen.append(sogni_async_client)

def test_all_are_closed():
    assert [client.closed for client in seen] == [True, True, True]
"""


def asyncio_tests(mark: str | None, head: str = "") -> str:
    """The test file for a plugin that takes coroutine functions with this mark, or without any."""
    lines = ASYNCIO.replace("HEAD", head).splitlines()
    return "\n".join(line.replace("@MARK", f"@{mark}") for line in lines if mark or "@MARK" not in line)


@pytest.fixture
def run(start_process: Callable[..., Process], tmp_path: Path) -> Callable[..., str]:
    """Run a test file in a process of its own, in which warnings are errors, and return the output."""

    def run(text: str, *options: str) -> str:
        (tmp_path / "test_it.py").write_text(text)
        arguments = ["--rootdir", str(tmp_path), "-p", "sogni.testing", "-p", "no:cacheprovider", "-W", "error", "-q"]
        process = start_process(
            "import sys, pytest; sys.exit(pytest.main())",
            *arguments,
            *options,
            str(tmp_path),
            cwd=tmp_path,
            # Whether or not this package is installed here, the plugin is loaded once, and no other unless requested.
            env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )
        return "".join(process.communicate(timeout=60))

    return run


Run = Callable[..., str]


def test_blocking_fixtures(run: Run) -> None:
    assert "2 passed" in run(BLOCKING)


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_asyncio_fixture_with_pytest_asyncio(run: Run, mode: str) -> None:
    text = asyncio_tests("pytest.mark.asyncio") if mode == "strict" else asyncio_tests(None)
    options = ["-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function"]
    assert "4 passed" in run(text, "-p", "pytest_asyncio.plugin", *options)


@pytest.mark.skipif(not any(it.metadata["Name"] == "anyio" for it in distributions()), reason="anyio is not installed")
def test_the_asyncio_fixture_with_anyio(run: Run) -> None:
    backend = '@pytest.fixture\ndef anyio_backend():\n    return "asyncio"'
    assert "4 passed" in run(asyncio_tests("pytest.mark.anyio", backend), "-p", "anyio.pytest_plugin")


def test_loading_the_plugin_imports_only_its_modules() -> None:
    script = (
        "import sys, pytest, asyncio; before = set(sys.modules); import sogni.testing; "
        "print(*sorted(set(sys.modules) - before))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert process.stdout.split() == ["sogni", "sogni.exports", "sogni.testing"]
