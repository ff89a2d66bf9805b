"""Estimates of video and music, and that they equal the price charged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import LTX, WAN, audio_request, video_request
from tests.emulator.wire import Payload, Wire

VIDEO = "/api/v1/job-video/estimate"
AUDIO = "/api/v1/job-audio/estimate"


def project(wire: Wire, path: str, **query: str) -> dict[str, Any]:
    reply = wire.get(path, **query)
    assert reply.status_code == 200, reply.text
    return dict(reply.json()["quote"]["project"])


def cost(wire: Wire, path: str, **query: str) -> Decimal:
    return Decimal(project(wire, path, **query)["costInToken"])


PAID: list[tuple[str, dict[str, str], Payload]] = [
    (
        f"{VIDEO}/spark/{WAN}_t2v/640/480/81/32/20/2",
        {},
        video_request(f"{WAN}_t2v", width=640, frames=81, fps=32, top={"numberOfImages": 2}),
    ),
    (f"{VIDEO}/spark/{LTX}_t2v_distilled/640/640/25/24", {}, video_request(f"{LTX}_t2v_distilled")),
    (f"{VIDEO}/spark/{WAN}_t2v_lightx2v/0/0/81/16", {}, video_request(f"{WAN}_t2v_lightx2v", width=..., frames=...)),
    (f"{VIDEO}/spark/seedance-2-0/480/480/97/24", {}, video_request("seedance-2-0")),
    (
        f"{VIDEO}/spark/seedance-2-0/480/480/97/24",
        {"hasVideoInput": "1"},
        video_request("seedance-2-0", referenceVideoURLs=["https://a.b/c.mp4"]),
    ),
    (
        f"{VIDEO}/spark/minimax-h3-fl2va-fp8_t2v/64/64/124/24",
        {},
        video_request("minimax-h3-fl2va-fp8_t2v", width=64, height=64, frames=124),
    ),
    (
        f"{VIDEO}/spark/minimax-h3-fastvideo-int8_t2v_turbo_2stage/64/64/124/24",
        {},
        video_request("minimax-h3-fastvideo-int8_t2v_turbo_2stage", width=64, height=64, frames=124),
    ),
    (f"{AUDIO}/spark/minimax_music3/10/1/1", {}, audio_request("minimax_music3")),
    (f"{AUDIO}/spark/ace_step_1.5_turbo/10/8/3", {}, audio_request(top={"numberOfImages": 3})),
    (f"{AUDIO}/spark/ace_step_1.5_sft/45/60/1", {}, audio_request("ace_step_1.5_sft", duration=45, steps=60)),
]


@pytest.mark.parametrize(("path", "query", "request_payload"), PAID)
def test_the_estimate_is_what_is_paid(
    wire: Wire, supernet: LocalSupernet, path: str, query: dict[str, str], request_payload: Payload
) -> None:
    estimated, before = cost(wire, path, **query), supernet.account.balance.spark
    wire.connect().create(request_payload)
    wire.finish(request_payload["jobID"])
    supernet.wait_for(lambda: supernet.account.balance.spark == before - estimated)
    assert estimated > 0


def test_size_length_steps_and_number_decide(wire: Wire) -> None:
    base = cost(wire, f"{VIDEO}/spark/{WAN}_t2v/640/640/81/16/20/1")
    for other in ("1280/640/81/16/20/1", "640/640/161/16/20/1", "640/640/81/16/40/1", "640/640/81/16/20/2"):
        assert cost(wire, f"{VIDEO}/spark/{WAN}_t2v/{other}") > base * Decimal("1.9")
    assert base < cost(wire, f"{VIDEO}/spark/{WAN}_t2v/640/640/81/32/20/1") < base * Decimal("1.2")
    assert base == cost(wire, f"{VIDEO}/spark/{WAN}_t2v/640/640/81/16/0/1")
    short, long = (cost(wire, f"{AUDIO}/spark/ace_step_1.5_turbo/{seconds}/8/1") for seconds in (30, 60))
    assert long == short * 2


def test_a_video_to_start_from_costs_more_at_a_vendor(wire: Wire) -> None:
    path = f"{VIDEO}/spark/seedance-2-0/1280/720/121/24"
    assert cost(wire, path, hasVideoInput="1") > cost(wire, path) > 0


def test_an_estimate_has_every_currency_and_the_time(wire: Wire) -> None:
    answer = wire.get(f"{VIDEO}/sogni/{LTX}_t2v_dev/1280/704/97/24/30/1").json()
    amounts = answer["quote"]["project"]
    assert Decimal(amounts["costInToken"]) == Decimal(amounts["costInSogni"])
    assert Decimal(amounts["costInSpark"]) == 2 * Decimal(amounts["costInSogni"])
    assert answer["benchmark"]["estimatedRenderTimeSec"] == 240
    assert (answer["request"]["frames"], answer["request"]["stepCount"]) == (97, 30)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{VIDEO}/spark/{WAN}_t2v/640/640/81", "6 or 8 segments, got 5"),
        (f"{VIDEO}/spark/nope/640/640/81/16", "unknown video model: nope"),
        (f"{VIDEO}/spark/ace_step_1.5_turbo/640/640/81/16", "unknown video model"),
        (f"{VIDEO}/spark/wan3.0-video/640/640/81/16", "no worker serves wan3.0-video"),
        (f"{VIDEO}/euro/{WAN}_t2v/640/640/81/16", "unknown token type: euro"),
        (f"{VIDEO}/spark/{WAN}_t2v/640/640/undefined/16", "not a number: 'undefined'"),
        (f"{AUDIO}/spark/ace_step_1.5_turbo/30/8", "5 segments, got 4"),
        (f"{AUDIO}/spark/ace_step_1.5_turbo/-3/8/1", "out of range: -3"),
    ],
)
def test_a_malformed_estimate_is_refused(wire: Wire, supernet: LocalSupernet, path: str, message: str) -> None:
    supernet.withdraw_model("wan3.0-video")
    reply = wire.get(path)
    assert reply.status_code == 400
    assert message in reply.text
    assert len(supernet.violations) == 1


def test_a_project_beyond_the_balance_is_refused(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(spark=0, sogni=0)
    wire.connect().create(video_request(f"{WAN}_t2v"))
    assert wire.next("jobError")["error"] == 123
