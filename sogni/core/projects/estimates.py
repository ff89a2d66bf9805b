"""Requests for cost estimates of projects, and their responses.

Nothing is fetched here: model options and size presets are arguments, None if unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from sogni.core.catalogue.state import check_choice
from sogni.core.catalogue.video_models import Timing, VideoModel, video_model, video_row
from sogni.core.checks import did_you_mean, flag, integer, invalid_value, number, one_of, optional, short_repr, text
from sogni.core.http import HttpCall, get, number_text
from sogni.core.projects.image_requests import (
    DEFAULT_STRENGTH,
    ENHANCEMENT_MODEL,
    ENHANCEMENT_STEPS,
    denoise,
    enhancement_strength,
    has_custom_size,
)
from sogni.core.projects.job_requests import BILLING_MODES
from sogni.core.projects.params import video_keyframes
from sogni.core.projects.uploads import is_supplied
from sogni.core.projects.video_requests import counted, frames_of
from sogni.errors import ProtocolError, ValidationError
from sogni.models.catalogue import ModelOptions, NumberRange, SizePreset
from sogni.models.converter import read
from sogni.models.params import AudioProjectParams, ImageProjectParams, VideoProjectParams
from sogni.models.projects import CostEstimation
from sogni.settings import NETWORKS, TOKENS

_NO_SAMPLER = "_"
_PATH_SAFE = "!$&'()*+,;=:@"
"""Characters not escaped in a path segment: the service reads segments as they are."""


def image_estimate_call(
    model: str,
    *,
    token_type: str | None = None,
    network: str | None = None,
    image_count: int | None = None,
    step_count: int | None = None,
    preview_count: int | None = None,
    cn_enabled: bool | None = None,
    starting_image_strength: float | None = None,
    change: float | None = None,
    width: int | None = None,
    height: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    context_images: int | None = None,
    gpt_image_quality: str | None = None,
    output_format: str | None = None,
    billing_mode: str | None = None,
    preset: SizePreset | None = None,
    options: ModelOptions | None = None,
) -> HttpCall:
    """Return the request for the cost of images.

    Defaults: `token_type` spark, `network` fast, one image, the model's default steps. `preset` outranks `width` and
    `height`, and `change`, how much of the starting image is changed, outranks `starting_image_strength`. The model's
    `options` are used to check the sampler and for the default steps.
    """
    # projects-4.2 §16.1
    segments = [
        optional(one_of, "token_type", token_type, allowed=TOKENS) or "spark",
        optional(one_of, "network", network, allowed=NETWORKS) or "fast",
        text("model", model, empty=False),
        1 if image_count is None else integer("image_count", image_count, low=1),
        _steps(step_count, options),
        optional(integer, "preview_count", preview_count, low=0) or 0,
        int(optional(flag, "cn_enabled", cn_enabled) or False),
        _denoise(starting_image_strength) if change is None else change,
        *_size(width, height, preset),
    ]
    further = _further_segments(guidance, sampler, context_images, options)
    path = "/".join([f"/api/{'v3' if further else 'v2'}/job/estimate", *map(_segment, segments + further)])
    return get(path, host="socket", **_query(gpt_image_quality, output_format, billing_mode))


def _further_segments(guidance: Any, sampler: Any, context_images: Any, options: ModelOptions | None) -> list[Any]:
    """Return the segments of the v3 path, which is used if a sampler or a number of context images is given."""
    scale = optional(number, "guidance", guidance)
    contexts = optional(integer, "context_images", context_images, low=0)
    if sampler is None and contexts is None:
        return []
    return [scale or 0, _sampler(sampler, options), contexts or 0]


def _query(gpt_image_quality: Any, output_format: Any, billing_mode: Any) -> dict[str, Any]:
    return {
        "gptImageQuality": optional(text, "gpt_image_quality", gpt_image_quality) or None,
        "outputFormat": optional(text, "output_format", output_format) or None,
        "billingMode": optional(one_of, "billing_mode", billing_mode, allowed=BILLING_MODES),
    }


def _segment(value: Any) -> str:
    return quote(value, safe=_PATH_SAFE, errors="surrogatepass") if isinstance(value, str) else number_text(value)


def _steps(step_count: Any, options: ModelOptions | None) -> float:
    if step_count is not None:
        return integer("step_count", step_count)
    default = options.steps.default if options is not None and options.steps is not None else None
    return default or 0


def _denoise(starting_image_strength: Any) -> float:
    strength = optional(number, "starting_image_strength", starting_image_strength)
    return 0 if strength is None else denoise(strength)


def _size(width: Any, height: Any, preset: SizePreset | None) -> tuple[float, float]:
    across, down = optional(integer, "width", width), optional(integer, "height", height)
    if preset is not None:
        return preset.width, preset.height
    return (across, down) if across and down else (0, 0)


def _sampler(sampler: str | None, options: ModelOptions | None) -> str:
    if sampler is None:
        return _NO_SAMPLER
    if options is None:
        return text("sampler", sampler, empty=False)
    # The segment is empty for a model without samplers, which the service accepts.
    return check_choice("sampler", sampler, options.sampler) or ""


def requested_preset(size_preset: Any) -> str | None:
    """Return the id of the preset to look up, None if there is none."""
    name = optional(text, "size_preset", size_preset)
    return None if name in (None, "", "custom") else name


def find_preset(presets: Sequence[SizePreset], preset_id: str) -> SizePreset:
    """Return a size preset by its id."""
    by_id = {preset.id: preset for preset in presets}
    if preset_id not in by_id:
        message = (
            f"size_preset must be a preset of the model, got {short_repr(preset_id)}{did_you_mean(preset_id, by_id)}"
        )
        raise ValidationError(message, field="size_preset", value=preset_id, allowed=tuple(by_id))
    return by_id[preset_id]


def estimate_for(
    params: ImageProjectParams,
    *,
    options: ModelOptions | None = None,
    preset: SizePreset | None = None,
    network: str | None = None,
    token_type: str | None = None,
) -> HttpCall:
    """Return the request for the cost of the image project with these params, which have been checked.

    `preset` is that of `params.size_preset` (see `requested_preset`). `network` and `token_type` are used if the params
    have none.
    """
    contexts = [media for media in params.context_images or () if is_supplied(media)]
    custom = has_custom_size(params)
    return image_estimate_call(
        params.model_id,
        token_type=params.token_type or token_type,
        network=params.network or network,
        image_count=params.number_of_media,
        step_count=params.steps,
        preview_count=params.number_of_previews,
        cn_enabled=params.control_net is not None,
        starting_image_strength=_strength(params),
        width=params.width if custom else None,
        height=params.height if custom else None,
        guidance=_guidance(params, options),
        sampler=params.sampler,
        context_images=len(contexts) or None,
        gpt_image_quality=params.gpt_image_quality,
        output_format=params.output_format,
        billing_mode=params.billing_mode,
        preset=preset,
        options=options,
    )


def _strength(params: ImageProjectParams) -> float | None:
    if not is_supplied(params.starting_image):
        return None
    return DEFAULT_STRENGTH if params.starting_image_strength is None else params.starting_image_strength


def _guidance(params: ImageProjectParams, options: ModelOptions | None) -> float | None:
    if params.guidance is not None or options is None or options.guidance is None:
        return params.guidance
    return options.guidance.default


def enhancement_estimate_call(
    strength: str, token_type: str | None = None, *, width: int | None = None, height: int | None = None
) -> HttpCall:
    """Return the request for the cost of `Job.enhance`; `token_type` is spark by default."""
    # additions-5x §0
    sides = {"width": width, "height": height}
    for name, side in sides.items():
        optional(integer, name, side, low=1)
        if side is None and (width or height):
            raise invalid_value(name, None, "an integer", f"{name} is required if the other side is given")
    return image_estimate_call(
        ENHANCEMENT_MODEL,
        token_type=token_type,
        step_count=ENHANCEMENT_STEPS,
        change=enhancement_strength(strength),
        width=width,
        height=height,
    )


def read_estimate(data: Any) -> CostEstimation:
    """Return the estimate in a response, for any type of project."""
    # projects-4.2 §16.5, projects-5x §16
    project = _object(_object(data).get("quote")).get("project")
    if not isinstance(project, Mapping):
        raise ProtocolError("the estimate has no quote.project")
    benchmark = _object(data.get("benchmark"))
    values = {
        "token": project.get("costInToken"),
        "usd": project.get("costInUSD"),
        "spark": project.get("costInSpark"),
        "sogni": project.get("costInSogni"),
        "estimatedRenderSeconds": benchmark.get("estimatedRenderTimeSec"),
        "estimatedTotalSeconds": benchmark.get("estimatedTotalTimeSec"),
        "dailyFairUsePct": _object(data.get("dailyFairUse")).get("pct"),
    }
    return read(CostEstimation, values, "the estimate")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


# Video and audio: projects-4.2 §16.2, §16.3; projects-5x §16.


_MEDIA_PATH_SAFE = "!~*'()"
"""Characters not escaped in a segment, in addition to letters, digits and `-_.` (projects-4.2 §16.2)."""


def video_estimate_call(
    model: str,
    *,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    duration: float | None = None,
    frames: int | None = None,
    steps: int | None = None,
    number_of_media: int | None = None,
    token_type: str | None = None,
    network: str | None = None,
    billing_mode: str | None = None,
    has_video_input: bool | None = None,
    reference_video: Any = None,
    reference_video_urls: Any = None,
    reference_image_count: float | None = None,
    reference_video_count: float | None = None,
    reference_video_duration_seconds: float | None = None,
    source_width: float | None = None,
    source_height: float | None = None,
    keyframe_count: int | None = None,
    options: ModelOptions | None = None,
) -> HttpCall:
    """Return the request for the cost of a video.

    `frames` outranks `duration`. Missing arguments get the default in the model's `options`; without one they are
    invalid. `token_type` is spark and `number_of_media` is 1 by default.
    """
    # projects-4.2 §16.2
    row = video_model(text("model", model, empty=False))
    # Models of unknown families get the default timing (projects-4.2 §6.5).
    timing = Timing() if row is None else row.timing
    seconds = optional(number, "duration", duration, low=0)
    if row is not None and seconds is not None:
        seconds = row.nearest_duration(seconds)
    rate = _rate(fps, timing, options)
    segments: list[Any] = [
        _token(token_type),
        model,
        _or_default("width", optional(integer, "width", width), options),
        _or_default("height", optional(integer, "height", height), options),
        _frames(frames, seconds, rate, timing, options),
        rate,
        *_steps_and_count(steps, number_of_media),
    ]
    given_video = optional(flag, "has_video_input", has_video_input) or is_supplied(reference_video)
    reference_seconds = optional(number, "reference_video_duration_seconds", reference_video_duration_seconds, low=0)
    return _call(
        "video",
        segments,
        **_source_size(source_width, source_height),
        hasVideoInput=1 if given_video or reference_video_urls else None,
        referenceImageCount=_whole("reference_image_count", reference_image_count),
        referenceVideoCount=_whole("reference_video_count", reference_video_count),
        referenceVideoDurationSeconds=reference_seconds,
        keyframeCount=optional(integer, "keyframe_count", keyframe_count, low=0) or None,
        **_payer(network, billing_mode),
    )


def audio_estimate_call(
    model: str,
    *,
    duration: float | None = None,
    steps: int | None = None,
    number_of_media: int | None = None,
    token_type: str | None = None,
    network: str | None = None,
    billing_mode: str | None = None,
    options: ModelOptions | None = None,
) -> HttpCall:
    """Return the request for the cost of music or speech.

    Missing arguments get the default in the model's `options`; without one they are invalid. `token_type` is spark and
    `number_of_media` is 1 by default.
    """
    # projects-4.2 §16.3
    segments = [
        _token(token_type),
        text("model", model, empty=False),
        _or_default("duration", optional(number, "duration", duration), options),
        _or_default("steps", optional(integer, "steps", steps), options),
        _count(number_of_media),
    ]
    return _call("audio", segments, **_payer(network, billing_mode))


_DEFAULTED: Mapping[Any, tuple[tuple[str, ...], ...]] = {
    video_estimate_call: (("width",), ("height",), ("fps",), ("duration", "frames")),
    audio_estimate_call: (("duration",), ("steps",)),
}


def needs_options(call_for: Any, given: Mapping[str, Any]) -> bool:
    """Whether a call needs the model's options, because arguments with a default are missing."""
    return not all(any(_is_given(name, given.get(name)) for name in names) for names in _DEFAULTED[call_for])


def _is_given(name: str, value: Any) -> bool:
    # 0 frames count as not given (projects-4.2 §16.2).
    return bool(value) if name == "frames" else value is not None


def _call(kind: str, segments: list[Any], **query: Any) -> HttpCall:
    escaped = [
        quote(it, safe=_MEDIA_PATH_SAFE, errors="surrogatepass") if isinstance(it, str) else number_text(it)
        for it in segments
    ]
    return get("/".join([f"/api/v1/job-{kind}/estimate", *escaped]), host="socket", **query)


def _token(token_type: Any) -> str:
    return optional(one_of, "token_type", token_type, allowed=TOKENS) or "spark"


def _source_size(width: Any, height: Any) -> dict[str, Any]:
    """Return the size of the source, which is only sent if both sides are given."""
    # projects-5x §16
    across, down = optional(number, "source_width", width), optional(number, "source_height", height)
    return {"sourceWidth": across, "sourceHeight": down} if across and down else {}


def _payer(network: Any, billing_mode: Any) -> dict[str, Any]:
    return {
        "network": optional(one_of, "network", network, allowed=NETWORKS),
        "billingMode": optional(one_of, "billing_mode", billing_mode, allowed=BILLING_MODES),
    }


def _count(number_of_media: Any) -> int:
    return 1 if number_of_media is None else integer("number_of_media", number_of_media, low=1)


def _steps_and_count(steps: Any, number_of_media: Any) -> list[int]:
    """Return the segments for steps and count, which are omitted if both are the default."""
    # 0 steps stand for the default (projects-4.2 §16.2).
    count = _count(number_of_media)
    if steps is not None:
        return [integer("steps", steps), count]
    return [] if count == 1 else [0, count]


def _whole(field: str, value: Any) -> int | None:
    count = optional(number, field, value, low=0)
    return None if count is None else math.floor(count)


def _frames(
    frames: Any, seconds: float | None, fps: float, timing: Timing, options: ModelOptions | None
) -> int | float:
    # 0 frames count as not given (projects-4.2 §16.2).
    count = optional(integer, "frames", frames, low=0)
    if count:
        return count
    if seconds is not None:
        return timing.frames(seconds, fps)
    return _needed("duration", _default(options.frames) if options is not None else None)


def _rate(fps: Any, timing: Timing, options: ModelOptions | None) -> float:
    given = optional(number, "fps", fps)
    default = _default(options.fps) if options is not None else None
    return _needed("fps", (timing.sent_fps or default or timing.usual_fps) if given is None else given)


def _or_default(field: str, given: float | None, options: ModelOptions | None) -> float:
    """Return the given value, else the model's default."""
    return _needed(field, _default(getattr(options, field, None)) if given is None else given)


def _default(range_: Any) -> float | None:
    """Return the default of a range, which may be in wire form (in `ModelOptions.extra`)."""
    value = range_.default if isinstance(range_, NumberRange) else None
    value = range_.get("default") if isinstance(range_, Mapping) else value
    return value if isinstance(value, int | float) else None


def _needed(field: str, value: float | None) -> float:
    if value is None:
        message = f"{field} must be a number, got None: the model's default is unknown"
        raise ValidationError(message, field=field, value=None, allowed="a number")
    return value


def estimate_for_video(
    params: VideoProjectParams,
    *,
    options: ModelOptions | None = None,
    network: str | None = None,
    token_type: str | None = None,
) -> HttpCall:
    """Return the request for the cost of the video project with these params, which have been checked.

    `network` and `token_type` are used if the params have none.
    """
    model = video_row(params.model_id)
    # With only one side, none is sent, so that the service uses its default.
    sized = params.width and params.height
    return video_estimate_call(
        params.model_id,
        width=params.width if sized else None,
        height=params.height if sized else None,
        fps=params.fps,
        frames=frames_of(params, model),
        steps=params.steps if model.steps is None else model.steps,
        number_of_media=params.number_of_media,
        token_type=params.token_type or token_type,
        network=params.network or network,
        billing_mode=params.billing_mode,
        keyframe_count=len(video_keyframes(params.keyframes)),
        options=options,
        **_reference_counts(params, model),
    )


def _reference_counts(params: VideoProjectParams, model: VideoModel) -> dict[str, Any]:
    """Return whether there is a reference video and, for models that limit them, the number of references."""
    video = is_supplied(params.reference_video) or bool(params.reference_video_urls or params.reference_videos)
    known: dict[str, Any] = {"has_video_input": video}
    if model.references is not None:
        known["reference_image_count"] = counted(params, model.references.images) or None
        known["reference_video_count"] = counted(params, model.references.videos) or None
        known["reference_video_duration_seconds"] = math.fsum(params.reference_video_durations or ()) or None
    return known


def estimate_for_audio(
    params: AudioProjectParams,
    *,
    options: ModelOptions | None = None,
    network: str | None = None,
    token_type: str | None = None,
) -> HttpCall:
    """Return the request for the cost of the audio project with these params; see `estimate_for_video`."""
    return audio_estimate_call(
        params.model_id,
        duration=params.duration,
        steps=params.steps,
        number_of_media=params.number_of_media,
        token_type=params.token_type or token_type,
        network=params.network or network,
        billing_mode=params.billing_mode,
        options=options,
    )
