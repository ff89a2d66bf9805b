"""The URLs of video and audio estimates (projects-4.2 §16.2, §16.3; projects-5x §16)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.http import HttpCall
from sogni.core.projects.audio_requests import check_audio_params
from sogni.core.projects.estimates import (
    audio_estimate_call,
    estimate_for_audio,
    estimate_for_video,
    needs_options,
    video_estimate_call,
)
from sogni.core.projects.video_requests import check_video_params
from sogni.errors import ValidationError
from sogni.models.catalogue import ModelOptions, NumberRange
from sogni.models.params import AudioProjectParams, VideoProjectParams
from tests.tables import each_row

T2V, SEEDANCE, H3_R2V = "wan_v2.2-14b-fp8_t2v", "seedance-2-0", "minimax-h3-ref2va-fp8_r2v"
V2V, FLASH, ACE = "ltx23-22b-fp8_v2v_distilled", "flashvsr_v1.1_tiny_long_bf16", "ace_step_1.5_turbo"
URL = "https://example.test/it"
VIDEO: dict[str, Any] = {"width": 640, "height": 480, "fps": 16, "duration": 5}
TIER = ModelOptions(
    type="video",
    width=NumberRange(default=640),
    height=NumberRange(default=480),
    fps={"allowed": [16, 32], "default": 16},
    frames=NumberRange(default=81),
)
MUSIC = ModelOptions(type="audio", duration=NumberRange(default=30), steps=NumberRange(default=8))


def shown(call: HttpCall) -> tuple[str, str]:
    assert (call.method, call.host) == ("GET", "socket")
    return call.path, "&".join(f"{name}={value}" for name, value in call.query)


@each_row(
    ("model", "given", "expected"),
    [
        (T2V, {}, f"spark/{T2V}/640/480/81/16"),
        (T2V, {"token_type": "sogni", "fps": 32}, f"sogni/{T2V}/640/480/81/32"),
        (T2V, {"frames": 33}, f"spark/{T2V}/640/480/33/16"),
        (T2V, {"frames": 0}, f"spark/{T2V}/640/480/81/16"),
        (T2V, {"frames": 33, "duration": None}, f"spark/{T2V}/640/480/33/16"),
        (T2V, {"steps": 10, "number_of_media": 3}, f"spark/{T2V}/640/480/81/16/10/3"),
        (T2V, {"steps": 0}, f"spark/{T2V}/640/480/81/16/0/1"),
        (T2V, {"number_of_media": 2}, f"spark/{T2V}/640/480/81/16/0/2"),
        (T2V, {"number_of_media": 1}, f"spark/{T2V}/640/480/81/16"),
        (SEEDANCE, {"duration": 6, "fps": None}, f"spark/{SEEDANCE}/640/480/145/24"),
        (H3_R2V, {"duration": 6, "fps": None}, f"spark/{H3_R2V}/640/480/141/24"),
        (FLASH, {"duration": 2.5, "fps": 25}, f"spark/{FLASH}/640/480/63/25"),
        ("new model/9", {"fps": 10}, "spark/new%20model%2F9/640/480/51/10"),
        ("a-_.!~*'()", {"fps": 10}, "spark/a-_.!~*'()/640/480/51/10"),
        (T2V, {"width": 640.0}, f"spark/{T2V}/640/480/81/16"),
        (T2V, {"width": 0, "height": 0, "fps": 0}, f"spark/{T2V}/0/0/81/0"),
    ],
)
def test_the_path_of_a_video(model: str, given: dict[str, Any], expected: str) -> None:
    assert (f"/api/v1/job-video/estimate/{expected}", "") == shown(video_estimate_call(model, **VIDEO | given))


@each_row(
    ("given", "expected"),
    [
        ({"has_video_input": True}, "hasVideoInput=1"),
        ({"has_video_input": False}, ""),
        ({"reference_video": b"v"}, "hasVideoInput=1"),
        ({"reference_video": True}, "hasVideoInput=1"),
        ({"reference_video": False, "reference_video_urls": []}, ""),
        ({"reference_video_urls": [URL]}, "hasVideoInput=1"),
        ({"source_width": 640, "source_height": 360}, "sourceWidth=640&sourceHeight=360"),
        ({"source_width": 640}, ""),
        ({"source_height": 640}, ""),
        ({"reference_image_count": 2.9, "reference_video_count": 0}, "referenceImageCount=2&referenceVideoCount=0"),
        ({"reference_video_duration_seconds": 7.5}, "referenceVideoDurationSeconds=7.5"),
        ({"keyframe_count": 3}, "keyframeCount=3"),
        ({"keyframe_count": 0}, ""),
        ({"network": "relaxed", "billing_mode": "tokens"}, "network=relaxed&billingMode=tokens"),
    ],
)
def test_the_query_of_a_video(given: dict[str, Any], expected: str) -> None:
    assert expected == shown(video_estimate_call(SEEDANCE, **VIDEO, **given))[1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"duration": 30, "steps": 8}, "spark/ace_step_1.5_turbo/30/8/1"),
        ({"duration": 120.5, "steps": 16, "number_of_media": 4, "token_type": "sogni"},
         "sogni/ace_step_1.5_turbo/120.5/16/4"),
        ({"duration": 0, "steps": 0}, "spark/ace_step_1.5_turbo/0/0/1"),
    ],
)  # fmt: skip
def test_the_path_of_audio(given: dict[str, Any], expected: str) -> None:
    assert (f"/api/v1/job-audio/estimate/{expected}", "") == shown(audio_estimate_call(ACE, **given))


def test_the_query_of_audio() -> None:
    call = audio_estimate_call(ACE, duration=30, steps=8, network="fast", billing_mode="auto")
    assert shown(call)[1] == "network=fast&billingMode=auto"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "640/480/81/16"),
        ({"width": 0, "height": 720}, "0/720/81/16"),
        ({"duration": 2}, "640/480/33/16"),
        ({"fps": 32}, "640/480/81/32"),
    ],
)
def test_what_is_not_said_is_the_models_usual_value(given: dict[str, Any], expected: str) -> None:
    assert shown(video_estimate_call(T2V, **given, options=TIER))[0].endswith(f"{T2V}/{expected}")


def test_a_family_knows_its_fps() -> None:
    call = video_estimate_call(T2V, width=640, height=480, duration=5, options=ModelOptions(type="video"))
    assert shown(call)[0].endswith("/81/16")


def test_what_is_not_said_of_audio_is_the_models_usual_value() -> None:
    assert shown(audio_estimate_call(ACE, options=MUSIC))[0].endswith(f"/{ACE}/30/8/1")


REFUSED: list[tuple[Any, str, dict[str, Any], str]] = [
    *((video_estimate_call, T2V, VIDEO | {name: None}, name) for name in ("width", "height", "duration")),
    (video_estimate_call, FLASH, VIDEO | {"fps": None}, "fps"),
    (video_estimate_call, T2V, VIDEO | {"duration": None, "options": ModelOptions(type="video")}, "duration"),
    (video_estimate_call, T2V,
     VIDEO | {"width": None, "options": ModelOptions(type="video", width=NumberRange(default=None))}, "width"),
    (video_estimate_call, "", VIDEO, "model"),
    *(
        (video_estimate_call, T2V, VIDEO | {name: value}, name)
        for name, value in {
            "width": "640", "height": True, "fps": "16", "duration": float("nan"), "frames": 1.5, "steps": "8",
            "number_of_media": 0, "token_type": "gold", "network": "slow", "billing_mode": "cash",
            "has_video_input": 1, "reference_image_count": -1, "reference_video_count": "2",
            "reference_video_duration_seconds": float("inf"), "source_width": "1", "keyframe_count": -1,
        }.items()
    ),
    *((audio_estimate_call, ACE, {"duration": 30, "steps": 8, name: None}, name) for name in ("duration", "steps")),
    (audio_estimate_call, ACE, {"duration": 30, "steps": 8, "number_of_media": 0}, "number_of_media"),
    (audio_estimate_call, ACE, {"duration": "30", "steps": 8}, "duration"),
]  # fmt: skip


@each_row(("call_for", "model", "given", "field"), REFUSED)
def test_what_is_missing_or_wrong_is_named(call_for: Any, model: str, given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        call_for(model, **given)
    assert field == caught.value.field


@each_row(
    ("call_for", "wanted", "expected"),
    [
        (video_estimate_call, VIDEO, False),
        (video_estimate_call, {**VIDEO, "duration": None, "frames": 5}, False),
        (video_estimate_call, {**VIDEO, "fps": None}, True),
        (video_estimate_call, {}, True),
        (video_estimate_call, {**VIDEO, "width": 0, "fps": 0}, False),
        (video_estimate_call, {**VIDEO, "duration": None, "frames": 0}, True),
        (audio_estimate_call, {"duration": 30, "steps": 8}, False),
        (audio_estimate_call, {"duration": 30}, True),
        (audio_estimate_call, {"duration": 0, "steps": 0}, False),
    ],
)
def test_the_model_is_asked_only_for_what_is_not_said(call_for: Any, wanted: dict[str, Any], expected: bool) -> None:
    assert expected == needs_options(call_for, wanted)


@pytest.mark.parametrize(
    ("model_id", "fields", "path", "query"),
    [
        (T2V, {}, "spark/{}/640/480/81/16", ""),
        (T2V, {"width": 900, "height": 600, "duration": 2, "frames": 5}, "spark/{}/900/600/33/16", ""),
        (T2V, {"steps": 4, "number_of_media": 2}, "spark/{}/640/480/81/16/4/2", ""),
        (V2V, {"reference_video": b"v", "frames": 97}, "spark/{}/640/480/97/16", "hasVideoInput=1"),
        (SEEDANCE, {"duration": 6, "reference_image": b"i", "reference_image_urls": [URL],
                    "reference_video_urls": [URL]}, "spark/{}/640/480/145/24",
         "hasVideoInput=1&referenceImageCount=2&referenceVideoCount=1"),
        (H3_R2V, {"duration": 6, "reference_videos": [b"a", b"b"], "reference_video_durations": [3, 4.5],
                  "keyframes": [{"image": b"k", "frame_index": 4}]}, "spark/{}/640/480/141/24/20/1",
         "hasVideoInput=1&referenceVideoCount=2&referenceVideoDurationSeconds=7.5&keyframeCount=1"),
    ],
)  # fmt: skip
def test_params_say_what_a_video_is(model_id: str, fields: dict[str, Any], path: str, query: str) -> None:
    params = VideoProjectParams(**{"model_id": model_id, **fields})
    assert (f"/api/v1/job-video/estimate/{path.format(model_id)}", query) == shown(
        estimate_for_video(check_video_params(params), options=TIER)
    )


def test_params_outrank_the_clients_network_and_token() -> None:
    video = VideoProjectParams(model_id=T2V, token_type="sogni", network="fast")
    known: dict[str, Any] = {"network": "relaxed", "token_type": "spark"}
    assert "/sogni/" in shown(estimate_for_video(check_video_params(video), options=TIER, **known))[0]
    assert shown(estimate_for_video(check_video_params(video), options=TIER, **known))[1] == "network=fast"
    audio = AudioProjectParams(model_id=ACE, number_of_media=2, billing_mode="tokens")
    assert shown(
        estimate_for_audio(check_audio_params(audio), options=MUSIC, network="relaxed", token_type="sogni")
    ) == (
        f"/api/v1/job-audio/estimate/sogni/{ACE}/30/8/2",
        "network=relaxed&billingMode=tokens",
    )


def test_params_that_could_not_be_sent_are_refused() -> None:
    with pytest.raises(ValidationError, match="duration"):
        estimate_for_video(check_video_params(VideoProjectParams(model_id=T2V, duration=99)), options=TIER)
    with pytest.raises(ValidationError, match="bpm"):
        check_audio_params(AudioProjectParams(model_id=ACE, bpm="fast"))  # type: ignore[arg-type]
