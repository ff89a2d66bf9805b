"""What a person sees while a project runs: decides what is drawn on a terminal, and that a pipe gets nothing.

Called by `collecting` and `batch`. It draws on standard error, from the properties of the projects, a few times a
second; it listens to nothing and waits for nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from .output import on_terminal

if TYPE_CHECKING:
    from rich.console import Console
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
    return [Text(label, overflow="ellipsis"), bar, Text(f"{percent}%"), Text(left), Text(worker)]


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
    with drawn(display):
        yield display


class Drawable(Protocol):
    """What can be drawn in the width of a terminal."""

    def table(self, console: Console) -> Table:
        """The state of the work now."""


@contextmanager
def drawn(display: Drawable) -> Iterator[Live | None]:
    """Draw something anew a few times a second, on a terminal; None where there is none."""
    if not on_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    with Live(
        get_renderable=lambda: display.table(console),
        console=console,
        refresh_per_second=8,
        transient=True,
        redirect_stdout=False,
    ) as live:
        yield live


@contextmanager
def undrawn(live: Live | None) -> Iterator[None]:
    """Take the drawing away while something is written below which it goes on."""
    if live is None:
        yield
        return
    live.stop()
    try:
        yield
    finally:
        live.start()
