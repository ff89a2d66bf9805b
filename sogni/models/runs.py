"""Durable chat runs: their records, events and cost approvals."""

# The wire format: chat §12, §14.6, §14.7.

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from sogni.models.base import LooseModel, Model, redacted_repr
from sogni.models.chat import MediaContext
from sogni.models.tools import ToolCall
from sogni.models.workflows import WorkflowArtifact
from sogni.settings import TokenType

RunStatus = Literal["queued", "running", "waiting_for_user", "completed", "partial_failure", "failed", "cancelled"]


@frozen(kw_only=True)
class ChatRunEvent(LooseModel):
    """An event of a run.

    Attributes:
        sequence: Number of the event within the run; `last_event_id` of `runs.stream_events` accepts it.
        type: Type of the event. The last event of a run is ``"run_completed"``, ``"run_partial_failure"``,
            ``"run_failed"`` or ``"run_cancelled"``.
        at: Time of the event.
        payload: Data of the event; its keys depend on the type.
    """

    sequence: int | None = None
    type: str = ""
    at: datetime | None = None
    payload: Mapping[str, Any] | None = field(default=None, repr=redacted_repr)


@frozen(kw_only=True)
class ToolCost(LooseModel):
    """The estimated cost of one tool call.

    Attributes:
        tool_call_id: ID of the tool call.
        tool_name: Name of the tool.
        capacity_units: Estimated cost in capacity units.
    """

    tool_call_id: str | None = None
    tool_name: str | None = None
    capacity_units: float | None = None


@frozen(kw_only=True)
class CostApprovalPreview(LooseModel):
    """The estimated cost of a paused run; pass it to `runs.confirm_cost` unchanged.

    Attributes:
        total_estimated_capacity_units: Estimated cost in capacity units.
        token_type: Token that pays, ``"sogni"`` or ``"spark"``.
        validity_until: ISO 8601 time until which the preview can be confirmed. A string, because it must be sent
            back unchanged.
        per_tool_breakdown: Estimated cost of each tool call.
    """

    # Sent back unchanged: chat §14.6.
    total_estimated_capacity_units: float | None = None
    token_type: TokenType | str | None = None
    validity_until: str | None = None
    per_tool_breakdown: list[ToolCost] | None = None


@frozen(kw_only=True)
class RunWaitingDetails(LooseModel):
    """What a paused run needs from its user.

    Attributes:
        tool_call_id: ID of the tool call to confirm or cancel.
        pending_tool_call_ids: IDs of all tool calls that wait; one decision covers them all.
        cost_approval_preview: The estimated cost. None if the run can only be cancelled, because credit is exhausted.
    """

    tool_call_id: str | None = None
    pending_tool_call_ids: list[str] = field(factory=list)
    cost_approval_preview: CostApprovalPreview | None = None


@frozen(kw_only=True)
class RunWaiting(LooseModel):
    """Why a run waits for its user.

    Attributes:
        reason: Reason, for example ``"cost_approval_required"``.
        message: Description for users.
        details: What to decide, for `runs.confirm_cost`.
    """

    reason: str | None = None
    message: str | None = None
    details: RunWaitingDetails | None = None


@frozen(kw_only=True)
class RunScope(LooseModel):
    """The owner of a run.

    Attributes:
        owner_wallet_address: Wallet address of the account.
        token_type: Token that pays, ``"sogni"`` or ``"spark"``.
        app_source: Application that started the run.
    """

    owner_wallet_address: str | None = None
    token_type: TokenType | str | None = None
    app_source: str | None = None


@frozen(kw_only=True)
class RunRequest(LooseModel):
    """The request of a run.

    Attributes:
        session_id: Session ID that the caller has given.
        client_message_id: Message ID that the caller has given.
        model: ID of the language model.
        messages: Messages in the OpenAI format.
    """

    session_id: str | None = None
    client_message_id: str | None = None
    model: str | None = None
    messages: list[Mapping[str, Any]] = field(factory=list, repr=redacted_repr)


@frozen(kw_only=True)
class RunRuntimeConfig(Model):
    """Options of a run.

    Attributes:
        quality_tier: ``"fast"``, ``"hq"`` or ``"pro"``.
        safe_content_filter: Whether to filter sensitive content.
        persona_names: Names of personas.
        require_job_confirmation: Whether the run pauses for approval before it spends; see `runs.confirm_cost`.
        job_confirmation_threshold_usd: Estimated cost in US dollars up to which the run does not pause.
    """

    quality_tier: Literal["fast", "hq", "pro"] | str | None = None
    safe_content_filter: bool | None = None
    persona_names: list[str] | None = None
    require_job_confirmation: bool | None = None
    job_confirmation_threshold_usd: float | None = None


@frozen(kw_only=True)
class RunToolResult(LooseModel):
    """The outcome of a tool call in a run. Fields that depend on the tool are in `extra`.

    Attributes:
        tool_call_id: ID of the tool call.
        tool_name: Name of the tool.
        success: Whether the call succeeded.
        error: Why it failed.
    """

    tool_call_id: str | None = None
    tool_name: str | None = None
    success: bool | None = None
    error: str | None = None


@frozen(kw_only=True)
class RunFinalResponse(LooseModel):
    """The answer of a run.

    Attributes:
        content: Text of the answer.
        finish_reason: Why the model stopped, for example ``"stop"``.
    """

    content: str | None = field(default=None, repr=redacted_repr)
    finish_reason: str | None = None


@frozen(kw_only=True)
class RunTimestamps(LooseModel):
    """The times of a run.

    Attributes:
        created_at: Time of creation.
        updated_at: Time of the last change.
        completed_at: Time at which it ended.
    """

    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None


@frozen(kw_only=True)
class ChatRunRecord(LooseModel):
    """The state of a durable run.

    Attributes:
        run_id: ID of the run.
        status: ``"queued"``, ``"running"``, ``"waiting_for_user"``, ``"completed"``, ``"partial_failure"``,
            ``"failed"`` or ``"cancelled"``.
        schema_version: Version of the record.
        scope: Owner of the run.
        request: The original request.
        messages: All messages so far, in the OpenAI format.
        tool_calls: Tools that the model has called.
        tool_results: Outcomes of these calls.
        artifacts: Files that the run has created.
        media_context: Media that tool calls refer to by index.
        events: Events so far.
        final_response: The answer, once there is one; see `content`.
        waiting: What the run needs from its user, if it is ``"waiting_for_user"``.
        billing_preview: Billing data, as sent.
        billing_previews: Billing data, as sent.
        failure_reason: Why the run failed.
        cancellation_reason: Why the run was cancelled.
        timestamps: When the run was created, changed and completed.
    """

    run_id: str
    status: RunStatus | str = "queued"
    schema_version: str | None = None
    scope: RunScope | None = None
    request: RunRequest | None = None
    messages: list[Mapping[str, Any]] = field(factory=list, repr=redacted_repr)
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
        """Whether the run has ended, successfully or not."""
        return self.status in RUN_ENDS

    @property
    def content(self) -> str:
        """The text of the answer; empty until there is one."""
        response = self.final_response
        return "" if response is None else response.content or ""


RUN_ENDS = frozenset({"completed", "partial_failure", "failed", "cancelled"})
"""Final statuses."""  # chat §12.3
