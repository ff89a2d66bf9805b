"""Opening a WebSocket: authentication, the first frames, and limits."""

from __future__ import annotations

import pytest
import websocket

from sogni.emulator import LocalSupernet, RecordedFrame, RecordedUpgrade
from sogni.emulator.connections import encode
from tests.emulator.wire import Wire, job_request


def error_of(wire: Wire, **parameters: str) -> tuple[int, str]:
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        wire.connect(**parameters)
    return caught.value.status_code, (caught.value.resp_body or b"").decode()


def test_authenticated_comes_first_then_the_balance_and_the_models(wire: Wire) -> None:
    wire.connect()
    frames = [wire.receive() for _ in range(4)]
    assert [name for name, _ in frames] == ["authenticated", "balanceUpdate", "swarmLLMModels", "swarmModels"]
    identity, balance, language_models, models = (data for _, data in frames)
    assert identity["activeLLMJobIDs"] == []
    assert language_models["qwen3.6-35b-a3b-gguf-iq4xs"]["workers"] > 0
    assert identity["clientType"] == "artist"
    assert identity["activeProjects"] == identity["unclaimedCompletedProjects"] == []
    assert set(balance["spark"]) == {"settled", "credit", "debit", "net", "premiumCredit"}
    assert models["flux1-schnell-fp8"] > 0
    assert models["wan_v2.2-14b-fp8_t2v"] > 0
    assert models["wan3.0-video"] > 0


def test_a_wrong_or_missing_key_is_refused_with_plain_text(wire: Wire) -> None:
    wire.headers = {"api-key": "wrong"}
    assert error_of(wire) == (401, "Unauthorized")
    wire.headers = {}
    assert error_of(wire)[0] == 401


@pytest.mark.parametrize(
    ("parameters", "about"),
    [
        ({"appId": ""}, "appId"),
        ({"clientType": "worker"}, "clientType"),
        ({"forceWorkerId": "slow"}, "forceWorkerId"),
        ({"clientName": ""}, "clientName"),
    ],
)
def test_wrong_parameters_are_refused_and_recorded(
    wire: Wire, supernet: LocalSupernet, parameters: dict[str, str], about: str
) -> None:
    status, text = error_of(wire, **parameters)
    assert status == 400
    assert about in text
    assert about in supernet.violations[-1].message


def test_an_upgrade_is_recorded_without_the_key(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    upgrade = next(it for it in supernet.requests if isinstance(it, RecordedUpgrade))
    assert (upgrade.connection, upgrade.status) == (1, 101)
    assert upgrade.query["appId"] == "wire-test"
    assert upgrade.headers["api-key"] == "***"


def test_a_newer_connection_of_the_same_app_id_displaces_the_older(supernet: LocalSupernet) -> None:
    with Wire(supernet) as older, Wire(supernet) as newer, Wire(supernet, app_id="other") as other:
        older.connect()
        other.connect()
        newer.connect()
        assert older.close_code() == 4015
        supernet.wait_for(lambda: supernet.connection_count == 2)


def test_frames_that_arrive_before_authenticated_are_dropped(supernet: LocalSupernet) -> None:
    supernet.faults.delay_frames("authenticated", seconds=0.2)
    with Wire(supernet) as wire:
        wire.connect().create()
        assert wire.receive()[0] == "authenticated"
        wire.send("changeNetwork", "relaxed")
        wire.next("changeNetwork")
    assert supernet.projects == []
    frames = [it for it in supernet.requests if isinstance(it, RecordedFrame)]
    assert [(it.type, it.dropped) for it in frames] == [("jobRequest", True), ("changeNetwork", False)]


def test_the_network_can_be_switched(wire: Wire) -> None:
    wire.connect().send("changeNetwork", "relaxed")
    assert wire.next("changeNetwork") == {"network": "relaxed"}
    assert "wan_v2.2-14b-fp8_t2v" not in wire.next("swarmModels")


def test_subscriptions_are_acknowledged_with_the_full_map_and_obeyed(wire: Wire) -> None:
    wire.connect().next("swarmModels")
    wire.send("setSocketEventSubscriptions", {"subscriptions": {"jobProgress": False, "appAlert": True}})
    answer = wire.next("socketEventSubscriptionsUpdated")["socketEventSubscriptions"]
    assert (answer["jobProgress"], answer["appAlert"], answer["jobResult"]) == (False, True, True)
    frames = wire.finish(wire.create())
    assert "jobProgress" not in [name for name, _ in frames]


def test_subscriptions_of_the_address_count_from_the_start(wire: Wire) -> None:
    wire.connect(socketEventSubscriptions='{"modelAvailability":false}')
    wire.send("changeNetwork", "fast")
    frames = wire.until(lambda name, _: name == "changeNetwork")
    assert "swarmModels" not in [name for name, _ in frames]


def test_pings_are_answered(wire: Wire) -> None:
    wire.connect()
    assert wire.socket is not None
    wire.socket.ping("are you there")
    while True:
        opcode, frame = wire.socket.recv_data_frame(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_PONG:
            assert frame.data == b"are you there"
            return


def test_an_invalid_frame_is_ignored_and_recorded(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    for text in ("nonsense", "[]", '{"type":"x"}', '{"type":"x","data":"%%"}'):
        wire.send_text(text)
    wire.send("surprise", {})
    wire.finish(wire.create())
    assert len(supernet.violations) == 5
    assert "surprise" in supernet.violations[-1].where


def test_models_are_withheld_from_an_artist_with_running_projects(supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    with Wire(supernet) as wire:
        wire.connect().create()
        wire.next("jobState", "queued")
        wire.disconnect()
        supernet.wait_for(lambda: supernet.connection_count == 0)
        wire.connect()
        assert [wire.receive()[0] for _ in range(2)] == ["authenticated", "balanceUpdate"]
        supernet.resume_workers()
        frames = wire.until(lambda name, _: name == "swarmModels")
    assert any(name == "jobResult" for name, _ in frames)


def test_a_request_on_the_relaxed_network_renders_images(supernet: LocalSupernet) -> None:
    with Wire(supernet, network="relaxed") as wire:
        wire.connect()
        wire.finish(wire.create(job_request()))
    assert supernet.projects[0]["network"] == "relaxed"


def test_binary_client_frames_are_read_but_noted(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    assert wire.socket is not None
    wire.socket.send_binary(encode("changeNetwork", "relaxed").encode())
    assert wire.next("changeNetwork") == {"network": "relaxed"}
    wire.send("changeNetwork", "slow")
    wire.send("setSocketEventSubscriptions", None)
    wire.next("socketEventSubscriptionsUpdated")
    assert [it.where for it in supernet.violations] == [
        "frame",
        "changeNetwork",
        "setSocketEventSubscriptions",
    ]


def test_an_odd_client_name_and_odd_subscriptions_are_noted(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect(clientName="me", socketEventSubscriptions="{").receive()
    assert [it.where for it in supernet.violations] == [
        "upgrade clientName",
        "upgrade socketEventSubscriptions",
    ]


def test_a_cancellation_of_an_unknown_or_unnamed_project_is_refused(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect().send("jobError", {"jobID": "nothing"})
    assert wire.next("artistCancelConfirmation")["error_message"] == "Project not found"
    wire.send("jobError", {})
    supernet.wait_for(lambda: len(supernet.violations) == 2)
