"""Scripts that run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.forkserver import ROOT, Process


@pytest.fixture
def run(start_process: Callable[..., Process], tmp_path: Path) -> Callable[[str], Process]:
    """Start a script in a directory of its own, in a process that has imported the packages."""
    return lambda script: start_process(dedent(script), cwd=tmp_path, env=own_state(tmp_path))


def own_state(directory: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(directory / "state")}


def start_python(directory: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start an interpreter."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **own_state(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
