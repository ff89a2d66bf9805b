"""The job request of an image project: decides every key of it, and no more.

Called by the create flow once the model's options are known (projects-4.2 §4, §5; projects-5x §2). It sends
nothing and uploads nothing; ids are arguments.
"""

from __future__ import annotations

from typing import Any

from ..models.catalogue import ModelOptions
from ..models.params import ImageProjectParams
from .field_checks import number
from .image_models import MAX_CONTEXT_FLAGS, image_model, uses_comfy_fields
from .image_options import image_option_values
from .image_rules import CONTROL_MODES, check_image_params, has_custom_size
from .job_request import check_kind, common_values, given, job_request
from .nested_params import control_net_params
from .sam3_rules import sam3_values
from .sampling import check_choice
from .upload_plan import MASK_TYPE, is_supplied

DEFAULT_STRENGTH = 0.5
"""How much of a starting image is kept when nothing is said (projects-4.2 §5.2)."""


def image_request(
    params: ImageProjectParams, *, project_id: str, options: ModelOptions, app_source: str | None
) -> dict[str, Any]:
    """Return the payload of `jobRequest`; ValidationError before anything is sent.

    Errors come in the order of projects-4.2 §8: kind of model, sampler, scheduler, then the params.
    `app_source` is the client's, used where the params have none.
    """
    check_kind(params, options)
    sampler = check_choice("sampler", params.sampler, options.sampler)
    scheduler = check_choice("scheduler", params.scheduler, options.scheduler)
    vae = check_choice("vae", params.vae, options.vae)
    params = check_image_params(params)
    if uses_comfy_fields(params.model_id):
        sampling = {"comfySampler": sampler, "comfyScheduler": scheduler, "vae": vae}
    else:
        # Crossed on purpose: older workers know the sampler as `scheduler` (projects-4.2 §5.1).
        sampling = {"scheduler": sampler, "timeStepSpacing": scheduler}
    return job_request(
        params,
        _key_frame_values(params) | sampling,
        project_id=project_id,
        app_source=app_source,
        usual_format="png",
        previews=params.number_of_previews,
        embedPromptMetadata=params.embed_prompt_metadata,
    )


def _key_frame_values(params: ImageProjectParams) -> dict[str, Any]:
    return {
        **common_values(params, negative_prompt=image_model(params.model_id).negative_prompt),
        **_size(params),
        **_context_flags(params),
        **_gpt_image(params),
        **image_option_values(params),
        **sam3_values(params),
        **_starting_image(params),
        **_control_net(params),
    }


def _size(params: ImageProjectParams) -> dict[str, Any]:
    """Projects-4.2 §5.4: both dimensions without a preset are a custom size; a preset outranks them."""
    if has_custom_size(params):
        return {"sizePreset": "custom", "width": params.width, "height": params.height}
    return given(sizePreset=params.size_preset or None)


def _context_flags(params: ImageProjectParams) -> dict[str, Any]:
    images = params.context_images or ()
    return {
        f"hasContextImage{place + 1}": place < len(images) and is_supplied(images[place])
        for place in range(MAX_CONTEXT_FLAGS)
    }


def _gpt_image(params: ImageProjectParams) -> dict[str, Any]:
    """Quality and background travel for any model that is given them (projects-4.2 §3.2)."""
    masked = is_supplied(params.gpt_image_mask)
    return given(
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
    net = control_net_params(params.control_net)
    if net is None:
        return {}
    control = {
        "name": net.name,
        "cnImageState": "original",
        "hasImage": is_supplied(net.image),
        **given(
            controlStrength=net.strength,
            controlMode=CONTROL_MODES[net.mode] if net.mode else None,
            controlGuidanceStart=net.guidance_start,
            controlGuidanceEnd=net.guidance_end,
            preprocess=net.preprocess or None,
        ),
    }
    return {"currentControlNetsJob": [control]}
