"""The rules and the job request of audio projects.

Ranges are not checked here, because only the service knows them. One row per model family.
"""

from __future__ import annotations

from typing import Any

import attrs

from sogni.core.catalogue.model_families import family_of
from sogni.core.checks import invalid_value, text
from sogni.core.projects.job_requests import (
    check_combinations,
    checked,
    common_values,
    job_request,
    refuse_negative_prompt,
)
from sogni.core.projects.uploads import audio_media, is_supplied
from sogni.models.params import AudioProjectParams


@attrs.frozen(kw_only=True)
class AudioModel:
    """Rules for a family of models, selected by a part of their id."""

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

    Only the tier determines whether a model creates audio at all, so `audio_request` checks that.
    """
    params = checked(params)
    check_combinations(params)
    refuse_negative_prompt(params)
    model = audio_model(params.model_id)
    if model is not None and model.needs is not None and not _given(params, model.needs):
        raise invalid_value(model.needs, None, "a value", f"{model.needs} must be given for {params.model_id}")
    if model is not None and model.speaks:
        text("positive_prompt", params.positive_prompt, empty=False)
    return params


def _given(params: AudioProjectParams, name: str) -> bool:
    value = getattr(params, name)
    return is_supplied(value) and value != ""


def audio_request(params: AudioProjectParams, *, project_id: str, app_source: str | None) -> dict[str, Any]:
    """Return the payload of `jobRequest` for checked params. `app_source` is the client's."""
    # Protocol notes: projects-4.2 §3.4, §7; projects-5x §4.11. Audio models use no negative prompt.
    voice = audio_media(params)
    key_frame = {
        **common_values(params, negative_prompt=False),
        **({voice.flag: True} if voice.flag and is_supplied(voice.media) else {}),
        "comfySampler": params.sampler,
        "comfyScheduler": params.scheduler,
    }
    return job_request(params, key_frame, project_id=project_id, app_source=app_source, usual_format="mp3")
