"""What the job requests of image, video and audio projects have in common: field types, and the constant keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs

from sogni.core.attribution import check_attribution
from sogni.core.checks import flag, integer, invalid_value, items, nested, number, one_of, optional, text
from sogni.core.projects.uploads import UploadItem
from sogni.models.catalogue import ModelOptions
from sogni.models.params import ProjectParams, WorldGenerationReceipt
from sogni.settings import NETWORKS

_FIELD = "world_generation_receipt"
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_HASHES = {
    "target_still": {"sourceImageSha256": "source_image_sha256", "selectionHash": "selection_hash"},
    "transition": {"firstFrameSha256": "first_frame_sha256", "lastFrameSha256": "last_frame_sha256"},
}


def world_receipt(given: Any) -> dict[str, str] | None:
    """Return the wire form of the receipt of a world generation, with its hashes in lower case; None for None.

    Raises ValidationError for an invalid one. Keys of another stage are dropped, as the service does.
    """
    # projects-5x §2.2
    receipt = nested(WorldGenerationReceipt, _FIELD, given)
    if receipt is None:
        return None
    stage = one_of(f"{_FIELD}.stage", receipt.stage, tuple(_HASHES))
    return {"stage": stage} | {key: _hash(name, getattr(receipt, name)) for key, name in _HASHES[stage].items()}


def _hash(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise invalid_value(f"{_FIELD}.{name}", value, "64 hexadecimal digits")
    return value.lower()


# The job request: projects-4.2 §4, projects-5x §2.

ABSENT = object()
"""Marks the place of a key that is sent only when there is a value for it."""

_OPTIONAL = (
    "previews", "disableSafety", "numberOfImages", "jobID", "steps", "guidanceScale", "modelID", "negativePrompt",
    "seed", "positivePrompt",
)  # fmt: skip
"""The keys that may be marked so."""


def given(**values: Any) -> dict[str, Any]:
    """Only what was given: a null is not the same as a missing key to the service."""
    return {key: value for key, value in values.items() if value is not None}


def check_kind(params: ProjectParams, options: ModelOptions) -> None:
    """Refuse a model that makes something else (projects-4.2 §8, rule 4)."""
    if options.type != params.type:
        article = "a" if params.type == "video" else "an"
        sentence = f"model_id: {params.model_id!r} is no {params.type} model but makes {options.type}"
        raise invalid_value("model_id", params.model_id, f"{article} {params.type} model", sentence)


def common_values(params: ProjectParams, *, negative_prompt: bool) -> dict[str, Any]:
    """The keys of the key frame that every project has; without `negative_prompt` that one is left out."""
    return {
        **given(
            steps=params.steps,
            guidanceScale=params.guidance,
            modelID=params.model_id,
            seed=params.seed,
            positivePrompt=params.positive_prompt,
            stylePrompt=params.style_prompt or "",
        ),
        "negativePrompt": (params.negative_prompt or "") if negative_prompt else ABSENT,
        **given(
            loras=params.loras or None,
            loraStrengths=params.lora_strengths or None,
            worldGenerationReceipt=world_receipt(params.world_generation_receipt),
        ),
    }


def job_request(
    params: ProjectParams,
    key_frame: dict[str, Any],
    *,
    project_id: str,
    app_source: str | None,
    usual_format: str,
    previews: int | None = None,
    **further: Any,
) -> dict[str, Any]:
    """Return the payload of `jobRequest` around the values of its only key frame.

    `app_source` is the client's and `usual_format` that of the kind, used where the params have none. `further` keys
    of the top level are those of one kind only.
    """
    values = given(
        previews=previews or 0,
        numberOfImages=params.number_of_media,
        jobID=project_id,
        disableSafety=params.disable_nsfw_filter,
        tokenType=params.token_type,
        billingMode=params.billing_mode,
        outputFormat=params.output_format or usual_format,
        network=params.network,
        appSource=params.app_source or app_source or None,
        promptExpanded=params.prompt_expanded,
        **given(**further),
    )
    return _merged(_request(_merged(_key_frame(), key_frame)), values)


def annotate(payload: dict[str, Any], item: UploadItem, content_type: str | None) -> None:
    """Note in a payload what an uploaded file is (projects-4.2 §4.5); called in the order of the uploads.

    A key that is there already stays: a voice clip shares that of the audio it stands beside.
    """
    if content_type is not None:
        for key in item.content_type_keys:
            payload["keyFrames"][0].setdefault(key, content_type)


def _merged(template: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The template with the values in their places, further values behind it."""
    merged = template | values
    for key in _OPTIONAL:
        if merged.get(key) is ABSENT:
            del merged[key]
    return merged


def _request(key_frame: dict[str, Any]) -> dict[str, Any]:
    """The top level: some workers fail when a constant is missing (projects-4.2 §4.1)."""
    return {
        "selectedUpscalingModel": "OFF",
        "cnVideoFramesSketch": [],
        "cnVideoFramesSegmentedSubject": [],
        "cnVideoFramesFace": [],
        "doCanvasBlending": False,
        "animationIsOn": False,
        "cnVideoFramesBoth": [],
        "cnVideoFramesDepth": [],
        "keyFrames": [key_frame],
        "previews": ABSENT,
        "frameRate": 24,
        "generatedVideoSeconds": 10,
        "canvasIsOn": False,
        "cnVideoFrames": [],
        "disableSafety": ABSENT,
        "cnVideoFramesSegmentedBackground": [],
        "cnVideoFramesSegmented": [],
        "numberOfImages": ABSENT,
        "cnVideoFramesPose": [],
        "jobID": ABSENT,
        "siVideoFrames": [],
    }


def _key_frame() -> dict[str, Any]:
    """The only key frame: constants in the order the service is used to (projects-4.2 §4.2)."""
    return {
        "stepsIsEnabled": True,
        "siRotation": 0,
        "siDragOffsetIsEnabled": True,
        "strength": 0.5,
        "siZoomScaleIsEnabled": True,
        "isEnabled": True,
        "processing": "CPU, GPU",
        "useLastImageAsGuideImageInAnimation": True,
        "guidanceScaleIsEnabled": True,
        "siImageBackgroundColor": "black",
        "cnDragOffset": [0, 0],
        "scheduler": None,
        "timeStepSpacing": None,
        "steps": ABSENT,
        "cnRotation": 0,
        "guidanceScale": ABSENT,
        "siZoomScale": 1,
        "modelID": ABSENT,
        "cnRotationIsEnabled": True,
        "negativePrompt": "",
        "startingImageZoomPanIsOn": False,
        "seed": ABSENT,
        "siRotationIsEnabled": True,
        "cnImageBackgroundColor": "clear",
        "strengthIsEnabled": True,
        "siDragOffset": [0, 0],
        "useLastImageAsCNImageInAnimation": False,
        "positivePrompt": ABSENT,
        "controlNetZoomPanIsOn": False,
        "cnZoomScaleIsEnabled": True,
        "currentControlNets": None,
        "stylePrompt": "",
        "cnDragOffsetIsEnabled": True,
        "frameIndex": 0,
        "startingImage": None,
        "cnZoomScale": 1,
    }


# The types of the fields: projects-4.2 §3.1.

P = TypeVar("P", bound=ProjectParams)

MAX_LORAS = 8
"""Projects-5x §17."""

TOKEN_TYPES = ("sogni", "spark")
BILLING_MODES = ("auto", "subscription", "tokens")


FieldChecks = tuple[tuple[str, Callable[[str, Any], Any]], ...]


def field_checks(
    *,
    texts: tuple[str, ...] = (),
    integers: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    choices: Mapping[str, Sequence[str]] | None = None,
) -> FieldChecks:
    """Return the names of fields with the check of each: strings, integers, numbers, flags, or one of a few strings."""
    kinds = ((texts, text), (integers, integer), (numbers, number), (flags, flag))
    plain: list[tuple[str, Any]] = [(name, check) for names, check in kinds for name in names]
    return (*plain, *((name, partial(one_of, allowed=allowed)) for name, allowed in (choices or {}).items()))


_COMMON = field_checks(
    texts=("positive_prompt", "negative_prompt", "style_prompt", "app_source", "sampler", "scheduler"),
    integers=("steps", "seed"),
    numbers=("guidance",),
    flags=("prompt_expanded",),
    choices={"network": NETWORKS, "token_type": TOKEN_TYPES, "billing_mode": BILLING_MODES},
)


def changed_fields(params: P, changes: dict[str, Any]) -> P:
    """Return params with these fields changed; the same object if nothing changes."""
    different = {name: value for name, value in changes.items() if value is not getattr(params, name)}
    return attrs.evolve(params, **different) if different else params


def with_right_types(params: P, own: FieldChecks, **changes: Any) -> P:
    """Return the params with plain values, and with `changes`; ValidationError names the first field of a wrong type.

    What is None stays None, save `number_of_media`, which is then one.
    """
    # An empty network is none (projects-4.2 §3.1).
    changes["network"] = network = params.network or None
    changes["model_id"] = text("model_id", params.model_id, empty=False)
    for checks in (_COMMON, own):
        for name, check in checks:
            value = network if name == "network" else getattr(params, name)
            if value is not None:
                changes[name] = check(name, value)
    world_receipt(params.world_generation_receipt)
    check_attribution(params.attribution)
    count = params.number_of_media
    # None is what a caller passes for "the usual number", which is one (projects-4.2 §3.1).
    changes["number_of_media"] = 1 if count is None else integer("number_of_media", count, low=1)
    changes["disable_nsfw_filter"] = bool(optional(flag, "disable_nsfw_filter", params.disable_nsfw_filter))
    changes["loras"] = _checked_loras(params)
    changes["lora_strengths"] = optional(items, "lora_strengths", params.lora_strengths, item=number)
    return changed_fields(params, changes)


def _checked_loras(params: ProjectParams) -> list[str] | None:
    loras = optional(items, "loras", params.loras, item=text)
    if loras is not None and len(loras) > MAX_LORAS:
        sentence = f"loras: at most {MAX_LORAS} can be used at once, not {len(loras)}"
        raise invalid_value("loras", loras, f"at most {MAX_LORAS}", sentence)
    return loras
