"""Refused video and music requests, and the messages of the refusals."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import LTX, WAN, audio_request, clip, flagged, picture, tone, video_request
from tests.emulator.wire import Payload, Wire, new_id

URLS = ("referenceImageURLs", "referenceVideoURLs", "referenceAudioURLs")
IMAGE, END, AUDIO, IDENTITY, VIDEO, MASK = ASSETS = (
    "referenceImage",
    "referenceImageEnd",
    "referenceAudio",
    "referenceAudioIdentity",
    "referenceVideo",
    "referenceMask",
)
# Workflow: a model, the assets it requires, the assets it also accepts.
WORKFLOWS: dict[str, tuple[str, set[str], set[str]]] = {
    "t2v": (f"{WAN}_t2v", set(), {IDENTITY}),
    "i2v": (f"{LTX}_i2v_dev", {IMAGE}, {END, IDENTITY}),
    "s2v": (f"{WAN}_s2v", {IMAGE, AUDIO}, set()),
    "ia2v": ("ltx25-22b-int8_ia2v_dev", {IMAGE, AUDIO}, set()),
    "a2v": (f"{LTX}_a2v_distilled", {AUDIO}, set()),
    "animate-move": (f"{WAN}_animate-move_lightx2v", {IMAGE, VIDEO}, set()),
    "animate-replace": (f"{WAN}_animate-replace_lightx2v", {IMAGE, VIDEO}, set()),
    "v2v": ("ltx2-19b-fp8_v2v_distilled", {VIDEO}, {IMAGE, IDENTITY}),
}
MISSING = [(workflow, asset) for workflow, (_, needed, _) in WORKFLOWS.items() for asset in sorted(needed)]
FORBIDDEN = [
    (workflow, asset)
    for workflow, (_, needed, taken) in WORKFLOWS.items()
    for asset in ASSETS
    if asset not in needed | taken | {MASK}
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return a small file of the right kind for every role."""
    sound, image = tone(1), picture("red")
    video = clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=6, size=(64, 64))
    return {IMAGE: image, END: image, MASK: image, AUDIO: sound, VIDEO: video}


def text_error(wire: Wire, request: Payload) -> dict[str, Any]:
    wire.connect().create(request)
    error = wire.next("jobError")
    assert (error["jobID"], error["isFromWorker"]) == (request["jobID"], False)
    return dict(error)


@pytest.mark.parametrize(("workflow", "asset"), MISSING)
def test_a_missing_required_asset_is_named(wire: Wire, workflow: str, asset: str) -> None:
    model, needed, _ = WORKFLOWS[workflow]
    error = text_error(wire, video_request(model, **flagged(dict.fromkeys(needed - {asset}))))
    assert error["error"] == 400
    assert f"is missing: {workflow} requires {asset}" in error["error_message"]


@pytest.mark.parametrize(("workflow", "asset"), FORBIDDEN)
def test_an_unsupported_asset_is_named(wire: Wire, workflow: str, asset: str) -> None:
    model, needed, _ = WORKFLOWS[workflow]
    error = text_error(wire, video_request(model, **flagged(dict.fromkeys(needed | {asset}))))
    assert error["error"] == 400
    assert f"must be omitted: {workflow} does not accept {asset}" in error["error_message"]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_workflow_accepts_all_its_assets(
    wire: Wire, supernet: LocalSupernet, files: dict[str, bytes], workflow: str
) -> None:
    model, needed, taken = WORKFLOWS[workflow]
    project_id = new_id()
    for asset in needed | taken:
        role = asset.removesuffix("Identity")
        (wire.upload if "Image" in role else wire.upload_media)(project_id, role, files[role])
    wire.connect().create(video_request(model, project_id, **flagged(dict.fromkeys(needed | taken))))
    wire.finish(project_id)
    assert supernet.violations == []


def test_uploads_that_the_request_flags_must_be_there(wire: Wire) -> None:
    error = text_error(wire, video_request(f"{WAN}_s2v", hasReferenceImage=True, hasReferenceAudio=True))
    assert "were not: referenceImage, referenceAudio" in error["error_message"]


@pytest.mark.parametrize(
    ("role", "content", "message"),
    [
        (IMAGE, b"just a text, renamed", "referenceImage must be an image file; the upload is of no known format"),
        (IMAGE, tone(1), "referenceImage must be an image file; the upload is audio"),
        (VIDEO, b"ID3" + bytes(40), "referenceVideo must be a video file; the upload is audio"),
        (VIDEO, b"\xff\xfb\x90\x64" + bytes(40), "referenceVideo must be a video file; the upload is audio"),
        (VIDEO, b"", "referenceVideo must be a video file; the upload is of no known format"),
    ],
)
def test_an_upload_of_the_wrong_type_is_refused(
    wire: Wire, files: dict[str, bytes], role: str, content: bytes, message: str
) -> None:
    project_id = new_id()
    given = {IMAGE: files[IMAGE], VIDEO: files[VIDEO], role: content}
    wire.upload(project_id, IMAGE, given[IMAGE])
    wire.upload_media(project_id, VIDEO, given[VIDEO])
    request = video_request(f"{WAN}_animate-move_lightx2v", project_id, **flagged(given))
    error = text_error(wire, request)
    assert error["error"] == 400
    assert error["error_message"] == message


CONTROL = "currentControlNetsJob"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (f"{WAN}_t2v", {"frames": 16}, "frames must be at least 17 and at most 161, got 16"),
    (f"{WAN}_t2v", {"frames": 162}, "frames must be at least 17 and at most 161, got 162"),
    (f"{WAN}_t2v", {"frames": 81.5}, "frames must be an integer"),
    (f"{WAN}_t2v", {"fps": 24}, "fps must be 16 or 32"),
    (f"{WAN}_t2v", {"width": 464}, "width must be at least 480 and at most 1536"),
    (f"{WAN}_t2v", {"height": 1552}, "height must be at least 480 and at most 1536"),
    (f"{WAN}_t2v", {"steps": 4}, "steps must be at least 20 and at most 40"),
    (f"{WAN}_t2v_lightx2v", {"guidanceScale": 3}, "guidanceScale must be at least 0.7 and at most 1.6"),
    (f"{WAN}_t2v", {"shift": 9}, "shift must be at least 1 and at most 8"),
    (f"{WAN}_t2v", {"teacacheThreshold": 1.5}, "teacacheThreshold must be at least 0 and at most 1"),
    (f"{WAN}_t2v", {"comfySampler": "nope"}, "comfySampler must be one of"),
    (f"{WAN}_t2v", {"comfyScheduler": ...}, "comfyScheduler is missing"),
    (f"{WAN}_t2v", {"scheduler": "euler"}, "scheduler must be null"),
    (f"{WAN}_t2v", {"sam2Coordinates": "[]"}, "sam2Coordinates goes with animate-replace models only"),
    (f"{WAN}_t2v", {"referenceImageURLs": ["https://a.b/c"]}, "referenceImageURLs is not accepted by wan"),
    (f"{WAN}_t2v", {CONTROL: [{"name": "canny"}]}, "goes with v2v models only"),
    (f"{WAN}_t2v", {"seedanceTaskType": "edit"}, "seedanceTaskType is not supported by wan"),
    (f"{WAN}_t2v", {"returnLastFrame": True}, "returnLastFrame is not supported by wan"),
    (f"{WAN}_t2v", {"hasReferenceImage": "yes"}, "hasReferenceImage must be a boolean"),
    (f"{WAN}_t2v", {"strength": 0.4}, "strength must be 0.5"),
    (f"{WAN}_i2v", {}, "i2v requires referenceImage or referenceImageEnd"),
    (f"{WAN}_animate-replace_lightx2v", {"sam2Coordinates": [{"x": 0, "y": 0}]}, "must be a string, got a list"),
    (f"{WAN}_animate-replace_lightx2v", {"sam2Coordinates": "here"}, "must be a JSON string of a list of points"),
    (f"{WAN}_animate-replace_lightx2v", {"sam2Coordinates": '[{"x":1}]'}, "must be a JSON string"),
    (f"{LTX}_t2v_dev", {"frames": 24}, "frames must be at least 25 and at most 505"),
    (f"{LTX}_t2v_dev", {"fps": 61}, "fps must be at least 1 and at most 60"),
    (f"{LTX}_t2v_dev", {"width": 480}, "width must be at least 640 and at most 3840"),
    (f"{LTX}_t2v_dev", {"identityGuidanceScale": 11}, "identityGuidanceScale must be at least 0 and at most 10"),
    (f"{LTX}_t2v_dev", {"generateAudio": 1}, "generateAudio must be a boolean"),
    (f"{LTX}_i2v_dev", {"firstFrameStrength": 2}, "firstFrameStrength must be at least 0 and at most 1"),
    (f"{LTX}_i2v_dev", {"lastFrameStrength": -1}, "lastFrameStrength must be at least 0 and at most 1"),
    (f"{LTX}_a2v_dev", {"audioStart": -1}, "audioStart must be at least 0"),
    (f"{LTX}_a2v_dev", {"audioDuration": 31}, "audioDuration must be at least 1 and at most 30"),
    (f"{LTX}_v2v_dev", {"videoStart": -1}, "videoStart must be at least 0"),
    (f"{LTX}_v2v_dev", {"detailerStrength": 2}, "detailerStrength must be at least 0 and at most 1"),
    (f"{LTX}_v2v_dev", {CONTROL: [{"name": "edges"}]}, "name must be one of canny"),
    (f"{LTX}_v2v_dev", {CONTROL: [{"name": "canny", "controlStrength": 2}]}, "controlStrength must be"),
    (f"{LTX}_v2v_dev", {CONTROL: []}, "must be a list of exactly one object"),
    (f"{LTX}_v2v_dev", {CONTROL: ["canny"]}, "currentControlNetsJob[0] must be an object"),
    (f"{LTX}_v2v_dev", {CONTROL: [{"name": "pose"}]}, "the control net pose requires referenceImage"),
    (f"{LTX}_v2v_dev", {CONTROL: [{"name": "outpaint"}]}, "outpaint requires a distilled model"),
    (f"{LTX}_v2v_dev", {"hasReferenceMask": True}, "requires the control net inpaint"),
    (f"{LTX}_v2v_distilled", {"outpaintPosition": "up"}, "outpaintPosition must be one of center"),
    ("ltx25-22b-int8_t2v_distilled", {"steps": 4}, "steps must be at least 8 and at most 8"),
    ("seedance-2-0", {"fps": 30}, "fps must be 24"),
    ("seedance-2-0", {"frames": 96}, "frames must be at least 97 and at most 361"),
    ("seedance-2-5", {"frames": 722}, "frames must be at least 97 and at most 721"),
    ("seedance-2-0-fast", {"width": 1920, "height": 1080}, "short side at 720 pixels at most"),
    ("seedance-2-5", {"width": 3840, "height": 2160}, "short side at 1080 pixels at most"),
    ("seedance-2-0", {"referenceImageURLs": ["https://a.b/c"] * 10}, "reference images are 10; seedance-2-0 takes"),
    ("seedance-2-0", {"referenceVideoURLs": ["https://a.b/c"] * 4}, "reference videos are 4"),
    ("seedance-2-0", {"referenceAudioURLs": ["https://a.b/c"] * 4}, "reference audios are 4"),
    ("seedance-2-0", dict(zip(URLS, [["https://a.b/c"] * n for n in (9, 3, 1)], strict=True)), "references are 13"),
    ("seedance-2-0", {"referenceAudioURLs": ["https://a.b/c"]}, "require at least one reference image or video"),
    ("seedance-2-0", {"hasReferenceAudioIdentity": True}, "require at least one reference image or video"),
    ("seedance-2-0", {"referenceImageURLs": ["http://a.b/c"]}, "must contain public https URLs only"),
    ("seedance-2-0", {"referenceImageURLs": ["https://["]}, "must contain public https URLs only"),
    ("seedance-2-0", {"referenceImageURLs": [" "]}, "must contain public https URLs only"),
    ("seedance-2-0", {"referenceImageURLs": "https://a.b/c"}, "referenceImageURLs must be a list"),
    ("seedance-2-0", {"seedanceTaskType": "edit"}, "seedanceTaskType is not supported by seedance-2-0"),
    ("seedance-2-0", {"hasReferenceMask": True}, "does not accept referenceMask"),
    ("seedance-2-5", {"referenceImageURLs": ["https://a.b/c"]}, "seedanceTaskType is missing"),
    ("seedance-2-5", {"seedanceTaskType": "cut"}, "seedanceTaskType must be one of reference"),
    ("seedance-2-5", {"seedanceTaskType": "reference"}, "requires a reference"),
    (
        "seedance-2-5",
        {"seedanceTaskType": "edit", "referenceImageURLs": ["https://a.b/c"]},
        "'edit' requires a reference video",
    ),
    ("seedance-2-5", {"seedanceTaskType": "reference", "hasReferenceImage": True}, "cannot be combined with"),
]


@pytest.mark.parametrize(("model", "changes", "message"), REFUSED)
def test_a_wrong_video_request_is_refused_with_the_reason(
    wire: Wire, model: str, changes: dict[str, Any], message: str
) -> None:
    # All problems of a request are reported: the assertion concerns one besides the missing files.
    assert message in text_error(wire, video_request(model, **changes))["error_message"]


@pytest.mark.parametrize(
    ("top", "code", "message"),
    [
        ({"network": "relaxed"}, 4104, "No worker on the relaxed network"),
        ({"outputFormat": "mov"}, 400, "outputFormat must be one of mp4"),
        ({"previews": 2}, 400, "previews must be at least 0 and at most 0"),
        ({"numberOfImages": 0}, 400, "numberOfImages must be at least 1"),
    ],
)
def test_a_video_request_as_a_whole_is_checked(wire: Wire, top: Payload, code: int, message: str) -> None:
    error = text_error(wire, video_request(f"{WAN}_t2v", top=top))
    assert error["error"] == code
    assert message in error["error_message"]


def test_a_withdrawn_model_has_no_workers_until_the_emulator_is_reset(wire: Wire, supernet: LocalSupernet) -> None:
    model = f"{WAN}_t2v"
    wire.connect()
    assert wire.next("swarmModels")[model] > 0
    supernet.withdraw_model(model)
    assert wire.next("swarmModels")[model] == 0
    assert text_error(wire, video_request(model))["error"] == 4104
    supernet.reset()
    assert wire.connect().next("swarmModels")[model] > 0
    with pytest.raises(ValueError, match="unknown model"):
        supernet.withdraw_model("nothing")


def test_workers_serve_video_and_music_on_the_fast_network_only(wire: Wire) -> None:
    wire.connect()
    counts = wire.next("swarmModels")
    for model in (f"{WAN}_t2v", f"{LTX}_v2v_dev", "seedance-2-5", "ace_step_1.5_turbo", "pixal3d_int8_i23d"):
        assert counts[model] > 0
    wire.network = "relaxed"
    assert not {f"{WAN}_t2v", "ace_step_1.5_turbo", "pixal3d_int8_i23d"} & set(wire.connect().next("swarmModels"))


NOTED: list[tuple[str, dict[str, Any], str]] = [
    (f"{WAN}_t2v", {"width": 500}, "width"),
    (f"{WAN}_t2v", {"height": ...}, "width"),
    (f"{LTX}_t2v_dev", {"frames": 100}, "frames"),
    (f"{WAN}_t2v", {"hasReferenceImage": False}, "hasReferenceImage"),
    ("seedance-2-0", {"negativePrompt": ""}, "negativePrompt"),
    ("seedance-2-0", {"referenceImageURLs": []}, "referenceImageURLs"),
    (f"{WAN}_t2v", {"sizePreset": "square"}, "sizePreset"),
]


@pytest.mark.parametrize(("model", "changes", "key"), NOTED)
def test_unusual_values_are_reported_and_accepted(
    wire: Wire, supernet: LocalSupernet, model: str, changes: dict[str, Any], key: str
) -> None:
    request = video_request(model, **changes)
    wire.connect().create(request)
    wire.finish(request["jobID"])
    assert [violation.where for violation in supernet.violations] == [f"jobRequest $.keyFrames[0].{key}"]


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    (f"{WAN}_t2v", {"width": ..., "height": ..., "frames": ..., "fps": 32}),
    (f"{WAN}_t2v", {"negativePrompt": ..., "steps": None, "guidanceScale": None, "teacacheThreshold": 0.15}),
    (f"{WAN}_t2v", {"comfySampler": "uni_pc", "comfyScheduler": "beta", "loras": ["wan22-film-grain"]}),
    (f"{LTX}_t2v_dev", {"fps": 50, "frames": 105, "identityGuidanceScale": 3, "generateAudio": False}),
    (f"{LTX}_t2v_dev", {"worldGenerationReceipt": {"stage": "target_still"}}),
    ("seedance-2-0-mini", dict(zip(URLS, [["https://a.b/c"] * n for n in (7, 3, 2)], strict=True))),
    ("seedance-2-5", {"referenceAudioURLs": ["https://a.b/c"], "seedanceTaskType": "reference"}),
    ("seedance-2-0-fast", {"width": 1280, "height": 720, "frames": 361}),
]


@pytest.mark.parametrize(("model", "changes"), ACCEPTED)
def test_requests_of_real_clients_are_accepted(
    wire: Wire, supernet: LocalSupernet, model: str, changes: dict[str, Any]
) -> None:
    request = video_request(model, **changes)
    wire.connect().create(request)
    wire.finish(request["jobID"])
    assert supernet.violations == []


def test_an_image_container_of_the_newer_kinds_is_an_image(wire: Wire, tmp_path: Path) -> None:
    project_id, buffer = new_id(), io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "WEBP")
    wire.upload(project_id, IMAGE, buffer.getvalue(), "image/webp")
    wire.connect().create(video_request(f"{WAN}_i2v", project_id, hasReferenceImage=True))
    wire.finish(project_id)


REFUSED_MUSIC: list[tuple[dict[str, Any], str]] = [
    ({"duration": 9}, "duration must be at least 10 and at most 600, got 9"),
    ({"duration": 601}, "duration must be at least 10 and at most 600"),
    ({"bpm": 0}, "bpm must be at least 30 and at most 300"),
    ({"timesignature": "5"}, "timesignature must be one of 2, 3, 4, 6"),
    ({"timesignature": 4}, "timesignature must be a string"),
    ({"language": "xx"}, "language must be one of en"),
    ({"keyscale": "H minor"}, "keyscale must be one of C major"),
    ({"composerMode": "yes"}, "composerMode must be a boolean"),
    ({"promptStrength": 11}, "promptStrength must be at least 0 and at most 10"),
    ({"creativity": 3}, "creativity must be at least 0 and at most 2"),
    ({"shift": 7}, "shift must be at least 1 and at most 6"),
    ({"steps": 20}, "steps must be at least 4 and at most 16"),
    ({"lyrics": 1}, "lyrics must be a string"),
    ({"comfySampler": "nope"}, "comfySampler must be one of"),
    ({"stylePrompt": ...}, "stylePrompt is missing"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED_MUSIC)
def test_a_wrong_music_request_is_refused_with_the_reason(wire: Wire, changes: dict[str, Any], message: str) -> None:
    assert message in text_error(wire, audio_request(**changes))["error_message"]


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({"outputFormat": "ogg"}, "outputFormat must be one of mp3, wav, flac"),
        ({"numberOfImages": 5}, "numberOfImages must be at least 1 and at most 4"),
        ({"network": "relaxed"}, "No worker on the relaxed network"),
    ],
)
def test_a_music_request_as_a_whole_is_checked(wire: Wire, top: Payload, message: str) -> None:
    assert message in text_error(wire, audio_request(top=top))["error_message"]
