"""The rules and the job request of video projects.

Differences between models are rows of `catalogue.video_models`; what no row can express is one function per family, in
`FAMILY_RULES`. No file is read: the limits of a source are checked by the service.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from sogni.core.catalogue.model_families import asset_config, workflow_of
from sogni.core.catalogue.state import check_choice
from sogni.core.catalogue.video_models import (
    ASSETS,
    H3_GRID,
    SPECIAL,
    URL_LISTS,
    Counted,
    References,
    VideoModel,
    families_taking,
    video_row,
)
from sogni.core.checks import integer, invalid_value, items, number, one_of, optional, short_repr, text
from sogni.core.projects.job_requests import (
    changed_fields,
    check_kind,
    common_values,
    field_checks,
    given,
    job_request,
    with_right_types,
)
from sogni.core.projects.params import video_control_net_params, video_keyframes
from sogni.core.projects.uploads import is_supplied, video_media
from sogni.errors import ValidationError
from sogni.models.catalogue import ModelOptions
from sogni.models.params import VideoControlNetParams, VideoKeyframe, VideoProjectParams

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
        sentence = f"upscale_resolution must be {allowed}, not {short_repr(resolution)}"
        raise invalid_value("upscale_resolution", resolution, RESOLUTIONS, sentence)
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
        raise invalid_value("number_of_media", params.number_of_media, "1")
    return attrs.evolve(params, upscale_resolution=resolution)


def _unused(params: VideoProjectParams, name: str, value: Any) -> Exception:
    return invalid_value(name, value, "None", f"{name}: {params.model_id} has no use for it")


def _check_timing(params: VideoProjectParams) -> None:
    """The source says how long it is; who says it too must be right, and say enough."""
    if params.frames is not None:
        integer("frames", params.frames, low=1)
    elif params.duration is not None:
        if not params.fps:
            raise invalid_value("fps", params.fps, "a number", "fps: a duration needs fps beside it")
        number("duration", params.duration, low=1 / params.fps)


# Media: projects-4.2 §6.3, §6.4; projects-5x §3.2, §4.


_ONE_OF_IMAGES = ("i2v",)
"""Workflows that start or end with an image, whichever is given."""

_SAM2_WORKFLOW = "animate-replace"

_ASKS_FOR_NOTHING: Mapping[str, Any] = {
    "return_last_frame": False,
    "keyframes": [],
    "reference_video_compression": "none",
}
"""Values that say no more than None, and that every model takes (projects-5x §3.2, §4.6)."""


def check_special_fields(params: VideoProjectParams, model: VideoModel) -> None:
    """Refuse fields that other models take: there they would do nothing, or something else."""
    for name in SPECIAL:
        value = getattr(params, name)
        if value is None or value == _ASKS_FOR_NOTHING.get(name):
            continue
        # An empty list of addresses counts as given, as it does for the service (projects-4.2 §6.3).
        if name not in model.takes:
            takers = ", ".join(families_taking(name))
            sentence = f"{name}: {params.model_id} takes none (only some models of {takers} do)"
            raise invalid_value(name, value, "None", sentence)


def check_assets(params: VideoProjectParams, model: VideoModel) -> None:
    """Refuse missing and forbidden media, naming the workflow, then counts that are too small or large."""
    if model.matrix:
        _check_matrix(params)
    if model.references is not None:
        if not model.matrix:
            _check_taken(params, model.references)
        _check_counts(params, model.references)


def _check_matrix(params: VideoProjectParams) -> None:
    """Projects-4.2 §6.3: i2v, coordinates, then the row of the workflow, column by column."""
    workflow = workflow_of(params.model_id)
    if workflow in _ONE_OF_IMAGES and not any(_given(params, name) for name in ASSETS[:2]):
        sentence = f"reference_image: {workflow} needs one, or a reference_image_end ({params.model_id})"
        raise invalid_value("reference_image", None, "an image", sentence)
    if params.sam2_coordinates is not None and workflow != _SAM2_WORKFLOW:
        sentence = f"sam2_coordinates: only {_SAM2_WORKFLOW} takes them, not {workflow} ({params.model_id})"
        raise invalid_value("sam2_coordinates", params.sam2_coordinates, "None", sentence)
    assets = asset_config(params.model_id).assets
    for name in ASSETS:
        rule = getattr(assets, name)
        if rule == "required" and not _given(params, name):
            raise invalid_value(name, None, "a file", f"{name}: {workflow} needs one ({params.model_id})")
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
    who = f"{workflow} ({params.model_id})" if workflow else params.model_id
    raise invalid_value(name, value, "None", f"{name}: {who} takes none")


def _check_counts(params: VideoProjectParams, references: References) -> None:
    """Projects-4.2 §6.4, step 3; projects-5x §4.3 to §4.6."""
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
    """Return how many references of one kind there are, files and addresses together."""
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
    sentence = f"{field}: {params.model_id} takes {allowed} reference {words}{together}, not {count}"
    return invalid_value(field, count, allowed, sentence)


def _given(params: VideoProjectParams, name: str) -> bool:
    return _number_of(getattr(params, name)) > 0


# MiniMax H3: projects-5x §4.6.


MAX_KEYFRAMES = 8
SIDE_STEP, MAX_SIDE, MAX_PIXELS = 32, 1344, 1_032_192
CLIP_SECONDS, CLIPS_SECONDS, TOLERANCE = (2, 15), 15, 0.05
"""How long reference videos are, each and together, as far as the caller says."""


def check_minimax_h3(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params with plain keyframes; ValidationError for what breaks a rule."""
    if params.frames is not None and not H3_GRID.has(params.frames):
        allowed = f"{H3_GRID.base}, {H3_GRID.base + H3_GRID.step} and so on up to {H3_GRID.most}"
        raise invalid_value("frames", params.frames, allowed)
    _check_canvas(params)
    _check_audio(params, model)
    _check_clips(params, model)
    if params.reference_video_compression == "vpack" and not counted_videos(params, model):
        sentence = "reference_video_compression: 'vpack' needs a reference video"
        raise invalid_value("reference_video_compression", "vpack", "with a reference video", sentence)
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
        raise invalid_value("width", width, allowed, f"width and height must make {allowed}, not {width}x{height}")


def _side(name: str, value: float | None) -> int:
    if value is None:
        raise invalid_value(name, None, "a number", f"{name}: width and height belong together")
    side = integer(name, value, low=SIDE_STEP, high=MAX_SIDE)
    if side % SIDE_STEP:
        raise invalid_value(name, side, f"a multiple of {SIDE_STEP} up to {MAX_SIDE}")
    return side


def _check_audio(params: VideoProjectParams, model: VideoModel) -> None:
    if params.audio_duration is not None:
        sentence = f"audio_duration: {params.model_id} takes none; the number of frames says how much is used"
        raise invalid_value("audio_duration", params.audio_duration, "None", sentence)
    if model.audio_guide:
        if params.generate_audio is False:
            sentence = f"generate_audio: {params.model_id} delivers the audio it is guided by"
            raise invalid_value("generate_audio", False, "True or None", sentence)
        if params.audio_start is not None:
            number("audio_start", params.audio_start, low=0)
    elif params.audio_start is not None:
        sentence = f"audio_start: {params.model_id} is not guided by audio"
        raise invalid_value("audio_start", params.audio_start, "None", sentence)


def _check_clips(params: VideoProjectParams, model: VideoModel) -> None:
    seconds = params.reference_video_durations
    if seconds is None:
        return
    name, videos = "reference_video_durations", counted_videos(params, model)
    if len(seconds) != videos:
        allowed = f"{videos} of them, one per reference video"
        raise invalid_value(name, seconds, allowed, f"{name}: there must be {allowed}, not {len(seconds)}")
    low, high = CLIP_SECONDS
    for index, clip in enumerate(seconds):
        if not low - TOLERANCE <= clip <= high + TOLERANCE:
            raise invalid_value(f"{name}[{index}]", clip, f"from {low} to {high} seconds")
    if math.fsum(seconds) > CLIPS_SECONDS + TOLERANCE:
        raise invalid_value(name, seconds, f"at most {CLIPS_SECONDS} seconds in all")


def _checked_keyframes(params: VideoProjectParams, model: VideoModel) -> list[VideoKeyframe]:
    frames = params.frames if params.duration is None else model.timing.frames(params.duration, params.fps)
    if frames is None:
        sentence = "keyframes: give duration or frames, so that there are frames to place them at"
        raise invalid_value("keyframes", params.keyframes, "with duration or frames", sentence)
    given = video_keyframes(params.keyframes)
    if len(given) > MAX_KEYFRAMES:
        sentence = f"keyframes: at most {MAX_KEYFRAMES} can be placed, not {len(given)}"
        raise invalid_value("keyframes", params.keyframes, f"at most {MAX_KEYFRAMES}", sentence)
    places: list[int] = []
    for index, frame in enumerate(given):
        name = f"keyframes[{index}].frame_index"
        place = integer(name, frame.frame_index, low=1, high=frames - 2)
        if place in places:
            raise invalid_value(name, place, "another frame", f"{name}: there is a keyframe at {place} already")
        places.append(place)
    return [attrs.evolve(frame, frame_index=place) for frame, place in zip(given, places, strict=True)]


# Seedance 2.5: projects-5x §4.3.


_NEEDS_VIDEO = ("edit", "extend")


def check_seedance(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params; ValidationError when the task and the references do not belong together."""
    if "seedance_task_type" not in model.takes:
        return params
    task = params.seedance_task_type
    videos = is_supplied(params.reference_video) or bool(params.reference_video_urls)
    loose = videos or is_supplied(params.reference_audio) or any(getattr(params, name) for name in URL_LISTS)
    if task is None:
        if loose:
            allowed = ("reference", "edit", "extend")
            sentence = f"seedance_task_type: {params.model_id} needs one beside references ({', '.join(allowed)})"
            raise invalid_value("seedance_task_type", None, allowed, sentence)
        return params
    if is_supplied(params.reference_image) or is_supplied(params.reference_image_end):
        sentence = "seedance_task_type: reference_image and reference_image_end are frames, which no task takes"
        raise invalid_value("seedance_task_type", task, "None", sentence)
    if task in _NEEDS_VIDEO and not videos:
        raise invalid_value(
            "seedance_task_type", task, "with a video", f"seedance_task_type: {task!r} needs a reference video"
        )
    if not loose:
        sentence = f"seedance_task_type: {task!r} needs a reference"
        raise invalid_value("seedance_task_type", task, "with a reference", sentence)
    return params


# Wan 3: projects-5x §4.5.


RATIOS = ("adaptive", "16:9", "4:3", "1:1", "3:4", "9:16")

_DOCUMENTS = ("reference_file_url", "reference_link_url")


def check_wan3(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params; ValidationError for inputs that exclude each other, or for none at all."""
    documents = [name for name in _DOCUMENTS if getattr(params, name) is not None]
    for name in documents:
        _check_address(name, getattr(params, name))
    if len(documents) > 1:
        sentence = "give reference_file_url or reference_link_url, not both"
        raise invalid_value("reference_link_url", params.reference_link_url, "one of the two", sentence)
    start, end = is_supplied(params.reference_image), is_supplied(params.reference_image_end)
    # The model that takes no documents is the one that can begin anywhere.
    if end and not start and _DOCUMENTS[0] in model.takes:
        sentence = f"reference_image_end: {params.model_id} needs a reference_image before it"
        raise invalid_value("reference_image_end", params.reference_image_end, "with a reference_image", sentence)
    loose = [name for name in ("reference_video", "reference_audio") if is_supplied(getattr(params, name))]
    loose += [name for name in URL_LISTS if getattr(params, name)] + documents
    if (start or end) and loose:
        sentence = f"{loose[0]}: {params.model_id} takes first and last frames or references, not both"
        raise invalid_value(
            loose[0], getattr(params, loose[0]), "without reference_image and reference_image_end", sentence
        )
    if not (start or end or loose):
        text("positive_prompt", params.positive_prompt, empty=False)
    return params


def _check_address(name: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise invalid_value(name, address, "an address that starts with https://")


# The rules of all video projects. What only the tier of the model can tell (samplers) is not checked here; ranges
# that the protocol notes call "not checked" are left to the service.


FAMILY_RULES: Mapping[str, Callable[[VideoProjectParams, VideoModel], VideoProjectParams]] = {
    "seedance": check_seedance,
    "wan3": check_wan3,
    "minimax-h3": check_minimax_h3,
    "flashvsr": check_flashvsr,
}
"""What a family needs beyond its rows; they return the params, with what follows from others filled in."""

_CHECKS = field_checks(
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
    control_net = _checked_control_net(video_control_net_params(params.control_net))
    params = changed_fields(params, {"control_net": control_net})
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
    params = with_right_types(params, _CHECKS)
    lists["reference_video_durations"] = optional(
        items, "reference_video_durations", params.reference_video_durations, item=number
    )
    lists["sam2_coordinates"] = optional(items, "sam2_coordinates", params.sam2_coordinates, item=_point)
    return changed_fields(params, {**lists, "keyframes": keyframes})


def _address(name: str, value: Any) -> str:
    """An address, sent as it is: whether it is public is the service's to find out (projects-4.2 §6.4)."""
    return text(name, value, empty=False)


def _media(name: str, value: Any) -> Any:
    if not is_supplied(value):
        raise invalid_value(name, value, "a file", f"{name}: there are no empty positions here")
    return value


def _point(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not {"x", "y"} <= value.keys():
        raise invalid_value(name, value, "a mapping with x and y")
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
        raise invalid_value(name, value, allowed, f"{name} must be {allowed} for {params.model_id}, not {value}")
    if model.negative_prompt == "refused" and (params.negative_prompt or "").strip():
        sentence = f"negative_prompt: {params.model_id} takes none"
        raise invalid_value("negative_prompt", params.negative_prompt, "None", sentence)


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


# The job request: projects-4.2 §4, §6; projects-5x §2 to §4.


_COPIED = {
    "generate_audio": "generateAudio",
    "audio_identity_strength": "identityGuidanceScale",
    "shift": "shift",
    "teacache_threshold": "teacacheThreshold",
    "audio_start": "audioStart",
    "audio_duration": "audioDuration",
    "video_start": "videoStart",
    "first_frame_strength": "firstFrameStrength",
    "last_frame_strength": "lastFrameStrength",
    "detailer_strength": "detailerStrength",
    "outpaint_position": "outpaintPosition",
    "seedance_task_type": "seedanceTaskType",
    "return_last_frame": "returnLastFrame",
    "ratio": "ratio",
    "prompt_extend": "promptExtend",
    "watermark": "watermark",
    "reference_file_url": "referenceFileURL",
    "reference_link_url": "referenceLinkURL",
    "extend_output": "extendOutput",
    "upscale_resolution": "upscaleResolution",
    "detail_preference": "detailPreference",
    "processing_speed": "processingSpeed",
}
"""Fields that travel as they are, whenever they are given; 0 and False are (projects-4.2 §6.8)."""

_LISTS = {
    "reference_image_urls": "referenceImageURLs",
    "reference_video_urls": "referenceVideoURLs",
    "reference_audio_urls": "referenceAudioURLs",
}
"""Lists that travel when there is something in them."""


def video_request(
    params: VideoProjectParams, *, project_id: str, options: ModelOptions, app_source: str | None
) -> dict[str, Any]:
    """Return the payload of `jobRequest` for checked params; ValidationError if the model's options forbid them.

    `app_source` is the client's, used where the params have none.
    """
    check_kind(params, options)
    sampling = {
        "comfySampler": check_choice("sampler", params.sampler, options.sampler),
        "comfyScheduler": check_choice("scheduler", params.scheduler, options.scheduler),
    }
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
        **common_values(params, negative_prompt=model.negative_prompt == "sent"),
        **_references(params, model),
        **_timing(params, model),
        **given(**{key: getattr(params, name) for name, key in _COPIED.items()}),
        **given(**{key: getattr(params, name) or None for name, key in _LISTS.items()}),
        **given(trimEndFrame=params.trim_end_frame or None),
        **(given(width=params.width, height=params.height) if has_size(params) else {}),
        **_control_net(params),
        **_coordinates(params),
        **model.constants,
    }


def _references(params: VideoProjectParams, model: VideoModel) -> dict[str, Any]:
    """A flag for every media input there is, never one for what is not; then what belongs to them."""
    flags = {item.flag: True for group in video_media(params) for item in group if item.flag}
    keyframes = video_keyframes(params.keyframes)
    durations = (params.reference_video_durations or ()) if model.numbered else ()
    return {
        **flags,
        **given(keyframeFrameIndices=[frame.frame_index for frame in keyframes] or None),
        **{f"referenceVideo{place}DurationSeconds": clip for place, clip in enumerate(durations, 1)},
        **given(referenceVideoCompression="vpack" if params.reference_video_compression == "vpack" else None),
    }


def _timing(params: VideoProjectParams, model: VideoModel) -> dict[str, Any]:
    """Frames follow from the duration, which itself is not sent (projects-4.2 §6.5, §6.7)."""
    return given(fps=model.timing.sent_fps if params.fps is None else params.fps, frames=frames_of(params, model))


def frames_of(params: VideoProjectParams, model: VideoModel) -> int | None:
    """Return the number of frames a video will have; None when nothing says it.

    A duration outranks `frames`, except where the source says both (projects-5x §3.3).
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
    """The points travel as a text of their own (projects-4.2 §6.8)."""
    if params.sam2_coordinates is None:
        return {}
    return {"sam2Coordinates": json.dumps(params.sam2_coordinates, separators=(",", ":"), ensure_ascii=False)}
