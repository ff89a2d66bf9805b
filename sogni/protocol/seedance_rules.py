"""The rule of Seedance 2.5: decides which task fits which references (projects-5x §4.3).

Called by `video_rules`; counts and limits of the family are in its rows. It reads no file.
"""

from __future__ import annotations

from ..models.video_params import VideoProjectParams
from .field_checks import refusal
from .upload_plan import is_supplied
from .video_families import URL_LISTS, VideoModel

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
            raise refusal("seedance_task_type", None, allowed, sentence)
        return params
    if is_supplied(params.reference_image) or is_supplied(params.reference_image_end):
        sentence = "seedance_task_type: reference_image and reference_image_end are frames, which no task takes"
        raise refusal("seedance_task_type", task, "None", sentence)
    if task in _NEEDS_VIDEO and not videos:
        raise refusal(
            "seedance_task_type", task, "with a video", f"seedance_task_type: {task!r} needs a reference video"
        )
    if not loose:
        sentence = f"seedance_task_type: {task!r} needs a reference"
        raise refusal("seedance_task_type", task, "with a reference", sentence)
    return params
