"""The state of one job: its status, progress, error and provenance.

Only its project changes it and queues its events; `change` returns the names of the changed attributes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, get_args
from weakref import ref

from attrs import evolve

from sogni.core.checks import extra_fields
from sogni.core.failures import DETAILS, details_of
from sogni.core.outbox import Listeners
from sogni.models.converter import read_time, snake
from sogni.models.projects import (
    ErrorData,
    EtaRange,
    JobEventName,
    JobSnapshot,
    JobStatus,
    MaskSelection,
    Preparation,
    Provenance,
)
from sogni.redaction import SecretUrl

ENDED = frozenset({"completed", "failed", "canceled"})

JOB_EVENTS: frozenset[str] = frozenset(get_args(JobEventName))


def percent(value: float, low: int = 0, high: int = 100) -> int:
    """Return a percentage within bounds, rounded half up, as the service's own clients round."""
    whole = math.floor(value + 0.5)
    return low if whole < low else high if whole > high else whole


class JobState:
    """The state of a job. Times are in seconds of the monotonic clock."""

    __slots__ = (
        "__weakref__",
        "_listeners",
        "_user_object",
        "allowed",
        "enhancement",
        "error",
        "eta_at",
        "eta_range",
        "eta_seconds",
        "eta_started_at",
        "external_progress",
        "finished_at",
        "id",
        "is_nsfw",
        "job_index",
        "last_event_payload",
        "last_frame_url",
        "last_progress",
        "negative_prompt",
        "nsfw_detected",
        "nsfw_sources",
        "place",
        "positive_prompt",
        "preparation",
        "preview_url",
        "project",
        "provenance",
        "result_url",
        "retrying",
        "run_limit",
        "runs_until",
        "seed",
        "signing",
        "started_at",
        "status",
        "step",
        "step_count",
        "tallied_progress",
        "user_canceled",
        "worker_name",
    )  # fmt: skip

    def __init__(self, project: Any, job_id: str, step_count: int = 0) -> None:
        self.project: Any = project
        self.id: str = job_id
        self.status: JobStatus = "pending"
        self.step: int = 0
        self.step_count: int = step_count
        self.worker_name: str | None = None
        self.seed: int | None = None
        self.is_nsfw: bool = False
        self.nsfw_detected: bool = False
        self.nsfw_sources: tuple[str, ...] = ()
        self.user_canceled: bool = False
        self.preparation: Preparation | None = None
        """What the worker prepares before it starts the job."""
        self.preview_url: str | None = None
        self.result_url: str | None = None
        self.last_frame_url: str | None = None
        self.provenance: Provenance | None = None
        self.error: ErrorData | None = None
        self.positive_prompt: str | None = None
        self.negative_prompt: str | None = None
        self.job_index: int | None = None
        self.external_progress: float | None = None
        self.eta_seconds: float | None = None
        self.eta_at: float | None = None
        self.eta_started_at: float | None = None
        self.eta_range: EtaRange | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        """Start and end by the service's record; None until they are known."""
        self.last_progress: int = 0
        self.tallied_progress: int = 0
        """The progress counted in the total of its project."""
        self.place: int = 0
        """Position in the order of appearance."""
        self.retrying: bool = False
        self.signing: dict[str, Any] | None = None
        """The result frame whose URL is being fetched."""
        self.runs_until: float | None = None
        self.run_limit: float = 0.0
        """Seconds it may run before the client checks with the service."""
        self.allowed: float = 0.0
        """Seconds it has been allowed in total."""
        self.enhancement: Any = None
        self.last_event_payload: Any = None
        """The last frame that the listeners of all projects were notified of; repeated ones are ignored."""
        self._user_object: ref[Any] | None = None
        self._listeners: Listeners | None = None

    @property
    def user_object(self) -> Any:
        """The public `Job`, None if there is none. A weak reference: a state must not keep a client alive."""
        return None if self._user_object is None else self._user_object()

    @user_object.setter
    def user_object(self, user_object: Any) -> None:
        self._user_object = None if user_object is None else ref(user_object)

    @property
    def listeners(self) -> Listeners:
        """The listeners of this job."""
        if self._listeners is None:
            self._listeners = Listeners()
        return self._listeners

    @property
    def has_listeners(self) -> bool:
        """Whether a listener was ever registered for this job."""
        return self._listeners is not None

    def has_listener(self, event: str) -> bool:
        """Whether an event of this job has a listener."""
        return self._listeners is not None and self._listeners.has(event)

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in ENDED

    @property
    def withheld(self) -> bool:
        """Whether the content filter withholds the result."""
        # projects-5x §13
        return self.is_nsfw and not self.nsfw_detected

    @property
    def has_result_media(self) -> bool:
        """Whether there is a result to download."""
        return self.status == "completed" and not self.withheld

    @property
    def progress_by_time(self) -> bool:
        """Whether the progress is estimated from the time, because there are no steps."""
        has_steps = self.step_count > 0 or self.external_progress is not None
        return self.eta_at is not None and not has_steps and self.status != "completed"

    def change(self, **values: Any) -> set[str]:
        """Set attributes; returns the names of those that changed."""
        changed = set()
        for name, value in values.items():
            if isinstance(value, SecretUrl):
                value = str(value)
            if getattr(self, name) != value:
                setattr(self, name, value)
                changed.add(name)
        return changed

    def progress(self, now: float) -> int:
        """Return the percentage done; estimated from the time if there are no steps."""
        # projects-4.2 §13.2
        if self.status == "completed":
            return 100
        external = self.external_progress
        if external is not None and math.isfinite(external):
            return percent(external * 100 if 0 <= external <= 1 else external)
        if self.step_count > 0:
            return percent(self.step / self.step_count * 100)
        if self.eta_at is not None and self.eta_started_at is not None:
            total, elapsed = self.eta_at - self.eta_started_at, now - self.eta_started_at
            if total > 0:
                return 1 if elapsed <= 0 else percent(elapsed / total * 100, 1, 95)
        return 0

    def allow(self, seconds: float, now: float) -> None:
        """Allow it some more seconds, from now on."""
        self.runs_until = now + seconds
        self.run_limit = self.run_limit or seconds
        self.allowed += seconds

    def end_signing(self) -> None:
        """Stop waiting for the URL of its result."""
        if self.signing is not None:
            self.signing = None
            self.project.out.wake(self)

    def stop_clock(self) -> None:
        """Stop the time limit; the next attempt has all the time."""
        self.runs_until = None
        self.run_limit = self.allowed = 0.0

    def restart(self, job_id: str | None = None) -> set[str]:
        """Reset the job for another attempt, which may have another id."""
        # projects-5x §12
        self.end_signing()
        self.stop_clock()
        changed = self.change(
            status="pending",
            step=0,
            worker_name=None,
            preparation=None,
            preview_url=None,
            external_progress=None,
            eta_at=None,
            eta_started_at=None,
            eta_seconds=None,
            eta_range=None,
            started_at=None,
        )
        if job_id is not None:
            self.retrying = False
            changed |= self.change(id=job_id)
        return changed

    def snapshot(self) -> JobSnapshot:
        """Return a snapshot of the job."""
        epoch = self.project.out.epoch
        return JobSnapshot(
            id=self.id,
            project_id=self.project.id,
            status=self.status,
            step=self.step,
            step_count=self.step_count,
            worker_name=self.worker_name,
            seed=self.seed,
            is_nsfw=self.is_nsfw,
            nsfw_detected=self.nsfw_detected,
            nsfw_sources=list(self.nsfw_sources),
            user_canceled=self.user_canceled,
            preview_url=self.preview_url,
            result_url=self.result_url,
            last_frame_url=self.last_frame_url,
            provenance=self.provenance,
            error=self.error,
            positive_prompt=self.positive_prompt,
            negative_prompt=self.negative_prompt,
            job_index=self.job_index,
            external_progress=self.external_progress,
            eta_seconds=self.eta_seconds,
            eta=None if self.eta_at is None else read_time((self.eta_at + epoch) * 1000),
            eta_started_at=None if self.eta_started_at is None else read_time((self.eta_started_at + epoch) * 1000),
            started_at=self.started_at,
            finished_at=self.finished_at,
        )

    @classmethod
    def restored(cls, project: Any, snapshot: JobSnapshot) -> JobState:
        """Return the job of a snapshot."""
        job = cls(project, snapshot.id, snapshot.step_count)
        for name in (
            "status", "step", "worker_name", "seed", "is_nsfw", "nsfw_detected", "user_canceled", "preview_url",
            "result_url", "last_frame_url", "provenance", "error", "positive_prompt", "negative_prompt", "job_index",
            "external_progress", "eta_seconds", "started_at", "finished_at",
        ):  # fmt: skip
            setattr(job, name, getattr(snapshot, name))
        job.nsfw_sources = tuple(snapshot.nsfw_sources)
        job.eta_at = snapshot.eta.timestamp() if snapshot.eta else None
        job.eta_started_at = snapshot.eta_started_at.timestamp() if snapshot.eta_started_at else None
        return job


# Error codes: transport §16, projects-4.2 §11.5.


SYMBOLS = {
    "serverRestarting": 5001,
    "workerDisconnected": 5002,
    "jobTimedOut": 5003,
    "artistCanceled": 5004,
    "workerCancelled": 5005,
}
UNKNOWN_SYMBOL = 5000
RESTARTING = 1001

_NAMED = DETAILS | {"jobID", "imgID", "error", "error_message"}


def error_data(payload: Mapping[str, Any]) -> ErrorData:
    """Return the error of a `jobError` frame. Symbols are mapped to codes and kept in `original_code`.

    Undeclared details (`fairUse`, …) are in `extra`.
    """
    message, error = payload.get("error_message"), payload.get("error")
    code = 0 if error is None and "error" in payload else _number(error)
    original_code = None
    if code is None:
        code = SYMBOLS.get(str(error), UNKNOWN_SYMBOL)
        original_code = None if error is None else str(error)
    details = details_of(code, payload)
    return evolve(
        details,
        code=code,
        message=message if isinstance(message, str) else "",
        original_code=original_code,
        extra={**extra_fields(payload, _NAMED), **details.extra},
    )


def _number(error: Any) -> int | None:
    if isinstance(error, str):
        number = read_number(error)
    else:
        number = float(error) if isinstance(error, int | float) and abs(error) < 1e300 else None
    return None if number is None else int(number)


def read_number(text: str) -> float | None:
    """Return the number in a string as JavaScript parses it: "" is 0, `1e3` and `0x1f` are valid, `1_000` is not."""
    text = text.strip()
    if re.fullmatch(r"0x[0-9a-f]{1,200}", text, re.IGNORECASE | re.ASCII):
        return float(int(text, 16))
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|", text, re.IGNORECASE | re.ASCII):
        return None
    number = float(text or "0")
    return number if math.isfinite(number) else None


# Provenance (projects-5x §14): malformed parts are omitted, as in the service's own clients.


_HASH = re.compile(r"[0-9a-fA-F]{64}")
_MAX_INTEGER = 2**53 - 1
"""The largest integer JSON transfers exactly."""
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,79}")


def read_provenance(payload: Mapping[str, Any]) -> Provenance | None:
    """Return the provenance in a result, None if there is none."""
    found = {key: check(payload[key]) for key, check in _CHECKS.items() if key in payload}
    values: dict[str, Any] = {snake(key): value for key, value in found.items() if value is not None}
    return Provenance(**values) if values else None


def _hash(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and _HASH.fullmatch(value) else None


def _version(value: Any) -> str | None:
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else None


def _whole(value: Any, low: int) -> int | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and low <= value <= _MAX_INTEGER and value == int(value) else None


def _side(value: Any) -> int | None:
    return _whole(value, 1)


def _count(value: Any) -> int | None:
    return _whole(value, 0)


def _share(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and 0 <= value <= 1 else None


def _box(value: Any) -> list[float] | None:
    if not isinstance(value, list) or len(value) != 4 or None in map(_share, value):
        return None
    x0, y0, x1, y1 = value
    return value if x0 < x1 and y0 < y1 else None


def _selections(value: Any) -> list[MaskSelection] | None:
    if not isinstance(value, list):
        return None
    return [found for found in map(_selection, value) if found is not None] or None


def _selection(value: Any) -> MaskSelection | None:
    if not isinstance(value, Mapping):
        return None
    score, box = value.get("score"), value.get("box")
    coverage, included = _share(value.get("coverage")), value.get("included")
    wrong = (score is not None and _share(score) is None) or (box is not None and _box(box) is None)
    if wrong or coverage is None or not isinstance(included, bool):
        return None
    return MaskSelection(score=score, box=_box(box), coverage=coverage, included=included)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        (
            "sha256", "sourceImageSha256", "samPromptSha256", "maskRleSha256", "selectionHash", "firstFrameSha256",
            "lastFrameSha256",
        ),
        _hash,
    ),
    "maskWidth": _side,
    "maskHeight": _side,
    "samVersion": _version,
    "maskBox": _box,
    "maskCoverage": _share,
    "maskDetectedCount": _count,
    "maskReturnedCount": _count,
    "maskSelections": _selections,
}  # fmt: skip

PROVENANCE_FIELDS = frozenset(_CHECKS)
"""The fields of a result that make up its provenance."""
