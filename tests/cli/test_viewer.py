"""`--open`, with an opener that writes down what it is given."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sogni.cli import viewer
from sogni.emulator import LocalSupernet
from tests.cli.conftest import without_cost

Run = Callable[..., Result]


@pytest.fixture
def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The opener of the system."""
    path = tmp_path / "bin" / ("open" if sys.platform == "darwin" else "xdg-open")
    path.parent.mkdir()
    path.write_text('#!/bin/sh\necho "$1 $SOGNI_API_KEY" >> opened.txt\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_saved_files_are_opened(sogni: Run, opener: Path, supernet: LocalSupernet, tmp_path: Path) -> None:
    assert sogni("image", "a fox", "-n", "2", "--name", "{index}", "--open").exit_code == 0
    project_id = supernet.projects[0]["id"]
    assert sogni("project", "save", project_id, "--name", "again-{index}", "--open").exit_code == 0
    opened = (tmp_path / "opened.txt").read_text().splitlines()
    assert [Path(line.rstrip()).name for line in opened] == ["0.png", "1.png", "again-0.png", "again-1.png"]
    # Absolute, and without the key.
    assert all(Path(line.rstrip()).exists() for line in opened)


def test_a_batch_opens_its_report_or_else_its_directory(sogni: Run, opener: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a fox\n")
    for report in (["--report", "report.html"], []):
        assert sogni("batch", "list.txt", "--output-dir", "out", "--open", *report).exit_code == 0
    opened = (tmp_path / "opened.txt").read_text().splitlines()
    assert [line.rstrip() for line in opened] == [str(tmp_path / "report.html"), str(tmp_path / "out")]


def test_files_that_cannot_be_opened_are_reported(
    sogni: Run, opener: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opener.write_text("#!/bin/sh\nexit 3\n")
    result = sogni("image", "a fox", "--name", "it", "--open")
    message = f"sogni: it.png cannot be opened: {opener.name} failed with code 3\n"
    assert (result.exit_code, result.stdout, without_cost(result.stderr)) == (0, "it.png\n", message)
    monkeypatch.setenv("PATH", str(tmp_path))
    viewer.open_files([Path("it.png")])


def test_a_viewer_that_stays_open_is_left_to_itself(opener: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opener.write_text("#!/bin/sh\nsleep 0.5\n")
    monkeypatch.setattr(viewer, "OPEN_SECONDS", 0.01)
    viewer.open_files([Path("it.png")])
