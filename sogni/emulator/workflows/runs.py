"""State of a workflow run and its steps, and the records made from it."""
# Protocol notes: workflows §3.

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from attrs import define, field

from sogni.emulator.account.accounts import Account, Token, decimal_text
from sogni.emulator.durable import DurableRun
from sogni.emulator.fields import present
from sogni.emulator.persistence import Event, iso, restored
from sogni.emulator.tools.media_library import Media
from sogni.emulator.tools.runner import Payments

INPUT_MEDIA = "$input_media"
StepStatus = Literal["pending", "running", "completed", "failed", "skipped", "waiting_for_user", "cancelled"]
SETTLED: tuple[StepStatus, ...] = ("completed", "failed", "skipped", "cancelled")


WorkflowRecord: TypeAlias = dict[str, Any]
"""A workflow in the form of the REST API. Times are in epoch milliseconds and in ISO format."""


@define(eq=False)
class Step:
    """One step. ``paid`` is what it has cost so far, ``estimate`` the expected cost."""

    id: str
    index: int
    tool: str
    arguments: dict[str, Any]
    depends_on: list[dict[str, Any]]
    seed: int
    status: StepStatus = "pending"
    media: list[Media] = field(factory=list)
    parts: list[Media] = field(factory=list)
    facts: dict[str, Any] = field(factory=dict)
    indices: dict[str, Any] = field(factory=dict)
    problems: list[dict[str, Any]] = field(factory=list)
    error: dict[str, Any] | None = None
    waiting: dict[str, Any] | None = None
    paid: Payments = field(factory=Payments)
    estimate: Decimal = Decimal(0)
    started: float | None = None
    ended: float | None = None

    @property
    def sources(self) -> set[str]:
        """Return the IDs of the steps it depends on."""
        return {str(entry["sourceStepId"]) for entry in self.depends_on} - {INPUT_MEDIA}

    def give_back(self, account: Account) -> None:
        """Refund an interrupted step: its partial results are lost."""
        self.paid.give_back(account, "Refund of an interrupted step")

    def brief(self) -> dict[str, object]:
        """Return the step in the form of events.

        The status is nested: a frame's own ``status`` is that of the workflow.
        """
        # Protocol notes: workflows §6.2.
        found: dict[str, Any] = {"id": self.id, "index": self.index, "toolName": self.tool, "status": self.status}
        return found if self.error is None else {**found, "error": self.error}

    def wire(self, artifacts: Callable[[Media], dict[str, Any]]) -> dict[str, object]:
        """Return the step in the form of the record."""
        found: dict[str, Any] = {
            **self.brief(),
            "arguments": self.arguments,
            "dependsOn": self.depends_on,
            "seed": self.seed,
            "artifacts": [artifacts(media) for media in self.media],
            **self.indices,
        }
        if self.parts:
            found["clips"] = [artifacts(media) for media in self.parts]
        if self.facts:
            found["result"] = self.facts
        if self.problems:
            found["problems"] = self.problems
        for name, moment in (("startedAt", self.started), ("completedAt", self.ended)):
            if moment is not None:
                found[name] = iso(moment)
        return found


@define(eq=False, kw_only=True)
class Run(DurableRun):
    """One durable workflow; ``results`` are in the order of completion, which determines their numbers."""

    plan: dict[str, Any]
    steps: list[Step]
    token: Token = "spark"
    app_source: str | None = None
    references: list[dict[str, Any]] = field(factory=list)
    safe_content_filter: bool = True
    cost_approved: bool = True
    template_id: str | None = None
    inputs: dict[str, Any] | None = None
    cloned_from: str | None = None
    waiting: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    preview: dict[str, Any] | None = None
    uploads: list[Media] | None = None
    results: list[Media] = field(factory=list)

    def step(self, id: str) -> Step | None:
        return next((step for step in self.steps if step.id == id), None)

    def wire(self, artifact: Callable[[Media], dict[str, Any]]) -> WorkflowRecord:
        """Return the workflow record with current URLs."""
        # Protocol notes: workflows §3.
        waiting = self.waiting or {}
        record: dict[str, Any] = {
            "workflowId": self.id,
            "title": self.plan.get("title"),
            "status": self.status,
            "input": self.plan,
            "plan": self.plan,
            "steps": [step.wire(artifact) for step in self.steps],
            "events": [self.event(event, artifact) for event in self.log.since()],
            "artifacts": [artifact(media) for media in self.results],
            "billingPreview": self.preview,
            "billingPreviews": None if self.preview is None else [self.preview],
            "createTime": round(self.created * 1000),
            "updateTime": round(self.updated * 1000),
            **self.times,
            "error": self.error,
            "safeContentFilter": self.safe_content_filter,
            "waitingReason": waiting.get("reason"),
            "waiting": self.waiting,
            "templateId": self.template_id,
            "inputs": self.inputs,
            "clonedFromRunId": self.cloned_from,
            "costActual": decimal_text(sum((step.paid.total for step in self.steps), Decimal(0))),
        }
        known = present(record)
        if waiting.get("reason") in ("cost_approval_required", "cost_reauthorization_required"):
            known["awaitingCostApproval"] = True
        return known

    def frame(self, event: Event, artifact: Callable[[Media], dict[str, Any]]) -> dict[str, object]:
        """Return the data of an event stream frame."""
        # Protocol notes: workflows §6.
        payload = {key: value for key, value in event.payload.items() if key != "media"}
        if "media" in event.payload:
            payload["artifacts"] = [artifact(media) for media in restored(event.payload["media"], list[Media])]
        return {"workflowId": self.id, **payload, "type": event.type, "timestamp": round(event.at * 1000)}

    def event(self, event: Event, artifact: Callable[[Media], dict[str, Any]]) -> dict[str, object]:
        """Return an event in the form of the event list."""
        # Protocol notes: workflows §3.
        data = self.frame(event, artifact)
        status_fields: dict[str, Any] = {key: data[key] for key in ("status", "message") if key in data}
        stamped: dict[str, Any] = {
            "id": event.sequence,
            "event": event.type,
            "type": event.type,
            "timestamp": data["timestamp"],
        }
        return {**stamped, **status_fields, "data": data}
