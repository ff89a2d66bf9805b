"""Shared parts of the job requests of image, video and audio projects: checks, and constant keys."""

from __future__ import annotations

import re
from typing import Any

import attrs

from sogni.core.attribution import check_override
from sogni.core.catalogue.model_families import is_spark_only
from sogni.core.checks import integer, invalid_value, nested, one_of, optional, text
from sogni.core.projects.parameters import (
    P,
    changed_fields,
    check_models,
    check_needs,
    key_frame_values,
    plain_values,
    request_values,
)
from sogni.core.projects.uploads import UploadItem
from sogni.models.params import CommonParams, Parameter, ProjectParams, WorldGenerationReceipt

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
    """Return only the given values: to the service, null is not the same as a missing key."""
    return {key: value for key, value in values.items() if value is not None}


def common_values(params: ProjectParams, *, negative_prompt: bool) -> dict[str, Any]:
    """The keys of the key frame that every project has; without `negative_prompt` that one is left out."""
    return {
        **key_frame_values(params),
        "modelID": params.model_id,
        "stylePrompt": params.style_prompt or "",
        "negativePrompt": (params.negative_prompt or "") if negative_prompt else ABSENT,
        **given(worldGenerationReceipt=world_receipt(params.world_generation_receipt)),
    }


def job_request(
    params: ProjectParams,
    key_frame: dict[str, Any],
    *,
    project_id: str,
    app_source: str | None,
    usual_format: str,
    previews: int | None = None,
) -> dict[str, Any]:
    """Return the payload of `jobRequest` around the values of its only key frame.

    `app_source` is the client's and `usual_format` that of the kind, used where the params have none.
    """
    values = given(
        previews=previews or 0,
        numberOfImages=params.number_of_media,
        jobID=project_id,
        disableSafety=params.disable_nsfw_filter,
        outputFormat=params.output_format or usual_format,
        network=params.network,
        appSource=params.app_source or app_source or None,
        **request_values(params),
    )
    return _merged(_request(_merged(_key_frame(), key_frame)), values)


def annotate(payload: dict[str, Any], item: UploadItem, content_type: str | None) -> None:
    """Add the content type of an uploaded file to a payload. Call it in the order of the uploads.

    An existing key is kept: a voice clip shares the key of its audio.
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
    """Return the request without its values."""
    # Some workers fail if a constant is missing (projects-4.2 §4.1).
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
    """Return the key frame without its values."""
    # The constants are in the order of the other clients (projects-4.2 §4.2).
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


# Checks that all types share. Protocol notes: projects-4.2 §3.1.

MAX_LORAS = 8
"""Maximum number of LoRAs of a project."""  # projects-5x §17

BILLING_MODES = ("auto", "subscription", "tokens")


def checked(params: P) -> P:
    """Return the params with plain values; ValidationError names the first that is invalid on its own.

    `number_of_media` becomes 1 if it is None; an empty network or output format becomes None.
    """
    params = _normalized(params)
    changes = plain_values(params)
    text("model_id", params.model_id, empty=False)
    world_receipt(params.world_generation_receipt)
    check_override(params.attribution)
    if params.loras is not None and len(params.loras) > MAX_LORAS:
        raise invalid_value("loras", params.loras, f"at most {MAX_LORAS} IDs")
    return changed_fields(params, changes)


def _normalized(params: P) -> P:
    # None is what a caller passes for "the usual number", which is one; empty strings are none (projects-4.2 §3.1).
    changes: dict[str, Any] = {"network": params.network or None, "output_format": params.output_format or None}
    if params.number_of_media is None:
        changes["number_of_media"] = 1
    if params.disable_nsfw_filter is None:
        changes["disable_nsfw_filter"] = False
    return changed_fields(params, changes)


_SEED: Parameter = attrs.fields(CommonParams).seed.metadata["parameter"]


def check_combinations(params: ProjectParams, *, seeds: tuple[int, int] | None = None) -> None:
    """Raise ValidationError for a parameter that the model does not take, or that lacks the one it belongs to.

    `seeds` is the range of seeds of a model that does not have the usual one.
    """
    check_models(params)
    check_needs(params)
    if params.token_type == "sogni" and is_spark_only(params.model_id):
        raise invalid_value("token_type", "sogni", f"'spark' for {params.model_id}")
    low, high = seeds or (_SEED.low, _SEED.high)
    optional(integer, "seed", params.seed, low=low, high=high)
    loras, strengths = params.loras or (), params.lora_strengths or ()
    if len(strengths) > len(loras):
        allowed = f"a list of at most {len(loras)}, one per LoRA"
        raise invalid_value("lora_strengths", params.lora_strengths, allowed)


def refuse_negative_prompt(params: ProjectParams) -> None:
    """Raise ValidationError for a negative prompt: the model would ignore it."""
    if (params.negative_prompt or "").strip():
        sentence = f"negative_prompt must be omitted for {params.model_id}, which does not use one"
        raise invalid_value("negative_prompt", params.negative_prompt, "None", sentence)
