"""Progress display on terminals.

Drawn on standard error a few times per second from the properties of the projects. In a pipe nothing is drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sogni.cli.exit_codes import shows_progress
from sogni.cli.output import one_line
from sogni.display import status_phrase
from sogni.redaction import escape_controls

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

MAX_JOBS = 8
"""Maximum number of jobs with their own bar."""
LABEL = 24


class ProjectDisplay:
    """Display of a message until there is a project, then of the project and its jobs."""

    def __init__(self) -> None:
        self.text = "connecting"
        self.project: Any = None

    def table(self, console: Console) -> Table:
        """Return the current state as a table that fits the terminal."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        if self.project is None or not (self.project.jobs or self.project.finished):
            table.add_column(no_wrap=True, overflow="ellipsis")
            words = self.text if self.project is None else status_phrase(self.project)
            table.add_row(Text(escape_controls(words), overflow="ellipsis"))
            return table
        wide = console.width >= 64
        table.add_column(width=min(LABEL, console.width // 3), no_wrap=True)
        table.add_column()
        table.add_column(width=4, justify="right", no_wrap=True)
        if wide:
            table.add_column(width=5, justify="right", no_wrap=True)
            table.add_column(no_wrap=True, overflow="ellipsis")
        bar_width = max(4, min(40, console.width - LABEL - (30 if wide else 10)))
        for row in self._rows(console):
            table.add_row(*cells(row, bar_width)[: 5 if wide else 3])
        return table

    def _rows(self, console: Console) -> list[tuple[str, int, str, str]]:
        """Return label, percentage, time left and worker of the project, then of its jobs."""
        project, now = self.project, time.time()
        jobs = project.jobs
        label = self.text if project.finished else status_phrase(project)
        rows = [(label, project.progress, time_left(project.eta, now), "")]
        room = min(MAX_JOBS, max(1, console.height - 3))
        drawn = jobs if len(jobs) <= room else [job for job in jobs if not job.finished][:room]
        kind = project.type
        for job in drawn:
            label = f"  {kind} {jobs.index(job) + 1} {job.status}"
            rows.append((label, job.progress, time_left(None if job.finished else job.eta, now), job.worker_name or ""))
        return rows


def cells(row: tuple[str, int, str, str], bar_width: int) -> list[Any]:
    """Return the cells of a table row."""
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    label, percent, left, worker = row
    bar = ProgressBar(total=100, completed=percent, width=bar_width)
    shown = Text(escape_controls(label.replace("\n", " ")), overflow="ellipsis")
    return [shown, bar, Text(f"{percent}%"), Text(left), Text(one_line(worker))]


def time_left(moment: datetime | None, now: float) -> str:
    """Format the time until a moment as minutes and seconds, or an empty string if it has passed."""
    seconds = round(moment.timestamp() - now) if moment is not None else 0
    return f"{seconds // 60}:{seconds % 60:02d}" if seconds > 0 else ""


@contextmanager
def project_display() -> Iterator[ProjectDisplay]:
    """Draw a project during a `with` block, on a terminal. The drawing is erased at the end."""
    display = ProjectDisplay()
    with live_display(display.table):
        yield display


Render = Callable[["Console"], "RenderableType"]
"""Returns the current state for a terminal."""


class LiveDisplay:
    """A drawing on standard error that is refreshed a few times per second."""

    def __init__(self, render: Render) -> None:
        from rich.console import Console

        self._render = render
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None

    def show(self) -> None:
        """Start to draw below the existing output."""
        from rich.live import Live

        # A new object each time: a restarted one would erase the lines above it.
        self._live = Live(
            get_renderable=lambda: self._render(self._console),
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start()

    def hide(self) -> None:
        """Erase the drawing."""
        if self._live is not None:
            self._live.stop()
            self._live = None


@contextmanager
def live_display(render: Render) -> Iterator[LiveDisplay | None]:
    """Draw during a `with` block and yield the drawing, or None without a terminal."""
    if not shows_progress():
        yield None
        return
    drawing = LiveDisplay(render)
    drawing.show()
    try:
        yield drawing
    finally:
        drawing.hide()


@contextmanager
def display_paused(drawing: LiveDisplay | None) -> Iterator[None]:
    """Erase the drawing during a `with` block that prints something, then draw it again below."""
    if drawing is None:
        yield
        return
    drawing.hide()
    yield
    drawing.show()
