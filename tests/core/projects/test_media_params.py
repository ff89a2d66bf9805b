"""Params of video and audio projects: from keywords, an object, a snapshot or a record."""

from __future__ import annotations

import base64
import json
from typing import Any, get_type_hints

import attrs
import pytest

from sogni.core.projects.params import (
    params_from_record,
    params_from_snapshot,
    params_snapshot,
    project_params,
    video_control_net_params,
    video_keyframes,
)
from sogni.errors import ValidationError
from sogni.models.converter import read
from sogni.models.params import (
    AudioProjectParams,
    VideoControlNetParams,
    VideoKeyframe,
    VideoProjectParams,
)
from sogni.models.project_fields import AudioProjectFields, VideoProjectFields
from sogni.models.projects import ProjectRecord
from tests.tables import each_row

T2V, ACE = "wan_v2.2-14b-fp8_t2v", "ace_step_1.5_turbo"


@pytest.mark.parametrize(
    ("kind", "fields"), [(VideoProjectParams, VideoProjectFields), (AudioProjectParams, AudioProjectFields)]
)
def test_keywords_are_the_fields_of_the_class(kind: Any, fields: Any) -> None:
    hints, own = get_type_hints(fields), get_type_hints(kind)
    assert set(hints) == {it.name for it in attrs.fields(kind)}
    assert {name: hint for name, hint in hints.items() if name not in ("type", "model_id")} == {
        name: hint for name, hint in own.items() if name not in ("type", "model_id")
    }


@pytest.mark.parametrize(
    ("type_", "kind", "fields"),
    [
        ("video", VideoProjectParams, {"model_id": T2V, "duration": 5, "sam2_coordinates": [{"x": 1, "y": 2}]}),
        ("audio", AudioProjectParams, {"model_id": ACE, "lyrics": "la", "composer_mode": False}),
    ],
)
def test_keywords_and_an_object_mean_the_same(type_: str, kind: Any, fields: dict[str, Any]) -> None:
    made = project_params(None, {"type": type_, **fields})
    assert made == project_params(kind(**fields), {}) == kind(**fields)
    assert made.type == type_


def test_mappings_become_objects() -> None:
    expected = VideoProjectParams(
        model_id=T2V,
        control_net=VideoControlNetParams(name="pose", strength=0.5),
        keyframes=[VideoKeyframe(image=b"k", frame_index=3)],
    )
    given: dict[str, Any] = {
        "model_id": T2V,
        "control_net": {"name": "pose", "strength": 0.5},
        "keyframes": [{"image": b"k", "frame_index": 3}],
    }
    assert expected == project_params(None, {"type": "video", **given}) == project_params(expected, {})
    assert expected == project_params(VideoProjectParams(**given), {})


@each_row(
    ("fields", "expected"),
    [
        ({"type": "video", "model_id": T2V, "durations": 5}, "video projects have no keyword 'durations'"),
        ({"type": "audio", "model_id": ACE, "lyric": ""}, "audio projects have no keyword 'lyric'"),
        ({"type": "video", "model_id": T2V, "size_preset": "square"}, "video projects have no keyword 'size_preset'"),
        ({"type": "audio", "model_id": ACE, "control_net": {}}, "audio projects have no keyword 'control_net'"),
        ({"type": "video", "model_id": T2V, "output_scale": 2}, "video projects have no keyword 'output_scale'"),
        ({"type": "video", "model_id": T2V, "control_net": {"name": "x", "image": 1}}, "has no field 'image'"),
        ({"type": "video", "model_id": T2V, "control_net": {}}, "field 'name' of the control net is missing"),
        ({"type": "video", "model_id": T2V, "keyframes": [{"image": 1}]}, "'frame_index' of the keyframe is missing"),
    ],
)
def test_wrong_names_are_type_errors(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(TypeError, match=expected):
        project_params(None, fields)


@pytest.mark.parametrize("given", ["pose", 3, ["pose"]])
def test_a_control_net_is_nothing_else(given: Any) -> None:
    with pytest.raises(ValidationError, match="control_net must be VideoControlNetParams or a mapping"):
        video_control_net_params(given)


@pytest.mark.parametrize(("given", "field"), [("x", "keyframes"), ([None], "keyframes[0]"), ([[]], "keyframes[0]")])
def test_keyframes_are_nothing_else(given: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        video_keyframes(given)
    assert field == caught.value.field


VIDEO = VideoProjectParams(
    model_id=T2V,
    disable_nsfw_filter=True,
    duration=5,
    reference_image_urls=("https://example.test/i",),
    sam2_coordinates=({"x": 0.5, "y": 1},),
    control_net=VideoControlNetParams(name="pose", strength=0.5),
)
AUDIO = AudioProjectParams(model_id=ACE, lyrics="la", composer_mode=False, output_format="flac")


def test_a_snapshot_has_the_names_of_the_wire() -> None:
    snapshot = json.loads(json.dumps(params_snapshot(VIDEO)))
    assert snapshot == {
        "type": "video",
        "modelId": T2V,
        "positivePrompt": "",
        "numberOfMedia": 1,
        "disableNSFWFilter": True,
        "duration": 5,
        "referenceImageUrls": ["https://example.test/i"],
        "sam2Coordinates": [{"x": 0.5, "y": 1}],
        "controlNet": {"name": "pose", "strength": 0.5},
    }
    assert params_snapshot(AUDIO)["composerMode"] is False


@pytest.mark.parametrize("params", [VIDEO, AUDIO])
def test_a_snapshot_becomes_params_again(params: Any) -> None:
    restored = params_from_snapshot(json.loads(json.dumps(params_snapshot(params))))
    assert params_snapshot(params) == params_snapshot(restored)
    assert type(restored) is type(params)


def test_a_snapshot_holds_no_media() -> None:
    singles = (
        "reference_image", "reference_image_end", "reference_audio", "reference_audio_identity", "reference_video",
        "reference_mask",
    )  # fmt: skip
    lists = ("context_images", "reference_videos", "reference_audios")
    media: dict[str, Any] = dict.fromkeys(singles, b"bytes") | {name: [b"bytes"] for name in lists}
    given = VideoProjectParams(model_id=T2V, keyframes=[{"image": b"k", "frame_index": 1}], **media)
    assert params_snapshot(given) == params_snapshot(VideoProjectParams(model_id=T2V))
    voice = AudioProjectParams(model_id=ACE, reference_audio=b"a")
    assert params_snapshot(voice) == params_snapshot(AudioProjectParams(model_id=ACE))


def test_params_in_a_mapping_are_a_snapshot_too() -> None:
    given = VideoProjectParams(model_id=T2V, control_net={"name": "pose"})
    assert params_snapshot(given)["controlNet"] == {"name": "pose"}


def record(request: dict[str, Any], **fields: Any) -> ProjectRecord:
    encoded = base64.b64encode(json.dumps(request).encode()).decode()
    return read(ProjectRecord, {"id": "P", "clientRequestData": encoded, **fields})


def test_a_recorded_video_says_what_it_was() -> None:
    """Projects-5x §9.4: the record first, then the request."""
    frame = {"modelID": T2V, "width": 640, "height": 480, "frames": 81, "fps": 16, "duration": 5, "steps": 4}
    params = params_from_record(record({"keyFrames": [frame]}, modelType="video", videoFrames=97, videoFps=24))
    expected = VideoProjectParams(model_id=T2V, width=640, height=480, frames=97, fps=24, duration=5, steps=4)
    assert expected == params
    plain = params_from_record(record({"keyFrames": [frame]}, model={"id": "x", "type": "video"}))
    assert plain == attrs.evolve(expected, frames=81, fps=16)


@pytest.mark.parametrize("named", ["audio", "music"])
def test_recorded_audio_says_what_it_was(named: str) -> None:
    request = {"keyFrames": [{"modelID": ACE, "duration": 30, "width": 5}], "outputFormat": "wav", "numberOfImages": 2}
    expected = AudioProjectParams(model_id=ACE, duration=30, output_format="wav", number_of_media=2)
    assert expected == params_from_record(record(request, modelType=named))
