"""Projects and jobs as data: events, errors, provenance, records, snapshots and cost estimates."""

# projects-4.2 §11, §14.3, §16; projects-5x §9.2, §14, §16; transport §9, §13.1

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from attrs import Factory, field, frozen

from sogni.errors import CONSENT_MISSING, PLAN_LIMIT, PROJECT_LOST, ProtocolError
from sogni.models.base import EPOCH, LooseModel, MediaKind, Model, redacted_repr, wire
from sogni.models.converter import camel, read, to_dict


@frozen(kw_only=True)
class MaskSelection(Model):
    """An object found by SAM 3.

    Attributes:
        score: Confidence, 0 to 1.
        box: Bounding box ``[x0, y0, x1, y1]``, each from 0 to 1.
        coverage: Share of the image that is covered, 0 to 1.
        included: Whether the object is part of the mask.
    """

    score: float | None = None
    box: list[float] | None = None
    coverage: float
    included: bool


@frozen(kw_only=True)
class Provenance(Model):
    """What the service attests about a result. Hashes are SHA-256, as 64 lower-case hexadecimal digits.

    Attributes:
        sha256: Hash of the result.
        source_image_sha256: Hash of the source image.
        sam_prompt_sha256: Hash of the SAM prompt.
        mask_rle_sha256: Hash of the run-length encoded mask.
        selection_hash: Hash of the selection.
        first_frame_sha256: Hash of the first frame.
        last_frame_sha256: Hash of the last frame.
        mask_width: Width of the mask in pixels.
        mask_height: Height of the mask in pixels.
        sam_version: Version of SAM.
        mask_box: Bounding box of the mask ``[x0, y0, x1, y1]``, each from 0 to 1.
        mask_coverage: Share of the image that the mask covers, 0 to 1.
        mask_detected_count: Number of objects detected.
        mask_returned_count: Number of objects returned.
        mask_selections: The objects.
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


# Events


@frozen(kw_only=True)
class ConsentRequired(LooseModel):
    """The agreement that must be accepted, in a Sogni app, before a model may be used.

    Attributes:
        key: Key of the agreement.
        version: Version of the agreement.
        model_id: ID of the model.
    """

    key: str | None = None
    version: float | None = None
    model_id: str | None = None


VendorFailureCategory = Literal[
    "content_policy",
    "input_validation",
    "timeout",
    "result_storage",
    "cancelled",
    "vendor_failed",
    "asset_resolution",
    "vendor_transient",
]


@frozen(kw_only=True)
class ErrorData(LooseModel):
    """The reason why a project or job failed.

    Further details from the service, such as `fairUse`, are in `extra`.

    Attributes:
        code: Numeric error code; 0 if there is none.
        message: Error message.
        original_code: Symbolic error code, if the service sent one.
        subscription_limit: Whether the plan of the subscription does not include the request.
        required_plans: Plans that include it, cheapest first.
        feature: Key of the feature that the plan does not include.
        limitation: Description of the limitation, for users.
        vendor_failure_category: Why a vendor failed to process the request.
        consent_required: The agreement that must be accepted first; None if that is not the reason.
    """

    code: int
    message: str = ""
    original_code: str | None = None
    subscription_limit: bool | None = field(
        default=Factory(lambda self: True if self.code == PLAN_LIMIT else None, takes_self=True)
    )
    required_plans: list[str] | None = None
    feature: str | None = None
    limitation: str | None = None
    vendor_failure_category: VendorFailureCategory | str | None = None
    consent_required: ConsentRequired | None = field(
        default=Factory(lambda self: ConsentRequired() if self.code == CONSENT_MISSING else None, takes_self=True)
    )

    @property
    def project_lost(self) -> bool:
        """True if the service no longer knows the project."""
        return self.original_code == PROJECT_LOST


# Queue: projects-5x §7


QueueStatus = Literal["waiting", "no-workers"]


@frozen(kw_only=True)
class WaitingReason(LooseModel):
    """Why a project or job waits.

    Attributes:
        reason: What it waits for.
        message: Explanation for display.
        media_type: Kind of media whose limit is reached.
        payment_model: What pays.
        subscription_tier: Tier of the subscription.
        model_family: Family of models whose limit is reached.
    """

    reason: Literal["concurrency_limit", "model_concurrency_limit", "payment_pending", "no_workers", "queued"]
    message: str
    media_type: Literal["video", "media"] | None = None
    payment_model: Literal["subscription", "paid_spark", "free_spark", "sogni"] | None = None
    subscription_tier: Literal["unlimited", "unlimited_pro"] | None = None
    model_family: Literal["minimax_h3"] | None = None


@frozen(kw_only=True)
class JobWaitingReason(Model):
    """Why one job of a project waits.

    Attributes:
        job_index: Index of the job in the project, from 0.
        waiting_reason: The reason.
        img_id: ID of the job, if it has one already.
    """

    job_index: int
    waiting_reason: WaitingReason
    img_id: str | None = field(default=None, metadata=wire("imgID"))


@frozen(kw_only=True)
class QueueChange(Model):
    """Why a project and its jobs wait: the value of the event `queue_changed`.

    Attributes:
        project_id: ID of the project.
        waiting_reason: Why the project waits; None if it does not wait, or the service gave no reason.
        job_waiting_reasons: The jobs that wait, each with its reason.
    """

    project_id: str
    waiting_reason: WaitingReason | None = None
    job_waiting_reasons: list[JobWaitingReason] = field(factory=list)


@frozen(kw_only=True)
class Preparation(LooseModel):
    """What a worker does before it starts a job: downloading LoRAs, or unloading and loading models.

    Attributes:
        phase: What it does.
        asset_type: What is downloaded.
        requested: Number of assets that the job needs.
        cached: Number of those that the worker had already.
        total: Number of those to download.
        completed: Number of finished downloads.
        current: The current download.
        current_progress: Progress of the current download, as sent.
        model: Internal name of the model that is loaded or unloaded.
        step: ``"start"`` or ``"end"`` of loading or unloading.
        elapsed_sec: Seconds it took.
    """

    phase: Literal["downloadingAssets", "unloadingModel", "loadingModel"] | str
    asset_type: Literal["lora"] | str | None = None
    requested: int | None = None
    cached: int | None = None
    total: int | None = None
    completed: int | None = None
    current: int | str | None = None
    current_progress: float | None = None
    model: str | None = None
    step: Literal["start", "end"] | str | None = None
    elapsed_sec: float | None = None


@frozen(kw_only=True)
class ProjectEvent(Model):
    """A change of a project, for the listeners of all projects.

    Attributes:
        type: Type of the change.
        project_id: ID of the project.
        queue_position: Position in the queue.
        estimated_start_seconds: Estimated seconds until the start.
        queue_status: ``"waiting"`` or ``"no-workers"``.
        waiting_reason: Why the project waits, with ``"queued"`` and ``"queueChanged"``.
        job_waiting_reasons: Why individual jobs wait, with ``"queued"`` and ``"queueChanged"``.
        error: Why the project failed.
    """

    type: Literal["queued", "queueChanged", "completed", "error"] | str
    project_id: str
    queue_position: int | None = None
    estimated_start_seconds: float | None = None
    queue_status: QueueStatus | None = None
    waiting_reason: WaitingReason | None = None
    job_waiting_reasons: list[JobWaitingReason] | None = None
    error: ErrorData | None = None


@frozen(kw_only=True)
class JobEvent(Model):
    """A change of a job, for the listeners of all projects.

    Attributes:
        type: Type of the change.
        project_id: ID of the project.
        job_id: ID of the job.
        worker_name: Name of the worker.
        positive_prompt: Prompt of the job, if it differs from that of the project.
        negative_prompt: Negative prompt of the job, if it differs from that of the project.
        job_index: Index of the job in the project.
        step: Number of finished steps.
        step_count: Total number of steps.
        progress: Progress reported by the worker.
        eta_seconds: Estimated seconds until the end.
        eta_min: Lower bound of the estimate in seconds.
        eta_max: Upper bound of the estimate in seconds.
        preparation: What the worker prepares, with ``"initiating"``.
        url: URL of the preview.
        steps: Number of steps performed.
        seed: Seed used.
        result_url: URL of the result, valid for a limited time.
        last_frame_url: URL of the last frame of a video.
        provenance: What the service attests about the result.
        is_nsfw: Whether the content filter was triggered.
        nsfw_detected: Whether sensitive content was detected, but the result was delivered.
        nsfw_sources: Where sensitive content was detected.
        user_canceled: Whether the job was canceled by its owner.
        error: Why the job failed.
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
    preparation: Preparation | None = None
    url: str | None = field(default=None, repr=redacted_repr)
    steps: int | None = None
    seed: int | None = None
    result_url: str | None = field(default=None, repr=redacted_repr)
    last_frame_url: str | None = field(default=None, repr=redacted_repr)
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
    "progress",
    "updated",
    "queue_changed",
    "job_started",
    "job_completed",
    "job_failed",
    "completed",
    "failed",
    "canceled",
]

J = TypeVar("J")
V = TypeVar("V")


class Event(NamedTuple, Generic[V]):
    """An event of a project.

    `Project.events` yields instances of its subclasses, in which the name determines the type of the value.

    Attributes:
        name: Name of the event, as in `Project.on`.
        value: Value that listeners receive.
    """

    name: str
    value: V

    def __repr__(self) -> str:
        return f"Event(name={self.name!r}, value={redacted_repr(self.value)})"


class ProgressEvent(Event[int]):
    """The progress of the project changed; the value is a percentage, 0 to 100."""

    __slots__ = ()
    name: Literal["progress"]


class UpdatedEvent(Event[set[str]]):
    """Attributes of the project changed; the value is the set of their names."""

    __slots__ = ()
    name: Literal["updated"]


class QueueChangedEvent(Event[QueueChange]):
    """The reasons why the project or its jobs wait changed; the value is a `QueueChange`."""

    __slots__ = ()
    name: Literal["queue_changed"]


class JobStartedEvent(Event[J]):
    """A worker started a job; the value is the `Job`."""

    __slots__ = ()
    name: Literal["job_started"]


class JobCompletedEvent(Event[J]):
    """A job completed; the value is the `Job`."""

    __slots__ = ()
    name: Literal["job_completed"]


class JobFailedEvent(Event[J]):
    """A job failed; the value is the `Job`."""

    __slots__ = ()
    name: Literal["job_failed"]


class CompletedEvent(Event[list[str]]):
    """The project completed; the value is the list of its result URLs."""

    __slots__ = ()
    name: Literal["completed"]


class FailedEvent(Event[ErrorData]):
    """The project failed; the value is the reason."""

    __slots__ = ()
    name: Literal["failed"]


class CanceledEvent(Event[None]):
    """The project was canceled; the value is None."""

    __slots__ = ()
    name: Literal["canceled"]


AnyProjectEvent = (
    ProgressEvent
    | UpdatedEvent
    | QueueChangedEvent
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
    "queue_changed": QueueChangedEvent,
    "job_started": JobStartedEvent,
    "job_completed": JobCompletedEvent,
    "job_failed": JobFailedEvent,
    "completed": CompletedEvent,
    "failed": FailedEvent,
    "canceled": CanceledEvent,
}


def project_event(name: str, value: Any) -> Any:
    """Return an event of the class that belongs to its name."""
    return _EVENT_CLASSES[name](name, value)


@frozen(kw_only=True)
class EtaRange(Model):
    """The range of an estimate.

    Attributes:
        min: Lower bound in seconds.
        max: Upper bound in seconds.
    """

    min: float
    max: float


# Records of the service


@frozen(kw_only=True)
class RecordModel(Model):
    """The model of a recorded project.

    Attributes:
        id: ID of the model.
        sid: Numeric ID.
        name: Name for display.
        type: Type of media that the model creates.
    """

    id: str | None = None
    sid: int | None = field(default=None, metadata=wire("SID"))
    name: str | None = None
    type: str | None = None


@frozen(kw_only=True)
class RecordWorker(Model):
    """The worker of a recorded job.

    Attributes:
        id: ID of the worker.
        name: Name of the worker.
        username: User name of its owner.
        address: Wallet address of its owner.
    """

    id: str | None = None
    name: str | None = None
    username: str | None = None
    address: str | None = None


@frozen(kw_only=True)
class JobRecord(Model):
    """A job as recorded by the service.

    Attributes:
        id: ID in the record, which may be that of the project: use `img_id`.
        img_id: ID of the job.
        status: Status of the service, such as ``"jobCompleted"`` or ``"jobError"``.
        reason: Why the job ended, such as ``"artistCanceled"`` or ``"jobTimedOut"``.
        worker: The worker.
        performed_steps: Number of steps performed.
        seed_used: Seed used.
        triggered_nsfw_filter: Whether the content filter was triggered.
        nsfw_detected: Whether sensitive content was detected, but the result was delivered.
        create_time: When the job was created.
        start_time: When it was started.
        update_time: When it was last changed.
        end_time: When it ended.
        result_url: URL of the result.
        last_frame_url: URL of the last frame of a video.
        result: Further fields of the result, in wire form.
        image_url: Alternative name of `result_url`.
        image_file: Alternative name of `result_url`.
        video_url: Alternative name of `result_url`.
        video_file: Alternative name of `result_url`.
    """

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
    result_url: str | None = field(default=None, repr=redacted_repr)
    last_frame_url: str | None = field(default=None, repr=redacted_repr)
    result: Any = None
    image_url: str | None = field(default=None, repr=redacted_repr)
    image_file: str | None = field(default=None, repr=redacted_repr)
    video_url: str | None = field(default=None, repr=redacted_repr)
    video_file: str | None = field(default=None, repr=redacted_repr)

    @property
    def media_url(self) -> str | None:
        """The result URL, under the first of its names that is set; None if there is none."""
        return self.result_url or self.image_url or self.image_file or self.video_url or self.video_file

    @property
    def duration(self) -> float | None:
        """Seconds from the start to the end; None if the record lacks one of them."""
        return seconds_between(self.start_time, self.end_time)


@frozen(kw_only=True)
class ProjectRecord(Model):
    """A project as recorded by the service.

    Attributes:
        id: ID of the project.
        status: Status of the service, such as ``"active"`` or ``"completed"``.
        reason: Why the project ended, such as ``"allJobsCompleted"`` or ``"artistCanceled"``.
        finished: Whether the project has ended.
        app_id: App ID of the client that started it.
        app_source: Application that started it.
        job_type: Type of the job; ``"llm"`` for a chat.
        model_type: Type of media that the model creates.
        model: The model.
        image_count: Number of results requested.
        step_count: Number of steps.
        preview_count: Number of previews.
        network: Network, ``"fast"`` or ``"relaxed"``.
        token_type: Token that pays.
        billing_mode: Requested billing mode.
        size_preset: ID of the size preset.
        width: Width in pixels.
        height: Height in pixels.
        client_request_data: The original request, as base64 of its JSON.
        cost_actual: What the project costs, in wire form; see `cost`.
        create_time: When the project was created.
        update_time: When it was last changed.
        end_time: When it ended.
        worker_jobs: Jobs in progress.
        completed_worker_jobs: Jobs that have ended.
    """

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
    cost_actual: Any = None
    create_time: datetime | None = None
    update_time: datetime | None = None
    end_time: datetime | None = None
    worker_jobs: list[JobRecord] = field(factory=list)
    completed_worker_jobs: list[JobRecord] = field(factory=list)

    @property
    def is_chat(self) -> bool:
        """True for a language model job, which is not a project."""  # transport §13.1
        return self.job_type == "llm" or (self.model is not None and self.model.type == "llm")

    @property
    def cost(self) -> Decimal | None:
        """Cost of the project, in `token_type`; while it runs, the cost so far. None if the record lacks it."""
        # projects-4.2 §14.3
        given = self.cost_actual.get("costInToken") if isinstance(self.cost_actual, Mapping) else None
        try:
            return read(Decimal, given)
        except ProtocolError:
            return None

    @property
    def duration(self) -> float | None:
        """Seconds from creation to the end; None if the record lacks one of them."""
        return seconds_between(self.create_time, self.end_time)


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds between two times; None if one of them is unknown."""
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


@frozen(kw_only=True)
class ProjectStatusRecord(Model):
    """The status of a project, running or finished, as reported by the service.

    Attributes:
        id: ID of the project.
        status: Status.
        finished: Whether the project has ended.
        waiting_reason: Why the project waits; None if it does not wait, or the service gave no reason.
        model: The model.
        worker_jobs: Jobs in progress.
        completed_worker_jobs: Jobs that have ended.
    """

    id: str
    status: ProjectStatus | str
    finished: bool
    waiting_reason: WaitingReason | None = None
    model: RecordModel | None = None
    worker_jobs: list[JobRecord] = field(factory=list)
    completed_worker_jobs: list[JobRecord] = field(factory=list)


SyncReason = Literal["authenticated", "connected", "manual", "recheck"]
P = TypeVar("P")


@frozen(kw_only=True)
class ProjectsSync(Generic[P]):
    """Result of comparing the client's projects with those that the service lists for its app ID.

    Attributes:
        reason: Why they were compared: the service sent its projects after connecting (``"authenticated"``), it did not
            and they were requested (``"connected"``), `Projects.sync` was called (``"manual"``), or a project was too
            new for the last comparison (``"recheck"``).
        active: Projects of this client that the service knows as unfinished.
        completed: Projects of this client that had ended unnoticed.
        lost: Projects of this client that the service does not know. They have failed.
        unverified: Projects of this client whose state could not be determined. They are unchanged.
        recovered_active: Unfinished projects of an earlier process. The client follows them from now on.
        recovered_completed: Projects of an earlier process that have ended, with the URLs of their results.
    """

    reason: SyncReason
    active: list[P] = field(factory=list)
    completed: list[P] = field(factory=list)
    lost: list[P] = field(factory=list)
    unverified: list[P] = field(factory=list)
    recovered_active: list[P] = field(factory=list)
    recovered_completed: list[P] = field(factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison with snapshots of the projects.

        Returns:
            JSON-ready data, with the keys of the wire format.

        Example:
            >>> client.projects.sync().to_dict()["reason"]
            'manual'
        """
        lists = {name: getattr(self, name) for name in SYNC_LISTS}
        return {"reason": self.reason} | {camel(name): to_dict(projects) for name, projects in lists.items()}


SYNC_LISTS = ("active", "completed", "lost", "unverified", "recovered_active", "recovered_completed")


MissingState = Literal["finished", "terminal", "active", "lost", "unknown"]


@frozen(kw_only=True)
class MissingProject(Model):
    """The outcome of a project, as determined by `Projects.resolve_missing`.

    Attributes:
        id: ID of the project, as given.
        state: ``"finished"`` if the service has its record; ``"terminal"`` if it failed or was canceled without one;
            ``"active"`` if it waits or runs; ``"lost"`` if the service does not know it; ``"unknown"`` if the state
            could not be determined.
        project: The record; without one, the status of the project if the service knows it.
        error: Why the state is unknown.
    """

    id: str
    state: MissingState
    project: ProjectRecord | None = None
    error: str | None = None


ResultKind = Literal["image", "video", "audio", "model"]
UrlUnavailable = Literal["sensitiveContent", "unknownMediaKind", "downloadUrlFailed"]


@frozen(kw_only=True)
class JobResult(Model):
    """The result of a job, as returned by `Projects.get_result`.

    Attributes:
        id: ID of the job.
        status: ``"completed"``, ``"failed"`` or ``"canceled"``; before it ends, the status of the service.
        reason: Why the job ended; None if it completed.
        seed: Seed used.
        kind: Type of the result; None if the job is not completed, or the kind is unknown.
        url: URL of the result, valid for a limited time.
        url_unavailable: Why a completed job has no URL: the content filter withholds the result, its kind is unknown
            (pass `kind`), or the service gave no URL.
        error: Why the service gave no URL; None if it gave one, or none was requested.
    """

    id: str
    status: JobStatus | str
    reason: str | None = None
    seed: int | None = None
    kind: MediaKind | None = None
    url: str | None = field(default=None, repr=redacted_repr)
    url_unavailable: UrlUnavailable | None = None
    error: str | None = None


@frozen(kw_only=True)
class ProjectResultRecord(Model):
    """The results of a project; a `ProjectResult` contains it.

    Attributes:
        id: ID of the project.
        status: Status.
        finished: Whether the project has ended.
        model_id: ID of the model.
        output_format: File format of the results.
        jobs: The jobs, those that have ended first.
    """

    id: str
    status: ProjectStatus | str
    finished: bool
    model_id: str | None = None
    output_format: str | None = None
    jobs: list[JobResult] = field(factory=list)


@frozen(kw_only=True)
class RecentJob(Model):
    """A job of a `RecentProject`.

    Attributes:
        id: ID of the job.
        status: Status, usually ``"completed"``.
        sensitive_content_withheld: Whether the content filter withholds the result.
        finished_at: When it ended.
    """

    id: str
    status: JobStatus | str
    sensitive_content_withheld: bool = False
    finished_at: datetime | None = field(default=None, metadata=EPOCH)


@frozen(kw_only=True)
class RecentProject(Model):
    """A project with recent results, as returned by `Projects.list_recent`.

    Attributes:
        id: ID of the project.
        model_id: ID of the model.
        model_name: Name of the model, for display.
        app_source: Application that started it.
        finished_at: When its last listed job ended.
        jobs: The listed jobs.
    """

    id: str
    model_id: str | None = None
    model_name: str | None = None
    app_source: str | None = None
    finished_at: datetime | None = field(default=None, metadata=EPOCH)
    jobs: list[RecentJob] = field(factory=list)


@frozen(kw_only=True)
class Snapshot(Model):
    """The projects of one app ID that the service keeps.

    Attributes:
        active_projects: Unfinished projects.
        unclaimed_completed_projects: Finished projects whose results have not been retrieved.
    """

    active_projects: list[ProjectRecord] = field(factory=list)
    unclaimed_completed_projects: list[ProjectRecord] = field(factory=list)


# Snapshots, which `to_dict` returns and pickles contain


@frozen(kw_only=True)
class JobSnapshot(Model):
    """The state of a job; a pickled `Job` contains it.

    Attributes:
        id: ID of the job.
        project_id: ID of the project.
        status: Status.
        step: Number of finished steps.
        step_count: Total number of steps.
        worker_name: Name of the worker.
        seed: Seed used.
        is_nsfw: Whether the content filter was triggered.
        nsfw_detected: Whether sensitive content was detected, but the result was delivered.
        nsfw_sources: Where sensitive content was detected.
        user_canceled: Whether the job was canceled by its owner.
        preview_url: URL of the latest preview.
        result_url: URL of the result, valid for a limited time.
        last_frame_url: URL of the last frame of a video.
        provenance: What the service attests about the result.
        error: Why the job failed.
        positive_prompt: Prompt of the job, if it differs from that of the project.
        negative_prompt: Negative prompt of the job, if it differs from that of the project.
        job_index: Index of the job in the project.
        external_progress: Progress reported by the worker.
        eta_seconds: Estimated seconds until the end, when the estimate arrived.
        eta: Estimated time of the end.
        eta_started_at: When the first estimate arrived.
        started_at: When a worker started it, according to the service's record.
        finished_at: When it ended, according to the service's record.
    """

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
    preview_url: str | None = field(default=None, repr=redacted_repr)
    result_url: str | None = field(default=None, repr=redacted_repr)
    last_frame_url: str | None = field(default=None, repr=redacted_repr)
    provenance: Provenance | None = None
    error: ErrorData | None = None
    positive_prompt: str | None = None
    negative_prompt: str | None = None
    job_index: int | None = None
    external_progress: float | None = None
    eta_seconds: float | None = None
    eta: datetime | None = None
    eta_started_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@frozen(kw_only=True)
class ProjectSnapshot(Model):
    """The state of a project with its jobs; a pickled `Project` contains it.

    Attributes:
        id: ID of the project.
        started_at: When the project was created.
        params: Parameters in wire form, without media.
        queue_position: Position in the queue; -1 if unknown.
        queue_status: ``"waiting"`` or ``"no-workers"``.
        estimated_start_at: When a worker should start it.
        waiting_reason: Why the project waits.
        job_waiting_reasons: Why individual jobs wait.
        status: Status.
        eta: Estimated time of the end.
        error: Why the project failed.
        recovered: Whether the project was recovered from the service's records.
        app_id: App ID of the client that started it.
        cost: Its cost, in `token_type`, according to the service's record.
        token_type: Token that pays.
        finished_at: When it ended, according to the service's record.
        duration: Seconds from creation to the end, according to the service's record.
        jobs: The jobs.
    """

    id: str
    started_at: datetime
    params: Mapping[str, Any] = field(factory=dict)
    queue_position: int = -1
    queue_status: QueueStatus | None = None
    estimated_start_at: datetime | None = None
    waiting_reason: WaitingReason | None = None
    job_waiting_reasons: list[JobWaitingReason] = field(factory=list)
    status: str = "pending"
    eta: datetime | None = None
    error: ErrorData | None = None
    recovered: bool = False
    app_id: str | None = None
    cost: Decimal | None = None
    token_type: str | None = None
    finished_at: datetime | None = None
    duration: float | None = None
    jobs: list[JobSnapshot] = field(factory=list)


# Cost estimates


@frozen(kw_only=True)
class CostEstimation(Model):
    """The estimated cost of a project; amounts are None if the service gave none.

    Attributes:
        token: Cost in the requested token.
        usd: Cost in US dollars.
        spark: Cost in Spark.
        sogni: Cost in SOGNI.
        estimated_render_seconds: Estimated rendering time in seconds.
        estimated_total_seconds: Estimated total time in seconds.
        daily_fair_use_pct: Share of the daily fair use in percent; for subscribers on the fast network only.
    """

    token: Decimal | None = None
    usd: Decimal | None = None
    spark: Decimal | None = None
    sogni: Decimal | None = None
    estimated_render_seconds: float | None = None
    estimated_total_seconds: float | None = None
    daily_fair_use_pct: float | None = None
