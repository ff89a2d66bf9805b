"""Runs an example in an empty directory, in this process or as a program of its own."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sogni.emulator import LocalSupernet

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

Run = Callable[..., list[str]]


@pytest.fixture
def fast_emulator(tmp_path: Path) -> Iterator[None]:
    """Emulators that examples start in this process render without delay, and their files go to an empty directory."""
    defaults = LocalSupernet.__init__.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults, "step_time", 0)
        patch.chdir(tmp_path)
        yield


@pytest.fixture
def run(fast_emulator: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """What an example prints, line by line; it prints no errors. A process of its own would take a second more."""

    def run_example(name: str, *arguments: str, **environment: str) -> list[str]:
        path = str(EXAMPLES / name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [path, *arguments])
            for variable, value in environment.items():
                patch.setenv(variable, value)
            runpy.run_path(path, run_name="__main__")
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out.splitlines()

    return run_example


@pytest.fixture
def run_program(tmp_path: Path) -> Run:
    """What an example prints in a process of its own, line by line; it must end well."""

    def run_example(name: str, *arguments: str, **environment: str) -> list[str]:
        ended = subprocess.run(
            [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout.splitlines()

    return run_example
