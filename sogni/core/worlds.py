"""Hosted world builds: starting, watching, approving and reviewing them, over REST.

A build continues whether or not a client watches it. The service requires a signed-in session: a client with an API key
is refused here, before anything is sent.
"""

# account §18, workflows §9, additions-5x §11

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from sogni.core import checks
from sogni.core.checks import json_object, json_ready, path_segment, refuse_unknown, short_repr
from sogni.core.flow import Flow, State, change, new_id
from sogni.core.http import HttpCall, data_of, get, post
from sogni.core.requests import naming, request, within
from sogni.core.workflows.event_feed import EventFeed, wait_for_record
from sogni.core.workflows.event_readers import SequencedReader
from sogni.core.workflows.runs import RUN_PAUSES, billing_mode, durable_post
from sogni.errors import PermissionDeniedError, ProtocolError
from sogni.models.converter import read, wire_form
from sogni.models.worlds import (
    HotspotKind,
    WorldBuild,
    WorldBuildDecision,
    WorldBuildEvent,
    WorldHotspot,
    WorldReviewDecision,
)
from sogni.settings import Settings, TokenType

T = TypeVar("T")

_ROOT = "/v1/world-builds"
_NEEDS_SESSION = (
    "world builds need a signed-in session, an API key is not enough: use a client with auth_type='token' and sign in "
    "with account.login"
)
_HOTSPOT = ("kind", "object", "action", "leadsTo")
_ACTION = ("verb", "subject", "intent")


# Requests


def start_call(given: Mapping[str, Any], app_source: str | None, key: str) -> HttpCall:
    """Return the request that starts a build; `key` makes it repeatable. Raises `ValidationError` or `TypeError`."""
    body = {
        "worldId": checks.text("world_id", given["world_id"], empty=False),
        "nodeId": checks.text("node_id", given["node_id"], empty=False),
        "hotspots": _hotspots(given["hotspots"]),
        "look": json_ready("look", given.get("look")),
        "audience": json_ready("audience", given.get("audience")),
        "tokenType": checks.optional(checks.one_of, "token_type", given.get("token_type"), allowed=get_args(TokenType)),
        "billingMode": billing_mode(given),
    }
    return durable_post(_ROOT, body, app_source, key, operation="", attribution=given.get("attribution"))


def _hotspots(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list | tuple) or not given:
        raise checks.invalid_value("hotspots", given, "a list of at least one hotspot")
    return [_hotspot(f"hotspots[{index}]", hotspot) for index, hotspot in enumerate(given)]


def _hotspot(field: str, given: Any) -> dict[str, Any]:
    hotspot = json_object(field, wire_form(WorldHotspot, given))
    refuse_unknown(hotspot, _HOTSPOT, f"{field} has no field")
    checks.one_of(f"{field}.kind", hotspot.get("kind"), get_args(HotspotKind))
    checks.text(f"{field}.object", hotspot.get("object"), empty=False)
    action = json_object(f"{field}.action", hotspot.get("action"))
    refuse_unknown(action, _ACTION, f"{field}.action has no field")
    for name in _ACTION:
        checks.text(f"{field}.action.{name}", action.get(name), empty=False)
    if "leadsTo" in hotspot and hotspot["kind"] != "path":
        allowed = "omitted unless kind is 'path'"
        raise checks.invalid_value(f"{field}.leads_to", hotspot["leadsTo"], allowed)
    return hotspot


def _path(run_id: Any) -> str:
    return f"{_ROOT}/{path_segment('run_id', run_id)}"


def confirm_cost_call(run_id: Any, decision: Any) -> HttpCall:
    """Return the request that decides about the quote of a build."""
    decision = checks.one_of("decision", decision, get_args(WorldBuildDecision))
    return post(f"{_path(run_id)}/confirm-cost", {"decision": decision})


def review_call(run_id: Any, task_id: Any, decision: Any, note: Any) -> HttpCall:
    """Return the request that approves or rejects the result of a task; an empty note is omitted."""
    body = {
        "taskId": checks.text("task_id", task_id, empty=False),
        "decision": checks.one_of("decision", decision, get_args(WorldReviewDecision)),
    }
    note = checks.optional(checks.text, "note", note)
    return post(f"{_path(run_id)}/review", {**body, "note": note} if note else body)


def cancel_call(run_id: Any, reason: Any) -> HttpCall:
    """Return the request that cancels a build."""
    reason = checks.optional(checks.text, "reason", reason)
    return post(f"{_path(run_id)}/cancel", {"reason": reason} if reason else {})


# Flows


def require_session(state: State) -> Settings:
    """Return the settings of a client that may use world builds. Raises `PermissionDeniedError` if it has a key."""
    if state.session.credentials.kind == "api_key":
        raise PermissionDeniedError(_NEEDS_SESSION, status=403)
    return state.settings


def _session() -> Flow[Settings]:
    return (yield from change(lambda state, _: require_session(state)))


def _member(name: str, cls: type[T], call: HttpCall) -> Flow[T]:
    reply = yield from request(call)
    data = data_of(call, reply)
    if not isinstance(data, Mapping) or data.get(name) is None:
        raise ProtocolError(f"{call.method} {call.path}: the response has no data.{name}")
    return read(cls, data[name], f"the response to {call.method} {call.path}")


def _build(call: HttpCall, what: str) -> Flow[WorldBuild]:
    yield from _session()
    return (yield from naming(what, _member("run", WorldBuild, call)))


def _named(run_id: Any) -> str:
    return f"world build {short_repr(run_id)}"


def start_build(given: Mapping[str, Any]) -> Flow[WorldBuild]:
    """Start a build, once, even if the request has to be repeated."""
    settings = yield from _session()
    key = given.get("idempotency_key") or (yield from new_id())
    call = start_call(settings.with_token(given), settings.app_source, key)
    return (yield from _member("run", WorldBuild, call))


def list_builds(world_id: Any, limit: Any) -> Flow[list[WorldBuild]]:
    """Return the builds of the account, or of one of its worlds."""
    call = get(
        _ROOT,
        worldId=checks.optional(checks.text, "world_id", world_id, empty=False),
        limit=checks.optional(checks.integer, "limit", limit, low=1),
    )
    yield from _session()
    return (yield from _member("runs", list[WorldBuild], call))


def get_build(run_id: Any, left: float | None = None) -> Flow[WorldBuild]:
    """Return a build, within the seconds left."""
    call = get(_path(run_id))
    return (yield from _build((yield from within(call, left)), _named(run_id)))


def build_events(run_id: Any, after: Any) -> Flow[list[WorldBuildEvent]]:
    """Return the events of a build so far, or those after a number."""
    call = get(f"{_path(run_id)}/events", after=checks.optional(checks.integer, "after", after, low=0))
    yield from _session()
    return (yield from naming(_named(run_id), _member("events", list[WorldBuildEvent], call)))


def confirm_cost(run_id: Any, decision: Any) -> Flow[WorldBuild]:
    """Decide about the quote of a build."""
    return (yield from _build(confirm_cost_call(run_id, decision), _named(run_id)))


def review(run_id: Any, task_id: Any, decision: Any, note: Any) -> Flow[WorldBuild]:
    """Approve or reject the result of a task."""
    call = review_call(run_id, task_id, decision, note)
    return (yield from _build(call, f"{_named(run_id)} with a task {short_repr(task_id)}"))


def cancel_build(run_id: Any, reason: Any) -> Flow[WorldBuild]:
    """Cancel a build."""
    return (yield from _build(cancel_call(run_id, reason), _named(run_id)))


# Watching


def build_feed(state: State, run_id: Any, last_event_id: Any = None) -> EventFeed[WorldBuildEvent]:
    """Return the stream of the events of a build. Raises `ValidationError` or `PermissionDeniedError`."""
    feed = _feed(run_id, last_event_id)
    require_session(state)
    return feed


def _feed(run_id: Any, last_event_id: Any) -> EventFeed[WorldBuildEvent]:
    path, what = f"{_path(run_id)}/events/stream", f"the events of {_named(run_id)}"
    return EventFeed(SequencedReader(WorldBuildEvent, path, what, last_event_id), lambda: _has_ended(run_id))


def _has_ended(run_id: Any) -> Flow[bool]:
    return (yield from get_build(run_id)).ended


def wait_for_build(run_id: Any, timeout: float | None) -> Flow[WorldBuild]:
    """Return a build once it has ended or waits for its user. Raises `SogniTimeoutError`."""
    return (
        yield from wait_for_record(
            lambda left: get_build(run_id, left),
            lambda build: build.status in RUN_PAUSES,
            lambda build: _feed(run_id, max((event.sequence or 0 for event in build.events), default=None)),
            timeout,
            _named(run_id),
        )
    )
