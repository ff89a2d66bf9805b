"""What the service keeps about a project (projects-4.2 §14.3, projects-5x §9.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import field, frozen

from .base import Model, shown, wire


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
        """Whether this is an LLM job, which is no project (transport §13.1)."""
        return self.job_type == "llm" or (self.model is not None and self.model.type == "llm")


@frozen(kw_only=True)
class Snapshot(Model):
    """The projects the service holds for one app id (transport §13.1)."""

    active_projects: list[ProjectRecord] = field(factory=list)
    unclaimed_completed_projects: list[ProjectRecord] = field(factory=list)
