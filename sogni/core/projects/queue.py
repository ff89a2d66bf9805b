"""Data about the wait for workers: position in the queue, estimated start and reasons."""

# projects-5x §7, additions-5x §7

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from sogni.core.checks import extra_fields
from sogni.errors import ProtocolError
from sogni.models.converter import read
from sogni.models.projects import JobWaitingReason, Preparation, QueueStatus, WaitingReason

QUEUE_STATUSES: tuple[QueueStatus, ...] = get_args(QueueStatus)
"""Known values; others are ignored (transport §9.2)."""
_LONGEST_MESSAGE = 600
_LONGEST_ID = 128
_LONGEST_WAIT = 1e9
"""Limit for estimates in seconds; larger ones are ignored."""
_OF_JOB = frozenset({"jobIndex", "waitingReason", "imgID"})


class QueueInfo(NamedTuple):
    """The wait of a project; `start_at` in seconds of the monotonic clock. The fields are replaced as a whole."""

    queue_status: QueueStatus | None = None
    estimated_start_at: float | None = None
    waiting_reason: WaitingReason | None = None
    job_waiting_reasons: tuple[JobWaitingReason, ...] = ()

    def queued(self, payload: Mapping[str, Any], now: float, jobs: int) -> QueueInfo:
        """Return the data in `jobState` `queued`; reasons that it does not mention are kept."""
        status, seconds = payload.get("queueStatus"), payload.get("estimatedStartSeconds")
        reason, reasons = self.waiting_reason, self.job_waiting_reasons
        if "waitingReason" in payload:
            reason = read_waiting_reason(payload["waitingReason"])
        if "jobWaitingReasons" in payload:
            reasons = read_job_reasons(payload["jobWaitingReasons"], jobs)
        return QueueInfo(status if status in QUEUE_STATUSES else None, _start(seconds, now), reason, reasons)

    def explained(self, payload: Mapping[str, Any], jobs: int) -> QueueInfo:
        """Return the data in `projectQueue`, which contains all reasons."""
        return self._replace(
            waiting_reason=read_waiting_reason(payload.get("waitingReason")),
            job_waiting_reasons=read_job_reasons(payload.get("jobWaitingReasons"), jobs),
        )

    def without_job(self, job_id: str, index: int | None) -> QueueInfo:
        """Return the data after a worker has taken a job, with the reasons of the other jobs."""
        reasons = self.job_waiting_reasons
        return QueueInfo(job_waiting_reasons=tuple(it for it in reasons if not _is_of(it, job_id, index)))

    def reason_of(self, job_id: str, index: int | None) -> WaitingReason | None:
        """Return why a job waits; None if the service gave no reason."""
        found = (it.waiting_reason for it in self.job_waiting_reasons if _is_of(it, job_id, index))
        return next(found, None)


NO_QUEUE = QueueInfo()


def _start(seconds: Any, now: float) -> float | None:
    return now + seconds if type(seconds) in (int, float) and 0 <= seconds <= _LONGEST_WAIT else None


def _is_of(reason: JobWaitingReason, job_id: str, index: int | None) -> bool:
    return reason.img_id == job_id or reason.job_index == index


def read_waiting_reason(given: Any) -> WaitingReason | None:
    """Return the reason for a wait; None if there is none, or it is malformed."""
    try:
        reason = read(WaitingReason, given, "waitingReason")
    except ProtocolError:
        return None
    return reason if reason.message.strip() and len(reason.message) <= _LONGEST_MESSAGE else None


def read_job_reasons(given: Any, jobs: int) -> tuple[JobWaitingReason, ...]:
    """Return the reasons of the jobs of a project; malformed and repeated ones are omitted."""
    found: dict[int, JobWaitingReason] = {}
    for item in given[:jobs] if isinstance(given, list) else ():
        index = item.get("jobIndex") if isinstance(item, Mapping) else None
        reason = read_waiting_reason(item["waitingReason"]) if index is not None and "waitingReason" in item else None
        if reason is None or type(index) is not int or not 0 <= index < jobs or index in found:
            continue
        job_id = item.get("imgID")
        named = isinstance(job_id, str) and 0 < len(job_id) <= _LONGEST_ID
        found[index] = JobWaitingReason(
            job_index=index,
            waiting_reason=reason,
            img_id=job_id.upper() if named else None,
            extra=extra_fields(item, _OF_JOB),
        )
    return tuple(found.values())


def read_preparation(given: Any) -> Preparation | None:
    """Return what a worker prepares; None if it is malformed."""
    try:
        return None if given is None else read(Preparation, given, "preparation")
    except ProtocolError:
        return None
