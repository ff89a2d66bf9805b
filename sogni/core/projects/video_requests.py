"""The rules and the job request of video projects.

Differences between models are rows of `catalogue.video_models`; rules that no row can express are functions in
`FAMILY_RULES`, one per family. No file is read, because the service checks the limits of a source.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args
from urllib.parse import urlsplit

import attrs

from sogni.core.catalogue.model_families import asset_config, workflow_of
from sogni.core.catalogue.video_models import (
    ASSETS,
    H3_GRID,
    URL_LISTS,
    Counted,
    References,
    VideoModel,
    half_up,
    video_row,
)
from sogni.core.checks import integer, invalid_value, items, number, one_of, optional, short_repr, text
from sogni.core.projects.job_requests import (
    check_combinations,
    checked,
    common_values,
    given,
    job_request,
    refuse_negative_prompt,
)
from sogni.core.projects.parameters import changed_fields, check_options, range_words
from sogni.core.projects.params import video_control_net_params, video_keyframes
from sogni.core.projects.uploads import is_supplied, video_media
from sogni.errors import ValidationError
from sogni.models.catalogue import ModelOptions
from sogni.models.params import VideoControlNetName, VideoControlNetParams, VideoKeyframe, VideoProjectParams

RESOLUTIONS = (1080, 1440)

_PROMPTS = ("positive_prompt", "negative_prompt", "style_prompt")


def check_flashvsr(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params with the resolution filled in. Raises ValidationError if a rule is broken."""
    resolution = params.upscale_resolution
    if resolution is None and params.width and params.height:
        side = min(params.width, params.height)
        resolution = next((it for it in RESOLUTIONS if it == side), None)
    if resolution not in RESOLUTIONS:
        raise invalid_value("upscale_resolution", resolution, RESOLUTIONS)
    _check_timing(params)
    for name in _PROMPTS:
        if getattr(params, name):
            raise _unused(params, name, getattr(params, name))
    if params.video_start is not None:
        raise _unused(params, "video_start", params.video_start)
    if params.trim_end_frame:
        raise _unused(params, "trim_end_frame", True)
    if params.generate_audio is False:
        raise _unused(params, "generate_audio", False)
    if params.number_of_media != 1:
        raise invalid_value("number_of_media", params.number_of_media, "1")
    return attrs.evolve(params, upscale_resolution=resolution)


def _unused(params: VideoProjectParams, name: str, value: Any) -> Exception:
    return invalid_value(name, value, "None", f"{name} must be omitted for {params.model_id}, got {short_repr(value)}")


def _check_timing(params: VideoProjectParams) -> None:
    """Frames and duration are optional, because the source has a length; a duration needs `fps`."""
    if params.frames is not None:
        integer("frames", params.frames, low=1)
    elif params.duration is not None:
        if not params.fps:
            raise invalid_value("fps", params.fps, "a number together with duration")
        number("duration", params.duration, low=1 / params.fps)


# Media: projects-4.2 §6.3, §6.4; projects-5x §3.2, §4.


_ONE_OF_IMAGES = ("i2v",)
"""Workflows that start or end with an image, whichever is given."""


def check_assets(params: VideoProjectParams, model: VideoModel) -> None:
    """Refuse missing and forbidden media, naming the workflow, then counts that are too small or large."""
    if model.matrix:
        _check_matrix(params)
    if model.references is not None:
        if not model.matrix:
            _check_taken(params, model.references)
        _check_counts(params, model.references)


def _check_matrix(params: VideoProjectParams) -> None:
    """Check the media that the workflow requires and forbids."""
    # In the order of the published clients: i2v, then the row of the workflow (projects-4.2 §6.3).
    workflow = workflow_of(params.model_id)
    if workflow in _ONE_OF_IMAGES and not any(_given(params, name) for name in ASSETS[:2]):
        sentence = (
            f"reference_image must be given for {params.model_id} ({workflow}), or a reference_image_end, got neither"
        )
        raise invalid_value("reference_image", None, "an image", sentence)
    assets = asset_config(params.model_id).assets
    for name in ASSETS:
        rule = getattr(assets, name)
        if rule == "required" and not _given(params, name):
            raise invalid_value(name, None, "a file", f"{name} must be given for {params.model_id} ({workflow})")
        if rule == "forbidden":
            _refuse_given(params, name, str(workflow))


def _check_taken(params: VideoProjectParams, references: References) -> None:
    """Families outside the matrix take what they count, and no other media."""
    for name in ASSETS:
        if name not in references.fields:
            _refuse_given(params, name, workflow_of(params.model_id))


def _refuse_given(params: VideoProjectParams, name: str, workflow: str | None) -> None:
    value = getattr(params, name)
    if not is_supplied(value):
        return
    model = f"{params.model_id} ({workflow})" if workflow else params.model_id
    raise invalid_value(name, value, "None", f"{name} must be omitted for {model}, got {short_repr(value)}")


def _check_counts(params: VideoProjectParams, references: References) -> None:
    # Protocol notes: projects-4.2 §6.4, projects-5x §4.3 to §4.6.
    kinds = {"images": references.images, "videos": references.videos, "audios": references.audios}
    counts = {words: counted(params, kind) for words, kind in kinds.items()}
    for words, kind in kinds.items():
        if not kind.least <= counts[words] <= kind.most:
            raise _count_refusal(params, words, _allowed(kind), counts[words], _names(kind))
    everything = sum(counts.values())
    if references.total is not None and everything > references.total:
        names = [name for kind in kinds.values() for name in _names(kind)]
        raise _count_refusal(params, "references", f"at most {references.total}", everything, names)
    needs = references.visual == "always" or (references.visual == "beside_audio" and counts["audios"])
    if needs and not counts["images"] + counts["videos"]:
        names = [*_names(references.images), *_names(references.videos)]
        raise _count_refusal(params, "images and videos", "at least 1", 0, names)


def counted(params: VideoProjectParams, kind: Counted) -> int:
    """Return the number of references of one kind, files and URLs together."""
    return sum(max(_number_of(getattr(params, name)) for name in group) for group in kind.fields)


def _number_of(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple) else int(is_supplied(value))


def _names(kind: Counted) -> list[str]:
    return [name for group in kind.fields for name in group]


def _allowed(kind: Counted) -> str:
    if kind.least == kind.most:
        return f"exactly {kind.most}"
    return f"at most {kind.most}" if not kind.least else f"from {kind.least} to {kind.most}"


def _count_refusal(
    params: VideoProjectParams, words: str, allowed: str, count: int, names: Iterable[str]
) -> ValidationError:
    """The field that is named is the first that was given, else the first there is."""
    known = list(names)
    field = next((name for name in known if _given(params, name)), known[0])
    together = f" ({', '.join(known)} together)" if len(known) > 1 else ""
    sentence = f"{field} must be {allowed} reference {words} for {params.model_id}{together}, got {count}"
    return invalid_value(field, count, allowed, sentence)


def _given(params: VideoProjectParams, name: str) -> bool:
    return _number_of(getattr(params, name)) > 0


# MiniMax H3: projects-5x §4.6.


MAX_KEYFRAMES = 8
SIDE_STEP, MAX_SIDE, MAX_PIXELS = 32, 1344, 1_032_192
CLIP_SECONDS, CLIPS_SECONDS, TOLERANCE = (2, 15), 15, 0.05
"""How long reference videos are, each and together, if the caller gives their durations."""


def check_minimax_h3(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params with plain keyframes. Raises ValidationError if a rule is broken."""
    if params.frames is not None and not H3_GRID.has(params.frames):
        allowed = f"{H3_GRID.base}, {H3_GRID.base + H3_GRID.step} and so on up to {H3_GRID.most}"
        raise invalid_value("frames", params.frames, allowed)
    _check_canvas(params)
    _check_audio(params, model)
    _check_clips(params, model)
    if params.reference_video_compression == "vpack" and not counted_videos(params, model):
        sentence = "reference_video_compression 'vpack' must be given together with a reference video"
        raise invalid_value("reference_video_compression", "vpack", "with a reference video", sentence)
    return attrs.evolve(params, keyframes=_checked_keyframes(params, model)) if params.keyframes else params


def counted_videos(params: VideoProjectParams, model: VideoModel) -> int:
    """Return how many reference videos there are; none where the model counts none."""
    return counted(params, model.references.videos) if model.references is not None else 0


def _check_canvas(params: VideoProjectParams) -> None:
    """Check the size; two-stage models deliver twice as many pixels per side."""
    if params.width is None or params.height is None:
        return
    width, height = _side("width", params.width), _side("height", params.height)
    if width * height > MAX_PIXELS:
        allowed = f"at most {MAX_PIXELS} pixels in all"
        raise invalid_value("width", width, allowed, f"width and height must make {allowed}, got {width}x{height}")


def _side(name: str, value: float) -> int:
    side = integer(name, value, low=SIDE_STEP, high=MAX_SIDE)
    if side % SIDE_STEP:
        raise invalid_value(name, side, f"a multiple of {SIDE_STEP} up to {MAX_SIDE}")
    return side


def _check_audio(params: VideoProjectParams, model: VideoModel) -> None:
    if params.audio_duration is not None:
        # The number of frames determines how much of the audio is used.
        raise _unused(params, "audio_duration", params.audio_duration)
    if model.audio_guide:
        if params.generate_audio is False:
            # The video contains the audio that guides it.
            raise _unused(params, "generate_audio", False)
    elif params.audio_start is not None:
        raise _unused(params, "audio_start", params.audio_start)


def _check_clips(params: VideoProjectParams, model: VideoModel) -> None:
    seconds = params.reference_video_durations
    if seconds is None:
        return
    name, videos = "reference_video_durations", counted_videos(params, model)
    if len(seconds) != videos:
        allowed = f"{videos} of them, one per reference video"
        raise invalid_value(name, seconds, allowed, f"{name} must be {allowed}, got {len(seconds)}")
    low, high = CLIP_SECONDS
    for index, clip in enumerate(seconds):
        if not low - TOLERANCE <= clip <= high + TOLERANCE:
            raise invalid_value(f"{name}[{index}]", clip, f"from {low} to {high} seconds")
    if math.fsum(seconds) > CLIPS_SECONDS + TOLERANCE:
        raise invalid_value(name, seconds, f"at most {CLIPS_SECONDS} seconds in all")


def _checked_keyframes(params: VideoProjectParams, model: VideoModel) -> list[VideoKeyframe]:
    frames = params.frames if params.duration is None else model.timing.frames(params.duration, params.fps)
    if frames is None:
        together = "together with duration or frames"
        raise invalid_value("keyframes", params.keyframes, together, f"keyframes must be given {together}")
    given = video_keyframes(params.keyframes)
    if len(given) > MAX_KEYFRAMES:
        allowed = f"at most {MAX_KEYFRAMES} keyframes"
        raise invalid_value("keyframes", params.keyframes, allowed, f"keyframes must be {allowed}, got {len(given)}")
    places: list[int] = []
    for index, frame in enumerate(given):
        name = f"keyframes[{index}].frame_index"
        place = integer(name, frame.frame_index, low=1, high=frames - 2)
        if place in places:
            sentence = f"{name} must be different from those of other keyframes, got {place} again"
            raise invalid_value(name, place, "another frame", sentence)
        places.append(place)
    return [attrs.evolve(frame, frame_index=place) for frame, place in zip(given, places, strict=True)]


# Seedance 2.5: projects-5x §4.3.


_NEEDS_VIDEO = ("edit", "extend")


def check_seedance(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params; ValidationError when the task and the references do not belong together."""
    if not model.has_tasks:
        return params
    task = params.seedance_task_type
    videos = is_supplied(params.reference_video) or bool(params.reference_video_urls)
    loose = videos or is_supplied(params.reference_audio) or any(getattr(params, name) for name in URL_LISTS)
    if task is None:
        if loose:
            allowed = ("reference", "edit", "extend")
            sentence = (
                f"seedance_task_type must be one of {', '.join(map(repr, allowed))} together with references, got None"
            )
            raise invalid_value("seedance_task_type", None, allowed, sentence)
        return params
    if is_supplied(params.reference_image) or is_supplied(params.reference_image_end):
        sentence = "seedance_task_type must be omitted together with reference_image or reference_image_end"
        raise invalid_value("seedance_task_type", task, "None", sentence)
    if task in _NEEDS_VIDEO and not videos:
        raise invalid_value(
            "seedance_task_type",
            task,
            "with a video",
            f"seedance_task_type {task!r} must be given together with a reference video",
        )
    if not loose:
        sentence = f"seedance_task_type {task!r} must be given together with a reference"
        raise invalid_value("seedance_task_type", task, "with a reference", sentence)
    return params


# Wan 3: projects-5x §4.5.


_DOCUMENTS = ("reference_file_url", "reference_link_url")


def check_wan3(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params; ValidationError for inputs that exclude each other, or for none at all."""
    documents = [name for name in _DOCUMENTS if getattr(params, name) is not None]
    if len(documents) > 1:
        sentence = "reference_link_url must be omitted together with reference_file_url, got both"
        raise invalid_value("reference_link_url", params.reference_link_url, "one of the two", sentence)
    start, end = is_supplied(params.reference_image), is_supplied(params.reference_image_end)
    # The model that takes no documents is the one that can begin anywhere.
    if end and not start and model.takes_documents:
        sentence = f"reference_image_end must be given together with reference_image for {params.model_id}"
        raise invalid_value("reference_image_end", params.reference_image_end, "with a reference_image", sentence)
    loose = [name for name in ("reference_video", "reference_audio") if is_supplied(getattr(params, name))]
    loose += [name for name in URL_LISTS if getattr(params, name)] + documents
    if (start or end) and loose:
        sentence = f"{loose[0]} must be omitted together with reference_image or reference_image_end"
        raise invalid_value(
            loose[0], getattr(params, loose[0]), "without reference_image and reference_image_end", sentence
        )
    if not (start or end or loose):
        text("positive_prompt", params.positive_prompt, empty=False)
    return params


# The rules of all video projects. What only the tier of the model can tell (samplers) is not checked here; ranges
# that the protocol notes call "not checked" are left to the service.


FAMILY_RULES: Mapping[str, Callable[[VideoProjectParams, VideoModel], VideoProjectParams]] = {
    "seedance": check_seedance,
    "wan3": check_wan3,
    "minimax-h3": check_minimax_h3,
    "flashvsr": check_flashvsr,
}
"""What a family needs beyond its rows; they return the params, with what follows from others filled in."""


def check_video_params(params: VideoProjectParams) -> VideoProjectParams:
    """Return the params with plain values; ValidationError for invalid ones.

    First the model, then single values, parameters and formats of other models, media, the family's rule, and ranges.
    """
    model = video_row(text("model_id", params.model_id, empty=False))
    params = _snapped(_with_plain_values(params), model)
    optional(one_of, "output_format", params.output_format, allowed=model.formats)
    check_combinations(params, seeds=model.seed)
    if params.network == "relaxed":
        raise invalid_value("network", "relaxed", "'fast' for videos")
    check_assets(params, model)
    _check_fixed_values(params, model)
    rule = FAMILY_RULES.get(model.family)
    params = rule(params, model) if rule is not None else params
    if model.seconds is not None:
        optional(number, "duration", params.duration, low=model.seconds[0], high=model.seconds[1])
    _check_control_net(params)
    if model.smallest_side is not None and has_size(params):
        number("width", params.width, low=model.smallest_side)
        number("height", params.height, low=model.smallest_side)
    return params


def _snapped(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params with the nearest duration, frames and sizes, for models whose documents promise that."""
    if model.side_step is None:
        return params
    grid, step = model.timing.grid, model.side_step
    changes: dict[str, Any] = {}
    if grid is not None and params.frames is not None:
        changes["frames"] = grid.nearest(params.frames)
    if params.duration is not None:
        if params.duration <= 0:
            raise invalid_value("duration", params.duration, "a number greater than 0")
        changes["duration"] = model.nearest_duration(params.duration)
    for name in ("width", "height"):
        value = getattr(params, name)
        if value is not None:
            changes[name] = half_up(value / step) * step
    return changed_fields(params, changes)


def _with_plain_values(params: VideoProjectParams) -> VideoProjectParams:
    params = checked(params)
    changes: dict[str, Any] = {
        name: optional(items, name, getattr(params, name), item=_media)
        for name in ("context_images", "reference_videos", "reference_audios")
    }
    for name in URL_LISTS:
        optional(items, name, getattr(params, name), item=_https_url)
    for name in _DOCUMENTS:
        optional(_https_url, name, getattr(params, name))
    if params.keyframes is not None:
        changes["keyframes"] = video_keyframes(params.keyframes)
        for index, frame in enumerate(changes["keyframes"]):
            _media(f"keyframes[{index}].image", frame.image)
    changes["sam2_coordinates"] = optional(items, "sam2_coordinates", params.sam2_coordinates, item=_point)
    changes["control_net"] = _checked_control_net(video_control_net_params(params.control_net))
    return changed_fields(params, changes)


def _https_url(name: str, value: Any) -> str:
    """Check a URL that the service fetches. Whether it is public is only known there."""
    try:
        parts = urlsplit(text(name, value))
        usable = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise invalid_value(name, value, "a URL that starts with https://")
    return str(value)


def _media(name: str, value: Any) -> Any:
    if not is_supplied(value):
        raise invalid_value(name, value, "a file", f"{name}: there are no empty positions here")
    return value


def _point(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not {"x", "y"} <= value.keys():
        raise invalid_value(name, value, "a mapping with x and y")
    return {**value, "x": number(f"{name}.x", value["x"]), "y": number(f"{name}.y", value["y"])}


def _check_fixed_values(params: VideoProjectParams, model: VideoModel) -> None:
    """Check values that a model limits or fixes."""  # projects-5x §4.5 to §4.7
    ranges = {
        "fps": model.fps,
        "steps": None if model.steps is None else (model.steps, model.steps),
        "guidance": None if model.guidance is None else (model.guidance, model.guidance),
    }
    for name, limits in ranges.items():
        value = getattr(params, name)
        if limits is None or value is None or limits[0] <= value <= limits[1]:
            continue
        allowed = range_words(*limits)
        raise invalid_value(name, value, allowed, f"{name} must be {allowed} for {params.model_id}, got {value}")
    if not model.negative_prompt:
        refuse_negative_prompt(params)


def _checked_control_net(given: VideoControlNetParams | None) -> VideoControlNetParams | None:
    if given is None:
        return None
    name: Any = one_of("control_net.name", given.name, get_args(VideoControlNetName))
    strength = optional(number, "control_net.strength", given.strength, low=0, high=1)
    return VideoControlNetParams(name=name, strength=strength)


def check_video_options(params: VideoProjectParams, options: ModelOptions) -> None:
    """Raise ValidationError for values, or a number of pixels, that the options of the model do not allow."""
    check_options(params, options)
    width, height, most = params.width or 0, params.height or 0, options.max_pixels
    if most is not None and width * height > most:
        words = f"at most {most} pixels in total"
        raise invalid_value("width", width, words, f"width and height must make {words}, got {width}x{height}")


def _check_control_net(params: VideoProjectParams) -> None:
    """Check the parameters that belong to one control: with any other, the service would ignore them."""
    name = getattr(params.control_net, "name", None)
    for field, control in (("outpaint_position", "outpaint"), ("reference_mask", "inpaint")):
        if is_supplied(getattr(params, field)) and name != control:
            together = f"together with control_net {control!r}"
            raise invalid_value(field, getattr(params, field), together, f"{field} must be given {together}")


def has_size(params: VideoProjectParams) -> bool:
    """Whether the size is given."""
    return params.width is not None


# The job request: projects-4.2 §4, §6; projects-5x §2 to §4.


def video_request(params: VideoProjectParams, *, project_id: str, app_source: str | None) -> dict[str, Any]:
    """Return the payload of `jobRequest` for checked params. `app_source` is the client's."""
    sampling = {"comfySampler": params.sampler, "comfyScheduler": params.scheduler}
    return job_request(
        params,
        _key_frame_values(params, video_row(params.model_id)) | sampling,
        project_id=project_id,
        app_source=app_source,
        usual_format="mp4",
    )


def _key_frame_values(params: VideoProjectParams, model: VideoModel) -> dict[str, Any]:
    return {
        **model.defaults,
        **common_values(params, negative_prompt=model.negative_prompt),
        **_references(params, model),
        **_timing(params, model),
        **(given(width=params.width, height=params.height) if has_size(params) else {}),
        **_control_net(params),
        **_coordinates(params),
        **model.constants,
    }


def _references(params: VideoProjectParams, model: VideoModel) -> dict[str, Any]:
    """Return a flag for every media input that is given, and the parameters of the inputs."""
    flags = {item.flag: True for group in video_media(params) for item in group if item.flag}
    keyframes = video_keyframes(params.keyframes)
    durations = (params.reference_video_durations or ()) if model.numbered else ()
    return {
        **flags,
        **given(keyframeFrameIndices=[frame.frame_index for frame in keyframes] or None),
        **{f"referenceVideo{place}DurationSeconds": clip for place, clip in enumerate(durations, 1)},
    }


def _timing(params: VideoProjectParams, model: VideoModel) -> dict[str, Any]:
    # Frames follow from the duration, which itself is not sent (projects-4.2 §6.5, §6.7).
    return given(fps=model.timing.sent_fps if params.fps is None else params.fps, frames=frames_of(params, model))


def frames_of(params: VideoProjectParams, model: VideoModel) -> int | None:
    """Return the number of frames a video will have; None if that is unknown.

    A duration takes precedence over `frames`, except for models whose source determines both.
    """
    measured = model.timing.usual_fps is None and params.frames is not None
    if params.duration is None or measured:
        return params.frames
    return model.timing.frames(params.duration, params.fps)


def _control_net(params: VideoProjectParams) -> dict[str, Any]:
    net = video_control_net_params(params.control_net)
    if net is None:
        return {}
    return {"currentControlNetsJob": [{"name": net.name, **given(controlStrength=net.strength)}]}


def _coordinates(params: VideoProjectParams) -> dict[str, Any]:
    # The points are sent as a string of JSON (projects-4.2 §6.8).
    if params.sam2_coordinates is None:
        return {}
    return {"sam2Coordinates": json.dumps(params.sam2_coordinates, separators=(",", ":"), ensure_ascii=False)}
