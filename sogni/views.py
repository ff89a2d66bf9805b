"""What users see of projects, in both packages: decides every plain property of a handle.

The handles of both shells are subclasses that add what waits or does I/O. Reading never blocks:
values are replaced, not changed, by the thread that writes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from .errors import ClientClosedError
from .job_view import JobView, moment, note_listener, register
from .listening import Listening, Remover
from .models.converter import read, read_time, to_dict
from .models.events import ErrorData
from .models.snapshots import ProjectSnapshot
from .protocol.field_checks import refusal
from .protocol.job_state import JobState
from .protocol.listeners import Listeners
from .protocol.project_facts import PROJECT_EVENTS
from .protocol.project_params import params_snapshot
from .protocol.project_state import ProjectState
from .protocol.restored_state import restored_state


class Host(Protocol):
    """What a handle needs of its client's engine to be read."""

    def own(self, state: Any, cure: str = ...) -> None:
        """ClientClosedError when a state is not of this process."""

    def present(self, value: Any) -> Any:
        """The handle of a state."""


class ProjectView(Listening):
    """A media project.

    Events: `progress` (int), `updated` (set of changed names), `job_started`, `job_completed` and
    `job_failed` (`Job`), `completed` (list of URLs), `failed` (`ErrorData`), `canceled` (nothing).
    """

    __slots__ = ("__weakref__", "_engine", "_state")
    _events = PROJECT_EVENTS
    _job_class: type[JobView] = JobView

    def __init__(self, engine: Any, state: ProjectState) -> None:
        self._engine = engine
        self._state = state

    def _listeners(self) -> Listeners:
        return self._state.listeners

    def _heard(self) -> None:
        note_listener(self._state)

    def _add(self, event: str, function: Callable[..., Any], *, once: bool) -> Remover:
        project = self._state
        return register(self._engine, project, lambda: project.listen(event, function, once=once))

    def _attached(self, engine: Any, state: ProjectState) -> None:
        """The project of this handle is tracked by a client from now on, maybe under a state it had already."""
        before, known = self._state, self._engine
        self._state, self._engine = state, engine
        if before is not state:
            state.listeners.go_on_from(before.listeners)
            if before.listening:
                note_listener(state)
        if state.handle is None:
            state.handle = self
        if known is not engine:
            for job in before.job_list():
                job.handle = None

    def _host(self) -> Any:
        """The engine. ClientClosedError for a handle that belongs to no open client of this process."""
        return host_of(self._engine, self._state)

    @property
    def id(self) -> str:
        """The project's id, an upper-case UUID."""
        return self._state.id

    @property
    def params(self) -> Any:
        """What was asked for; after the end with the counts of the service's record."""
        return self._state.params

    @property
    def type(self) -> str:
        """`image`, `video` or `audio`."""
        return str(getattr(self._state.params, "type", "image"))

    @property
    def status(self) -> str:
        """`pending`, `queued`, `processing`, `completed`, `failed` or `canceled`."""
        return self._state.status

    @property
    def finished(self) -> bool:
        """Whether the project has ended and every result is there, as far as it can be had."""
        return self._state.settled

    @property
    def error(self) -> ErrorData | None:
        """Why the project failed."""
        return self._state.error

    @property
    def progress(self) -> int:
        """Percent done, 0 to 100, over all jobs."""
        return self._state.progress(time.time() - self._state.out.epoch)

    @property
    def queue_position(self) -> int:
        """The place in the queue; -1 until it is known."""
        return self._state.queue_position

    @property
    def eta(self) -> datetime | None:
        """When the last job should be done, in UTC."""
        return moment(self._state.eta_at, self._state)

    @property
    def started_at(self) -> datetime:
        """When the project was created, in UTC."""
        return read_time(self._state.started_at * 1000)

    @property
    def jobs(self) -> list[Any]:
        """The jobs known so far, in order; each is the same handle every time."""
        return [self._present(job) for job in self._state.job_list()]

    @property
    def failed_jobs(self) -> list[Any]:
        """Jobs that ended without a result: failed, canceled or withheld."""
        return [self._present(job) for job in self._state.failed_jobs()]

    @property
    def result_urls(self) -> list[str]:
        """The URLs of the results there are, in job order."""
        return self._state.result_urls

    def job(self, job_id: str) -> Any:
        """The job with an id, in any case; None when there is none."""
        state = self._state.jobs.get(job_id.upper()) or self._state.jobs.get(job_id)
        return None if state is None else self._present(state)

    def to_dict(self) -> dict[str, Any]:
        """The project and its jobs at this moment, JSON-ready, with the keys of the wire."""
        made: dict[str, Any] = to_dict(self._state.snapshot(params_snapshot(self._state.params)))
        jobs = [job.to_dict() for job in self.jobs]
        return {**made, "jobs": jobs, "progress": self.progress, "resultUrls": self.result_urls}

    def _present(self, state: JobState) -> Any:
        job = state.handle
        if job is None:
            job = state.handle = self._job_class(self._engine, state)
        return job

    def __repr__(self) -> str:
        return f"<Project {self.id} {self.status} {self.progress}%>"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, ProjectView) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled_project, (type(self), to_dict(self._state.snapshot(params_snapshot(self._state.params))))


def to_attach(engine: Any, project: Any) -> tuple[str, ProjectState | None]:
    """The id and the state that a client goes on with. ValidationError for what is no project.

    One that another open client follows stays with that: it is changed under its lock. This one begins with a copy.
    """
    if isinstance(project, str):
        return project, None
    if not isinstance(project, ProjectView):
        raise refusal("project", project, "a Project, or the id of one")
    state, other = project._state, project._engine
    if other is None or other is engine or other.closed or other.state.out is not state.out:
        return project.id, state
    return project.id, restored_state(state.snapshot(params_snapshot(state.params)))


def host_of(engine: Any, state: ProjectState) -> Any:
    """The engine of a handle. ClientClosedError when it has none in this process."""
    if engine is None:
        raise ClientClosedError(
            f"project {state.id} is detached, as after unpickling; projects.attach(project) tracks it again"
        )
    engine.own(state)
    return engine


def _unpickled_project(kind: type[ProjectView], snapshot: dict[str, Any]) -> ProjectView:
    state = restored_state(read(ProjectSnapshot, snapshot, "the pickled project"))
    project = state.handle = kind(None, state)
    return project
