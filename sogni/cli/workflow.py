"""The commands `sogni workflow …`.

Files are read and checked before a client is created.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from sogni.cli.connection_options import JSON, ConnectionOptions, connection_options
from sogni.cli.exit_codes import USAGE, Command, Group
from sogni.cli.follow import raise_if_failed, start_workflow, watch
from sogni.cli.known_names import complete_file
from sogni.cli.output import OVERWRITE, OutputDirectory, check_directory, print_json, print_paths, print_table, writing
from sogni.local.plan_files import SUFFIXES, file_findings, load_plan
from sogni.models.converter import to_dict
from sogni.models.workflows import MediaReference, WorkflowRecord

if TYPE_CHECKING:
    from sogni.client import SogniClient


def plan_or_template(plan: str, inputs: Mapping[str, Any], media: Sequence[str], *, strict: bool) -> dict[str, Any]:
    """Return the arguments of `start` for PLAN: a plan if it has the suffix of a plan file, else the ID of a template.

    The plan is checked here, so that mistakes are reported with their line.

    Raises:
        ValidationError: The plan is invalid.
        UsageError: The file does not exist, or `--input` was given with a file.
    """
    if Path(plan).suffix.lower() not in SUFFIXES:
        return {"workflow_id": plan, "inputs": dict(inputs) or None}
    if inputs:
        raise click.UsageError("--input requires a template: give its id as PLAN, not a file")
    if not Path(plan).exists():
        raise click.UsageError(f"PLAN: file {plan!r} does not exist")
    return {"input": load_plan(plan, media_references=media, whole=strict), "strict": strict}


def parse_inputs(pairs: Iterable[str]) -> dict[str, Any]:
    """Parse template inputs from `name=value`. Values that are not JSON are strings."""
    return {name: _value(value) for name, value in _pairs("--input", pairs)}


def parse_seeds(pairs: Iterable[str]) -> dict[str, int]:
    """Parse seeds of steps from `step=seed`. Raises UsageError."""
    seeds: dict[str, int] = {}
    for step, seed in _pairs("--seed", pairs):
        try:
            seeds[step] = int(seed)
        except ValueError:
            raise click.UsageError(f"--seed must be an integer, got {seed!r}") from None
    return seeds


def _pairs(option: str, pairs: Iterable[str]) -> Iterable[tuple[str, str]]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"{option} must be NAME=VALUE, got {pair!r}")
        if name.strip() in found:
            raise click.UsageError(f"{option}: {name.strip()!r} was given twice")
        found[name.strip()] = value
    return found.items()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def check_media(media: Iterable[str]) -> None:
    """Raise UsageError if a file to upload does not exist."""
    for it in media:
        if not _is_url(it) and not Path(it).is_file():
            raise click.UsageError(f"--media: file {it!r} does not exist")


def upload_media(client: SogniClient, media: Iterable[str]) -> list[MediaReference]:
    """Return references to media, uploading those that are files and not URLs."""
    return [MediaReference(url=it) if _is_url(it) else client.workflows.upload(Path(it)) for it in media]


def _is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


_ID = click.argument("workflow_id", metavar="ID")
_WATCH = click.option(
    "--watch", "watching", is_flag=True, help="Follow the workflow until it ends or waits for user input."
)
_TIMEOUT = click.option(
    "--timeout", type=float, metavar="SECONDS", help="Stop watching after this many seconds. Default: no limit."
)


@frozen(kw_only=True)
class _Output:
    """Directory for the results of a workflow, and whether to replace existing files."""

    directory: Path | str
    overwrite: bool

    def save(self, client: SogniClient, workflow_id: str) -> list[Path] | list[Any]:
        with writing(self.directory, f"save again with 'sogni workflow save {workflow_id}'"):
            return list(client.workflows.save_artifacts(workflow_id, self.directory, overwrite=self.overwrite))


def _output_option(default: Path | None, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--output-dir` and `--overwrite` to a command, which receives `output`, or None without a directory."""

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(*args: Any, output_dir: Path | str | None, overwrite: bool, **given: Any) -> Any:
            output = None if output_dir is None else _Output(directory=output_dir, overwrite=overwrite)
            return function(*args, output=output, **given)

        option = click.option(
            "-o", "--output-dir", type=OutputDirectory(), default=default, metavar="DIRECTORY", help=help
        )
        return option(OVERWRITE(command))

    return decorator


_OUTPUT = _output_option(None, "Save the results here once the workflow has ended. Default: do not save.")
_TOKEN = click.option(
    "--token", "token_type", type=click.Choice(("spark", "sogni")), help="Pay with this token. Default: the service's."
)
_BILLING = click.option(
    "--billing-mode",
    type=click.Choice(("auto", "subscription", "tokens")),
    help="Choose what pays. Default: the service's.",
)
_KEY = click.option(
    "--idempotency-key", metavar="KEY", help="Do not start another workflow if this key was used before."
)


@click.group(cls=Group)
def workflow() -> None:
    """Run multi-step plans on the service. They continue when the command ends.

    Example: sogni workflow start teaser.yaml --watch --output-dir out
    """


@workflow.command(cls=Command)
@click.argument("plan", shell_complete=complete_file)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="Set an input of a template. Repeatable.")
@click.option("--media", multiple=True, metavar="FILE", help="Add a file or URL to $input_media. Repeatable.")
@click.option("--strict", is_flag=True, help="Reject unknown tools and arguments.")
@click.option("--ask-cost", is_flag=True, help="Wait for approval of the cost before the first step.")
@click.option(
    "--max-capacity-units",
    "max_estimated_capacity_units",
    type=float,
    help="Accept no higher estimate. Default: no limit.",
)
@_TOKEN
@_BILLING
@_KEY
@_WATCH
@_TIMEOUT
@_OUTPUT
@connection_options
def start(
    connection: ConnectionOptions,
    plan: str,
    inputs: tuple[str, ...],
    media: tuple[str, ...],
    strict: bool,
    ask_cost: bool,
    watching: bool,
    timeout: float | None,
    output: _Output | None,
    **options: Any,
) -> None:
    """Start PLAN, a YAML or JSON file or the ID of a template, and print the ID of the workflow.

    Example: sogni workflow start teaser.yaml --watch --output-dir out
    """
    check_media(media)
    given = plan_or_template(plan, parse_inputs(inputs), media, strict=strict)
    _check_output(output, watching=watching)
    with connection.client(timeout) as client:
        given["media_references"] = upload_media(client, media) or None
        given["confirm_cost"] = False if ask_cost else None
        record = start_workflow(lambda: client.workflows.start(**given, **options))
        _watch_or_print(client, connection, record, timeout, output, watching=watching)


@workflow.command(cls=Command)
@click.argument("plan", type=click.Path(exists=True, dir_okay=False))
@click.option("--local", is_flag=True, help="Ignored: this command is always local.")
@JSON
def check(plan: str, local: bool, as_json: bool) -> None:
    """Check a PLAN file with its tools and arguments. Nothing is sent.

    Example: sogni workflow check teaser.yaml
    """
    found = file_findings(plan)
    if as_json:
        print_json([to_dict(it) for it in found])
    else:
        print_table(("severity", "rule", "finding"), [(it.severity, it.rule, it.message) for it in found])
    if any(it.severity == "error" for it in found):
        raise click.exceptions.Exit(USAGE)


@workflow.command("watch", cls=Command)
@_ID
@_TIMEOUT
@_OUTPUT
@connection_options
def follow(connection: ConnectionOptions, workflow_id: str, timeout: float | None, output: _Output | None) -> None:
    """Follow a workflow until it ends or waits for user input.

    Example: sogni workflow watch WORKFLOW --output-dir out
    """
    _check_output(output, watching=True)
    with connection.client(timeout) as client:
        _watch_and_print(client, connection, workflow_id, timeout, output)


@workflow.command("list", cls=Command)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="List at most this many.")
@click.option("--offset", type=click.IntRange(min=0), default=0, show_default=True, help="Skip this many.")
@connection_options
def list_(connection: ConnectionOptions, limit: int, offset: int) -> None:
    """List the workflows of the account.

    Example: sogni workflow list --limit 10
    """
    with connection.client() as client:
        found = client.workflows.list(limit=limit, offset=offset)
    if connection.as_json:
        print_json(to_dict(found))
        return
    rows = [
        (it.workflow_id, it.status or "", f"{it.create_time:%Y-%m-%d %H:%M}" if it.create_time else "", it.title or "")
        for it in found
    ]
    print_table(("id", "status", "created", "title"), rows)


@workflow.command(cls=Command)
@_ID
@connection_options
def get(connection: ConnectionOptions, workflow_id: str) -> None:
    """Show a workflow, its steps and its results.

    Example: sogni workflow get WORKFLOW
    """
    with connection.client() as client:
        _print_record(connection, client.workflows.get(workflow_id))


@workflow.command(cls=Command)
@_ID
@_output_option(Path(), "Save results here. Default: the current directory.")
@connection_options
def save(connection: ConnectionOptions, workflow_id: str, output: _Output) -> None:
    """Save the results of a workflow and print the paths of the files.

    Example: sogni workflow save WORKFLOW --output-dir out
    """
    check_directory(output.directory)
    with connection.client() as client:
        paths = output.save(client, workflow_id)
    if connection.as_json:
        print_json({"workflowId": workflow_id, "files": [str(path) for path in paths]})
    else:
        print_paths(paths)


@workflow.command(cls=Command)
@_ID
@connection_options
def cancel(connection: ConnectionOptions, workflow_id: str) -> None:
    """Cancel a workflow. Running steps stop as soon as possible.

    Example: sogni workflow cancel WORKFLOW
    """
    with connection.client() as client:
        _print_state(connection, client.workflows.cancel(workflow_id))


@workflow.command(cls=Command)
@_ID
@_TOKEN
@_BILLING
@_WATCH
@_TIMEOUT
@_OUTPUT
@connection_options
def resume(
    connection: ConnectionOptions,
    workflow_id: str,
    watching: bool,
    timeout: float | None,
    output: _Output | None,
    **options: Any,
) -> None:
    """Resume a workflow that waits for user input. If it waits for approval of its cost, this approves it.

    Example: sogni workflow resume WORKFLOW --watch
    """
    _check_output(output, watching=watching)
    with connection.client(timeout) as client:
        record = start_workflow(lambda: client.workflows.resume(workflow_id, **options).workflow)
        _watch_or_print(client, connection, record, timeout, output, watching=watching)


@workflow.command(cls=Command)
@_ID
@click.option("--seed", "seeds", multiple=True, metavar="STEP=SEED", help="Set the seed of a step. Repeatable.")
@_TOKEN
@_BILLING
@_KEY
@_WATCH
@_TIMEOUT
@_OUTPUT
@connection_options
def reseed(
    connection: ConnectionOptions,
    workflow_id: str,
    seeds: tuple[str, ...],
    watching: bool,
    timeout: float | None,
    output: _Output | None,
    **options: Any,
) -> None:
    """Run a finished workflow again with other seeds.

    Example: sogni workflow reseed WORKFLOW --seed still=7
    """
    overrides = parse_seeds(seeds) or None
    _check_output(output, watching=watching)
    with connection.client(timeout) as client:
        record = start_workflow(
            lambda: client.workflows.reseed(workflow_id, seed_overrides=overrides, **options).workflow
        )
        _watch_or_print(client, connection, record, timeout, output, watching=watching)


def _check_output(output: _Output | None, *, watching: bool) -> None:
    if output is not None:
        if not watching:
            raise click.UsageError("--output-dir requires --watch; use 'sogni workflow save' later")
        check_directory(output.directory)


def _watch_or_print(
    client: SogniClient,
    connection: ConnectionOptions,
    record: WorkflowRecord,
    timeout: float | None,
    output: _Output | None,
    *,
    watching: bool,
) -> None:
    if watching:
        _watch_and_print(client, connection, record.workflow_id, timeout, output)
    else:
        _print_state(connection, record)


def _watch_and_print(
    client: SogniClient, connection: ConnectionOptions, workflow_id: str, timeout: float | None, output: _Output | None
) -> None:
    """Follow a workflow and print its results: paths if they are saved, otherwise URLs."""
    record = watch(client, workflow_id, timeout, quiet=connection.as_json)
    paths: list[Path] | list[Any] = []
    if output is not None and record.ended:
        paths = output.save(client, workflow_id)
    if connection.as_json:
        print_json(_document_with_files(record, paths if output is not None else None))
    elif output is not None:
        print_paths(paths)
    else:
        print_table(("artifact", "type", "URL"), _artifacts(record))
    raise_if_failed(record)


def _document_with_files(record: WorkflowRecord, paths: list[Path] | list[Any] | None) -> Mapping[str, Any]:
    document: dict[str, Any] = to_dict(record)
    return document if paths is None else {**document, "files": [str(path) for path in paths]}


def _print_state(connection: ConnectionOptions, record: WorkflowRecord) -> None:
    if connection.as_json:
        print_json(to_dict(record))
    else:
        print_table(("id", "status", "title"), [(record.workflow_id, record.status or "", record.title or "")])


def _print_record(connection: ConnectionOptions, record: WorkflowRecord) -> None:
    if connection.as_json:
        print_json(to_dict(record))
        return
    from sogni.cli.follow import WorkflowProgress

    progress = WorkflowProgress(record.workflow_id)
    progress.take_record(record)
    print_table(("step", "status", ""), [*progress.rows(), *_artifacts(record)])


def _artifacts(record: WorkflowRecord) -> list[tuple[str, str, str]]:
    return [("artifact", it.media_type or it.type or "", it.url) for it in record.artifacts if it.url]
