"""What a person sees while a batch runs: decides what is drawn of the whole and of the projects under way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import Access, accessing
from sogni.cli.exit_codes import DONE, FAILED, Command, Interrupted, say, words_of
from sogni.cli.image import imaging
from sogni.cli.input_files import read_input, text_of
from sogni.cli.output import Target, print_json, print_paths, saving
from sogni.cli.progress import LABEL, MOST_JOBS, cells, drawn, time_left, undrawn
from sogni.core.projects.batch_requests import batch_requests, refuse_other_formats
from sogni.core.projects.file_names import tells_projects_apart
from sogni.errors import SogniError, SogniTimeoutError
from sogni.local.batch_journal import BatchJournal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sogni.batch import Batch, BatchItem
    from sogni.client import SogniClient


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


# `sogni batch`: many projects from the lines of a file, over several runs if need be.


@click.command(cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@imaging
@saving
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What has been done; by default named after FILE, in the output directory.",
)
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="Projects that run at once."
)
@click.option("--timeout", type=float, metavar="SECONDS", help="End after this long; the next run goes on.")
@click.option("--max-cost", metavar="AMOUNT", help="Refuse to spend more in this run, in the token that pays.")
@accessing
def batch(
    access: Access,
    file: str,
    fields: dict[str, Any],
    target: Target,
    *,
    journal: Path | None,
    concurrency: int,
    timeout: float | None,
    max_cost: str | None,
) -> int:
    """Generate what the lines of FILE ask for and print the paths of the files.

    A line is the prompt of an image, or a JSON object with the fields of a project ({"type": "video", ...}); empty
    lines and those that begin with # are skipped; CSV, YAML and JSON documents are refused. The options hold for all
    images; what a line says outranks them.

    Run again, the same command goes on where it stopped: results that are there are not generated once more,
    projects that run are waited for, those that failed begin anew. Ctrl-C and --timeout cancel nothing.
    """
    if not tells_projects_apart(target.name):
        raise click.UsageError("--name: the files of many projects need {project_id} or {job_id} in their names")
    lines = _lines(file, timeout)
    refuse_other_formats(file, lines)
    requests = batch_requests(lines, fields, common={"network": access.network})
    path = journal or target.directory / f"{'batch' if file == '-' else Path(file).stem}.journal.jsonl"
    with access.client(timeout) as client, BatchJournal(path, service=_service(access, client)) as notes:
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
            with _telling_what_goes_on(work, local=access.local):
                _follow(work, items, timeout, as_json=access.as_json)
        finally:
            if access.as_json and items:
                print_json({"requests": [_document(item) for item in items]})
    return FAILED if any(item.error is not None for item in items) else DONE


def _lines(file: str, timeout: float | None) -> list[str]:
    try:
        return text_of(read_input(file, timeout)).split("\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"FILE: {file} is not a text in UTF-8") from None


def _service(access: Access, client: SogniClient) -> str:
    """Where the projects of a journal run; an emulator of `--local` has another address every time."""
    return "local" if access.local else client._engine.settings.rest_endpoint


def _follow(work: Batch, items: list[BatchItem], timeout: float | None, *, as_json: bool) -> None:
    """Print the files of each request and what it could not have, as soon as that is known."""
    with drawn(BatchDisplay(work, items).table) as drawing:
        for item in work.run(timeout):
            items.append(item)
            with undrawn(drawing):
                if not as_json and not item.earlier:
                    print_paths(item.files)
                if item.error is not None:
                    say(f"line {item.line}: {words_of(item.error)}")
    earlier = sum(item.earlier for item in items)
    if earlier:
        say(f"{earlier} of {work.total} requests had been done before")


@contextmanager
def _telling_what_goes_on(work: Batch, *, local: bool) -> Iterator[None]:
    """Say what becomes of the projects that run when the command ends before them."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted{_going_on(work, local)}") from None
    except SogniTimeoutError as error:
        if error.phase != "total":
            raise
        words = error.message + _going_on(work, local)
        raise SogniTimeoutError(words, phase="total", timeout=error.timeout) from None
    except (BrokenPipeError, SogniError):
        raise
    except OSError as error:
        again = _going_on(work, local) or "; run the same command again to go on"
        raise SogniError(f"{words_of(error)}{'' if local else again}") from error


def _going_on(work: Batch, local: bool) -> str:
    count = len(work.uncollected)
    if local or not count:
        return ""
    return f"; {count} {'project goes' if count == 1 else 'projects go'} on: run the same command again to collect them"


def _document(item: BatchItem) -> dict[str, Any]:
    return {
        "line": item.line,
        "project": item.project_id,
        "files": [str(path) for path in item.files],
        "earlier": item.earlier,
        "error": None if item.error is None else words_of(item.error),
    }
