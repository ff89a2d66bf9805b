"""Whether an audio project may be sent: decides types, and what the speech models need.

Called before anything is asked of the service, and again by `audio_request` (projects-4.2 §3.4, §7;
projects-5x §4.11). No range is checked: the service knows them. One row per family.
"""

from __future__ import annotations

import attrs

from ..models.audio_params import AudioProjectParams
from .common_rules import FieldKinds, with_right_types
from .field_checks import refusal
from .model_families import family_of
from .upload_plan import is_supplied

SPEECH_FIELDS = ("speaker", "instruct", "reference_text", "reference_audio")

_KINDS = FieldKinds(
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
    params = with_right_types(params, _KINDS)
    model = audio_model(params.model_id)
    if model is None:
        return params
    if model.needs is not None and not _given(params, model.needs):
        raise refusal(model.needs, None, "a value", f"{model.needs}: {params.model_id} needs one")
    for name in SPEECH_FIELDS:
        if not model.speaks and _given(params, name):
            sentence = f"{name}: {params.model_id} makes music; only speech models take one"
            raise refusal(name, getattr(params, name), "None", sentence)
    return params


def _given(params: AudioProjectParams, name: str) -> bool:
    value = getattr(params, name)
    return is_supplied(value) and value != ""
