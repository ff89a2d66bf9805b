"""The command `sogni batch` and its progress display."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import (
    BUSY,
    DONE,
    FAILED,
    OVER_BUDGET,
    Command,
    Interrupted,
    error_lines,
    error_text,
    print_note,
    print_stderr,
)
from sogni.cli.image import image_options
from sogni.cli.input_files import read_input
from sogni.cli.output import Target, print_json, print_paths, saving, write
from sogni.cli.preview import show_previews
from sogni.cli.progress import LABEL, MAX_JOBS, cells, display_paused, live_display, time_left
from sogni.cli.run_project import save_command
from sogni.cli.viewer import open_files
from sogni.core.checks import did_you_mean
from sogni.core.projects.batch_requests import batch_requests, refuse_lines
from sogni.core.projects.create import cost_limit
from sogni.core.projects.file_names import is_unique_per_project
from sogni.errors import ConflictError, CostLimitError, InsufficientBalanceError, SogniError, SogniTimeoutError
from sogni.local.batch_files import FIELDS, field_name, field_value, read_rows
from sogni.local.batch_journal import BatchJournal
from sogni.local.batch_reports import check_report, item_document, write_report
from sogni.local.storage import batch_directory
from sogni.models.batches import BatchItem, BatchReport

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sogni.batch import Batch
    from sogni.client import SogniClient


MAX_PREVIEWS = 20
"""Maximum number of requests whose results are previewed, so that they do not fill the terminal."""


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


def _set_fields(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    """Return the fields of `--set`. Raises BadParameter unless each is `key=value` with a known key."""
    fields: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        name = field_name(key)
        if not equals or not key.strip():
            raise click.BadParameter(f"must be key=value, got {text!r}", context, parameter)
        if name not in FIELDS:
            raise click.BadParameter(f"there is no field {key!r}{did_you_mean(name, FIELDS)}", context, parameter)
        fields[name] = field_value(name, value)
    return fields


@click.command(cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@image_options
@click.option(
    "--set",
    "common",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_set_fields,
    help="Set a field of all projects, such as steps=4. Rows take precedence. Repeatable.",
)
@saving
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Record the batch in this file; required with the URL of a storage. Default: in the output directory, named "
    "after FILE.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write a report; its name ends with .csv, .json or .html (with thumbnails).",
)
@click.option("--open", "opening", is_flag=True, help="Open the report at the end, or else the output directory.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Run at most this many projects at once.",
)
@click.option(
    "--retry-failed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="TIMES",
    help="Repeat failed projects in this run, unless the service refuses what they request.",
)
@click.option("--skip-bad-rows", is_flag=True, help="Run the other rows if some are invalid. Default: run none.")
@click.option("--dry-run", is_flag=True, help="Check all rows, estimate the cost, and create nothing.")
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="Stop after this many seconds; the next run continues. Default: no limit.",
)
@click.option(
    "--max-cost",
    metavar="AMOUNT",
    envvar="SOGNI_MAX_COST",
    help="Spend at most this amount in this run, in the token that pays. Default: SOGNI_MAX_COST, or no limit.",
)
@connection_options
def batch(
    connection: ConnectionOptions,
    file: str,
    fields: dict[str, Any],
    target: Target,
    *,
    common: dict[str, Any],
    journal: Path | None,
    report: str | None,
    opening: bool,
    concurrency: int,
    retry_failed: int,
    skip_bad_rows: bool,
    dry_run: bool,
    timeout: float | None,
    max_cost: str | None,
) -> int:
    """Create a project for each row of FILE and print the paths of the saved files.

    FILE is CSV, JSON Lines, a JSON array, YAML, or text with a prompt on each line. Each row is the prompt of an image,
    or the fields of a project ({"type": "video", ...}). The options apply to all images, --set to all projects; the
    fields of a row take precedence. All rows are checked before anything is sent.

    Run the same command again to continue where it stopped: existing results are kept, running projects are awaited
    and failed ones are repeated. Ctrl-C and --timeout do not cancel projects. The last line is a summary; there is none
    if nothing was left to do.

    Exit codes: 0 if all is done, 1 if requests failed, 2 for invalid rows or options, 3 for credentials, 4 at
    --max-cost or without balance, 5 if another run is using the journal, 124 at --timeout, 130 for Ctrl-C.

    Example: sogni batch prompts.csv --set steps=4 --output-dir out --max-cost 20
    """
    if not is_unique_per_project(target.name):
        raise click.UsageError(
            "--name must contain {project_id} or {job_id}, so that projects have different file names"
        )
    directory = batch_directory(target.directory, journal)
    report_path = None if report is None else check_report(report)
    limit = cost_limit(max_cost)
    rows = read_rows(file, read_input(file, timeout))
    options = fields if common.get("type", "image") == "image" else {}
    shared = {"network": connection.network, **common}
    requests, findings = batch_requests(rows, {**options, **common}, common=shared)
    if not skip_bad_rows:
        refuse_lines(findings)
    path = journal or Path(directory, f"{'batch' if file == '-' else Path(file).stem}.journal.jsonl")
    with connection.client(timeout) as client, ExitStack() as held:
        from sogni.batch import Batch

        try:
            notes = held.enter_context(BatchJournal(path, service=_service(connection, client)))
        except ConflictError as error:
            print_stderr(error_text(error))
            return BUSY
        work = Batch(
            client,
            requests,
            notes,
            directory=directory,
            name=target.name,
            overwrite=target.overwrite,
            concurrency=concurrency,
            max_cost=limit,
            retry_failed=retry_failed,
            bad_rows=findings,
            skip_bad_rows=skip_bad_rows,
        )
        if dry_run:
            return _estimate(work, limit, connection)
        items: list[BatchItem] = []
        started = time.monotonic()
        try:
            with _reporting_running_projects(work, local=connection.local):
                _follow(work, items, timeout, connection)
        except (CostLimitError, InsufficientBalanceError) as error:
            for line in error_lines(error):
                print_stderr(line)
            return OVER_BUDGET
        finally:
            outcome = BatchReport.of(items, time.monotonic() - started)
            if connection.as_json and items:
                print_json({"requests": [_document(item) for item in items]})
            if report_path is not None:
                write_report(report_path, outcome)
            if outcome.done or outcome.failed:
                print_note(str(outcome))
    if opening:
        open_files([report_path or directory])
    return FAILED if outcome.failed else DONE


def _estimate(work: Batch, limit: Any, connection: ConnectionOptions) -> int:
    """Print what the batch would create, and its estimated cost."""
    count, kept, costs = work.estimate()
    if connection.as_json:
        print_json({"projects": count, "kept": kept, "cost": {token: f"{cost:f}" for token, cost in costs.items()}})
    else:
        cost = " + ".join(f"{cost.normalize():f} {token}" for token, cost in costs.items()) or "0"
        write(f"would create {count} projects, {kept} kept, estimated cost {cost}")
    if limit is not None and sum(costs.values()) > limit:
        print_stderr(f"the estimated cost exceeds --max-cost {limit:f}")
        return OVER_BUDGET
    return DONE


def _service(connection: ConnectionOptions, client: SogniClient) -> str:
    """Return the service of the journal. With `--local` the URL of the emulator differs in every run."""
    return "local" if connection.local else client._engine.settings.rest_endpoint


def _follow(work: Batch, items: list[BatchItem], timeout: float | None, connection: ConnectionOptions) -> None:
    """Print the files and the error of each request as soon as they are known."""
    with live_display(BatchDisplay(work, items).table) as drawing:
        for item in work.run(timeout):
            items.append(item)
            with display_paused(drawing):
                if not connection.as_json and item.status != "kept":
                    print_paths(item.paths)
                    if work.total <= MAX_PREVIEWS:
                        show_previews(item.paths)
                if item.error is not None:
                    unsaved = item.project_id in work.unsaved and not connection.local
                    hint = f"; {save_command(str(item.project_id))} fetches its results" if unsaved else ""
                    print_stderr(f"line {item.line}: {error_text(item.error)}{hint}")


@contextmanager
def _reporting_running_projects(work: Batch, *, local: bool) -> Iterator[None]:
    """Add the number of projects that continue to errors that end the command early."""
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
    """Name the command that saves the projects the batch leaves running, for users who do not want to run it again."""
    ids = [*work.unsaved, *sorted(work.uncollected)]
    return f", or {save_command(*ids)}" if ids else ""


def _document(item: BatchItem) -> Mapping[str, Any]:
    error = None if item.error is None else error_text(item.error)
    return {**item_document(item), "earlier": item.status == "kept", "error": error}
