"""Refused job requests, and the messages of the refusals."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Wire, job_request, key_frame, of_type

CONTROL = {"name": "canny", "cnImageState": "original", "hasImage": False}

REFUSED_FRAMES: list[tuple[dict[str, Any], str]] = [
    ({"siRotation": ...}, "$.keyFrames[0].siRotation is missing"),
    ({"processing": "GPU"}, "processing must be 'CPU, GPU'"),
    ({"isEnabled": 1}, "isEnabled must be True"),
    ({"steps": 6}, "steps must be at least 1 and at most 5, got 6"),
    ({"steps": "4"}, "steps must be a number, got a string"),
    ({"guidanceScale": 7}, "guidanceScale must be"),
    ({"seed": -1}, "seed must be"),
    ({"seed": 1.5}, "seed must be an integer"),
    ({"positivePrompt": 3}, "positivePrompt must be a string"),
    ({"negativePrompt": ...}, "negativePrompt is missing"),
    ({"width": 100}, "width must be at least 256"),
    ({"sizePreset": "square"}, "width requires the size preset 'custom'"),
    ({"sizePreset": "huge", "width": ..., "height": ...}, "sizePreset is not a preset"),
    ({"scheduler": "nope"}, "scheduler must be one of"),
    (
        {"comfySampler": "euler", "comfyScheduler": "simple", "scheduler": "euler"},
        "must be null if comfySampler is set",
    ),
    ({"hasContextImage4": ...}, "hasContextImage4 is missing"),
    ({f"hasContextImage{slot}": True for slot in range(1, 5)}, "is set 4 times"),
    ({"hasStartingImage": True, "strength": 2}, "strength must be from 0 to 1"),
    ({"currentControlNetsJob": [{**CONTROL, "controlStrength": 3}]}, "controlStrength must be"),
    ({"currentControlNetsJob": {}}, "must be a list of exactly one object"),
    ({"loras": ["a"], "loraStrengths": [1, 2]}, "2 entries for 1 LoRAs"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED_FRAMES)
def test_a_wrong_key_frame_is_refused_with_the_reason(wire: Wire, changes: dict[str, Any], message: str) -> None:
    project_id = wire.connect().create(job_request(frame=key_frame(**changes)))
    error = wire.next("jobError")
    assert (error["jobID"], error["error"], error["isFromWorker"]) == (project_id, 400, False)
    assert message in error["error_message"]


REFUSED_REQUESTS: list[tuple[dict[str, Any], int, str]] = [
    ({"keyFrames": []}, 400, "keyFrames must be a list of exactly one object"),
    ({"siVideoFrames": ...}, 400, "siVideoFrames is missing"),
    ({"frameRate": 30}, 400, "frameRate must be 24"),
    ({"numberOfImages": 0}, 400, "numberOfImages must be at least 1"),
    ({"outputFormat": "gif"}, 400, "outputFormat must be one of"),
    ({"tokenType": "dollar"}, 400, "tokenType must be one of"),
    ({"network": "slow"}, 400, "network must be one of"),
    ({"disableSafety": ...}, 400, "disableSafety is missing"),
    ({"keyFrames": [key_frame(modelID="unknown")]}, 404, "is not a known model"),
    ({"keyFrames": [key_frame(modelID="gpt-image-2")], "tokenType": "sogni"}, 400, "tokenType must be spark"),
    ({"keyFrames": [key_frame(modelID="minimax_music3")], "network": "relaxed"}, 4104, "No worker on the relaxed"),
    ({"keyFrames": [key_frame(modelID="pixal3d_int8_i23d")]}, 400, "hasStartingImage must be true"),
    ({"keyFrames": [key_frame(modelID="sam3_image_segment_bf16", hasStartingImage=True)]}, 400, "sam3Prompt must be"),
]


@pytest.mark.parametrize(("changes", "code", "message"), REFUSED_REQUESTS)
def test_a_wrong_request_is_refused_with_the_reason(
    wire: Wire, changes: dict[str, Any], code: int, message: str
) -> None:
    wire.connect().create(job_request(**changes))
    error = wire.next("jobError")
    assert error["error"] == code
    assert message in error["error_message"]


ACCEPTED_FRAMES: list[dict[str, Any]] = [
    {"steps": ..., "guidanceScale": ..., "sizePreset": ..., "width": ..., "height": ...},
    {"steps": None, "guidanceScale": None, "seed": None},
    {"scheduler": "euler", "timeStepSpacing": "simple"},
    {"scheduler": "Euler", "timeStepSpacing": "Simple"},
    {"modelID": "z_image_turbo_bf16", "steps": 8, "comfySampler": None, "comfyScheduler": None, "vae": None},
    {"modelID": "coreml-cyberrealistic_v33", "steps": 20, "guidanceScale": 7.5, "scheduler": "dpm_pp"},
    {"width": 640.5},
    {"sizePreset": "portrait_7_9", "width": ..., "height": ...},
    {"currentControlNetsJob": [CONTROL]},
    {"loras": ["flux-age-slider"], "loraStrengths": [-0.5]},
]


@pytest.mark.parametrize("changes", ACCEPTED_FRAMES)
def test_requests_of_real_clients_are_accepted(wire: Wire, supernet: LocalSupernet, changes: dict[str, Any]) -> None:
    wire.finish(wire.connect().create(job_request(frame=key_frame(**changes))))
    assert supernet.violations == []


def test_uploads_that_the_request_flags_must_be_there(wire: Wire) -> None:
    frame = key_frame(hasStartingImage=True, hasContextImage2=True)
    wire.connect().create(job_request(frame=frame))
    message = wire.next("jobError")["error_message"]
    assert "startingImage, contextImage2" in message


def test_unknown_keys_and_odd_ids_are_noted_but_accepted(wire: Wire, supernet: LocalSupernet) -> None:
    request = job_request(surprise=1)
    wire.connect().create({**request, "jobID": request["jobID"].lower()})
    wire.finish(request["jobID"])
    assert {it.where for it in supernet.violations} == {"jobRequest $.jobID", "jobRequest $.surprise"}


def test_a_request_without_an_id_is_recorded_only(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect().send("jobRequest", job_request(jobID=...))
    supernet.wait_for(lambda: supernet.violations)
    assert supernet.projects == []


MORE_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"currentControlNetsJob": ["canny"]}, "currentControlNetsJob[0] must be an object"),
    ({"currentControlNetsJob": [{**CONTROL, "name": "edges"}]}, "name must be one of"),
    ({"modelID": "rtx_vsr_pro", "steps": 1, "width": 512, "height": 512}, "hasStartingImage must be true"),
    ({"hasReferenceMask": True}, "hasReferenceMask is not supported"),
    ({"worldGenerationReceipt": 1}, "worldGenerationReceipt must be an object"),
    ({"loras": [1]}, "loras must contain strings only"),
    ({"loras": ["x"] * 9}, "loras must have at most 8 entries"),
    ({"loras": "x"}, "loras must be a list"),
    ({"loraStrengths": ["1"]}, "loraStrengths must contain numbers only"),
    ({"loraStrengths": 1}, "loraStrengths must be a list"),
    ({"modelID": ...}, "modelID is missing"),
]


@pytest.mark.parametrize(("changes", "message"), MORE_REFUSED)
def test_further_wrong_key_frames_are_refused(wire: Wire, changes: dict[str, Any], message: str) -> None:
    wire.connect().create(job_request(frame=key_frame(**changes)))
    assert message in wire.next("jobError")["error_message"]


def test_a_custom_size_without_both_sides_is_the_models_own(wire: Wire) -> None:
    project_id = wire.connect().create(job_request(frame=key_frame(height=...)))
    result = of_type(wire.finish(project_id), "jobResult")[0]
    with Image.open(io.BytesIO(wire.download(project_id, result["imgID"]))) as image:
        assert image.size == (1024, 1024)
