"""Base classes of the jobs and projects of both packages, and the signatures of methods that take many keywords.

The classes contain everything that never waits: registering listeners, and reading the state. Reading never blocks,
because the thread that writes a value replaces it instead of changing it. Subclasses in `api/` add the methods that
wait or perform I/O.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from inspect import Parameter, signature
from typing import Any, Generic, Literal, Protocol, TypeVar, cast, overload

import attrs

from sogni.core.checks import invalid_value
from sogni.core.outbox import Listeners
from sogni.core.projects.job import JOB_EVENTS, JobState
from sogni.core.projects.params import params_snapshot
from sogni.core.projects.project import PROJECT_EVENTS, ProjectState, restored_state
from sogni.emitter import Decorator, EventEmitter, Remover
from sogni.errors import ClientClosedError
from sogni.models.converter import read, read_time, to_dict
from sogni.models.params import ProjectParams
from sogni.models.projects import (
    ErrorData,
    EtaRange,
    JobStatus,
    JobWaitingReason,
    Preparation,
    ProjectSnapshot,
    ProjectStatus,
    ProjectType,
    Provenance,
    QueueChange,
    QueueStatus,
    WaitingReason,
    seconds_between,
)
from sogni.settings import TokenType

E = TypeVar("E", bound="Host")
F = TypeVar("F", bound=Callable[..., Any])
J = TypeVar("J", bound="BaseJob")
R = TypeVar("R")


class _Required:
    def __repr__(self) -> str:
        return "<required>"


def with_fields(*kinds: type) -> Callable[[F], F]:
    """Show the fields of some classes in the signature of a function that takes them as `**fields`.

    `kinds` are attrs classes, which give the defaults, or `TypedDict`s, whose fields are None by default. A field of
    several of them has the union of its types. `help()`, `inspect.signature` and notebooks read the signature.
    """

    def decorate(function: F) -> F:
        shown = signature(function)
        given = [it for it in shown.parameters.values() if it.kind is not Parameter.VAR_KEYWORD]
        fields = _parameters(kinds)
        parameters = [*given, *(it for name, it in fields.items() if name not in shown.parameters)]
        function.__signature__ = shown.replace(parameters=parameters)  # type: ignore[attr-defined]  # not in typeshed
        function.__doc__ = _with_descriptions(function.__doc__ or "", kinds)
        return function

    return decorate


def overloaded_with_fields(*kinds: type) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Like `with_fields`, but with the type that mypy needs for overloads with required keys."""
    return with_fields(*kinds)


def _with_descriptions(doc: str, kinds: tuple[type, ...]) -> str:
    """Return a docstring with the declared parameters of some classes at the end of its `Args:`."""
    described: dict[str, dict[str, str]] = {}
    for kind in filter(attrs.has, kinds):
        for it in attrs.fields(cast(Any, kind)):
            if "parameter" in it.metadata:
                described.setdefault(it.name, {})[it.metadata["parameter"].description] = kind.__name__
    lines = [
        f"            {name}: {text}" if len(texts) == 1 else f"            {name} (`{kind}`): {text}"
        for name, texts in described.items()
        for text, kind in texts.items()
    ]
    before, found, after = doc.partition("\n\n        Returns:")
    return "\n".join([before, *lines]) + found + after


@cache
def _parameters(kinds: tuple[type, ...]) -> dict[str, Parameter]:
    annotations: dict[str, list[str]] = {}
    defaults: dict[str, Any] = {}
    for kind in kinds:
        for name, annotation, default in _fields_of(kind):
            known = annotations.setdefault(name, [])
            # Every one ends with `| None`, or none does.
            if annotation.removesuffix(" | None") not in known:
                known[:] = [*(it for it in known if it != "None"), annotation.removesuffix(" | None")]
            if annotation.endswith(" | None") and "None" not in known:
                known.append("None")
            defaults[name] = default if default == defaults.get(name, default) else _REQUIRED
    named = ((name, " | ".join(parts)) for name, parts in annotations.items())
    found = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=it, default=defaults[name]) for name, it in named]
    return {it.name: it for it in sorted(found, key=lambda it: it.default is not _REQUIRED)}


def _fields_of(kind: Any) -> Iterator[tuple[str, str, Any]]:
    if attrs.has(kind):
        for it in attrs.fields(kind):
            yield it.name, str(it.type), _REQUIRED if it.default is attrs.NOTHING else it.default
    else:
        for name, reference in kind.__annotations__.items():
            yield name, getattr(reference, "__forward_arg__", str(reference)), None


_REQUIRED = _Required()


def moment(at: float | None, project: ProjectState) -> datetime | None:
    """Return a time of a project's clock in UTC; None stays None."""
    return None if at is None else read_time((at + project.out.epoch) * 1000)


def note_listener(project: ProjectState) -> None:
    """Note that there is a listener for a project or one of its jobs."""
    if not project.listening:
        project.listening.append(True)


def register(engine: Any, project: ProjectState, listen: Callable[[], Remover]) -> Remover:
    """Register a listener, under the lock of the client that tracks the project, if there is one."""
    if engine is None or engine.closed or engine.state.out is not project.out:
        return listen()
    remove: Remover = engine.changed(lambda *_: listen())
    return remove


class OnJobEvent(Protocol):
    """`Job.on` and `Job.once`."""

    @overload
    def __call__(self, event: Literal["progress"], function: Callable[[int], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["progress"]) -> Decorator[int]: ...
    @overload
    def __call__(self, event: Literal["preview"], function: Callable[[str], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["preview"]) -> Decorator[str]: ...
    @overload
    def __call__(self, event: Literal["updated"], function: Callable[[set[str]], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["updated"]) -> Decorator[set[str]]: ...
    @overload
    def __call__(self, event: Literal["completed"], function: Callable[[str | None], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["completed"]) -> Decorator[str | None]: ...
    @overload
    def __call__(self, event: Literal["failed"], function: Callable[[ErrorData | None], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["failed"]) -> Decorator[ErrorData | None]: ...


class BaseJob(EventEmitter[OnJobEvent]):
    """One result of a project.

    Events: `progress` (int), `preview` (URL), `updated` (set of changed names), `completed` (URL or None), `failed`
    (`ErrorData` or None).
    """

    __slots__ = ("__weakref__", "_engine", "_state")
    _events = JOB_EVENTS

    def __init__(self, engine: Any, state: JobState) -> None:
        self._engine = engine
        self._state = state

    def _listeners(self) -> Listeners:
        return self._state.listeners

    def _on_listener_added(self) -> None:
        note_listener(self._state.project)

    def _add(self, event: str, function: Callable[..., Any], *, once: bool) -> Remover:
        job, project = self._state, self._state.project
        return register(self._engine, project, lambda: project.listen_to_job(job, event, function, once=once))

    @property
    def id(self) -> str:
        """ID of the job, chosen by the service."""
        return self._state.id

    @property
    def project_id(self) -> str:
        """ID of the project."""
        return str(self._state.project.id)

    @property
    def status(self) -> JobStatus:
        """`pending`, `initiating`, `processing`, `completed`, `failed` or `canceled`."""
        return self._state.status

    @property
    def finished(self) -> bool:
        """True once the status is final."""
        return self._state.ended

    @property
    def progress(self) -> int:
        """Progress in percent, 0 to 100. Estimated from the elapsed time if the service reports no steps."""
        return self._state.progress(time.time() - self._state.project.out.epoch)

    @property
    def step(self) -> int:
        """Number of completed steps."""
        return self._state.step

    @property
    def step_count(self) -> int:
        """Total number of steps; 0 if unknown."""
        return self._state.step_count

    @property
    def seed(self) -> int | None:
        """Seed of the result; None until it is known."""
        return self._state.seed

    @property
    def preview_url(self) -> str | None:
        """URL of the latest preview, valid for a limited time; None if there is none."""
        return self._state.preview_url

    @property
    def result_url(self) -> str | None:
        """URL of the result, valid for a limited time; None until it is known. `get_result_url` fetches it."""
        return self._state.result_url

    @property
    def last_frame_url(self) -> str | None:
        """URL of the last frame of a video, as an image; None unless the project has `return_last_frame=True`."""
        return self._state.last_frame_url

    @property
    def provenance(self) -> Provenance | None:
        """Provenance of the result: hashes, and what SAM 3 detected. None if the service sent none."""
        return self._state.provenance

    @property
    def image_url(self) -> str | None:
        """URL of the result, or of the preview until there is a result."""
        return self._state.result_url or self._state.preview_url

    @property
    def has_result_media(self) -> bool:
        """True if the job is completed and its result is not withheld."""
        return self._state.has_result_media

    @property
    def is_nsfw(self) -> bool:
        """True if the content filter was triggered."""
        return self._state.is_nsfw

    @property
    def nsfw_detected(self) -> bool:
        """True if the result is labeled as sensitive, but was delivered because the filter is off."""
        return self._state.nsfw_detected

    @property
    def nsfw_sources(self) -> tuple[str, ...]:
        """What triggered the content filter: `prompt`, `image`."""
        return self._state.nsfw_sources

    @property
    def is_withheld(self) -> bool:
        """True if the content filter withholds the result."""
        return self._state.withheld

    @property
    def user_canceled(self) -> bool:
        """True if the job ended early because the project was canceled."""
        return self._state.user_canceled

    @property
    def waiting_reason(self) -> WaitingReason | None:
        """Why the job waits; None if it does not wait, or the service gave no reason."""
        reason: WaitingReason | None = self._state.project.waiting_reason_of(self._state)
        return reason

    @property
    def preparation(self) -> Preparation | None:
        """What the worker prepares before it starts the job, such as downloads of LoRAs; otherwise None."""
        return self._state.preparation

    @property
    def worker_name(self) -> str | None:
        """Name of the worker that processes the job; None until it is known."""
        return self._state.worker_name

    @property
    def eta(self) -> datetime | None:
        """Estimated time of completion, in UTC; None if unknown."""
        return moment(self._state.eta_at, self._state.project)

    @property
    def eta_seconds(self) -> float | None:
        """Remaining seconds at the time of the latest estimate. It does not count down."""
        return self._state.eta_seconds

    @property
    def eta_range(self) -> EtaRange | None:
        """Range of the latest estimate, in seconds."""
        return self._state.eta_range

    @property
    def started_at(self) -> datetime | None:
        """When a worker started the job, in UTC, according to the service's record; None until it is known."""
        return self._state.started_at

    @property
    def finished_at(self) -> datetime | None:
        """When the job ended, in UTC, according to the service's record; None until it is known."""
        return self._state.finished_at

    @property
    def duration(self) -> float | None:
        """Seconds from the start of the job to its end; None until both are known."""
        return seconds_between(self._state.started_at, self._state.finished_at)

    @property
    def type(self) -> str:
        """`image`, `video`, `audio` or `model`."""
        return str(self._state.project.kind)

    @property
    def error(self) -> ErrorData | None:
        """Why the job failed; None if it did not."""
        return self._state.error

    @property
    def positive_prompt(self) -> str | None:
        """The prompt of this job, if a dynamic prompt has several variants."""
        return self._state.positive_prompt

    @property
    def negative_prompt(self) -> str | None:
        """The negative prompt of this job, if a dynamic prompt has several variants."""
        return self._state.negative_prompt

    @property
    def job_index(self) -> int | None:
        """Position among the results, from 0; None if the service sent none."""
        return self._state.job_index

    def to_dict(self) -> dict[str, Any]:
        """Return a snapshot of the job.

        Returns:
            The job as JSON-ready data, with the keys of the wire format.

        Example:
            >>> job.to_dict()["status"]
            'completed'
        """
        snapshot: dict[str, Any] = to_dict(self._state.snapshot())
        duration = {} if self.duration is None else {"duration": self.duration}
        return {**snapshot, **duration, "progress": self.progress, "type": self.type}

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.status} {self.progress}%>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseJob):
            return NotImplemented
        return (self.project_id, self.id) == (other.project_id, other.id)

    def __hash__(self) -> int:
        return hash(self.project_id)

    def __reduce__(self) -> tuple[Any, ...]:
        project = self._state.project
        snapshot = to_dict(project.snapshot(params_snapshot(project.params)))
        return _unpickled_job, (type(self), snapshot, self.id)


def _unpickled_job(kind: type[BaseJob], snapshot: dict[str, Any], job_id: str) -> BaseJob:
    state = restored_state(read(ProjectSnapshot, snapshot, "the pickled job")).jobs[job_id]
    job = state.user_object = kind(None, state)
    return job


class Host(Protocol):
    """The part of a client's engine that is needed to read a project or job."""

    def check_owner(self, state: Any, hint: str = ...) -> None:
        """Raise `ClientClosedError` if a state does not belong to this process."""

    def present(self, value: Any) -> Any:
        """Return the public object of a state."""


class OnProjectEvent(Protocol[J]):
    """`Project.on` and `Project.once`."""

    @overload
    def __call__(self, event: Literal["progress"], function: Callable[[int], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["progress"]) -> Decorator[int]: ...
    @overload
    def __call__(self, event: Literal["updated"], function: Callable[[set[str]], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["updated"]) -> Decorator[set[str]]: ...
    @overload
    def __call__(self, event: Literal["queue_changed"], function: Callable[[QueueChange], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["queue_changed"]) -> Decorator[QueueChange]: ...
    @overload
    def __call__(
        self, event: Literal["job_started", "job_completed", "job_failed"], function: Callable[[J], Any]
    ) -> Remover: ...
    @overload
    def __call__(self, event: Literal["job_started", "job_completed", "job_failed"]) -> Decorator[J]: ...
    @overload
    def __call__(self, event: Literal["completed"], function: Callable[[list[str]], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["completed"]) -> Decorator[list[str]]: ...
    @overload
    def __call__(self, event: Literal["failed"], function: Callable[[ErrorData], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["failed"]) -> Decorator[ErrorData]: ...
    @overload
    def __call__(self, event: Literal["canceled"], function: Callable[[], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["canceled"]) -> Callable[[Callable[[], R]], Callable[[], R]]: ...


class BaseProject(EventEmitter[OnProjectEvent[J]], Generic[J]):
    """A media project.

    Events: `progress` (int), `updated` (set of changed names), `queue_changed` (`QueueChange`), `job_started`,
    `job_completed` and `job_failed` (`Job`), `completed` (list of URLs), `failed` (`ErrorData`), `canceled` (no value).
    """

    __slots__ = ("__weakref__", "_engine", "_state")
    _events = PROJECT_EVENTS
    _job_class: type[Any] = BaseJob

    def __init__(self, engine: Any, state: ProjectState) -> None:
        self._engine = engine
        self._state = state

    def _listeners(self) -> Listeners:
        return self._state.listeners

    def _on_listener_added(self) -> None:
        note_listener(self._state)

    def _add(self, event: str, function: Callable[..., Any], *, once: bool) -> Remover:
        project = self._state
        return register(self._engine, project, lambda: project.listen(event, function, once=once))

    def _attached(self, engine: Any, state: ProjectState) -> None:
        """Note that a client tracks this project from now on, possibly under a state that it already had."""
        before, known = self._state, self._engine
        self._state, self._engine = state, engine
        if before is not state:
            state.listeners.take_over(before.listeners)
            if before.listening:
                note_listener(state)
        if state.user_object is None:
            state.user_object = self
        if known is not engine:
            for job in before.job_list():
                job.user_object = None

    @property
    def id(self) -> str:
        """ID of the project, an upper-case UUID."""
        return self._state.id

    @property
    def params(self) -> ProjectParams:
        """Parameters of the project. Once it is finished, the counts are those of the service's record."""
        return self._state.params

    @property
    def type(self) -> ProjectType:
        """`image`, `video` or `audio`."""
        return self._state.params.type

    @property
    def status(self) -> ProjectStatus:
        """`pending`, `queued`, `processing`, `completed`, `failed` or `canceled`."""
        return self._state.status

    @property
    def finished(self) -> bool:
        """True once the project has ended and all available results have been retrieved."""
        return self._state.settled

    @property
    def recovered(self) -> bool:
        """True if another process started the project, and this process found it in the service's records."""
        return self._state.recovered

    @property
    def error(self) -> ErrorData | None:
        """Why the project failed; None if it did not."""
        return self._state.error

    @property
    def progress(self) -> int:
        """Progress of all jobs together in percent, 0 to 100."""
        return self._state.progress(time.time() - self._state.out.epoch)

    @property
    def queue_position(self) -> int:
        """Position in the queue; -1 until it is known."""
        return self._state.queue_position

    @property
    def eta(self) -> datetime | None:
        """Estimated time of completion of the last job, in UTC; None if unknown."""
        return moment(self._state.eta_at, self._state)

    @property
    def queue_status(self) -> QueueStatus | None:
        """`waiting`, or `no-workers` if no worker can take the project; None if unknown, and once a job begins."""
        return self._state.queue.queue_status

    @property
    def estimated_start_at(self) -> datetime | None:
        """When a worker should take the first job, in UTC; None if unknown, and once a job begins."""
        return moment(self._state.queue.estimated_start_at, self._state)

    @property
    def waiting_reason(self) -> WaitingReason | None:
        """Why the project waits; None if it does not wait, or the service gave no reason."""
        return self._state.queue.waiting_reason

    @property
    def job_waiting_reasons(self) -> list[JobWaitingReason]:
        """The jobs that wait, each with its reason."""
        return list(self._state.queue.job_waiting_reasons)

    @property
    def started_at(self) -> datetime:
        """Time of creation, in UTC."""
        return read_time(self._state.started_at * 1000)

    @property
    def finished_at(self) -> datetime | None:
        """When the project ended, in UTC, according to the service's record; None until it is known.

        The record is fetched right after the end, and the event `updated` is emitted when it arrives.
        """
        totals = self._state.totals
        return totals and totals.finished_at

    @property
    def duration(self) -> float | None:
        """Seconds from creation to the end, according to the service's record; None until it is known."""
        totals = self._state.totals
        return totals and totals.duration

    @property
    def cost(self) -> Decimal | None:
        """What the project costs, in `token_type`, according to the service's record; None until it is known."""
        totals = self._state.totals
        return totals and totals.cost

    @property
    def token_type(self) -> TokenType | None:
        """The token that pays."""
        return cast(TokenType | None, self._state.token_type)

    @property
    def jobs(self) -> list[J]:
        """The jobs known so far, in order. A job is always the same object."""
        return [self._present(job) for job in self._state.job_list()]

    @property
    def failed_jobs(self) -> list[J]:
        """The jobs that ended without a result: failed, canceled or withheld."""
        return [self._present(job) for job in self._state.failed_jobs()]

    @property
    def result_urls(self) -> list[str]:
        """URLs of the results, in the order of the jobs. They are valid for a limited time."""
        return self._state.result_urls

    def job(self, job_id: str) -> J | None:
        """Return a job by its ID.

        Args:
            job_id: ID of the job, in any case.

        Returns:
            The job; None if the project has no such job.

        Example:
            >>> project.job(job.id) is job
            True
        """
        state = self._state.jobs.get(job_id.upper()) or self._state.jobs.get(job_id)
        return None if state is None else self._present(state)

    def to_dict(self) -> dict[str, Any]:
        """Return a snapshot of the project and its jobs.

        Returns:
            The project as JSON-ready data, with the keys of the wire format.

        Example:
            >>> project.to_dict()["status"]
            'completed'
        """
        snapshot: dict[str, Any] = to_dict(self._state.snapshot(params_snapshot(self._state.params)))
        jobs = [job.to_dict() for job in self.jobs]
        return {**snapshot, "jobs": jobs, "progress": self.progress, "resultUrls": self.result_urls}

    def _present(self, state: JobState) -> J:
        job: J | None = state.user_object
        if job is None:
            job = state.user_object = self._job_class(self._engine, state)
        return job

    def __repr__(self) -> str:
        return f"<Project {self.id} {self.status} {self.progress}%>"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, BaseProject) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled_project, (type(self), to_dict(self._state.snapshot(params_snapshot(self._state.params))))


def to_attach(engine: Any, project: Any) -> tuple[str, ProjectState | None]:
    """Return the ID and the state that a client continues with. Raises `ValidationError` for anything but a project.

    A project that another open client tracks stays with that client, which changes it under its own lock. This client
    starts with a copy.
    """
    if isinstance(project, str):
        return project, None
    if not isinstance(project, BaseProject):
        raise invalid_value("project", project, "a Project, or the id of one")
    state, other = project._state, project._engine
    if other is None or other is engine or other.closed or other.state.out is not state.out:
        return project.id, state
    return project.id, restored_state(state.snapshot(params_snapshot(state.params)))


def host_of(engine: E | None, state: ProjectState) -> E:
    """Return the engine of a public object. Raises `ClientClosedError` if it has none in this process."""
    if engine is None:
        raise ClientClosedError(
            f"project {state.id} is detached, as after unpickling; projects.attach(project) tracks it again"
        )
    engine.check_owner(state)
    return engine


def _unpickled_project(kind: type[BaseProject[Any]], snapshot: dict[str, Any]) -> BaseProject[Any]:
    state = restored_state(read(ProjectSnapshot, snapshot, "the pickled project"))
    project = state.user_object = kind(None, state)
    return project
