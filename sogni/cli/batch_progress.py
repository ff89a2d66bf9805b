"""What a person sees while a batch runs: decides what is drawn of the whole and of the projects under way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .progress import LABEL, MOST_JOBS, cells, time_left

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..batch import Batch, BatchItem


class BatchDisplay:
    """The items there are, and the projects that run."""

    def __init__(self, work: Batch, items: Sequence[BatchItem]) -> None:
        self._work = work
        self._items = items

    def table(self, console: Console) -> Table:
        """The work as it is now, in the width of the terminal."""
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        label = max(LABEL, console.width // 3)
        table.add_column(width=min(label, console.width // 2), no_wrap=True)
        table.add_column()
        table.add_column(width=4, justify="right", no_wrap=True)
        table.add_column(width=5, justify="right", no_wrap=True)
        bar_width = max(4, min(40, console.width - min(label, console.width // 2) - 14))
        for row in self._rows(console.height):
            table.add_row(*cells(row, bar_width)[:4])
        return table

    def _rows(self, height: int) -> list[tuple[str, int, str, str]]:
        now = time.time()
        done, total = len(self._items), self._work.total
        rows = [(f"{done} of {total}", 100 * done // max(1, total), "", "")]
        running: list[tuple[Any, Any]] = list(self._work.running.items())
        for project, request in running[: min(MOST_JOBS, max(1, height - 3))]:
            prompt = project.params.positive_prompt or project.type
            rows.append((f"  {request.line} {prompt}", project.progress, time_left(project.eta, now), ""))
        return rows
