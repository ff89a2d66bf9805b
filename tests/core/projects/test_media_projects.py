"""Video and audio projects take the same way as images (projects-4.2 §4.6, §10.2, §16)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.create import create_project, estimate_audio, estimate_project, estimate_video
from sogni.errors import CostLimitError, ValidationError
from sogni.models.params import VideoProjectParams
from tests.core.play import PNG, Stage, bare, estimate, ok

I2V, T2V, ACE = "wan_v2.2-14b-fp8_i2v", "wan_v2.2-14b-fp8_t2v", "ace_step_1.5_turbo"
SEEDANCE = "seedance-2-0"
MP3 = b"ID3" + b"sound" * 4
SENT = ("frame jobRequest", None)

VIDEO_TIER = {
    "type": "video",
    "width": {"default": 640},
    "height": {"default": 480},
    "fps": {"allowed": [16, 32], "default": 16},
    "frames": {"default": 81},
}
AUDIO_TIER = {"type": "audio", "duration": {"default": 30}, "steps": {"default": 8}}


def catalogue(model_id: str, tier: dict[str, Any]) -> list[tuple[str, Any]]:
    model = {"id": model_id, "name": "M", "SID": 7, "tier": "tier", "media": tier["type"]}
    return [
        ("GET socket/api/v1/models/list", bare([model])),
        ("GET socket/api/v2/models/tiers", bare({"tier": tier})),
    ]


def uploaded(query: str, field: str, endpoint: str = "media") -> list[tuple[str, Any]]:
    return [
        (f"GET rest/v1/{endpoint}/uploadUrl?{query}", ok({"uploadUrl": f"https://store/{field}"})),
        (f"PUT the bytes given as {field} to https://store/{field}", ok()),
    ]


def test_a_video_is_uploaded_noted_and_sent() -> None:
    stage = Stage().connects()
    project = stage.play(
        create_project(VideoProjectParams(model_id=I2V, reference_image=PNG, duration=5), {}),
        *catalogue(I2V, VIDEO_TIER),
        *uploaded("imageId=ID-2&jobId=ID-1&type=referenceImage&contentType=image%2Fpng", "reference_image", "image"),
        SENT,
    )
    frame = stage.frames[0][1]["keyFrames"][0]
    assert (frame["frames"], frame["hasReferenceImage"], frame["referenceImageContentType"]) == (81, True, "image/png")
    assert (project.kind, project.params.type) == ("video", "video")


def test_files_go_one_after_the_other_and_all_are_noted() -> None:
    stage = Stage().connects()
    fields = {"reference_image": PNG, "reference_audio": MP3, "reference_audio_identity": MP3}
    stage.play(
        create_project(None, {"type": "video", "model_id": SEEDANCE, **fields}),
        *catalogue(SEEDANCE, VIDEO_TIER),
        *uploaded("imageId=ID-2&jobId=ID-1&type=referenceImage&contentType=image%2Fpng", "reference_image", "image"),
        *uploaded("jobId=ID-1&type=referenceAudio&contentType=audio%2Fmpeg", "reference_audio"),
        *uploaded("jobId=ID-1&type=referenceAudio&contentType=audio%2Fmpeg", "reference_audio_identity"),
        SENT,
    )
    frame = stage.frames[0][1]["keyFrames"][0]
    assert {key for key in frame if key.endswith("ContentType")} == {
        "referenceImageContentType",
        "referenceAudioContentType",
        "referenceAudioIdentityContentType",
    }


def test_music_is_sent() -> None:
    stage = Stage().connects()
    fields = {"type": "audio", "model_id": ACE, "lyrics": "la", "output_format": "flac"}
    project = stage.play(create_project(None, fields), *catalogue(ACE, AUDIO_TIER), SENT)
    assert (stage.frames[0][1]["outputFormat"], project.kind) == ("flac", "audio")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "video", "model_id": I2V}, "reference_image"),
        ({"type": "video", "model_id": I2V, "reference_image": MP3}, "reference_image"),
        ({"type": "video", "model_id": "flux1-schnell-fp8"}, "model_id"),
        ({"type": "audio", "model_id": ACE, "bpm": "fast"}, "bpm"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_asked(fields: dict[str, Any], field: str) -> None:
    assert Stage().connects().fail(ValidationError, create_project(None, fields)).field == field


def test_a_video_above_the_limit_is_not_uploaded() -> None:
    stage = Stage().connects()
    fields = {"type": "video", "model_id": I2V, "reference_image": PNG}
    asked = f"GET socket/api/v1/job-video/estimate/sogni/{I2V}/640/480/81/16?network=fast"
    error = stage.fail(
        CostLimitError, create_project(None, fields, 1), *catalogue(I2V, VIDEO_TIER), (asked, estimate("2.5"))
    )
    assert error.max_cost == 1


@pytest.mark.parametrize(
    ("fields", "tier", "path"),
    [
        (
            {"type": "video", "model_id": T2V, "duration": 2, "token_type": "spark"},
            VIDEO_TIER,
            f"job-video/estimate/spark/{T2V}/640/480/33/16?network=relaxed",
        ),
        ({"type": "audio", "model_id": ACE}, AUDIO_TIER, f"job-audio/estimate/sogni/{ACE}/30/8/1?network=relaxed"),
    ],
)
def test_a_project_costs_what_its_params_say(fields: dict[str, Any], tier: dict[str, Any], path: str) -> None:
    Stage(network="relaxed").play(
        estimate_project(None, fields), *catalogue(fields["model_id"], tier), (f"GET socket/api/v1/{path}", estimate())
    )


def test_a_video_of_which_everything_is_said_needs_no_model() -> None:
    asked = f"GET socket/api/v1/job-video/estimate/sogni/{T2V}/640/480/81/16"
    Stage().play(estimate_video(T2V, width=640, height=480, fps=16, duration=5), (asked, estimate()))


def test_the_model_says_the_rest() -> None:
    asked = f"GET socket/api/v1/job-video/estimate/sogni/{T2V}/640/480/81/16?network=fast"
    Stage().play(estimate_video(T2V, network="fast"), *catalogue(T2V, VIDEO_TIER), (asked, estimate()))
    asked = f"GET socket/api/v1/job-audio/estimate/sogni/{ACE}/60/8/1"
    Stage().play(estimate_audio(ACE, duration=60), *catalogue(ACE, AUDIO_TIER), (asked, estimate()))


@pytest.mark.parametrize(("announced", "query"), [("relaxed", "?network=relaxed"), ("warp", "")])
def test_the_network_is_the_one_last_announced(announced: str, query: str) -> None:
    """Projects-5x §16; one that nobody knows is left to the service."""
    stage = Stage().connects().receives("changeNetwork", {"network": announced})
    asked = f"GET socket/api/v1/job-audio/estimate/sogni/{ACE}/60/8/1{query}"
    stage.play(estimate_audio(ACE, duration=60, steps=8), (asked, estimate()))
