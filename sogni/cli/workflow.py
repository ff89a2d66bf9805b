"""What a workflow is started with on the command line: decides what PLAN, `--input`, `--media`, `--seed` mean.

Used by the `workflow` commands. Files are read and checked before a client is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from sogni.cli.connection_options import JSON, Access, accessing
from sogni.cli.exit_codes import USAGE, Command, Group
from sogni.cli.follow import begun, refuse_failure, watch
from sogni.cli.output import OVERWRITING, check_directory, print_json, print_paths, print_table, writing
from sogni.local.plan_files import SUFFIXES, file_findings, load_plan
from sogni.models.converter import to_dict
from sogni.models.workflows import MediaReference, WorkflowRecord

if TYPE_CHECKING:
    from sogni.client import SogniClient


def plan_or_template(plan: str, inputs: Mapping[str, Any], media: Sequence[str], *, strict: bool) -> dict[str, Any]:
    """What `start` gets for PLAN: a plan from a file, which its suffix tells, else the id of a template.

    A plan is checked here, so that every mistake is told with its line. ValidationError, UsageError.
    """
    if Path(plan).suffix.lower() not in SUFFIXES:
        return {"workflow_id": plan, "inputs": dict(inputs) or None}
    if inputs:
        raise click.UsageError("--input belongs to a template: give its id as PLAN, not a file")
    if not Path(plan).exists():
        raise click.UsageError(f"PLAN: there is no file {plan!r}")
    return {"input": load_plan(plan, media_references=media, whole=strict), "strict": strict}


def read_inputs(pairs: Iterable[str]) -> dict[str, Any]:
    """Inputs of a template from `name=value`; a value that is JSON is that, everything else a text."""
    return {name: _value(value) for name, value in _pairs("--input", pairs)}


def read_seeds(pairs: Iterable[str]) -> dict[str, int]:
    """Seeds of steps from `step=seed`."""
    seeds: dict[str, int] = {}
    for step, seed in _pairs("--seed", pairs):
        try:
            seeds[step] = int(seed)
        except ValueError:
            raise click.UsageError(f"--seed: {seed!r} is no whole number") from None
    return seeds


def _pairs(option: str, pairs: Iterable[str]) -> Iterable[tuple[str, str]]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"{option}: {pair!r} is not NAME=VALUE")
        if name.strip() in found:
            raise click.UsageError(f"{option}: {name.strip()!r} is given twice")
        found[name.strip()] = value
    return found.items()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def check_media(media: Iterable[str]) -> None:
    """UsageError for a file that cannot be uploaded, before anything else is done."""
    for it in media:
        if not _is_address(it) and not Path(it).is_file():
            raise click.UsageError(f"--media: there is no file {it!r}")


def upload_media(client: SogniClient, media: Iterable[str]) -> list[MediaReference]:
    """References to media: addresses as they are, files uploaded."""
    return [MediaReference(url=it) if _is_address(it) else client.workflows.upload(Path(it)) for it in media]


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


# `sogni workflow`: plans of several steps that the service carries out.


_ID = click.argument("workflow_id", metavar="ID")
_WATCH = click.option("--watch", "watching", is_flag=True, help="Follow it until it ends or waits for you.")
_TIMEOUT = click.option("--timeout", type=float, metavar="SECONDS", help="Stop watching after this long.")


@frozen(kw_only=True)
class _Output:
    """The directory for what a workflow makes, and whether files that are there are replaced."""

    directory: Path
    overwrite: bool

    def save(self, client: SogniClient, workflow_id: str) -> list[Path]:
        with writing(self.directory, f"repeat it with 'sogni workflow save {workflow_id}'"):
            return list(client.workflows.save_artifacts(workflow_id, self.directory, overwrite=self.overwrite))


def _saving_to(default: Path | None, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--output-dir` and `--overwrite`; it gets them as `output`, None without a directory."""

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(*args: Any, output_dir: Path | None, overwrite: bool, **given: Any) -> Any:
            output = None if output_dir is None else _Output(directory=output_dir, overwrite=overwrite)
            return function(*args, output=output, **given)

        kind = click.Path(file_okay=False, path_type=Path)
        option = click.option("-o", "--output-dir", type=kind, default=default, metavar="DIRECTORY", help=help)
        return option(OVERWRITING(command))

    return decorator


_OUTPUT = _saving_to(None, "Save what it made there, once it has ended.")
_TOKEN = click.option("--token", "token_type", type=click.Choice(("spark", "sogni")), help="The token that pays.")
_BILLING = click.option(
    "--billing-mode", type=click.Choice(("auto", "subscription", "tokens")), help="What pays for it."
)
_KEY = click.option(
    "--idempotency-key", metavar="KEY", help="Repeating a command with the same key starts nothing new."
)


@click.group(cls=Group)
def workflow() -> None:
    """Plans of several steps that the service carries out, whether or not anybody watches."""


@workflow.command(cls=Command)
@click.argument("plan")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input of a template; repeatable.")
@click.option("--media", multiple=True, metavar="FILE", help="A file or address for $input_media; repeatable.")
@click.option("--strict", is_flag=True, help="Refuse tools and arguments that are not known here.")
@click.option("--ask-cost", is_flag=True, help="Wait for an approval of the cost before anything is made.")
@click.option("--max-capacity-units", "max_estimated_capacity_units", type=float, help="Refuse to spend more.")
@_TOKEN
@_BILLING
@_KEY
@_WATCH
@_TIMEOUT
@_OUTPUT
@accessing
def start(
    access: Access,
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
    """Start PLAN: a file in YAML or JSON, or the id of a template."""
    check_media(media)
    given = plan_or_template(plan, read_inputs(inputs), media, strict=strict)
    _check_output(output, watching=watching)
    with access.client(timeout) as client:
        given["media_references"] = upload_media(client, media) or None
        given["confirm_cost"] = False if ask_cost else None
        record = begun(lambda: client.workflows.start(**given, **options))
        _go_on(client, access, record, timeout, output, watching=watching)


@workflow.command(cls=Command)
@click.argument("plan", type=click.Path(exists=True, dir_okay=False))
@click.option("--local", is_flag=True, help="Taken for granted.")
@JSON
def check(plan: str, local: bool, as_json: bool) -> None:
    """Check a PLAN file, its tools and arguments too; sends nothing."""
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
@accessing
def follow(access: Access, workflow_id: str, timeout: float | None, output: _Output | None) -> None:
    """Follow a workflow until it ends or waits for you."""
    _check_output(output, watching=True)
    with access.client(timeout) as client:
        _watched(client, access, workflow_id, timeout, output)


@workflow.command("list", cls=Command)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="How many to leave out.")
@accessing
def list_(access: Access, limit: int, offset: int) -> None:
    """List the workflows of the account."""
    with access.client() as client:
        found = client.workflows.list(limit=limit, offset=offset)
    if access.as_json:
        print_json(to_dict(found))
        return
    rows = [
        (it.workflow_id, it.status or "", f"{it.create_time:%Y-%m-%d %H:%M}" if it.create_time else "", it.title or "")
        for it in found
    ]
    print_table(("id", "status", "created", "title"), rows)


@workflow.command(cls=Command)
@_ID
@accessing
def get(access: Access, workflow_id: str) -> None:
    """Show a workflow, its steps and what it made."""
    with access.client() as client:
        _print_record(access, client.workflows.get(workflow_id))


@workflow.command(cls=Command)
@_ID
@_saving_to(Path(), "Where to save; the current directory by default.")
@accessing
def save(access: Access, workflow_id: str, output: _Output) -> None:
    """Save what a workflow made."""
    check_directory(output.directory)
    with access.client() as client:
        paths = output.save(client, workflow_id)
    if access.as_json:
        print_json({"workflowId": workflow_id, "files": [str(path) for path in paths]})
    else:
        print_paths(paths)


@workflow.command(cls=Command)
@_ID
@accessing
def cancel(access: Access, workflow_id: str) -> None:
    """End a workflow; steps under way stop when they can."""
    with access.client() as client:
        _print_state(access, client.workflows.cancel(workflow_id))


@workflow.command(cls=Command)
@_ID
@_TOKEN
@_BILLING
@_WATCH
@_TIMEOUT
@_OUTPUT
@accessing
def resume(
    access: Access,
    workflow_id: str,
    watching: bool,
    timeout: float | None,
    output: _Output | None,
    **options: Any,
) -> None:
    """Let a workflow go on that waits for you; approves its cost if that is what it waits for."""
    _check_output(output, watching=watching)
    with access.client(timeout) as client:
        record = begun(lambda: client.workflows.resume(workflow_id, **options).workflow)
        _go_on(client, access, record, timeout, output, watching=watching)


@workflow.command(cls=Command)
@_ID
@click.option("--seed", "seeds", multiple=True, metavar="STEP=SEED", help="The seed of a step; repeatable.")
@_TOKEN
@_BILLING
@_KEY
@_WATCH
@_TIMEOUT
@_OUTPUT
@accessing
def reseed(
    access: Access,
    workflow_id: str,
    seeds: tuple[str, ...],
    watching: bool,
    timeout: float | None,
    output: _Output | None,
    **options: Any,
) -> None:
    """Start another take of a workflow that has ended, with other seeds."""
    overrides = read_seeds(seeds) or None
    _check_output(output, watching=watching)
    with access.client(timeout) as client:
        record = begun(lambda: client.workflows.reseed(workflow_id, seed_overrides=overrides, **options).workflow)
        _go_on(client, access, record, timeout, output, watching=watching)


# -- what the commands have in common


def _check_output(output: _Output | None, *, watching: bool) -> None:
    if output is not None:
        if not watching:
            raise click.UsageError("--output-dir needs --watch; 'sogni workflow save' saves later")
        check_directory(output.directory)


def _go_on(
    client: SogniClient,
    access: Access,
    record: WorkflowRecord,
    timeout: float | None,
    output: _Output | None,
    *,
    watching: bool,
) -> None:
    if watching:
        _watched(client, access, record.workflow_id, timeout, output)
    else:
        _print_state(access, record)


def _watched(
    client: SogniClient, access: Access, workflow_id: str, timeout: float | None, output: _Output | None
) -> None:
    """Follow a workflow, and print what it made: files when they are saved, else addresses."""
    record = watch(client, workflow_id, timeout, quiet=access.as_json)
    paths: list[Path] = []
    if output is not None and record.ended:
        paths = output.save(client, workflow_id)
    if access.as_json:
        print_json(_with_files(record, paths if output is not None else None))
    elif output is not None:
        print_paths(paths)
    else:
        print_table(("artifact", "type", "address"), _artifacts(record))
    refuse_failure(record)


def _with_files(record: WorkflowRecord, paths: list[Path] | None) -> Mapping[str, Any]:
    document: dict[str, Any] = to_dict(record)
    return document if paths is None else {**document, "files": [str(path) for path in paths]}


def _print_state(access: Access, record: WorkflowRecord) -> None:
    if access.as_json:
        print_json(to_dict(record))
    else:
        print_table(("id", "status", "title"), [(record.workflow_id, record.status or "", record.title or "")])


def _print_record(access: Access, record: WorkflowRecord) -> None:
    if access.as_json:
        print_json(to_dict(record))
        return
    from sogni.cli.follow import WorkflowProgress

    progress = WorkflowProgress(record.workflow_id)
    progress.take_record(record)
    print_table(("step", "status", ""), [*progress.rows(), *_artifacts(record)])


def _artifacts(record: WorkflowRecord) -> list[tuple[str, str, str]]:
    return [("artifact", it.media_type or it.type or "", it.url) for it in record.artifacts if it.url]
