"""Projects and jobs at one moment: what `to_dict` gives and what pickling keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from .base import Model, shown, wire
from .events import ErrorData
from .provenance import Provenance


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
