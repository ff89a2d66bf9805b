"""Options only few image models have (projects-5x §4.8 to §4.10)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.catalogue.image_models import ORBIT_VIEWS
from sogni.core.projects.image_requests import check_image_params, image_request
from sogni.core.projects.params import params_snapshot
from sogni.core.projects.uploads import image_uploads
from sogni.errors import ValidationError
from sogni.models.params import ImageProjectParams
from tests.tables import each_row

BIREFNET, SAM = "birefnet_image_background_removal_fp16", "sam3_image_segment_bf16"
SINGLE, VIEWS = "pixal3d_int8_i23d", "pixal3d_multiview_int8_i23d"
MOSS, MOSS_FAST = "moss_image_sft_int8_convrot", "moss_image_sft_dmd8_int8_convrot"
OTHER = "flux1-schnell-fp8"

# Option, key on the wire, the models that take it, smallest and largest value.
SIZES: list[tuple[str, str, int, int]] = [
    ("texture_size", "textureSize", 1024, 4096),
    ("mesh_target_faces", "meshTargetFaces", 5000, 700_000),
    ("normal_map_size", "normalMapSize", 512, 2048),
    ("ambient_occlusion_size", "ambientOcclusionSize", 256, 1024),
    ("shape_resolution", "shapeResolution", 1024, 1536),
]
SCALES = (("moss_rope_scale_x", "mossRopeScaleX"), ("moss_rope_scale_y", "mossRopeScaleY"))


NEEDED: dict[str, dict[str, Any]] = {
    SAM: {"starting_image": True, "sam3_prompt": {"text": "a dog"}},
    **{model_id: {"starting_image": True} for model_id in (BIREFNET, SINGLE, VIEWS)},
}


def given(model_id: str, **fields: Any) -> ImageProjectParams:
    return check_image_params(ImageProjectParams(model_id=model_id, **NEEDED.get(model_id, {}), **fields))


def option_values(params: ImageProjectParams) -> dict[str, Any]:
    """The keys of the key frame that a request with options has and one without has not."""
    (frame,) = image_request(params, project_id="P", app_source=None)["keyFrames"]
    plain = ImageProjectParams(model_id=params.model_id, **NEEDED.get(params.model_id, {}))
    (usual,) = image_request(plain, project_id="P", app_source=None)["keyFrames"]
    return {key: value for key, value in frame.items() if key == "applyMask" or usual.get(key) != value}


def refused(model_id: str, **fields: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        given(model_id, **fields)
    return caught.value


SENT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (OTHER, {}, {}),
    (SAM, {}, {}),
    (BIREFNET, {}, {"applyMask": False}),
    (BIREFNET, {"apply_mask": False}, {"applyMask": False}),
    (BIREFNET, {"apply_mask": True}, {"applyMask": True}),
    (SINGLE, {}, {}),
    (VIEWS, {}, {}),
    *(
        (model, {name: value}, {key: value})
        for name, key, low, high in SIZES
        for model in (SINGLE, VIEWS)
        for value in (low, high)
    ),
    (SINGLE, {"texture_size": 2048.0}, {"textureSize": 2048}),
    (SINGLE, {"template_variant": "i23d-birefnet"}, {"templateVariant": "i23d-birefnet"}),
    (VIEWS, {"left_view_image": b"x"}, {"hasContextImage1": True}),
    (VIEWS, {"back_view_image": True}, {"hasContextImage2": True}),
    (VIEWS, {"right_view_image": b"x"}, {"hasContextImage3": True}),
    (VIEWS, {"left_view_image": b"x", "right_view_image": b"x"}, {"hasContextImage1": True, "hasContextImage3": True}),
    *((model, {name: 0}, {key: 0}) for name, key in SCALES for model in (MOSS, MOSS_FAST)),
    *((MOSS, {name: 100}, {key: 100}) for name, key in SCALES),
    *((MOSS, {name: 0.5}, {key: 0.5}) for name, key in SCALES),
    *((MOSS, {name: 1.0}, {}) for name, key in SCALES),
]


@each_row(("model_id", "fields", "expected"), SENT, ids=lambda value: str(value)[:50])
def test_an_option_is_a_key_of_the_key_frame(model_id: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == option_values(given(model_id, **fields))


REFUSED: list[tuple[str, str, Any, str]] = [
    *((model, "apply_mask", False, "None") for model in (OTHER, SAM, SINGLE)),
    (BIREFNET, "apply_mask", 1, "True or False"),
    *(
        (SINGLE, name, value, f"an integer from {low} to {high}")
        for name, _, low, high in SIZES
        for value in (low - 1, high + 1, low + 0.5, str(low), True)
    ),
    *((model, name, low, "None") for name, _, low, _ in SIZES for model in (OTHER, BIREFNET)),
    (VIEWS, "template_variant", "i23d-birefnet", "None"),
    *((model, view, b"x", "None") for view in ORBIT_VIEWS for model in (SINGLE, OTHER)),
    *((VIEWS, view, False, "an image") for view in ORBIT_VIEWS),
    *((MOSS, name, value, "a number from 0 to 100") for name, _ in SCALES for value in (-0.1, 100.1, "1", True)),
    *((MOSS, name, float("nan"), "a finite number from 0 to 100") for name, _ in SCALES),
    *((OTHER, name, 1, "None") for name, _ in SCALES),
]


@each_row(("model_id", "name", "value", "allowed"), REFUSED)
def test_what_is_not_allowed_is_named(model_id: str, name: str, value: Any, allowed: str) -> None:
    error = refused(model_id, **{name: value})
    assert (name, repr(value), allowed) == (error.field, repr(error.value), error.allowed)
    assert error.message.startswith(name)


def test_there_is_one_template_variant() -> None:
    assert refused(SINGLE, template_variant="other").allowed == ("i23d-birefnet",)


def test_options_are_part_of_the_request_and_checked_with_it() -> None:
    params = ImageProjectParams(
        model_id=VIEWS, starting_image=True, left_view_image=True, texture_size=1024, output_format="png"
    )
    request = image_request(check_image_params(params), project_id="P", app_source=None)
    (frame,) = request["keyFrames"]
    flags = {number: frame[f"hasContextImage{number}"] for number in range(1, 17)}
    assert flags == dict.fromkeys(range(1, 17), False) | {1: True}
    assert (frame["textureSize"], request["outputFormat"]) == (1024, "glb")
    wrong = ImageProjectParams(model_id=OTHER, texture_size=1024)
    expected = "texture_size must be omitted for flux1-schnell-fp8, got 1024; the models that use it: pixal3d"
    with pytest.raises(ValidationError, match=expected):
        check_image_params(wrong)


def test_further_views_go_up_side_by_side_behind_the_first() -> None:
    params = ImageProjectParams(
        model_id=VIEWS, right_view_image=b"r", back_view_image=True, left_view_image=b"l", starting_image=b"s"
    )
    assert [[(item.role, item.field) for item in group] for group in image_uploads(params)] == [
        [("startingImage", "starting_image")],
        [("contextImage1", "left_view_image"), ("contextImage3", "right_view_image")],
    ]


def test_a_snapshot_holds_options_but_no_views() -> None:
    params = ImageProjectParams(
        model_id=VIEWS, texture_size=1024, left_view_image=b"l", back_view_image=b"b", right_view_image=b"r"
    )
    snapshot = params_snapshot(params)
    assert {key: snapshot[key] for key in snapshot if key not in ("type", "modelId", "positivePrompt")} == {
        "numberOfMedia": 1, "disableNSFWFilter": False, "textureSize": 1024,
    }  # fmt: skip
