"""Every parameter with every family: the edges of its range, a value beyond, and models that do not take it.

The values follow from the declarations in `sogni.models.params` and from the tiers of the emulator's catalogue.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs
import pytest

from sogni.core.catalogue.image_models import image_model
from sogni.core.catalogue.model_families import asset_config, family_of, model_names, workflow_of
from sogni.core.catalogue.state import options_of_tier
from sogni.core.catalogue.video_models import video_row
from sogni.core.projects.audio_requests import audio_model
from sogni.core.projects.kinds import kind_of
from sogni.core.projects.params import PARAMS_BY_TYPE
from sogni.emulator.catalogue import models as emulated
from sogni.emulator.media.audio_kind import AudioKind
from sogni.emulator.media.image_kind import ImageKind
from sogni.emulator.media.model_kind import ModelKind
from sogni.emulator.media.video_kind import VideoKind
from sogni.emulator.projects.request_checks import check_request
from sogni.errors import ValidationError
from sogni.models.catalogue import Choice, ModelOptions, NumberRange
from sogni.models.params import Parameter

NEEDED: dict[str, dict[str, Any]] = {
    "happyhorse-1.1-i2v": {"reference_image": True},
    "happyhorse-1.1-r2v": {"reference_image": True},
    "flashvsr_v1.1_tiny_long_bf16": {"positive_prompt": "", "upscale_resolution": 1080},
    "sam3_image_segment_bf16": {"sam3_prompt": {"text": "a dog"}},
    "rtx_vsr_pro": {"starting_image": True},
}
COMPANIONS: dict[str, dict[str, Any]] = {
    "lora_strengths": {"loras": ["a"]},
    "gpt_image_output_compression": {"output_format": "jpg"},
    "outpaint_position": {"control_net": {"name": "outpaint"}},
    "seedance_task_type": {"reference_video": True},
    "reference_video_compression": {"reference_video": True},
}
"""What a valid value needs beside it, where the declaration does not tell."""


def representatives() -> Iterator[Any]:
    """One model of the emulator for each family and workflow."""
    seen = set()
    for model in emulated.MODELS.values():
        family = family_of(model.id)
        place = (model.tier, family.name if family else None, workflow_of(model.id))
        if place not in seen:
            seen.add(place)
            yield model


MODELS = list(representatives())


def project_type(model: Any) -> str:
    return "image" if model.media == "model" else str(model.media)


def needed(model: Any) -> dict[str, Any]:
    """The least that a model takes, without the rest of its parameters."""
    fields: dict[str, Any] = {"positive_prompt": "a kite", **NEEDED.get(model.id, {})}
    if model.external:
        fields["token_type"] = "spark"
    if project_type(model) == "image" and image_model(model.id).needs_starting_image:
        fields["starting_image"] = True
    if project_type(model) == "audio" and (row := audio_model(model.id)) is not None and row.needs is not None:
        fields[row.needs] = True if row.needs == "reference_audio" else "deep"
    if project_type(model) == "video" and video_row(model.id).matrix:
        assets = asset_config(model.id).assets
        fields |= {it.name: True for it in attrs.fields(type(assets)) if getattr(assets, it.name) == "required"}
        if workflow_of(model.id) in ("i2v", "r2v"):
            fields["reference_image"] = True
    return fields


def request(model: Any, options: ModelOptions, **fields: Any) -> dict[str, Any]:
    """The job request that the client would send; ValidationError if it refuses."""
    params = PARAMS_BY_TYPE[project_type(model)](model_id=model.id, **{**needed(model), **fields})
    kind = kind_of(params)
    checked = kind.check(params)
    kind.check_options(checked, options)
    return kind.request(checked, project_id="P", app_source=None)


def companions(name: str, parameter: Parameter, model: Any) -> dict[str, Any]:
    found = dict.fromkeys(parameter.needs[:1], True) | COMPANIONS.get(name, {})
    if name in ("width", "height"):
        row = image_model(model.id) if project_type(model) == "image" else None
        found = dict.fromkeys(parameter.needs, 1024 if row else 768)
    return found


def range_of(name: str, model: Any) -> tuple[float, float] | None:
    """The range of a parameter that depends on the model, where its options do not state it."""
    if name == "seed":
        row = video_row(model.id).seed if project_type(model) == "video" else None
        return row or (0, 2**32 - 1)
    if name == "duration" and project_type(model) == "video" and video_row(model.id).side_step is None:
        return video_row(model.id).seconds
    return image_model(model.id).sides if name in ("width", "height") and project_type(model) == "image" else None


def edges(
    hint: Any, parameter: Parameter, option: Any, limits: tuple[float, float] | None = None
) -> tuple[list[Any], list[Any]]:
    """Values at the edges of a range, or all of a list; and values beyond."""
    if limits is not None:
        return [*limits], [limits[0] - 1, limits[1] + 1]
    if parameter.options and isinstance(option, dict):
        option = Choice(allowed=option["allowed"]) if "allowed" in option else NumberRange(**option)
    if parameter.options and isinstance(option, Choice) and option.allowed:
        return list(option.allowed), ["warp" if isinstance(option.allowed[0], str) else 7.5]
    if parameter.options and isinstance(option, NumberRange) and option.min is not None and option.max is not None:
        return [option.min, option.max], [option.min - option.step, option.max + option.step]
    members = [it for it in get_args(hint) if it is not type(None)] if get_origin(hint) is not Literal else [hint]
    member = members[0] if members else hint
    if get_origin(member) is Literal:
        return list(get_args(member)), ["warp", 3]
    if member is bool:
        return [True, False], ["yes", 1]
    if member in (int, float) and not parameter.by_model and parameter.low is not None:
        beyond = [parameter.low - 1] + ([parameter.high + 1] if parameter.high is not None else [])
        within = [parameter.low] + ([parameter.high] if parameter.high is not None else [])
        return [member(it) for it in within], [member(it) for it in beyond]
    return [], []


FIXED = frozenset(
    {
        "network", "output_format", "token_type", "number_of_media", "generate_audio", "width", "height",
        "audio_start", "audio_duration", "audio_identity_strength", "video_start", "trim_end_frame",
        "extend_output", "starting_image_strength",
    }
)  # fmt: skip
"""Parameters that some models limit by rules of their own, tested with these rules: accepted values may be refused."""


@cache
def declared_by(kind: Any) -> list[tuple[str, Any, Parameter]]:
    hints = get_type_hints(kind)
    declared = ((it.name, hints[it.name], it.metadata.get("parameter")) for it in attrs.fields(kind))
    return [it for it in declared if it[2] is not None]


def declared(model: Any) -> list[tuple[str, Any, Parameter]]:
    return declared_by(PARAMS_BY_TYPE[project_type(model)])


def takes(model: Any, parameter: Parameter) -> bool:
    return not parameter.models or not model_names(model.id).isdisjoint(parameter.models)


def options_of(model: Any) -> ModelOptions:
    return options_of_tier(emulated.TIERS[model.tier])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_values_at_the_edges_are_accepted_and_sent(model: Any) -> None:
    options, tried = options_of(model), 0
    for name, hint, parameter in declared(model):
        if not takes(model, parameter):
            continue
        for value in edges(hint, parameter, getattr(options, name, None), range_of(name, model))[0]:
            try:
                sent = request(model, options, **{**companions(name, parameter, model), name: value})
            except ValidationError:
                if name not in FIXED:
                    raise
                continue
            tried += 1
            (frame,) = sent["keyFrames"]
            if parameter.key is not None and value != parameter.unsent and parameter.key not in forced(model):
                assert frame[parameter.key] == value, name
            if parameter.request_key is not None:
                assert sent[parameter.request_key] == value, name
    assert tried > 5


def forced(model: Any) -> Any:
    return video_row(model.id).constants if project_type(model) == "video" else ()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_values_beyond_are_refused_by_name(model: Any) -> None:
    options, tried = options_of(model), 0
    for name, hint, parameter in declared(model):
        if not takes(model, parameter):
            continue
        for value in edges(hint, parameter, getattr(options, name, None), range_of(name, model))[1]:
            tried += 1
            with pytest.raises(ValidationError) as caught:
                request(model, options, **{**companions(name, parameter, model), name: value})
            assert (caught.value.field, caught.value.value) == (name, value)
            assert caught.value.message.startswith(f"{name} must be ")
            shown = int(value) if isinstance(value, float) and value.is_integer() else value
            assert f"got {shown!r}" in caught.value.message
            assert caught.value.allowed
    assert tried > 5


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_parameters_of_other_models_are_refused(model: Any) -> None:
    options = options_of(model)
    for name, hint, parameter in declared(model):
        if takes(model, parameter):
            continue
        values = [it for it in edges(hint, parameter, None)[0] if it != parameter.neutral]
        for value in values or [any_value(hint)]:
            with pytest.raises(ValidationError) as caught:
                request(model, options, **{name: value})
            assert caught.value.field == name
            assert caught.value.message.startswith(f"{name} must be omitted for {model.id}, got ")
            assert all(taker in caught.value.message for taker in parameter.models)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_the_emulator_refuses_values_beyond_by_rules_of_its_own(model: Any) -> None:
    """What an unchecked client would send is refused as well."""
    options, tried = options_of(model), 0
    for name, hint, parameter in declared(model):
        within, beyond = edges(hint, parameter, getattr(options, name, None), range_of(name, model))
        key = parameter.key or parameter.request_key
        if key is None or not within or not takes(model, parameter) or name in left_to_the_service(model):
            continue
        try:
            valid = request(model, options, **{**companions(name, parameter, model), name: within[0]})
        except ValidationError:
            assert name in FIXED
            continue
        if accepted(valid) or name not in FIXED:
            assert accepted(valid), name
            for value in beyond:
                wrong = copy.deepcopy(valid)
                (wrong["keyFrames"][0] if parameter.key else wrong)[key] = value
                assert not accepted(wrong), f"{name}={value!r}"
                tried += 1
    assert tried > 5


def left_to_the_service(model: Any) -> tuple[str, ...]:
    """What external providers ignore, and what only distilled models take."""
    return ("steps", "guidance") if model.external else ("outpaint_position",)


CATALOGUE = emulated.Catalogue({"image": 1, "video": 1, "audio": 1, "model": 1})
EMULATED: Any = {
    "image": ImageKind(),
    "video": VideoKind(),
    "audio": AudioKind(),
    "model": ModelKind(),
}


def accepted(payload: dict[str, Any]) -> bool:
    payload = copy.deepcopy(payload) | {"jobID": str(uuid.uuid4()).upper()}
    return check_request(payload, CATALOGUE, EMULATED, "fast").order is not None


def any_value(hint: Any) -> Any:
    """Some value of a type that is neither a number with a range nor a choice."""
    members = get_args(hint)
    if str in members and bytes not in members:
        return "https://example.test/x"
    if int in members or float in members:
        return 1
    names = {getattr(get_origin(it), "__name__", getattr(it, "__name__", "")): it for it in members}
    if "Sequence" in names:
        return sequence_value(get_args(names["Sequence"])[0])
    if "ControlNetParams" in names or "VideoControlNetParams" in names:
        return {"name": "canny"}
    return {"text": "a dog"} if "Sam3Prompt" in names else True


def sequence_value(item: Any) -> list[Any]:
    if item is str:
        return ["https://example.test/x"]
    if item is float:
        return [5]
    if "VideoKeyframe" in str(item):
        return [{"image": True, "frame_index": 1}]
    return [{"x": 0.5, "y": 0.5}] if "Mapping" in str(item) else [True]
