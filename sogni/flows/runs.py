"""Durable chat runs: decides how they are started, watched and waited for (chat §12).

Called by `client.chat.runs`. Needs no socket. A run goes on whether or not anybody watches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.runs import RUN_ENDS, ChatRunEvent, ChatRunRecord
from ..protocol.event_readers import RunEventReader
from ..protocol.http import HttpCall
from ..protocol.run_calls import cancel_run_call, confirm_cost_call, create_run_call, get_run_call, read_run
from .durable import wait_until
from .event_feed import EventFeed
from .requests import request, within
from .steps import Flow, change, new_id

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
