"""Frames from seconds, fps on the wire (projects-4.2 §6.5, §6.7; projects-5x §3.3)."""

from __future__ import annotations

import pytest

from sogni.core.catalogue.video_models import H3_GRID, Timing, half_up, video_row
from tests.tables import each_row

WAN, LTX, SEEDANCE = "wan_v2.2-14b-fp8_t2v", "ltx23-22b-fp8_t2v_dev", "seedance-2-0"
HORSE, WAN3, FLASH = "happyhorse-1.1-t2v", "wan3.0-video", "flashvsr_v1.1_tiny_long_bf16"
H3 = "minimax-h3-fl2va-fp8_t2v"


@each_row(
    ("model", "duration", "fps", "expected"),
    [
        (WAN, 2.53125, None, 42),
        (WAN, 5, None, 81),
        (WAN, 5, 32, 81),
        (LTX, 1, 20, 25),
        (LTX, 1, 12, 17),
        (LTX, 4.1, 25, 105),
        (LTX, 3.3, 30, 97),
        (LTX, 8, 24, 193),
        (LTX, 8, None, 193),
        (LTX, 20, 60, 1201),
        (SEEDANCE, 15, None, 361),
        (SEEDANCE, 5, 30, 151),
        (HORSE, 5, None, 121),
        (WAN3, 5, None, 151),
        (H3, 5.1667, None, 124),
        (H3, 5.5, None, 124),
        (H3, 5.55, None, 141),
        (H3, 6, None, 141),
        (H3, 8, 24, 192),
        (H3, 10, None, 243),
        (H3, 15, None, 362),
        (H3, 1, None, 124),
        (H3, 99, None, 362),
        (FLASH, 2.5, 25, 63),
        (LTX, 5, 0, 1),
    ],
)
def test_frames_follow_from_seconds(model: str, duration: float, fps: float | None, expected: int) -> None:
    assert expected == video_row(model).timing.frames(duration, fps)


@pytest.mark.parametrize(
    ("model", "expected"),
    [(WAN, None), (LTX, None), (SEEDANCE, 24), (HORSE, 24), (WAN3, 30), (H3, 24), (FLASH, None)],
)
def test_some_families_say_fps_when_the_caller_does_not(model: str, expected: float | None) -> None:
    assert expected == video_row(model).timing.sent_fps


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (1.5, 2), (2.5, 3), (2.4999, 2), (-0.5, 0)])
def test_a_half_goes_up(value: float, expected: int) -> None:
    assert expected == half_up(value)


def test_without_any_fps_seconds_say_nothing() -> None:
    with pytest.raises(ValueError, match="needs fps"):
        Timing(usual_fps=None).frames(5, None)


def test_the_grid_of_h3_has_fifteen_places() -> None:
    places = [frames for frames in range(500) if H3_GRID.has(frames)]
    assert (len(places), places[0], places[1], places[-1]) == (15, 124, 141, 362)
