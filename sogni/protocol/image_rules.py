"""Whether an image project may be sent: decides types, limits and which fields exclude each other.

Called before anything is asked of the service, and again by `image_request`. What only the model's tier can
tell (samplers) is not checked here; ranges the sheets call "not checked" are left to the service.
"""

from __future__ import annotations

from typing import Any

import attrs

from ..models.params import ControlNetParams, ImageProjectParams
from ..settings import NETWORKS
from .field_checks import flag, integer, items, number, one_of, optional, refusal, text
from .gpt_image_rules import check_gpt_image
from .image_models import ImageModel, image_model
from .project_params import control_net_params
from .upload_plan import is_supplied

MAX_LORAS = 8
"""Projects-5x §17."""

CONTROL_MODES = {"balanced": 0, "prompt_priority": 1, "cn_priority": 2}
"""Wire values of `mode` (projects-4.2 §5.5)."""

TOKEN_TYPES = ("sogni", "spark")
BILLING_MODES = ("auto", "subscription", "tokens")

_TEXTS = (
    "positive_prompt", "negative_prompt", "style_prompt", "app_source", "sampler", "scheduler", "vae",
    "size_preset", "output_format", "gpt_image_quality", "gpt_image_background", "gpt_image_mask_url",
)  # fmt: skip
_INTEGERS = ("steps", "seed", "gpt_image_output_compression")
_NUMBERS = ("guidance", "width", "height", "starting_image_strength")
_CHOICES = {"network": NETWORKS, "token_type": TOKEN_TYPES, "billing_mode": BILLING_MODES}


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
    return _with_forced_values(check_gpt_image(params, model), model)


def _with_right_types(params: ImageProjectParams) -> ImageProjectParams:
    values = attrs.asdict(params, recurse=False)
    changes: dict[str, Any] = {"model_id": text("model_id", params.model_id, empty=False)}
    changes |= {name: optional(text, name, values[name]) for name in _TEXTS}
    changes |= {name: optional(integer, name, values[name]) for name in _INTEGERS}
    changes |= {name: optional(number, name, values[name]) for name in _NUMBERS}
    changes |= {name: optional(one_of, name, values[name], allowed=allowed) for name, allowed in _CHOICES.items()}
    count = params.number_of_media
    return attrs.evolve(
        params,
        **changes,
        # None is what a caller passes for "the usual number", which is one (projects-4.2 §3.1).
        number_of_media=1 if count is None else integer("number_of_media", count, low=1),
        number_of_previews=optional(integer, "number_of_previews", params.number_of_previews, low=0),
        disable_nsfw_filter=bool(optional(flag, "disable_nsfw_filter", params.disable_nsfw_filter)),
        loras=_checked_loras(params),
        lora_strengths=optional(items, "lora_strengths", params.lora_strengths, item=number),
        context_images=optional(items, "context_images", params.context_images, item=lambda _, media: media),
    )


def _checked_loras(params: ImageProjectParams) -> list[str] | None:
    loras = optional(items, "loras", params.loras, item=text)
    if loras is not None and len(loras) > MAX_LORAS:
        sentence = f"loras: at most {MAX_LORAS} can be used at once, not {len(loras)}"
        raise refusal("loras", loras, f"at most {MAX_LORAS}", sentence)
    return loras


def _checked_control_net(given: ControlNetParams | None) -> ControlNetParams | None:
    """Projects-4.2 §5.5; the name and `start < end` are not checked there."""
    if given is None:
        return None
    changes: dict[str, Any] = {
        "name": text("control_net.name", given.name, empty=False),
        "strength": optional(number, "control_net.strength", given.strength, low=0, high=1),
        "mode": optional(one_of, "control_net.mode", given.mode, allowed=tuple(CONTROL_MODES)),
        "guidance_start": optional(number, "control_net.guidance_start", given.guidance_start, low=0, high=1),
        "guidance_end": optional(number, "control_net.guidance_end", given.guidance_end, low=0, high=1),
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
