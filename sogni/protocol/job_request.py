"""The job request of any project: decides what image, video and audio requests have in common.

Called by `image_request`, `video_request` and `audio_request`, which know the keys of their own kind
(projects-4.2 §4; projects-5x §2). It checks nothing and sends nothing.
"""

from __future__ import annotations

from typing import Any

from ..models.catalogue import ModelOptions
from ..models.params import ProjectParams
from .field_checks import refusal
from .upload_plan import UploadItem
from .world_receipts import world_receipt

ABSENT = object()
"""Marks the place of a key that is sent only when there is a value for it."""


def given(**values: Any) -> dict[str, Any]:
    """Only what was given: a null is not the same as a missing key to the service."""
    return {key: value for key, value in values.items() if value is not None}


def check_kind(params: ProjectParams, options: ModelOptions) -> None:
    """Refuse a model that makes something else (projects-4.2 §8, rule 4)."""
    if options.type != params.type:
        article = "a" if params.type == "video" else "an"
        sentence = f"model_id: {params.model_id!r} is no {params.type} model but makes {options.type}"
        raise refusal("model_id", params.model_id, f"{article} {params.type} model", sentence)


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
    return {key: value for key, value in (template | values).items() if value is not ABSENT}


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
