"""World builds: what is sent, what is refused before, and how responses are read (account §18, workflows §9)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sogni.core import worlds
from sogni.core.workflows.event_feed import next_event
from sogni.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    SogniConnectionError,
    ValidationError,
)
from sogni.models.worlds import (
    WorldAction,
    WorldBuild,
    WorldBuildEvent,
    WorldBuildTask,
    WorldBuildWaiting,
    WorldHotspot,
)
from sogni.settings import Attribution
from tests.core.play import Body, Stage, ok, refused
from tests.tables import each_row

ROOT = "rest/v1/world-builds"
EVENTS = "events /v1/world-builds/r/events/stream"
ACTION = {"verb": "open", "subject": "gate", "intent": "enter"}
GATE = {"kind": "path", "object": "gate", "action": ACTION, "leadsTo": "garden"}
GIVEN: dict[str, Any] = {"world_id": "w", "node_id": "n", "hotspots": [GATE]}
LOST = SogniConnectionError("lost")


def stage(**settings: Any) -> Stage:
    """A client that signs in with a password."""
    return Stage(**{"api_key": None, "auth_type": "token", **settings})


def run(status: str = "running", **fields: Any) -> Any:
    return ok({"run": {"runId": "r", "status": status, **fields}})


def test_a_start_is_sent_with_the_keys_of_the_wire() -> None:
    played = stage(app_source="shop", attribution=Attribution(workload_kind="direct"), token_type="spark")
    given = {
        **GIVEN,
        "look": {"style": "ink"},
        "audience": "children",
        "billing_mode": "tokens",
        "idempotency_key": "k",
        "attribution": {"agent_surface": "cli"},
    }
    build = played.play(worlds.start_build(given), (f"POST {ROOT}", run("queued", worldId="w", new=1)))
    assert build == WorldBuild(run_id="r", status="queued", world_id="w", extra={"new": 1})
    (call,) = played.calls
    assert call.body == {
        "worldId": "w",
        "nodeId": "n",
        "hotspots": [GATE],
        "look": {"style": "ink"},
        "audience": "children",
        "tokenType": "spark",
        "billingMode": "tokens",
    }
    assert call.headers == {
        "X-App-Source": "shop",
        "Idempotency-Key": "k",
        "X-Sogni-Workload-Kind": "direct",
        "X-Sogni-Agent-Surface": "cli",
        "X-Sogni-Operation-Scope": "top_level",
        "X-Sogni-Operation-Id": "ID-1",
        "X-Sogni-Root-Operation-Id": "ID-1",
    }


def test_a_start_has_only_what_is_given_and_a_key_of_its_own_with_which_it_is_repeated() -> None:
    played = stage()
    action = WorldAction(verb="take", subject="key", intent="unlock")
    hotspot = WorldHotspot(kind="collectible", object="key", action=action)
    flow = worlds.start_build({**GIVEN, "hotspots": (hotspot, {**GATE, "action": action})})
    played.play(flow, (f"POST {ROOT}", LOST), ("pause 0.25 ±20%", None), (f"POST {ROOT}", run()))
    taken = {"verb": "take", "subject": "key", "intent": "unlock"}
    assert [call.body for call in played.calls] == [
        {
            "worldId": "w",
            "nodeId": "n",
            "hotspots": [{"kind": "collectible", "object": "key", "action": taken}, {**GATE, "action": taken}],
        }
    ] * 2
    assert [call.headers for call in played.calls] == [{"Idempotency-Key": "ID-1"}] * 2


@each_row(
    ("changes", "field"),
    [
        ({"world_id": ""}, "world_id"),
        ({"world_id": None}, "world_id"),
        ({"node_id": " "}, "node_id"),
        ({"hotspots": []}, "hotspots"),
        ({"hotspots": None}, "hotspots"),
        ({"hotspots": "gate"}, "hotspots"),
        ({"hotspots": [GATE, None]}, "hotspots[1]"),
        ({"hotspots": [{**GATE, "kind": "door"}]}, "hotspots[0].kind"),
        ({"hotspots": [{**GATE, "object": ""}]}, "hotspots[0].object"),
        ({"hotspots": [{**GATE, "action": None}]}, "hotspots[0].action"),
        ({"hotspots": [{**GATE, "action": {"verb": "open", "subject": "gate"}}]}, "hotspots[0].action.intent"),
        ({"hotspots": [{**GATE, "action": {**ACTION, "verb": 5}}]}, "hotspots[0].action.verb"),
        ({"hotspots": [{**GATE, "kind": "moment"}]}, "hotspots[0].leads_to"),
        ({"look": float("nan")}, "look"),
        ({"audience": {1j}}, "audience"),
        ({"token_type": "gold"}, "token_type"),
        ({"billing_mode": "free"}, "billing_mode"),
        ({"idempotency_key": "a\nb"}, "idempotency_key"),
        ({"attribution": {"agent_surface": "moon"}}, "attribution.agent_surface"),
    ],
)
def test_an_invalid_start_is_refused_before_it_is_sent(changes: dict[str, Any], field: str) -> None:
    assert stage().fail(ValidationError, worlds.start_build({**GIVEN, **changes})).field == field


@each_row(
    ("hotspot", "message"),
    [
        ({**GATE, "leads_too": "x"}, "hotspots[0] has no field 'leads_too'; did you mean 'leadsTo'"),
        ({**GATE, "action": {**ACTION, "subjekt": "x"}}, "hotspots[0].action has no field 'subjekt'; did you mean"),
    ],
)
def test_an_unknown_field_of_a_hotspot_is_refused(hotspot: Any, message: str) -> None:
    assert message in str(stage().fail(TypeError, worlds.start_build({**GIVEN, "hotspots": [hotspot]})))


def test_other_requests_have_what_is_given() -> None:
    played = stage()
    for flow, place, answer, body in (
        (worlds.list_builds(None, None), f"GET {ROOT}", {"runs": []}, None),
        (worlds.list_builds("w", 5), f"GET {ROOT}?worldId=w&limit=5", {"runs": []}, None),
        (worlds.build_events("a/b", None), f"GET {ROOT}/a%2Fb/events", {"events": []}, None),
        (worlds.build_events("r", 0), f"GET {ROOT}/r/events?after=0", {"events": []}, None),
        (worlds.get_build("r"), f"GET {ROOT}/r", {"run": {"runId": "r"}}, None),
        (worlds.confirm_cost("r", "requote"), f"POST {ROOT}/r/confirm-cost", None, {"decision": "requote"}),
        (
            worlds.review("r", "t", "rejected", "at night"),
            f"POST {ROOT}/r/review",
            None,
            {"taskId": "t", "decision": "rejected", "note": "at night"},
        ),
        (
            worlds.review("r", "t", "approved", ""),
            f"POST {ROOT}/r/review",
            None,
            {"taskId": "t", "decision": "approved"},
        ),
        (worlds.cancel_build("r", None), f"POST {ROOT}/r/cancel", None, {}),
        (worlds.cancel_build("r", "enough"), f"POST {ROOT}/r/cancel", None, {"reason": "enough"}),
    ):
        played.play(flow, (place, ok(answer or {"run": {"runId": "r"}})))
        assert played.calls[-1].body == body
        assert played.calls[-1].operation is None


@each_row(
    ("call", "field"),
    [
        (lambda: worlds.list_builds("", None), "world_id"),
        (lambda: worlds.list_builds(None, 0), "limit"),
        (lambda: worlds.list_builds(None, 1.5), "limit"),
        (lambda: worlds.get_build(""), "run_id"),
        (lambda: worlds.build_events("r", -1), "after"),
        (lambda: worlds.build_events("r", "5"), "after"),
        (lambda: worlds.confirm_cost("r", "yes"), "decision"),
        (lambda: worlds.confirm_cost("r", None), "decision"),
        (lambda: worlds.review("r", "", "approved", None), "task_id"),
        (lambda: worlds.review("r", "t", "approve", None), "decision"),
        (lambda: worlds.review("r", "t", "approved", 5), "note"),
        (lambda: worlds.cancel_build("r", 5), "reason"),
        (lambda: worlds.cancel_build("..", None), "run_id"),
    ],
)
def test_invalid_arguments_are_refused_before_they_are_sent(call: Any, field: str) -> None:
    def flow() -> Any:
        return (yield from call())

    assert stage().fail(ValidationError, flow()).field == field


@each_row(
    "call",
    [
        lambda: worlds.start_build(GIVEN),
        lambda: worlds.list_builds(None, None),
        lambda: worlds.get_build("r"),
        lambda: worlds.build_events("r", None),
        lambda: worlds.confirm_cost("r", "confirm"),
        lambda: worlds.review("r", "t", "approved", None),
        lambda: worlds.cancel_build("r", None),
        lambda: worlds.wait_for_build("r", None),
    ],
)
def test_a_client_with_a_key_is_refused_before_anything_is_sent(call: Any) -> None:
    error = Stage().fail(PermissionDeniedError, call())
    assert "need a signed-in session, an API key is not enough" in str(error)


def test_a_stream_needs_a_session_too() -> None:
    with pytest.raises(PermissionDeniedError, match="signed-in session"):
        worlds.build_feed(Stage().state, "r")


@each_row(
    ("flow", "place", "named"),
    [
        (lambda: worlds.get_build("r"), f"GET {ROOT}/r", "there is no world build 'r': gone"),
        (lambda: worlds.build_events("r", 1), f"GET {ROOT}/r/events?after=1", "there is no world build 'r': gone"),
        (
            lambda: worlds.review("r", "t", "approved", None),
            f"POST {ROOT}/r/review",
            "there is no world build 'r' with a task 't': gone",
        ),
    ],
)
def test_unknown_ids_are_named(flow: Any, place: str, named: str) -> None:
    assert stage().fail(NotFoundError, flow(), (place, refused(404, "gone"))).message == named


def test_other_refusals_are_raised_as_they_are() -> None:
    place = f"POST {ROOT}/r/confirm-cost"
    stage().fail(ConflictError, worlds.confirm_cost("r", "confirm"), (place, refused(409, "expired")))


@each_row("data", [None, [], {}, {"run": None}, {"run": {}}, {"run": "r"}])
def test_a_response_without_a_build_is_malformed(data: Any) -> None:
    stage().fail(ProtocolError, worlds.get_build("r"), (f"GET {ROOT}/r", ok(data)))


def test_a_build_is_read() -> None:
    event = {"sequence": 1, "type": "run_waiting", "at": "2026-01-01T00:00:00Z", "payload": {"a": 1}, "b": 2}
    record = {
        "nodeId": "n",
        "waiting": {"reason": "review_required", "message": "Look", "details": {}},
        "tasks": [{"generationId": "g", "status": "awaiting_review"}, {"interactionId": "i"}, {}],
        "events": [event],
    }
    build = stage().play(worlds.get_build("r"), (f"GET {ROOT}/r", run("waiting_for_user", **record)))
    assert build == WorldBuild(
        run_id="r",
        status="waiting_for_user",
        node_id="n",
        waiting=WorldBuildWaiting(reason="review_required", message="Look", extra={"details": {}}),
        tasks=[
            WorldBuildTask(generation_id="g", status="awaiting_review"),
            WorldBuildTask(interaction_id="i"),
            WorldBuildTask(),
        ],
        events=[
            WorldBuildEvent(
                sequence=1,
                type="run_waiting",
                at=datetime(2026, 1, 1, tzinfo=UTC),
                payload={"a": 1},
                extra={"b": 2},
            )
        ],
    )
    assert ([task.id for task in build.tasks], build.ended) == (["g", "i", None], False)


# -- events --------------------------------------------------------------------


def piece(**data: Any) -> bytes:
    return f"event: {data['type']}\nid: {data['sequence']}\ndata: {json.dumps(data)}\n\n".encode()


def test_a_stream_skips_statuses_and_data_without_keys_and_continues_after_the_last_event() -> None:
    played = stage()
    feed = worlds.build_feed(played.state, "r", 3)
    first = b'event: run_status\ndata: {"status":"running"}\n\ndata: "hello"\n\ndata: null\n\n'
    script = (
        (f"{EVENTS} after 3", Body()),
        ("piece within 90 s", first + piece(sequence=4, type="run_waiting")),
        ("piece within 90 s", LOST),
        ("pause 0.25 ±20%", None),
        (f"{EVENTS} after 4", Body()),
        ("piece within 90 s", piece(sequence=4, type="run_waiting") + piece(sequence=5, type="run_completed")),
    )

    def events() -> Any:
        found = []
        while (event := (yield from next_event(feed))) is not None:
            found.append(event)
        return found

    assert played.play(events(), *script) == [
        WorldBuildEvent(sequence=4, type="run_waiting"),
        WorldBuildEvent(sequence=5, type="run_completed"),
    ]
    assert feed.closed


def test_an_unknown_build_is_named_by_its_stream() -> None:
    played = stage()
    feed = worlds.build_feed(played.state, "r")
    error = played.fail(NotFoundError, next_event(feed), (EVENTS, refused(404, "gone")))
    assert error.message == "the events of world build 'r': gone"


def test_a_stream_that_ends_again_and_again_is_over_if_the_build_is() -> None:
    played = stage()
    feed = worlds.build_feed(played.state, "r")
    script: list[Any] = []
    for pause in ("0.25", "0.5", None):
        script += [(EVENTS, Body()), ("piece within 90 s", b"")]
        script += [] if pause is None else [(f"pause {pause} ±20%", None)]
    assert played.play(next_event(feed), *script, (f"GET {ROOT}/r", run("cancelled"))) is None


def test_a_wait_follows_the_events_to_the_record() -> None:
    played = stage()
    build = played.play(
        worlds.wait_for_build("r", None),
        (f"GET {ROOT}/r", run("running", events=[{"sequence": 2, "type": "run_started"}])),
        (f"{EVENTS} after 2", Body()),
        ("piece within 15 s", piece(sequence=3, type="run_waiting")),
        (f"GET {ROOT}/r", run("waiting_for_user")),
    )
    assert build.status == "waiting_for_user"
