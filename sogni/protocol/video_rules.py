"""Whether a video project may be sent: decides types, limits, and the order in which errors are found.

Called before anything is asked of the service, and again by `video_request`. What differs between models are
rows of `video_families`; what no row can say is one function per family, in `FAMILY_RULES`. What only the
model's tier can tell (samplers) is not checked here; ranges the sheets call "not checked" are left to the
service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..models.video_params import VideoControlNetParams, VideoProjectParams
from .common_rules import FieldKinds, with_right_types
from .field_checks import items, number, one_of, optional, refusal, text
from .flashvsr_rules import check_flashvsr
from .minimax_h3_rules import check_minimax_h3
from .nested_params import video_control_net_params, video_keyframes
from .seedance_rules import check_seedance
from .upload_plan import is_supplied
from .video_assets import check_assets, check_special_fields
from .video_families import URL_LISTS, VideoModel, video_row
from .wan3_rules import RATIOS, check_wan3

FAMILY_RULES: Mapping[str, Callable[[VideoProjectParams, VideoModel], VideoProjectParams]] = {
    "seedance": check_seedance,
    "wan3": check_wan3,
    "minimax-h3": check_minimax_h3,
    "flashvsr": check_flashvsr,
}
"""What a family needs beyond its rows; they return the params, with what follows from others filled in."""

_KINDS = FieldKinds(
    texts=("output_format", "outpaint_position", "reference_file_url", "reference_link_url"),
    integers=("frames", "upscale_resolution"),
    numbers=(
        "duration", "fps", "width", "height", "shift", "teacache_threshold", "audio_identity_strength",
        "audio_start", "audio_duration", "video_start", "detailer_strength", "first_frame_strength",
        "last_frame_strength",
    ),
    flags=("generate_audio", "trim_end_frame", "return_last_frame", "prompt_extend", "watermark"),
    choices={
        "seedance_task_type": ("reference", "edit", "extend"),
        "ratio": RATIOS,
        "extend_output": ("extended", "continuation"),
        "reference_video_compression": ("none", "vpack"),
        "detail_preference": ("stable", "sharper"),
        "processing_speed": ("stable", "faster"),
    },
)  # fmt: skip


def check_video_params(params: VideoProjectParams) -> VideoProjectParams:
    """Return the params with plain numbers and lists; ValidationError otherwise.

    First wrong types, then the model, formats and fields of other models, media, the family's rule, and the
    ranges in the order of projects-4.2 §6.8.
    """
    params = _with_right_types(params)
    model = video_row(params.model_id)
    optional(one_of, "output_format", params.output_format, allowed=model.formats)
    check_special_fields(params, model)
    check_assets(params, model)
    _check_fixed_values(params, model)
    rule = FAMILY_RULES.get(model.family)
    params = rule(params, model) if rule is not None else params
    if model.seconds is not None:
        optional(number, "duration", params.duration, low=model.seconds[0], high=model.seconds[1])
    optional(number, "teacache_threshold", params.teacache_threshold, low=0, high=1)
    params = attrs.evolve(params, control_net=_checked_control_net(video_control_net_params(params.control_net)))
    if model.smallest_side is not None and has_size(params):
        number("width", params.width, low=model.smallest_side)
        number("height", params.height, low=model.smallest_side)
    return params


def _with_right_types(params: VideoProjectParams) -> VideoProjectParams:
    lists: dict[str, Any] = {name: optional(items, name, getattr(params, name), item=_address) for name in URL_LISTS}
    for name in ("context_images", "reference_videos", "reference_audios"):
        lists[name] = optional(items, name, getattr(params, name), item=_media)
    keyframes = None if params.keyframes is None else video_keyframes(params.keyframes)
    for index, frame in enumerate(keyframes or ()):
        _media(f"keyframes[{index}].image", frame.image)
    return attrs.evolve(
        with_right_types(params, _KINDS),
        **lists,
        keyframes=keyframes,
        reference_video_durations=optional(
            items, "reference_video_durations", params.reference_video_durations, item=number
        ),
        sam2_coordinates=optional(items, "sam2_coordinates", params.sam2_coordinates, item=_point),
    )


def _address(name: str, value: Any) -> str:
    """An address, sent as it is: whether it is public is the service's to find out (projects-4.2 §6.4)."""
    return text(name, value, empty=False)


def _media(name: str, value: Any) -> Any:
    if not is_supplied(value):
        raise refusal(name, value, "a file", f"{name}: there are no empty positions here")
    return value


def _point(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not {"x", "y"} <= value.keys():
        raise refusal(name, value, "a mapping with x and y")
    return {**value, "x": number(f"{name}.x", value["x"]), "y": number(f"{name}.y", value["y"])}


def _check_fixed_values(params: VideoProjectParams, model: VideoModel) -> None:
    """What a model takes only within limits, or only one of (projects-5x §4.5 to §4.7)."""
    ranges = {
        "fps": model.fps,
        "seed": model.seed,
        "steps": None if model.steps is None else (model.steps, model.steps),
        "guidance": None if model.guidance is None else (model.guidance, model.guidance),
    }
    for name, limits in ranges.items():
        value = getattr(params, name)
        if limits is None or value is None or limits[0] <= value <= limits[1]:
            continue
        low, high = limits
        allowed = f"{low:g}" if low == high else f"from {low:g} to {high:.12g}"
        raise refusal(name, value, allowed, f"{name} must be {allowed} for {params.model_id}, not {value}")
    if model.negative_prompt == "refused" and (params.negative_prompt or "").strip():
        sentence = f"negative_prompt: {params.model_id} takes none"
        raise refusal("negative_prompt", params.negative_prompt, "None", sentence)


def _checked_control_net(given: VideoControlNetParams | None) -> VideoControlNetParams | None:
    """Projects-4.2 §6.8; the name is not checked there."""
    if given is None:
        return None
    name = text("control_net.name", given.name, empty=False)
    strength = optional(number, "control_net.strength", given.strength, low=0, high=1)
    return VideoControlNetParams(name=name, strength=strength)


def has_size(params: VideoProjectParams) -> bool:
    """Whether width and height are sent: only together (projects-4.2 §6.8)."""
    return bool(params.width and params.height)
