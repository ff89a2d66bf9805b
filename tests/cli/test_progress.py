"""The progress display of projects and batches, in terminals of any size."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, field
from rich.console import Console

from sogni.cli.batch import BatchDisplay
from sogni.cli.output import print_table
from sogni.cli.progress import ProjectDisplay, Render, project_display
from sogni.models.projects import Preparation, WaitingReason


@define(eq=False)
class Work:
    """As much of a project, or of a job, as is drawn."""

    type: str = "image"
    status: str = "processing"
    progress: int = 40
    queue_position: int = -1
    finished: bool = False
    worker_name: str | None = "a-worker"
    eta: datetime | None = field(factory=lambda: datetime.now(UTC) + timedelta(seconds=75.4))
    jobs: list[Work] = field(factory=list)
    params: Any = None
    queue_status: str | None = None
    estimated_start_at: datetime | None = None
    waiting_reason: Any = None
    preparation: Any = None


def drawn(project: Work | None, width: int, height: int = 24, encoding: str = "utf-8") -> list[str]:
    display = ProjectDisplay()
    display.project = project
    return lines(display.table, width, height, encoding)


def lines(render: Render, width: int, height: int = 24, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    console.print(render(console))
    file.flush()
    return raw.getvalue().decode(encoding).splitlines()


def test_connecting_is_shown_before_the_project() -> None:
    assert [line.strip() for line in drawn(None, 80)] == ["connecting"]


def test_project_and_jobs_have_percent_time_and_worker() -> None:
    whole, first, second = drawn(Work(worker_name=None, jobs=[Work(), Work(finished=True, status="completed")]), 90)
    assert "processing" in whole
    assert " 40% " in whole
    assert "1:15" in whole
    assert "image 1 processing" in first
    assert first.endswith("a-worker")
    assert "image 2 completed" in second
    assert "1:15" not in second


@pytest.mark.parametrize("width", [20, 80])
def test_why_a_project_waits_has_the_whole_line(width: int) -> None:
    start = datetime.now(UTC) + timedelta(seconds=40)
    work = Work(
        status="queued", queue_position=3, waiting_reason=WaitingReason(reason="queued", message="m"),
        estimated_start_at=start,
    )  # fmt: skip
    (line,) = drawn(work, width)
    phrase = "waiting: all workers busy, 3rd in line, about 40 s"
    assert line.strip() == (phrase if width == 80 else "waiting: all worker…")


def test_what_a_worker_prepares_is_shown() -> None:
    loading = Preparation(phase="loadingModel", step="start")
    whole, first = drawn(Work(status="pending", jobs=[Work(status="initiating", preparation=loading)]), 80)
    assert whole.startswith("loading model ")
    assert "image 1 initiating" in first


@pytest.mark.parametrize("width", [20, 30, 40, 63, 64, 80, 200])
def test_a_row_fits_on_a_line_of_any_width(width: int) -> None:
    lines = drawn(Work(jobs=[Work(worker_name="a worker with quite a long name, 工作者")] * 2), width)
    assert len(lines) == 3
    assert all(len(line.rstrip()) <= width for line in lines)


def test_as_many_unfinished_jobs_are_drawn_as_fit() -> None:
    jobs = [Work(finished=True, status="completed"), *(Work() for _ in range(30))]
    assert len(drawn(Work(jobs=jobs), 80)) == 1 + 8
    assert len(drawn(Work(jobs=jobs), 80, height=6)) == 1 + 3
    assert "completed" not in "".join(drawn(Work(jobs=jobs), 80))


def test_a_terminal_without_unicode_gets_an_ascii_bar() -> None:
    assert "-----" in drawn(Work(progress=100, jobs=[Work()]), 80, encoding="ascii")[0]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Both streams are a terminal; not as a fixture, because pytest sets the streams anew before a test."""
    stream = Terminal()
    with monkeypatch.context() as patch:
        for name, value in {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}.items():
            patch.setenv(name, value)
        patch.setattr("sys.stderr", stream)
        patch.setattr("sys.stdout", stream)
        yield stream


def test_progress_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as stream, project_display():
        pass
    assert "connecting" in stream.getvalue()


def test_progress_is_not_drawn_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with project_display():
        pass
    assert capsys.readouterr() == ("", "")


def test_a_table_on_a_terminal_has_headings_and_whole_first_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("a-very-long-model-name-that-is-copied-by-hand", "[4]", "some words that may wrap " * 4)]
    with terminal(monkeypatch) as stream:
        print_table(("model", "workers", "name"), rows)
    text = stream.getvalue()
    assert re.sub(r"\x1b\[\d*m", "", text).split()[:3] == ["model", "workers", "name"]
    assert rows[0][0] in text
    # Square brackets are no markup.
    assert "[4]" in text


def test_a_table_too_wide_for_the_terminal_becomes_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://store.example/" + "a" * 90
    with terminal(monkeypatch) as stream:
        print_table(("artifact", "type", "address"), [("artifact", "", address), ("one", "two\nlines", "three")])
    assert stream.getvalue() == f"artifact  {address}\none  two lines  three\n"


def test_a_table_in_a_pipe_is_tabs_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("model", "name"), [("one", "two\nlines"), ("two", "tab\there")])
    assert capsys.readouterr().out == "one\ttwo lines\ntwo\ttab here\n"


def batch(count: int, done: int = 0, total: int = 9) -> BatchDisplay:
    running = {
        Work(type="video", params=SimpleNamespace(positive_prompt="a fox " * 30 if line % 2 else "")): SimpleNamespace(
            line=line
        )
        for line in range(1, count + 1)
    }
    return BatchDisplay(SimpleNamespace(total=total, running=running), [None] * done)  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_batch_is_drawn_with_its_running_projects(width: int) -> None:
    whole, first, second = lines(batch(2, done=3).table, width)
    assert whole.startswith("3 of 9")
    assert " 33%" in whole
    assert first.lstrip().startswith("1 a fo")
    assert second.lstrip().startswith("2 video")
    assert all(len(line) <= width for line in (whole, first, second))


def test_a_batch_of_any_size_fits_the_terminal() -> None:
    assert len(lines(batch(20).table, 80)) == 9
    assert len(lines(batch(20).table, 80, height=5)) == 3
    assert lines(batch(0, total=0).table, 80)[0].startswith("0 of 0")
