"""Speech, enlarged images and videos, and 3D models: what is refused, and what the files contain."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.emulator.media.codecs import write_video
from tests.emulator.media.helpers import as_image, clip, distance, make, opened, picture, tone, video_request
from tests.emulator.wire import Payload, Wire, job_request, key_frame, new_id, of_type

FLASHVSR = "flashvsr_v1.1_tiny_long_bf16"
CUSTOM, CLONE, DESIGN = (f"qwen3_tts_1.7b_{it}_bf16" for it in ("custom_voice", "voice_clone", "voice_design"))
SINGLE, MULTIVIEW = "pixal3d_int8_i23d", "pixal3d_multiview_int8_i23d"
UPSCALING: dict[str, Any] = {
    **dict.fromkeys(("width", "height", "frames", "fps", "negativePrompt"), ...),
    "positivePrompt": "",
    "steps": 1,
    "seed": -1,
    "upscaleResolution": 1080,
    "detailPreference": "stable",
    "processingSpeed": "stable",
    "generateAudio": True,
    "interpolation": "none",
}
ABSENT = ("steps", "guidanceScale", "sizePreset", "width", "height")


def speech_request(model: str, project_id: str | None = None, top: Payload | None = None, **changes: Any) -> Payload:
    frame = {
        **{f"hasContextImage{slot}": ... for slot in range(1, 17)},
        **dict.fromkeys((*ABSENT, "negativePrompt"), ...),
    }
    given = {"modelID": model, "positivePrompt": "Hello there.", "comfySampler": None, "comfyScheduler": None}
    return job_request(project_id, key_frame(**{**frame, **given, **changes}), **{"outputFormat": "wav", **(top or {})})


def model_request(model: str, project_id: str | None = None, top: Payload | None = None, **changes: Any) -> Payload:
    frame = {**dict.fromkeys(ABSENT, ...), "modelID": model, "hasStartingImage": True, "meshTargetFaces": 5000}
    return job_request(project_id, key_frame(**{**frame, **changes}), **{"outputFormat": "glb", **(top or {})})


WRONG: list[tuple[Payload, str]] = [
    (video_request(FLASHVSR, **UPSCALING), "hasReferenceVideo is missing"),
    (video_request(FLASHVSR, **UPSCALING, hasReferenceImage=True), "hasReferenceImage must be omitted"),
    (video_request(FLASHVSR, **UPSCALING | {"upscaleResolution": 720}), "upscaleResolution must be 1080 or 1440"),
    (video_request(FLASHVSR, **UPSCALING | {"upscaleResolution": ...}), "upscaleResolution is missing"),
    (video_request(FLASHVSR, **UPSCALING | {"positivePrompt": "x"}), "positivePrompt and the other prompts"),
    (video_request(FLASHVSR, **UPSCALING | {"generateAudio": False}), "generateAudio must be true"),
    (video_request(FLASHVSR, **UPSCALING | {"seed": -2}), "seed must be at least -1"),
    (video_request(FLASHVSR, top={"numberOfImages": 2}, **UPSCALING), "numberOfImages must be"),
    (speech_request(CUSTOM, positivePrompt=" "), "positivePrompt must be the script"),
    (speech_request(CUSTOM, speaker="nobody"), "speaker must be one of"),
    (speech_request(CUSTOM, instruct="x" * 501), "instruct must have at most 500 characters, got 501"),
    (speech_request(CUSTOM, hasReferenceAudio=True), "hasReferenceAudio must be omitted"),
    (speech_request(CUSTOM, referenceText="x"), "referenceText is not accepted"),
    (speech_request(CLONE), "hasReferenceAudio must be true"),
    (speech_request(CLONE, hasReferenceAudio=True, speaker="ryan"), "speaker goes with the custom voice model only"),
    (speech_request(DESIGN), "instruct is missing"),
    (speech_request(DESIGN, instruct="old", language="tlh"), "language must be one of"),
    (model_request(SINGLE, hasStartingImage=...), "hasStartingImage must be true"),
    (model_request(SINGLE, hasContextImage1=True), "hasContextImage1 must be false"),
    (model_request(MULTIVIEW, hasContextImage4=True), "hasContextImage4 must be false"),
    (model_request(MULTIVIEW, templateVariant="i23d-birefnet"), "templateVariant is not accepted"),
    (model_request(SINGLE, templateVariant="other"), "templateVariant must be one of"),
    (model_request(SINGLE, textureSize=512), "textureSize must be at least 1024"),
    (model_request(SINGLE, top={"outputFormat": "png"}), "outputFormat must be one of glb"),
]


def test_wrong_requests_are_refused_with_the_reason(wire: Wire) -> None:
    wire.connect()
    for request, message in WRONG:
        wire.create(request)
        error = wire.next("jobError")
        assert (error["jobID"], error["error"]) == (request["jobID"], 400)
        assert message in error["error_message"]


def result_of(wire: Wire, request: Payload) -> bytes:
    wire.connect().create(request)
    (result,) = of_type(wire.finish(request["jobID"]), "jobResult")
    return wire.download_media(request["jobID"], result["imgID"]).content


# -- speech ------------------------------------------------------------------------


def test_speech_is_as_long_as_its_script_and_sounds_like_its_voice(wire: Wire, supernet: LocalSupernet) -> None:
    requests = [
        speech_request(CUSTOM, speaker="ryan", instruct="softly", seed=1),
        speech_request(CUSTOM, speaker="vivian", instruct="softly", seed=1),
        speech_request(DESIGN, instruct="an old man", seed=1),
    ]
    files = [opened(result_of(wire, request)) for request in requests]
    # Four syllables, and the pauses after a word and a sentence.
    assert [file.seconds for file in files] == pytest.approx([4 * 0.18 + 0.07 + 0.3] * 3, abs=0.01)
    assert len({file.samples.tobytes() for file in files if file.samples is not None}) == 3
    assert supernet.violations == []


def test_a_cloned_voice_depends_on_the_recording(wire: Wire, supernet: LocalSupernet) -> None:
    files = []
    for seconds in (3, 3, 4):
        project_id = new_id()
        wire.upload_media(project_id, "referenceAudio", tone(seconds))
        given = {"hasReferenceAudio": True, "referenceText": "hello", "referenceAudioContentType": "audio/wav"}
        files.append(result_of(wire, speech_request(CLONE, project_id, seed=1, **given)))
    assert (files[0] == files[1], files[0] == files[2]) == (True, False)
    assert supernet.violations == []


def test_a_broken_recording_fails_and_another_type_is_refused(wire: Wire) -> None:
    for content, message in (
        (b"RIFF\x08\x00\x00\x00WAVEjunk", "referenceAudio: "),
        (picture("red"), "must be an audio file"),
    ):
        project_id = new_id()
        wire.upload_media(project_id, "referenceAudio", content)
        wire.connect().create(speech_request(CLONE, project_id, hasReferenceAudio=True))
        assert message in wire.next("jobError")["error_message"]


# -- larger images and videos ------------------------------------------------------


def test_a_video_is_enlarged_and_keeps_its_frames(wire: Wire, supernet: LocalSupernet, tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.mp4", frames=4, size=(160, 120))
    video = opened(make(wire, FLASHVSR, {"referenceVideo": source}, **UPSCALING))
    assert (len(video.frames), video.fps, video.frames[0].size, video.samples) == (4, 12, (1440, 1080), None)
    assert distance(video.frames[0], Image.new("RGB", (8, 8))) < 6
    assert supernet.violations == []


def test_a_video_with_sound_keeps_having_sound(wire: Wire, tmp_path: Path) -> None:
    frames = [as_image(picture("darkred", (160, 120)))] * 4
    block = np.full((2, 48_000), 0.25, dtype=np.float32)
    write_video(tmp_path / "clip.mp4", frames, 4, [block], "mp4")  # type: ignore[arg-type]
    source = (tmp_path / "clip.mp4").read_bytes()
    video = opened(make(wire, FLASHVSR, {"referenceVideo": source}, **UPSCALING))
    assert video.seconds == pytest.approx(1, abs=0.1)


def test_an_image_is_enlarged(wire: Wire, supernet: LocalSupernet) -> None:
    project_id = new_id()
    wire.upload(project_id, "startingImage", picture("navy", (64, 48)))
    frame = key_frame(
        modelID="rtx_vsr_pro",
        steps=1,
        width=1024,
        height=768,
        hasStartingImage=True,
        comfySampler=None,
        comfyScheduler=None,
    )
    wire.connect().create(job_request(project_id, frame))
    (result,) = of_type(wire.finish(project_id), "jobResult")
    image = as_image(wire.download(project_id, result["imgID"]))
    assert image.size == (1024, 768)
    assert distance(image, as_image(picture("navy", (64, 48)))) < 3
    assert supernet.violations == []


# -- 3D models ---------------------------------------------------------------------


def document_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the JSON document and the buffer of a binary glTF file, whose form is checked."""
    magic, version, length = struct.unpack_from("<4sII", content)
    size, kind = struct.unpack_from("<I4s", content, 12)
    rest, second = struct.unpack_from("<I4s", content, 20 + size)
    assert (magic, version, length, kind, second) == (b"glTF", 2, len(content), b"JSON", b"BIN\0")
    assert (size % 4, rest % 4, 28 + size + rest) == (0, 0, length)
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def test_a_model_shows_its_views(wire: Wire, supernet: LocalSupernet) -> None:
    project_id = new_id()
    wire.upload(project_id, "startingImage", picture("darkred"))
    wire.upload(project_id, "contextImage2", picture("navy"))
    content = result_of(wire, model_request(MULTIVIEW, project_id, hasContextImage2=True))
    document, buffer = document_of(content)
    assert [material["name"] for material in document["materials"]] == ["front", "back"]
    assert document["asset"]["extras"] == {"meshTargetFaces": 5000}
    for image, color in zip(document["images"], ("darkred", "navy"), strict=True):
        view = document["bufferViews"][image["bufferView"]]
        texture = as_image(buffer[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
        assert distance(texture, as_image(picture(color))) < 6
    assert supernet.violations == []


def test_a_broken_image_fails(wire: Wire) -> None:
    project_id = new_id()
    wire.upload(project_id, "startingImage", b"\x89PNG\r\n\x1a\nbroken")
    wire.connect().create(model_request(SINGLE, project_id))
    assert "startingImage: " in wire.next("jobError")["error_message"]
