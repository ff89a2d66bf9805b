"""Creation of a project, waiting for it and saving its results, for the commands that generate media.

All available results are saved, even after an error. If the command is interrupted or times out, the project is
canceled, because nobody would collect its results, and the message says whether that succeeded. A project with an
idempotency key is not canceled: the same command, run again, collects it. Whenever a paid result may be left behind,
the message names the command that saves it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click
from attrs import frozen

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Interrupted, is_quiet, print_cost, print_stderr
from sogni.cli.output import Target, print_json, print_paths, saving, writing
from sogni.cli.preview import show_previews
from sogni.cli.progress import project_display
from sogni.cli.viewer import OPEN, open_files
from sogni.core.projects.results import sync_project
from sogni.errors import PartialFailureError, ProjectError, SogniError, SogniTimeoutError
from sogni.transport.waiting import Deadline

if TYPE_CHECKING:
    from sogni.api.project import Project
    from sogni.client import SogniClient

T = TypeVar("T")
Leave: TypeAlias = "Callable[[Project], str]"
"""Ends a project early, and returns what happened to it, as the end of a sentence."""

CANCEL_SECONDS = 3.0
"""How long to wait for the confirmation of a cancellation, in seconds."""

CREATE_SECONDS = 1.0
"""How long an interrupted command waits for a request that is being sent, in seconds."""

COST_SECONDS = 1.0
"""How long to wait for the cost of a finished project, in seconds."""

POLL_SECONDS = 0.25
"""Longest uninterruptible wait, in seconds."""


@frozen(kw_only=True)
class Collected:
    """A finished project, the saved files, and the error if results are missing."""

    project: Project
    files: list[Path] | list[Any]
    error: SogniError | None = None


def collect(
    client: SogniClient,
    fields: Mapping[str, Any],
    target: Target,
    *,
    max_cost: Any,
    timeout: float | None,
    idempotency_key: str | None = None,
    local: bool = False,
) -> Collected:
    """Create a project, wait for it and save its results.

    Args:
        client: Client to use.
        fields: Arguments of `projects.create`.
        target: Where to save the results.
        max_cost: Maximum cost, in the token that pays. Default: no limit.
        timeout: Time limit in seconds. Default: no limit.
        idempotency_key: Key of the project; None to create one in any case.
        local: True if the results disappear with the embedded emulator, so that no command could save them later.

    Raises:
        Interrupted: Ctrl-C was pressed.
        SogniError: The project could not be created.
        OSError: A result cannot be written.
    """
    deadline = Deadline(timeout)
    keys = {"max_cost": max_cost, "idempotency_key": idempotency_key}
    creation = in_background(lambda: client.projects.create(**fields, **keys))
    leave = cancel_and_describe if idempotency_key is None else describe_unfinished
    with reporting_unsaved(lambda: _created(creation), local=local, leave=leave):
        with project_display() as display:
            while not wait([creation], POLL_SECONDS).done:
                pass
            project = display.project = creation.result()
            error = follow(project, deadline, timeout, leave, local=local)
            display.text = "saving"
            files = save_results(project, target, error, local=local)
        return Collected(project=project, files=files, error=error)


def in_background(work: Callable[[], T]) -> Future[T]:
    """Call `work` on another thread, where Ctrl-C does not interrupt it.

    Interrupting a creation while its request is being sent could leave a running, billed project whose ID is lost.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="sogni-command", daemon=True).start()
    return future


def _created(creation: Future[Project]) -> Project | None:
    """Return the project of an interrupted command; None if it was not created, or is not known in time."""
    done, _ = wait([creation], CREATE_SECONDS)
    return creation.result() if done and creation.exception() is None else None


@contextmanager
def reporting_unsaved(find: Callable[[], Project | None], *, local: bool, leave: Leave) -> Iterator[None]:
    """If a `with` block is interrupted or terminated, leave its project and report what happens to it.

    Args:
        find: Returns the project; None if there is none yet.
        local: True if no command could save the results later.
        leave: What to do with the project after Ctrl-C. A terminated command leaves it unchanged.

    Raises:
        Interrupted: Ctrl-C was pressed.
    """
    try:
        yield
    except KeyboardInterrupt:
        project = find()
        if project is None:
            raise Interrupted("interrupted") from None
        outcome = leave(project)
        raise Interrupted(f"interrupted; project {project.id} {outcome}{_unsaved(project, local=local)}") from None
    except SystemExit:
        project = find()
        if project is not None and (hint := _unsaved(project, local=local)):
            print_stderr(f"terminated; project {project.id} {describe_continuing(project)}{hint}")
        raise


def save_command(*project_ids: str) -> str:
    """Return the command that saves the results of projects, quoted."""
    return f"'sogni project save {' '.join(project_ids)}'"


def _unsaved(project: Project, *, local: bool) -> str:
    """Name the command that saves the present and future results of a project; an empty string if there are none."""
    if local or (project.finished and not project.result_urls):
        return ""
    later = "" if project.finished else " once it has finished"
    return f"; {save_command(project.id)} fetches its results{later}"


def follow(
    project: Project, deadline: Deadline, timeout: float | None, leave: Leave, *, local: bool
) -> SogniError | None:
    """Wait for a project; return why results are missing, None if none is.

    Raises:
        SogniError: The project can no longer be followed.
    """
    try:
        _wait(project, deadline)
    except PartialFailureError as partial:
        return PartialFailureError(missing_results(project), code=partial.code, project=project)
    except SogniTimeoutError as late:
        outcome = leave(project)
        hint = "" if project.finished else _unsaved(project, local=local)
        message = f"project {project.id} did not finish within {timeout:g} seconds and {outcome}{hint}"
        return SogniTimeoutError(message, phase=late.phase, timeout=timeout)
    except ProjectError as failure:
        return failure
    except SogniError as error:
        error.add_note(f"project {project.id} {describe_continuing(project)}{_unsaved(project, local=local)}")
        raise
    return None


def _wait(project: Project, deadline: Deadline) -> None:
    """Wait in short intervals: a signal that arrives just before one is noticed only at its end."""
    while True:
        left = deadline.left()
        interval = POLL_SECONDS if left is None else min(POLL_SECONDS, left)
        try:
            project.wait(interval, strict=True)
        except SogniTimeoutError:
            if deadline.over:
                raise
        else:
            return


def save_results(project: Project, target: Target, error: SogniError | None, *, local: bool) -> list[Path] | list[Any]:
    """Save the available results. After an earlier `error`, a failure to save only adds a note to it."""
    state = "has finished" if project.finished else "continues"
    lost = f"project {project.id} {state}, but its results were not saved{_unsaved(project, local=local)}"
    try:
        with writing(target.directory, lost):
            return project.save(target.directory, name=target.name, overwrite=target.overwrite)
    except (SogniError, OSError):
        if error is None:
            raise
        error.add_note(lost)
        return []


def project_document(client: SogniClient, project: Project) -> dict[str, Any]:
    """Return the snapshot of a project with its cost, if the service reports it."""
    if project.finished and project.cost is None:
        # The client is still reading the record in the background.
        client._engine.run(sync_project(project.id))
    return project.to_dict()


def await_cost(client: SogniClient, project: Project) -> None:
    """Wait briefly for the cost of a finished project, which the client is still reading in the background."""
    if project.finished and project.cost is None:
        wait([in_background(lambda: client._engine.run(sync_project(project.id)))], COST_SECONDS)


def cancel_and_describe(project: Project) -> str:
    """Cancel a project and return the outcome, as the end of a sentence."""
    if project.finished:
        return "had already finished"
    cancellation = in_background(project.cancel)
    done, _ = wait([cancellation], CANCEL_SECONDS)
    if not done or cancellation.exception() is not None:
        return "could not be canceled and continues"
    return "was canceled" if project.status == "canceled" else "had already finished"


def describe_unfinished(project: Project) -> str:
    """Return what happens to a project that is not canceled, because the same command would follow it."""
    return "had already finished" if project.finished else "continues: run the same command again to collect it"


def describe_continuing(project: Project) -> str:
    """Return what happens to a project that is left unchanged."""
    return "has finished" if project.finished else "continues"


def missing_results(project: Project) -> str:
    """Return how many results of a project are missing, and why."""
    missing = project.failed_jobs
    reasons: list[str] = []
    for job in missing:
        if job.is_nsfw:
            reasons.append("withheld by the content filter")
        else:
            reasons.append(job.error.message if job.error else job.status)
    available, requested = len(project.result_urls), project.params.number_of_media
    why = "; ".join(dict.fromkeys(reasons)) or "the service returned no more"
    return f"project {project.id} has {available} of {requested} results: {why}"


@frozen(kw_only=True)
class Generation:
    """Options of every command that generates media: connection, output, time limit and cost limit."""

    connection: ConnectionOptions
    target: Target
    timeout: float | None
    max_cost: str | None
    idempotency_key: str | None = None
    opening: bool = False

    def run(self, fields: Mapping[str, Any]) -> None:
        """Run a project and print the saved files. Raises the errors of `collect`, or why results are missing."""
        requested = {**fields, "network": self.connection.network}
        with self.connection.client(self.timeout) as client:
            collected = collect(
                client,
                requested,
                self.target,
                max_cost=self.max_cost,
                timeout=self.timeout,
                idempotency_key=self.idempotency_key,
                local=self.connection.local,
            )
            document = project_document(client, collected.project) if self.connection.as_json else None
            if document is None and not is_quiet():
                await_cost(client, collected.project)
        if document is not None:
            print_json({**document, "files": [str(path) for path in collected.files]})
        else:
            print_paths(collected.files)
            show_previews(collected.files)
        if collected.project.cost or collected.error is None:
            print_cost(collected.project.cost, collected.project.token_type)
        if self.opening:
            open_files(collected.files)
        if collected.error is not None:
            raise collected.error


def generation_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of this module to a command, which receives a `Generation` as its first argument."""

    @wraps(function)
    def command(
        connection: ConnectionOptions,
        *,
        target: Target,
        timeout: float | None,
        max_cost: str | None,
        idempotency_key: str | None,
        opening: bool,
        **given: Any,
    ) -> Any:
        generation = Generation(
            connection=connection,
            target=target,
            timeout=timeout,
            max_cost=max_cost,
            idempotency_key=idempotency_key,
            opening=opening,
        )
        return function(generation, **given)

    return saving(OPEN(_TIMEOUT(_MAX_COST(_IDEMPOTENCY_KEY(connection_options(command))))))


_TIMEOUT = click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    is_eager=True,
    help="Cancel the project after this many seconds. Default: no limit.",
)
_MAX_COST = click.option(
    "--max-cost", metavar="AMOUNT", help="Refuse to start above this cost, in the token that pays. Default: no limit."
)
_IDEMPOTENCY_KEY = click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Pay once for all commands with this key; later ones collect the project of the first. "
    "Ctrl-C and --timeout then cancel nothing.",
)
