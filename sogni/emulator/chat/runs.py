"""Durable chat runs: checked, carried out by the agent, paused for approval, canceled, restored.

A run is saved with each of its events, except those of partial output, which are saved alone.
"""
# Protocol notes: chat §12, §14.6.

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from attrs import define, evolve, field

from sogni.core.tools.schemas import SchemaCheck
from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.chat.agent import Agent, CallDict, Session, Watcher, arguments_of, library_of
from sogni.emulator.chat.completions import Turn
from sogni.emulator.chat.models import DEFAULT_MODEL
from sogni.emulator.chat.requests import ChatRequest, DeclinedError, check, schemas
from sogni.emulator.durable import DurableRun, SavedRuns
from sogni.emulator.fields import Fields, is_web_url, present
from sogni.emulator.persistence import Event, RunStatus, iso, restored, saved
from sogni.emulator.projects.orders import USD_PER_TOKEN
from sogni.emulator.recorder import Recorder
from sogni.emulator.responses import RefusedError
from sogni.emulator.tools import text_tools
from sogni.emulator.tools.media_library import Media, ToolError
from sogni.emulator.tools.runner import Payments, capacity_units

_SAMPLING = (
    *("max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty"),
    *("presence_penalty", "stop", "chat_template_kwargs", "response_format"),
)
_CONTEXT = {f"uploaded{kind}s": kind[:5].lower() for kind in ("Image", "Video")} | {"uploadedAudio": "audio"}
_CONTEXT |= {"images": "image", "videos": "video", "audio": "audio"}
"""The lists of a media context, and the kind of their media."""


def chat_request_of(body: Mapping[str, Any], recorder: Recorder) -> ChatRequest:
    """Return the completion request of a run's body, or raise ``RefusedError`` or ``DeclinedError``."""
    # Protocol notes: chat §12.1.
    shape, known = SchemaCheck(), schemas()["run"]
    shape.value(body, known, "$")
    if shape.errors:
        raise RefusedError(400, "; ".join(shape.errors))
    if inline := _inline_media(body):
        raise RefusedError(400, f"Media must be given as http(s) URLs: {', '.join(inline)}")
    sampling = body.get("sampling") or {}
    names = ("messages", "tools", "tool_choice", "model", "token_type", "app_source", "billing_mode")
    fields = {key: body[key] for key in names if key in body} | {
        key: sampling[key] for key in _SAMPLING & sampling.keys()
    }
    checked = check(Fields(fields, "$", []), {}, inline_images=False, default_model=DEFAULT_MODEL)
    for finding in checked.findings:
        recorder.violation(f"POST /v1/chat/runs {finding.where}", finding.message)
    for unknown in body.keys() - known["properties"].keys():
        recorder.violation(f"POST /v1/chat/runs $.{unknown}", "is not a known key")
    if checked.chat_request is None:
        raise DeclinedError(checked.error, checked.message)
    safe = (body.get("runtime_config") or {}).get("safeContentFilter") is not False
    return evolve(checked.chat_request, sogni_tools="creative-tools", execute_tools=True, safe=safe)


def references_of(body: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the media of a request; those of the media context become references of their kind."""
    yield from body.get("media_references") or ()
    context = body.get("media_context") or {}
    for key, kind in _CONTEXT.items():
        for url in context.get(key) or ():
            yield {"url": url, "type": kind}


_MEDIA = re.compile(
    r"messages\[\d+\]\.content\[\d+\]\.image_url\.url|mediaReferences\[\d+\]\.(url|(?P<inline>data_?uri))"
    r"|mediaContext\.\w+\[\d+\]",
    re.IGNORECASE,
)


def _inline_media(body: Mapping[str, Any]) -> list[str]:
    """Return the paths of media that are not given by URL."""
    parts = {"messages": "messages", "media_references": "mediaReferences", "media_context": "mediaContext"}
    found = [(path, text) for key, name in parts.items() for path, text in _strings(body.get(key), name)]
    media = [(_MEDIA.fullmatch(path), path, text) for path, text in found if text.strip()]
    return [path for it, path, text in media if it is not None and (it["inline"] or not is_web_url(text))]


def _strings(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield every string in a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _strings(entry, f"{path}.{key}")
    elif isinstance(value, list):
        for at, entry in enumerate(value):
            yield from _strings(entry, f"{path}[{at}]")


SCHEMA_VERSION = "1"


@define(eq=False)
class Approval:
    """A pending decision of the user. Without a ``preview``, the run can only be canceled."""

    calls: list[CallDict]
    reason: str
    message: str
    preview: Mapping[str, Any] | None
    valid_until: float
    decision: asyncio.Future[bool]

    @property
    def ids(self) -> list[str]:
        return [call["id"] for call in self.calls]

    def details(self) -> dict[str, object]:
        details: dict[str, Any] = {"pendingToolCallIds": self.ids}
        if self.ids:
            details["toolCallId"] = self.ids[0]
        return details if self.preview is None else {**details, "costApprovalPreview": dict(self.preview)}

    def waiting(self) -> dict[str, object]:
        return {"reason": self.reason, "message": self.message, "details": self.details()}


_SESSION_FIELDS = ("id", "messages", "results", "usage", "output_tokens")


@define(eq=False, kw_only=True)
class ChatRun(DurableRun):
    """One run."""

    transient: ClassVar[frozenset[str]] = DurableRun.transient | {"session", "approval"}

    session: Session
    completed: float | None = None
    artifacts: list[dict[str, Any]] = field(factory=list)
    results: dict[str, list[str]] = field(factory=lambda: {"images": [], "videos": [], "audio": []})
    """The URLs of results, by kind; a record lists them beside the artifacts."""
    tool_calls: list[dict[str, Any]] = field(factory=list)
    previews: list[Mapping[str, Any]] = field(factory=list)
    approval: Approval | None = None
    final_response: dict[str, Any] | None = None
    failure_reason: str | None = None
    cancellation_reason: str | None = None
    decisions: list[str] = field(factory=list)
    """The idempotency keys of decisions about costs."""
    prepared: bool = False
    """Whether the given media have been fetched."""
    paid: Payments = field(factory=Payments)
    """What the running tool has cost so far."""

    def saved(self) -> dict[str, Any]:
        conversation = {name: getattr(self.session, name) for name in _SESSION_FIELDS}
        library = self.session.library
        media = {name: saved(getattr(library, name)) for name in ("results", "uploads")}
        return {**DurableRun.saved(self), "session": conversation, "library": media}

    def load(self, body: Mapping[str, Any]) -> None:
        DurableRun.load(self, body)
        for name in _SESSION_FIELDS:
            setattr(self.session, name, body["session"][name])
        for name, media in body["library"].items():
            setattr(self.session.library, name, restored(media, list[Media]))

    @property
    def config(self) -> Mapping[str, Any]:
        given = self.request.get("runtime_config")
        return given if isinstance(given, Mapping) else {}

    def collect(self, call: CallDict, media: list[Media], urls: list[str]) -> None:
        """Record the artifacts of a tool."""
        for item, url in zip(media, urls, strict=True):
            self.artifacts.append({**item.wire(url), "toolCallId": call["id"], "toolName": call["function"]["name"]})
            self.results.setdefault("audio" if item.kind == "audio" else f"{item.kind}s", []).append(url)

    def snapshot(self) -> dict[str, object]:
        """Return the data of a ``run_status`` frame: the record without its events."""
        return {key: value for key, value in self.record().items() if key not in ("events", "messages", "request")}

    def record(self) -> dict[str, object]:
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
            "events": [event.wire() for event in self.log.since()],
            "timestamps": self.times | ({} if self.completed is None else {"completedAt": iso(self.completed)}),
        }
        optional = {
            "finalResponse": self.final_response,
            "waiting": None if self.approval is None else self.approval.waiting(),
            "billingPreview": self.previews[-1] if self.previews else None,
            "billingPreviews": list(self.previews) or None,
            "failureReason": self.failure_reason,
            "cancellationReason": self.cancellation_reason,
        }
        return record | present(optional)

    def _scope(self) -> dict[str, object]:
        optional = {"tokenType": self.session.chat_request.token, "appSource": self.session.chat_request.app_source}
        return {"ownerWalletAddress": self.account.wallet_address, **present(optional)}

    def _request(self) -> dict[str, object]:
        names = {
            "session_id": "sessionId",
            "client_message_id": "clientMessageId",
            "model": "model",
            "sampling": "sampling",
            "runtime_config": "runtimeConfig",
            "tool_choice": "toolChoice",
        }
        request_fields = {wire: self.request[key] for key, wire in names.items() if key in self.request}
        return {"model": self.session.chat_request.model.id, **request_fields, "messages": self.request["messages"]}

    def _media_context(self) -> dict[str, object]:
        given = self.request.get("media_context")
        context = {key: list(urls) for key, urls in given.items()} if isinstance(given, Mapping) else {}
        return {**context, **{kind: [*context.get(kind, []), *urls] for kind, urls in self.results.items()}}


_log = logging.getLogger(__name__)
PREVIEW_SECONDS = 600.0
_DELTA_SECONDS = 0.05
_PIECE = "assistant_delta"


@define(eq=False)
class ChatRuns(SavedRuns[ChatRun]):
    """All chat runs of an emulator."""

    kind = "chat_run"
    not_found = "Run not found"

    agent: Agent

    def create(self, account: Account, body: Mapping[str, Any], key: str | None) -> tuple[ChatRun, bool]:
        """Start a run, or return the one that was started with the same key, and True."""
        known = self.known(account, key, body)
        if known is not None:
            return known, True
        run = self.add(self._run(account, body, self.state.ids.uuid()))
        run.key = key
        self.keep(run)
        self.launch(run, self._live(run))
        return run, False

    def _run(self, account: Account, body: Mapping[str, Any], session_id: str) -> ChatRun:
        session, now = Session(account, chat_request_of(body, self.state.recorder), session_id), self.state.clock()
        run = ChatRun(
            id=f"run_{session_id.lower()}",
            account=account,
            log=self.new_log(),
            created=now,
            updated=now,
            request=body,
            session=session,
        )
        session.watcher = _RunWatcher(self, run)
        return run

    def keep_event(self, run: ChatRun, event: Event, ends: bool) -> None:
        if event.type != _PIECE:
            self.keep(run)
        self.state.archive.add_event(self.kind, run.id, event, ends)

    def loaded(self, account: Account, body: Mapping[str, Any]) -> ChatRun:
        run = self._run(account, body["request"], body["session"]["id"])
        run.load(body)
        return run

    def interrupted(self, run: ChatRun) -> None:
        """Refund an interrupted tool, which runs again."""
        if run.paid.total and not run.ended:
            with self.state.archive.transaction():
                run.paid.give_back(run.account, "Refund of an interrupted tool")
                self.keep(run)

    def resume_all(self) -> None:
        """Resume the saved, unfinished runs after the last answer of the model or of a tool."""
        for run in self.runs.values():
            if not run.ended:
                self.launch(run, self._live(run))

    def cancel(self, run: ChatRun, reason: str | None) -> None:
        """Cancel a run; a finished run stays as it is."""
        if run.ended:
            return
        self._end_canceled(run, reason)
        if run.task is not None:
            run.task.cancel()

    def confirm(self, run: ChatRun, body: Mapping[str, Any], key: str | None = None) -> None:
        """Decide on the cost of a waiting run; repeating a decision with its key changes nothing."""
        if key is not None and key in run.decisions:
            return
        self._decide(run, body)
        if key is not None:
            run.decisions.append(key)
            self.keep(run)

    def _decide(self, run: ChatRun, body: Mapping[str, Any]) -> None:
        approval = run.approval
        if run.status != "waiting_for_user" or approval is None:
            raise RefusedError(400, "The run is not waiting for approval")
        decision, named = body.get("decision"), body.get("tool_call_id")
        if decision not in ("confirm", "cancel"):
            raise RefusedError(400, "decision must be confirm or cancel")
        if (approval.ids or named is not None) and named not in approval.ids:
            raise RefusedError(400, "tool_call_id is not the ID of a pending tool call")
        if decision == "cancel":
            reason = body.get("reason")
            self.cancel(run, reason if isinstance(reason, str) and reason else "cost_rejected")
            return
        if approval.preview is None:
            raise RefusedError(400, "There is nothing to confirm: the run can only be canceled")
        accepted = body.get("acceptedCostPreview")
        if not isinstance(accepted, Mapping):
            raise RefusedError(400, "acceptedCostPreview is missing")
        if accepted != approval.preview or self.state.clock() > approval.valid_until:
            self._renew(run, approval)
            raise RefusedError(409, "The preview has expired; retry with the new one")
        overrides = body.get("overrides")
        if isinstance(overrides, Mapping):
            for call in approval.calls:
                if call["id"] == named:
                    call["function"]["arguments"] = json.dumps({**arguments_of(call), **overrides})
        run.approval = None
        self._move(run, "running")
        run.happened("cost_confirmed", {"toolCallIds": approval.ids})
        approval.decision.set_result(True)

    def clear(self) -> None:
        """Cancel and remove every run."""
        for run in self.runs.values():
            self.cancel(run, "reset")
        SavedRuns.clear(self)

    # Execution

    async def _live(self, run: ChatRun) -> None:
        self._move(run, "running")
        if not len(run.log):
            run.happened("started", {"runId": run.id, "model": run.session.chat_request.model.id})
        if (answer := self._last_word(run)) is not None:
            self._end_answered(run, answer["content"] or "", answer["finishReason"])
            return
        try:
            await self._prepare(run)
            completion = await self.agent.run(run.session)
        except asyncio.CancelledError:
            raise
        except DeclinedError as refused:
            if refused.error == "insufficient_balance":
                await self._out_of_credit(run, refused.message)
            else:
                self._end_failed(run, str(refused))
        except (ToolError, RefusedError) as refused:
            self._end_failed(run, refused.message)
        except Exception as failed:
            _log.exception("the emulator could not continue the run %s", run.id)
            self._end_failed(run, f"The worker failed: {type(failed).__name__}")
        else:
            self._end_answered(run, completion.text, completion.finish_reason)
        self.state.recorder.notify()

    def _last_word(self, run: ChatRun) -> Mapping[str, Any] | None:
        """Return the final answer of a run that was interrupted before it could finish."""
        last = run.log.since(run.log.last_sequence - 1)
        if not last or last[0].type != "assistant_message":
            return None
        payload = last[0].payload
        return None if self.agent.runs(run.session.chat_request, payload["toolCalls"]) else payload

    async def _prepare(self, run: ChatRun) -> None:
        if run.prepared:
            return
        session = run.session
        session.library = await library_of(self.agent.tools, session.chat_request, references_of(run.request))
        run.prepared = True
        self.keep(run)

    def _end_answered(self, run: ChatRun, content: str, finish_reason: str) -> None:
        run.final_response = {"content": content, "finishReason": finish_reason}
        results = run.session.results
        failed = run.session.failed
        if failed and failed == len(results):
            run.failure_reason = str(results[-1]["error"])
            self._end(run, "failed", {"failureReason": run.failure_reason, "finalResponse": run.final_response})
        elif failed:
            self._end(run, "partial_failure", {"finalResponse": run.final_response})
        else:
            self._end(run, "completed", {"finalResponse": run.final_response})

    def _end_failed(self, run: ChatRun, reason: str) -> None:
        run.failure_reason = reason
        self._end(run, "failed", {"failureReason": reason})

    def _end_canceled(self, run: ChatRun, reason: str | None) -> None:
        run.cancellation_reason = reason or "cancelled_by_user"
        self._end(run, "cancelled", {"cancellationReason": run.cancellation_reason})

    def _move(self, run: ChatRun, status: RunStatus) -> None:
        run.status, run.updated = status, self.state.clock()

    def _end(self, run: ChatRun, status: Any, payload: Mapping[str, Any]) -> None:
        run.approval = None
        run.completed = self.state.clock()
        self._move(run, status)
        run.happened(f"run_{status}", {"status": status, **payload}, ends=True)

    # Approval

    async def approve(self, run: ChatRun, calls: list[CallDict]) -> None:
        """Pause a run until its user approves the cost of its tools, if approval is required."""
        costs = await self._costs(run, calls)
        units = [capacity_units(cost) for cost in costs]
        if not run.config.get("requireJobConfirmation") or not sum(units):
            return
        usd = sum(costs, Decimal(0)) * USD_PER_TOKEN[run.session.chat_request.token]
        threshold = run.config.get("jobConfirmationThresholdUsd")
        if isinstance(threshold, int | float) and usd <= Decimal(str(threshold)):
            return
        paid = [(call, number) for call, number in zip(calls, units, strict=True) if number]
        await self._pause(run, [call for call, _ in paid], "cost_approval_required", self._preview(run, paid))
        # The user may have changed the arguments, but not the budget.
        await self._costs(run, calls)

    async def _costs(self, run: ChatRun, calls: list[CallDict]) -> list[Decimal]:
        """Return the cost of tool calls; refuse calls that exceed the budget of the run."""
        costs = [await self._cost(run, call) for call in calls]
        units, limit = sum(map(capacity_units, costs)), run.request.get("max_estimated_capacity_units")
        if isinstance(limit, int | float) and units > limit:
            raise RefusedError(400, f"The tools would take {units} capacity units, {limit} are allowed")
        return costs

    async def _cost(self, run: ChatRun, call: CallDict) -> Decimal:
        """Return the cost of a tool call; an invalid call costs nothing and fails later."""
        if call["function"]["name"] in text_tools.TEXT_TOOLS:
            return Decimal(0)
        try:
            cost, _ = await self.agent.tools.estimate(self.agent.tool_call(run.session, call))
        except ToolError:
            return Decimal(0)
        return cost

    def _preview(self, run: ChatRun, paid: list[tuple[CallDict, int]]) -> dict[str, Any]:
        return {
            "totalEstimatedCapacityUnits": sum(units for _, units in paid),
            "tokenType": run.session.chat_request.token,
            "validityUntil": iso(self.state.clock() + PREVIEW_SECONDS),
            "perToolBreakdown": [
                {"toolCallId": call["id"], "toolName": call["function"]["name"], "capacityUnits": units}
                for call, units in paid
            ],
        }

    def _renew(self, run: ChatRun, approval: Approval) -> None:
        """Replace the preview of a pause with one that is valid from now on."""
        if approval.preview is not None and self.state.clock() > approval.valid_until:
            approval.valid_until = self.state.clock() + PREVIEW_SECONDS
            approval.preview = {**approval.preview, "validityUntil": iso(approval.valid_until)}
            run.previews.append(approval.preview)
            run.happened("run_waiting_for_user", approval.waiting())

    async def _pause(
        self, run: ChatRun, calls: list[CallDict], reason: str, preview: Mapping[str, Any] | None, message: str = ""
    ) -> None:
        decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        approval_message = message or f"{len(calls)} tool calls require payment"
        valid = self.state.clock() + PREVIEW_SECONDS
        approval = run.approval = Approval(calls, reason, approval_message, preview, valid, decision)
        self._move(run, "waiting_for_user")
        if preview is not None:
            run.previews.append(preview)
            run.happened("run_awaiting_cost_confirmation", {"toolCallId": approval.ids[0]})
        run.happened("run_waiting_for_user", approval.waiting())
        self.state.recorder.notify()
        await decision

    async def _out_of_credit(self, run: ChatRun, message: str) -> None:
        """Pause a run whose account lacks funds; it can only be canceled."""
        # Protocol notes: chat §14.6.
        await self._pause(run, [], "insufficient_credit", None, message)


@define(eq=False)
class _RunWatcher(Watcher):
    """Records the events of a session in its run."""

    runs: ChatRuns
    run: ChatRun
    _pending: str = ""
    _sent_at: float = 0.0

    def on_delta(self, piece: Mapping[str, Any]) -> None:
        """Add output of the model as an event a few times per second; one event per token would be too many."""
        self._pending += piece["content"]
        now = self.runs.state.clock()
        if now - self._sent_at >= _DELTA_SECONDS:
            self._sent_at = now
            self._publish()

    def _publish(self) -> None:
        if self._pending:
            self.run.happened("assistant_delta", {"content": self._pending})
            self._pending = ""

    def on_answer(self, turn: Turn, message: Mapping[str, Any]) -> None:
        self._publish()
        fields = {
            "content": message["content"],
            "finishReason": turn.completion.finish_reason,
            "usage": dict(turn.usage),
        }
        self.run.happened("assistant_message", {**fields, "toolCalls": message.get("tool_calls", [])})

    async def approve(self, calls: list[CallDict]) -> None:
        await self.runs.approve(self.run, calls)

    def on_tool_start(self, call: CallDict) -> None:
        fields = {"toolCallId": call["id"], "toolName": call["function"]["name"]}
        arguments = call["function"]["arguments"]
        self.run.tool_calls.append({**call, "toolCallId": call["id"], "status": "running"})
        self.run.happened("tool_call_started", {**fields, "arguments": arguments})

    def on_tool_charge(self, token: Token, amount: Decimal) -> None:
        self.run.paid.add(token, amount)
        self.runs.keep(self.run)

    def on_tool_end(self, call: CallDict, result: Mapping[str, Any], media: list[Media]) -> None:
        self.run.paid = Payments()
        status = "completed" if result["success"] else "failed"
        self.run.tool_calls[-1]["status"] = status
        self.run.collect(call, media, list(result.get("urls", ())) if media else [])
        fields = {"toolCallId": call["id"], "toolName": call["function"]["name"], "result": dict(result)}
        self.run.happened(f"tool_call_{status}", fields)
        self.runs.state.recorder.notify()
