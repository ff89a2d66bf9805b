"""Durable chat runs and what happens in them (chat §12, §14.6, §14.7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from sogni.models.base import LooseModel, Model, TokenType, shown
from sogni.models.chat import MediaContext
from sogni.models.tools import ToolCall
from sogni.models.workflows import WorkflowArtifact

RunStatus = Literal["queued", "running", "waiting_for_user", "completed", "partial_failure", "failed", "cancelled"]


@frozen(kw_only=True)
class ChatRunEvent(LooseModel):
    """Something that happened in a run; `sequence` counts from its beginning."""

    sequence: int | None = None
    type: str = ""
    at: datetime | None = None
    payload: Mapping[str, Any] | None = field(default=None, repr=shown)


@frozen(kw_only=True)
class ToolCost(LooseModel):
    """What one tool call would take."""

    tool_call_id: str | None = None
    tool_name: str | None = None
    capacity_units: float | None = None


@frozen(kw_only=True)
class CostApprovalPreview(LooseModel):
    """What a paused run wants to spend; hand it to `runs.confirm_cost` as it is.

    `validity_until` is the text the service sent, because it must come back unchanged.
    """

    total_estimated_capacity_units: float | None = None
    token_type: TokenType | str | None = None
    validity_until: str | None = None
    per_tool_breakdown: list[ToolCost] | None = None


@frozen(kw_only=True)
class RunWaitingDetails(LooseModel):
    """What the user is asked; one decision covers every call in `pending_tool_call_ids`."""

    tool_call_id: str | None = None
    pending_tool_call_ids: list[str] = field(factory=list)
    cost_approval_preview: CostApprovalPreview | None = None


@frozen(kw_only=True)
class RunWaiting(LooseModel):
    """Why a run waits for its user."""

    reason: str | None = None
    message: str | None = None
    details: RunWaitingDetails | None = None


@frozen(kw_only=True)
class RunScope(LooseModel):
    """Whose run it is."""

    owner_wallet_address: str | None = None
    token_type: TokenType | str | None = None
    app_source: str | None = None


@frozen(kw_only=True)
class RunRequest(LooseModel):
    """What the run was asked."""

    session_id: str | None = None
    client_message_id: str | None = None
    model: str | None = None
    messages: list[Mapping[str, Any]] = field(factory=list, repr=shown)


@frozen(kw_only=True)
class RunRuntimeConfig(Model):
    """How a run is to work; `require_job_confirmation` has it ask before it spends (chat §14.7)."""

    quality_tier: Literal["fast", "hq", "pro"] | str | None = None
    safe_content_filter: bool | None = None
    persona_names: list[str] | None = None
    require_job_confirmation: bool | None = None
    job_confirmation_threshold_usd: float | None = None


@frozen(kw_only=True)
class RunToolResult(LooseModel):
    """What a tool call of a run came to; its result is in `extra`, in the words of the tool."""

    tool_call_id: str | None = None
    tool_name: str | None = None
    success: bool | None = None
    error: str | None = None


@frozen(kw_only=True)
class RunFinalResponse(LooseModel):
    """The answer of a run."""

    content: str | None = field(default=None, repr=shown)
    finish_reason: str | None = None


@frozen(kw_only=True)
class RunTimestamps(LooseModel):
    """When a run began, changed and ended."""

    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None


@frozen(kw_only=True)
class ChatRunRecord(LooseModel):
    """A durable run as the service keeps it; `messages` are dicts in the OpenAI form."""

    run_id: str
    status: RunStatus | str = "queued"
    schema_version: str | None = None
    scope: RunScope | None = None
    request: RunRequest | None = None
    messages: list[Mapping[str, Any]] = field(factory=list, repr=shown)
    tool_calls: list[ToolCall] = field(factory=list)
    tool_results: list[RunToolResult] = field(factory=list)
    artifacts: list[WorkflowArtifact] = field(factory=list)
    media_context: MediaContext | None = None
    events: list[ChatRunEvent] = field(factory=list)
    final_response: RunFinalResponse | None = None
    waiting: RunWaiting | None = None
    billing_preview: Any = None
    billing_previews: Any = None
    failure_reason: str | None = None
    cancellation_reason: str | None = None
    timestamps: RunTimestamps | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.status in RUN_ENDS

    @property
    def content(self) -> str:
        """The text of the answer; empty before there is one."""
        response = self.final_response
        return "" if response is None else response.content or ""


RUN_ENDS = frozenset({"completed", "partial_failure", "failed", "cancelled"})
"""Statuses after which nothing comes (chat §12.3)."""
