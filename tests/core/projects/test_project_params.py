"""Params from an object, keywords, a snapshot or a record."""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs
import pytest

from sogni.core.projects.params import (
    control_net_params,
    params_from_record,
    params_from_snapshot,
    params_snapshot,
    project_params,
    record_type,
)
from sogni.errors import ValidationError
from sogni.models.params import ControlNetParams, ImageProjectParams
from sogni.models.projects import ProjectRecord, RecordModel
from tests.tables import each_row

MODEL = "flux1-schnell-fp8"


def test_keywords_and_an_object_mean_the_same() -> None:
    keywords = project_params(None, {"type": "image", "model_id": MODEL, "seed": 0})
    assert project_params(ImageProjectParams(model_id=MODEL, seed=0), {}) == keywords


def test_a_control_net_may_be_a_mapping_either_way() -> None:
    mapping = {"name": "canny", "strength": 0.5}
    expected = ImageProjectParams(model_id=MODEL, control_net=ControlNetParams(name="canny", strength=0.5))
    assert expected == project_params(None, {"type": "image", "model_id": MODEL, "control_net": mapping})
    assert expected == project_params(ImageProjectParams(model_id=MODEL, control_net=mapping), {})


TYPE_ERRORS: list[tuple[str, Any, dict[str, Any], str]] = [
    (
        "an object and keywords at once",
        ImageProjectParams(model_id=MODEL),
        {"steps": 4, "seed": 1},
        "give a params object or keywords, not both (keywords: seed, steps)",
    ),
    (
        "an object of another class",
        "a fox",
        {},
        "the params must be ImageProjectParams or VideoProjectParams or AudioProjectParams, got 'a fox'",
    ),
    (
        "a mapping in the place of an object",
        {"type": "image"},
        {},
        "the params must be an object or keywords, got a mapping; use create(**params)",
    ),
    (
        "no type",
        None,
        {"model_id": MODEL},
        "a params object or the keyword 'type' ('image' or 'video' or 'audio') is missing",
    ),
    ("nothing", None, {}, "a params object or the keyword 'type' ('image' or 'video' or 'audio') is missing"),
    ("no model", None, {"type": "image"}, "the keyword 'model_id' is missing"),
    (
        "an unknown keyword, with the nearest one",
        None,
        {"type": "image", "model_id": MODEL, "positive_promt": "x"},
        "image projects have no keyword 'positive_promt'; did you mean 'positive_prompt'?",
    ),
    (
        "a wire name is no keyword",
        None,
        {"type": "image", "modelId": MODEL},
        "image projects have no keyword 'modelId'; did you mean 'model_id'?",
    ),
    (
        "the name that other libraries use",
        None,
        {"type": "image", "model_id": MODEL, "prompt": "x"},
        "image projects have no keyword 'prompt'; did you mean 'positive_prompt'?",
    ),
    (
        "an unknown keyword unlike any",
        None,
        {"type": "image", "model_id": MODEL, "qqqq": 1},
        "image projects have no keyword 'qqqq'",
    ),
    (
        "an unknown field of the control net",
        None,
        {"type": "image", "model_id": MODEL, "control_net": {"name": "canny", "guidanceStart": 0}},
        "a control net has no field 'guidanceStart'; did you mean 'guidance_start'?",
    ),
    (
        "a control net without its name",
        None,
        {"type": "image", "model_id": MODEL, "control_net": {}},
        "the field 'name' of the control net is missing",
    ),
]


@each_row(("given", "fields", "expected"), [row[1:] for row in TYPE_ERRORS], ids=[row[0] for row in TYPE_ERRORS])
def test_wrong_calls_are_type_errors(given: Any, fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(TypeError) as caught:
        project_params(given, fields)
    assert expected == str(caught.value)


@pytest.mark.parametrize("kind", ["hologram", None, 3, ["image"], "IMAGE"])
def test_a_type_of_project_that_does_not_exist_is_refused(kind: Any) -> None:
    with pytest.raises(ValidationError, match="type must be one of 'image'") as caught:
        project_params(None, {"type": kind, "model_id": MODEL})
    assert (caught.value.field, caught.value.value, caught.value.allowed) == ("type", kind, ("image", "video", "audio"))


@pytest.mark.parametrize("given", ["canny", True, ["canny"]])
def test_a_control_net_is_nothing_else(given: Any) -> None:
    with pytest.raises(ValidationError, match="control_net must be ControlNetParams or a mapping"):
        control_net_params(given)


FULL = ImageProjectParams(
    model_id=MODEL,
    positive_prompt="a lighthouse",
    negative_prompt="",
    number_of_media=2,
    number_of_previews=0,
    seed=0,
    guidance=1.5,
    disable_nsfw_filter=True,
    token_type="spark",
    loras=("a", "b"),
    lora_strengths=[1, -0.5],
    starting_image=b"bytes",
    starting_image_strength=0,
    context_images=[b"bytes"],
    control_net=ControlNetParams(name="canny", image=b"bytes", mode="balanced", guidance_start=0),
    gpt_image_output_compression=80,
    gpt_image_mask=b"bytes",
    gpt_image_mask_url="https://example.test/mask.png",
)
SNAPSHOT = {
    "type": "image",
    "modelId": MODEL,
    "positivePrompt": "a lighthouse",
    "negativePrompt": "",
    "numberOfMedia": 2,
    "numberOfPreviews": 0,
    "seed": 0,
    "guidance": 1.5,
    "disableNSFWFilter": True,
    "tokenType": "spark",
    "loras": ["a", "b"],
    "loraStrengths": [1, -0.5],
    "startingImageStrength": 0,
    "gptImageOutputCompression": 80,
    "gptImageMaskUrl": "https://example.test/mask.png",
    "controlNet": {"name": "canny", "mode": "balanced", "guidanceStart": 0},
}


def test_a_snapshot_has_wire_names_and_no_media() -> None:
    assert params_snapshot(FULL) == SNAPSHOT
    assert json.loads(json.dumps(params_snapshot(FULL))) == SNAPSHOT


def test_a_mask_that_is_its_own_address_is_media() -> None:
    params = ImageProjectParams(model_id=MODEL, gpt_image_mask_url="data:image/png;base64,AA==")
    assert "gptImageMaskUrl" not in params_snapshot(params)


def test_a_snapshot_takes_a_control_net_that_is_a_mapping() -> None:
    params = ImageProjectParams(model_id=MODEL, control_net={"name": "canny", "image": b"bytes"})
    assert params_snapshot(params)["controlNet"] == {"name": "canny"}


def test_a_snapshot_comes_back_without_its_media() -> None:
    expected = attrs.evolve(
        FULL,
        loras=["a", "b"],
        starting_image=None,
        context_images=None,
        control_net=ControlNetParams(name="canny", mode="balanced", guidance_start=0),
        gpt_image_mask=None,
    )
    assert expected == params_from_snapshot(SNAPSHOT)


def test_a_snapshot_of_a_newer_version_is_read_as_far_as_it_goes() -> None:
    newer = {"modelId": MODEL, "steps": None, "warpFactor": 9, "controlNet": {"hue": 1}}
    assert params_from_snapshot(newer) == ImageProjectParams(model_id=MODEL, control_net=ControlNetParams(name=""))


def test_a_snapshot_may_be_as_small_as_a_model() -> None:
    assert params_from_snapshot({"modelId": MODEL}) == ImageProjectParams(model_id=MODEL)


@pytest.mark.parametrize("data", [None, [], {}, {"modelId": 3}, {"modelId": MODEL, "type": "hologram"}])
def test_what_is_no_snapshot_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError):
        params_from_snapshot(data)


def encoded(request: Any) -> str:
    return base64.b64encode(json.dumps(request).encode()).decode()


REQUEST = {
    "keyFrames": [
        {
            "modelID": "z_image_turbo_bf16",
            "positivePrompt": "a lighthouse",
            "negativePrompt": "fog",
            "stylePrompt": "ink",
            "steps": 8,
            "guidanceScale": 1.5,
            "seed": 7,
            "loras": ["a"],
            "loraStrengths": [0.5],
            "sizePreset": "square",
            "width": 512,
            "height": 768.5,
        }
    ],
    "numberOfImages": 3,
    "previews": 2,
    "network": "relaxed",
    "tokenType": "spark",
    "billingMode": "tokens",
    "appSource": "demo",
    "disableSafety": True,
    "outputFormat": "jpg",
}


def test_a_record_gives_what_the_original_request_said() -> None:
    record = ProjectRecord(id="P", client_request_data=encoded(REQUEST))
    assert params_from_record(record) == ImageProjectParams(
        model_id="z_image_turbo_bf16",
        positive_prompt="a lighthouse",
        negative_prompt="fog",
        style_prompt="ink",
        number_of_media=3,
        number_of_previews=2,
        steps=8,
        guidance=1.5,
        seed=7,
        network="relaxed",
        disable_nsfw_filter=True,
        token_type="spark",
        billing_mode="tokens",
        app_source="demo",
        loras=["a"],
        lora_strengths=[0.5],
        size_preset="square",
        width=512,
        height=768.5,
        output_format="jpg",
    )


OUTRANKS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("image_count", {"image_count": 4}, {"number_of_media": 4}),
    ("step_count", {"step_count": 20}, {"steps": 20}),
    ("preview_count", {"preview_count": 0}, {"number_of_previews": 0}),
    ("network", {"network": "fast"}, {"network": "fast"}),
    ("token_type", {"token_type": "sogni"}, {"token_type": "sogni"}),
    ("billing_mode", {"billing_mode": "auto"}, {"billing_mode": "auto"}),
    ("app_source", {"app_source": "other"}, {"app_source": "other"}),
    ("size_preset", {"size_preset": "portrait"}, {"size_preset": "portrait"}),
    ("width and height", {"width": 640, "height": 480}, {"width": 640, "height": 480}),
    ("a count of 0 says nothing", {"image_count": 0}, {"number_of_media": 3}),
    ("but not the model", {"model": RecordModel(id="other")}, {"model_id": "z_image_turbo_bf16"}),
]


@each_row(("known", "expected"), [row[1:] for row in OUTRANKS], ids=[row[0] for row in OUTRANKS])
def test_the_record_outranks_the_request(known: dict[str, Any], expected: dict[str, Any]) -> None:
    params = params_from_record(ProjectRecord(id="P", client_request_data=encoded(REQUEST), **known))
    assert expected == {name: getattr(params, name) for name in expected}


RUBBISH: list[tuple[str, Any]] = [
    ("nothing", None),
    ("an empty text", ""),
    ("no base64", "é"),
    ("half of base64", "abc"),
    ("base64 of no text", base64.b64encode(b"\xff\xfe\xfd").decode()),
    ("no JSON", base64.b64encode(b"{").decode()),
    ("JSON that is too deep", base64.b64encode(b"[" * 100_000).decode()),
    ("JSON that is no object", encoded([1])),
    ("no key frames", encoded({})),
    ("an empty list of key frames", encoded({"keyFrames": []})),
    ("key frames that are no list", encoded({"keyFrames": {"0": {}}})),
    ("a key frame that is no object", encoded({"keyFrames": ["x"]})),
    (
        "values of wrong types",
        encoded(
            {
                "keyFrames": [
                    {"modelID": 3, "positivePrompt": [], "steps": "8", "seed": 1.5, "guidanceScale": True,
                     "loras": "a", "loraStrengths": [], "sizePreset": "custom", "width": "512"}
                ],
                "numberOfImages": -1,
                "disableSafety": "true",
                "network": "",
            }
        ),
    ),
    ("lists with items of wrong types",
     encoded({"keyFrames": [{"loras": ["a", 1], "loraStrengths": [None]}]})),
]  # fmt: skip


@each_row("data", [row[1] for row in RUBBISH], ids=[row[0] for row in RUBBISH])
def test_what_cannot_be_read_is_left_out(data: Any) -> None:
    record = ProjectRecord(id="P", model=RecordModel(id=MODEL), client_request_data=data)
    assert params_from_record(record) == ImageProjectParams(model_id=MODEL)


def test_a_custom_size_is_its_dimensions() -> None:
    record = ProjectRecord(id="P", size_preset="custom", width=640, height=480)
    assert params_from_record(record) == ImageProjectParams(model_id="", width=640, height=480)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ProjectRecord(id="P", model_type="video"), "video"),
        (ProjectRecord(id="P", model_type="audio"), "audio"),
        (ProjectRecord(id="P", model=RecordModel(type="music")), "audio"),
        (ProjectRecord(id="P", model=RecordModel(type="video")), "video"),
        (ProjectRecord(id="P", model_type="image"), "image"),
        (ProjectRecord(id="P", model=RecordModel(type="diffusion")), "image"),
        (ProjectRecord(id="P"), "image"),
    ],
)
def test_the_type_of_a_record(record: ProjectRecord, expected: str) -> None:
    assert expected == record_type(record)
