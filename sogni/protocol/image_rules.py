"""Whether an image project may be sent: decides types, limits and which fields exclude each other.

Called before anything is asked of the service, and again by `image_request`. What only the model's tier can
tell (samplers) is not checked here; ranges the sheets call "not checked" are left to the service.
"""

from __future__ import annotations

from typing import Any

import attrs

from ..models.params import ControlNetParams, ImageProjectParams
from .common_rules import FieldKinds, with_right_types
from .field_checks import flag, integer, items, number, one_of, optional, refusal, text
from .gpt_image_rules import check_gpt_image
from .image_models import ImageModel, image_model
from .image_options import check_image_options
from .nested_params import control_net_params
from .sam3_rules import check_sam3
from .upload_plan import is_supplied

CONTROL_MODES = {"balanced": 0, "prompt_priority": 1, "cn_priority": 2}
"""Wire values of `mode` (projects-4.2 §5.5)."""

_KINDS = FieldKinds(
    texts=(
        "vae", "size_preset", "output_format", "gpt_image_quality", "gpt_image_background", "gpt_image_mask_url",
    ),
    integers=("gpt_image_output_compression",),
    numbers=("width", "height", "starting_image_strength"),
    flags=("embed_prompt_metadata",),
)  # fmt: skip


def check_image_params(params: ImageProjectParams) -> ImageProjectParams:
    """Return the params with plain numbers, lists and whatever the model forces; ValidationError otherwise.

    First wrong types in the order of the fields' kinds, then the rules in the order of projects-4.2 §8. A
    media input is not looked at: whether a file is an image is known when it is read.
    """
    params = _with_right_types(params)
    model = image_model(params.model_id)
    control_net = _checked_control_net(control_net_params(params.control_net))
    params = attrs.evolve(params, control_net=control_net)
    _check_size(params, model)
    _check_images(params, model)
    params = check_sam3(check_image_options(params))
    return _with_forced_values(check_gpt_image(params, model), model)


def _with_right_types(params: ImageProjectParams) -> ImageProjectParams:
    return attrs.evolve(
        with_right_types(params, _KINDS),
        number_of_previews=optional(integer, "number_of_previews", params.number_of_previews, low=0),
        context_images=optional(items, "context_images", params.context_images, item=_context_image),
    )


def _context_image(name: str, media: Any) -> Any:
    if media is None:
        sentence = f"{name} must be an image, got None; remove it from the list, or keep its position empty with False"
        raise refusal(name, None, "an image, or False for an empty position", sentence)
    return media


def _checked_control_net(given: ControlNetParams | None) -> ControlNetParams | None:
    """Projects-4.2 §5.5; the name and `start < end` are not checked there."""
    if given is None:
        return None
    # An empty mode is none (projects-4.2 §5.5).
    mode: Any = given.mode
    mode = None if mode == "" else mode
    changes: dict[str, Any] = {
        "name": text("control_net.name", given.name, empty=False),
        "strength": optional(number, "control_net.strength", given.strength, low=0, high=1),
        "mode": optional(one_of, "control_net.mode", mode, allowed=tuple(CONTROL_MODES)),
        "guidance_start": optional(number, "control_net.guidance_start", given.guidance_start, low=0, high=1),
        "guidance_end": optional(number, "control_net.guidance_end", given.guidance_end, low=0, high=1),
        "preprocess": optional(flag, "control_net.preprocess", given.preprocess),
    }
    return attrs.evolve(given, **changes)


def has_custom_size(params: ImageProjectParams) -> bool:
    """Whether width and height are sent: both given, and no named preset (projects-4.2 §5.4)."""
    return bool(params.width and params.height) and params.size_preset in (None, "", "custom")


def _check_size(params: ImageProjectParams, model: ImageModel) -> None:
    """Bounds of a custom size (projects-4.2 §5.4, projects-5x §2.3); other sizes are never sent."""
    if not has_custom_size(params):
        return
    low, high = model.sides
    width = number("width", params.width, low=low, high=high)
    height = number("height", params.height, low=low, high=high)
    size = f"{width}x{height}"
    if model.pixels and not model.pixels[0] <= width * height <= model.pixels[1]:
        allowed = f"from {model.pixels[0]} to {model.pixels[1]} pixels in all"
        raise refusal("width", width, allowed, f"width and height must make {allowed}, not {size}")
    if model.aspect and max(width, height) > model.aspect * min(width, height):
        allowed = f"at most {model.aspect}:1"
        raise refusal("width", width, allowed, f"width and height must have a ratio of {allowed}, not {size}")


def _check_images(params: ImageProjectParams, model: ImageModel) -> None:
    """Which images a model takes, and how many (projects-5x §2.3, §4.8 to §4.10)."""
    given = params.context_images or ()
    model_id = params.model_id
    if model.needs_starting_image and not is_supplied(params.starting_image):
        raise refusal("starting_image", None, "an image", f"starting_image: {model_id} needs one")
    if not model.takes_starting_image and is_supplied(params.starting_image):
        raise refusal("starting_image", params.starting_image, "None", f"starting_image: {model_id} takes none")
    # Positions keep their number on the wire, so that empty ones count as well.
    if len(given) > model.context_images and any(map(is_supplied, given)):
        allowed = f"at most {model.context_images}"
        sentence = f"context_images: {model_id} takes {allowed}, not {len(given)}"
        raise refusal("context_images", given, allowed, sentence)
    if model.full_context and not all(map(is_supplied, given)):
        sentence = f"context_images: {model_id} takes no empty positions"
        raise refusal("context_images", given, "images only", sentence)


def _with_forced_values(params: ImageProjectParams, model: ImageModel) -> ImageProjectParams:
    """What the service takes only so, whatever was asked for (projects-5x §2.1)."""
    forced = {
        "number_of_media": model.forced_media,
        "number_of_previews": model.forced_previews,
        "output_format": model.forced_format,
    }
    changes: dict[str, Any] = {name: value for name, value in forced.items() if value is not None}
    return attrs.evolve(params, **changes) if changes else params
