"""Durable chat runs (chat §12, §14.6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sogni.emulator import LocalSupernet
from tests.emulator.chat.helpers import IDENTITY, user
from tests.emulator.chat.test_hosted_chat import post
from tests.emulator.wire import DEADLINE, Wire

RUNS = "/v1/chat/runs"
Event = dict[str, Any]


def create(wire: Wire, *messages: Any, key: str | None = None, **more: Any) -> Any:
    turns = [user(message) if isinstance(message, str) else message for message in messages]
    headers = {} if key is None else {"Idempotency-Key": key}
    reply = post(wire, RUNS, {"messages": turns, **more}, **headers)
    assert reply.status_code == 202, reply.text
    return reply.json()["data"]


def start(wire: Wire, *messages: Any, **more: Any) -> str:
    return str(create(wire, *messages, **more)["run"]["runId"])


def get(wire: Wire, run_id: str) -> Any:
    return wire.data(f"{RUNS}/{run_id}")["run"]


def ended(wire: Wire, run_id: str) -> Any:
    def over() -> Any:
        run = get(wire, run_id)
        return run if run["status"] in ("completed", "partial_failure", "failed", "cancelled") else None

    return wire.supernet.wait_for(over)


def waiting(wire: Wire, run_id: str) -> Any:
    wire.supernet.wait_for(lambda: get(wire, run_id)["status"] == "waiting_for_user")
    return get(wire, run_id)


class Stream:
    """Reads a server-sent event stream frame by frame."""

    def __init__(self, wire: Wire, run_id: str, last: int | None = None) -> None:
        headers = {**wire.headers, "Accept": "text/event-stream"}
        headers |= {} if last is None else {"Last-Event-ID": str(last)}
        url = f"{wire.supernet.rest_endpoint}{RUNS}/{run_id}/events/stream"
        self.reply = wire.http.get(url, headers=headers, stream=True, timeout=DEADLINE)
        assert self.reply.headers["Content-Type"].startswith("text/event-stream")

    def frames(self) -> Iterator[tuple[str, str | None, Any]]:
        name, id_, data = "message", None, ""
        for line in self.reply.iter_lines(chunk_size=1, decode_unicode=True):
            if not line:
                if data:
                    yield name, id_, json.loads(data)
                name, id_, data = "message", None, ""
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("id: "):
                id_ = line[4:]
            elif line.startswith("data: "):
                data += line[6:]

    def events(self) -> Iterator[Event]:
        for name, id_, data in self.frames():
            if name != "run_status":
                assert (name, id_) == (data["type"], str(data["sequence"]))
                yield data


def test_a_run_is_accepted_runs_and_is_answered(wire: Wire) -> None:
    run = create(wire, "Good morning", session_id="s1", client_message_id="m1", app_source="test")["run"]
    assert run["status"] == "queued"
    assert run["request"]["sessionId"] == "s1"
    assert run["scope"]["ownerWalletAddress"] == wire.supernet.account.wallet_address
    done = ended(wire, run["runId"])
    content = f"You said: “Good morning”. {IDENTITY}"
    assert (done["status"], done["finalResponse"]) == ("completed", {"content": content, "finishReason": "stop"})
    assert done["messages"][-1] == {"role": "assistant", "content": content}
    assert set(done["timestamps"]) == {"createdAt", "updatedAt", "completedAt"}
    assert [event["sequence"] for event in done["events"]] == list(range(1, len(done["events"]) + 1))


def test_events_are_streamed_until_the_run_ends(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.rate(200)
    supernet.chat.reply("1, 2, 3, 4, 5, 6, 7, 8, 9")
    stream = Stream(wire, start(wire, "Count"))
    frames = list(stream.frames())
    name, _, snapshot = frames[0]
    assert (name, snapshot["status"] in ("queued", "running")) == ("run_status", True)
    events = [data for name, _, data in frames if name != "run_status"]
    told = "".join(event["payload"]["content"] for event in events if event["type"] == "assistant_delta")
    assert told == "1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert events[-1]["type"] == "run_completed"
    assert events[-1]["payload"]["finalResponse"]["content"] == told


def test_a_stream_resumes_after_the_last_received_event(wire: Wire) -> None:
    wire.supernet.chat.rate(100)
    run_id = start(wire, "Hello")
    whole = ended(wire, run_id)["events"]
    assert list(Stream(wire, run_id).events()) == whole
    assert list(Stream(wire, run_id, 0).events()) == whole
    assert list(Stream(wire, run_id, 4).events()) == whole[4:]
    assert list(Stream(wire, run_id, whole[-1]["sequence"]).events()) == []
    wrong = wire.http.get(
        f"{wire.supernet.rest_endpoint}{RUNS}/{run_id}/events/stream",
        headers={**wire.headers, "Last-Event-ID": "soon"},
        timeout=DEADLINE,
    )
    assert wrong.status_code == 400


def test_a_run_survives_its_client(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.rate(100)
    run_id = start(wire, "Hello")
    stream = Stream(wire, run_id)
    seen = []
    for event in stream.events():
        seen.append(event)
        if len(seen) == 5:
            break
    stream.reply.close()
    rest = list(Stream(wire, run_id, seen[-1]["sequence"]).events())
    assert seen + rest == ended(wire, run_id)["events"]
    assert rest[-1]["type"] == "run_completed"


def test_the_same_key_is_the_same_run(wire: Wire, supernet: LocalSupernet) -> None:
    first = create(wire, "Hello", key="k1")
    again = create(wire, "Hello", key="k1")
    other = create(wire, "Hello", key="k2")
    assert "idempotent" not in first
    assert again["idempotent"] is True
    assert again["run"]["runId"] == first["run"]["runId"] != other["run"]["runId"]


def test_runs_belong_to_one_account(wire: Wire, supernet: LocalSupernet) -> None:
    run_id = create(wire, "Hello", key="mine")["run"]["runId"]
    supernet.add_account("second-artist", "a good password", api_key="second-key")
    with Wire(supernet) as other:
        other.headers = {"api-key": "second-key"}
        assert other.get(f"{RUNS}/{run_id}").status_code == 404
        assert post(other, f"{RUNS}/{run_id}/cancel", {}).status_code == 404
        assert other.get(f"{RUNS}/{run_id}/events/stream").status_code == 404
        assert create(other, "Hello", key="mine")["run"]["runId"] != run_id
    assert post(wire, RUNS, {"messages": [user("x")]}, **{"api-key": "wrong"}).status_code == 401


def test_a_run_can_be_canceled_once(wire: Wire, supernet: LocalSupernet) -> None:
    owned = supernet.account.balance
    supernet.chat.rate(5)
    run_id = start(wire, "Hello")
    stream = Stream(wire, run_id).events()
    assert next(stream)["type"] == "started"
    run = post(wire, f"{RUNS}/{run_id}/cancel", {"reason": "changed my mind"}).json()["data"]["run"]
    assert (run["status"], run["cancellationReason"]) == ("cancelled", "changed my mind")
    assert list(stream)[-1]["type"] == "run_cancelled"
    again = post(wire, f"{RUNS}/{run_id}/cancel", {}).json()["data"]["run"]
    assert again["cancellationReason"] == "changed my mind"
    supernet.wait_for(lambda: supernet.account.balance == owned)


def test_tools_run_on_the_service_and_leave_artifacts(wire: Wire) -> None:
    run_id = start(
        wire,
        "Create an image of a red kite, width=256 height=256, then turn it into a video, duration=2",
        token_type="spark",
    )
    run = ended(wire, run_id)
    assert run["status"] == "completed"
    assert [call["status"] for call in run["toolCalls"]] == ["completed", "completed"]
    assert [result["toolName"] for result in run["toolResults"]] == ["generate_image", "generate_video"]
    assert [artifact["type"] for artifact in run["artifacts"]] == ["image", "video"]
    assert all(artifact["url"] in run["finalResponse"]["content"] for artifact in run["artifacts"])
    assert run["mediaContext"]["images"] == [run["artifacts"][0]["url"]]
    types = [event["type"] for event in run["events"] if event["type"] != "assistant_delta"]
    assert types == [
        *("started", "assistant_message", "tool_call_started", "tool_call_completed"),
        *("assistant_message", "tool_call_started", "tool_call_completed", "assistant_message", "run_completed"),
    ]
    assert requests.head(run["artifacts"][0]["url"], timeout=DEADLINE).status_code in (200, 404, 405)


def test_media_of_a_run_are_urls_and_can_be_seen_and_used(wire: Wire) -> None:
    url = ended(wire, start(wire, "Create an image of a red kite, width=256 height=256"))["artifacts"][0]["url"]
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert "Images: of unknown size" in ended(wire, start(wire, user(parts)))["finalResponse"]["content"]
    edited = ended(wire, start(wire, "Edit the image: make it blue", media_context={"uploadedImages": [url]}))
    assert edited["toolResults"][0]["toolName"] == "edit_image"
    assert edited["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"media_references": [{"url": "data:image/png;base64,AA"}]}, "mediaReferences[0].url"),
        ({"media_references": [{"dataUri": "x"}]}, "mediaReferences[0].dataUri"),
        ({"media_context": {"images": ["ftp://x"]}}, "mediaContext.images[0]"),
        (
            {"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}])]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": []}, "$.messages"),
        ({"sampling": {"temperature": 9}}, "$.temperature"),
        ({"sampling": 5}, "$.sampling"),
        ({"token_type": "gold"}, "$.token_type"),
    ],
)
def test_an_invalid_run_is_refused(wire: Wire, body: Any, where: str) -> None:
    reply = post(wire, RUNS, {"messages": [user("Hello")], **body})
    assert reply.status_code == 400
    assert where in reply.json()["message"]


def test_a_model_that_fails_fails_the_run_and_so_does_a_budget_that_is_too_small(
    wire: Wire, supernet: LocalSupernet
) -> None:
    supernet.chat.fail("server_restarting", "one moment", after_tokens=2)
    run = ended(wire, start(wire, "Hello"))
    assert (run["status"], run["failureReason"]) == ("failed", "server_restarting: one moment")
    assert run["events"][-1]["type"] == "run_failed"
    run = ended(wire, start(wire, "Create an image of a red kite", max_estimated_capacity_units=0))
    assert run["status"] == "failed"
    assert "capacity units" in run["failureReason"]


def test_tools_that_fail_make_a_failure_or_a_partial_one(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job()
    assert ended(wire, start(wire, "Create an image of a red kite"))["status"] == "failed"
    supernet.faults.fail_job()
    supernet.chat.reply(tool_calls=[("generate_image", {"prompt": "a cat"}), ("generate_image", {"prompt": "a dog"})])
    run = ended(wire, start(wire, "Two animals"))
    assert run["status"] == "partial_failure"
    assert run["events"][-1]["type"] == "run_partial_failure"


PAUSING = {"runtime_config": {"requireJobConfirmation": True}}


def decide(wire: Wire, run_id: str, **body: Any) -> requests.Response:
    return post(wire, f"{RUNS}/{run_id}/confirm-cost", body)


def test_a_run_waits_for_its_cost_to_be_approved(wire: Wire) -> None:
    run_id = start(wire, "Create an image of a red kite, width=256 height=256", token_type="spark", **PAUSING)
    run = waiting(wire, run_id)
    details = run["waiting"]["details"]
    preview = details["costApprovalPreview"]
    assert run["waiting"]["reason"] == "cost_approval_required"
    assert details["pendingToolCallIds"] == [details["toolCallId"]]
    assert preview["totalEstimatedCapacityUnits"] == preview["perToolBreakdown"][0]["capacityUnits"] > 0
    assert [event["type"] for event in run["events"]][-2:] == ["run_awaiting_cost_confirmation", "run_waiting_for_user"]
    assert run["events"][-1]["payload"]["details"] == details
    assert run["events"][-2]["payload"] == {"toolCallId": details["toolCallId"]}
    call = details["toolCallId"]
    assert decide(wire, run_id, tool_call_id=call, decision="maybe").status_code == 400
    assert decide(wire, run_id, tool_call_id="other", decision="confirm").status_code == 400
    assert decide(wire, run_id, tool_call_id=call, decision="confirm").status_code == 400
    other = {**preview, "totalEstimatedCapacityUnits": 0}
    assert decide(wire, run_id, tool_call_id=call, decision="confirm", acceptedCostPreview=other).status_code == 409
    reply = decide(
        wire,
        run_id,
        tool_call_id=call,
        decision="confirm",
        acceptedCostPreview=preview,
        overrides={"prompt": "a blue kite"},
    )
    assert reply.json()["data"]["run"]["status"] == "running"
    done = ended(wire, run_id)
    assert (done["status"], done["billingPreview"]) == ("completed", preview)
    assert "waiting" not in done
    assert "a blue kite" in done["toolCalls"][0]["function"]["arguments"]
    assert decide(wire, run_id, tool_call_id=call, decision="cancel").status_code == 400


def test_a_cost_that_is_declined_cancels_the_run(wire: Wire, supernet: LocalSupernet) -> None:
    run_id = start(wire, "Create an image of a red kite", **PAUSING)
    call = waiting(wire, run_id)["waiting"]["details"]["toolCallId"]
    run = decide(wire, run_id, tool_call_id=call, decision="cancel", reason="too much").json()["data"]["run"]
    assert (run["status"], run["cancellationReason"]) == ("cancelled", "too much")
    assert supernet.projects == []


def test_small_costs_need_no_approval(wire: Wire) -> None:
    config = {"requireJobConfirmation": True, "jobConfirmationThresholdUsd": 5}
    assert (
        ended(wire, start(wire, "Create an image of a red kite, width=256 height=256", runtime_config=config))["status"]
        == "completed"
    )


def test_a_run_without_funds_can_only_be_canceled(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(sogni=0)
    run_id = start(wire, "Hello")
    run = waiting(wire, run_id)
    assert run["waiting"]["reason"] == "insufficient_credit"
    assert "costApprovalPreview" not in run["waiting"]["details"]
    assert decide(wire, run_id, decision="confirm", acceptedCostPreview={}).status_code == 400
    assert decide(wire, run_id, decision="cancel").json()["data"]["run"]["status"] == "cancelled"


def test_a_callers_own_function_ends_a_run_with_its_call(wire: Wire) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": schema}}
    run = ended(wire, start(wire, "What's the weather in Oslo?", tools=[tool]))
    assert (run["status"], run["finalResponse"]["finishReason"]) == ("completed", "tool_calls")
    assert run["messages"][-1]["tool_calls"][0]["function"]["name"] == "get_weather"


def test_reset_forgets_runs(wire: Wire, supernet: LocalSupernet) -> None:
    run_id = start(wire, "Hello")
    supernet.reset()
    assert wire.get(f"{RUNS}/{run_id}").status_code == 404


def test_a_repeated_decision_changes_nothing(wire: Wire) -> None:
    name = start(wire, "Create an image of a red kite", runtime_config={"requireJobConfirmation": True})
    details = waiting(wire, name)["waiting"]["details"]
    body = {"tool_call_id": details["toolCallId"], "decision": "confirm"}
    body["acceptedCostPreview"] = details["costApprovalPreview"]
    path = f"{RUNS}/{name}/confirm-cost"
    for _ in range(2):
        assert post(wire, path, body, **{"Idempotency-Key": "mine"}).status_code == 200
    assert ended(wire, name)["status"] == "completed"
    assert post(wire, path, body, **{"Idempotency-Key": "mine"}).status_code == 200
    assert post(wire, path, body, **{"Idempotency-Key": "other"}).status_code == 400


def test_changed_arguments_stay_within_the_budget(wire: Wire, supernet: LocalSupernet) -> None:
    budget = {"max_estimated_capacity_units": 1, **PAUSING}
    name = start(wire, "Create an image of a red kite", **budget)
    details = waiting(wire, name)["waiting"]["details"]
    body = {"tool_call_id": details["toolCallId"], "decision": "confirm", "overrides": {"numberOfVariations": 16}}
    body["acceptedCostPreview"] = details["costApprovalPreview"]
    assert post(wire, f"{RUNS}/{name}/confirm-cost", body).status_code == 200
    run = ended(wire, name)
    assert (run["status"], "1 are allowed" in run["failureReason"]) == ("failed", True)
    assert supernet.projects == []
