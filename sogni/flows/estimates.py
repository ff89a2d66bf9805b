"""Estimates: decides what is asked before a price is (projects-4.2 §16, projects-5x §16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..models.base import TokenType
from ..models.catalogue import SizePreset
from ..models.estimates import CostEstimation
from ..models.params import ProjectParams
from ..protocol.estimate_calls import (
    enhancement_estimate_call,
    find_preset,
    image_estimate_call,
    read_estimate,
    wanted_preset,
)
from ..protocol.http import HttpCall
from ..protocol.media_estimate_calls import audio_estimate_call, needs_options, video_estimate_call
from ..protocol.project_kinds import kind_of, wanted_size
from ..protocol.project_params import project_params
from ..settings import NETWORKS
from .catalogue import model_options, size_presets
from .requests import ask
from .steps import Flow, change

DEFAULT_TOKEN: TokenType = "sogni"
"""The token that pays for a project when none is named (projects-4.2 §3.1)."""


def estimate_params(params: ProjectParams) -> Flow[CostEstimation]:
    """What the project with these params would cost."""
    options = yield from model_options(params.model_id)
    token = params.token_type or DEFAULT_TOKEN
    network = yield from change(lambda state, _: params.network or state.network)
    preset = yield from _preset(wanted_size(params), network, params.model_id)
    call = kind_of(params).estimate(params, preset=preset, options=options, network=network, token_type=token)
    return read_estimate((yield from ask(call)))


def estimate_project(given: ProjectParams | None, fields: Mapping[str, Any]) -> Flow[CostEstimation]:
    """What the project would cost that `create` makes of the same arguments."""
    params = project_params(given, fields)
    return (yield from estimate_params(kind_of(params).check(params)))


def estimate_image(model: str, **wanted: Any) -> Flow[CostEstimation]:
    """What images of a model would cost."""
    size_preset = wanted.pop("size_preset", None)
    options = yield from model_options(model)
    preset = yield from _preset(size_preset, wanted.get("network") or "fast", model)
    call = image_estimate_call(model, **wanted, preset=preset, options=options)
    return read_estimate((yield from ask(call)))


def estimate_video(model: str, **wanted: Any) -> Flow[CostEstimation]:
    """What videos of a model would cost; the model is looked up only for what is not said."""
    return (yield from _estimate_media(video_estimate_call, model, wanted))


def estimate_audio(model: str, **wanted: Any) -> Flow[CostEstimation]:
    """What music or speech of a model would cost; the model is looked up only for what is not said."""
    return (yield from _estimate_media(audio_estimate_call, model, wanted))


def _estimate_media(call_for: Callable[..., HttpCall], model: str, wanted: dict[str, Any]) -> Flow[CostEstimation]:
    options = (yield from model_options(model)) if needs_options(call_for, wanted) else None
    announced = yield from change(lambda state, _: state.network_answer)
    # A network this version does not know is nobody's mistake here: the service then takes its own.
    usual = announced if announced in NETWORKS else None
    network = wanted.pop("network", None) or usual
    return read_estimate((yield from ask(call_for(model, **wanted, network=network, options=options))))


def estimate_enhancement(strength: str, token_type: str | None) -> Flow[CostEstimation]:
    """What enhancing an image would cost."""
    call = enhancement_estimate_call(strength, token_type)
    return read_estimate((yield from ask(call)))


def _preset(size_preset: str | None, network: str, model_id: str) -> Flow[SizePreset | None]:
    wanted = wanted_preset(size_preset)
    if wanted is None:
        return None
    return find_preset((yield from size_presets(network, model_id)), wanted)
