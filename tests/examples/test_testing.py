"""The examples of tests pass, as a run of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, ROOT

pytestmark = pytest.mark.integration


def test_the_examples_of_tests_pass(tmp_path: Path) -> None:
    # Whether or not this package is installed here, the plugin is loaded once, and no other.
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "TMPDIR": str(tmp_path),
    }
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "sogni.testing", "-p", "no:cacheprovider", "."],
        cwd=EXAMPLES / "testing",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert " passed" in ended.stdout
