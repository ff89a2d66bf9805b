"""Whether an image project may be sent (projects-4.2 §3, §5, §8; projects-5x §2, §4, §17)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.image_requests import check_image_params, has_custom_size
from sogni.errors import ValidationError
from sogni.models.params import ControlNetParams, ImageProjectParams
from tests.tables import each_row

MODEL = "flux1-schnell-fp8"
NAN, INFINITY = float("nan"), float("inf")


def given(**fields: Any) -> ImageProjectParams:
    return ImageProjectParams(**{"model_id": MODEL, **fields})


def refused(**fields: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        check_image_params(given(**fields))
    assert caught.value.status == 400
    return caught.value


NORMALISED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("None of a number of media is one", {"number_of_media": None}, {"number_of_media": 1}),
    ("an integral float is an integer", {"number_of_media": 2.0}, {"number_of_media": 2}),
    ("steps of 0 are steps", {"steps": 0}, {"steps": 0}),
    ("a seed of 0 is a seed", {"seed": 0}, {"seed": 0}),
    ("the range of steps is the service's matter", {"steps": 999}, {"steps": 999}),
    ("the range of guidance is the service's matter", {"guidance": -1}, {"guidance": -1}),
    ("the number of media has no upper limit", {"number_of_media": 999}, {"number_of_media": 999}),
    ("guidance of 0 is guidance", {"guidance": 0.0}, {"guidance": 0}),
    ("no previews", {"number_of_previews": 0}, {"number_of_previews": 0}),
    ("no filter choice is the filter", {"disable_nsfw_filter": None}, {"disable_nsfw_filter": False}),
    (
        "lists become lists",
        {"loras": ("a",), "lora_strengths": (1.0,)},
        {"loras": ["a"], "lora_strengths": [1]},
    ),
    ("strengths may be negative", {"loras": ["a"], "lora_strengths": [-1.5]}, {"lora_strengths": [-1.5]}),
    ("eight LoRAs", {"loras": list("abcdefgh")}, {"loras": list("abcdefgh")}),
    ("positions stay", {"context_images": (False, True)}, {"context_images": [False, True]}),
    ("no prompt at all", {"positive_prompt": None}, {"positive_prompt": None}),
    (
        "whole pixels may be floats",
        {"width": 640.0, "height": 832.0},
        {"width": 640, "height": 832},
    ),
    (
        "a control net may be a mapping",
        {"control_net": {"name": "canny", "strength": 1.0, "guidance_start": 0}},
        {"control_net": ControlNetParams(name="canny", strength=1, guidance_start=0)},
    ),
    ("an empty network is none", {"network": ""}, {"network": None}),
    (
        "an empty control mode is none",
        {"control_net": {"name": "tile", "mode": ""}},
        {"control_net": ControlNetParams(name="tile")},
    ),
    *(
        (f"{name} {value}", {name: value}, {name: value})
        for name, values in {
            "network": ("fast", "relaxed", None),
            "token_type": ("sogni", "spark", None),
            "billing_mode": ("auto", "subscription", "tokens", None),
        }.items()
        for value in values
    ),
]


@each_row(("fields", "expected"), [row[1:] for row in NORMALISED], ids=[row[0] for row in NORMALISED])
def test_what_is_allowed_comes_back_plain(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    checked = check_image_params(given(**fields))
    assert expected == {name: getattr(checked, name) for name in expected}
    assert check_image_params(checked) == checked


TEXTS = (
    "model_id", "positive_prompt", "negative_prompt", "style_prompt", "app_source", "sampler", "scheduler",
    "vae", "size_preset", "gpt_image_quality", "gpt_image_background", "gpt_image_mask_url",
)  # fmt: skip
INTEGERS = ("steps", "seed", "number_of_media", "number_of_previews", "gpt_image_output_compression")
NUMBERS = ("guidance", "width", "height", "starting_image_strength")


@each_row("value", [3, b"text", True, ["text"]], ids=repr)
@each_row("field", TEXTS)
def test_texts_are_texts(field: str, value: Any) -> None:
    error = refused(**{field: value})
    assert (field, f"{field} must be a string, got {value!r}") == (error.field, error.message)


@each_row("value", ["4", 1.5, True, NAN, INFINITY, [4]], ids=repr)
@each_row("field", INTEGERS)
def test_integers_are_integers(field: str, value: Any) -> None:
    assert field == refused(**{field: value}).field


@each_row("value", ["512", True, NAN, INFINITY, -INFINITY, [4]], ids=repr)
@each_row("field", NUMBERS)
def test_numbers_are_finite_numbers(field: str, value: Any) -> None:
    assert field == refused(**{field: value}).field


@pytest.mark.parametrize("value", [1, "true", 0])
def test_a_flag_is_a_boolean(value: Any) -> None:
    assert refused(disable_nsfw_filter=value).field == "disable_nsfw_filter"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model_id": " "}, "model_id", "model_id must be a non-empty string, got ' '"),
    ({"number_of_media": 0}, "number_of_media", "number_of_media must be an integer of 1 or more, got 0"),
    ({"number_of_media": -2}, "number_of_media", "number_of_media must be an integer of 1 or more, got -2"),
    (
        {"number_of_previews": -1},
        "number_of_previews",
        "number_of_previews must be an integer of 0 or more, got -1",
    ),
    ({"network": "slow"}, "network", "network must be one of 'fast', 'relaxed', got 'slow'"),
    ({"token_type": "usd"}, "token_type", "token_type must be one of 'sogni', 'spark', got 'usd'"),
    (
        {"billing_mode": "free"},
        "billing_mode",
        "billing_mode must be one of 'auto', 'subscription', 'tokens', got 'free'",
    ),
    ({"loras": "a"}, "loras", "loras must be a list, got 'a'"),
    ({"loras": ["a", 3]}, "loras[1]", "loras[1] must be a string, got 3"),
    ({"loras": list("abcdefghi")}, "loras", "loras must be at most 8 IDs, got ['a', 'b', 'c', 'd', 'e', 'f', ...]"),
    ({"lora_strengths": 1}, "lora_strengths", "lora_strengths must be a list, got 1"),
    ({"lora_strengths": ["1"]}, "lora_strengths[0]", "lora_strengths[0] must be a number from -100 to 100, got '1'"),
    ({"lora_strengths": [0.5]}, "lora_strengths",
     "lora_strengths must be given together with loras, got [0.5] alone"),
    ({"loras": ["a"], "lora_strengths": [0.5, 1]}, "lora_strengths",
     "lora_strengths must be a list of at most 1, one per LoRA, got [0.5, 1]"),
    ({"output_format": "tiff"}, "output_format", "output_format must be one of 'png', 'jpg', 'webp', got 'tiff'"),
    ({"seed": -1}, "seed", "seed must be an integer from 0 to 4294967295, got -1"),
    ({"starting_image": b"x", "starting_image_strength": 1.5}, "starting_image_strength",
     "starting_image_strength must be a number from 0 to 1, got 1.5"),
    ({"starting_image_strength": 0.5}, "starting_image_strength",
     "starting_image_strength must be given together with starting_image, got 0.5 alone"),
    ({"width": 512}, "width", "width must be given together with height, got 512 alone"),
    ({"width": 640.5, "height": 832}, "width", "width must be an integer, got 640.5"),
    ({"width": 0, "height": 512}, "width", "width must be an integer from 256 to 2048, got 0"),
    ({"size_preset": "square", "width": 512, "height": 512}, "size_preset",
     "size_preset must be omitted or 'custom' together with width and height, got 'square'"),
    ({"size_preset": "custom"}, "size_preset",
     "size_preset 'custom' must be given together with width and height, got it alone"),
    ({"control_net": {"name": "canny", "guidance_start": 0.5, "guidance_end": 0.5}}, "control_net.guidance_start",
     "control_net.guidance_start must be less than guidance_end, 0.5, got 0.5"),
    ({"model_id": "seedream-5-0-pro-uncensored", "negative_prompt": "fog"}, "negative_prompt",
     "negative_prompt must be omitted for seedream-5-0-pro-uncensored, which does not use one"),
    ({"gpt_image_quality": "low"}, "gpt_image_quality",
     f"gpt_image_quality must be omitted for {MODEL}, got 'low'; the models that use it: gpt-image"),
    ({"context_images": b"one"}, "context_images", "context_images must be a list, got b'one'"),
    ({"control_net": "canny"}, "control_net",
     "control_net must be ControlNetParams or a mapping with its fields, got 'canny'"),
    ({"control_net": {"name": ""}}, "control_net.name",
     "control_net.name must be one of 'canny', 'depth', 'inpaint', 'instrp2p', 'lineart', 'lineartanime', 'mlsd', "
     "'normalbae', 'openpose', 'scribble', 'segmentation', 'shuffle', 'softedge', 'tile', 'instantid', got ''"),
    *(
        (
            {"control_net": {"name": "canny", field: value}},
            f"control_net.{field}",
            f"control_net.{field} must be a number from 0 to 1, got {value!r}",
        )
        for field in ("strength", "guidance_start", "guidance_end")
        for value in (1.01, -0.01, "soon", True)
    ),
    ({"control_net": {"name": "canny", "strength": NAN}}, "control_net.strength",
     "control_net.strength must be a finite number from 0 to 1, got nan"),
    *(
        (
            {"control_net": {"name": "canny", "mode": mode}},
            "control_net.mode",
            "control_net.mode must be one of 'balanced', 'prompt_priority', 'cn_priority', "
            f"got {mode!r}",
        )
        for mode in ("random", 0)
    ),
    ({"width": 255, "height": 512}, "width", "width must be an integer from 256 to 2048, got 255"),
    ({"width": 2049, "height": 512}, "width", "width must be an integer from 256 to 2048, got 2049"),
    ({"width": 512, "height": 2048.5}, "height", "height must be an integer, got 2048.5"),
    (
        {"size_preset": "custom", "width": 3000, "height": 512},
        "width",
        "width must be an integer from 256 to 2048, got 3000",
    ),
    (
        {"model_id": "krea2_identity_edit_v1_2", "width": 511, "height": 512},
        "width",
        "width must be an integer from 512 to 2048, got 511",
    ),
    (
        {"model_id": "seedream-5-0-pro-uncensored", "width": 512, "height": 512},
        "width",
        "width and height must make from 921600 to 4194304 pixels in all, got 512x512",
    ),
    (
        {"model_id": "seedream-5-0-pro-uncensored", "width": 4097, "height": 256},
        "width",
        "width and height must have a ratio of at most 16:1, got 4097x256",
    ),
    ({"context_images": [b"x"] * 4}, "context_images", f"context_images must be at most 3 for {MODEL}, got 4"),
    (
        {"context_images": [b"x", False, False, False]},
        "context_images",
        f"context_images must be at most 3 for {MODEL}, got 4",
    ),
    (
        {"model_id": "gpt-image-2", "context_images": [b"x"] * 17},
        "context_images",
        "context_images must be at most 16 for gpt-image-2, got 17",
    ),
    (
        {"model_id": "flux1-dev-kontext_fp8_scaled", "context_images": [b"x"] * 3},
        "context_images",
        "context_images must be at most 2 for flux1-dev-kontext_fp8_scaled, got 3",
    ),
    (
        {"context_images": [b"x", None, b"x"]},
        "context_images[1]",
        "context_images[1] must be an image, got None; remove it from the list, or keep its position empty with False",
    ),
    (
        {"model_id": "gpt-image-2", "context_images": [b"x", False]},
        "context_images",
        "context_images must have no empty positions for gpt-image-2",
    ),
    (
        {"model_id": "seedream-5-0-pro-uncensored", "context_images": [False]},
        "context_images",
        "context_images must have no empty positions for seedream-5-0-pro-uncensored",
    ),
    (
        {"model_id": "moss_image_sft_int8_convrot", "starting_image": b"x"},
        "starting_image",
        "starting_image must be omitted for moss_image_sft_int8_convrot",
    ),
    (
        {"model_id": "moss_image_sft_int8_convrot", "context_images": [b"x"]},
        "context_images",
        "context_images must be at most 0 for moss_image_sft_int8_convrot, got 1",
    ),
    *(
        ({"model_id": model}, "starting_image", f"starting_image must be given for {model}")
        for model in (
            "sam3_image_segment_bf16",
            "birefnet_image_background_removal_fp16",
            "pixal3d_int8_i23d",
            "pixal3d_multiview_int8_i23d",
        )
    ),
    *(
        (
            {"model_id": model, "context_images": [b"x", False]},
            "context_images",
            f"context_images must have no empty positions for {model}",
        )
        for model in ("gpt-image-2.5-sunburst", "gpt-image-2.5-flare")
    ),
    (
        {"model_id": "seedream-5-0-pro-uncensored", "width": 2049, "height": 2048},
        "width",
        "width and height must make from 921600 to 4194304 pixels in all, got 2049x2048",
    ),
    ({"gpt_image_mask": b"x"}, "gpt_image_mask",
     f"gpt_image_mask must be omitted for {MODEL}, got b'x'; the models that use it: gpt-image"),
]  # fmt: skip


@each_row(("fields", "field", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_is_not_allowed_is_named(fields: dict[str, Any], field: str, message: str) -> None:
    error = refused(**fields)
    assert (field, message) == (error.field, error.message)
    assert error.allowed
    if isinstance(given := fields.get(field), str | int):
        assert given == error.value


AT_THE_LIMIT: list[dict[str, Any]] = [
    {"width": 256, "height": 2048},
    {"model_id": "gpt-image-2", "width": 3840, "height": 2160},
    {"model_id": "rtx_vsr_pro", "width": 15360, "height": 512},
    {"model_id": "z_image_turbo_bf16", "width": 2560, "height": 2560},
    {"model_id": "seedream-5-0-pro-uncensored", "width": 4096, "height": 256},
    {"model_id": "seedream-5-0-pro-uncensored", "width": 960, "height": 960},
    {"model_id": "seedream-5-0-pro-uncensored", "width": 2048, "height": 2048},
    {"context_images": [b"x"] * 3},
    {"context_images": [False] * 9},
    {"model_id": "gpt-image-2", "context_images": [b"x"] * 16},
    {"model_id": "moss_image_sft_int8_convrot", "context_images": []},
]


@each_row("fields", AT_THE_LIMIT, ids=lambda fields: str(list(fields.values()))[:60])
def test_limits_belong_to_what_is_allowed(fields: dict[str, Any]) -> None:
    assert check_image_params(given(**fields)) == given(**fields)


ORDER: list[tuple[str, Any]] = [
    ("control_net.strength", {"strength": 2}),
    ("control_net.mode", {"mode": "random"}),
    ("control_net.guidance_start", {"guidance_start": 2}),
    ("control_net.guidance_end", {"guidance_end": 2}),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_rule_broken_is_the_one_named(first: int) -> None:
    """projects-4.2 §8: strength, mode, guidance start, guidance end, then the size, then the images."""
    wrong = {key: value for _, row in ORDER[first:] for key, value in row.items()}
    error = refused(control_net={"name": "canny", **wrong}, width=1, height=1, context_images=[b"x"] * 9)
    assert ORDER[first][0] == error.field


def test_width_comes_before_height_and_both_before_the_images() -> None:
    images = [b"x"] * 9
    assert refused(width=1, height=1, context_images=images).field == "width"
    assert refused(width=512, height=1, context_images=images).field == "height"
    assert refused(width=512, height=512, context_images=images).field == "context_images"


FORCED: list[tuple[str, dict[str, Any]]] = [
    ("sam3_image_segment_bf16", {"number_of_media": 1, "number_of_previews": 0, "output_format": "png"}),
    (
        "birefnet_image_background_removal_fp16",
        {"number_of_media": 1, "number_of_previews": 0, "output_format": "png"},
    ),
    ("pixal3d_int8_i23d", {"number_of_media": 3, "number_of_previews": 0, "output_format": "glb"}),
    (MODEL, {"number_of_media": 3, "number_of_previews": 4, "output_format": "jpg"}),
]


@pytest.mark.parametrize(("model", "expected"), FORCED)
def test_some_models_force_values(model: str, expected: dict[str, Any]) -> None:
    """projects-5x §2.1."""
    checked = check_image_params(
        given(
            model_id=model,
            starting_image=True,
            number_of_media=3,
            number_of_previews=4,
            output_format="jpg",
            sam3_prompt={"text": "a cat"} if model.startswith("sam3") else None,
        )
    )
    assert expected == {name: getattr(checked, name) for name in expected}


@each_row(
    ("fields", "expected"),
    [
        ({"width": 512, "height": 512}, True),
        ({"width": 512, "height": 512, "size_preset": "custom"}, True),
        ({"width": 512, "height": 512, "size_preset": ""}, True),
        ({"size_preset": "custom"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_when_a_size_is_custom(fields: dict[str, Any], expected: bool) -> None:
    """projects-4.2 §5.4."""
    assert expected == has_custom_size(given(**fields))
