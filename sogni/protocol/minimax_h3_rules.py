"""The rule of MiniMax H3: decides frames, canvas, audio guide and keyframes (projects-5x §4.6).

Called by `video_rules`; steps, guidance, fps and counts of the family are in its rows. It reads no file.
"""

from __future__ import annotations

import math

import attrs

from ..models.video_params import VideoKeyframe, VideoProjectParams
from .field_checks import integer, number, refusal
from .nested_params import video_keyframes
from .video_assets import counted
from .video_families import H3_GRID, VideoModel

MAX_KEYFRAMES = 8
SIDE_STEP, MAX_SIDE, MAX_PIXELS = 32, 1344, 1_032_192
CLIP_SECONDS, CLIPS_SECONDS, TOLERANCE = (2, 15), 15, 0.05
"""How long reference videos are, each and together, as far as the caller says."""


def check_minimax_h3(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params with plain keyframes; ValidationError for what breaks a rule."""
    if params.frames is not None and not H3_GRID.has(params.frames):
        allowed = f"{H3_GRID.base}, {H3_GRID.base + H3_GRID.step} and so on up to {H3_GRID.most}"
        raise refusal("frames", params.frames, allowed)
    _check_canvas(params)
    _check_audio(params, model)
    _check_clips(params, model)
    if params.reference_video_compression == "vpack" and not counted_videos(params, model):
        sentence = "reference_video_compression: 'vpack' needs a reference video"
        raise refusal("reference_video_compression", "vpack", "with a reference video", sentence)
    return attrs.evolve(params, keyframes=_checked_keyframes(params, model)) if params.keyframes else params


def counted_videos(params: VideoProjectParams, model: VideoModel) -> int:
    """Return how many reference videos there are; none where the model counts none."""
    return counted(params, model.references.videos) if model.references is not None else 0


def _check_canvas(params: VideoProjectParams) -> None:
    """Two-stage models deliver twice the canvas; the canvas itself is what is asked for."""
    if params.width is None and params.height is None:
        return
    width, height = (_side(name, getattr(params, name)) for name in ("width", "height"))
    if width * height > MAX_PIXELS:
        allowed = f"at most {MAX_PIXELS} pixels in all"
        raise refusal("width", width, allowed, f"width and height must make {allowed}, not {width}x{height}")


def _side(name: str, value: float | None) -> int:
    if value is None:
        raise refusal(name, None, "a number", f"{name}: width and height belong together")
    side = integer(name, value, low=SIDE_STEP, high=MAX_SIDE)
    if side % SIDE_STEP:
        raise refusal(name, side, f"a multiple of {SIDE_STEP} up to {MAX_SIDE}")
    return side


def _check_audio(params: VideoProjectParams, model: VideoModel) -> None:
    if params.audio_duration is not None:
        sentence = f"audio_duration: {params.model_id} takes none; the number of frames says how much is used"
        raise refusal("audio_duration", params.audio_duration, "None", sentence)
    if model.audio_guide:
        if params.generate_audio is False:
            sentence = f"generate_audio: {params.model_id} delivers the audio it is guided by"
            raise refusal("generate_audio", False, "True or None", sentence)
        if params.audio_start is not None:
            number("audio_start", params.audio_start, low=0)
    elif params.audio_start is not None:
        sentence = f"audio_start: {params.model_id} is not guided by audio"
        raise refusal("audio_start", params.audio_start, "None", sentence)


def _check_clips(params: VideoProjectParams, model: VideoModel) -> None:
    seconds = params.reference_video_durations
    if seconds is None:
        return
    name, videos = "reference_video_durations", counted_videos(params, model)
    if len(seconds) != videos:
        allowed = f"{videos} of them, one per reference video"
        raise refusal(name, seconds, allowed, f"{name}: there must be {allowed}, not {len(seconds)}")
    low, high = CLIP_SECONDS
    for index, clip in enumerate(seconds):
        if not low - TOLERANCE <= clip <= high + TOLERANCE:
            raise refusal(f"{name}[{index}]", clip, f"from {low} to {high} seconds")
    if math.fsum(seconds) > CLIPS_SECONDS + TOLERANCE:
        raise refusal(name, seconds, f"at most {CLIPS_SECONDS} seconds in all")


def _checked_keyframes(params: VideoProjectParams, model: VideoModel) -> list[VideoKeyframe]:
    frames = params.frames if params.duration is None else model.timing.frames(params.duration, params.fps)
    if frames is None:
        sentence = "keyframes: give duration or frames, so that there are frames to place them at"
        raise refusal("keyframes", params.keyframes, "with duration or frames", sentence)
    given = video_keyframes(params.keyframes)
    if len(given) > MAX_KEYFRAMES:
        sentence = f"keyframes: at most {MAX_KEYFRAMES} can be placed, not {len(given)}"
        raise refusal("keyframes", params.keyframes, f"at most {MAX_KEYFRAMES}", sentence)
    places: list[int] = []
    for index, frame in enumerate(given):
        name = f"keyframes[{index}].frame_index"
        place = integer(name, frame.frame_index, low=1, high=frames - 2)
        if place in places:
            raise refusal(name, place, "another frame", f"{name}: there is a keyframe at {place} already")
        places.append(place)
    return [attrs.evolve(frame, frame_index=place) for frame, place in zip(given, places, strict=True)]
