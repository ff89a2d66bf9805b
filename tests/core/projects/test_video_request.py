"""The job request of a video project, key by key (projects-4.2 §4, §6, §18; projects-5x §2 to §4)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.catalogue.video_models import video_row
from sogni.core.projects.image_requests import check_image_params, image_request
from sogni.core.projects.job_requests import annotate
from sogni.core.projects.uploads import video_media
from sogni.core.projects.video_requests import check_video_options, check_video_params, frames_of, video_request
from sogni.errors import ValidationError
from sogni.models.catalogue import Choice, ModelOptions
from sogni.models.params import ImageProjectParams, VideoProjectParams
from tests.tables import each_row

OPTIONS = ModelOptions(type="video", sampler=Choice(allowed=["euler"]), scheduler=Choice(allowed=["simple"]))
T2V, I2V, REPLACE = "wan_v2.2-14b-fp8_t2v", "wan_v2.2-14b-fp8_i2v", "wan_v2.2-14b-fp8_animate-replace_lightx2v"
S2V, V2V = "wan_v2.2-14b-fp8_s2v_lightx2v", "ltx23-22b-fp8_v2v_distilled"
LTX_I2V = "ltx23-22b-fp8_i2v_dev"
LTX, SEEDANCE, SEEDANCE_25 = "ltx23-22b-fp8_t2v_dev", "seedance-2-0", "seedance-2-5"
HORSE, WAN3 = "happyhorse-1.1-t2v", "wan3.0-video"
H3_T2V, H3_I2V, H3_R2V = "minimax-h3-fl2va-fp8_t2v", "minimax-h3-fl2va-fp8_i2v", "minimax-h3-ref2va-fp8_r2v"
FLASH = "flashvsr_v1.1_tiny_long_bf16"
URL = "https://example.test/it"
FILE = b"file"

ALWAYS = {"comfySampler": None, "comfyScheduler": None, "scheduler": None, "timeStepSpacing": None}


def requested(model_id: str = T2V, *, client_source: str | None = None, **fields: Any) -> dict[str, Any]:
    params = check_video_params(VideoProjectParams(**{"model_id": model_id, **fields}))
    check_video_options(params, OPTIONS)
    return video_request(params, project_id="P", app_source=client_source)


def template() -> tuple[dict[str, Any], dict[str, Any]]:
    """What an image request has that no caller has a say in."""
    params = ImageProjectParams(model_id="m")
    request = image_request(check_image_params(params), project_id="P", app_source=None)
    (frame,) = request.pop("keyFrames")
    return request, {key: value for key, value in frame.items() if not key.startswith("hasContextImage")}


def own_keys(request: dict[str, Any]) -> dict[str, Any]:
    """What the key frame has beyond the template, and what differs from it."""
    (frame,) = request["keyFrames"]
    missing = object()
    constants = template()[1]
    return {key: value for key, value in frame.items() if constants.get(key, missing) != value}


def test_the_top_level_is_that_of_every_project() -> None:
    request = requested()
    request.pop("keyFrames")
    assert request == template()[0] | {"outputFormat": "mp4"}


def test_a_minimal_request_adds_almost_nothing() -> None:
    """No flags, frames or fps, and never a size preset or context images (projects-4.2 §4.4)."""
    assert own_keys(requested()) == {"modelID": T2V, "comfySampler": None, "comfyScheduler": None}
    assert set(template()[1]) - set(requested()["keyFrames"][0]) == set()


def test_top_level_values_are_the_callers() -> None:
    request = requested(
        number_of_media=2, token_type="spark", billing_mode="auto", network="fast", disable_nsfw_filter=True,
        client_source="shop",
    )  # fmt: skip
    expected = {
        "numberOfImages": 2, "tokenType": "spark", "billingMode": "auto", "network": "fast", "disableSafety": True,
        "appSource": "shop", "previews": 0, "outputFormat": "mp4",
    }  # fmt: skip
    assert expected == {key: request[key] for key in expected}


SENT: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("steps, guidance, seed", T2V, {"steps": 0, "guidance": 0.7, "seed": 0},
     {"steps": 0, "guidanceScale": 0.7, "seed": 0}),
    ("prompts", T2V, {"positive_prompt": "a kite", "negative_prompt": "rain", "style_prompt": "ink"},
     {"positivePrompt": "a kite", "negativePrompt": "rain", "stylePrompt": "ink"}),
    ("LoRAs", T2V, {"loras": ["a"], "lora_strengths": [-0.5]}, {"loras": ["a"], "loraStrengths": [-0.5]}),
    ("no LoRAs", T2V, {"loras": []}, {}),
    ("sampler and scheduler", T2V, {"sampler": "euler", "scheduler": "simple"},
     {"comfySampler": "euler", "comfyScheduler": "simple"}),
    ("WAN: 16 frames per second whatever fps", T2V, {"duration": 5, "fps": 32, "width": 640, "height": 640},
     {"fps": 32, "frames": 81, "width": 640, "height": 640}),
    ("a duration outranks frames", T2V, {"duration": 5, "frames": 9}, {"frames": 81}),
    ("frames alone", T2V, {"frames": 33}, {"frames": 33}),
    ("LTX: no fps of its own", LTX, {"duration": 8}, {"frames": 193}),
    ("LTX 2.5", "ltx25-22b-int8_t2v_dev", {"duration": 4.1, "fps": 25}, {"fps": 25, "frames": 105}),
    ("an LTX 2 id stays", "ltx2-19b-fp8_t2v", {}, {"modelID": "ltx2-19b-fp8_t2v"}),
    *(
        (f"{name} = {value!r}", T2V, {name: value}, {key: value})
        for name, key, value in (
            ("generate_audio", "generateAudio", False), ("generate_audio", "generateAudio", True),
            ("shift", "shift", 0), ("teacache_threshold", "teacacheThreshold", 0),
            ("trim_end_frame", "trimEndFrame", True),
        )
    ),
    ("a part of the speech", S2V,
     {"reference_image": FILE, "reference_audio": FILE, "audio_start": 0, "audio_duration": 1.5},
     {"hasReferenceImage": True, "hasReferenceAudio": True, "audioStart": 0, "audioDuration": 1.5}),
    ("how closely the frames are followed", LTX_I2V,
     {"reference_image": FILE, "reference_image_end": FILE, "first_frame_strength": 0, "last_frame_strength": 0.4},
     {"hasReferenceImage": True, "hasReferenceImageEnd": True, "firstFrameStrength": 0, "lastFrameStrength": 0.4}),
    ("a part of the video", V2V, {"reference_video": FILE, "video_start": 1.5, "detailer_strength": 0},
     {"hasReferenceVideo": True, "videoStart": 1.5, "detailerStrength": 0}),
    ("where to paint out", V2V,
     {"reference_video": FILE, "outpaint_position": "left", "control_net": {"name": "outpaint"}},
     {"hasReferenceVideo": True, "outpaintPosition": "left", "currentControlNetsJob": [{"name": "outpaint"}]}),
    ("no trimming", T2V, {"trim_end_frame": False}, {}),
    ("first and last image", I2V, {"reference_image": FILE, "reference_image_end": True},
     {"hasReferenceImage": True, "hasReferenceImageEnd": True}),
    ("what is not there has no flag", I2V, {"reference_image": FILE, "reference_image_end": False},
     {"hasReferenceImage": True}),
    ("speech", S2V, {"reference_image": FILE, "reference_audio": FILE},
     {"hasReferenceImage": True, "hasReferenceAudio": True}),
    ("a voice", LTX, {"reference_audio_identity": FILE, "audio_identity_strength": 0},
     {"hasReferenceAudioIdentity": True, "identityGuidanceScale": 0}),
    ("coordinates are a text", REPLACE,
     {"reference_image": 1, "reference_video": 1, "sam2_coordinates": [{"x": 0.25, "y": 1.0}]},
     {"hasReferenceImage": True, "hasReferenceVideo": True, "sam2Coordinates": '[{"x":0.25,"y":1}]'}),
    ("no coordinates are one, too", REPLACE, {"reference_image": 1, "reference_video": 1, "sam2_coordinates": []},
     {"hasReferenceImage": True, "hasReferenceVideo": True, "sam2Coordinates": "[]"}),
    ("control net", V2V, {"reference_video": FILE, "control_net": {"name": "depth", "strength": 0}},
     {"hasReferenceVideo": True, "currentControlNetsJob": [{"name": "depth", "controlStrength": 0}]}),
    ("control net without strength", V2V, {"reference_video": FILE, "control_net": {"name": "canny"}},
     {"hasReferenceVideo": True, "currentControlNetsJob": [{"name": "canny"}]}),
    ("a mask to paint in", V2V, {"reference_video": 1, "reference_mask": 1, "control_net": {"name": "inpaint"}},
     {"hasReferenceVideo": True, "hasReferenceMask": True, "currentControlNetsJob": [{"name": "inpaint"}]}),
    ("Seedance", SEEDANCE, {"duration": 5, "reference_image_urls": [URL]},
     {"referenceImageURLs": [URL], "fps": 24, "frames": 121}),
    ("Seedance with fps", SEEDANCE, {"duration": 5, "fps": 30}, {"fps": 30, "frames": 151}),
    ("Seedance with everything", SEEDANCE,
     {"reference_image_urls": [URL], "reference_video_urls": [URL], "reference_audio_urls": [URL]},
     {"referenceImageURLs": [URL], "referenceVideoURLs": [URL], "referenceAudioURLs": [URL], "fps": 24}),
    ("empty lists", SEEDANCE, {"reference_image_urls": [], "reference_video_urls": []}, {"fps": 24}),
    ("a task", SEEDANCE_25,
     {"seedance_task_type": "edit", "reference_video_urls": [URL], "return_last_frame": False},
     {"seedanceTaskType": "edit", "referenceVideoURLs": [URL], "returnLastFrame": False, "fps": 24}),
    ("HappyHorse", HORSE, {"duration": 3}, {"fps": 24, "frames": 73}),
    ("Wan 3", WAN3,
     {"duration": 5, "ratio": "9:16", "prompt_extend": False, "watermark": False, "reference_link_url": URL},
     {"fps": 30, "frames": 151, "ratio": "9:16", "promptExtend": False, "watermark": False,
      "referenceLinkURL": URL}),
    ("a document", WAN3, {"reference_file_url": URL}, {"fps": 30, "referenceFileURL": URL}),
    ("H3", H3_T2V, {"duration": 6, "width": 672, "height": 384},
     {"fps": 24, "frames": 141, "width": 672, "height": 384}),
    ("H3 extends", H3_T2V, {"reference_video": FILE, "extend_output": "extended"},
     {"fps": 24, "hasReferenceVideo": True, "extendOutput": "extended"}),
    ("H3 keyframes", H3_I2V,
     {"reference_image": 1, "frames": 124,
      "keyframes": [{"image": FILE, "frame_index": 60}, {"image": True, "frame_index": 9}]},
     {"fps": 24, "frames": 124, "hasReferenceImage": True, "hasKeyframeImage1": True, "hasKeyframeImage2": True,
      "keyframeFrameIndices": [60, 9]}),
    ("H3 references", H3_R2V,
     {"reference_image": FILE, "context_images": [FILE, True], "reference_audio": FILE,
      "reference_audios": [FILE], "reference_video": True, "reference_videos": [FILE],
      "reference_video_durations": [5, 2.5], "reference_video_compression": "vpack"},
     {"fps": 24, "hasReferenceImage": True, "hasContextImage2": True, "hasContextImage3": True,
      "hasReferenceAudio1": True, "hasReferenceAudio2": True, "hasReferenceVideo1": True,
      "hasReferenceVideo2": True, "referenceVideo1DurationSeconds": 5, "referenceVideo2DurationSeconds": 2.5,
      "referenceVideoCompression": "vpack"}),
    ("H3 lists alone", H3_R2V,
     {"context_images": [FILE], "reference_videos": [FILE], "reference_video_compression": "none"},
     {"fps": 24, "hasContextImage1": True, "hasReferenceVideo1": True}),
    ("FlashVSR", FLASH, {"reference_video": FILE, "upscale_resolution": 1080, "steps": 9},
     {"upscaleResolution": 1080, "steps": 1, "seed": 0, "detailPreference": "stable", "processingSpeed": "stable",
      "generateAudio": True, "interpolation": "none", "hasReferenceVideo": True}),
    ("FlashVSR as asked", FLASH,
     {"reference_video": True, "width": 1920, "height": 1080, "seed": 7, "detail_preference": "sharper",
      "processing_speed": "faster", "duration": 2.5, "fps": 25},
     {"upscaleResolution": 1080, "steps": 1, "seed": 7, "detailPreference": "sharper", "processingSpeed": "faster",
      "generateAudio": True, "interpolation": "none", "hasReferenceVideo": True, "fps": 25, "frames": 63,
      "width": 1920, "height": 1080}),
    ("FlashVSR with frames", FLASH,
     {"reference_video": True, "upscale_resolution": 1440, "duration": 5, "fps": 25, "frames": 9},
     {"upscaleResolution": 1440, "steps": 1, "seed": 0, "detailPreference": "stable", "processingSpeed": "stable",
      "generateAudio": True, "interpolation": "none", "hasReferenceVideo": True, "fps": 25, "frames": 9}),
]  # fmt: skip


@each_row(("model_id", "fields", "expected"), [row[1:] for row in SENT], ids=[f"{row[0]} ({row[1]})" for row in SENT])
def test_fields_become_keys(model_id: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"modelID": model_id, "positivePrompt": "", "comfySampler": None, "comfyScheduler": None}
    fields = {"positive_prompt": "", **fields}
    if model_id == WAN3:
        fields |= {"positive_prompt": "a kite"}
        usual |= {"positivePrompt": "a kite"}
    constants = template()[1]
    expected = {key: value for key, value in (usual | expected).items() if constants.get(key, ...) != value}
    assert expected == own_keys(requested(model_id, **fields))


@pytest.mark.parametrize(
    ("model_id", "fields", "expected"),
    [
        (T2V, {"negative_prompt": None}, {"negativePrompt": ""}),
        (LTX, {"negative_prompt": "rain"}, {"negativePrompt": "rain"}),
        (SEEDANCE, {"negative_prompt": " "}, {}),
        (HORSE, {"negative_prompt": ""}, {}),
        (WAN3, {"positive_prompt": "a kite"}, {}),
        (H3_T2V, {}, {}),
        (FLASH, {"reference_video": FILE, "upscale_resolution": 1080}, {"negativePrompt": ""}),
    ],
)
def test_negative_prompts(model_id: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Projects-4.2 §4.3, projects-5x §2.2."""
    (frame,) = requested(model_id, **fields)["keyFrames"]
    assert expected == {key: value for key, value in frame.items() if key == "negativePrompt"}


def test_mov_travels_at_the_top_level() -> None:
    assert requested(SEEDANCE_25, output_format="mov")["outputFormat"] == "mov"


@pytest.mark.parametrize(
    ("fields", "options", "field"),
    [
        ({"duration": 99}, ModelOptions(type="image"), "duration"),
        ({"sampler": "no"}, ModelOptions(type="image"), "model_id"),
        ({"duration": 99, "sampler": "no"}, OPTIONS, "duration"),
        ({"sampler": "no", "scheduler": "no"}, OPTIONS, "sampler"),
        ({"scheduler": "no"}, OPTIONS, "scheduler"),
    ],
)
def test_errors_come_in_the_order_of_the_sheet(fields: dict[str, Any], options: ModelOptions, field: str) -> None:
    """First what is known without the service, then the kind of model, then its choices (projects-4.2 §6.8)."""
    with pytest.raises(ValidationError) as caught:
        check_video_options(check_video_params(VideoProjectParams(model_id=T2V, **fields)), options)
    assert field == caught.value.field


@pytest.mark.parametrize(
    ("model_id", "fields", "expected"),
    [
        (T2V, {}, None),
        (T2V, {"frames": 5}, 5),
        (T2V, {"duration": 5, "frames": 5}, 81),
        (FLASH, {"duration": 5, "fps": 10}, 50),
        (FLASH, {"duration": 5, "fps": 10, "frames": 7}, 7),
    ],
)
def test_frames_of_a_project(model_id: str, fields: dict[str, Any], expected: int | None) -> None:
    assert expected == frames_of(VideoProjectParams(model_id=model_id, **fields), video_row(model_id))


def annotated(model_id: str, types: dict[str, str | None], **fields: Any) -> dict[str, Any]:
    params = VideoProjectParams(model_id=model_id, **fields)
    payload = requested(model_id, **fields)
    for group in video_media(params):
        for item in group:
            if item.media is not True:
                annotate(payload, item, types.get(item.field, "x/y"))
    return {key: value for key, value in payload["keyFrames"][0].items() if key.endswith("ContentType")}


@each_row(
    ("model_id", "fields", "types", "expected"),
    [
        (I2V, {"reference_image": FILE, "reference_image_end": FILE}, {"reference_image": "image/png"},
         {"referenceImageContentType": "image/png", "referenceImageEndContentType": "x/y"}),
        (I2V, {"reference_image": True}, {}, {}),
        (I2V, {"reference_image": FILE}, {"reference_image": None}, {}),
        (S2V, {"reference_image": True, "reference_audio": FILE}, {}, {"referenceAudioContentType": "x/y"}),
        (LTX, {"reference_audio_identity": FILE}, {},
         {"referenceAudioIdentityContentType": "x/y", "referenceAudioContentType": "x/y"}),
        (SEEDANCE, {"reference_image": True, "reference_audio": FILE, "reference_audio_identity": FILE},
         {"reference_audio": "audio/wav"},
         {"referenceAudioContentType": "audio/wav", "referenceAudioIdentityContentType": "x/y"}),
        (V2V, {"reference_video": FILE, "reference_mask": FILE, "control_net": {"name": "inpaint"}}, {},
         {"referenceVideoContentType": "x/y", "referenceMaskContentType": "x/y"}),
        (H3_R2V, {"context_images": [FILE], "reference_audios": [FILE], "reference_videos": [True, FILE]}, {},
         {"referenceAudio1ContentType": "x/y", "referenceVideo2ContentType": "x/y"}),
        (H3_I2V, {"reference_image": 1, "frames": 124, "keyframes": [{"image": FILE, "frame_index": 4}]}, {},
         {"referenceImageContentType": "x/y"}),
    ],
)  # fmt: skip
def test_uploaded_files_say_what_they_are(
    model_id: str, fields: dict[str, Any], types: dict[str, str | None], expected: dict[str, Any]
) -> None:
    """Projects-4.2 §4.5, projects-5x §4.6."""
    assert expected == annotated(model_id, types, **fields)


def test_what_is_always_there() -> None:
    (frame,) = requested()["keyFrames"]
    assert {key: frame[key] for key in ALWAYS} == ALWAYS
