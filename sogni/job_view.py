"""What users see of jobs, in both packages: decides every plain property of a handle.

Reading never blocks: values are replaced, not changed, by the thread that writes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .listening import Listening, Remover
from .models.converter import read, read_time, to_dict
from .models.events import ErrorData, EtaRange
from .models.provenance import Provenance
from .models.snapshots import ProjectSnapshot
from .protocol.job_state import JOB_EVENTS, JobState
from .protocol.listeners import Listeners
from .protocol.project_params import params_snapshot
from .protocol.project_state import ProjectState
from .protocol.restored_state import restored_state


def moment(at: float | None, project: ProjectState) -> datetime | None:
    """A time of a project's clock in UTC; None stays None."""
    return None if at is None else read_time((at + project.out.epoch) * 1000)


def note_listener(project: ProjectState) -> None:
    """Somebody listens to a project or one of its jobs."""
    if not project.listening:
        project.listening.append(True)


def register(engine: Any, project: ProjectState, listen: Callable[[], Remover]) -> Remover:
    """Register a listener, at one moment of the life of its project if a client follows it."""
    if engine is None or engine.closed or engine.state.out is not project.out:
        return listen()
    remove: Remover = engine.changed(lambda *_: listen())
    return remove


class JobView(Listening):
    """One result of a project.

    Events: `progress` (int), `preview` (URL), `updated` (set of changed names), `completed` (URL or
    None), `failed` (`ErrorData` or None).
    """

    __slots__ = ("__weakref__", "_engine", "_state")
    _events = JOB_EVENTS

    def __init__(self, engine: Any, state: JobState) -> None:
        self._engine = engine
        self._state = state

    def _listeners(self) -> Listeners:
        return self._state.listeners

    def _heard(self) -> None:
        note_listener(self._state.project)

    def _add(self, event: str, function: Callable[..., Any], *, once: bool) -> Remover:
        job, project = self._state, self._state.project
        return register(self._engine, project, lambda: project.listen_to_job(job, event, function, once=once))

    @property
    def id(self) -> str:
        """The id of the result, chosen by the service."""
        return self._state.id

    @property
    def project_id(self) -> str:
        """The id of the project."""
        return str(self._state.project.id)

    @property
    def status(self) -> str:
        """`pending`, `initiating`, `processing`, `completed`, `failed` or `canceled`."""
        return self._state.status

    @property
    def finished(self) -> bool:
        """Whether the status is final."""
        return self._state.ended

    @property
    def progress(self) -> int:
        """Percent done, 0 to 100; by time where the service counts no steps."""
        return self._state.progress(time.time() - self._state.project.out.epoch)

    @property
    def step(self) -> int:
        """Steps done."""
        return self._state.step

    @property
    def step_count(self) -> int:
        """Steps to do; 0 when unknown."""
        return self._state.step_count

    @property
    def seed(self) -> int | None:
        """The seed of this result, once it is known."""
        return self._state.seed

    @property
    def preview_url(self) -> str | None:
        """Where the newest preview is; short-lived."""
        return self._state.preview_url

    @property
    def result_url(self) -> str | None:
        """Where the result is; short-lived, `get_result_url` asks for it when it is not known."""
        return self._state.result_url

    @property
    def last_frame_url(self) -> str | None:
        """Where the last frame of a video is, as an image, when it was asked for (`return_last_frame`)."""
        return self._state.last_frame_url

    @property
    def provenance(self) -> Provenance | None:
        """What the service proves of the result: hashes, and what SAM 3 found (projects-5x §14)."""
        return self._state.provenance

    @property
    def image_url(self) -> str | None:
        """The result, or the preview while there is none."""
        return self._state.result_url or self._state.preview_url

    @property
    def has_result_media(self) -> bool:
        """Whether the job is completed and its result is not withheld."""
        return self._state.has_result_media

    @property
    def is_nsfw(self) -> bool:
        """Whether the content filter objected."""
        return self._state.is_nsfw

    @property
    def nsfw_detected(self) -> bool:
        """Whether sensitive media was delivered with a label, the filter being off (projects-5x §13)."""
        return self._state.nsfw_detected

    @property
    def nsfw_sources(self) -> tuple[str, ...]:
        """What the content filter objected to: `prompt`, `image`."""
        return self._state.nsfw_sources

    @property
    def is_withheld(self) -> bool:
        """Whether the content filter keeps the result back."""
        return self._state.withheld

    @property
    def user_canceled(self) -> bool:
        """Whether the job ended early because the project was canceled."""
        return self._state.user_canceled

    @property
    def worker_name(self) -> str | None:
        """The worker that has the job."""
        return self._state.worker_name

    @property
    def eta(self) -> datetime | None:
        """When the job should be done, in UTC."""
        return moment(self._state.eta_at, self._state.project)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at the last estimate; it does not count down."""
        return self._state.eta_seconds

    @property
    def eta_range(self) -> EtaRange | None:
        """The interval of the estimate, in seconds."""
        return self._state.eta_range

    @property
    def type(self) -> str:
        """`image`, `video`, `audio` or `model`."""
        return str(self._state.project.kind)

    @property
    def error(self) -> ErrorData | None:
        """Why the job failed."""
        return self._state.error

    @property
    def positive_prompt(self) -> str | None:
        """This job's own prompt, when a dynamic prompt made several (projects-4.2 §11.1)."""
        return self._state.positive_prompt

    @property
    def negative_prompt(self) -> str | None:
        """This job's own negative prompt, when a dynamic prompt made several."""
        return self._state.negative_prompt

    @property
    def job_index(self) -> int | None:
        """The place among the results, from 0, when the service gave one."""
        return self._state.job_index

    def to_dict(self) -> dict[str, Any]:
        """The job at this moment, JSON-ready, with the keys of the wire."""
        made: dict[str, Any] = to_dict(self._state.snapshot())
        return {**made, "progress": self.progress, "type": self.type}

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.status} {self.progress}%>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JobView):
            return NotImplemented
        return (self.project_id, self.id) == (other.project_id, other.id)

    def __hash__(self) -> int:
        return hash(self.project_id)

    def __reduce__(self) -> tuple[Any, ...]:
        project = self._state.project
        snapshot = to_dict(project.snapshot(params_snapshot(project.params)))
        return _unpickled_job, (type(self), snapshot, self.id)


def _unpickled_job(kind: type[JobView], snapshot: dict[str, Any], job_id: str) -> JobView:
    state = restored_state(read(ProjectSnapshot, snapshot, "the pickled job")).jobs[job_id]
    job = state.handle = kind(None, state)
    return job
