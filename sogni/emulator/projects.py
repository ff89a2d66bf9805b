"""Projects and their jobs: what state each is in, and which of them a client has not heard of yet.

Changed by the intake and the workers, read by the routes and the greeting of a connection. It sends
nothing, waits for nothing and knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

from attrs import define, field

from .accounts import Account
from .orders import Order

UNCLAIMED_LIFETIME = 3600
"""Seconds a finished project waits for the client that was away (transport §13)."""

RECORD_LIFETIME = 24 * 3600
"""Seconds a finished project is known; its files live as long."""

JobStatus = Literal[
    "created",
    "queued",
    "assigned",
    "initiatingModel",
    "jobStarted",
    "jobProgress",
    "jobCompleted",
    "jobError",
]
ProjectStatus = Literal["pending", "queued", "assigned", "progress", "completed", "errored", "cancelled"]
ENDED_JOB = ("jobCompleted", "jobError")
ENDED_PROJECT = ("completed", "errored", "cancelled")


@define(eq=False)
class Job:
    """One result to be made. A retry replaces ``image_id``: the identity of an attempt (transport §9,
    jobRetry)."""

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

    @property
    def finished(self) -> bool:
        return self.status in ENDED_JOB


@define(eq=False)
class Project:
    """One accepted request. ``inputs`` maps upload roles to the files as they were when it was accepted."""

    id: str
    sid: int
    account: Account
    app_id: str
    order: Order
    cost: Decimal
    created: float
    inputs: Mapping[str, Path] = field(factory=dict)
    jobs: list[Job] = field(factory=list)
    status: ProjectStatus = "queued"
    reason: str | None = None
    updated: float = 0.0
    ended: float | None = None
    queue_position: int = 0
    claimed: bool = True
    on_paid: Callable[[Decimal], None] | None = field(default=None, repr=False)
    """Told what was paid, in the moment it is taken: for the service's own tools, whose steps note it."""
    over: asyncio.Event = field(factory=asyncio.Event, repr=False)
    """Set when the project has ended: for the service's own tools, which wait for it."""

    @property
    def finished(self) -> bool:
        return self.status in ENDED_PROJECT

    @property
    def waiting(self) -> bool:
        """True until a worker took up the first job."""
        return self.status in ("pending", "queued")

    def settled_cost(self) -> Decimal:
        """Return what is paid: the share of the jobs that delivered."""
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
        """Return a project by its id in any case, if it belongs to the account."""
        project = self._projects.get(id.upper())
        return project if project is None or account in (None, project.account) else None

    def of(self, account: Account, app_id: str | None = None) -> list[Project]:
        """Return an account's projects, oldest first; those of one app id when it is given."""
        return [p for p in self._projects.values() if p.account is account and app_id in (None, p.app_id)]

    def active(self, account: Account, app_id: str | None = None) -> list[Project]:
        return [project for project in self.of(account, app_id) if not project.finished]

    def unclaimed(self, account: Account, app_id: str | None = None) -> list[Project]:
        """Return the projects that finished while their client was away, for one hour."""
        oldest = self.clock() - UNCLAIMED_LIFETIME
        return [
            project
            for project in self.of(account, app_id)
            if project.finished and not project.claimed and (project.ended or 0) > oldest
        ]

    def begin(self, project: Project, job: Job, status: JobStatus, worker: str) -> None:
        """Note that a worker works on a job."""
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
        """Start a job again as a new attempt."""
        job.image_id, job.status, job.step, job.worker = image_id, "queued", 0, None
        job.attempt += 1
        project.updated = self.clock()

    def end(self, project: Project, status: ProjectStatus, reason: str, *, claimed: bool) -> None:
        """Finish a project; ``claimed`` tells that its client was there to hear of it."""
        now = self.clock()
        project.status, project.reason, project.ended, project.updated = status, reason, now, now
        project.claimed = claimed
        project.over.set()
