"""Enhancing an image (projects-5x §8, additions-5x §14)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sogni.core.projects.image_requests import denoise, enhancement_params, enhancement_refusal, enhancement_strength
from sogni.errors import ValidationError
from sogni.models.params import ImageProjectParams

PARENT = ImageProjectParams(
    model_id="z_image_turbo_bf16",
    positive_prompt="a lighthouse",
    negative_prompt="fog",
    style_prompt="ink",
    number_of_media=4,
    number_of_previews=3,
    steps=8,
    guidance=2,
    seed=77,
    network="relaxed",
    token_type="sogni",
    sampler="euler",
    size_preset="square",
    width=640,
    height=640,
    output_format="jpg",
    loras=["a"],
)
ENHANCED = ImageProjectParams(
    model_id="krea2_turbo_fp8_scaled",
    positive_prompt="a lighthouse",
    negative_prompt="",
    style_prompt="ink",
    number_of_media=1,
    number_of_previews=0,
    steps=8,
    guidance=1,
    seed=12345,
    network="fast",
    token_type="sogni",
    starting_image=b"result",
    starting_image_strength=0.65,
)


def enhanced(**given: Any) -> ImageProjectParams:
    return enhancement_params(PARENT, **{"image": b"result", "strength": "medium", "seed": 12345, **given})


def test_what_the_parent_hands_on_and_what_not() -> None:
    assert enhanced() == ENHANCED
    assert enhanced(size=(640, 480)) == attrs.evolve(ENHANCED, width=640, height=480)


@pytest.mark.parametrize(
    "given",
    [{"positive_prompt": "other"}, {"positive_prompt": ""}, {"style_prompt": ""}, {"token_type": "spark"}],
    ids=str,
)
def test_prompts_and_token_may_be_others(given: dict[str, Any]) -> None:
    assert attrs.evolve(ENHANCED, **given) == enhanced(**given)


@pytest.mark.parametrize(("seed", "expected"), [(9, 9), (None, 77), (0, 0)])
def test_the_seed_is_the_jobs_else_the_parents(seed: int | None, expected: int) -> None:
    assert expected == enhanced(seed=seed).seed


@pytest.mark.parametrize(("strength", "expected"), [("light", 0.15), ("medium", 0.35), ("heavy", 0.49)])
def test_the_strength_is_how_much_changes(strength: str, expected: float) -> None:
    assert expected == enhancement_strength(strength)
    assert denoise(enhanced(strength=strength).starting_image_strength) == pytest.approx(expected)


@pytest.mark.parametrize("strength", ["Light", "strong", "", None, 0.5])
def test_other_strengths_are_refused(strength: Any) -> None:
    with pytest.raises(ValidationError, match="strength must be one of 'light', 'medium', 'heavy'"):
        enhanced(strength=strength)


REFUSALS: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"kind": "video"}, "only images can be enhanced, not a job of type 'video'"),
    ({"kind": "model"}, "only images can be enhanced, not a job of type 'model'"),
    (
        {"model_id": "sam3_image_segment_bf16"},
        "results of sam3_image_segment_bf16 cannot be enhanced",
    ),
    ({"status": "processing"}, "only a completed job can be enhanced, this one is 'processing'"),
    ({"withheld": True}, "the result was withheld as sensitive and cannot be enhanced"),
]


@pytest.mark.parametrize(("facts", "expected"), REFUSALS, ids=[str(row[1]) for row in REFUSALS])
def test_which_jobs_can_be_enhanced(facts: dict[str, Any], expected: str | None) -> None:
    usual = {"kind": "image", "status": "completed", "withheld": False, "model_id": "flux1-schnell-fp8"}
    assert expected == enhancement_refusal(**{**usual, **facts})
