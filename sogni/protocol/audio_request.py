"""The job request of an audio project: decides every key of its key frame.

Called by the create flow once the model's options are known (projects-4.2 §3.4, §7; projects-5x §4.11). It
sends nothing and uploads nothing; ids are arguments.
"""

from __future__ import annotations

from typing import Any

from ..models.audio_params import AudioProjectParams
from ..models.catalogue import ModelOptions
from .audio_rules import check_audio_params
from .job_request import check_kind, common_values, given, job_request
from .sampling import check_choice
from .upload_plan import audio_media, is_supplied

_COPIED = {
    "duration": "duration",
    "bpm": "bpm",
    "timesignature": "timesignature",
    "language": "language",
    "lyrics": "lyrics",
    "keyscale": "keyscale",
    "composer_mode": "composerMode",
    "prompt_strength": "promptStrength",
    "creativity": "creativity",
    "shift": "shift",
    "speaker": "speaker",
    "instruct": "instruct",
    "reference_text": "referenceText",
}
"""Fields that travel as they are, whenever they are given; 0, False and an empty text are."""


def audio_request(
    params: AudioProjectParams, *, project_id: str, options: ModelOptions, app_source: str | None
) -> dict[str, Any]:
    """Return the payload of `jobRequest`; ValidationError before anything is sent.

    `app_source` is the client's, used where the params have none. A negative prompt is not sent: audio models
    have none (projects-4.2 §4.3).
    """
    check_kind(params, options)
    params = check_audio_params(params)
    voice = audio_media(params)
    key_frame = {
        **common_values(params, negative_prompt=False),
        **given(**{key: getattr(params, name) for name, key in _COPIED.items()}),
        **({voice.flag: True} if voice.flag and is_supplied(voice.media) else {}),
        "comfySampler": check_choice("sampler", params.sampler, options.sampler),
        "comfyScheduler": check_choice("scheduler", params.scheduler, options.scheduler),
    }
    return job_request(params, key_frame, project_id=project_id, app_source=app_source, usual_format="mp3")
