"""Fixtures: one Supernet for the folder, and commands in this process or in one of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sogni.emulator import LocalSupernet
from tests.forkserver import COMMAND_LINE, Process


def requested(supernet: LocalSupernet) -> list[dict[str, Any]]:
    """The project requests that arrived."""
    return [it.data for it in supernet.requests if getattr(it, "type", None) == "jobRequest"]


def without_cost(stderr: str) -> str:
    """What a command wrote to standard error, without the line about what it has cost."""
    return re.sub(r"^sogni: cost \d+(\.\d+)? (Sogni|Spark)\r?\n", "", stderr, count=1, flags=re.MULTILINE)


def uploaded(supernet: LocalSupernet) -> list[str]:
    """The roles of the files that were uploaded, in no particular order within a project."""
    return [it.body["type"] for it in supernet.requests if getattr(it, "path", "").endswith("/bind")]


def saved_later(supernet: LocalSupernet) -> str:
    """How a message about the only project ends, if the project continues."""
    return f"; 'sogni project save {supernet.projects[0]['id']}' fetches its results once it has finished\n"


@pytest.fixture(scope="session")
def shared_supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as supernet:
        yield supernet


@pytest.fixture
def supernet(shared_supernet: LocalSupernet) -> LocalSupernet:
    """As if it had just been started."""
    shared_supernet.reset()
    return shared_supernet


@pytest.fixture
def reach(supernet: LocalSupernet) -> dict[str, str]:
    """The environment that leads a process to the Supernet."""
    return {
        "SOGNI_API_KEY": supernet.api_key,
        "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
        "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
    }


@pytest.fixture
def sogni(reach: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, in a directory of its own, against the Supernet."""
    from sogni.cli.program import sogni as program

    monkeypatch.chdir(tmp_path)
    # What the environment of the tests happens to say about the package is none of a command's business.
    for name in [name for name in os.environ if name.startswith("SOGNI_")]:
        monkeypatch.delenv(name)
    for name, value in reach.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, **options: object) -> Result:
        return CliRunner().invoke(program, arguments, prog_name="sogni", **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def start(reach: Mapping[str, str], tmp_path: Path, start_process: Callable[..., Process]) -> Callable[..., Process]:
    """Start a command in a process of its own, in a directory of its own, against the Supernet."""

    def run(*arguments: str, env_extra: Mapping[str, str] | None = None, **options: Any) -> Process:
        environment = {**reach, **(env_extra or {})}
        return start_process(
            COMMAND_LINE, *arguments, **{"cwd": tmp_path, "env": environment, "stdin": DEVNULL, **options}
        )

    return run
