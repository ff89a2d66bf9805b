"""The tracked projects of a client: dispatches frames to them, and checks for silence and exceeded time limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sogni.core.checks import extra_fields
from sogni.core.outbox import CheckLiveness, CheckOverrun, Listeners, Outbox, Reconcile, Resend
from sogni.core.projects.job import PROVENANCE_FIELDS, RESTARTING, error_data
from sogni.core.projects.project import ProjectState
from sogni.core.projects.queue import QUEUE_STATUSES, read_preparation
from sogni.models.projects import JobEvent, ProjectEvent, ProjectsSync, Snapshot, SyncReason

PROJECTS_EVENTS = frozenset(
    {
        "available_models",
        "project",
        "job",
        "projects_synced",
        "queue_changed",
        "active_projects_recovered",
        "completed_projects_recovered",
    }
)

KEEP_FINISHED = 30.0
"""Seconds that a finished project stays tracked (projects-4.2 §11.2)."""
KEEP_RECOVERED = 3600.0
"""Seconds that a recovered project stays tracked; the service keeps unclaimed results as long (transport §13)."""
INACTIVITY = 120.0
"""Seconds without a frame after which to look up a project (projects-5x §11)."""
CHECK_INTERVAL = 1.0
MAX_RUN_TIME = 12 * 3600.0
RUN_FLOOR = {("fast", "image"): 1800.0, ("fast", "audio"): 1800.0, ("fast", "video"): 5400.0}
RUN_FLOOR_OTHERWISE = (2 * 3600.0, 8 * 3600.0)
MAX_ENDED = 4096
"""Number of ended projects to remember after they are released."""
MAX_MEDIA_JOBS = 1000
"""Number of jobs to remember that are served by the route of other media than images (additions-5x §5)."""

_OF_PROJECT = frozenset({"jobID", "type"})
_OF_QUEUE = _OF_PROJECT | {
    "queuePosition", "estimatedStartSeconds", "queueStatus", "waitingReason", "jobWaitingReasons",
}  # fmt: skip
_OF_JOB = _OF_PROJECT | {
    "imgID", "workerName", "positivePrompt", "negativePrompt", "jobIndex", "step", "stepCount", "progress", "hasImage",
    "etaSeconds", "etaMin", "etaMax",
}  # fmt: skip
_OF_PREPARED_JOB = _OF_JOB | {"preparation"}
_OF_RESULT = (
    _OF_PROJECT
    | PROVENANCE_FIELDS
    | {
        "imgID", "jobIndex", "performedStepCount", "lastSeed", "userCanceled", "triggeredNSFWFilter", "resultUrl",
        "videoUrl", "videoFile", "nsfwDetected", "nsfwSources", "lastFrameUrl",
    }
)  # fmt: skip
"""The declared fields of each frame; all others are kept in `extra`."""


class RecentIds:
    """The most recent ids of a kind, at most `limit`; adding one to a full set forgets the oldest."""

    __slots__ = ("_ids", "_limit")

    def __init__(self, limit: int) -> None:
        self._ids: dict[str, None] = {}
        self._limit = limit

    def __contains__(self, id: str) -> bool:
        return id in self._ids

    def add(self, id: str) -> None:
        """Remember an id. One that is known already keeps its age."""
        self._ids[id] = None
        if len(self._ids) > self._limit:
            del self._ids[next(iter(self._ids))]


class Synchronization:
    """A comparison of the tracked projects with those of the service, and what it has found so far.

    It has several parts: the reading of a snapshot, and what follows from it in other background tasks.
    """

    __slots__ = ("error", "finished", "found", "parts")

    def __init__(self, reason: SyncReason) -> None:
        self.found: ProjectsSync[ProjectState] = ProjectsSync(reason=reason)
        self.parts: int = 1
        """Number of unfinished parts."""
        self.finished: bool = False
        self.error: Exception | None = None
        """Why there is no snapshot."""

    def note(self, project: ProjectState, state: str) -> None:
        """Note what a lookup has found, as the state of a `MissingProject`."""
        found = self.found
        lists = {"active": found.active, "lost": found.lost, "unknown": found.unverified}
        lists.get(state, found.completed).append(project)


class ProjectRegistry:
    """The tracked projects, and the frames that change them; `network` returns the client's current network."""

    def __init__(self, out: Outbox, network: Callable[[], str]) -> None:
        self._out = out
        self._network = network
        self.by_id: dict[str, ProjectState] = {}
        self.listeners: Listeners = Listeners()
        self.cancellations: dict[str, tuple[bool, str] | None] = {}
        """Pending cancellations and their outcomes: whether the job was canceled, and the service's message."""
        self.lookups: int = 0
        """Number of snapshots for which projects were looked up."""
        self._media_jobs = RecentIds(MAX_MEDIA_JOBS)
        self._checked_at = 0.0
        self._reconciling = False
        self._reconcile_next: dict[bool, Reconcile] = {}
        """Queued reconciliations: at most one that was requested by a caller, and one other."""
        self._ended = RecentIds(MAX_ENDED)

    @property
    def frame_handlers(self) -> dict[str, Callable[[Any, float], None]]:
        """Handlers by frame type."""
        return {
            "jobProgress": self._job_progress,
            "jobETA": self._job_eta,
            "jobResult": self._job_result,
            "jobError": self._job_error,
            "jobRetry": self._job_retry,
            "projectQueue": self._project_queue,
            "artistCancelConfirmation": self._cancel_answered,
        }

    def track(self, project: ProjectState, now: float) -> None:
        """Track a project."""
        if self._check_due(now):
            self.forget_finished(now)
        self.by_id[project.id] = project
        project.group = self.listeners

    def tracked(self) -> list[ProjectState]:
        """Return the tracked projects."""
        return [project for project in list(self.by_id.values()) if not project.abandoned]

    def forget_finished(self, now: float) -> None:
        """Release projects that finished a while ago."""
        old = [
            project.id
            for project in self.by_id.values()
            if project.abandoned
            or (
                project.settled and now - project.settled_at >= (KEEP_RECOVERED if project.recovered else KEEP_FINISHED)
            )
        ]
        for project_id in old:
            del self.by_id[project_id]
            self.note_end(project_id)

    def note_end(self, project_id: str) -> None:
        """Note that a project has ended, so that it is not recovered if a snapshot still lists it."""
        self._ended.add(project_id)

    def has_ended(self, project_id: str) -> bool:
        """Whether `note_end` was called for a project."""
        return project_id in self._ended

    def _check_due(self, now: float) -> bool:
        """Whether it is time to check all projects; rarely, so that the cost of a frame does not grow with them."""
        if 0 <= now - self._checked_at < CHECK_INTERVAL:
            return False
        self._checked_at = now
        return True

    def check(self, now: float) -> None:
        """Release finished projects and check on silent ones, at most once per `CHECK_INTERVAL`."""
        if not self._check_due(now):
            return
        self.forget_finished(now)
        for project in self.by_id.values():
            if project.settled:
                continue
            overrun = next((j for j in project.tally.working if j.runs_until and now >= j.runs_until), None)
            if overrun is not None:
                overrun.runs_until = None
                self._out.start(CheckOverrun(project.id, overrun.id))
            elif now - project.last_frame_at >= INACTIVITY:
                project.last_frame_at = now
                self._out.start(CheckLiveness(project.id))

    def reconcile(self, snapshot: Snapshot | None, reason: SyncReason) -> Synchronization:
        """Start a reconciliation. They never overlap: while one runs, only the newest snapshot is queued.

        Callers that request one meanwhile share the next.
        """
        requested = reason == "manual"
        queued = self._reconcile_next.get(requested)
        if requested and queued is not None:
            shared: Synchronization = queued.sync
            return shared
        sync = Synchronization(reason)
        self._reconcile_next[requested] = Reconcile(snapshot, sync)
        self._reconcile_queued()
        return sync

    def _reconcile_queued(self) -> None:
        if not self._reconciling and self._reconcile_next:
            self._reconciling = True
            # A snapshot that has arrived comes first: it may hold results that are delivered once.
            self._out.start(self._reconcile_next.pop(min(self._reconcile_next)))

    def reconciled(self) -> None:
        """Finish a reconciliation and start a queued one."""
        self._reconciling = False
        self._reconcile_queued()

    def notify_recovered(self, event: str, projects: list[ProjectState]) -> None:
        """Notify the listeners of all projects of those of an earlier process, if there are any."""
        if projects:
            self._out.notify(self.listeners, event, list(projects))

    def part_begins(self, sync: Synchronization) -> Synchronization:
        """Count another part of a synchronization."""
        sync.parts += 1
        return sync

    def part_ends(self, sync: Synchronization) -> None:
        """Finish a part of a synchronization; after the last one, notify the listeners, unless there is no snapshot."""
        sync.parts -= 1
        if sync.parts:
            return
        sync.finished = True
        self._out.wake(sync)
        if sync.error is None:
            self._out.notify(self.listeners, "projects_synced", sync.found)

    def new_lookups(self) -> int:
        """Count a new snapshot; lookups for earlier ones end."""
        self.lookups += 1
        return self.lookups

    def serve_as_media(self, job_id: str) -> None:
        """Note that the result of a job is not an image, although its model looked like one for images."""
        self._media_jobs.add(job_id)

    def is_served_as_media(self, job_id: str) -> bool:
        """Whether `serve_as_media` was called for a job."""
        return job_id in self._media_jobs

    def _project(self, payload: Any) -> ProjectState | None:
        return self.by_id.get(payload.get("jobID", "")) if type(payload) is dict else None

    def job_state(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is None:
            return
        kind = payload.get("type")
        if kind == "queued":
            project.queued(payload, now)
            self._notify_queued(project, payload)
        elif kind == "jobCompleted":
            project.completed(now, extra=extra_fields(payload, _OF_PROJECT))
        elif kind in ("initiatingModel", "jobStarted") and payload.get("imgID"):
            started = kind == "jobStarted"
            project.last_queue_payload = None
            project.job_begins(payload, now, started=started)
            if started:
                self._limit_run(project, payload, now)
            self._notify_job("started" if started else "initiating", project, payload)
        else:
            project.touch(now)

    def _job_progress(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.job_progressed(payload, now)
            self._limit_run(project, payload, now)
            if self.listeners.has("job"):
                self._notify_job("progress", project, payload)

    def _job_eta(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.job_eta(payload, now)
            self._notify_job("jobETA", project, payload)

    def _job_result(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            before = _result_of(project, payload)
            project.job_result(payload, now)
            if before != _result_of(project, payload) and before[0] != "failed":
                self.notify_result(project, payload)

    def _job_error(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is None:
            return
        error = error_data(payload)
        if payload.get("imgID"):
            project.job_failed(payload, now)
        elif error.code == RESTARTING and project.request is not None and not project.resent:
            self._out.start(Resend(project.id))
        else:
            project.fail(error, now, sync=True)

    def _job_retry(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.job_retried(payload, now)

    def _project_queue(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.explain_wait(payload, now)

    def _cancel_answered(self, payload: Any, now: float) -> None:
        if not isinstance(payload, dict):
            return
        project_id, did_cancel = payload.get("jobID", ""), payload.get("didCancel") is True
        pending = self.cancellations.get(project_id, (False, "")) is None
        if not pending and not (did_cancel and project_id in self.by_id):
            return
        # Even if the caller that requested it was interrupted: there is no other frame about the end.
        message = payload.get("error_message")
        self.cancellations[project_id] = (did_cancel, message if isinstance(message, str) else "")
        self._out.wake(("cancel", project_id))
        if did_cancel:
            self.canceled(project_id, now)

    def wake_all(self) -> None:
        """Wake the waiters of all projects."""
        for project in self.by_id.values():
            self._out.wake(project)

    def connection_lost(self, now: float) -> None:
        """Handle a lost connection: silence does not count until the next one."""
        for project in self.by_id.values():
            project.last_frame_at = now
            project.forget_reasons(now)

    def connection_ended(self) -> None:
        """Wake the waiters of unfinished projects: there will be no other connection."""
        for project in self.by_id.values():
            if not project.settled:
                self._out.wake(project)

    def canceled(self, project_id: str, now: float) -> None:
        """Apply a confirmed cancellation and stop tracking the project."""
        project = self.by_id.pop(project_id, None)
        if project is not None:
            project.cancel(now)

    def _limit_run(self, project: ProjectState, payload: Any, now: float) -> None:
        """Start the time limit of a job at its first sign of work; progress does not extend it."""
        # projects-5x §11
        job = project.jobs.get(payload.get("imgID") or "")
        if job is not None and job.runs_until is None and not job.ended:
            network = getattr(project.params, "network", None) or self._network()
            floor = RUN_FLOOR.get((network, project.kind), RUN_FLOOR_OTHERWISE[project.kind == "video"])
            project.tally.working[job] = None
            job.allow(min(MAX_RUN_TIME, max(floor, 6 * (job.eta_seconds or 0))), now)

    def allow_longer(self, project_id: str, job_id: str, now: float) -> bool:
        """Allow a job as much time again, because it is being processed; False if it has reached the maximum."""
        project = self.by_id.get(project_id)
        job = project.jobs.get(job_id) if project is not None else None
        if job is None or job.ended:
            return True
        if job.allowed >= MAX_RUN_TIME:
            return False
        job.allow(min(MAX_RUN_TIME - job.allowed, job.run_limit), now)
        return True

    # -- events for the listeners of all projects ------------------------------------------

    def _notify_queued(self, project: ProjectState, payload: dict[str, Any]) -> None:
        if project.ended or project.last_queue_payload == payload or not self.listeners.has("project"):
            return
        project.last_queue_payload = payload
        reasons = list(project.queue.job_waiting_reasons)
        event = ProjectEvent(
            type="queued",
            project_id=project.id,
            queue_position=_whole(payload.get("queuePosition")),
            estimated_start_seconds=_number(payload.get("estimatedStartSeconds")),
            queue_status=payload.get("queueStatus") if payload.get("queueStatus") in QUEUE_STATUSES else None,
            waiting_reason=project.queue.waiting_reason,
            job_waiting_reasons=reasons or None,
            extra=extra_fields(payload, _OF_QUEUE),
        )
        self._out.notify(self.listeners, "project", event)

    def _notify_job(self, kind: str, project: ProjectState, payload: dict[str, Any]) -> None:
        """Notify the listeners of all projects of an unfinished job; repeated frames are ignored."""
        job = project.jobs.get(payload.get("imgID") or "")
        if job is None or job.ended or job.last_event_payload == payload or not self.listeners.has("job"):
            return
        job.last_event_payload = payload
        preparation = read_preparation(payload.get("preparation")) if kind == "initiating" else None
        event = JobEvent(
            type=kind,
            project_id=project.id,
            job_id=job.id,
            worker_name=_text(payload.get("workerName")),
            positive_prompt=_text(payload.get("positivePrompt")),
            negative_prompt=_text(payload.get("negativePrompt")),
            job_index=_whole(payload.get("jobIndex")),
            step=_whole(payload.get("step")),
            step_count=_whole(payload.get("stepCount")),
            progress=_number(payload.get("progress")),
            eta_seconds=_number(payload.get("etaSeconds")),
            eta_min=_number(payload.get("etaMin")),
            eta_max=_number(payload.get("etaMax")),
            preparation=preparation,
            extra=extra_fields(payload, _OF_JOB if preparation is None else _OF_PREPARED_JOB),
        )
        self._out.notify(self.listeners, "job", event)

    def notify_result(self, project: ProjectState, payload: dict[str, Any]) -> None:
        """Notify the listeners of all projects that a job ended with a result."""
        job = project.jobs.get(payload.get("imgID") or "")
        if job is None or not self.listeners.has("job"):
            return
        event = JobEvent(
            type="completed",
            project_id=project.id,
            job_id=job.id,
            steps=job.step,
            seed=job.seed,
            result_url=job.result_url,
            last_frame_url=job.last_frame_url,
            provenance=job.provenance,
            is_nsfw=job.is_nsfw,
            nsfw_detected=job.nsfw_detected,
            nsfw_sources=list(job.nsfw_sources),
            user_canceled=job.user_canceled,
            job_index=job.job_index,
            extra=extra_fields(payload, _OF_RESULT),
        )
        self._out.notify(self.listeners, "job", event)

    def notify_preview(self, project: ProjectState, job_id: str, url: str) -> None:
        """Notify the listeners of all projects of a preview."""
        event = JobEvent(type="preview", project_id=project.id, job_id=job_id, url=url)
        self._out.notify(self.listeners, "job", event)


def _result_of(project: ProjectState, payload: dict[str, Any]) -> tuple[str, str | None]:
    """Return the status and URL of the job of a result, ("", None) if it has not ended."""
    job = project.jobs.get(payload.get("imgID") or "")
    return (job.status, job.result_url) if job is not None and job.ended else ("", None)


def _number(value: Any) -> float | None:
    # Fields of the wrong type count as absent (projects-4.2 §11.1).
    return value if type(value) in (int, float) else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
