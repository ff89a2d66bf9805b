"""The rule of FlashVSR: decides resolution and timing of what is enlarged, and what it has no use for.

Called by `video_rules` (projects-5x §4.7). The limits of the source are the service's to check: it reads the
file, this reads none.
"""

from __future__ import annotations

from typing import Any

import attrs

from ..models.video_params import VideoProjectParams
from .field_checks import integer, number, refusal, shown
from .video_families import VideoModel

RESOLUTIONS = (1080, 1440)

_PROMPTS = ("positive_prompt", "negative_prompt", "style_prompt")
_UNUSED = ("teacache_threshold", "control_net", "video_start")


def check_flashvsr(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params with the resolution filled in; ValidationError for what breaks a rule."""
    resolution = params.upscale_resolution
    if resolution is None and params.width and params.height:
        side = min(params.width, params.height)
        resolution = next((it for it in RESOLUTIONS if it == side), None)
    if resolution not in RESOLUTIONS:
        allowed = " or ".join(map(str, RESOLUTIONS))
        sentence = f"upscale_resolution must be {allowed}, not {shown(resolution)}"
        raise refusal("upscale_resolution", resolution, RESOLUTIONS, sentence)
    _check_timing(params)
    for name in _PROMPTS:
        if getattr(params, name):
            raise _unused(params, name, getattr(params, name))
    for name in _UNUSED:
        if getattr(params, name) is not None:
            raise _unused(params, name, getattr(params, name))
    if params.trim_end_frame:
        raise _unused(params, "trim_end_frame", True)
    if params.generate_audio is False:
        raise _unused(params, "generate_audio", False)
    if params.number_of_media != 1:
        raise refusal("number_of_media", params.number_of_media, "1")
    return attrs.evolve(params, upscale_resolution=resolution)


def _unused(params: VideoProjectParams, name: str, value: Any) -> Exception:
    return refusal(name, value, "None", f"{name}: {params.model_id} has no use for it")


def _check_timing(params: VideoProjectParams) -> None:
    """The source says how long it is; who says it too must be right, and say enough."""
    if params.frames is not None:
        integer("frames", params.frames, low=1)
    elif params.duration is not None:
        if not params.fps:
            raise refusal("fps", params.fps, "a number", "fps: a duration needs fps beside it")
        number("duration", params.duration, low=1 / params.fps)
