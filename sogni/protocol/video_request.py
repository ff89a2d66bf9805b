"""The job request of a video project: decides every key of its key frame.

Called by the create flow once the model's options are known (projects-4.2 §4, §6; projects-5x §2 to §4). It
sends nothing and uploads nothing; ids are arguments. What the uploaded files are is added by
`job_request.annotate`.
"""

from __future__ import annotations

import json
from typing import Any

from ..models.catalogue import ModelOptions
from ..models.video_params import VideoProjectParams
from .job_request import check_kind, common_values, given, job_request
from .nested_params import video_control_net_params, video_keyframes
from .sampling import check_choice
from .upload_plan import video_media
from .video_families import VideoModel, video_row
from .video_rules import check_video_params, has_size

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
    """Return the payload of `jobRequest`; ValidationError before anything is sent.

    Errors come in the order of projects-4.2 §6.8: kind of model, the params, sampler, scheduler. `app_source`
    is the client's, used where the params have none.
    """
    check_kind(params, options)
    params = check_video_params(params)
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
