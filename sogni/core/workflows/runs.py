"""Durable chat runs: starting, watching and waiting for them, over REST.

A run continues whether or not a client watches it.
"""

# Runs: chat §12, §14.6, §14.7.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from sogni.core import checks
from sogni.core.attribution import app_source_headers, check_header_override
from sogni.core.chat.requests import as_chat_error, check_sampling, checked_messages
from sogni.core.checks import header_text, json_list, json_object, json_ready, path_segment
from sogni.core.flow import Flow, change, new_id
from sogni.core.http import HttpCall, HttpReply, data_of, error_of, get, post
from sogni.core.requests import request, within
from sogni.core.workflows.event_feed import EventFeed, wait_for_record
from sogni.core.workflows.event_readers import RunEventReader
from sogni.core.workflows.reference_media import (
    reject_unreachable,
    unreachable_in_context,
    unreachable_in_messages,
    unreachable_references,
)
from sogni.errors import ProtocolError
from sogni.models.base import BillingMode
from sogni.models.chat import MediaContext
from sogni.models.converter import read, wire_form
from sogni.models.runs import RUN_ENDS, ChatRunEvent, ChatRunRecord, RunRuntimeConfig

T = TypeVar("T")

_RUNS = "/v1/chat/runs"
BILLING_MODES: tuple[str, ...] = get_args(BillingMode)
DECISIONS = ("confirm", "cancel")


def create_run_call(given: Mapping[str, Any], app_source: str | None, key: str) -> HttpCall:
    """Return the request that starts a run; `key` makes it repeatable. Raises `ValidationError`."""
    source = given.get("app_source") or app_source
    body = dict(_run_fields({**given, "app_source": source}))
    reject_unreachable(
        [
            *unreachable_in_messages(body["messages"]),
            *unreachable_references(body["media_references"]),
            *unreachable_in_context(body["media_context"]),
        ]
    )
    return durable_post(_RUNS, body, source, key, operation=key, attribution=given.get("attribution"))


def _run_fields(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    # In the order of chat §12.1. Empty strings are omitted; empty lists and objects are sent.
    yield "messages", checked_messages(json_list("messages", given["messages"]))
    yield "tools", optional_field(json_list, "tools", given)
    yield "tool_choice", json_ready("tool_choice", given.get("tool_choice"))
    yield "model", optional_string("model", given)
    sampling = optional_field(json_object, "sampling", given)
    check_sampling(sampling or {}, None, "sampling.")
    yield "sampling", sampling
    yield "media_references", optional_field(json_list, "media_references", given)
    yield "media_context", optional_field(_data_class(MediaContext), "media_context", given)
    yield "max_estimated_capacity_units", optional_field(checks.number, "max_estimated_capacity_units", given)
    yield "confirm_cost", optional_field(checks.flag, "confirm_cost", given)
    yield "session_id", optional_string("session_id", given)
    yield "client_message_id", optional_string("client_message_id", given)
    yield "token_type", optional_string("token_type", given)
    yield "app_source", optional_string("app_source", given)
    yield "billing_mode", billing_mode(given)
    yield "runtime_config", optional_field(_data_class(RunRuntimeConfig), "runtime_config", given)


def _data_class(cls: Any) -> Callable[[str, Any], dict[str, Any]]:
    """Return a check for objects of a class, or dicts with its fields."""

    def check(name: str, value: Any) -> dict[str, Any]:
        plain = json_object(name, wire_form(cls, value))
        for key, item in plain.items():
            checks.reject_none_items(f"{name}.{key}", item)
        return plain

    return check


def optional_field(check: Callable[[str, Any], T], name: str, given: Mapping[str, Any]) -> T | None:
    """Return a checked argument, None if it is omitted."""
    return checks.optional(check, name, given.get(name))


def optional_string(name: str, given: Mapping[str, Any]) -> str | None:
    """Return a string argument, None if it is omitted or empty."""
    return optional_field(checks.text, name, given) or None


def billing_mode(given: Mapping[str, Any]) -> str | None:
    """Return the billing mode, None if it is omitted or empty."""
    value = given.get("billing_mode")
    return None if value in (None, "") else checks.one_of("billing_mode", value, BILLING_MODES)


def durable_post(
    path: str,
    body: Mapping[str, Any],
    source: str | None,
    key: str | None,
    *,
    operation: str | None = None,
    attribution: Any = None,
) -> HttpCall:
    """Return a POST request without the fields that are None; a key makes it repeatable."""
    headers = app_source_headers(source)
    if key is not None:
        headers["Idempotency-Key"] = header_text("idempotency_key", key)
    fields = {name: value for name, value in body.items() if value is not None}
    return post(
        path,
        fields,
        headers=headers,
        repeatable=key is not None,
        operation=operation,
        attribution=check_header_override(attribution),
    )


def get_run_call(run_id: Any) -> HttpCall:
    """Return the request for a run."""
    return get(_run_path(run_id))


def cancel_run_call(run_id: Any, reason: Any) -> HttpCall:
    """Return the request that cancels a run."""
    reason = checks.optional(checks.text, "reason", reason)
    return post(f"{_run_path(run_id)}/cancel", {"reason": reason} if reason else {})


def confirm_cost_call(run_id: Any, given: Mapping[str, Any], key: str) -> HttpCall:
    """Return the request that confirms or cancels the cost of a paused run."""
    # The preview must come from the caller: chat §14.6.
    decision = checks.one_of("decision", given["decision"], DECISIONS)
    if decision == "confirm" and given.get("accepted_cost_preview") is None:
        raise checks.invalid_value(
            "accepted_cost_preview",
            None,
            "the preview that the user has accepted",
            "accepted_cost_preview is required to confirm a cost; use the preview that the user has seen, "
            "run.waiting.details.cost_approval_preview",
        )
    body = {
        "tool_call_id": checks.text("tool_call_id", given["tool_call_id"], empty=False),
        "decision": decision,
        "acceptedCostPreview": optional_field(json_object, "accepted_cost_preview", given),
        "overrides": optional_field(json_object, "overrides", given),
        "reason": optional_string("reason", given),
    }
    return durable_post(f"{_run_path(run_id)}/confirm-cost", body, None, key)


def _run_path(run_id: Any) -> str:
    return f"{_RUNS}/{path_segment('run_id', run_id)}"


def read_run(call: HttpCall, reply: HttpReply) -> ChatRunRecord:
    """Return the run in a response. Raises `ApiError`, which may be a `ChatError` too, or `ProtocolError`."""
    if not reply.ok:
        raise as_chat_error(error_of(call, reply))
    data = data_of(call, reply)
    if not isinstance(data, Mapping) or data.get("run") is None:
        raise ProtocolError(f"{call.method} {call.path}: the response has no run")
    return read(ChatRunRecord, data["run"], f"the response to {call.method} {call.path}")


# Flows


RUN_PAUSES = RUN_ENDS | {"waiting_for_user"}
"""Statuses in which a run does not continue by itself."""


def create_run(given: Mapping[str, Any]) -> Flow[ChatRunRecord]:
    """Start a run, once, even if the request has to be repeated."""
    settings = yield from change(lambda state, _: state.settings)
    key = given.get("idempotency_key") or (yield from new_id())
    return (yield from _run(create_run_call(settings.with_token(given), settings.app_source, key)))


def get_run(run_id: str, left: float | None = None) -> Flow[ChatRunRecord]:
    """Return a run, within the seconds left."""
    call = get_run_call(run_id)
    return (yield from _run((yield from within(call, left))))


def cancel_run(run_id: str, reason: str | None) -> Flow[ChatRunRecord]:
    """Cancel a run."""
    return (yield from _run(cancel_run_call(run_id, reason)))


def confirm_cost(run_id: str, given: Mapping[str, Any]) -> Flow[ChatRunRecord]:
    """Confirm or cancel the cost of a paused run."""
    key = given.get("idempotency_key") or (yield from new_id())
    return (yield from _run(confirm_cost_call(run_id, given, key)))


def _run(call: HttpCall) -> Flow[ChatRunRecord]:
    reply = yield from request(call, keeps_credentials=True)
    return read_run(call, reply)


def run_feed(run_id: str, last_event_id: Any = None) -> EventFeed[ChatRunEvent]:
    """Return the stream of all events of a run, or of those after `last_event_id`. Raises `ValidationError`."""
    return EventFeed(RunEventReader(run_id, last_event_id), lambda: _has_ended(run_id))


def _has_ended(run_id: str) -> Flow[bool]:
    return (yield from get_run(run_id)).ended


def wait_for_run(run_id: str, timeout: float | None) -> Flow[ChatRunRecord]:
    """Return a run once it has ended or waits for its user. Raises `SogniTimeoutError`."""
    return (
        yield from wait_for_record(
            lambda left: get_run(run_id, left),
            lambda run: run.status in RUN_PAUSES,
            lambda run: run_feed(run_id, max((event.sequence or 0 for event in run.events), default=None)),
            timeout,
            f"chat run {run_id}",
        )
    )
