"""Where a result comes from: what the service proves of it (projects-5x §14)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from attrs import field, frozen

from sogni.models.base import Model, shown, wire


@frozen(kw_only=True)
class MaskSelection(Model):
    """One thing that SAM 3 found; `box` is `[x0, y0, x1, y1]`, sides and `coverage` from 0 to 1."""

    score: float | None = None
    box: list[float] | None = None
    coverage: float
    included: bool


@frozen(kw_only=True)
class Provenance(Model):
    """What the service proves of a result; hashes are 64 hexadecimal digits in lower case.

    `mask_box` is `[x0, y0, x1, y1]`; its sides and `mask_coverage` lie between 0 and 1.
    """

    sha256: str | None = None
    source_image_sha256: str | None = None
    sam_prompt_sha256: str | None = None
    mask_rle_sha256: str | None = None
    selection_hash: str | None = None
    first_frame_sha256: str | None = None
    last_frame_sha256: str | None = None
    mask_width: int | None = None
    mask_height: int | None = None
    sam_version: str | None = None
    mask_box: list[float] | None = None
    mask_coverage: float | None = None
    mask_detected_count: int | None = None
    mask_returned_count: int | None = None
    mask_selections: list[MaskSelection] | None = None


# What events carry (projects-4.2 §11, transport §9).


@frozen(kw_only=True)
class ErrorData(Model):
    """Why a project or job failed (projects-4.2 §11.5).

    `code` is a number; a symbolic code of the service is kept in `original_code`. Further details of the service,
    such as `consentRequired`, `vendorFailureCategory` and `fairUse`, are in `extra`, as sent.
    """

    code: int
    message: str = ""
    original_code: str | None = None
    subscription_limit: bool | None = None
    required_plans: list[str] | None = None
    feature: str | None = None
    limitation: str | None = None


@frozen(kw_only=True)
class ProjectEvent(Model):
    """A change of a project this client started.

    `type` is `queued`, `completed` or `error`.
    """

    type: Literal["queued", "completed", "error"] | str
    project_id: str
    queue_position: int | None = None
    estimated_start_seconds: float | None = None
    queue_status: str | None = None
    error: ErrorData | None = None


@frozen(kw_only=True)
class JobEvent(Model):
    """A change of a job: one result of a project.

    `type` is `initiating`, `started`, `progress`, `preview`, `jobETA`, `completed` or `error`. Further details of the
    service, such as `preparation` (what a worker is loading), are in `extra`, as sent.
    """

    type: Literal["initiating", "started", "progress", "preview", "jobETA", "completed", "error"] | str
    project_id: str
    job_id: str
    worker_name: str | None = None
    positive_prompt: str | None = None
    negative_prompt: str | None = None
    job_index: int | None = None
    step: int | None = None
    step_count: int | None = None
    progress: float | None = None
    eta_seconds: float | None = None
    eta_min: float | None = None
    eta_max: float | None = None
    url: str | None = field(default=None, repr=shown)
    steps: int | None = None
    seed: int | None = None
    result_url: str | None = field(default=None, repr=shown)
    last_frame_url: str | None = field(default=None, repr=shown)
    provenance: Provenance | None = None
    is_nsfw: bool | None = field(default=None, metadata=wire("isNSFW"))
    nsfw_detected: bool | None = None
    nsfw_sources: list[str] | None = None
    user_canceled: bool | None = None
    error: ErrorData | None = None


JobStatus = Literal["pending", "initiating", "processing", "completed", "failed", "canceled"]
ProjectStatus = Literal["pending", "queued", "processing", "completed", "failed", "canceled"]
ProjectType = Literal["image", "video", "audio"]
JobEventName = Literal["progress", "preview", "updated", "completed", "failed"]
ProjectEventName = Literal[
    "progress", "updated", "job_started", "job_completed", "job_failed", "completed", "failed", "canceled"
]

J = TypeVar("J")
V = TypeVar("V")


class Event(NamedTuple, Generic[V]):
    """One event of a project: its name, as in `Project.on`, and the value that listeners receive.

    `Project.events` yields the subclasses, in which the name tells the type of the value.
    """

    name: str
    value: V

    def __repr__(self) -> str:
        return f"Event(name={self.name!r}, value={shown(self.value)})"


class ProgressEvent(Event[int]):
    """The project has progressed; the value is a percentage, 0 to 100."""

    __slots__ = ()
    name: Literal["progress"]


class UpdatedEvent(Event[set[str]]):
    """Attributes of the project have changed; the value is the set of their names."""

    __slots__ = ()
    name: Literal["updated"]


class JobStartedEvent(Event[J]):
    """A worker has started a job; the value is the `Job`."""

    __slots__ = ()
    name: Literal["job_started"]


class JobCompletedEvent(Event[J]):
    """A job is completed; the value is the `Job`."""

    __slots__ = ()
    name: Literal["job_completed"]


class JobFailedEvent(Event[J]):
    """A job has failed; the value is the `Job`."""

    __slots__ = ()
    name: Literal["job_failed"]


class CompletedEvent(Event[list[str]]):
    """The project is completed; the value is the list of its result URLs."""

    __slots__ = ()
    name: Literal["completed"]


class FailedEvent(Event[ErrorData]):
    """The project has failed; the value is the reason."""

    __slots__ = ()
    name: Literal["failed"]


class CanceledEvent(Event[None]):
    """The project has been canceled; the value is None."""

    __slots__ = ()
    name: Literal["canceled"]


AnyProjectEvent = (
    ProgressEvent
    | UpdatedEvent
    | JobStartedEvent[J]
    | JobCompletedEvent[J]
    | JobFailedEvent[J]
    | CompletedEvent
    | FailedEvent
    | CanceledEvent
)

_EVENT_CLASSES: dict[str, Any] = {
    "progress": ProgressEvent,
    "updated": UpdatedEvent,
    "job_started": JobStartedEvent,
    "job_completed": JobCompletedEvent,
    "job_failed": JobFailedEvent,
    "completed": CompletedEvent,
    "failed": FailedEvent,
    "canceled": CanceledEvent,
}


def project_event(name: str, value: Any) -> Any:
    """The event of the class that belongs to its name."""
    return _EVENT_CLASSES[name](name, value)


@frozen(kw_only=True)
class EtaRange(Model):
    """The interval of an estimate, in seconds."""

    min: float
    max: float


# What the service keeps about a project (projects-4.2 §14.3, projects-5x §9.2).


@frozen(kw_only=True)
class RecordModel(Model):
    """The model of a recorded project."""

    id: str | None = None
    sid: int | None = field(default=None, metadata=wire("SID"))
    name: str | None = None
    type: str | None = None


@frozen(kw_only=True)
class RecordWorker(Model):
    """The worker of a recorded job."""

    id: str | None = None
    name: str | None = None
    username: str | None = None
    address: str | None = None


@frozen(kw_only=True)
class JobRecord(Model):
    """A recorded job; `img_id` is its identity, `id` may repeat that of the project."""

    id: str | None = None
    img_id: str | None = field(default=None, metadata=wire("imgID"))
    status: str | None = None
    reason: str | None = None
    worker: RecordWorker | None = None
    performed_steps: int | None = None
    seed_used: Any = None
    triggered_nsfw_filter: bool | None = field(default=None, metadata=wire("triggeredNSFWFilter"))
    nsfw_detected: bool | None = None
    create_time: datetime | None = None
    start_time: datetime | None = None
    update_time: datetime | None = None
    end_time: datetime | None = None
    result_url: str | None = field(default=None, repr=shown)
    last_frame_url: str | None = field(default=None, repr=shown)
    result: Any = None
    image_url: str | None = field(default=None, repr=shown)
    image_file: str | None = field(default=None, repr=shown)
    video_url: str | None = field(default=None, repr=shown)
    video_file: str | None = field(default=None, repr=shown)

    @property
    def media_url(self) -> str | None:
        """The first result URL there is, under any of its names."""
        return self.result_url or self.image_url or self.image_file or self.video_url or self.video_file


@frozen(kw_only=True)
class ProjectRecord(Model):
    """A project as the service remembers it; known by id once it is finished."""

    id: str
    status: str | None = None
    reason: str | None = None
    finished: bool | None = None
    app_id: str | None = None
    app_source: str | None = None
    job_type: str | None = None
    model_type: str | None = None
    model: RecordModel | None = None
    image_count: int | None = None
    step_count: int | None = None
    preview_count: int | None = None
    network: str | None = None
    token_type: str | None = None
    billing_mode: str | None = None
    size_preset: str | None = None
    width: float | None = None
    height: float | None = None
    client_request_data: str | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    end_time: datetime | None = None
    worker_jobs: list[JobRecord] = field(factory=list)
    completed_worker_jobs: list[JobRecord] = field(factory=list)

    @property
    def is_chat(self) -> bool:
        """True for a language model job, which is not a project."""  # transport §13.1
        return self.job_type == "llm" or (self.model is not None and self.model.type == "llm")


@frozen(kw_only=True)
class Snapshot(Model):
    """The projects the service holds for one app id (transport §13.1)."""

    active_projects: list[ProjectRecord] = field(factory=list)
    unclaimed_completed_projects: list[ProjectRecord] = field(factory=list)


# Projects and jobs at one moment: what `to_dict` gives and what pickling keeps.


@frozen(kw_only=True)
class JobSnapshot(Model):
    """A job at one moment, JSON-ready; what a `Job` pickles to."""

    id: str
    project_id: str
    status: str = "pending"
    step: int = 0
    step_count: int = 0
    worker_name: str | None = None
    seed: int | None = None
    is_nsfw: bool = field(default=False, metadata=wire("isNSFW"))
    nsfw_detected: bool = False
    nsfw_sources: list[str] = field(factory=list)
    user_canceled: bool = False
    preview_url: str | None = field(default=None, repr=shown)
    result_url: str | None = field(default=None, repr=shown)
    last_frame_url: str | None = field(default=None, repr=shown)
    provenance: Provenance | None = None
    error: ErrorData | None = None
    positive_prompt: str | None = None
    negative_prompt: str | None = None
    job_index: int | None = None
    external_progress: float | None = None
    eta_seconds: float | None = None
    eta: datetime | None = None
    eta_started_at: datetime | None = None


@frozen(kw_only=True)
class ProjectSnapshot(Model):
    """A project at one moment with its jobs, JSON-ready; what a `Project` pickles to."""

    id: str
    started_at: datetime
    params: Mapping[str, Any] = field(factory=dict)
    queue_position: int = -1
    status: str = "pending"
    eta: datetime | None = None
    error: ErrorData | None = None
    recovered: bool = False
    app_id: str | None = None
    jobs: list[JobSnapshot] = field(factory=list)


# Cost estimates (projects-4.2 §16, projects-5x §16).


@frozen(kw_only=True)
class CostEstimation(Model):
    """What a project would cost.

    `token` is the amount in the token asked for, `usd`, `spark` and `sogni` the same in the others;
    an amount is None when the service gave none. Times are seconds.
    """

    token: Decimal | None = None
    usd: Decimal | None = None
    spark: Decimal | None = None
    sogni: Decimal | None = None
    estimated_render_seconds: float | None = None
    estimated_total_seconds: float | None = None
    daily_fair_use_pct: float | None = None
