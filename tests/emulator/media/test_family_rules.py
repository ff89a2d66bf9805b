"""The emulator refuses requests that break the rules of a model family (projects-5x §2.3, §4.4 to §4.11)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import audio_request, video_request
from tests.emulator.wire import Payload, Wire, job_request, key_frame
from tests.tables import each_row

H3 = {"width": 64, "height": 64, "frames": 124}
HORSE, WAN3 = "happyhorse-1.1", "wan3.0"
T2V, R2V, GUIDE = "minimax-h3-fl2va-fp8_t2v", "minimax-h3-ref2va-fp8_r2v", "minimax-h3-fastvideo-int8_a2v_turbo"
I2V = "minimax-h3-fl2va-fp8_i2v"
LINK, CLIP, FILE = "https://a.b/c.png", "https://a.b/c.mp4", "https://a.b/c.pdf"
VIDEOS: list[tuple[str, dict[str, Any], str]] = [
    (f"{HORSE}-t2v", {"referenceImageURLs": [LINK]}, "reference images are 1"),
    (f"{HORSE}-i2v", {}, "reference images are 0"),
    (f"{HORSE}-r2v", {"referenceImageURLs": [LINK] * 10}, "reference images are 10"),
    (f"{HORSE}-r2v", {"hasReferenceImage": True, "hasReferenceVideo": True}, "does not accept referenceVideo"),
    (f"{HORSE}-r2v", {"referenceImageURLs": [LINK], "referenceVideoURLs": [CLIP]}, "referenceVideoURLs is not"),
    (f"{HORSE}-t2v", {"frames": 40}, "frames must be at least 73"),
    (f"{HORSE}-t2v", {"seedanceTaskType": "edit"}, "seedanceTaskType is not supported"),
    (f"{WAN3}-video", {"fps": 24}, "fps must be 30"),
    (f"{WAN3}-video", {"ratio": "2:1"}, "ratio must be one of"),
    (f"{WAN3}-video", {"referenceFileURL": FILE, "referenceLinkURL": LINK}, "must be omitted together"),
    (f"{WAN3}-video", {"referenceFileURL": "http://a.b/c.pdf"}, "must be an https URL"),
    (f"{WAN3}-spicy-video", {"referenceLinkURL": LINK}, "is not supported"),
    (f"{WAN3}-spicy-video", {"watermark": False}, "watermark is not supported"),
    (f"{WAN3}-video", {"referenceVideoURLs": [CLIP] * 6}, "are 6"),
    (f"{WAN3}-video", {"hasReferenceImageEnd": True}, "must be sent together with hasReferenceImage"),
    (f"{WAN3}-video", {"hasReferenceImage": True, "referenceImageURLs": [LINK]}, "loose references"),
    (f"{WAN3}-video", {"hasReferenceMask": True}, "does not accept referenceMask"),
    (f"{WAN3}-video", {"positivePrompt": " "}, "there is no reference"),
    (f"{WAN3}-video", {"seed": 2**31}, "seed must be at most 2147483647"),
    (T2V, {**H3, "frames": 125}, "frames is not on the model's grid"),
    (T2V, {**H3, "width": 72}, "width is not on the model's grid"),
    (T2V, {**H3, "width": 1344, "height": 1344}, "must make at most 1032192 pixels"),
    (T2V, {**H3, "steps": 8}, "steps must be at least 20"),
    (T2V, {**H3, "audioDuration": 5}, "audioDuration is not supported"),
    (T2V, {**H3, "audioStart": 5}, "audioStart is not supported"),
    (T2V, {**H3, "hasReferenceVideo1": True}, "numbered references are not accepted"),
    (T2V, {**H3, "extendOutput": "continuation"}, "extendOutput requires"),
    (T2V, {**H3, "hasKeyframeImage1": True, "keyframeFrameIndices": [5]}, "keyframeFrameIndices is not accepted"),
    (I2V, {**H3, "hasReferenceImage": True, "hasKeyframeImage1": True}, "one index for each keyframe image"),
    (
        I2V,
        {**H3, "hasReferenceImage": True, "hasKeyframeImage1": True, "keyframeFrameIndices": [123]},
        "different frames between 1 and 122",
    ),
    (I2V, {**H3}, "i2v requires referenceImage or referenceImageEnd"),
    (GUIDE, {**H3, "hasReferenceAudio": True, "generateAudio": False}, "generateAudio must not be false"),
    (R2V, {**H3}, "requires an image or a video"),
    (R2V, {**H3, "hasReferenceImage": True, "referenceImageURLs": [LINK]}, "referenceImageURLs is not accepted"),
    (R2V, {**H3, "hasReferenceImage": True, "hasContextImage1": True}, "the reference image is the first image"),
    (R2V, {**H3, **{f"hasReferenceVideo{n}": True for n in range(1, 5)}}, "reference videos are 4"),
    (
        R2V,
        {**H3, "hasReferenceImage": True, **{f"hasContextImage{n}": True for n in range(2, 10)},
         **{f"hasReference{kind}{n}": True for kind in ("Audio", "Video") for n in range(1, 4)}},
        "references are 15",
    ),
    (R2V, {**H3, "hasReferenceImage": True, "referenceVideoCompression": "vpack"}, "requires a reference video"),
]  # fmt: skip

SPARK = {"tokenType": "spark"}


def refusal(wire: Wire, request: Payload) -> str:
    wire.create(request)
    error = wire.next("jobError")
    assert error["error"] == 400
    return str(error["error_message"])


@pytest.fixture
def online(supernet: LocalSupernet) -> Any:
    with Wire(supernet) as wire:
        yield wire.connect()


@each_row(("model", "changes", "message"), VIDEOS)
def test_videos(online: Wire, model: str, changes: Payload, message: str) -> None:
    usual = {"fps": 30} if model.startswith(WAN3) else {}
    assert message in refusal(online, video_request(model, top=SPARK, **{**usual, **changes}))


IMAGES: list[tuple[str, dict[str, Any], str]] = [
    ("seedream-5-0-pro-uncensored", {"width": 512, "height": 512}, "must make 921600 to 4194304 pixels"),
    ("seedream-5-0-pro-uncensored", {"width": 8160, "height": 240}, "must have a ratio of at most 16"),
    ("moss_image_sft_int8_convrot", {"width": 512, "height": 512, "hasStartingImage": True}, "must be omitted"),
    ("moss_image_sft_int8_convrot", {"width": 512, "height": 512, "hasContextImage1": True}, "takes 0"),
    ("moss_image_sft_int8_convrot", {"width": 512, "height": 512, "mossRopeScaleX": 101}, "at most 100"),
    ("flux1-schnell-fp8", {"mossRopeScaleX": 2}, "mossRopeScaleX is not supported"),
    ("gpt-image-2", {"gptImageQuality": "max"}, "gptImageQuality must be one of"),
    ("gpt-image-2", {"gptImageBackground": "transparent"}, "gptImageBackground must be one of"),
]


@each_row(("model", "changes", "message"), IMAGES)
def test_images(online: Wire, model: str, changes: Payload, message: str) -> None:
    assert message in refusal(online, job_request(None, key_frame(modelID=model, **changes)))


def test_settings_that_a_music_model_lacks_are_noted(online: Wire, supernet: LocalSupernet) -> None:
    online.create(audio_request("minimax_music3", keyscale="C major"))
    assert online.next("jobState")["type"] == "queued"
    assert [it.where.rpartition(".")[2] for it in supernet.violations] == ["keyscale"]
