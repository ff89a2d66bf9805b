"""What events carry (projects-4.2 §11, transport §9)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from attrs import field, frozen

from .base import Model, shown, wire
from .provenance import Provenance


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


@frozen(kw_only=True)
class Connected(Model):
    """The socket is open; `network` is the client's own setting."""

    network: str


@frozen(kw_only=True)
class Reconnecting(Model):
    """The socket was lost and the next attempt is scheduled."""

    network: str


@frozen(kw_only=True)
class Disconnected(Model):
    """The socket is gone for good; `code` is the WebSocket close code."""

    code: int
    reason: str = ""


@frozen(kw_only=True)
class ToastMessage(Model):
    """A short message of the service for the person using the client."""

    type: Literal["info", "success", "warning", "error"] | str = "info"
    message: str = ""
    auto_close: float | None = None
    sticky_id: str | None = field(default=None, metadata=wire("stickyID"))


class Event(NamedTuple):
    """One event of a project: its name, as in `Project.on`, and what listeners get."""

    name: str
    value: Any

    def __repr__(self) -> str:
        return f"Event(name={self.name!r}, value={shown(self.value)})"


@frozen(kw_only=True)
class EtaRange(Model):
    """The interval of an estimate, in seconds."""

    min: float
    max: float
