"""Estimates: defaults, checks and the requests that come before (projects-4.2 §16)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.core.projects.create import (
    estimate_audio,
    estimate_enhancement,
    estimate_image,
    estimate_project,
    estimate_video,
    paying_token,
    token_to_send,
)
from sogni.errors import ValidationError
from sogni.models.params import ImageProjectParams
from sogni.settings import Settings, TokenType
from tests.core.play import MODEL, MODELS, TIERS, Stage, bare, estimate
from tests.tables import each_row

SIZES = bare([{"id": "square", "width": 512, "height": 256}])


def test_a_project_costs_what_its_params_say() -> None:
    fields = {"type": "image", "model_id": MODEL, "number_of_media": 2, "token_type": "spark"}
    asked = f"GET socket/api/v2/job/estimate/spark/fast/{MODEL}/2/0/0/0/0/0/0"
    assert Stage().play(estimate_project(None, fields), MODELS, TIERS, (asked, estimate())).token == Decimal("2.5")


def test_where_params_say_nothing_the_network_of_the_client_and_sogni_count() -> None:
    fields = {"type": "image", "model_id": MODEL}
    asked = f"GET socket/api/v2/job/estimate/sogni/relaxed/{MODEL}/1/0/0/0/0/0/0"
    Stage(network="relaxed").knows_models().play(estimate_project(None, fields), (asked, estimate()))


def test_a_named_size_is_looked_up_on_the_network_that_counts() -> None:
    fields = {"type": "image", "model_id": MODEL, "size_preset": "square", "network": "relaxed"}
    Stage().knows_models().play(
        estimate_project(None, fields),
        (f"GET socket/api/v1/size-presets/network/relaxed/model/{MODEL}", SIZES),
        (f"GET socket/api/v2/job/estimate/sogni/relaxed/{MODEL}/1/0/0/0/0/512/256", estimate()),
    )


def test_wrong_params_are_refused_before_anything_is_asked() -> None:
    fields = {"type": "image", "model_id": MODEL, "number_of_media": 0}
    assert Stage().fail(ValidationError, estimate_project(None, fields)).field == "number_of_media"


def test_images_of_a_model_cost_sogni_on_the_fast_network() -> None:
    asked = f"GET socket/api/v2/job/estimate/sogni/fast/{MODEL}/3/0/0/0/0/0/0"
    Stage().play(estimate_image(MODEL, image_count=3), MODELS, TIERS, (asked, estimate()))


def test_images_may_have_a_named_size() -> None:
    stage = Stage().knows_models()
    sizes = (f"GET socket/api/v1/size-presets/network/fast/model/{MODEL}", SIZES)
    asked = f"GET socket/api/v2/job/estimate/sogni/fast/{MODEL}/1/0/0/0/0/512/256"
    stage.play(estimate_image(MODEL, size_preset="square", network=None), sizes, (asked, estimate()))
    assert stage.fail(ValidationError, estimate_image(MODEL, size_preset="oval")).field == "size_preset"


TOKENS: list[tuple[str, str, TokenType | None, TokenType | None]] = [
    ("sogni", "flux", None, None),
    ("spark", "flux", None, "spark"),
    ("sogni", "flux", "sogni", "spark"),
    ("spark", "flux", "spark", None),
    ("spark", "gpt-image-2", None, None),
    ("spark", "gpt-image-2", None, "sogni"),
]


@each_row(("paying", "model", "given", "of_client"), TOKENS)
def test_all_estimates_and_projects_agree_on_the_token(
    paying: str, model: str, given: TokenType | None, of_client: TokenType | None
) -> None:
    """The model, the call and the client decide; nothing else does."""
    settings = Settings(token_type=of_client)
    params = ImageProjectParams(model_id=model, token_type=given)
    assert paying_token(params, settings) == paying
    assert paying in (token_to_send(params, settings), "sogni")
    asked = f"GET socket/api/v1/job-audio/estimate/{paying}/{model}/60/8/1"
    flow = estimate_audio(model, duration=60, steps=8, token_type=given)
    Stage(token_type=of_client).play(flow, (asked, estimate()))


@pytest.mark.parametrize("estimate_media", [estimate_image, estimate_video, estimate_audio])
def test_a_mapping_is_not_a_model(estimate_media: Any) -> None:
    error = Stage().fail(TypeError, estimate_media({"model": MODEL}))
    assert "use estimate_" in str(error)


def test_an_enhancement_has_a_price_of_its_own() -> None:
    asked = "GET socket/api/v2/job/estimate/sogni/fast/krea2_turbo_fp8_scaled/1/8/0/0/0.15/64/96"
    Stage().play(estimate_enhancement("light", "sogni", width=64, height=96), (asked, estimate()))
