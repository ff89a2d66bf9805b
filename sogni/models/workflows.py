"""Durable workflows: their records, their events, and the frames of their event stream (workflows §3, §5, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from .base import EPOCH, LooseModel, MediaKind, Model, shown
from .workflow_plans import WorkflowDependency, WorkflowInput

WorkflowStatus = Literal["queued", "running", "completed", "partial_failure", "waiting_for_user", "failed", "cancelled"]
WORKFLOW_ENDS = frozenset({"completed", "partial_failure", "failed", "cancelled"})
"""Statuses after which nothing comes, `partial_failure` by its meaning (workflows §3)."""


@frozen(kw_only=True)
class WorkflowArtifact(LooseModel):
    """A file a workflow made; `duration` is in seconds, sizes in pixels."""

    id: str | None = None
    url: str | None = field(default=None, repr=shown)
    type: str | None = None
    media_type: MediaKind | None = None
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None


@frozen(kw_only=True)
class WorkflowEvent(LooseModel):
    """Something that happened in a workflow."""

    id: int | str | None = None
    event: str | None = None
    type: str | None = None
    status: str | None = None
    message: str | None = None
    timestamp: datetime | None = field(default=None, metadata=EPOCH)
    data: Any = field(default=None, repr=shown)


@frozen(kw_only=True)
class WorkflowSseEvent(Model):
    """A frame of an event stream: `data` is its JSON value, else its text, None without any; `raw` is all of it."""

    event: str = "message"
    data: Any = field(default=None, repr=shown)
    raw: str = field(default="", repr=False)
    id: str | None = None

    @property
    def status(self) -> str | None:
        """The status of the workflow, when the frame tells it."""
        status = self.data.get("status") if isinstance(self.data, Mapping) else None
        return status if isinstance(status, str) else None


@frozen(kw_only=True)
class WorkflowError(LooseModel):
    """What went wrong in a workflow."""

    message: str | None = None
    code: int | str | None = None


@frozen(kw_only=True)
class WorkflowStepRecord(LooseModel):
    """Where a step of a workflow stands, and what it made."""

    id: str | None = None
    index: int | None = None
    tool_name: str | None = None
    status: str | None = None
    arguments: Mapping[str, Any] | None = field(default=None, repr=shown)
    depends_on: list[WorkflowDependency] | None = None
    seed: int | None = None
    artifacts: list[WorkflowArtifact] = field(factory=list)
    error: WorkflowError | None = None


@frozen(kw_only=True)
class WorkflowRecord(LooseModel):
    """A workflow as the service keeps it; `workflow_id` alone is always there.

    `waiting_reason` tells what a `waiting_for_user` waits for; `awaiting_cost_approval` is True only when
    approving the cost is what lets it go on.
    """

    workflow_id: str
    title: str | None = None
    status: WorkflowStatus | str | None = None
    input: WorkflowInput | None = None
    plan: Mapping[str, Any] | None = field(default=None, repr=shown)
    steps: list[WorkflowStepRecord] = field(factory=list)
    events: list[WorkflowEvent] = field(factory=list)
    artifacts: list[WorkflowArtifact] = field(factory=list)
    billing_preview: Any = None
    billing_previews: Any = None
    create_time: datetime | None = field(default=None, metadata=EPOCH)
    update_time: datetime | None = field(default=None, metadata=EPOCH)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    error: WorkflowError | None = None
    safe_content_filter: bool | None = None
    waiting_reason: str | None = None
    awaiting_cost_approval: bool | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.status in WORKFLOW_ENDS


@frozen(kw_only=True)
class WorkflowResumption(Model):
    """What resuming gave: the workflow, and whether it goes on because of this call."""

    workflow: WorkflowRecord
    resumed: bool = False


@frozen(kw_only=True)
class WorkflowReseed(Model):
    """Another take: `workflow` is the new run. `idempotent` says that it had been started by an earlier call."""

    workflow: WorkflowRecord
    cloned_from_run_id: str = ""
    steps: list[Any] = field(factory=list)
    idempotent: bool = False


@frozen(kw_only=True)
class MediaReference(Model):
    """Media for a workflow or a run, by an address the service can reach (workflows §4)."""

    url: str = field(repr=shown)
    media_type: MediaKind | None = None
    mime_type: str | None = None
