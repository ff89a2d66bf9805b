"""The state of a project: its jobs, its events and its snapshot.

Fed with the frames of the project in the order of arrival, it puts what follows into the outbox and performs nothing
itself. The first end counts: nothing reopens a finished project or job. A frame about one job costs the same however
many jobs there are, so nothing on its way goes through all jobs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any, TypeGuard, cast, get_args
from weakref import ref

from attrs import evolve

from sogni.core import outbox
from sogni.core.outbox import Feed, Listeners, Outbox
from sogni.core.projects.job import ENDED, JobState, error_data, percent, read_number, read_provenance
from sogni.core.projects.params import params_from_snapshot
from sogni.models.converter import read_time
from sogni.models.params import ProjectParams
from sogni.models.projects import (
    ErrorData,
    EtaRange,
    Event,
    JobEvent,
    ProjectEvent,
    ProjectEventName,
    ProjectSnapshot,
    ProjectStatus,
)

MOST_RECOUNTED = 16
"""Jobs whose progress follows the clock that are looked at again with one frame."""


class JobTally:
    """The jobs of a project: how many ended, how far they are, which one has an index, which wait for a URL."""

    __slots__ = (
        "_by_index",
        "_by_time",
        "_etas",
        "_order",
        "_progress",
        "_retrying",
        "_room",
        "ended",
        "failed",
        "unsigned",
        "working",
    )

    def __init__(self) -> None:
        self.ended: int = 0
        self.failed: int = 0
        self.unsigned: dict[JobState, None] = {}
        """Jobs whose result lacks its URL, in the order of their results."""
        self.working: dict[JobState, None] = {}
        """Jobs whose time to run is limited."""
        self._progress = 0
        self._by_time: dict[JobState, None] = {}
        self._by_index: dict[Any, list[JobState]] = {}
        self._retrying: list[JobState] = []
        self._etas: list[tuple[float, int, JobState]] = []
        self._room = 64
        """How many estimates are kept before outdated ones are removed."""
        self._order = 0

    def adopt(self, job: JobState) -> None:
        """Count a job that was not followed from its beginning."""
        if job.ended:
            self.end(job)
        self.moved(job, job.progress(0.0))
        self.indexed(job)
        if job.eta_at is not None:
            self.latest(job)

    def end(self, job: JobState) -> None:
        """A job has ended."""
        self.ended += 1
        self.failed += job.status == "failed"
        self.unsigned.pop(job, None)
        self.working.pop(job, None)

    def moved(self, job: JobState, progress: int) -> None:
        """A job has changed."""
        self._progress += progress - job.counted
        job.counted = progress
        if job.eta_at is not None and job.by_time:
            self._by_time[job] = None

    def progress(self, now: float) -> int:
        """The percents of all jobs together. With very many that follow the clock, some lag behind a little."""
        if self._by_time:
            for job in list(islice(self._by_time, MOST_RECOUNTED)):
                del self._by_time[job]
                self.moved(job, job.progress(now))
        return self._progress

    def indexed(self, job: JobState) -> None:
        """A job may have got an index."""
        if job.job_index is not None:
            jobs = self._by_index.setdefault(job.job_index, [])
            if not jobs or jobs[-1] is not job:
                jobs.append(job)

    def at_index(self, index: Any) -> JobState | None:
        """The unfinished job with an index."""
        jobs = self._by_index.get(index) if isinstance(index, int | float) else None
        while jobs:
            if jobs[-1].job_index == index and not jobs[-1].ended:
                return jobs[-1]
            jobs.pop()
        return None

    def retries(self, job: JobState) -> None:
        """A job was announced as running again."""
        self._retrying.append(job)

    def only_retrying(self) -> JobState | None:
        """The job that waits to run again without an index, if it is the only one.

        One that went on under its own id waits no longer.
        """
        waiting: list[JobState] = []
        while self._retrying and len(waiting) < 2:
            job = self._retrying.pop()
            if job.retrying and job.status == "pending" and job.job_index is None and job not in waiting:
                waiting.append(job)
        self._retrying.extend(waiting)
        return waiting[0] if len(waiting) == 1 else None

    def latest(self, job: JobState) -> float:
        """When the last of all jobs should be done, after the estimate of one has changed."""
        self._order += 1
        heappush(self._etas, (-(job.eta_at or 0.0), self._order, job))
        if len(self._etas) > self._room:
            self._etas = [entry for entry in self._etas if entry[2].eta_at == -entry[0]]
            heapify(self._etas)
            self._room = max(self._room, 2 * len(self._etas))
        while self._etas[0][2].eta_at != -self._etas[0][0]:
            heappop(self._etas)
        return -self._etas[0][0]


PROJECT_EVENTS: frozenset[str] = frozenset(get_args(ProjectEventName))
_PROGRESS_NAMES = frozenset({"step", "step_count", "external_progress", "eta"})
_PASSING = ("progress", "updated")
"""Events of the moment, which come with almost every frame: told only to who listens when they happen."""


class ProjectState:
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
        self.id: str = project_id
        self.params: ProjectParams = params
        self.out: Outbox = out
        self.kind: str = kind
        self.listening: Any = listening
        """A list that is not empty as soon as anybody listens to anything of this client."""
        self.group: Listeners | None = None
        """Who listens to all projects of the client; None until it is tracked by one."""
        self.announced: str = ""
        """The end that the listeners of all projects were last notified of: `completed` or `error`."""
        self.queued_as: Mapping[str, Any] | None = None
        """The last frame about the place in the queue that the listeners of all projects were notified of."""
        self.started_at: float = now + out.epoch
        self.heard_at: float = now
        self.status: ProjectStatus = "pending"
        self.queue_position: int = -1
        self.eta_at: float | None = None
        self.error: ErrorData | None = None
        self.jobs: dict[str, JobState] = {}
        self.tally: JobTally = JobTally()
        self._reordered = False
        self.number_of_media: int = getattr(params, "number_of_media", None) or 1
        self.steps: int = getattr(params, "steps", None) or 0
        self.app_id: str | None = None
        self.recovered: bool = False
        self.polled: bool = False
        """Asked after in intervals, because its frames go to another app id."""
        self.request: dict[str, Any] | None = None
        """The payload as sent, kept until the service has shown that it knows it (transport §13.2)."""
        self.acknowledged: bool = False
        self.abandoned: bool = False
        self.being_sent: bool = False
        """Whether a flow has its request in hand and will send it on the next connection."""
        self.resent: bool = False
        self.sent_at: float = now
        self.sent_generation: int = 0
        self.work_began: bool = False
        self.strikes: int = 0
        self.enhances: JobState | None = None
        """The job this project makes an enhanced version of."""
        self.concluded: bool = False
        """Whether nothing more will come than the addresses that are being asked for."""
        self.settled: bool = False
        self.settled_at: float = 0.0
        self.signing: bool = False
        """Whether addresses of results are being asked for."""
        self._handle: ref[Any] | None = None
        self._shown_progress = -1
        self._history: list[Event[Any]] = []
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
        remove, late = listeners.add_late(event, function, once=once, since=self.out.last_delivery)
        for value in past:
            self.out.notify(late, event, value)
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
            self.out.notify(job.listeners, "updated", {"enhanced_image"})
        self._updated({"jobs"}, now)

    def announce_end(self, kind: str, error: ErrorData | None = None, extra: Mapping[str, Any] | None = None) -> None:
        """Notify the listeners of all projects of the end, however it became known, and once."""
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
            self.out.notify(self.listeners, name, value, self if name == "progress" else None)

    def _is_heard(self, event: str) -> bool:
        """Whether anybody hears an event of the moment now, or may begin to when a job is announced."""
        listeners = self._listeners
        return listeners is not None and listeners.has_either(event, "job_started")

    # -- frames ----------------------------------------------------------------

    def join(self, out: Outbox, listening: Any) -> None:
        """Become part of a client: a restored project had none. Who listens to it already is heard from now on."""
        if self.listening and not listening:
            listening.append(True)
        self._shift(self.out.epoch - out.epoch)
        self.out, self.listening = out, listening

    def _shift(self, seconds: float) -> None:
        """Move to another clock: what stood at 0 there stands at `seconds` here."""
        self.heard_at += seconds
        self.sent_at += seconds
        self.settled_at += seconds
        self.eta_at = None if self.eta_at is None else self.eta_at + seconds
        for job in self.jobs.values():
            if job.eta_at is not None and job.eta_started_at is not None:
                job.eta_at, job.eta_started_at = job.eta_at + seconds, job.eta_started_at + seconds

    def abandon(self) -> None:
        """The request was never written: nobody is to hear of this project."""
        self.abandoned = True
        self.request = None

    def alive(self, now: float) -> None:
        """The service spoke of this project without saying anything new."""
        self._hear(now)

    def queued(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobState` `queued`: the place in the queue."""
        self._hear(now)
        for job in self.tally.working:
            job.stop_clock()  # time in the queue is no time of work (projects-5x §11)
        self.tally.working.clear()
        if self.ended or self.status == "processing":
            return
        names = set()
        if self.status != "queued":
            self.status = "queued"
            names.add("status")
        position = payload.get("queuePosition")
        if type(position) is int and position != self.queue_position:
            self.queue_position = position
            names.add("queue_position")
        self._updated(names, now)

    def completed(self, now: float, *, sync: bool = True, extra: Mapping[str, Any] | None = None) -> None:
        """`jobState` `jobCompleted`: the service is done with the project; its record is read after it."""
        self._hear(now)
        if self.ended:
            return
        self.status = "completed"
        self._updated({"status"}, now)
        if sync:
            self.out.start(outbox.SyncProject(self.id))
        self.announce_end("completed", extra=extra)

    def overrule(self, status: ProjectStatus, error: ErrorData, now: float) -> None:
        """The record says otherwise before anybody was told of the end; running jobs share it (projects-5x §8)."""
        if self.settled:
            if self.status == status:
                self._fail_jobs(self.error or error, now)
                self.announce_end("error", self.error)
            return
        self.status = "processing"  # not "completed" any more, or the last of its jobs would settle it as that
        self._fail_jobs(error, now)
        if not self.settled:
            self.status, self.error = status, error
            self._updated({"status", "error"}, now)
        self.announce_end("error", self.error)

    def settle_anyway(self, now: float) -> None:
        """Nothing more will come: jobs without an end have failed, and the project is what it is.

        As long as addresses of results are being asked for, it waits for the last of them.
        """
        self.concluded = True
        if self.tally.unsigned:
            return
        self._fail_jobs(ErrorData(code=0, message="the service has no result of this job"), now)
        self.check_settled(now, anyway=True)

    def _fail_jobs(self, error: ErrorData, now: float) -> None:
        """Fail every job without an end, save those whose result only lacks its address."""
        for job in list(self.jobs.values()):
            if not job.ended and job.signing is None:
                self.end_job(job, "failed", error, now)

    def counted(self, images: int | None, steps: int | None, previews: int | None) -> None:
        """The record's counts outrank those that were asked for (projects-4.2 §14.3)."""
        counts: dict[str, Any] = {"number_of_media": images, "steps": steps, "number_of_previews": previews}
        known = {name for name in counts if hasattr(self.params, name)}
        self.params = evolve(self.params, **{name: counts[name] for name in known if counts[name] is not None})
        if images and not self.settled:
            self.number_of_media = images

    def recorded(self, job: JobState, found: Any, now: float) -> None:
        """Facts of a record that a frame did not bring; an end once reached stays."""
        names = job.change(
            step=job.step if found.performed_steps is None else found.performed_steps,
            worker_name=(found.worker.name if found.worker else None) or job.worker_name,
            seed=job.seed if _whole(found.seed_used) is None else _whole(found.seed_used),
        )
        self._job_changed(job, names, now)

    def fail(self, error: ErrorData, now: float, *, sync: bool = False) -> None:
        """The project failed as a whole; that may be said after its last job failed, and is news then."""
        self._hear(now)
        if not self.ended:
            self.status, self.error = "failed", error
            self._updated({"status", "error"}, now)
            if sync:
                self.out.start(outbox.SyncProject(self.id))
        if self.status == "failed":
            self.announce_end("error", error)

    def job_begins(self, payload: Mapping[str, Any], now: float, *, started: bool) -> None:
        """`initiatingModel` or `jobStarted`: a worker has the job."""
        self._hear(now)
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
        )
        if "job_index" in names:
            self.tally.indexed(job)
        if started:
            self._begin_work()
        self._job_changed(job, names, now)

    def job_progressed(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobProgress`: steps, a fraction, an estimate, a preview."""
        self._hear(now)
        job = self._unfinished(payload, now)
        if job is None:
            return
        names = set()
        step, count, fraction = payload.get("step"), payload.get("stepCount"), payload.get("progress")
        if job.status != "processing":
            job.status = "processing"
            names.add("status")
        if type(step) is int and job.step < step <= _MOST:
            job.step = step
            names.add("step")
        if type(count) is int and job.step_count != count <= _MOST:
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
        """`jobETA`: seconds left; one without a job keeps the project alive and says no more."""
        self._hear(now)
        seconds = payload.get("etaSeconds")
        if not _is_number(seconds):
            return
        job = self._unfinished(payload, now)
        if job is None:
            return
        job.eta_started_at = now if job.eta_started_at is None else job.eta_started_at
        job.eta_at, job.eta_seconds = now + seconds, math.floor(seconds + 0.5)
        latest = self.tally.latest(job)
        extra = {"eta"} if latest != self.eta_at else set()
        self.eta_at = latest
        self._job_changed(job, {"eta", "eta_seconds"}, now, extra)

    def job_result(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobResult`: the job is done; without an address one is asked for first (projects-4.2 §11.4)."""
        self._hear(now)
        known = self.jobs.get(payload.get("imgID") or "")
        if self.settled or (known is not None and known.status in ("failed", "canceled")):
            self._late_result(known, payload, now)
            return
        if not payload.get("imgID"):
            return
        job = self._job(payload, now)
        self._begin_work()
        url = next(filter(None, (_text(payload.get(name)) for name in ("resultUrl", "videoUrl", "videoFile"))), None)
        if job.signing is not None and not url:
            return
        withheld = payload.get("triggeredNSFWFilter") is True and payload.get("nsfwDetected") is not True
        if getattr(self.params, "disable_nsfw_filter", False):
            withheld = False
        if job.ended:
            # A repeated result: its address is the newer one, the end stays what it was.
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
        """The jobs that wait for the URL of their result, in the order of their frames, each with its frame.

        If there is none any more, nothing keeps a project that is over from being settled.
        """
        waiting = [(job, job.signing) for job in self.tally.unsigned if job.signing is not None]
        self.signing = bool(waiting)
        if self.concluded and not waiting:
            self.settle_anyway(now)
        return waiting

    def signing_died(self, error: ErrorData, now: float) -> None:
        """Nobody requests URLs any more: the jobs that wait for one fail."""
        self.signing = False
        for job in list(self.tally.unsigned):
            self.end_job(job, "failed", error, now)
        if self.concluded:
            self._end_with(error, now)

    def abort(self, error: ErrorData, now: float) -> None:
        """Work for this project died: every unfinished job fails, and the project too unless it has results."""
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
        """A result after the end: the steps count, the end does not change."""
        step = _count(payload.get("performedStepCount"))
        if job is not None and job.status == "failed" and step is not None:
            self._job_changed(job, job.change(step=step), now)

    def job_done(self, job: JobState, payload: Mapping[str, Any], url: str | None, now: float) -> None:
        """Apply a result, its address known or given up."""
        job.end_signing()
        job.stop_clock()
        if job.ended:
            return
        canceled = bool(payload.get("userCanceled"))
        step, seed = _count(payload.get("performedStepCount")), _whole(payload.get("lastSeed"))
        sources = payload.get("nsfwSources")
        names = job.change(
            status="canceled" if canceled else "completed",
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
        """`jobError` with a job: it failed, and the project with it when it was the last (projects-4.2 §11.5)."""
        self._hear(now)
        job = self._unfinished(payload, now)
        if job is not None:
            self._begin_work()
            self.end_job(job, "failed", error_data(payload), now)

    def end_job(self, job: JobState, status: str, error: ErrorData | None, now: float) -> None:
        """End a job without a result."""
        job.end_signing()
        job.stop_clock()
        names = job.change(status=status, error=error)
        self.tally.end(job)
        extra = set()
        every = len(self.jobs) >= self.number_of_media and self.tally.failed == len(self.jobs)
        if status == "failed" and not self.ended and (self.number_of_media == 1 or every):
            self.status, self.error = "failed", error
            extra = {"status", "error"}
        self._job_changed(job, names, now, extra)
        if status == "failed":
            self._announce_failure(job)

    def job_canceled(self, job_id: str, now: float) -> None:
        """A job was canceled, which fails nothing."""
        job = self._unfinished({"imgID": job_id}, now)
        if job is not None:
            self.end_job(job, "canceled", None, now)

    def job_retried(self, payload: Mapping[str, Any], now: float) -> None:
        """`jobRetry`: the render was queued again, which is no failure (projects-5x §12)."""
        self._hear(now)
        index = payload.get("jobIndex")
        job = self.jobs.get(payload.get("imgID") or "")
        if job is None and index is not None:
            job = self.tally.at_index(index)
        if job is None or job.ended or self.settled:
            return
        job.retrying = True
        names = job.begin_again()
        self._begins_again(job)
        self.tally.retries(job)
        if type(index) is int:
            names |= job.change(job_index=index)
            self.tally.indexed(job)
        self._job_changed(job, names, now)

    def previewed(self, job: JobState, url: str, now: float) -> None:
        """The address of a preview is known."""
        if job.ended:
            return
        names = job.change(preview_url=url)
        if self.listening:
            self.out.notify(job.listeners, "preview", url)
        self._job_changed(job, names, now)

    def cancel(self, now: float) -> None:
        """The service confirmed a cancellation."""
        if self.ended:
            return
        for job in list(self.jobs.values()):
            if not job.ended:
                self.end_job(job, "canceled", None, now)
        self.status = "canceled"
        self._updated({"status"}, now)

    # -- what follows from a change --------------------------------------------

    def _hear(self, now: float) -> None:
        self.heard_at = now
        self.strikes = 0
        if not self.acknowledged:
            self.acknowledged = True
            self.request = None

    def _begin_work(self) -> None:
        if not self.work_began:
            self.work_began = True
            self.out.wake(self)

    def _unfinished(self, payload: Mapping[str, Any], now: float) -> JobState | None:
        """The job a frame may still change; None when it names none, and after an end: nothing is announced then."""
        if self.settled or not payload.get("imgID"):
            return None
        job = self._job(payload, now)
        return None if job.ended else job

    def _job(self, payload: Mapping[str, Any], now: float) -> JobState:
        """The job a frame is about; one that runs again is recognised, a new one is announced."""
        job_id = payload["imgID"]
        job = self.jobs.get(job_id)
        if job is not None:
            return job
        again = self._retried_as(payload.get("jobIndex"))
        if again is not None:
            before = again.id
            names = again.begin_again(job_id)
            self.renamed(again, before)
            self._begins_again(again)
            self._job_changed(again, names, now)
            return again
        return self.add_job(JobState(self, job_id, self.steps), now)

    def _begins_again(self, job: JobState) -> None:
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


_MOST = 2**53 - 1
"""The largest number JSON carries exactly; what is above it is nobody's count."""
_FAR = 1e9
"""Seconds or percent beyond which a number means nothing, and dates end."""


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and -_FAR <= value <= _FAR


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    """A seed, also one sent as text; kept exact where a double would lose digits."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        number = read_number(value) if isinstance(value, str) else None
        return int(number) if number is not None and number.is_integer() else None


def _place(job: JobState) -> int:
    return job.place


_PUBLIC_NAMES = {"eta_at": "eta", "eta_started_at": "eta"}


def _public(names: set[str]) -> set[str]:
    return {_PUBLIC_NAMES.get(name, name) for name in names}


# Restoring a project from its snapshot.


def restored_state(snapshot: ProjectSnapshot) -> ProjectState:
    """The state of a project from its snapshot, belonging to no client."""
    params = params_from_snapshot(snapshot.params)
    kind = getattr(params, "type", "image")
    project = ProjectState(snapshot.id, params, Outbox(), now=snapshot.started_at.timestamp(), kind=kind, listening=[])
    project.status = cast(ProjectStatus, snapshot.status)
    project.queue_position = snapshot.queue_position
    project.error = snapshot.error
    project.recovered = snapshot.recovered
    project.app_id = snapshot.app_id
    project.acknowledged = True
    project.eta_at = snapshot.eta.timestamp() if snapshot.eta else None
    for job in snapshot.jobs:
        project.adopt(JobState.restored(project, job))
    # A completed project whose results are still on their way is not settled; attaching it brings them.
    project.settled = project.ended and (project.status != "completed" or all(job.ended for job in project.job_list()))
    return project
