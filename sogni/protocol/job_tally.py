"""What is known about the jobs of a project as a whole, kept up to date job by job.

A frame about one job must cost the same however many jobs the service names, so nothing here goes through all jobs for
each of them.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any

from .job_state import JobState

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
        self.ended = 0
        self.failed = 0
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
