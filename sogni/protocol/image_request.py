"""The job request of an image project: decides every key of it, and no more.

Called by the create flow once the model's options are known (projects-4.2 §4, §5; projects-5x §2). It sends
nothing and uploads nothing; ids are arguments.
"""

from __future__ import annotations

from typing import Any

from ..models.catalogue import ModelOptions
from ..models.params import ImageProjectParams
from .field_checks import number, refusal
from .image_models import MAX_CONTEXT_FLAGS, image_model, uses_comfy_fields
from .image_rules import CONTROL_MODES, check_image_params, has_custom_size
from .project_params import control_net_params
from .sampling import check_choice
from .upload_plan import MASK_TYPE, is_supplied

DEFAULT_STRENGTH = 0.5
"""How much of a starting image is kept when nothing is said (projects-4.2 §5.2)."""

_ABSENT = object()
"""Marks the place of a key that is sent only when there is a value for it."""


def image_request(
    params: ImageProjectParams, *, project_id: str, options: ModelOptions, app_source: str | None
) -> dict[str, Any]:
    """Return the payload of `jobRequest`; ValidationError before anything is sent.

    Errors come in the order of projects-4.2 §8: kind of model, sampler, scheduler, then the params.
    `app_source` is the client's, used where the params have none.
    """
    if options.type != "image":
        sentence = f"model_id: {params.model_id!r} is no image model but makes {options.type}"
        raise refusal("model_id", params.model_id, "an image model", sentence)
    sampler = check_choice("sampler", params.sampler, options.sampler)
    scheduler = check_choice("scheduler", params.scheduler, options.scheduler)
    vae = check_choice("vae", params.vae, options.vae)
    params = check_image_params(params)
    if uses_comfy_fields(params.model_id):
        sampling = {"comfySampler": sampler, "comfyScheduler": scheduler, "vae": vae}
    else:
        # Crossed on purpose: older workers know the sampler as `scheduler` (projects-4.2 §5.1).
        sampling = {"scheduler": sampler, "timeStepSpacing": scheduler}
    key_frame = _merged(_key_frame(), _key_frame_values(params) | sampling)
    return _merged(_request(key_frame), _request_values(params, project_id, app_source))


def _merged(template: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The template with the values in their places, further values behind it."""
    return {key: value for key, value in (template | values).items() if value is not _ABSENT}


def _given(**values: Any) -> dict[str, Any]:
    """Only what was given: a null is not the same as a missing key to the service."""
    return {key: value for key, value in values.items() if value is not None}


def _request_values(params: ImageProjectParams, project_id: str, app_source: str | None) -> dict[str, Any]:
    return _given(
        previews=params.number_of_previews or 0,
        numberOfImages=params.number_of_media,
        jobID=project_id,
        disableSafety=params.disable_nsfw_filter,
        tokenType=params.token_type,
        billingMode=params.billing_mode,
        outputFormat=params.output_format or "png",
        network=params.network,
        appSource=params.app_source or app_source or None,
    )


def _key_frame_values(params: ImageProjectParams) -> dict[str, Any]:
    negative = params.negative_prompt or ""
    takes_negative = image_model(params.model_id).negative_prompt
    return {
        **_given(
            steps=params.steps,
            guidanceScale=params.guidance,
            modelID=params.model_id,
            seed=params.seed,
            positivePrompt=params.positive_prompt,
            stylePrompt=params.style_prompt or "",
        ),
        "negativePrompt": negative if takes_negative else _ABSENT,
        **_given(loras=params.loras or None, loraStrengths=params.lora_strengths or None),
        **_size(params),
        **_context_flags(params),
        **_gpt_image(params),
        **_starting_image(params),
        **_control_net(params),
    }


def _size(params: ImageProjectParams) -> dict[str, Any]:
    """Projects-4.2 §5.4: both dimensions without a preset are a custom size; a preset outranks them."""
    if has_custom_size(params):
        return {"sizePreset": "custom", "width": params.width, "height": params.height}
    return _given(sizePreset=params.size_preset or None)


def _context_flags(params: ImageProjectParams) -> dict[str, Any]:
    given = params.context_images or ()
    return {
        f"hasContextImage{place + 1}": place < len(given) and is_supplied(given[place])
        for place in range(MAX_CONTEXT_FLAGS)
    }


def _gpt_image(params: ImageProjectParams) -> dict[str, Any]:
    """Quality and background travel for any model that is given them (projects-4.2 §3.2)."""
    masked = is_supplied(params.gpt_image_mask)
    return _given(
        gptImageQuality=params.gpt_image_quality,
        gptImageBackground=params.gpt_image_background,
        gptImageOutputCompression=params.gpt_image_output_compression,
        gptImageMaskUrl=params.gpt_image_mask_url,
        hasReferenceMask=True if masked else None,
        referenceMaskContentType=MASK_TYPE if masked else None,
    )


def _starting_image(params: ImageProjectParams) -> dict[str, Any]:
    """Projects-4.2 §5.2: the service counts how much is changed, the caller how much is kept."""
    if not is_supplied(params.starting_image):
        return {}
    return {
        "hasStartingImage": True,
        "strengthIsEnabled": True,
        "strength": denoise(params.starting_image_strength),
    }


def denoise(kept: float | None) -> int | float:
    """Return how much of a starting image is changed, from how much is kept; keeping 0 changes all of it."""
    return number("starting_image_strength", 1 - (DEFAULT_STRENGTH if kept is None else kept))


def _control_net(params: ImageProjectParams) -> dict[str, Any]:
    given = control_net_params(params.control_net)
    if given is None:
        return {}
    control = {
        "name": given.name,
        "cnImageState": "original",
        "hasImage": is_supplied(given.image),
        **_given(
            controlStrength=given.strength,
            controlMode=CONTROL_MODES[given.mode] if given.mode else None,
            controlGuidanceStart=given.guidance_start,
            controlGuidanceEnd=given.guidance_end,
        ),
    }
    return {"currentControlNetsJob": [control]}


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
        "previews": _ABSENT,
        "frameRate": 24,
        "generatedVideoSeconds": 10,
        "canvasIsOn": False,
        "cnVideoFrames": [],
        "disableSafety": _ABSENT,
        "cnVideoFramesSegmentedBackground": [],
        "cnVideoFramesSegmented": [],
        "numberOfImages": _ABSENT,
        "cnVideoFramesPose": [],
        "jobID": _ABSENT,
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
        "steps": _ABSENT,
        "cnRotation": 0,
        "guidanceScale": _ABSENT,
        "siZoomScale": 1,
        "modelID": _ABSENT,
        "cnRotationIsEnabled": True,
        "negativePrompt": "",
        "startingImageZoomPanIsOn": False,
        "seed": _ABSENT,
        "siRotationIsEnabled": True,
        "cnImageBackgroundColor": "clear",
        "strengthIsEnabled": True,
        "siDragOffset": [0, 0],
        "useLastImageAsCNImageInAnimation": False,
        "positivePrompt": _ABSENT,
        "controlNetZoomPanIsOn": False,
        "cnZoomScaleIsEnabled": True,
        "currentControlNets": None,
        "stylePrompt": "",
        "cnDragOffsetIsEnabled": True,
        "frameIndex": 0,
        "startingImage": None,
        "cnZoomScale": 1,
    }
