"""The job request of an image project, key by key (projects-4.2 §4, §5, §18; projects-5x §2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sogni.core.projects.image_requests import check_image_params, denoise, image_request
from sogni.core.projects.parameters import check_options
from sogni.errors import ValidationError
from sogni.models.catalogue import Choice, ModelOptions
from sogni.models.params import ControlNetParams, ImageProjectParams
from tests.tables import each_row

MODEL, COMFY = "flux1-schnell-fp8", "z_image_turbo_bf16"
OPTIONS = ModelOptions(
    type="image",
    sampler=Choice(allowed=["euler", "ddpm"]),
    scheduler=Choice(allowed=["karras", "ddim"]),
    vae=Choice(allowed=["sharp"]),
)

TOP_LEVEL: dict[str, Any] = {
    "selectedUpscalingModel": "OFF",
    **{
        key: []
        for key in (
            "cnVideoFramesSketch", "cnVideoFramesSegmentedSubject", "cnVideoFramesFace", "cnVideoFramesBoth",
            "cnVideoFramesDepth", "cnVideoFrames", "cnVideoFramesSegmentedBackground",
            "cnVideoFramesSegmented", "cnVideoFramesPose", "siVideoFrames",
        )
    },
    "doCanvasBlending": False,
    "animationIsOn": False,
    "canvasIsOn": False,
    "frameRate": 24,
    "generatedVideoSeconds": 10,
    "previews": 0,
    "numberOfImages": 1,
    "jobID": "P",
    "disableSafety": False,
    "outputFormat": "png",
}  # fmt: skip

KEY_FRAME: dict[str, Any] = {
    "stepsIsEnabled": True, "siRotation": 0, "siDragOffsetIsEnabled": True, "strength": 0.5,
    "siZoomScaleIsEnabled": True, "isEnabled": True, "processing": "CPU, GPU",
    "useLastImageAsGuideImageInAnimation": True, "guidanceScaleIsEnabled": True,
    "siImageBackgroundColor": "black", "cnDragOffset": [0, 0], "scheduler": None, "timeStepSpacing": None,
    "modelID": MODEL, "negativePrompt": "", "positivePrompt": "",
    "cnRotation": 0, "siZoomScale": 1, "cnRotationIsEnabled": True, "startingImageZoomPanIsOn": False,
    "siRotationIsEnabled": True, "cnImageBackgroundColor": "clear", "strengthIsEnabled": True,
    "siDragOffset": [0, 0], "useLastImageAsCNImageInAnimation": False, "controlNetZoomPanIsOn": False,
    "cnZoomScaleIsEnabled": True, "currentControlNets": None, "stylePrompt": "",
    "cnDragOffsetIsEnabled": True, "frameIndex": 0, "startingImage": None, "cnZoomScale": 1,
    **{f"hasContextImage{number}": False for number in range(1, 17)},
}  # fmt: skip

COMFY_KEYS = {"comfySampler": None, "comfyScheduler": None, "vae": None}


def requested(*, client_source: str | None = None, options: ModelOptions = OPTIONS, **fields: Any) -> dict[str, Any]:
    params = check_image_params(ImageProjectParams(**{"model_id": MODEL, **fields}))
    check_options(params, options)
    return image_request(params, project_id="P", app_source=client_source)


def split(request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    (key_frame,) = request["keyFrames"]
    return {key: value for key, value in request.items() if key != "keyFrames"}, key_frame


def test_a_minimal_request_is_the_template() -> None:
    """No steps, guidance, seed, size, token or network: those keys are absent (projects-4.2 §4.2, §18)."""
    assert split(requested()) == (TOP_LEVEL, KEY_FRAME)


def test_requests_share_nothing() -> None:
    first, second = requested(), requested()
    first["keyFrames"][0]["cnDragOffset"].append(1)
    first["cnVideoFrames"].append(1)
    assert split(second) == (TOP_LEVEL, KEY_FRAME)


TOP_ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("number of media", {"number_of_media": 4}, {"numberOfImages": 4}),
    ("previews", {"number_of_previews": 2}, {"previews": 2}),
    ("no previews", {"number_of_previews": 0}, {"previews": 0}),
    ("the filter off", {"disable_nsfw_filter": True}, {"disableSafety": True}),
    ("the token that pays", {"token_type": "sogni"}, {"tokenType": "sogni"}),
    *((f"who pays: {it}", {"billing_mode": it}, {"billingMode": it}) for it in ("auto", "subscription", "tokens")),
    ("an output format", {"output_format": "jpg"}, {"outputFormat": "jpg"}),
    ("an empty output format is none", {"output_format": ""}, {"outputFormat": "png"}),
    ("a network", {"network": "relaxed"}, {"network": "relaxed"}),
    ("the source of the params", {"app_source": "own"}, {"appSource": "own"}),
    ("the source of the client", {"app_source": None}, {"appSource": "client"}),
    ("an empty source is none", {"app_source": ""}, {"appSource": "client"}),
]


@each_row(("fields", "expected"), [row[1:] for row in TOP_ROWS], ids=[row[0] for row in TOP_ROWS])
def test_top_level_keys(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """projects-4.2 §4.1, projects-5x §2.1."""
    source = "client" if "app_source" in fields else None
    assert split(requested(client_source=source, **fields)) == ({**TOP_LEVEL, **expected}, KEY_FRAME)


def test_a_client_without_a_source_sends_none() -> None:
    assert "appSource" not in requested(client_source="")


FRAME_ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a prompt", {"positive_prompt": "ñ 日本 🐈"}, {"positivePrompt": "ñ 日本 🐈"}),
    ("a negative prompt", {"negative_prompt": "fog"}, {"negativePrompt": "fog"}),
    ("an empty negative prompt", {"negative_prompt": ""}, {"negativePrompt": ""}),
    ("a style", {"style_prompt": "ink"}, {"stylePrompt": "ink"}),
    ("an empty style", {"style_prompt": ""}, {"stylePrompt": ""}),
    ("steps", {"steps": 8}, {"steps": 8}),
    ("steps of 0", {"steps": 0}, {"steps": 0}),
    ("guidance", {"guidance": 7.5}, {"guidanceScale": 7.5}),
    ("integral guidance", {"guidance": 1.0}, {"guidanceScale": 1}),
    ("a seed of 0", {"seed": 0}, {"seed": 0}),
    ("LoRAs", {"loras": ["a", "b"], "lora_strengths": [0.5, 1.0]}, {"loras": ["a", "b"], "loraStrengths": [0.5, 1]}),
    ("an empty list of LoRAs", {"loras": [], "lora_strengths": None}, {}),
    ("a size preset", {"size_preset": "square_hd"}, {"sizePreset": "square_hd"}),
    ("an empty size preset is none", {"size_preset": ""}, {}),
    (
        "dimensions without a preset are a custom size",
        {"width": 640, "height": 832.0},
        {"sizePreset": "custom", "width": 640, "height": 832},
    ),
    (
        "dimensions with the custom preset",
        {"size_preset": "custom", "width": 640.0, "height": 832},
        {"sizePreset": "custom", "width": 640, "height": 832},
    ),
    ("a sampler travels as scheduler, crossed", {"sampler": "ddpm"}, {"scheduler": "ddpm"}),
    ("a scheduler travels as time-step spacing", {"scheduler": "ddim"}, {"timeStepSpacing": "ddim"}),
    ("an autoencoder has no key here", {"vae": "sharp"}, {}),
    (
        "a starting image",
        {"starting_image": b"x"},
        {"hasStartingImage": True, "strengthIsEnabled": True, "strength": 0.5},
    ),
    ("one that is uploaded already", {"starting_image": True, "starting_image_strength": 0.6},
     {"hasStartingImage": True, "strength": 0.4}),
    ("how much is kept is inverted, unrounded", {"starting_image": b"x", "starting_image_strength": 0.7},
     {"hasStartingImage": True, "strength": 0.30000000000000004}),
    ("keeping all", {"starting_image": b"x", "starting_image_strength": 1.0},
     {"hasStartingImage": True, "strength": 0}),
    ("keeping nothing is a strength too", {"starting_image": b"x", "starting_image_strength": 0},
     {"hasStartingImage": True, "strength": 1}),
    ("a starting image that is not given", {"starting_image": False}, {}),
    (
        "context images, by position",
        {"context_images": [True, False, b"x"]},
        {"hasContextImage1": True, "hasContextImage3": True},
    ),
    (
        "a control net with its name only",
        {"control_net": ControlNetParams(name="scribble")},
        {"currentControlNetsJob": [{"name": "scribble", "cnImageState": "original", "hasImage": False}]},
    ),
    (
        "a control net with everything",
        {
            "control_net": {
                "name": "canny", "image": b"x", "strength": 0.8, "mode": "cn_priority",
                "guidance_start": 0, "guidance_end": 1.0,
            }
        },
        {
            "currentControlNetsJob": [
                {
                    "name": "canny", "cnImageState": "original", "hasImage": True, "controlStrength": 0.8,
                    "controlMode": 2, "controlGuidanceStart": 0, "controlGuidanceEnd": 1,
                }
            ]
        },
    ),
    (
        "an empty control mode is none",
        {"control_net": {"name": "openpose", "mode": ""}},
        {"currentControlNetsJob": [{"name": "openpose", "cnImageState": "original", "hasImage": False}]},
    ),
    *(
        (
            f"control mode {mode}",
            {"control_net": {"name": "tile", "image": True, "mode": mode, "strength": 0}},
            {
                "currentControlNetsJob": [
                    {"name": "tile", "cnImageState": "original", "hasImage": True, "controlStrength": 0,
                     "controlMode": wire}
                ]
            },
        )
        for mode, wire in (("balanced", 0), ("prompt_priority", 1), ("cn_priority", 2))
    ),
]  # fmt: skip


@each_row(("fields", "expected"), [row[1:] for row in FRAME_ROWS], ids=[row[0] for row in FRAME_ROWS])
def test_key_frame_keys(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """projects-4.2 §4.2 to §4.4, §5."""
    assert split(requested(**fields)) == (TOP_LEVEL, {**KEY_FRAME, **expected})


def test_numbers_travel_as_javascript_writes_them() -> None:
    text = json.dumps(requested(width=640.0, height=480.0, guidance=1.0, number_of_media=2.0, steps=4.0))
    assert ".0" not in text


def test_no_prompt_is_no_key() -> None:
    _, key_frame = split(requested(positive_prompt=None))
    assert "positivePrompt" not in key_frame


COMFY_ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing chosen", {}, {}),
    ("a sampler", {"sampler": "euler"}, {"comfySampler": "euler"}),
    ("a scheduler", {"scheduler": "karras"}, {"comfyScheduler": "karras"}),
    ("an autoencoder", {"vae": "sharp"}, {"vae": "sharp"}),
]


@pytest.mark.parametrize(("fields", "expected"), [row[1:] for row in COMFY_ROWS], ids=[row[0] for row in COMFY_ROWS])
def test_comfy_models_always_have_all_three_keys(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """projects-4.2 §5.1, projects-5x §2.3."""
    _, key_frame = split(requested(model_id=COMFY, **fields))
    assert {**KEY_FRAME, "modelID": COMFY, **COMFY_KEYS, **expected} == key_frame


def test_the_worked_example_of_the_sheet() -> None:
    """projects-4.2 §18, with the key that 5.x added."""
    request = requested(
        model_id=COMFY,
        positive_prompt="lighthouse",
        negative_prompt="fog",
        style_prompt="ink",
        steps=8,
        guidance=1,
        seed=0,
        loras=["alpha"],
        lora_strengths=[0.9],
        width=1024,
        height=768,
        sampler="euler",
        scheduler="karras",
        starting_image=b"x",
        starting_image_strength=0.7,
        control_net=ControlNetParams(
            name="canny", image=b"x", strength=0.8, mode="cn_priority", guidance_start=0, guidance_end=1
        ),
        number_of_previews=3,
        number_of_media=2,
        disable_nsfw_filter=True,
        token_type="spark",
        output_format="jpg",
        network="fast",
    )
    control = {
        "name": "canny", "cnImageState": "original", "hasImage": True, "controlStrength": 0.8,
        "controlMode": 2, "controlGuidanceStart": 0, "controlGuidanceEnd": 1,
    }  # fmt: skip
    assert split(request) == (
        {
            **TOP_LEVEL, "previews": 3, "numberOfImages": 2, "disableSafety": True, "tokenType": "spark",
            "outputFormat": "jpg", "network": "fast",
        },
        {
            **KEY_FRAME, "steps": 8, "guidanceScale": 1, "modelID": COMFY, "seed": 0,
            "positivePrompt": "lighthouse", "negativePrompt": "fog", "stylePrompt": "ink",
            "loras": ["alpha"], "loraStrengths": [0.9], "sizePreset": "custom", "width": 1024, "height": 768,
            "comfySampler": "euler", "comfyScheduler": "karras", "vae": None, "hasStartingImage": True,
            "strength": 0.30000000000000004, "currentControlNetsJob": [control],
        },
    )  # fmt: skip


GPT_ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "a mask that is uploaded",
        {"gpt_image_mask": b"x"},
        {"hasReferenceMask": True, "referenceMaskContentType": "image/png"},
    ),
    (
        "a mask of a data: address is uploaded as well",
        {"gpt_image_mask_url": "data:image/png;base64,AQID"},
        {"hasReferenceMask": True, "referenceMaskContentType": "image/png"},
    ),
    (
        "a mask that the service fetches",
        {"gpt_image_mask_url": "https://example.test/m.png"},
        {"gptImageMaskUrl": "https://example.test/m.png"},
    ),
    (
        "output compression",
        {"gpt_image_output_compression": 0, "gpt_image_quality": "hd", "gpt_image_background": "auto"},
        {"gptImageOutputCompression": 0, "gptImageQuality": "hd", "gptImageBackground": "auto"},
    ),
]


@pytest.mark.parametrize(("fields", "expected"), [row[1:] for row in GPT_ROWS], ids=[row[0] for row in GPT_ROWS])
def test_gpt_image_keys(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """projects-5x §4.10."""
    model = "gpt-image-2"
    top, key_frame = split(requested(model_id=model, context_images=[b"x"], output_format="webp", **fields))
    assert top == {**TOP_LEVEL, "outputFormat": "webp"}
    assert {**KEY_FRAME, "modelID": model, "hasContextImage1": True, **expected} == key_frame


def test_sixteen_context_images_have_sixteen_flags() -> None:
    """projects-4.2 §5.3."""
    _, key_frame = split(requested(model_id="gpt-image-2", context_images=[b"x"] * 16))
    flags = {key: value for key, value in key_frame.items() if key.startswith("hasContextImage")}
    assert flags == {f"hasContextImage{number}": True for number in range(1, 17)}


@pytest.mark.parametrize(
    "fields",
    [
        {"model_id": "sam3_image_segment_bf16", "sam3_prompt": {"text": "a cat"}},
        {"model_id": "birefnet_image_background_removal_fp16"},
    ],
)
def test_segmentation_delivers_one_png_without_previews(fields: dict[str, Any]) -> None:
    """projects-5x §2.1."""
    asked = {"starting_image": True, "number_of_media": 3, "number_of_previews": 3, "output_format": "jpg"}
    top, _ = split(requested(**fields, **asked))
    assert top == TOP_LEVEL


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    ("field", "key"), [("embed_prompt_metadata", "embedPromptMetadata"), ("prompt_expanded", "promptExpanded")]
)
def test_what_is_said_about_prompts_is_sent_either_way(field: str, key: str, value: bool) -> None:
    """projects-5x §2.1."""
    top, _ = split(requested(**{field: value}))
    assert top == {**TOP_LEVEL, key: value}


def test_a_control_image_is_made_by_the_service_only_when_asked() -> None:
    """projects-5x §2.3."""
    for preprocess, sent in ((True, {"preprocess": True}), (False, {}), (None, {})):
        net = {"name": "canny", "image": True, "preprocess": preprocess}
        _, key_frame = split(requested(control_net=net))
        (control,) = key_frame["currentControlNetsJob"]
        assert control == {"name": "canny", "cnImageState": "original", "hasImage": True, **sent}


def test_a_receipt_of_a_world_travels_in_the_key_frame() -> None:
    """projects-5x §2.2; keys of the other stage are dropped."""
    receipt = {"stage": "transition", "first_frame_sha256": "AB" * 32, "last_frame_sha256": "cd" * 32}
    _, key_frame = split(requested(world_generation_receipt={**receipt, "selection_hash": "e" * 64}))
    assert key_frame["worldGenerationReceipt"] == {
        "stage": "transition",
        "firstFrameSha256": "ab" * 32,
        "lastFrameSha256": "cd" * 32,
    }


def test_models_without_negative_prompt_get_none() -> None:
    _, key_frame = split(requested(model_id="seedream-5-0-pro-uncensored", negative_prompt=" "))
    assert "negativePrompt" not in key_frame


def test_3d_models_deliver_glb_without_previews() -> None:
    """projects-5x §2.1."""
    top, _ = split(
        requested(model_id="pixal3d_int8_i23d", starting_image=True, number_of_previews=3, output_format="png")
    )
    assert top == {**TOP_LEVEL, "outputFormat": "glb", "previews": 0}


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_model_of_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        requested(options=ModelOptions(type=kind))
    expected = f"model_id must be an image model for type='image', got 'flux1-schnell-fp8', which is for type='{kind}'"
    assert (expected, "model_id", 400) == (caught.value.message, caught.value.field, caught.value.status)


ORDER: list[tuple[str, dict[str, Any]]] = [
    ("control_net.strength", {"control_net": {"name": "canny", "strength": 2}}),
    ("width", {"width": 1, "height": 1}),
    ("sampler", {"sampler": "warp"}),
    ("scheduler", {"scheduler": "warp"}),
    ("vae", {"vae": "warp"}),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_rule_broken_is_the_one_named(first: int) -> None:
    """First what is known without the service, then what only the tier can tell (projects-4.2 §8)."""
    wrong = {key: value for _, row in ORDER[first:] for key, value in row.items()}
    with pytest.raises(ValidationError) as caught:
        requested(**wrong)
    assert ORDER[first][0] == caught.value.field


@pytest.mark.parametrize("name", ["sampler", "scheduler", "vae"])
def test_a_choice_that_the_model_does_not_offer_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"^{name} must be omitted for {MODEL}, got 'euler'; the model offers no"):
        requested(options=ModelOptions(type="image"), **{name: "euler"})


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(None, 0.5), (0, 1), (1, 0), (1.0, 0), (0.7, 0.30000000000000004), (0.85, 0.15000000000000002), (2, -1)],
)
def test_what_is_kept_is_not_changed(kept: float | None, expected: float) -> None:
    actual = denoise(kept)
    assert (type(expected), expected) == (type(actual), actual)
