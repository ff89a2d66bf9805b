"""HTTP routes of both hosts: account, catalogue, estimates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sogni.emulator import LocalSupernet, RecordedRequest
from sogni.emulator.catalogue.models import SAMPLER_ALIASES, SCHEDULER_ALIASES
from tests.emulator.wire import Wire

ESTIMATE = "/api/v2/job/estimate/spark/fast/flux1-schnell-fp8"


def cost(wire: Wire, path: str, **query: str) -> float:
    return float(wire.get(path, **query).json()["quote"]["project"]["costInSpark"])


def test_me_and_balance_have_the_documented_fields(wire: Wire) -> None:
    me = wire.data("/v1/account/me")
    assert {"currentEmail", "username", "walletAddress", "emailVerified"} <= set(me)
    balance = wire.data("/v4/account/balance")
    assert balance["sogni"] == {
        "settled": "10000",
        "credit": "0",
        "debit": "0",
        "net": "10000",
        "relaxedUnclaimed": "0",
        "fastUnclaimed": "0",
    }
    assert balance["spark"]["premiumCredit"] == "0"
    assert wire.data("/v1/subscriptions/status") == {"subscription": {"active": False, "status": "none"}}
    assert wire.data("/v1/assets/capabilities") == {"enabled": True}


def test_both_hosts_refuse_wrong_keys_each_in_its_form(wire: Wire) -> None:
    wire.headers = {"api-key": "wrong"}
    rest, socket = wire.get("/v1/account/me"), wire.get("/api/v1/models/list")
    assert (rest.status_code, rest.json()["status"]) == (401, "error")
    assert (socket.status_code, socket.headers["Content-Type"].split(";")[0]) == (401, "text/plain")


def test_unknown_paths_and_methods_are_errors_of_the_host(wire: Wire, supernet: LocalSupernet) -> None:
    assert wire.get("/v9/nothing").json()["status"] == "error"
    assert wire.get("/api/v9/nothing").status_code == 404
    refused = wire.http.post(supernet.rest_endpoint + "/v1/account/me", json={}, timeout=30)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")
    assert refused.json()["message"] == "POST is not allowed on /v1/account/me; use GET"


def test_an_unknown_path_says_which_there_are(wire: Wire, supernet: LocalSupernet) -> None:
    assert wire.get("/v1/acount/me").json()["message"].endswith("; did you mean GET /v1/account/me?")
    assert wire.get("/v1/project/1").json()["message"].endswith("; did you mean GET /v1/projects/{id}?")
    assert wire.get("/api/v1/model/list").text == (
        "No such route: GET /api/v1/model/list; did you mean GET /api/v1/models/list?"
    )
    listed = wire.http.put(supernet.rest_endpoint + "/", timeout=30).json()["message"]
    assert listed.startswith("No such route: PUT /; there are GET /v1/account/me, GET /v4/account/balance, ")


def test_requests_are_recorded_decoded_and_without_secrets(wire: Wire, supernet: LocalSupernet) -> None:
    wire.http.post(supernet.rest_endpoint + "/v1/x", json={"a": 1}, headers=wire.headers, timeout=30)
    record = supernet.requests[-1]
    assert isinstance(record, RecordedRequest)
    assert (record.host, record.method, record.path, record.body) == ("rest", "POST", "/v1/x", {"a": 1})
    assert record.headers["api-key"] == "***"
    supernet.wait_for(lambda: record.status == 404)
    assert supernet.api_key not in repr(supernet.requests)
    supernet.forget_requests()
    assert supernet.requests == []


def test_every_model_has_a_tier_of_a_known_kind(wire: Wire) -> None:
    models, tiers = wire.get("/api/v1/models/list").json(), wire.get("/api/v2/models/tiers").json()
    assert {tiers[model["tier"]].get("type", "image") for model in models} == {"image", "video", "audio"}
    assert {model["media"] for model in models} == {"image", "video", "audio", "model"}
    assert len({model["SID"] for model in models}) == len({model["id"] for model in models}) == len(models)


def test_every_video_and_audio_family_is_listed(wire: Wire) -> None:
    listed = {model["id"] for model in wire.get("/api/v1/models/list").json()}
    assert {
        "flux1-schnell-fp8",
        "gpt-image-2",
        "ltx23-22b-fp8_v2v_dev",
        "seedance-2-5",
        "minimax_music3",
    } <= listed


def test_the_display_names_of_samplers_and_schedulers_occur_in_tiers(wire: Wire) -> None:
    text = json.dumps(wire.get("/api/v2/models/tiers").json())
    for name in (*SAMPLER_ALIASES, *SCHEDULER_ALIASES):
        assert json.dumps(name) in text


def test_size_presets_have_the_form_of_the_service(wire: Wire) -> None:
    path = "/api/v1/size-presets/network/fast/model/"
    presets = wire.get(path + "flux1-schnell-fp8").json()
    square = {"label": "Square", "id": "square", "width": 512, "height": 512, "ratio": "1:1", "aspect": "1"}
    assert presets[0] == square
    assert {"portrait_7_9", "landscape_12_5"} <= {preset["id"] for preset in presets}
    assert wire.get(path + "nothing").status_code == 404


def test_the_network_status_counts_workers_by_sid(wire: Wire) -> None:
    models = {model["id"]: str(model["SID"]) for model in wire.get("/api/v1/models/list").json()}
    status = wire.get("/api/v1/status/network/fast/models").json()
    assert status[models["flux1-schnell-fp8"]] == 4
    assert status[models["ace_step_1.5_turbo"]] == 4
    assert status[models["minimax_music3"]] == 4


@pytest.mark.parametrize(
    "more",
    ["2/4/0/0/0/0/0", "1/5/0/0/0/0/0", "1/4/2/0/0/0/0", "1/4/0/1/0/0/0", "1/4/0/0/0/2048/1024"],
    ids=["images", "steps", "previews", "control-net", "size"],
)
def test_an_estimate_grows_with_the_work(wire: Wire, more: str) -> None:
    assert cost(wire, f"{ESTIMATE}/{more}") > cost(wire, f"{ESTIMATE}/1/4/0/0/0/0/0") > 0


def test_a_starting_image_makes_an_estimate_smaller(wire: Wire) -> None:
    assert cost(wire, f"{ESTIMATE}/1/4/0/0/0.3/0/0") < cost(wire, f"{ESTIMATE}/1/4/0/0/0/0/0")


def test_the_third_version_knows_context_images_and_an_empty_sampler(wire: Wire) -> None:
    path = "/api/v3/job/estimate/spark/fast/gpt-image-2/1/1/0/0/0/0/0/0"
    assert cost(wire, f"{path}//2") > cost(wire, f"{path}/_/0")
    assert cost(wire, f"{path}/_/0", gptImageQuality="high") > cost(wire, f"{path}/_/0")


def test_an_estimate_has_both_tokens_and_the_render_time(wire: Wire) -> None:
    answer = wire.get("/api/v2/job/estimate/sogni/relaxed/flux1-schnell-fp8/1/4/0/0/0/0/0").json()
    project = answer["quote"]["project"]
    assert project["costInToken"] == project["costInSogni"] != project["costInSpark"]
    assert answer["rate"]["networkCostMultiplier"] == "0.5"
    assert answer["benchmark"]["estimatedRenderTimeSec"] > 0


@pytest.mark.parametrize("path", ["spark/fast/flux1-schnell-fp8/1", "spark/fast/none/1/4/0/0/0/0/0", "x" + "/1" * 9])
def test_a_malformed_estimate_is_refused_in_plain_text(wire: Wire, path: str) -> None:
    reply = wire.get(f"/api/v2/job/estimate/{path}")
    assert reply.status_code == 400
    assert reply.headers["Content-Type"].startswith("text/plain")


def test_the_alias_tables_match_the_protocol_notes() -> None:
    sheets = Path(__file__).parents[2] / "docs" / "protocol"
    for name, table in (("sampler", SAMPLER_ALIASES), ("scheduler", SCHEDULER_ALIASES)):
        assert json.loads((sheets / f"{name}-aliases.json").read_text())["aliases"] == table
