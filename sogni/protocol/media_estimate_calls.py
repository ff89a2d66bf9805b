"""What a video or audio project would cost: decides the address that asks.

Called by the estimate flows and by `max_cost` (projects-4.2 §16.2, §16.3; projects-5x §16). It fetches nothing:
model options are an argument, None where they are not known. The answer is read by `estimate_calls`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..errors import ValidationError
from ..models.audio_params import AudioProjectParams
from ..models.catalogue import ModelOptions, NumberRange
from ..models.video_params import VideoProjectParams
from ..settings import NETWORKS
from .audio_rules import check_audio_params
from .common_rules import BILLING_MODES, TOKEN_TYPES
from .field_checks import flag, integer, number, one_of, optional, text
from .http import HttpCall, get, number_text
from .nested_params import video_keyframes
from .upload_plan import is_supplied
from .video_assets import counted
from .video_families import VideoModel, video_model, video_row
from .video_request import frames_of
from .video_rules import check_video_params
from .video_timing import Timing

_PATH_SAFE = "!~*'()"
"""What stays in a segment beside letters, digits and `-_.` (projects-4.2 §16.2)."""


def video_estimate_call(
    model: str,
    *,
    width: float | None = None,
    height: float | None = None,
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
    """The call that asks what a video costs (projects-4.2 §16.2).

    `frames` outranks `duration`. What is not given is the model's usual value, as `options` say it; without
    one it is a ValidationError that names the field. `token_type` is spark and `number_of_media` one when None.
    """
    timing = _timing(text("model", model, empty=False))
    rate = _rate(fps, timing, options)
    segments: list[Any] = [
        _token(token_type),
        model,
        _usual("width", optional(number, "width", width), options),
        _usual("height", optional(number, "height", height), options),
        _frames(frames, duration, rate, timing, options),
        rate,
        *_steps_and_count(steps, number_of_media),
    ]
    given_video = optional(flag, "has_video_input", has_video_input) or is_supplied(reference_video)
    seconds = optional(number, "reference_video_duration_seconds", reference_video_duration_seconds, low=0)
    return _call(
        "video",
        segments,
        **_source_size(source_width, source_height),
        hasVideoInput=1 if given_video or reference_video_urls else None,
        referenceImageCount=_whole("reference_image_count", reference_image_count),
        referenceVideoCount=_whole("reference_video_count", reference_video_count),
        referenceVideoDurationSeconds=seconds,
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
    """The call that asks what music or speech costs (projects-4.2 §16.3).

    What is not given is the model's usual value, as `options` say it; without one it is a ValidationError that
    names the field. `token_type` is spark and `number_of_media` one when None.
    """
    segments = [
        _token(token_type),
        text("model", model, empty=False),
        _usual("duration", optional(number, "duration", duration), options),
        _usual("steps", optional(integer, "steps", steps), options),
        _count(number_of_media),
    ]
    return _call("audio", segments, **_payer(network, billing_mode))


_SAID: Mapping[Any, tuple[tuple[str, ...], ...]] = {
    video_estimate_call: (("width",), ("height",), ("fps",), ("duration", "frames")),
    audio_estimate_call: (("duration",), ("steps",)),
}


def needs_options(call_for: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether the model's options are needed for a call, because something is not said that they may say."""
    return not all(any(_is_said(name, wanted.get(name)) for name in names) for names in _SAID[call_for])


def _is_said(name: str, value: Any) -> bool:
    """Zero is a number like any other, except of frames (projects-4.2 §16.2)."""
    return bool(value) if name == "frames" else value is not None


def _call(kind: str, segments: list[Any], **query: Any) -> HttpCall:
    texts = [
        quote(it, safe=_PATH_SAFE, errors="surrogatepass") if isinstance(it, str) else number_text(it)
        for it in segments
    ]
    return get("/".join([f"/api/v1/job-{kind}/estimate", *texts]), host="socket", **query)


def _token(token_type: Any) -> str:
    return optional(one_of, "token_type", token_type, allowed=TOKEN_TYPES) or "spark"


def _source_size(width: Any, height: Any) -> dict[str, Any]:
    """The size of the source is sent only as a pair (projects-5x §16)."""
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
    """Sent only where they say something; 0 steps stand for the usual number (projects-4.2 §16.2)."""
    count = _count(number_of_media)
    if steps is not None:
        return [integer("steps", steps), count]
    return [] if count == 1 else [0, count]


def _whole(field: str, value: Any) -> int | None:
    count = optional(number, field, value, low=0)
    return None if count is None else math.floor(count)


def _timing(model_id: str) -> Timing:
    """Models of no known family count as the sheet's "any other" (projects-4.2 §6.5)."""
    row = video_model(model_id)
    return Timing() if row is None else row.timing


def _frames(frames: Any, duration: Any, fps: float, timing: Timing, options: ModelOptions | None) -> int | float:
    """Zero frames count as not said (projects-4.2 §16.2)."""
    said = optional(integer, "frames", frames, low=0)
    if said:
        return said
    seconds = optional(number, "duration", duration, low=0)
    if seconds is not None:
        return timing.frames(seconds, fps)
    return _needed("duration", _default(options.extra.get("frames")) if options is not None else None)


def _rate(fps: Any, timing: Timing, options: ModelOptions | None) -> float:
    said = optional(number, "fps", fps)
    usual = _default(options.fps) if options is not None else None
    return _needed("fps", (timing.sent_fps or usual or timing.usual_fps) if said is None else said)


def _usual(field: str, said: float | None, options: ModelOptions | None) -> float:
    """What was said, else the model's usual value."""
    return _needed(field, _default(getattr(options, field, None)) if said is None else said)


def _default(range_: Any) -> float | None:
    """The default of a range, which may be one the options hold as the service sent it."""
    value = range_.default if isinstance(range_, NumberRange) else None
    value = range_.get("default") if isinstance(range_, Mapping) else value
    return value if isinstance(value, int | float) else None


def _needed(field: str, value: float | None) -> float:
    if value is None:
        sentence = f"{field}: an estimate needs one, because the model's usual one is not known"
        raise ValidationError(sentence, field=field, value=None, allowed="a number")
    return value


def estimate_for_video(
    params: VideoProjectParams,
    *,
    options: ModelOptions | None = None,
    network: str | None = None,
    token_type: str | None = None,
) -> HttpCall:
    """The call that asks what the video project with these params costs.

    `network` and `token_type` count where the params have none. Params that could not be sent are refused as
    in `video_rules`.
    """
    params = check_video_params(params)
    model = video_row(params.model_id)
    # A half of a size is not sent, so that the service takes its own.
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
    """What is known of the references: whether there is a video, and for models that count them, how many."""
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
    """The call that asks what the audio project with these params costs; see `estimate_for_video`."""
    params = check_audio_params(params)
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
