"""The rules and the job request of audio projects.

Ranges are not checked here: the service knows them. One row per model family.
"""

from __future__ import annotations

from typing import Any

import attrs

from sogni.core.catalogue.model_families import family_of
from sogni.core.catalogue.state import check_choice
from sogni.core.checks import invalid_value
from sogni.core.projects.job_requests import (
    check_kind,
    common_values,
    field_checks,
    given,
    job_request,
    with_right_types,
)
from sogni.core.projects.uploads import audio_media, is_supplied
from sogni.models.catalogue import ModelOptions
from sogni.models.params import AudioProjectParams

SPEECH_FIELDS = ("speaker", "instruct", "reference_text", "reference_audio")

_CHECKS = field_checks(
    texts=(
        "output_format", "timesignature", "language", "lyrics", "keyscale", "speaker", "instruct", "reference_text",
    ),
    numbers=("duration", "bpm", "prompt_strength", "creativity", "shift"),
    flags=("composer_mode",),
)  # fmt: skip


@attrs.frozen(kw_only=True)
class AudioModel:
    """What models of a family need, by a part of their id, and whether they speak."""

    family: str
    part: str = ""
    speaks: bool = False
    needs: str | None = None


ROWS: tuple[AudioModel, ...] = (
    AudioModel(family="ace-step"),
    AudioModel(family="minimax-music3"),
    AudioModel(family="qwen3-tts", part="_voice_clone", speaks=True, needs="reference_audio"),
    AudioModel(family="qwen3-tts", part="_voice_design", speaks=True, needs="instruct"),
    AudioModel(family="qwen3-tts", speaks=True),
)


def audio_model(model_id: str) -> AudioModel | None:
    """Return the row of a model id; None for one of no known family, about which nothing is assumed."""
    family = family_of(model_id)
    name = family.name if family else None
    return next((row for row in ROWS if row.family == name and row.part in model_id), None)


def check_audio_params(params: AudioProjectParams) -> AudioProjectParams:
    """Return the params with plain values; ValidationError otherwise.

    Only the tier says whether a model makes audio at all, so `audio_request` checks that.
    """
    params = with_right_types(params, _CHECKS)
    model = audio_model(params.model_id)
    if model is None:
        return params
    if model.needs is not None and not _given(params, model.needs):
        raise invalid_value(model.needs, None, "a value", f"{model.needs}: {params.model_id} needs one")
    for name in SPEECH_FIELDS:
        if not model.speaks and _given(params, name):
            sentence = f"{name}: {params.model_id} makes music; only speech models take one"
            raise invalid_value(name, getattr(params, name), "None", sentence)
    return params


def _given(params: AudioProjectParams, name: str) -> bool:
    value = getattr(params, name)
    return is_supplied(value) and value != ""


# The job request: projects-4.2 §3.4, §7; projects-5x §4.11.


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
    """Return the payload of `jobRequest` for checked params; ValidationError if the model's options forbid them.

    `app_source` is the client's, used where the params have none. A negative prompt is not sent: audio models
    have none (projects-4.2 §4.3).
    """
    check_kind(params, options)
    voice = audio_media(params)
    key_frame = {
        **common_values(params, negative_prompt=False),
        **given(**{key: getattr(params, name) for name, key in _COPIED.items()}),
        **({voice.flag: True} if voice.flag and is_supplied(voice.media) else {}),
        "comfySampler": check_choice("sampler", params.sampler, options.sampler),
        "comfyScheduler": check_choice("scheduler", params.scheduler, options.scheduler),
    }
    return job_request(params, key_frame, project_id=project_id, app_source=app_source, usual_format="mp3")
