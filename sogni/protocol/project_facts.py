"""What is known of a project, and how its changes are told (projects-4.2 §12).

The ground `project_state` stands on: facts, their snapshot, the order of events, the moment when a project
is settled. It applies no frame and does nothing itself; it tells through the outbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

from ..models.converter import read_time
from ..models.events import ErrorData, Event, JobEvent, ProjectEvent
from ..models.snapshots import ProjectSnapshot
from .feed import Feed
from .job_state import ENDED, JobState, percent
from .job_tally import JobTally
from .listeners import Listeners
from .outbox import Outbox

PROJECT_EVENTS = frozenset(
    {"progress", "updated", "job_started", "job_completed", "job_failed", "completed", "failed", "canceled"}
)
_PROGRESS_NAMES = frozenset({"step", "step_count", "external_progress", "eta"})
_PASSING = ("progress", "updated")
"""Events of the moment, which come with almost every frame: told only to who listens when they happen."""


class ProjectFacts:
    """What is known about a project. Times are seconds of the monotonic clock; `started_at` is a time of day.

    `status` is the word of the service; `settled` is what waiters wait for: the project has ended,
    every job is settled and every result URL is known, as far as they can be had.
    """

    __slots__ = (
        "__weakref__",
        "_feeds",
        "_handle",
        "_history",
        "_listeners",
        "_reordered",
        "_shown_progress",
        "abandoned",
        "acknowledged",
        "announced",
        "app_id",
        "being_sent",
        "concluded",
        "enhances",
        "error",
        "eta_at",
        "group",
        "heard_at",
        "id",
        "jobs",
        "kind",
        "listening",
        "number_of_media",
        "out",
        "params",
        "polled",
        "queue_position",
        "queued_as",
        "recovered",
        "request",
        "resent",
        "sent_at",
        "sent_generation",
        "settled",
        "settled_at",
        "signing",
        "started_at",
        "status",
        "steps",
        "strikes",
        "tally",
        "work_began",
    )  # fmt: skip

    def __init__(self, project_id: str, params: Any, out: Outbox, *, now: float, kind: str, listening: Any) -> None:
        self.id = project_id
        self.params = params
        self.out = out
        self.kind = kind
        self.listening = listening
        """A list that is not empty as soon as anybody listens to anything of this client."""
        self.group: Listeners | None = None
        """Who listens to all projects of the client; None until it is tracked by one."""
        self.announced = ""
        """The end that the listeners of all projects were last notified of: `completed` or `error`."""
        self.queued_as: Mapping[str, Any] | None = None
        """The last frame about the place in the queue that the listeners of all projects were notified of."""
        self.started_at = now + out.epoch
        self.heard_at = now
        self.status = "pending"
        self.queue_position = -1
        self.eta_at: float | None = None
        self.error: ErrorData | None = None
        self.jobs: dict[str, JobState] = {}
        self.tally = JobTally()
        self._reordered = False
        self.number_of_media: int = getattr(params, "number_of_media", None) or 1
        self.steps: int = getattr(params, "steps", None) or 0
        self.app_id: str | None = None
        self.recovered = False
        self.polled = False
        """Asked after in intervals, because its frames go to another app id."""
        self.request: dict[str, Any] | None = None
        """The payload as sent, kept until the service has shown that it knows it (transport §13.2)."""
        self.acknowledged = False
        self.abandoned = False
        self.being_sent = False
        """Whether a flow has its request in hand and will send it on the next connection."""
        self.resent = False
        self.sent_at = now
        self.sent_generation = 0
        self.work_began = False
        self.strikes = 0
        self.enhances: JobState | None = None
        """The job this project makes an enhanced version of."""
        self.concluded = False
        """Whether nothing more will come than the addresses that are being asked for."""
        self.settled = False
        self.settled_at = 0.0
        self.signing = False
        """Whether addresses of results are being asked for."""
        self._handle: ref[Any] | None = None
        self._shown_progress = -1
        self._history: list[Event] = []
        self._feeds: list[Feed] = []
        self._listeners: Listeners | None = None

    def adopt(self, job: JobState) -> None:
        """Add a job that was not followed from its beginning, without announcing it."""
        job.place = len(self.jobs)
        self.jobs[job.id] = job
        self.tally.adopt(job)

    def renamed(self, job: JobState, before: str) -> None:
        """A job has another id now; it keeps its place. Never are its project's jobs without it."""
        self.jobs[job.id] = job
        del self.jobs[before]
        self._reordered = True

    # -- reading ---------------------------------------------------------------

    @property
    def handle(self) -> Any:
        """What users hold of this; None when nobody does. Kept weakly: a state must not keep a client alive."""
        return None if self._handle is None else self._handle()

    @handle.setter
    def handle(self, handle: Any) -> None:
        self._handle = None if handle is None else ref(handle)

    @property
    def listeners(self) -> Listeners:
        """Who listens to this project."""
        if self._listeners is None:
            self._listeners = Listeners()
        return self._listeners

    @property
    def ended(self) -> bool:
        """Whether the service has ended the project."""
        return self.status in ENDED

    @property
    def result_urls(self) -> list[str]:
        """URLs of the results there are, in job order."""
        return [job.result_url for job in self.job_list() if job.result_url]

    def job_list(self) -> list[JobState]:
        """The jobs in the order of their appearance."""
        # A copy: users ask in their own thread, while the reader's adds jobs.
        jobs = list(self.jobs.values())
        return sorted(dict.fromkeys(jobs), key=_place) if self._reordered else jobs

    def failed_jobs(self) -> list[JobState]:
        """Jobs that ended without a result: failed, canceled or withheld."""
        return [job for job in self.job_list() if job.ended and not job.result_url]

    def progress(self, now: float) -> int:
        """Percent done (projects-4.2 §12.2)."""
        if self.status == "completed":
            return 100
        total = sum(job.progress(now) for job in self.job_list())
        return percent(total / max(1, self.number_of_media))

    def subscribe(self) -> Feed:
        """A feed of all events, those that already happened first, less outdated progress."""
        past = list(self._history)
        if self._shown_progress > 0:
            end = len(past) - (1 if self.settled and past else 0)
            past.insert(end, Event("progress", self._shown_progress))
        feed = Feed(past)
        self._feeds = [other for other in self._feeds if not other.closed]
        if not self.settled:
            self._feeds.append(feed)
        return feed

    def listen(self, event: str, function: Any, *, once: bool) -> Any:
        """Register a listener; while the project is unfinished it receives what happened before, too.

        Of the events of the moment it receives those to come.
        """
        past = [it.value for it in self._history if it.name == event]
        return self._listen(self.listeners, event, function, past, once)

    def listen_to_job(self, job: JobState, event: str, function: Any, *, once: bool) -> Any:
        """Register a listener of a job; while the project is unfinished it receives how the job ended, too."""
        past: list[Any] = []
        if event == "preview" and job.preview_url is not None:
            past = [job.preview_url]
        elif event == job.status:
            past = [job.result_url if event == "completed" else job.error]
        return self._listen(job.listeners, event, function, past, once)

    def _listen(self, listeners: Listeners, event: str, function: Any, past: list[Any], once: bool) -> Any:
        if self.settled or not past:
            return listeners.add(event, function, once=once)
        remove, late = listeners.add_late(event, function, once=once, since=self.out.told)
        for value in past:
            self.out.tell(late, event, value)
        return remove

    def snapshot(self, params: Mapping[str, Any]) -> ProjectSnapshot:
        """The project at this moment; `params` in wire form, without media."""
        return ProjectSnapshot(
            id=self.id,
            started_at=read_time(self.started_at * 1000),
            params=params,
            queue_position=self.queue_position,
            status=self.status,
            eta=None if self.eta_at is None else read_time((self.eta_at + self.out.epoch) * 1000),
            error=self.error,
            recovered=self.recovered,
            app_id=self.app_id,
            jobs=[job.snapshot() for job in self.job_list()],
        )

    # -- telling ---------------------------------------------------------------

    def enhancing(self, job: JobState, now: float) -> None:
        """The enhanced version of a job changed; told as a change of the job, however long it has ended."""
        if self.listening:
            self.out.tell(job.listeners, "updated", {"enhanced_image"})
        self._updated({"jobs"}, now)

    def announce_end(self, kind: str, error: ErrorData | None = None, extra: Mapping[str, Any] | None = None) -> None:
        """Notify the listeners of all projects of the end, however it became known, and once."""
        if self.announced == kind:
            return
        self.announced = kind
        if self.group is not None and self.group.has("project"):
            event = ProjectEvent(type=kind, project_id=self.id, error=error, extra=extra or {})
            self.out.tell(self.group, "project", event)

    def _announce_failure(self, job: JobState) -> None:
        """Notify the listeners of all projects that a job failed."""
        if self.group is not None and self.group.has("job"):
            event = JobEvent(type="error", project_id=self.id, job_id=job.id, error=job.error)
            self.out.tell(self.group, "job", event)

    def _job_changed(self, job: JobState, names: set[str], now: float, project_names: set[str] | None = None) -> None:
        """Tell of a change of a job, in the order of projects-4.2 §12.3."""
        if not names and not project_names:
            return
        progress = job.progress(now)
        shown = job.last_progress
        job.last_progress = progress
        self.tally.moved(job, progress)
        if self.listening and ("status" in names or self._listeners is not None or job.has_listeners):
            # Whoever is told of a job may begin to listen to it, and then hears what was queued meanwhile.
            anyway = self._is_heard("job_started")
            moved = progress != shown and (names & _PROGRESS_NAMES or progress == 100)
            if moved and (anyway or job.has_listener("progress")):
                self.out.tell(job.listeners, "progress", progress, job)
            if "status" in names and job.status == "completed":
                self.out.tell(job.listeners, "completed", job.result_url)
            if "status" in names and job.status == "failed":
                self.out.tell(job.listeners, "failed", job.error)
            if names and (anyway or job.has_listener("updated")):
                self.out.tell(job.listeners, "updated", _public(names))
        if "status" in names and job.status in ("completed", "failed"):
            self._emit(f"job_{job.status}", job)
        self._updated({"jobs", *(project_names or ())}, now)

    def _updated(self, names: set[str], now: float) -> None:
        if not names:
            return
        done = self.tally.progress(now) / max(1, self.number_of_media)
        progress = 100 if self.status == "completed" else percent(done)
        if progress != self._shown_progress:
            self._shown_progress = progress
            self._emit("progress", progress)
        self.check_settled(now)
        self._emit("updated", names)
        if self.enhances is not None:
            self.enhances.project.enhancing(self.enhances, now)

    def check_settled(self, now: float, *, anyway: bool = False) -> None:
        """Settle when nothing is missing; `anyway`: when nothing more will come."""
        if self.settled or not self.ended:
            return
        every = len(self.jobs) >= self.number_of_media and self.tally.ended == len(self.jobs)
        if self.status == "completed" and not anyway and not every:
            return
        value: Any = None
        if self.status == "completed":
            value = self.result_urls
        elif self.status == "failed":
            value = self.error = self.error or ErrorData(code=0, message="the project failed")
        self._emit(self.status, value)
        self.settled = True
        self.settled_at = now
        self._feeds.clear()
        self.out.wake(self)

    def _emit(self, name: str, value: Any) -> None:
        if name in _PASSING:
            heard = self._is_heard(name)
            if not heard and not self._feeds:
                return
        else:
            heard = True
            # The end is the last event a late subscriber sees.
            if not self.settled:
                self._history.append(Event(name, value))
        if self._feeds:
            for feed in self._feeds:
                feed.push(Event(name, value))
            self.out.wake(self)
        if heard and self.listening:
            self.out.tell(self.listeners, name, value, self if name == "progress" else None)

    def _is_heard(self, event: str) -> bool:
        """Whether anybody hears an event of the moment now, or may begin to when a job is announced."""
        listeners = self._listeners
        return listeners is not None and listeners.has_either(event, "job_started")


def _place(job: JobState) -> int:
    return job.place


_PUBLIC_NAMES = {"eta_at": "eta", "eta_started_at": "eta"}


def _public(names: set[str]) -> set[str]:
    return {_PUBLIC_NAMES.get(name, name) for name in names}
