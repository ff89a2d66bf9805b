"""The state of a project: its jobs, its events and its snapshot.

Frames are applied in the order of arrival; deliveries and background tasks are left in the outbox. Nothing reopens a
finished project or job. The cost of a frame does not grow with the number of jobs: no frame handler loops over all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from heapq import heapify, heappop, heappush
from itertools import islice
from logging import INFO
from typing import Any, NamedTuple, TypeGuard, cast, get_args
from weakref import ref

from attrs import evolve

from sogni.core import outbox
from sogni.core.outbox import Feed, Listeners, Outbox
from sogni.core.projects.job import ENDED, JobState, error_data, percent, read_number, read_provenance
from sogni.core.projects.params import params_from_snapshot
from sogni.core.projects.queue import NO_QUEUE, QueueInfo, read_preparation
from sogni.core.tracing import Trace
from sogni.models.converter import read_time
from sogni.models.params import ProjectParams
from sogni.models.projects import (
    ErrorData,
    EtaRange,
    Event,
    JobEvent,
    JobRecord,
    ProjectEvent,
    ProjectEventName,
    ProjectSnapshot,
    ProjectStatus,
    QueueChange,
    WaitingReason,
)

MAX_RECOUNTED = 16
"""Maximum number of jobs per frame whose time-based progress is updated."""


class JobTally:
    """Totals and indexes over the jobs of a project, updated incrementally."""

    __slots__ = (
        "_by_index",
        "_by_time",
        "_eta_limit",
        "_etas",
        "_order",
        "_progress",
        "_retrying",
        "ended",
        "failed",
        "unsigned",
        "working",
    )

    def __init__(self) -> None:
        self.ended: int = 0
        self.failed: int = 0
        self.unsigned: dict[JobState, None] = {}
        """Jobs whose result has no URL yet, in the order of their results."""
        self.working: dict[JobState, None] = {}
        """Jobs with a time limit that is running."""
        self._progress = 0
        self._by_time: dict[JobState, None] = {}
        self._by_index: dict[Any, list[JobState]] = {}
        self._retrying: list[JobState] = []
        self._etas: list[tuple[float, int, JobState]] = []
        self._eta_limit = 64
        """Number of estimates to keep before removing outdated ones."""
        self._order = 0

    def add_restored(self, job: JobState) -> None:
        """Count a job that was not tracked from its start."""
        if job.ended:
            self.end(job)
        self.set_progress(job, job.progress(0.0))
        self.add_index(job)
        if job.eta_at is not None:
            self.update_eta(job)

    def end(self, job: JobState) -> None:
        """Count a job as ended."""
        self.ended += 1
        self.failed += job.status == "failed"
        self.unsigned.pop(job, None)
        self.working.pop(job, None)

    def set_progress(self, job: JobState, progress: int) -> None:
        """Set the progress of a job, in percent."""
        self._progress += progress - job.tallied_progress
        job.tallied_progress = progress
        if job.eta_at is not None and job.progress_by_time:
            self._by_time[job] = None

    def progress(self, now: float) -> int:
        """Return the sum of the percentages of all jobs; with very many time-based ones, some lag slightly."""
        if self._by_time:
            for job in list(islice(self._by_time, MAX_RECOUNTED)):
                del self._by_time[job]
                self.set_progress(job, job.progress(now))
        return self._progress

    def add_index(self, job: JobState) -> None:
        """Add a job to the index, if it has one."""
        if job.job_index is not None:
            jobs = self._by_index.setdefault(job.job_index, [])
            if not jobs or jobs[-1] is not job:
                jobs.append(job)

    def at_index(self, index: Any) -> JobState | None:
        """Return the unfinished job with an index."""
        jobs = self._by_index.get(index) if isinstance(index, int | float) else None
        while jobs:
            if jobs[-1].job_index == index and not jobs[-1].ended:
                return jobs[-1]
            jobs.pop()
        return None

    def will_retry(self, job: JobState) -> None:
        """Note that the service announced a retry of a job."""
        self._retrying.append(job)

    def only_retrying(self) -> JobState | None:
        """Return the job that waits for its retry without an index, if it is the only one.

        A job that continued under its own id no longer waits.
        """
        waiting: list[JobState] = []
        while self._retrying and len(waiting) < 2:
            job = self._retrying.pop()
            if job.retrying and job.status == "pending" and job.job_index is None and job not in waiting:
                waiting.append(job)
        self._retrying.extend(waiting)
        return waiting[0] if len(waiting) == 1 else None

    def update_eta(self, job: JobState) -> float:
        """Apply the new estimate of a job; return when the last of all jobs should be done."""
        self._order += 1
        heappush(self._etas, (-(job.eta_at or 0.0), self._order, job))
        if len(self._etas) > self._eta_limit:
            self._etas = [entry for entry in self._etas if entry[2].eta_at == -entry[0]]
            heapify(self._etas)
            self._eta_limit = max(self._eta_limit, 2 * len(self._etas))
        while self._etas[0][2].eta_at != -self._etas[0][0]:
            heappop(self._etas)
        return -self._etas[0][0]


class ProjectTotals(NamedTuple):
    """Values from the service's record of an ended project."""

    cost: Decimal | None = None
    token_type: str | None = None
    finished_at: datetime | None = None
    duration: float | None = None


PROJECT_EVENTS: frozenset[str] = frozenset(get_args(ProjectEventName))
_PROGRESS_NAMES = frozenset({"step", "step_count", "external_progress", "eta"})
_TRANSIENT = ("progress", "updated", "queue_changed")
"""Events that soon are outdated, and are not all replayed to listeners registered later."""


class ProjectState:
    """A project and the frames that change it.

    Times are in seconds of the monotonic clock; `started_at` is a time of day. `status` is what the service reported.
    `settled` is what waiters wait for: the project has ended and all available results have been retrieved.
    """

    __slots__ = (
        "__weakref__",
        "_feeds",
        "_history",
        "_last_progress",
        "_listeners",
        "_reordered",
        "_user_object",
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
        "id",
        "jobs",
        "kind",
        "last_frame_at",
        "last_queue_payload",
        "listening",
        "missed_checks",
        "number_of_media",
        "out",
        "params",
        "polled",
        "queue",
        "queue_position",
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
        "tally",
        "totals",
        "trace",
        "work_began",
    )  # fmt: skip

    def __init__(
        self, project_id: str, params: Any, out: Outbox, *, now: float, kind: str, listening: list[bool]
    ) -> None:
        self.id: str = project_id
        self.params: ProjectParams = params
        self.out: Outbox = out
        self.kind: str = kind
        self.listening: list[bool] = listening
        """Shared by all projects of a client: empty until the first listener is registered."""
        self.group: Listeners | None = None
        """The listeners of all projects of the client; None until a client tracks it."""
        self.announced: str = ""
        """The end that was last announced to the listeners of all projects: `completed` or `error`."""
        self.last_queue_payload: Mapping[str, Any] | None = None
        """The last queue frame that the listeners of all projects were notified of."""
        self.started_at: float = now + out.epoch
        self.last_frame_at: float = now
        self.status: ProjectStatus = "pending"
        self.queue_position: int = -1
        self.queue: QueueInfo = NO_QUEUE
        self.eta_at: float | None = None
        self.error: ErrorData | None = None
        self.jobs: dict[str, JobState] = {}
        self.tally: JobTally = JobTally()
        self._reordered = False
        self.totals: ProjectTotals | None = None
        """Values from the record of the ended project; None until it has been read."""
        self.number_of_media: int = getattr(params, "number_of_media", None) or 1
        self.steps: int = getattr(params, "steps", None) or 0
        self.app_id: str | None = None
        self.recovered: bool = False
        self.polled: bool = False
        """Whether it is polled, because its frames go to another app id."""
        self.request: dict[str, Any] | None = None
        # transport §13.2
        """The payload as sent, kept until the service acknowledges the project."""
        self.acknowledged: bool = False
        self.abandoned: bool = False
        self.being_sent: bool = False
        """Whether a flow will send its request on the next connection."""
        self.resent: bool = False
        self.sent_at: float = now
        self.sent_generation: int = 0
        self.work_began: bool = False
        self.missed_checks: int = 0
        self.enhances: JobState | None = None
        """The job this project makes an enhanced version of."""
        self.concluded: bool = False
        """Whether nothing more is expected except result URLs that are being requested."""
        self.settled: bool = False
        self.settled_at: float = 0.0
        self.signing: bool = False
        """Whether result URLs are being requested."""
        self.trace: Trace | None = None
        """Of the operation that created it, if it is observed."""
        self._user_object: ref[Any] | None = None
        self._last_progress = -1
        self._history: list[Event[Any]] = []
        self._feeds: list[Feed] = []
        self._listeners: Listeners | None = None

    def add_restored(self, job: JobState) -> None:
        """Add a job that was not tracked from its start, without announcing it."""
        job.place = len(self.jobs)
        self.jobs[job.id] = job
        self.tally.add_restored(job)

    def renamed(self, job: JobState, before: str) -> None:
        """Apply a job's new id; it keeps its place."""
        # Added before it is removed: other threads read `jobs` without the lock.
        self.jobs[job.id] = job
        del self.jobs[before]
        self._reordered = True

    # -- reading ---------------------------------------------------------------

    @property
    def user_object(self) -> Any:
        """The public `Project`, None if there is none. A weak reference: a state must not keep a client alive."""
        return None if self._user_object is None else self._user_object()

    @user_object.setter
    def user_object(self, user_object: Any) -> None:
        self._user_object = None if user_object is None else ref(user_object)

    @property
    def listeners(self) -> Listeners:
        """The listeners of this project."""
        if self._listeners is None:
            self._listeners = Listeners()
        return self._listeners

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in ENDED

    @property
    def token_type(self) -> str | None:
        """The token that pays: the recorded one, until then the requested one."""
        return (self.totals and self.totals.token_type) or getattr(self.params, "token_type", None)

    @property
    def result_urls(self) -> list[str]:
        """URLs of the results so far, in job order."""
        return [job.result_url for job in self.job_list() if job.result_url]

    def job_list(self) -> list[JobState]:
        """Return the jobs in the order of their appearance."""
        # A copy: users read it in their own threads, while the reader adds jobs.
        jobs = list(self.jobs.values())
        return sorted(dict.fromkeys(jobs), key=_place) if self._reordered else jobs

    def failed_jobs(self) -> list[JobState]:
        """Return the jobs that ended without a result: failed, canceled or withheld."""
        return [job for job in self.job_list() if job.ended and not job.result_url]

    def progress(self, now: float) -> int:
        """Return the percentage done."""
        # projects-4.2 §12.2
        if self.status == "completed":
            return 100
        total = sum(job.progress(now) for job in self.job_list())
        return percent(total / max(1, self.number_of_media))

    def subscribe(self) -> Feed:
        """Return a feed of all events, past ones first; of past progress only the latest."""
        past = list(self._history)
        end = len(past) - (1 if self.settled and past else 0)
        past[end:end] = [Event("queue_changed", value) for value in self._current_reasons()]
        if self._last_progress > 0:
            past.insert(end, Event("progress", self._last_progress))
        feed = Feed(past)
        self._feeds = [other for other in self._feeds if not other.closed]
        if not self.settled:
            self._feeds.append(feed)
        return feed

    def listen(self, event: str, function: Any, *, once: bool) -> Any:
        """Register a listener; while the project is unfinished, past events are replayed to it.

        `progress` and `updated` events are not replayed, of `queue_changed` only the latest.
        """
        if event == "queue_changed":
            past = self._current_reasons()
        else:
            past = [it.value for it in self._history if it.name == event]
        return self._listen(self.listeners, event, function, past, once)

    def listen_to_job(self, job: JobState, event: str, function: Any, *, once: bool) -> Any:
        """Register a listener of a job; while the project is unfinished, the job's end is replayed to it."""
        past: list[Any] = []
        if event == "preview" and job.preview_url is not None:
            past = [job.preview_url]
        elif event == job.status:
            past = [job.result_url if event == "completed" else job.error]
        return self._listen(job.listeners, event, function, past, once)

    def _listen(self, listeners: Listeners, event: str, function: Any, past: list[Any], once: bool) -> Any:
        if self.settled or not past:
            return listeners.add(event, function, once=once)
        remove, late = listeners.add_late(event, function, once=once, since=self.out.last_delivery)
        for value in past:
            self.out.notify(late, event, value)
        return remove

    def snapshot(self, params: Mapping[str, Any]) -> ProjectSnapshot:
        """Return a snapshot of the project; `params` in wire form, without media."""
        return ProjectSnapshot(
            id=self.id,
            started_at=read_time(self.started_at * 1000),
            params=params,
            queue_position=self.queue_position,
            queue_status=self.queue.queue_status,
            estimated_start_at=self._moment(self.queue.estimated_start_at),
            waiting_reason=self.queue.waiting_reason,
            job_waiting_reasons=list(self.queue.job_waiting_reasons),
            status=self.status,
            eta=self._moment(self.eta_at),
            error=self.error,
            recovered=self.recovered,
            app_id=self.app_id,
            cost=None if self.totals is None else self.totals.cost,
            token_type=self.token_type,
            finished_at=None if self.totals is None else self.totals.finished_at,
            duration=None if self.totals is None else self.totals.duration,
            jobs=[job.snapshot() for job in self.job_list()],
        )

    def _moment(self, at: float | None) -> datetime | None:
        return None if at is None else read_time((at + self.out.epoch) * 1000)

    def waiting_reason_of(self, job: JobState) -> WaitingReason | None:
        """Return why a job waits; None if it does not, or the service gave no reason."""
        return self.queue.reason_of(job.id, job.job_index) if job.status == "pending" else None

    # -- notifying -------------------------------------------------------------

    def enhancement_changed(self, job: JobState, now: float) -> None:
        """Handle a change of the enhanced version of a job, which may have ended long ago."""
        if self.listening:
            self.out.notify(job.listeners, "updated", {"enhanced_image"})
        self._updated({"jobs"}, now)

    def announce_end(self, kind: str, error: ErrorData | None = None, extra: Mapping[str, Any] | None = None) -> None:
        """Notify the listeners of all projects of the end, once."""
        if self.announced == kind:
            return
        self.announced = kind
        if self.group is not None and self.group.has("project"):
            event = ProjectEvent(type=kind, project_id=self.id, error=error, extra=extra or {})
            self.out.notify(self.group, "project", event)

    def _announce_failure(self, job: JobState) -> None:
        """Notify the listeners of all projects that a job failed."""
        if self.group is not None and self.group.has("job"):
            event = JobEvent(type="error", project_id=self.id, job_id=job.id, error=job.error)
            self.out.notify(self.group, "job", event)

    def _job_changed(self, job: JobState, names: set[str], now: float, project_names: set[str] | None = None) -> None:
        """Queue the events of a change of a job."""
        # The order of events: projects-4.2 §12.3.
        if not names and not project_names:
            return
        progress = job.progress(now)
        shown = job.last_progress
        job.last_progress = progress
        self.tally.set_progress(job, progress)
        if self.listening and ("status" in names or self._listeners is not None or job.has_listeners):
            # A `job_started` listener may register for events of the job, and then receives those queued meanwhile.
            anyway = self._has_listener("job_started")
            moved = progress != shown and (names & _PROGRESS_NAMES or progress == 100)
            if moved and (anyway or job.has_listener("progress")):
                self.out.notify(job.listeners, "progress", progress, job)
            if "status" in names and job.status == "completed":
                self.out.notify(job.listeners, "completed", job.result_url)
            if "status" in names and job.status == "failed":
                self.out.notify(job.listeners, "failed", job.error)
            if names and (anyway or job.has_listener("updated")):
                self.out.notify(job.listeners, "updated", _public(names))
        if "status" in names and job.status in ("completed", "failed"):
            self._emit(f"job_{job.status}", job)
        self._updated({"jobs", *(project_names or ())}, now)

    def _updated(self, names: set[str], now: float) -> None:
        if not names:
            return
        done = self.tally.progress(now) / max(1, self.number_of_media)
        progress = 100 if self.status == "completed" else percent(done)
        if progress != self._last_progress:
            self._last_progress = progress
            self._emit("progress", progress)
        self.check_settled(now)
        self._emit("updated", names)
        if self.enhances is not None:
            self.enhances.project.enhancement_changed(self.enhances, now)

    def check_settled(self, now: float, *, anyway: bool = False) -> None:
        """Settle if nothing is missing; `anyway`: even so, because nothing more will arrive."""
        if self.settled or not self.ended:
            return
        every = len(self.jobs) >= self.number_of_media and self.tally.ended == len(self.jobs)
        if self.status == "completed" and not anyway and not every:
            return
        value: Any = None
        urls = self.result_urls
        if self.status == "completed":
            value = urls
        elif self.status == "failed":
            value = self.error = self.error or ErrorData(code=0, message="the project failed")
        self._emit(self.status, value)
        self.settled = True
        self.settled_at = now
        if self.out.logs(INFO):
            why = f"; {self.error.message} (code {self.error.code})" if self.error is not None else ""
            what = (self.id, self.status, now - self.sent_at, len(urls), self.number_of_media, why)
            self.out.log(INFO, "project %s %s after %.1f s: %d of %d results%s", *what)
        self._feeds.clear()
        self.out.wake(self)
        if self.trace is not None and (self.totals is not None or self.status != "completed"):
            # Otherwise the record follows, with the cost.
            self.out.later(self.end_trace)

    def end_trace(self) -> None:
        """End the trace, without the lock. If the project has not settled, it ends now, because the client does."""
        if self.trace is not None:
            self.trace.end(self, self.out.wall(self.settled_at) if self.settled else None)

    def _emit(self, name: str, value: Any) -> None:
        if name in _TRANSIENT:
            deliver = self._has_listener(name)
            if not deliver and not self._feeds:
                return
        else:
            deliver = True
            # The end is the last event a late subscriber sees.
            if not self.settled:
                self._history.append(Event(name, value))
        if self._feeds:
            for feed in self._feeds:
                feed.push(Event(name, value))
            self.out.wake(self)
        if deliver and self.listening:
            self.out.notify(self.listeners, name, value, self if name == "progress" else None)

    def _has_listener(self, event: str) -> bool:
        """Whether a transient event has a listener, or may get one in a `job_started` callback."""
        listeners = self._listeners
        return listeners is not None and listeners.has_either(event, "job_started")

    # -- the queue -------------------------------------------------------------

    def _current_reasons(self) -> list[QueueChange]:
        """Return the reasons for the wait, as a list that is empty if there are none."""
        queue = self.queue
        return [self._queue_change()] if queue.waiting_reason or queue.job_waiting_reasons else []

    def _queue_change(self) -> QueueChange:
        reasons = list(self.queue.job_waiting_reasons)
        return QueueChange(project_id=self.id, waiting_reason=self.queue.waiting_reason, job_waiting_reasons=reasons)

    def _set_queue(self, queue: QueueInfo) -> set[str]:
        """Replace the data about the wait; return the names of the changed attributes."""
        before, self.queue = self.queue, queue
        names = {name for name, old, new in zip(queue._fields, before, queue, strict=True) if old != new}
        if "waiting_reason" in names or "job_waiting_reasons" in names:
            change = self._queue_change()
            self._emit("queue_changed", change)
            if self.group is None:
                return names
            if self.group.has("queue_changed"):
                self.out.notify(self.group, "queue_changed", change)
            if self.group.has("project"):
                event = ProjectEvent(
                    type="queueChanged",
                    project_id=self.id,
                    waiting_reason=change.waiting_reason,
                    job_waiting_reasons=change.job_waiting_reasons,
                )
                self.out.notify(self.group, "project", event)
        return names

    def _leave_queue(self, job: JobState | None = None) -> set[str]:
        """Forget the wait, because a job is with a worker or the project has ended. Other jobs may still wait."""
        # additions-5x §7
        if self.queue is NO_QUEUE:
            return set()
        queue = NO_QUEUE if job is None else self.queue.without_job(job.id, job.job_index)
        return self._set_queue(queue if queue.job_waiting_reasons else NO_QUEUE)

    def explain_wait(self, payload: Mapping[str, Any], now: float) -> None:
        """Apply `projectQueue`: why the project and its jobs wait."""
        self._note_frame(now)
        if not self.ended:
            self._updated(self._set_queue(self.queue.explained(payload, self.number_of_media)), now)

    def forget_reasons(self, now: float) -> None:
        """Forget the reasons for the wait, because a lost connection reports no change of them."""
        if self.queue is not NO_QUEUE:
            kept = self.queue._replace(waiting_reason=None, job_waiting_reasons=())
            self._updated(self._set_queue(kept if kept != NO_QUEUE else NO_QUEUE), now)

    # -- frames ----------------------------------------------------------------

    def join(self, out: Outbox, listening: list[bool]) -> None:
        """Make a restored project part of a client; its listeners receive events from now on."""
        if self.listening and not listening:
            listening.append(True)
        self._shift(self.out.epoch - out.epoch)
        self.out, self.listening = out, listening

    def _shift(self, seconds: float) -> None:
        """Convert all times to another clock, which shows `seconds` more."""
        self.last_frame_at += seconds
        self.sent_at += seconds
        self.settled_at += seconds
        self.eta_at = None if self.eta_at is None else self.eta_at + seconds
        if self.queue.estimated_start_at is not None:
            self.queue = self.queue._replace(estimated_start_at=self.queue.estimated_start_at + seconds)
        for job in self.jobs.values():
            if job.eta_at is not None and job.eta_started_at is not None:
                job.eta_at, job.eta_started_at = job.eta_at + seconds, job.eta_started_at + seconds

    def abandon(self) -> None:
        """Drop a project whose request was never sent."""
        self.abandoned = True
        self.request = None

    def touch(self, now: float) -> None:
        """Record that the service mentioned this project."""
        self._note_frame(now)

    def queued(self, payload: Mapping[str, Any], now: float) -> None:
        """Apply `jobState` `queued`: the position in the queue."""
        self._note_frame(now)
        for job in self.tally.working:
            job.stop_clock()  # time in the queue does not count (projects-5x §11)
        self.tally.working.clear()
        if self.ended:
            return
        queue = self.queue.queued(payload, now, self.number_of_media)
        if self.status == "processing":
            # Other jobs wait; the position and the start are not those of the project any more.
            queue = queue._replace(queue_status=None, estimated_start_at=None)
            self._updated(self._set_queue(queue if queue != NO_QUEUE else NO_QUEUE), now)
            return
        names = self._set_queue(queue if queue != NO_QUEUE else NO_QUEUE)
        if self.status != "queued":
            self.status = "queued"
            names.add("status")
        position = payload.get("queuePosition")
        if type(position) is int and position != self.queue_position:
            self.queue_position = position
            names.add("queue_position")
        self._updated(names, now)

    def completed(self, now: float, *, sync: bool = True, extra: Mapping[str, Any] | None = None) -> None:
        """Apply `jobState` `jobCompleted`; `sync`: read the project's record next."""
        self._note_frame(now)
        if self.ended:
            return
        self.status = "completed"
        self._updated({"status"} | self._leave_queue(), now)
        if sync:
            self.out.start(outbox.SyncProject(self.id))
        self.announce_end("completed", extra=extra)

    def overrule(self, status: ProjectStatus, error: ErrorData, now: float) -> None:
        """Apply the end in the record, which outranks a different one that has not been announced yet.

        Running jobs end with it.
        """
        # projects-5x §8
        if self.settled:
            if self.status == status:
                self._fail_jobs(self.error or error, now)
                self.announce_end("error", self.error)
            return
        self.status = "processing"  # while it is "completed", the end of its last job would settle it as such
        self._fail_jobs(error, now)
        if not self.settled:
            self.status, self.error = status, error
            self._updated({"status", "error"} | self._leave_queue(), now)
        self.announce_end("error", self.error)

    def settle_anyway(self, now: float) -> None:
        """Settle with the results there are, because nothing more will arrive; unfinished jobs fail.

        Result URLs that are being requested are waited for.
        """
        self.concluded = True
        if self.tally.unsigned:
            return
        self._fail_jobs(ErrorData(code=0, message="the service has no result of this job"), now)
        self.check_settled(now, anyway=True)

    def _fail_jobs(self, error: ErrorData, now: float) -> None:
        """Fail all unfinished jobs, except those whose result only lacks its URL."""
        for job in list(self.jobs.values()):
            if not job.ended and job.signing is None:
                self.end_job(job, "failed", error, now)

    def apply_counts(self, images: int | None, steps: int | None, previews: int | None) -> None:
        """Apply the counts in the record, which outrank the requested ones."""
        # projects-4.2 §14.3
        counts: dict[str, Any] = {"number_of_media": images, "steps": steps, "number_of_previews": previews}
        known = {name for name in counts if hasattr(self.params, name)}
        self.params = evolve(self.params, **{name: counts[name] for name in known if counts[name] is not None})
        if images and not self.settled:
            self.number_of_media = images

    def apply_totals(self, totals: ProjectTotals, now: float) -> None:
        """Apply the values from the record of the ended project."""
        before = self.totals or ProjectTotals(token_type=self.token_type)
        self.totals = totals
        pairs = zip(totals._fields, before, totals, strict=True)
        self._updated({name for name, old, new in pairs if old != new}, now)
        if self.trace is not None and self.settled:
            self.out.later(self.end_trace)

    def apply_job_times(self, job: JobState, found: JobRecord, now: float) -> None:
        """Apply when a job started and ended, by its record."""
        self._job_changed(job, job.change(**_times(job, found)), now)

    def apply_job_record(self, job: JobState, found: JobRecord, now: float) -> None:
        """Apply the fields of a job's record; its status does not change."""
        names = job.change(
            **_times(job, found),
            step=job.step if found.performed_steps is None else found.performed_steps,
            worker_name=(found.worker.name if found.worker else None) or job.worker_name,
            seed=job.seed if read_seed(found.seed_used) is None else read_seed(found.seed_used),
        )
        self._job_changed(job, names, now)

    def fail(self, error: ErrorData, now: float, *, sync: bool = False) -> None:
        """Fail the project. It may have failed with its last job already; the error is announced in any case."""
        self._note_frame(now)
        if not self.ended:
            self.status, self.error = "failed", error
            self._updated({"status", "error"} | self._leave_queue(), now)
            if sync:
                self.out.start(outbox.SyncProject(self.id))
        if self.status == "failed":
            self.announce_end("error", error)

    def job_begins(self, payload: Mapping[str, Any], now: float, *, started: bool) -> None:
        """Apply `initiatingModel` or `jobStarted`: a worker has the job."""
        self._note_frame(now)
        job = self._unfinished(payload, now)
        if job is None:
            return
        index = payload.get("jobIndex")
        names = job.change(
            status="processing" if started else "initiating",
            worker_name=_text(payload.get("workerName")),
            positive_prompt=_text(payload.get("positivePrompt")),
            negative_prompt=_text(payload.get("negativePrompt")),
            job_index=index if type(index) is int else job.job_index,
            preparation=None if started else read_preparation(payload.get("preparation")),
        )
        if "job_index" in names:
            self.tally.add_index(job)
        if started:
            self._begin_work()
        self._job_changed(job, names, now, self._leave_queue(job))

    def job_progressed(self, payload: Mapping[str, Any], now: float) -> None:
        """Apply `jobProgress`: steps, a fraction, an estimate, a preview."""
        self._note_frame(now)
        job = self._unfinished(payload, now)
        if job is None:
            return
        names = set()
        step, count, fraction = payload.get("step"), payload.get("stepCount"), payload.get("progress")
        if job.status != "processing":
            names |= job.change(status="processing", preparation=None)
            self._updated(self._leave_queue(job), now)
        if type(step) is int and job.step < step <= _MAX_INTEGER:
            job.step = step
            names.add("step")
        if type(count) is int and job.step_count != count <= _MAX_INTEGER:
            job.step_count = count
            names.add("step_count")
        if _is_number(fraction) and fraction != job.external_progress:
            job.external_progress = fraction
            names.add("external_progress")
        low, high = payload.get("etaMin"), payload.get("etaMax")
        if _is_number(low) and _is_number(high) and high > 0:
            names |= job.change(eta_range=EtaRange(min=low, max=high))
        self._begin_work()
        if self.status != "processing" and not self.ended:
            self.status = "processing"
            self._job_changed(job, names, now, {"status"})
        else:
            self._job_changed(job, names, now)
        if payload.get("hasImage") is True:
            self.out.start(outbox.SignPreview(self.id, job.id))

    def job_eta(self, payload: Mapping[str, Any], now: float) -> None:
        """Apply `jobETA`: seconds left; without a job it only shows that the project is alive."""
        self._note_frame(now)
        seconds = payload.get("etaSeconds")
        if not _is_number(seconds):
            return
        job = self._unfinished(payload, now)
        if job is None:
            return
        job.eta_started_at = now if job.eta_started_at is None else job.eta_started_at
        job.eta_at, job.eta_seconds = now + seconds, math.floor(seconds + 0.5)
        latest = self.tally.update_eta(job)
        extra = {"eta"} if latest != self.eta_at else set()
        if job.status == "pending":
            extra |= self._leave_queue(job)
        self.eta_at = latest
        self._job_changed(job, {"eta", "eta_seconds"}, now, extra)

    def job_result(self, payload: Mapping[str, Any], now: float) -> None:
        """Apply `jobResult`: the job is done; a missing URL is requested first."""
        # projects-4.2 §11.4
        self._note_frame(now)
        known = self.jobs.get(payload.get("imgID") or "")
        if self.settled or (known is not None and known.status in ("failed", "canceled")):
            self._late_result(known, payload, now)
            return
        if not payload.get("imgID"):
            return
        job = self._job(payload, now)
        self._begin_work()
        self._updated(self._leave_queue(job), now)
        url = next(filter(None, (_text(payload.get(name)) for name in ("resultUrl", "videoUrl", "videoFile"))), None)
        if job.signing is not None and not url:
            return
        withheld = payload.get("triggeredNSFWFilter") is True and payload.get("nsfwDetected") is not True
        if getattr(self.params, "disable_nsfw_filter", False):
            withheld = False
        if job.ended:
            # A repeated result: only its URL is newer.
            self._job_changed(job, job.change(result_url=url or job.result_url), now)
        elif url or withheld or payload.get("userCanceled"):
            self.job_done(job, payload, url, now)
        else:
            job.signing = dict(payload)
            self.tally.unsigned[job] = None
            if not self.signing:
                self.signing = True
                self.out.start(outbox.SignResults(self.id))

    def unsigned(self, now: float) -> list[tuple[JobState, dict[str, Any]]]:
        """Return the jobs that wait for the URL of their result, each with its frame, in the order of the frames.

        If there are none left, an ended project is settled.
        """
        waiting = [(job, job.signing) for job in self.tally.unsigned if job.signing is not None]
        self.signing = bool(waiting)
        if self.concluded and not waiting:
            self.settle_anyway(now)
        return waiting

    def signing_failed(self, error: ErrorData, now: float) -> None:
        """Fail the jobs that wait for a URL, because requesting them failed."""
        self.signing = False
        for job in list(self.tally.unsigned):
            self.end_job(job, "failed", error, now)
        if self.concluded:
            self._end_with(error, now)

    def abort(self, error: ErrorData, now: float) -> None:
        """Fail all unfinished jobs after an internal error, and the project unless it has results."""
        self.signing = False
        for job in self.tally.unsigned:
            job.end_signing()
        self.tally.unsigned.clear()
        self._end_with(error, now)

    def _end_with(self, error: ErrorData, now: float) -> None:
        if self.status == "completed" and self.result_urls:
            self._fail_jobs(error, now)
            self.settle_anyway(now)
        else:
            self.overrule("failed", error, now)

    def _late_result(self, job: JobState | None, payload: Mapping[str, Any], now: float) -> None:
        """Apply a result that arrives after the end: only its steps count."""
        step = _count(payload.get("performedStepCount"))
        if job is not None and job.status == "failed" and step is not None:
            self._job_changed(job, job.change(step=step), now)

    def job_done(self, job: JobState, payload: Mapping[str, Any], url: str | None, now: float) -> None:
        """Apply a result; `url` is None if it is unavailable."""
        job.end_signing()
        job.stop_clock()
        if job.ended:
            return
        canceled = bool(payload.get("userCanceled"))
        step, seed = _count(payload.get("performedStepCount")), read_seed(payload.get("lastSeed"))
        sources = payload.get("nsfwSources")
        names = job.change(
            status="canceled" if canceled else "completed",
            preparation=None,
            step=(job.step_count or job.step) if step is None else step,
            seed=job.seed if seed is None else seed,
            result_url=url,
            last_frame_url=_text(payload.get("lastFrameUrl")),
            provenance=read_provenance(payload),
            is_nsfw=bool(payload.get("triggeredNSFWFilter")),
            nsfw_detected=bool(payload.get("nsfwDetected")),
            nsfw_sources=tuple(filter(_text, sources)) if isinstance(sources, list) else (),
            user_canceled=canceled,
        )
        self.tally.end(job)
        self._job_changed(job, names, now)
        if self.concluded:
            self.settle_anyway(now)

    def job_failed(self, payload: Mapping[str, Any], now: float) -> None:
        """Apply `jobError` of a job; if it was the last, the project fails too."""
        # projects-4.2 §11.5
        self._note_frame(now)
        job = self._unfinished(payload, now)
        if job is not None:
            self._begin_work()
            self.end_job(job, "failed", error_data(payload), now)

    def end_job(self, job: JobState, status: str, error: ErrorData | None, now: float) -> None:
        """End a job that has no result."""
        job.end_signing()
        job.stop_clock()
        names = job.change(status=status, error=error, preparation=None)
        self.tally.end(job)
        extra = set()
        every = len(self.jobs) >= self.number_of_media and self.tally.failed == len(self.jobs)
        if status == "failed" and not self.ended and (self.number_of_media == 1 or every):
            self.status, self.error = "failed", error
            extra = {"status", "error"}
        extra |= self._leave_queue(None if self.ended else job)
        self._job_changed(job, names, now, extra)
        if status == "failed":
            self._announce_failure(job)

    def job_canceled(self, job_id: str, now: float) -> None:
        """Apply the cancellation of a job."""
        job = self._unfinished({"imgID": job_id}, now)
        if job is not None:
            self.end_job(job, "canceled", None, now)

    def job_retried(self, payload: Mapping[str, Any], now: float) -> None:
        """Apply `jobRetry`: the job was queued again."""
        # projects-5x §12
        self._note_frame(now)
        index = payload.get("jobIndex")
        job = self.jobs.get(payload.get("imgID") or "")
        if job is None and index is not None:
            job = self.tally.at_index(index)
        if job is None or job.ended or self.settled:
            return
        job.retrying = True
        names = job.restart()
        self._restarted(job)
        self.tally.will_retry(job)
        if type(index) is int:
            names |= job.change(job_index=index)
            self.tally.add_index(job)
        self._job_changed(job, names, now)

    def previewed(self, job: JobState, url: str, now: float) -> None:
        """Set the URL of a preview."""
        if job.ended:
            return
        names = job.change(preview_url=url)
        if self.listening:
            self.out.notify(job.listeners, "preview", url)
        self._job_changed(job, names, now)

    def cancel(self, now: float) -> None:
        """Apply a confirmed cancellation."""
        if self.ended:
            return
        for job in list(self.jobs.values()):
            if not job.ended:
                self.end_job(job, "canceled", None, now)
        self.status = "canceled"
        self._updated({"status"} | self._leave_queue(), now)

    # -- consequences of a change ----------------------------------------------

    def _note_frame(self, now: float) -> None:
        self.last_frame_at = now
        self.missed_checks = 0
        if not self.acknowledged:
            self.acknowledged = True
            self.request = None

    def _begin_work(self) -> None:
        if not self.work_began:
            self.work_began = True
            self.out.wake(self)

    def _unfinished(self, payload: Mapping[str, Any], now: float) -> JobState | None:
        """Return the job that a frame may still change; None without a job id, or if the job has ended."""
        if self.settled or not payload.get("imgID"):
            return None
        job = self._job(payload, now)
        return None if job.ended else job

    def _job(self, payload: Mapping[str, Any], now: float) -> JobState:
        """Return the job of a frame; a retried one is recognized, a new one is announced."""
        job_id = payload["imgID"]
        job = self.jobs.get(job_id)
        if job is not None:
            return job
        again = self._retried_as(payload.get("jobIndex"))
        if again is not None:
            before = again.id
            names = again.restart(job_id)
            self.renamed(again, before)
            self._restarted(again)
            self._job_changed(again, names, now)
            return again
        return self.add_job(JobState(self, job_id, self.steps), now)

    def _restarted(self, job: JobState) -> None:
        self.tally.unsigned.pop(job, None)
        self.tally.working.pop(job, None)

    def _retried_as(self, index: Any) -> JobState | None:
        return self.tally.at_index(index) or self.tally.only_retrying()

    def add_job(self, job: JobState, now: float) -> JobState:
        """Add a job and announce it."""
        job.place = len(self.jobs)
        self.jobs[job.id] = job
        self._emit("job_started", job)
        self._updated({"jobs"}, now)
        return job


_MAX_INTEGER = 2**53 - 1
"""The largest integer JSON transfers exactly."""
_MAX_NUMBER = 1e9
"""Limit for seconds and percentages; larger ones are ignored."""


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and -_MAX_NUMBER <= value <= _MAX_NUMBER


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_INTEGER else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def read_seed(value: Any) -> int | None:
    """Return a seed, which may be sent as a string; exact where a double would lose digits."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        number = read_number(value) if isinstance(value, str) else None
        return int(number) if number is not None and number.is_integer() else None


def _place(job: JobState) -> int:
    return job.place


def _times(job: JobState, found: JobRecord) -> dict[str, Any]:
    return {"started_at": found.start_time or job.started_at, "finished_at": found.end_time or job.finished_at}


_PUBLIC_NAMES = {"eta_at": "eta", "eta_started_at": "eta"}


def _public(names: set[str]) -> set[str]:
    return {_PUBLIC_NAMES.get(name, name) for name in names}


# Restoring a project from its snapshot.


def restored_state(snapshot: ProjectSnapshot) -> ProjectState:
    """Return the state of a project from its snapshot, without a client."""
    params = params_from_snapshot(snapshot.params)
    kind = getattr(params, "type", "image")
    project = ProjectState(snapshot.id, params, Outbox(), now=snapshot.started_at.timestamp(), kind=kind, listening=[])
    project.status = cast(ProjectStatus, snapshot.status)
    project.queue_position = snapshot.queue_position
    start = snapshot.estimated_start_at
    queue = QueueInfo(
        snapshot.queue_status,
        start.timestamp() if start else None,
        snapshot.waiting_reason,
        tuple(snapshot.job_waiting_reasons),
    )
    project.queue = queue if queue != NO_QUEUE else NO_QUEUE
    project.error = snapshot.error
    project.recovered = snapshot.recovered
    project.app_id = snapshot.app_id
    project.acknowledged = True
    project.eta_at = snapshot.eta.timestamp() if snapshot.eta else None
    project.totals = ProjectTotals(snapshot.cost, snapshot.token_type, snapshot.finished_at, snapshot.duration)
    for job in snapshot.jobs:
        project.add_restored(JobState.restored(project, job))
    # A completed project without all results is not settled; attaching it retrieves them.
    project.settled = project.ended and (project.status != "completed" or all(job.ended for job in project.job_list()))
    return project
