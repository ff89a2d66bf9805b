"""One durable chat run: what it was asked, where it stands, what happened, and its record (chat §12.3).

Moved on by ``chat_runs``, read by the routes. It belongs to the server's event loop; it outlives every client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from attrs import define, field

from ..accounts import Account
from ..event_log import Event, EventLog, iso
from ..hosted import Media, Payments
from .agent import Called, Session

RunStatus = Literal["queued", "running", "waiting_for_user", "completed", "partial_failure", "failed", "cancelled"]
ENDED = ("completed", "partial_failure", "failed", "cancelled")
SCHEMA_VERSION = "1"


@define(eq=False)
class Approval:
    """A decision that is waited for. Without a ``preview`` the run can only be cancelled."""

    calls: list[Called]
    reason: str
    message: str
    preview: Mapping[str, Any] | None
    valid_until: float
    decision: asyncio.Future[bool]

    @property
    def ids(self) -> list[str]:
        return [call["id"] for call in self.calls]

    def details(self) -> dict[str, Any]:
        details: dict[str, Any] = {"pendingToolCallIds": self.ids}
        if self.ids:
            details["toolCallId"] = self.ids[0]
        return details if self.preview is None else {**details, "costApprovalPreview": dict(self.preview)}

    def waiting(self) -> dict[str, Any]:
        return {"reason": self.reason, "message": self.message, "details": self.details()}


@define(eq=False)
class ChatRun:
    """A run. ``body`` is the request as it came."""

    id: str
    account: Account
    body: Mapping[str, Any]
    session: Session
    log: EventLog
    created: float
    status: RunStatus = "queued"
    updated: float = 0.0
    completed: float | None = None
    artifacts: list[dict[str, Any]] = field(factory=list)
    made: dict[str, list[str]] = field(factory=lambda: {"images": [], "videos": [], "audio": []})
    tool_calls: list[dict[str, Any]] = field(factory=list)
    previews: list[Mapping[str, Any]] = field(factory=list)
    approval: Approval | None = None
    final_response: dict[str, Any] | None = None
    failure_reason: str | None = None
    cancellation_reason: str | None = None
    key: str | None = None
    decisions: list[str] = field(factory=list)
    """The keys of the decisions about costs that were taken."""
    prepared: bool = False
    """Whether the media it was given were fetched."""
    paid: Payments = field(factory=Payments)
    """What the tool that is running has cost so far."""
    task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def config(self) -> Mapping[str, Any]:
        given = self.body.get("runtime_config")
        return given if isinstance(given, Mapping) else {}

    def move(self, status: RunStatus) -> None:
        self.status, self.updated = status, self.log.clock()
        if self.ended:
            self.completed = self.updated

    def happened(self, type: str, payload: Mapping[str, Any] | None = None, *, ends: bool = False) -> None:
        # First: the log keeps the run with the event.
        self.updated = self.log.clock()
        self.log.append(type, payload, ends=ends)

    def keep(self, call: Called, media: list[Media], urls: list[str]) -> None:
        """Note what a tool made."""
        for item, url in zip(media, urls, strict=True):
            self.artifacts.append({**item.wire(url), "toolCallId": call["id"], "toolName": call["function"]["name"]})
            self.made["audio" if item.kind == "audio" else f"{item.kind}s"].append(url)

    def snapshot(self) -> dict[str, Any]:
        """The data of a ``run_status`` frame: the record without its story."""
        return {key: value for key, value in self.record().items() if key not in ("events", "messages", "request")}

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "runId": self.id,
            "status": self.status,
            "schemaVersion": SCHEMA_VERSION,
            "scope": self._scope(),
            "request": self._request(),
            "messages": [dict(message) for message in self.session.messages],
            "toolCalls": [dict(call) for call in self.tool_calls],
            "toolResults": [dict(result) for result in self.session.results],
            "artifacts": list(self.artifacts),
            "mediaContext": self._media_context(),
            "events": [wire_of(event) for event in self.log.since()],
            "timestamps": self._timestamps(),
        }
        optional = {
            "finalResponse": self.final_response,
            "waiting": None if self.approval is None else self.approval.waiting(),
            "billingPreview": self.previews[-1] if self.previews else None,
            "billingPreviews": list(self.previews) or None,
            "failureReason": self.failure_reason,
            "cancellationReason": self.cancellation_reason,
        }
        return record | {key: value for key, value in optional.items() if value is not None}

    def _scope(self) -> dict[str, Any]:
        given = {"tokenType": self.session.asking.token, "appSource": self.session.asking.app_source}
        known = {key: value for key, value in given.items() if value is not None}
        return {"ownerWalletAddress": self.account.wallet_address, **known}

    def _request(self) -> dict[str, Any]:
        names = {
            "session_id": "sessionId",
            "client_message_id": "clientMessageId",
            "model": "model",
            "sampling": "sampling",
            "runtime_config": "runtimeConfig",
            "tool_choice": "toolChoice",
        }
        told = {wire: self.body[key] for key, wire in names.items() if key in self.body}
        return {"model": self.session.asking.model.id, **told, "messages": self.body["messages"]}

    def _media_context(self) -> dict[str, Any]:
        given = self.body.get("media_context")
        context = {key: list(urls) for key, urls in given.items()} if isinstance(given, Mapping) else {}
        return {**context, **{kind: [*context.get(kind, []), *urls] for kind, urls in self.made.items()}}

    def _timestamps(self) -> dict[str, str]:
        times = {"createdAt": iso(self.created), "updatedAt": iso(self.updated)}
        return times if self.completed is None else {**times, "completedAt": iso(self.completed)}


def wire_of(event: Event) -> dict[str, Any]:
    """An event as records and streams have it."""
    return {"sequence": event.sequence, "type": event.type, "at": iso(event.at), "payload": dict(event.payload)}
