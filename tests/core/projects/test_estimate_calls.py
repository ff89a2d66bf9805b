"""Requests for image estimates, and parsing the responses (projects-4.2 §16, projects-5x §16)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.core.projects.estimates import (
    enhancement_estimate_call,
    estimate_for,
    find_preset,
    image_estimate_call,
    read_estimate,
    requested_preset,
)
from sogni.core.projects.image_requests import check_image_params
from sogni.errors import ProtocolError, ValidationError
from sogni.models.catalogue import Choice, ModelOptions, NumberRange, SizePreset
from sogni.models.params import ControlNetParams, ImageProjectParams
from sogni.models.projects import CostEstimation
from tests.tables import each_row

MODEL = "flux1-schnell-fp8"
KREA = "krea2_turbo_fp8_scaled"
V2, V3 = "/api/v2/job/estimate", "/api/v3/job/estimate"
OPTIONS = ModelOptions(
    type="image",
    steps=NumberRange(min=1, max=10, default=4),
    guidance=NumberRange(min=1, max=5, default=1.5),
    sampler=Choice(allowed=["euler"]),
)
SQUARE = SizePreset(id="square", width=512, height=512)
WIDE = SizePreset(id="landscape_7_4", width=896, height=512)

CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("defaults: spark, fast, one image", {}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("the example of the sheet", {"step_count": 4}, f"{V2}/spark/fast/{MODEL}/1/4/0/0/0/0/0"),
    (
        "everything",
        {
            "token_type": "sogni", "network": "relaxed", "image_count": 2, "step_count": 4,
            "preview_count": 1, "cn_enabled": True, "starting_image_strength": 0.7, "preset": SQUARE,
            "guidance": 1, "sampler": "euler", "gpt_image_quality": "high", "output_format": "png",
        },
        f"{V3}/sogni/relaxed/{MODEL}/2/4/1/1/0.30000000000000004/512/512/1/euler/0"
        "?gptImageQuality=high&outputFormat=png",
    ),
    ("context images ask v3", {"guidance": 3, "context_images": 2},
     f"{V3}/spark/fast/{MODEL}/1/0/0/0/0/0/0/3/_/2"),
    ("no context images count too", {"context_images": 0}, f"{V3}/spark/fast/{MODEL}/1/0/0/0/0/0/0/0/_/0"),
    ("guidance alone does not ask v3", {"guidance": 7.5}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("a size", {"width": 800, "height": 600.0}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/800/600"),
    ("half a size is none", {"width": 800}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("a preset outranks a size", {"width": 800, "height": 600, "preset": WIDE},
     f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/896/512"),
    ("keeping 0.3 changes 0.7", {"starting_image_strength": 0.3}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0.7/0/0"),
    ("keeping all changes nothing", {"starting_image_strength": 1}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("keeping nothing changes all", {"starting_image_strength": 0}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/1/0/0"),
    ("no control net", {"cn_enabled": False}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("who pays", {"billing_mode": "tokens"}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0?billingMode=tokens"),
    ("empty texts are left out", {"gpt_image_quality": "", "output_format": ""},
     f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("the model's usual steps", {"options": OPTIONS}, f"{V2}/spark/fast/{MODEL}/1/4/0/0/0/0/0"),
    ("steps of 0", {"options": OPTIONS, "step_count": 0}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("a model without usual steps", {"options": ModelOptions(type="image")},
     f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("a listed sampler", {"options": OPTIONS, "sampler": "euler"},
     f"{V3}/spark/fast/{MODEL}/1/4/0/0/0/0/0/0/euler/0"),
    ("a sampler for a model without any", {"options": ModelOptions(type="image"), "sampler": "euler"},
     f"{V3}/spark/fast/{MODEL}/1/0/0/0/0/0/0/0//0"),
]  # fmt: skip


@each_row(("given", "expected"), [row[1:] for row in CALLS], ids=[row[0] for row in CALLS])
def test_the_address_of_an_estimate(given: dict[str, Any], expected: str) -> None:
    call = image_estimate_call(MODEL, **given)
    assert ("GET", "socket", expected, True) == (call.method, call.host, call.target, call.repeatable)


def test_a_text_cannot_leave_its_segment() -> None:
    assert image_estimate_call("../a b?c#d:e").path == f"{V2}/spark/fast/..%2Fa%20b%3Fc%23d:e/1/0/0/0/0/0/0"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model must be a non-empty string, got ''"),
    ({"token_type": "usd"}, "token_type must be one of 'sogni', 'spark', got 'usd'"),
    ({"network": "slow"}, "network must be one of 'fast', 'relaxed', got 'slow'"),
    ({"image_count": 0}, "image_count must be an integer of 1 or more, got 0"),
    ({"step_count": "4"}, "step_count must be an integer, got '4'"),
    ({"preview_count": -1}, "preview_count must be an integer of 0 or more, got -1"),
    ({"cn_enabled": 1}, "cn_enabled must be True or False, got 1"),
    ({"starting_image_strength": "0.5"}, "starting_image_strength must be a number, got '0.5'"),
    ({"width": "512", "height": 512}, "width must be an integer, got '512'"),
    ({"width": 512, "height": True}, "height must be an integer, got True"),
    ({"guidance": float("nan")}, "guidance must be a finite number, got nan"),
    ({"context_images": 1.5}, "context_images must be an integer of 0 or more, got 1.5"),
    ({"sampler": ""}, "sampler must be a non-empty string, got ''"),
    ({"sampler": "ddim", "options": OPTIONS}, "sampler must be one of 'euler', got 'ddim'"),
    ({"gpt_image_quality": 1}, "gpt_image_quality must be a string, got 1"),
    ({"output_format": 1}, "output_format must be a string, got 1"),
    ({"billing_mode": ""}, "billing_mode must be one of 'auto', 'subscription', 'tokens', got ''"),
]


@each_row(("given", "expected"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_asked_is_named(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        image_estimate_call(**{"model": MODEL, **given})
    assert expected == caught.value.message


@pytest.mark.parametrize(
    ("size_preset", "expected"), [(None, None), ("", None), ("custom", None), ("square", "square")]
)
def test_which_preset_must_be_looked_up(size_preset: str | None, expected: str | None) -> None:
    assert expected == requested_preset(size_preset)


def test_a_preset_is_a_text() -> None:
    with pytest.raises(ValidationError, match="size_preset must be a string"):
        requested_preset(3)


def test_a_preset_is_found_by_its_id() -> None:
    assert find_preset([SQUARE, WIDE], "landscape_7_4") == WIDE


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError) as caught:
        find_preset([SQUARE, WIDE], "squre")
    expected = "size_preset must be a preset of the model, got 'squre'; did you mean 'square'?"
    assert (expected, "size_preset", ("square", "landscape_7_4")) == (
        caught.value.message,
        caught.value.field,
        caught.value.allowed,
    )


PROJECTS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("the smallest", {}, {}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("the model's usual steps", {}, {"options": OPTIONS}, f"{V2}/spark/fast/{MODEL}/1/4/0/0/0/0/0"),
    ("counts", {"number_of_media": 3, "number_of_previews": 2, "steps": 6}, {},
     f"{V2}/spark/fast/{MODEL}/3/6/2/0/0/0/0"),
    ("network and token of the params", {"network": "relaxed", "token_type": "sogni"},
     {"network": "fast", "token_type": "spark"}, f"{V2}/sogni/relaxed/{MODEL}/1/0/0/0/0/0/0"),
    ("network and token of the client", {}, {"network": "relaxed", "token_type": "sogni"},
     f"{V2}/sogni/relaxed/{MODEL}/1/0/0/0/0/0/0"),
    ("a control net", {"control_net": ControlNetParams(name="canny")}, {},
     f"{V2}/spark/fast/{MODEL}/1/0/0/1/0/0/0"),
    ("a starting image", {"starting_image": True}, {}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0.5/0/0"),
    ("a starting image of which nothing is kept", {"starting_image": b"x", "starting_image_strength": 0}, {},
     f"{V2}/spark/fast/{MODEL}/1/0/0/0/1/0/0"),
    ("context images that are given", {"context_images": [b"x", False, True]}, {},
     f"{V3}/spark/fast/{MODEL}/1/0/0/0/0/0/0/0/_/2"),
    ("no context images", {"context_images": []}, {}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("a sampler, with the model's usual guidance", {"sampler": "euler"}, {"options": OPTIONS},
     f"{V3}/spark/fast/{MODEL}/1/4/0/0/0/0/0/1.5/euler/0"),
    ("a sampler, with guidance", {"sampler": "euler", "guidance": 2}, {"options": OPTIONS},
     f"{V3}/spark/fast/{MODEL}/1/4/0/0/0/0/0/2/euler/0"),
    ("a sampler for a model without guidance", {"context_images": [b"x"]},
     {"options": ModelOptions(type="image")}, f"{V3}/spark/fast/{MODEL}/1/0/0/0/0/0/0/0/_/1"),
    ("a custom size", {"width": 640, "height": 480}, {}, f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/640/480"),
    ("a preset", {"size_preset": "square"}, {"preset": SQUARE},
     f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/512/512"),
    ("a preset nobody looked up", {"size_preset": "square"}, {},
     f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0"),
    ("what only the query says", {"output_format": "jpg", "billing_mode": "auto"}, {},
     f"{V2}/spark/fast/{MODEL}/1/0/0/0/0/0/0?outputFormat=jpg&billingMode=auto"),
]  # fmt: skip


@each_row(("fields", "given", "expected"), [row[1:] for row in PROJECTS], ids=[row[0] for row in PROJECTS])
def test_a_project_is_estimated_as_it_would_be_created(
    fields: dict[str, Any], given: dict[str, Any], expected: str
) -> None:
    assert expected == estimate_for(check_image_params(ImageProjectParams(model_id=MODEL, **fields)), **given).target


def test_params_that_could_not_be_sent_are_not_estimated() -> None:
    with pytest.raises(ValidationError, match="number_of_media"):
        estimate_for(check_image_params(ImageProjectParams(model_id=MODEL, number_of_media=0)))


@pytest.mark.parametrize(
    ("strength", "token_type", "expected"),
    [
        ("light", None, f"{V2}/spark/fast/{KREA}/1/8/0/0/0.15/0/0"),
        ("medium", "spark", f"{V2}/spark/fast/{KREA}/1/8/0/0/0.35/0/0"),
        ("heavy", "sogni", f"{V2}/sogni/fast/{KREA}/1/8/0/0/0.49/0/0"),
    ],
)
def test_an_enhancement_is_estimated(strength: str, token_type: str | None, expected: str) -> None:
    """additions-5x §0."""
    assert expected == enhancement_estimate_call(strength, token_type).target
    sized = enhancement_estimate_call(strength, token_type, width=640, height=480)
    assert sized.target == expected.removesuffix("/0/0") + "/640/480"


@pytest.mark.parametrize(("size", "field"), [({"width": 640}, "height"), ({"height": 640}, "width"),
                                             ({"width": 0, "height": 640}, "width")])  # fmt: skip
def test_half_a_size_is_not_estimated(size: dict[str, int], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        enhancement_estimate_call("light", **size)
    assert caught.value.field == field


def test_an_enhancement_has_three_strengths() -> None:
    with pytest.raises(ValidationError, match="strength must be one of 'light', 'medium', 'heavy'"):
        enhancement_estimate_call("strong")


AMOUNTS = {"costInToken": "10.2", "costInUSD": "0.12", "costInSpark": "20.2", "costInSogni": 30}


def test_an_estimate_reads_the_project_not_the_job() -> None:
    """projects-4.2 §16.5, projects-5x §16."""
    answer = {
        "quote": {"job": {"costInToken": "1"}, "project": AMOUNTS},
        "benchmark": {"estimatedRenderTimeSec": 4.5, "estimatedTotalTimeSec": 9, "confidence": "high"},
        "dailyFairUse": {"pct": 12.5},
    }
    assert read_estimate(answer) == CostEstimation(
        token=Decimal("10.2"),
        usd=Decimal("0.12"),
        spark=Decimal("20.2"),
        sogni=Decimal(30),
        estimated_render_seconds=4.5,
        estimated_total_seconds=9,
        daily_fair_use_pct=12.5,
    )


def test_what_the_service_does_not_say_is_none() -> None:
    answer = {"quote": {"project": {"costInToken": None}}, "benchmark": None, "dailyFairUse": "none"}
    assert read_estimate(answer) == CostEstimation()


@pytest.mark.parametrize("answer", [None, [], {}, {"quote": None}, {"quote": {"project": "free"}}], ids=repr)
def test_an_answer_without_a_quote_is_a_protocol_error(answer: Any) -> None:
    with pytest.raises(ProtocolError, match=r"the estimate has no quote\.project"):
        read_estimate(answer)


def test_an_amount_that_is_none_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="the estimate is malformed"):
        read_estimate({"quote": {"project": {"costInToken": "much"}}})
