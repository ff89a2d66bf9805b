"""The fault plan, as clients see it."""

from __future__ import annotations

import socket
import time

import pytest
import requests
import websocket

from sogni.emulator import Faults, LocalSupernet, RecordedFrame
from sogni.emulator.faults import Stage
from tests.emulator.wire import Wire, job_request, of_type

AFTER: list[tuple[Stage, str | None]] = [
    ("request_received", None),
    ("queued", "jobState"),
    ("initiating", "jobState"),
    ("started", "jobState"),
    ("progress", "jobProgress"),
    ("result", "jobResult"),
    ("completed", "jobState"),
]


def received(wire: Wire) -> list[str]:
    """Return the types of all project frames until the connection ends."""
    seen: list[str] = []
    while True:
        try:
            name, _ = wire.receive()
        except (websocket.WebSocketException, ConnectionError):
            return [it for it in seen if it.startswith("job")]
        seen.append(name)


@pytest.mark.parametrize(("stage", "last"), AFTER)
def test_the_socket_drops_after_the_frame_of_a_stage(
    wire: Wire, supernet: LocalSupernet, stage: Stage, last: str | None
) -> None:
    rule = supernet.faults.drop_socket(at=stage)
    wire.connect().create()
    frames = received(wire)
    assert frames[-1:] == ([] if last is None else [last])
    assert rule.fired == 1
    supernet.wait_for(lambda: supernet.projects[0]["finished"])


def test_the_socket_drops_before_a_result_that_is_then_lost(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.drop_socket(before="result")
    wire.connect().create()
    assert "jobResult" not in received(wire)


def test_the_socket_drops_after_a_number_of_frames(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.drop_socket(after_frames=2)
    wire.connect()
    assert [wire.receive()[0] for _ in range(2)] == ["authenticated", "balanceUpdate"]
    assert wire.close_code() == 0


def test_the_socket_closes_with_a_code(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.drop_socket(at="queued", code=1001)
    wire.connect().create()
    assert wire.close_code() == 1001


def test_exactly_one_condition_drops_a_socket() -> None:
    faults = Faults()
    with pytest.raises(ValueError):
        faults.drop_socket()
    with pytest.raises(ValueError):
        faults.drop_socket(at="queued", after_frames=1)
    with pytest.raises(ValueError):
        faults.drop_socket(at="nowhere")  # type: ignore[arg-type]


def test_every_connection_can_be_dropped_from_the_test(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    supernet.drop_connections(4010, "blocked")
    assert wire.close_code() == 4010
    wire.connect()
    supernet.drop_connections()
    assert wire.close_code() == 0


def test_upgrades_are_refused_a_number_of_times(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.refuse_upgrade(times=2, status=502)
    for _ in range(2):
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            wire.connect()
        assert caught.value.status_code == 502
    wire.connect()


def test_a_lost_request_leaves_no_trace_but_the_dropped_frame(
    wire: Wire, supernet: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    supernet.faults.lose_request()
    request = job_request()
    wire.connect().create(request)
    assert wire.close_code() == 0
    assert supernet.projects == []
    assert wire.get(f"/v2/projects/{request['jobID']}").status_code == 404
    frame = next(it for it in supernet.requests if isinstance(it, RecordedFrame))
    assert (frame.data, frame.dropped) == (request, True)
    assert caplog.records == []
    wire.connect().finish(wire.create(request))


def test_a_request_can_be_refused_as_during_a_restart(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.refuse_project()
    request = job_request()
    wire.connect().create(request)
    assert wire.next("jobError")["error"] == 1001
    wire.finish(wire.create(request))


def test_frames_are_duplicated(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.duplicate_frames("jobResult", copies=3)
    assert len(of_type(wire.finish(wire.connect().create()), "jobResult")) == 3


def test_frames_are_reordered(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.reorder_frames("jobResult")
    wire.finish(wire.connect().create())
    assert wire.receive()[0] == "jobResult"


def test_frames_are_delayed(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.delay_frames("jobResult", seconds=0.3)
    started = time.monotonic()
    wire.finish(wire.connect().create())
    assert time.monotonic() - started >= 0.3


def test_malformed_messages_are_sent_between_frames(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.malform_frame("balanceUpdate", raw="{half")
    wire.connect().receive()
    assert wire.socket is not None
    assert wire.socket.recv() == "{half"
    assert wire.receive()[0] == "balanceUpdate"


def test_http_requests_are_answered_with_a_status_and_a_time_to_wait(wire: Wire, supernet: LocalSupernet) -> None:
    rule = supernet.faults.http("/v1/account/*", status=429, retry_after=7, error_code=9, times=2)
    for _ in range(2):
        reply = wire.get("/v1/account/me")
        assert (reply.status_code, reply.headers["Retry-After"]) == (429, "7")
        assert reply.json()["errorCode"] == 9
    assert wire.get("/v1/account/me").status_code == 200
    assert rule.fired == 2


def test_http_requests_are_answered_with_a_page(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.http("/api/v1/models/list", status=503, body="<html>busy</html>", content_type="text/html")
    reply = wire.get("/api/v1/models/list")
    assert (reply.status_code, reply.text, reply.headers["Content-Type"]) == (
        503,
        "<html>busy</html>",
        "text/html",
    )


def test_http_bodies_are_truncated(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.http("/api/v1/models/list", truncate=True)
    with pytest.raises(requests.exceptions.RequestException):
        wire.get("/api/v1/models/list")


def test_downloads_are_truncated(wire: Wire, supernet: LocalSupernet) -> None:
    project_id = wire.connect().create()
    image_id = of_type(wire.finish(project_id), "jobResult")[0]["imgID"]
    supernet.faults.http("/storage/*", method="GET", truncate=True)
    with pytest.raises(requests.exceptions.RequestException):
        wire.download(project_id, image_id)
    assert wire.download(project_id, image_id)


def test_http_requests_hang_until_the_emulator_closes() -> None:
    with LocalSupernet() as supernet, Wire(supernet) as wire:
        supernet.faults.http("/v1/account/me", hang=True)
        with pytest.raises(requests.exceptions.ReadTimeout):
            wire.http.get(supernet.rest_endpoint + "/v1/account/me", headers=wire.headers, timeout=0.2)


def test_http_connections_are_cut(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v1/account/me", disconnect=True)
    with pytest.raises(requests.exceptions.ConnectionError):
        wire.get("/v1/account/me")


def test_http_responses_are_delayed(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v1/account/me", delay=0.2)
    started = time.monotonic()
    assert wire.data("/v1/account/me")["username"]
    assert time.monotonic() - started >= 0.2


def test_a_plan_can_be_emptied(supernet: LocalSupernet) -> None:
    supernet.faults.fail_job()
    assert len(supernet.faults.pending) == 1
    supernet.faults.clear()
    assert not supernet.faults.pending


def test_errors_carry_the_details_of_their_rule(wire: Wire, supernet: LocalSupernet) -> None:
    agreement = {"key": "terms", "version": 2, "model_id": "m"}
    supernet.faults.refuse_project(error=4103, message="no", consent_required=agreement, required_plans=["unlimited"])
    wire.connect().create()
    refused = wire.next("jobError")
    assert (refused["consentRequired"], refused["requiredPlans"]) == (
        {"key": "terms", "version": 2, "modelId": "m"}, ["unlimited"],
    )  # fmt: skip
    supernet.faults.fail_job(vendor_failure_category="timeout")
    wire.create()
    assert wire.next("jobError")["vendorFailureCategory"] == "timeout"
    supernet.wait_for(lambda: supernet.projects[0]["completedWorkerJobs"][0].get("vendorFailureCategory") == "timeout")
    with pytest.raises(
        TypeError, match=r"Faults.fail_job\(\) has no parameter 'consent'; did you mean 'consent_required'"
    ):
        supernet.faults.fail_job(consent={})  # type: ignore[call-arg]


def test_an_upgrade_that_hangs_is_never_answered(wire: Wire, supernet: LocalSupernet) -> None:
    rule = supernet.faults.refuse_upgrade(hang=True)
    host, port = supernet.socket_endpoint.removeprefix("ws://").split(":")
    with socket.create_connection((host, int(port)), timeout=0.2) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        supernet.wait_for(lambda: rule.fired)
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert wire.connect().receive()[0] == "authenticated"


def test_a_frozen_connection_answers_nothing_but_stays_open(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect().next("swarmModels")
    supernet.freeze_connections()
    assert wire.socket is not None
    wire.socket.ping()
    wire.create()
    wire.socket.settimeout(0.2)
    with pytest.raises(websocket.WebSocketTimeoutException):
        wire.receive()
    assert supernet.connection_count == 1
    assert wire.connect().receive()[0] == "authenticated"
    assert supernet.projects == []
