"""What a person sees while a project runs: decides what is drawn on a terminal, and that a pipe gets nothing.

Called by `collecting` and `batch`. It draws on standard error, from the properties of the projects, a few times a
second; it listens to nothing and waits for nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sogni.cli.output import on_terminal, one_line
from sogni.redaction import escape_controls

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

MOST_JOBS = 8
"""Jobs that are drawn with a bar of their own."""
LABEL = 22


class Display:
    """The state of the work: a text until there is a project, then the project and its jobs."""

    def __init__(self) -> None:
        self.text = "connecting"
        self.project: Any = None

    def table(self, console: Console) -> Table:
        """The work as it is now, in the width of the terminal."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        roomy = console.width >= 64
        table.add_column(width=min(LABEL, console.width // 3), no_wrap=True)
        table.add_column()
        table.add_column(width=4, justify="right", no_wrap=True)
        if roomy:
            table.add_column(width=5, justify="right", no_wrap=True)
            table.add_column(no_wrap=True, overflow="ellipsis")
        if self.project is None:
            table.add_row(Text(self.text, overflow="ellipsis"))
            return table
        bar_width = max(4, min(40, console.width - LABEL - (30 if roomy else 10)))
        for row in self._rows(console):
            table.add_row(*cells(row, bar_width)[: 5 if roomy else 3])
        return table

    def _rows(self, console: Console) -> list[tuple[str, int, str, str]]:
        """Label, percent, time left and worker: of the project, then of jobs."""
        project, now = self.project, time.time()
        jobs = project.jobs
        rows = [(_status(project, self.text), project.progress, time_left(project.eta, now), "")]
        room = min(MOST_JOBS, max(1, console.height - 3))
        drawn = jobs if len(jobs) <= room else [job for job in jobs if not job.finished][:room]
        kind = project.type
        for job in drawn:
            label = f"  {kind} {jobs.index(job) + 1} {job.status}"
            rows.append((label, job.progress, time_left(None if job.finished else job.eta, now), job.worker_name or ""))
        return rows


def cells(row: tuple[str, int, str, str], bar_width: int) -> list[Any]:
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    label, percent, left, worker = row
    bar = ProgressBar(total=100, completed=percent, width=bar_width)
    shown = Text(escape_controls(label.replace("\n", " ")), overflow="ellipsis")
    return [shown, bar, Text(f"{percent}%"), Text(left), Text(one_line(worker))]


def _status(project: Any, text: str) -> str:
    if project.finished:
        return text
    if project.status == "queued" and project.queue_position >= 0:
        return f"queued at place {project.queue_position}"
    return str(project.status)


def time_left(moment: datetime | None, now: float) -> str:
    """Minutes and seconds until a moment; nothing when it has passed."""
    seconds = round(moment.timestamp() - now) if moment is not None else 0
    return f"{seconds // 60}:{seconds % 60:02d}" if seconds > 0 else ""


@contextmanager
def showing() -> Iterator[Display]:
    """Draw the work while it lasts, on a terminal; what was drawn vanishes at the end."""
    display = Display()
    with drawn(display.table):
        yield display


Render = Callable[["Console"], "RenderableType"]
"""The state of the work now, in the width of a terminal."""


class Drawing:
    """Something that is drawn anew on standard error a few times a second."""

    def __init__(self, render: Render) -> None:
        from rich.console import Console

        self._render = render
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None

    def show(self) -> None:
        """Begin to draw below what has been written."""
        from rich.live import Live

        # A new one each time: one that starts again takes the lines above it for its own, and erases them.
        self._live = Live(
            get_renderable=lambda: self._render(self._console),
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start()

    def hide(self) -> None:
        """Erase what was drawn."""
        if self._live is not None:
            self._live.stop()
            self._live = None


@contextmanager
def drawn(render: Render) -> Iterator[Drawing | None]:
    """Draw something while the block lasts, on a terminal; None where there is none."""
    if not on_terminal(sys.stderr):
        yield None
        return
    drawing = Drawing(render)
    drawing.show()
    try:
        yield drawing
    finally:
        drawing.hide()


@contextmanager
def undrawn(drawing: Drawing | None) -> Iterator[None]:
    """Erase the drawing while something is written, and draw it again below that."""
    if drawing is None:
        yield
        return
    drawing.hide()
    yield
    drawing.show()
