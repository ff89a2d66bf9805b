"""The table of video families, looked up by model id (projects-4.2 §6.1, §6.6; projects-5x §3.3, §4)."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import fields

from sogni.core.catalogue.model_families import families, model_names
from sogni.core.catalogue.video_models import (
    calculate_video_frames,
    frames_for_audio_guide,
    rows,
    video_model,
    video_row,
)
from sogni.errors import ValidationError
from sogni.models.params import VideoProjectParams
from tests.tables import each_row

VIDEO_IDS = sorted(model_id for family in families() if family.media == "video" for model_id in family.ids)


@each_row("model_id", VIDEO_IDS)
def test_every_video_id_has_a_row(model_id: str) -> None:
    assert video_row(model_id) == video_model(model_id)


def test_every_row_is_some_ids_row() -> None:
    """A row that no id reaches would be a rule nobody keeps."""
    reached = {(row.family, row.ids, row.workflows) for row in map(video_row, VIDEO_IDS)}
    assert reached == {(row.family, row.ids, row.workflows) for row in rows()}


@each_row(
    ("model_id", "expected"),
    [
        ("wan_v2.2-14b-fp8_t2v", (1, 10)),
        ("wan_v2.2-14b-fp8_s2v_lightx2v", (1, 10)),
        ("wan_v2.2-14b-fp8_animate-move_lightx2v", (1, 20)),
        ("wan_v2.2-14b-fp8_animate-replace_lightx2v", (1, 20)),
        ("ltx2-19b-fp8_t2v", (4, 20)),
        ("ltx23-22b-10eros-v1.4-fp8mixed_i2v", (4, 20)),
        ("ltx25-22b-int8_v2v_dev", (2, 20)),
        ("seedance-2-0", (4, 15)),
        ("seedance-2-0-mini", (4, 15)),
        ("seedance-2-0-fast", (4, 15)),
        ("seedance-2-0-mini-uncensored", (4, 15)),
        ("seedance-2-5", (4, 30)),
        ("seedance-2-5-uncensored", (4, 30)),
        ("happyhorse-1.1-r2v", (3, 15)),
        ("wan3.0-spicy-video", (2, 30)),
        ("minimax-h3-ref2va-fp8_r2v", (124 / 24, 362 / 24)),
        ("flashvsr_v1.1_tiny_long_bf16", None),
    ],
)
def test_seconds(model_id: str, expected: tuple[float, float] | None) -> None:
    assert expected == video_row(model_id).seconds


@each_row(
    ("model_id", "steps"),
    [
        ("minimax-h3-fl2va-fp8_t2v", 20),
        ("minimax-h3-fl2va-fp8_i2v_balanced", 8),
        ("minimax-h3-ref2va-fp8_r2v_turbo", 4),
        ("minimax-h3-fastvideo-int8_flf2v_turbo", 4),
        ("minimax-h3-fastvideo-int8_a2v_turbo", 4),
        ("minimax-h3-fastvideo-int8_ia2v_turbo_2stage", 4),
        ("minimax-h3-ref2va-fp8_r2v_2stage", 20),
        ("minimax-h3-ref2va-fp8_r2v_balanced_2stage", 8),
        ("minimax-h3-fastvideo-omni-int8_r2v_turbo_2stage", 8),
        ("wan_v2.2-14b-fp8_t2v", None),
    ],
)
def test_h3_models_run_with_one_number_of_steps(model_id: str, steps: int | None) -> None:
    assert steps == video_row(model_id).steps


def test_keyframes_belong_to_all_of_h3_but_t2v() -> None:
    models = fields(VideoProjectParams).keyframes.metadata["parameter"].models
    assert len([model_id for model_id in VIDEO_IDS if not model_names(model_id).isdisjoint(models)]) == 23


@pytest.mark.parametrize("model_id", ["flux1-schnell-fp8", "ace_step_1.5_turbo", "wan_v9", "", "SEEDANCE-2-0"])
def test_other_ids_have_no_row(model_id: str) -> None:
    assert video_model(model_id) is None
    with pytest.raises(ValidationError, match="is not a video model") as caught:
        video_row(model_id)
    assert (caught.value.field, caught.value.value) == ("model_id", model_id)


def test_a_wrong_id_names_the_nearest() -> None:
    with pytest.raises(ValidationError, match="did you mean 'seedance-2-0'"):
        video_row("seedance-20")


# Protocol notes: projects-4.2 §6.5, projects-5x §3.3, additions-5x §13.
FRAMES: list[tuple[str, float, float | None, int]] = [
    ("wan_v2.2-14b-fp8_t2v", 2.53125, None, 42),
    ("wan_v2.2-14b-fp8_t2v", 5, 32, 81),
    ("ltx23-22b-fp8_t2v_dev", 1, 20, 25),
    ("ltx23-22b-fp8_t2v_dev", 1, 12, 17),
    ("ltx23-22b-fp8_t2v_dev", 4.1, 25, 105),
    ("ltx23-22b-fp8_t2v_dev", 8, None, 193),
    ("seedance-2-0", 15, None, 361),
    ("wan3.0-video", 5, None, 151),
    ("minimax-h3-fl2va-fp8_t2v", 5.1667, None, 124),
    ("minimax-h3-fl2va-fp8_t2v", 10, None, 243),
    ("minimax-h3-fl2va-fp8_t2v", 15, None, 362),
    ("flashvsr_v1.1_tiny_long_bf16", 2.5, 25, 63),
]


@pytest.mark.parametrize(("model_id", "duration", "fps", "frames"), FRAMES)
def test_frames_follow_from_the_duration(model_id: str, duration: float, fps: float | None, frames: int) -> None:
    assert frames == calculate_video_frames(model_id, duration, fps)


@pytest.mark.parametrize(("seconds", "frames"), [(3, 124), (5.875, 141), (5.9, 158), (20, 362), (0.1, 124)])
def test_frames_that_cover_an_audio_guide(seconds: float, frames: int) -> None:
    assert frames == frames_for_audio_guide(seconds)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "5", None])
def test_durations_are_positive_numbers(value: Any) -> None:
    for call in (lambda: calculate_video_frames("seedance-2-0", value), lambda: frames_for_audio_guide(value)):
        with pytest.raises(ValidationError) as caught:
            call()
        assert caught.value.field in ("duration", "seconds")


@pytest.mark.parametrize(
    ("model_id", "fps", "field"),
    [
        ("flux1-schnell-fp8", None, "model_id"),
        ("flashvsr_v1.1_tiny_long_bf16", None, "fps"),
        ("seedance-2-0", 0, "fps"),
    ],
)
def test_frames_need_a_video_model_and_fps(model_id: str, fps: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        calculate_video_frames(model_id, 5, fps)
    assert caught.value.field == field
