"""The example for JavaScript: a Node test suite that drives the published client through the control API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.published import CLIENTS, cache_directory, install
from tests.examples.conftest import EXAMPLES

pytestmark = pytest.mark.integration
CACHE = cache_directory()


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The example with the client that it depends on."""
    folder = tmp_path / "testing_js"
    shutil.copytree(EXAMPLES / "testing_js", folder, ignore=shutil.ignore_patterns("node_modules"))
    (package, required) = next(iter(json.loads((folder / "package.json").read_text())["dependencies"].items()))
    client = next(it for it in CLIENTS if (it.package, f"^{it.version}") == (package, required))
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    try:
        _, home = install(client, CACHE)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{client} could not be installed: {error}")
    (folder / "node_modules").symlink_to(home / "node_modules")
    return folder


def test_the_node_suite_passes(suite: Path) -> None:
    command = json.loads((suite / "package.json").read_text())["scripts"]["test"].split()
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "--test-reporter=tap"],
        cwd=suite,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("# pass 7" in done.stdout, "# skipped 0" in done.stdout) == (True, True)
