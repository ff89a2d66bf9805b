"""From a request to files: decides what happens to a project that fails, takes too long or is interrupted.

Called by the commands that generate. Whatever there is gets saved; a project whose results nobody would
fetch any more is canceled, and what became of it is said.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import frozen

from sogni.cli.connection_options import Access, accessing
from sogni.cli.exit_codes import Interrupted
from sogni.cli.output import Target, print_json, print_paths, saving, writing
from sogni.cli.progress import Display, showing
from sogni.errors import PartialFailureError, ProjectError, SogniError, SogniTimeoutError
from sogni.transport.waiting import Deadline

if TYPE_CHECKING:
    from sogni.api.project import Project
    from sogni.client import SogniClient

T = TypeVar("T")

CANCEL_WITHIN = 3.0
"""Seconds for the confirmation of a cancellation, before the command ends without one."""

CREATED_WITHIN = 1.0
"""Seconds that an interrupted command gives a request that is just being sent."""

TURN = 0.25
"""Seconds of one turn of waiting."""


@frozen(kw_only=True)
class Collected:
    """A project that is over, what was saved of it, and why that is not everything."""

    project: Project
    files: list[Path]
    error: SogniError | None = None


def collect(
    client: SogniClient, fields: Mapping[str, Any], target: Target, *, max_cost: Any, timeout: float | None
) -> Collected:
    """Create a project, wait for it and save its results.

    Raises `Interrupted`, what `projects.create` raises, and OSError when a result cannot be written.
    """
    deadline = Deadline(timeout)
    creation = in_background(lambda: client.projects.create(**fields, max_cost=max_cost))
    try:
        with showing() as display:
            return _collect(creation, target, display, deadline, timeout)
    except KeyboardInterrupt:
        raise Interrupted(_last_words(creation)) from None


def in_background(work: Callable[[], T]) -> Future[T]:
    """Do something in a thread of its own, where Ctrl-C does not break it off in the middle.

    A creation that is broken off while its request is being sent may leave a project that runs, and costs,
    without anybody knowing its id.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="sogni-command", daemon=True).start()
    return future


def _last_words(creation: Future[Project]) -> str:
    """What is said after Ctrl-C, also when it came before the project was known."""
    done, _ = wait([creation], CREATED_WITHIN)
    if not done or creation.exception() is not None:
        return "interrupted"
    project = creation.result()
    return f"interrupted; project {project.id} {fate(project)}"


def _collect(
    creation: Future[Project], target: Target, display: Display, deadline: Deadline, timeout: float | None
) -> Collected:
    while not wait([creation], TURN).done:
        pass
    project = display.project = creation.result()
    error: SogniError | None = None
    try:
        _wait(project, deadline)
    except PartialFailureError as partial:
        error = PartialFailureError(shortfall(project), code=partial.code, project=project)
    except SogniTimeoutError as late:
        words = f"project {project.id} was not finished within {timeout:g} seconds and {fate(project)}"
        error = SogniTimeoutError(words, phase=late.phase, timeout=timeout)
    except ProjectError as failure:
        error = failure
    display.text = "saving"
    return Collected(project=project, files=save(project, target, error), error=error)


def _wait(project: Project, deadline: Deadline) -> None:
    """Wait in short turns: a signal that arrives just as a turn begins is not noticed before its end."""
    while True:
        left = deadline.left()
        turn = TURN if left is None else min(TURN, left)
        try:
            project.wait(turn, strict=True)
        except SogniTimeoutError:
            if deadline.over:
                raise
        else:
            return


def save(project: Project, target: Target, error: SogniError | None) -> list[Path]:
    """Save the results there are; after an error, what cannot be saved is no further one."""
    try:
        with writing(target.directory, f"project {project.id} is finished, its results are not saved"):
            return project.save(target.directory, name=target.name, overwrite=target.overwrite)
    except (SogniError, OSError):
        if error is not None:
            return []
        raise


def fate(project: Project) -> str:
    """Cancel a project that nobody will collect, and say what became of it."""
    if project.finished:
        return "was finished"
    cancellation = in_background(project.cancel)
    done, _ = wait([cancellation], CANCEL_WITHIN)
    if not done or cancellation.exception() is not None:
        return "could not be canceled and goes on"
    return "was canceled" if project.status == "canceled" else "was finished"


def shortfall(project: Project) -> str:
    """What is missing of a project that has some of its results, and why."""
    missing = project.failed_jobs
    reasons: list[str] = []
    for job in missing:
        if job.is_nsfw:
            reasons.append("withheld by the content filter")
        else:
            reasons.append(job.error.message if job.error else job.status)
    there, wanted = len(project.result_urls), project.params.number_of_media
    why = "; ".join(dict.fromkeys(reasons)) or "the service gave no more"
    return f"project {project.id} has {there} of {wanted} results: {why}"


# What every command that generates does with a project: decides its further options and what is printed.
#
# Used by `image`, `video` and `music`, which only differ in how a project is described.


@frozen(kw_only=True)
class Generation:
    """Where a project runs, how long it may take and cost, and where its results go."""

    access: Access
    target: Target
    timeout: float | None
    max_cost: str | None

    def run(self, fields: Mapping[str, Any]) -> None:
        """Carry a project out and print what was saved. Raises what `collect` raises, or why it is not everything."""
        wanted = {**fields, "network": self.access.network}
        with self.access.client(self.timeout) as client:
            collected = collect(client, wanted, self.target, max_cost=self.max_cost, timeout=self.timeout)
        if self.access.as_json:
            print_json({**collected.project.to_dict(), "files": [str(path) for path in collected.files]})
        else:
            print_paths(collected.files)
        if collected.error is not None:
            raise collected.error


def generating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this module; it gets them as a `Generation`, its first argument."""

    @wraps(function)
    def command(access: Access, *, target: Target, timeout: float | None, max_cost: str | None, **given: Any) -> Any:
        generation = Generation(access=access, target=target, timeout=timeout, max_cost=max_cost)
        return function(generation, **given)

    return saving(_TIMEOUT(_MAX_COST(accessing(command))))


_TIMEOUT = click.option(
    "--timeout", type=float, metavar="SECONDS", is_eager=True, help="Give up, and cancel, after this long."
)
_MAX_COST = click.option("--max-cost", metavar="AMOUNT", help="Refuse to spend more, in the token that pays.")
