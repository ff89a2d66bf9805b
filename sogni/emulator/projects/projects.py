"""Projects and their jobs: state, transitions, and their records in REST responses and the handshake.

Keeps track of finished projects whose client has not been notified yet. Sends nothing and knows no HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from attrs import define, field

from sogni.emulator.account.accounts import Account, decimal_text
from sogni.emulator.faults import WAIT_MESSAGES
from sogni.emulator.fields import present
from sogni.emulator.projects.orders import Order

UNCLAIMED_LIFETIME = 3600
"""Seconds a finished project waits for a disconnected client."""
# Protocol notes: transport §13.

RECORD_LIFETIME = 24 * 3600
"""Seconds a finished project and its files are kept."""

JobStatus = Literal["queued", "initiatingModel", "jobStarted", "jobProgress", "jobCompleted", "jobError"]
ProjectStatus = Literal["pending", "queued", "assigned", "progress", "completed", "errored", "cancelled"]
ENDED_JOB = ("jobCompleted", "jobError")
ENDED_PROJECT = ("completed", "errored", "cancelled")


@define(eq=False)
class Job:
    """One result. A retry replaces ``image_id``, the identity of an attempt."""

    # Protocol notes: transport §9, jobRetry.

    index: int
    image_id: str
    seed: int
    created: float
    status: JobStatus = "queued"
    worker: str | None = None
    step: int = 0
    attempt: int = 1
    started: float | None = None
    updated: float = 0.0
    ended: float | None = None
    reason: str | None = None
    nsfw: bool = False
    withheld: bool = False
    result_url: str | None = None
    last_frame_url: str | None = None
    error: int | str | None = None
    message: str = ""
    details: Mapping[str, Any] = MappingProxyType({})
    """Further fields of the error."""

    @property
    def finished(self) -> bool:
        return self.status in ENDED_JOB


@define(eq=False)
class Project:
    """One accepted request. ``inputs`` maps upload roles to the files at the time of acceptance.

    ``seconds`` is how long the service takes for a result, ``free_credits`` is True if free credits may pay for it.
    """

    id: str
    sid: int
    account: Account
    app_id: str
    order: Order
    cost: Decimal
    created: float
    seconds: float = 0.0
    free_credits: bool = False
    inputs: Mapping[str, Path] = field(factory=dict)
    jobs: list[Job] = field(factory=list)
    status: ProjectStatus = "queued"
    reason: str | None = None
    updated: float = 0.0
    ended: float | None = None
    queue_position: int = 0
    job_seconds: float = 0.0
    start_seconds: float = 0.0
    """The duration of a job, and the estimated wait for the first one, in seconds."""
    waiting_reason: Mapping[str, str] | None = None
    job_reasons: dict[int, Mapping[str, str]] = field(factory=dict)
    """Why single jobs wait, by index."""
    claimed: bool = True
    on_paid: Callable[[Decimal], None] | None = field(default=None, repr=False)
    """Called with the amount when it is charged. Used by hosted tools, whose steps record it."""
    _over: asyncio.Event | None = field(default=None, init=False, repr=False)
    """Set when the project ends. Created by what waits for that."""

    @property
    def finished(self) -> bool:
        return self.status in ENDED_PROJECT

    @property
    def waiting(self) -> bool:
        """Return True until a worker has started the first job."""
        return self.status in ("pending", "queued")

    async def wait_for_end(self) -> None:
        """Return when the project has ended. Hosted tools wait for theirs."""
        if not self.finished:
            self._over = self._over or asyncio.Event()
            await self._over.wait()

    def end(self, status: ProjectStatus, reason: str, now: float, *, claimed: bool) -> None:
        """Finish the project; ``claimed`` if its client is connected and is notified."""
        self.status, self.reason, self.ended, self.updated, self.claimed = status, reason, now, now, claimed
        if self._over is not None:
            self._over.set()

    def reasons(self) -> dict[str, object]:
        """Return the payload of ``projectQueue``: why the project and its jobs wait."""
        # Protocol notes: additions-5x §7.
        of_jobs = [
            {"jobIndex": index, "imgID": self.jobs[index].image_id, "waitingReason": reason}
            for index, reason in sorted(self.job_reasons.items())
        ]
        return {"waitingReason": self.waiting_reason, "jobWaitingReasons": of_jobs}

    def settled_cost(self) -> Decimal:
        """Return the price of the delivered jobs."""
        delivered = sum(job.status == "jobCompleted" for job in self.jobs)
        return (self.cost * delivered / len(self.jobs)).quantize(Decimal("0.000001"))


@define(eq=False)
class Projects:
    """All projects of one emulator."""

    clock: Callable[[], float]
    _projects: dict[str, Project] = field(factory=dict)

    def __iter__(self) -> Iterator[Project]:
        return iter(list(self._projects.values()))

    def __len__(self) -> int:
        return len(self._projects)

    def add(self, project: Project) -> None:
        self._forget_old()
        self._projects[project.id] = project

    def clear(self) -> None:
        self._projects.clear()

    def _forget_old(self) -> None:
        oldest = self.clock() - RECORD_LIFETIME
        while self._projects:
            first = next(iter(self._projects.values()))
            if first.ended is None or first.ended > oldest:
                return
            del self._projects[first.id]

    def find(self, id: str, account: Account | None = None) -> Project | None:
        """Return an account's project by its ID, in any case."""
        project = self._projects.get(id.upper())
        return project if project is None or account in (None, project.account) else None

    def of(self, account: Account, app_id: str | None = None) -> list[Project]:
        """Return an account's projects, oldest first, optionally those of one app ID."""
        return [p for p in self._projects.values() if p.account is account and app_id in (None, p.app_id)]

    def active(self, account: Account, app_id: str | None = None) -> list[Project]:
        return [project for project in self.of(account, app_id) if not project.finished]

    def unclaimed(self, account: Account, app_id: str | None = None) -> list[Project]:
        """Return the projects that finished while their client was disconnected, for one hour."""
        oldest = self.clock() - UNCLAIMED_LIFETIME
        return [
            project
            for project in self.of(account, app_id)
            if project.finished and not project.claimed and (project.ended or 0) > oldest
        ]

    def begin(self, project: Project, job: Job, status: JobStatus, worker: str) -> None:
        """Record that a worker has started a job."""
        now = self.clock()
        job.status, job.worker, job.updated = status, worker, now
        job.started = job.started or now
        project.updated = now
        if project.waiting:
            project.status = "assigned"

    def advance(self, project: Project, job: Job, step: int) -> None:
        job.status, job.step, job.updated = "jobProgress", step, self.clock()
        project.status, project.updated = "progress", self.clock()

    def end_job(self, project: Project, job: Job, status: Literal["jobCompleted", "jobError"], reason: str) -> None:
        now = self.clock()
        job.status, job.reason, job.ended, job.updated = status, reason, now, now
        project.updated = now

    def retry(self, project: Project, job: Job, image_id: str) -> None:
        """Restart a job as a new attempt."""
        job.image_id, job.status, job.step, job.worker = image_id, "queued", 0, None
        job.attempt += 1
        project.updated = self.clock()


# Records: in the form of the REST API. Times are in epoch milliseconds; unset fields are omitted.


JobRecord: TypeAlias = dict[str, Any]
ProjectRecord: TypeAlias = dict[str, Any]
_LIVE_STATUS = {
    "assigned": "processing",
    "progress": "processing",
    "errored": "failed",
    "cancelled": "canceled",
}


def _ms(moment: float | None) -> int | None:
    return None if moment is None else round(moment * 1000)


def job_record(project: Project, job: Job) -> JobRecord:
    """Return a worker job. ``imgID`` is its identity; ``id`` repeats the project's."""
    # Protocol notes: projects-5x §9.2.
    return present(
        {
            "id": project.id,
            "SID": project.sid * 1000 + job.index,
            "imgID": job.image_id,
            "jobIndex": job.index,
            "worker": dict.fromkeys(("id", "name", "username"), job.worker) if job.worker else None,
            "createTime": _ms(job.created),
            "startTime": _ms(job.started),
            "updateTime": _ms(job.updated or job.created),
            "endTime": _ms(job.ended),
            "status": job.status,
            "reason": job.reason,
            "performedSteps": job.step,
            "triggeredNSFWFilter": job.withheld,
            "nsfwDetected": True if job.nsfw and not job.withheld else None,
            "seedUsed": job.seed if job.status == "jobCompleted" else None,
            "network": project.order.network,
            "resultUrl": job.result_url,
            "lastFrameUrl": job.last_frame_url,
            **job.details,
        }
    )


def finished_record(project: Project) -> ProjectRecord:
    """Return the ``project`` of ``GET /v1/projects/{id}``."""
    # Protocol notes: projects-4.2 §14.3.
    order, account, model = project.order, project.account, project.order.model
    return present(
        {
            "id": project.id,
            "SID": project.sid,
            "artist": {"username": account.username, "address": account.wallet_address},
            "model": {"id": model.id, "SID": model.sid, "name": model.name, "type": order.media},
            "imageCount": order.count,
            "stepCount": order.steps,
            "previewCount": order.previews,
            "hasGuideImage": order.denoise is not None,
            "denoiseStrength": f"{order.denoise or 0:g}",
            "costActual": {
                "costInToken": decimal_text(project.settled_cost()),
                "calculatedStepCount": order.performed_steps,
            },
            "createTime": _ms(project.created),
            "updateTime": _ms(project.updated or project.created),
            "endTime": _ms(project.ended),
            "status": project.status,
            "reason": project.reason,
            "network": order.network,
            "tokenType": order.token,
            "appSource": order.app_source,
            "workerJobs": [job_record(project, job) for job in project.jobs if not job.finished],
            "completedWorkerJobs": [job_record(project, job) for job in project.jobs if job.finished],
        }
    )


def live_record(project: Project) -> ProjectRecord:
    """Return the ``project`` of ``GET /v2/projects/{id}``."""
    # Protocol notes: projects-5x §9.7, additions-5x §5.
    record = {**finished_record(project), "outputFormat": project.order.output_format, "finished": project.finished}
    if project.waiting:
        record["waitingReason"] = project.waiting_reason or {"reason": "queued", "message": WAIT_MESSAGES["queued"]}
    return {**record, "status": _LIVE_STATUS.get(project.status, project.status)}


def recent_jobs(
    projects: list[Project], *, since: float, limit: int, app_source: str | None
) -> list[dict[str, object]]:
    """Return the ``jobs`` of ``GET /v1/jobs/list``: completed ones that ended after a time, newest first."""
    # Protocol notes: additions-5x §5.
    found = [
        (job.ended or 0.0, project, job)
        for project in projects
        for job in project.jobs
        if job.status == "jobCompleted" and app_source in (None, project.order.app_source)
    ]
    found.sort(key=lambda entry: entry[0], reverse=True)
    return [_listed_job(project, job) for ended, project, job in found if ended >= since][:limit]


def _listed_job(project: Project, job: Job) -> dict[str, object]:
    model = project.order.model
    parent = {"id": project.id, "model": {"id": model.id, "name": model.name}, "appSource": project.order.app_source}
    return {**job_record(project, job), "parentRequest": present(parent)}


def _shape(order: Order) -> dict[str, object]:
    """Return the size of a result, and its length if it has one."""
    fps = order.fps.numerator if order.fps.denominator == 1 else float(order.fps)
    length = {} if order.frames is None else {"videoFrames": order.frames, "videoFps": fps}
    return present({"sizePreset": order.size_preset, "width": order.width, "height": order.height, **length})


def recovered_record(project: Project) -> dict[str, object]:
    """Return an entry of ``activeProjects`` or ``unclaimedCompletedProjects``."""
    # Protocol notes: projects-5x §9.2.
    order = project.order
    request = json.dumps(order.request, separators=(",", ":"), ensure_ascii=False).encode()
    return {
        **finished_record(project),
        **_shape(order),
        "appId": project.app_id,
        "jobType": order.media,
        "modelType": order.media,
        "isTest": False,
        "clientRequestData": base64.b64encode(request).decode("ascii"),
    }
