"""The command `sogni batch` and its progress display."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import DONE, FAILED, Command, Interrupted, error_text, print_note, print_stderr
from sogni.cli.image import image_options
from sogni.cli.input_files import decode_text, read_input
from sogni.cli.output import Target, print_json, print_paths, saving
from sogni.cli.progress import LABEL, MAX_JOBS, cells, display_paused, live_display, time_left
from sogni.cli.run_project import save_command
from sogni.core.projects.batch_requests import batch_requests, refuse_other_formats
from sogni.core.projects.file_names import is_unique_per_project
from sogni.errors import SogniError, SogniTimeoutError
from sogni.local.batch_journal import BatchJournal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sogni.batch import Batch, BatchItem
    from sogni.client import SogniClient


class BatchDisplay:
    """Progress of a batch: one bar for the whole and one for each running project."""

    def __init__(self, work: Batch, items: Sequence[BatchItem]) -> None:
        self._work = work
        self._items = items

    def table(self, console: Console) -> Table:
        """Return the current progress as a table that fits the terminal."""
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
        for project, request in running[: min(MAX_JOBS, max(1, height - 3))]:
            prompt = project.params.positive_prompt or project.type
            rows.append((f"  {request.line} {prompt}", project.progress, time_left(project.eta, now), ""))
        return rows


@click.command(cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@image_options
@saving
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Record the batch in this file. Default: named after FILE, in the output directory.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Run at most this many projects at once.",
)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="Stop after this many seconds; the next run continues. Default: no limit.",
)
@click.option(
    "--max-cost",
    metavar="AMOUNT",
    help="Spend at most this amount in this run, in the token that pays. Default: no limit.",
)
@connection_options
def batch(
    connection: ConnectionOptions,
    file: str,
    fields: dict[str, Any],
    target: Target,
    *,
    journal: Path | None,
    concurrency: int,
    timeout: float | None,
    max_cost: str | None,
) -> int:
    """Create a project for each line of FILE and print the paths of the saved files.

    A line is the prompt of an image, or a JSON object with the fields of a project ({"type": "video", ...}). Empty
    lines and lines that start with # are skipped. CSV, YAML and JSON documents are rejected. The options apply to all
    images; fields of a line take precedence.

    Run the same command again to continue where it stopped: existing results are kept, running projects are awaited
    and failed ones are repeated. Ctrl-C and --timeout do not cancel projects.

    Example: sogni batch prompts.txt --steps 4 --output-dir out --max-cost 20
    """
    if not is_unique_per_project(target.name):
        raise click.UsageError(
            "--name must contain {project_id} or {job_id}, so that projects have different file names"
        )
    lines = _lines(file, timeout)
    refuse_other_formats(file, lines)
    requests = batch_requests(lines, fields, common={"network": connection.network})
    path = journal or target.directory / f"{'batch' if file == '-' else Path(file).stem}.journal.jsonl"
    with connection.client(timeout) as client, BatchJournal(path, service=_service(connection, client)) as notes:
        from sogni.batch import Batch

        work = Batch(
            client,
            requests,
            notes,
            directory=target.directory,
            name=target.name,
            overwrite=target.overwrite,
            concurrency=concurrency,
            max_cost=max_cost,
        )
        items: list[BatchItem] = []
        try:
            with _reporting_running_projects(work, local=connection.local):
                _follow(work, items, timeout, connection)
        finally:
            if connection.as_json and items:
                print_json({"requests": [_document(item) for item in items]})
    return FAILED if any(item.error is not None for item in items) else DONE


def _lines(file: str, timeout: float | None) -> list[str]:
    try:
        return decode_text(read_input(file, timeout)).split("\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"FILE: {file} is not UTF-8 text") from None


def _service(connection: ConnectionOptions, client: SogniClient) -> str:
    """Return the service of the journal. With `--local` the URL of the emulator differs in every run."""
    return "local" if connection.local else client._engine.settings.rest_endpoint


def _follow(work: Batch, items: list[BatchItem], timeout: float | None, connection: ConnectionOptions) -> None:
    """Print the files and the error of each request as soon as they are known."""
    with live_display(BatchDisplay(work, items).table) as drawing:
        for item in work.run(timeout):
            items.append(item)
            with display_paused(drawing):
                if not connection.as_json and not item.earlier:
                    print_paths(item.files)
                if item.error is not None:
                    unsaved = item.project_id in work.unsaved and not connection.local
                    hint = f"; {save_command(str(item.project_id))} fetches its results" if unsaved else ""
                    print_stderr(f"line {item.line}: {error_text(item.error)}{hint}")
    earlier = sum(item.earlier for item in items)
    if earlier:
        print_note(f"{earlier} of {work.total} requests were completed by an earlier run")


@contextmanager
def _reporting_running_projects(work: Batch, *, local: bool) -> Iterator[None]:
    """Add to errors how many projects continue, if the command ends before them."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted{_running_note(work, local)}") from None
    except SogniTimeoutError as error:
        if error.phase != "total":
            raise
        message = error.message + _running_note(work, local)
        raise SogniTimeoutError(message, phase="total", timeout=error.timeout) from None
    except (BrokenPipeError, SogniError):
        raise
    except OSError as error:
        again = _running_note(work, local) or f"; run the same command again to continue{_save_note(work)}"
        raise SogniError(f"{error_text(error)}{'' if local else again}") from error


def _running_note(work: Batch, local: bool) -> str:
    count = len(work.uncollected)
    if local or not count:
        return ""
    continuing = "project continues" if count == 1 else "projects continue"
    return f"; {count} {continuing}: run the same command again to collect them{_save_note(work)}"


def _save_note(work: Batch) -> str:
    """Name the command that saves what the batch leaves behind, for those who will not run it again."""
    ids = [*work.unsaved, *sorted(work.uncollected)]
    return f", or {save_command(*ids)}" if ids else ""


def _document(item: BatchItem) -> dict[str, Any]:
    return {
        "line": item.line,
        "project": item.project_id,
        "files": [str(path) for path in item.files],
        "earlier": item.earlier,
        "error": None if item.error is None else error_text(item.error),
    }
