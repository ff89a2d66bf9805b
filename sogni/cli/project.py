"""The commands `sogni project list`, `show`, `watch`, `save` and `cancel`.

They work with any project of the account, no matter which program started it. `watch`, `save` and `show` never cancel a
project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Command, Group, print_stderr
from sogni.cli.output import (
    OVERWRITE,
    OutputDirectory,
    Target,
    check_directory,
    print_json,
    print_paths,
    print_table,
    saving,
    writing,
)
from sogni.cli.preview import show_previews
from sogni.cli.progress import project_display
from sogni.cli.run_project import (
    describe_continuing,
    follow,
    project_document,
    reporting_unsaved,
    save_command,
    save_results,
)
from sogni.cli.viewer import OPEN, open_files
from sogni.core.projects.file_names import DEFAULT
from sogni.core.projects.lookups import all_active
from sogni.core.projects.past_projects import KINDS
from sogni.errors import NotFoundError, SogniError
from sogni.models.converter import to_dict
from sogni.models.projects import (
    JobRecord,
    JobResult,
    ProjectRecord,
    ProjectStatusRecord,
    RecentProject,
    ResultKind,
)
from sogni.settings import check_seconds
from sogni.transport.waiting import Deadline

if TYPE_CHECKING:
    from sogni.api.project import ProjectResult
    from sogni.client import SogniClient

_STATUS = {"authorized": "pending", "active": "queued", "assigned": "processing", "progress": "processing"}
"""Statuses of recorded projects whose names differ from those of `Project.status`."""
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.group(cls=Group)
def project() -> None:
    """Find projects of the account, follow them and save their results, no matter which program started them.

    Example: sogni project list
    """


_ID = click.argument("project_id", metavar="ID")


@project.command("list", cls=Command)
@click.option(
    "--since",
    default="24h",
    show_default=True,
    metavar="TIME",
    help="List results completed since then: 90m, 3h or 7d ago, or a date such as 2030-01-31. At most 7d.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100),
    default=50,
    show_default=True,
    help="List the projects of at most this many results.",
)
@click.option("--app-source", metavar="NAME", help="List only projects of this application. Default: all.")
@connection_options
def list_(connection: ConnectionOptions, since: str, limit: int, app_source: str | None) -> None:
    """List running projects, and those with recent results, newest first.

    Example: sogni project list --since 3h
    """
    start = _time(since)
    with connection.client() as client:
        active = client._engine.run(all_active())
        recent = client.projects.list_recent(start, limit, app_source)
    running = [it for it in active if not it.is_chat and app_source in (None, it.app_source)]
    ids = {it.id.upper() for it in running}
    ended = [it for it in recent if it.id.upper() not in ids]
    if connection.as_json:
        print_json({"running": to_dict(running), "recent": to_dict(ended)})
    else:
        print_table(("id", "status", "results", "time", "model"), [*map(_running_row, running), *map(_row, ended)])


def _time(text: str) -> datetime:
    """Return the time that `--since` names. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", text.strip())
    if found:
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--since must be a duration such as 3h or a date, got {text!r}") from None


def _running_row(record: ProjectRecord) -> tuple[str, ...]:
    done = sum(job.status == "jobCompleted" for job in record.completed_worker_jobs)
    status = _STATUS.get(record.status or "", record.status or "")
    model = (record.model.id if record.model else None) or ""
    return record.id, status, f"{done} of {record.image_count or 1}", _local(record.create_time), model


def _row(recent: RecentProject) -> tuple[str, ...]:
    model = recent.model_id or recent.model_name or ""
    return recent.id, "completed", str(len(recent.jobs)), _local(recent.finished_at), model


def _local(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().isoformat(" ", "seconds")[:19]


@project.command(cls=Command)
@_ID
@connection_options
def show(connection: ConnectionOptions, project_id: str) -> None:
    """Show the status of a project, its cost, and its results with their URLs.

    Example: sogni project show PROJECT
    """
    with connection.client() as client:
        status = client.projects.get_status(project_id)
        result = client.projects.get_result(project_id)
        record = _record(client, status)
    document = _document(status, result, record)
    if connection.as_json:
        print_json(document)
        return
    waiting = status.waiting_reason.message if status.waiting_reason else None
    cost = None if record is None or record.cost is None else f"{record.cost:f} {record.token_type or ''}".rstrip()
    facts = (
        ("id", result.id),
        ("status", result.status),
        ("waiting", waiting),
        ("model", result.model_id),
        ("cost", cost),
        ("started", _local(record.create_time) if record else None),
        ("finished", _local(record.end_time) if record else None),
        ("duration", None if record is None or record.duration is None else f"{record.duration:.1f} s"),
    )
    jobs = [(job.id, job.status, job.url or job.url_unavailable or job.reason or "") for job in result.jobs]
    print_table(("project", "", ""), [*((name, value, "") for name, value in facts if value), *jobs])


def _record(client: SogniClient, status: ProjectStatusRecord) -> ProjectRecord | None:
    """Return the record of a finished project, which has its cost; None if there is none yet."""
    if not status.finished:
        return None
    try:
        return client.projects.get(status.id)
    except NotFoundError:
        return None


def _document(status: ProjectStatusRecord, result: ProjectResult, record: ProjectRecord | None) -> Mapping[str, Any]:
    """Return the results, with cost and times from the service's record if they are known."""
    known = {(job.img_id or job.id or "").upper(): job for job in (*status.worker_jobs, *status.completed_worker_jobs)}
    document = result.to_dict()
    jobs = [{**job, **_times(known.get(job["id"], JobRecord()))} for job in document["jobs"]]
    added: dict[str, Any] = {"waitingReason": status.waiting_reason}
    if record is not None:
        added |= {"cost": record.cost, "tokenType": record.token_type, "duration": record.duration}
        added |= {"startedAt": record.create_time, "finishedAt": record.end_time}
    return {**document, **_known(added), "jobs": jobs}


def _times(job: JobRecord) -> Mapping[str, Any]:
    return _known({"startedAt": job.start_time, "finishedAt": job.end_time, "duration": job.duration})


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_dict(value) for name, value in values.items() if value is not None}


@project.command(cls=Command)
@_ID
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="Stop watching after this many seconds. Default: no limit."
)
@click.option(
    "-o",
    "--output-dir",
    type=OutputDirectory(),
    metavar="DIRECTORY",
    help="Save the results here. Default: print their URLs.",
)
@OVERWRITE
@connection_options
def watch(
    connection: ConnectionOptions,
    project_id: str,
    timeout: float | None,
    output_dir: Path | str | None,
    overwrite: bool,
) -> None:
    """Follow a project until it ends, and print the URLs of its results, or the paths of the saved files.

    The project continues when the command ends, even by Ctrl-C or --timeout.

    Example: sogni project watch PROJECT --output-dir out
    """
    target = None if output_dir is None else Target(directory=output_dir, name=DEFAULT, overwrite=overwrite)
    if target is not None:
        check_directory(target.directory)
    deadline = Deadline(check_seconds("timeout", timeout))
    with connection.client(timeout) as client:
        watched = client.projects.attach(project_id)
        with reporting_unsaved(lambda: watched, local=connection.local, leave=describe_continuing):
            with project_display() as display:
                display.project = watched
                error = follow(watched, deadline, timeout, describe_continuing, local=connection.local)
            paths = [] if target is None else save_results(watched, target, error, local=connection.local)
        document = project_document(client, watched) if connection.as_json else None
    if document is not None:
        print_json({**document, **({} if target is None else {"files": [str(path) for path in paths]})})
    elif target is None:
        print_table(("result", "status", "URL"), [(job.id, job.status, job.result_url or "") for job in watched.jobs])
    else:
        print_paths(paths)
    if error is not None:
        raise error


@project.command(cls=Command)
@click.argument("project_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(KINDS), help="Type of the results, if the service does not report it.")
@saving
@OPEN
@connection_options
def save(
    connection: ConnectionOptions, target: Target, project_ids: Sequence[str], kind: ResultKind | None, opening: bool
) -> None:
    """Save the results of projects, even if another program started them, and print the paths.

    Existing files are kept. Missing results are reported, and the exit code is then 1.

    Example: sogni project save PROJECT --output-dir out
    """
    documents: list[dict[str, Any]] = []
    missing: list[str] = []
    with connection.client() as client:
        try:
            for project_id in project_ids:
                result = client.projects.get_result(project_id, kind)
                with writing(target.directory, f"run the command again to save project {result.id}"):
                    paths = result.save(target.directory, name=target.name, overwrite=target.overwrite)
                if not connection.as_json:
                    print_paths(paths)
                    show_previews(paths)
                if opening:
                    open_files(paths)
                documents.append({**result.to_dict(), "files": [str(path) for path in paths]})
                missing += filter(None, [_shortfall(result)])
        finally:
            if connection.as_json and documents:
                print_json({"projects": documents})
    for text in missing[:-1]:
        print_stderr(text)
    if missing:
        raise SogniError(missing[-1])


def _shortfall(result: ProjectResult) -> str | None:
    """Return which results of a project are missing, and why; None if the project has all of them."""
    available = sum(job.url is not None for job in result.jobs)
    if not result.finished:
        return (
            f"project {result.id} is {result.status} and has {available} results so far; "
            f"'sogni project watch {result.id} --output-dir .' waits for the others"
        )
    why = "; ".join(dict.fromkeys(_reason(job) for job in result.jobs if job.url is None))
    if not why and available:
        return None
    return f"project {result.id} has {available} of {len(result.jobs)} results: {why or result.status}"


def _reason(job: JobResult) -> str:
    if job.url_unavailable == "sensitiveContent":
        return "withheld by the content filter"
    if job.url_unavailable == "unknownMediaKind":
        return "nothing tells what they are, pass --kind"
    return job.error or job.reason or str(job.status)


@project.command(cls=Command)
@_ID
@connection_options
def cancel(connection: ConnectionOptions, project_id: str) -> None:
    """Cancel a project. A project that has ended is unchanged.

    Example: sogni project cancel PROJECT
    """
    with connection.client() as client:
        before = client.projects.get_status(project_id)
        if not before.finished:
            client.projects.cancel(project_id)
        after = client.projects.get_status(project_id)
    if connection.as_json:
        print_json({"id": after.id, "status": after.status})
    else:
        print_table(("id", "status"), [(after.id, str(after.status))])
    if any(job.status == "jobCompleted" for job in after.completed_worker_jobs) and not connection.local:
        print_stderr(f"project {after.id} has results; {save_command(after.id)} fetches them")
