"""Durable chat runs: their REST calls, and starting, watching and waiting for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from sogni.core import checks
from sogni.core.attribution import app_source_headers
from sogni.core.chat.requests import as_chat_error, checked_messages
from sogni.core.checks import header_text, json_list, json_object, json_ready, path_segment
from sogni.core.flow import Flow, change, new_id
from sogni.core.http import HttpCall, HttpReply, data_of, error_of, get, post
from sogni.core.requests import request, within
from sogni.core.workflows.event_feed import EventFeed, wait_until
from sogni.core.workflows.event_readers import RunEventReader
from sogni.core.workflows.reference_media import in_context, in_messages, in_references, refuse_unreachable
from sogni.errors import ProtocolError
from sogni.models.chat import MediaContext
from sogni.models.converter import read, wire_form
from sogni.models.runs import RUN_ENDS, ChatRunEvent, ChatRunRecord, RunRuntimeConfig

_RUNS = "/v1/chat/runs"
BILLING_MODES = ("auto", "subscription", "tokens")
DECISIONS = ("confirm", "cancel")


def create_run_call(given: Mapping[str, Any], app_source: str | None, key: str) -> HttpCall:
    """The start of a run; `key` makes it safe to repeat. ValidationError, also for media nobody can reach."""
    source = given.get("app_source") or app_source
    body = {name: value for name, value in _run_fields({**given, "app_source": source}) if value is not None}
    refuse_unreachable(
        [
            *in_messages(body["messages"]),
            *in_references(body.get("media_references")),
            *in_context(body.get("media_context")),
        ]
    )
    return evolve(keyed(_RUNS, body, key, source), operation=key)


def _run_fields(given: Mapping[str, Any]) -> Any:
    """The keys of the body, in order; an empty text is none, an empty list or object is one (chat §12.1)."""
    yield "messages", checked_messages(json_list("messages", given["messages"]))
    yield "tools", _kept("tools", given, json_list)
    yield "tool_choice", json_ready("tool_choice", given.get("tool_choice"))
    yield "model", _word("model", given)
    yield "sampling", _kept("sampling", given, json_object)
    yield "media_references", _kept("media_references", given, json_list)
    yield "media_context", _kept("media_context", given, _form(MediaContext))
    yield "max_estimated_capacity_units", _kept("max_estimated_capacity_units", given, checks.number)
    yield "confirm_cost", _kept("confirm_cost", given, checks.flag)
    yield "session_id", _word("session_id", given)
    yield "client_message_id", _word("client_message_id", given)
    yield "token_type", _word("token_type", given)
    yield "app_source", _word("app_source", given)
    yield "billing_mode", billing_mode(given.get("billing_mode"))
    yield "runtime_config", _kept("runtime_config", given, _form(RunRuntimeConfig))


def _form(cls: Any) -> Any:
    def checked(name: str, value: Any) -> dict[str, Any]:
        made = json_object(name, wire_form(cls, value))
        for key, item in made.items():
            checks.without_gaps(f"{name}.{key}", item)
        return made

    return checked


def billing_mode(value: Any) -> str | None:
    """What pays; None for nothing, and for an empty text."""
    return None if value in (None, "") else checks.one_of("billing_mode", value, BILLING_MODES)


def _word(name: str, given: Mapping[str, Any]) -> str | None:
    return checks.optional(checks.text, name, given.get(name)) or None


def _kept(name: str, given: Mapping[str, Any], check: Any) -> Any:
    value = given.get(name)
    return None if value is None else check(name, value)


def keyed(path: str, body: Any, key: str, source: str | None) -> HttpCall:
    """A POST that may be sent again, because the service knows it by its key."""
    headers = {"Idempotency-Key": header_text("idempotency_key", key), **app_source_headers(source)}
    return post(path, body, headers=headers, repeatable=True)


def get_run_call(run_id: Any) -> HttpCall:
    """Ask for a run."""
    return get(f"{_RUNS}/{path_segment('run_id', run_id)}")


def cancel_run_call(run_id: Any, reason: Any) -> HttpCall:
    """End a run."""
    reason = checks.optional(checks.text, "reason", reason)
    return post(f"{_RUNS}/{path_segment('run_id', run_id)}/cancel", {"reason": reason} if reason else {})


def confirm_cost_call(run_id: Any, given: Mapping[str, Any], key: str) -> HttpCall:
    """The decision about the cost of a paused run (chat §14.6)."""
    decision = checks.one_of("decision", given["decision"], DECISIONS)
    preview = given.get("accepted_cost_preview")
    if decision == "confirm" and preview is None:
        raise checks.invalid_value(
            "accepted_cost_preview",
            None,
            "the preview that the user accepted",
            "a cost is confirmed with the preview the user has seen: run.waiting.details.cost_approval_preview",
        )
    body = {
        "tool_call_id": checks.text("tool_call_id", given["tool_call_id"], empty=False),
        "decision": decision,
        "acceptedCostPreview": None if preview is None else json_object("accepted_cost_preview", preview),
        "overrides": None if given.get("overrides") is None else json_object("overrides", given["overrides"]),
        "reason": checks.optional(checks.text, "reason", given.get("reason")) or None,
    }
    path = f"{_RUNS}/{path_segment('run_id', run_id)}/confirm-cost"
    return keyed(path, {name: value for name, value in body.items() if value is not None}, key, None)


def read_run(call: HttpCall, reply: HttpReply) -> ChatRunRecord:
    """The run in an answer. ApiError, which may be a ChatError as well; ProtocolError when there is none."""
    if not reply.ok:
        raise as_chat_error(error_of(call, reply))
    data = data_of(call, reply)
    if not isinstance(data, Mapping) or data.get("run") is None:
        raise ProtocolError(f"{call.method} {call.path}: the answer holds no run")
    return read(ChatRunRecord, data["run"], f"the answer to {call.method} {call.path}")


# Starting, watching and waiting for runs (chat §12).
#
# Called by `client.chat.runs`. Needs no socket. A run goes on whether or not anybody watches it.


RUN_PAUSES = RUN_ENDS | {"waiting_for_user"}
"""Statuses in which a run does nothing by itself."""


def create_run(given: Mapping[str, Any]) -> Flow[ChatRunRecord]:
    """Start a run, once, however often it must be asked for."""
    source = yield from change(lambda state, _: state.settings.app_source)
    key = given.get("idempotency_key") or (yield from new_id())
    return (yield from _run(create_run_call(given, source, key)))


def get_run(run_id: str, left: float | None = None) -> Flow[ChatRunRecord]:
    """Ask for a run; there may be only some seconds `left` for it."""
    call = get_run_call(run_id)
    return (yield from _run((yield from within(call, left))))


def cancel_run(run_id: str, reason: str | None) -> Flow[ChatRunRecord]:
    """End a run."""
    return (yield from _run(cancel_run_call(run_id, reason)))


def confirm_cost(run_id: str, given: Mapping[str, Any]) -> Flow[ChatRunRecord]:
    """Tell a paused run what was decided about its cost."""
    key = given.get("idempotency_key") or (yield from new_id())
    return (yield from _run(confirm_cost_call(run_id, given, key)))


def _run(call: HttpCall) -> Flow[ChatRunRecord]:
    reply = yield from request(call, keeps_credentials=True)
    return read_run(call, reply)


def run_feed(run_id: str, last_event_id: Any = None) -> EventFeed[ChatRunEvent]:
    """The events of a run, those that were, and those to come. ValidationError."""
    return EventFeed(RunEventReader(run_id, last_event_id), lambda: _ended(run_id))


def _ended(run_id: str) -> Flow[bool]:
    return (yield from get_run(run_id)).ended


def wait_for_run(run_id: str, timeout: float | None) -> Flow[ChatRunRecord]:
    """The record of a run once it has ended or waits for its user. SogniTimeoutError."""
    return (
        yield from wait_until(
            lambda left: get_run(run_id, left),
            lambda run: run.status in RUN_PAUSES,
            lambda run: run_feed(run_id, max((event.sequence or 0 for event in run.events), default=None)),
            timeout,
            f"chat run {run_id}",
        )
    )
