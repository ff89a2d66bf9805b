"""The rules of GPT Image models: decides which quality, background, compression and mask may be sent.

Called by `image_rules` for every image project, because a mask must be refused for other models
(projects-5x §4.10). It reads no file: a mask in a `data:` address is decoded, nothing else.
"""

from __future__ import annotations

import base64
import binascii
import math
import re

import attrs

from ..models.params import ImageProjectParams
from .field_checks import integer, one_of, optional, refusal
from .image_models import ImageModel
from .upload_plan import is_supplied

MAX_ENCODED_MASK = math.ceil(50 * 1024 * 1024 * 4 / 3)
"""The base64 text of a mask must be shorter than this."""

COMPRESSED_FORMATS = ("jpg", "webp")

_MASK_START = re.compile(r"data:image/png;base64,", re.IGNORECASE)
_MASK_FORM = "data:image/png;base64,…"


def check_gpt_image(params: ImageProjectParams, model: ImageModel) -> ImageProjectParams:
    """Return the params with a `data:` mask made an upload; ValidationError for what breaks a rule.

    Quality, background and compression are checked for GPT Image models only; others ignore them.
    """
    masks = [name for name in ("gpt_image_mask", "gpt_image_mask_url") if is_supplied(getattr(params, name))]
    if not model.is_gpt_image:
        if masks:
            sentence = f"{masks[0]}: {params.model_id} takes no mask; only GPT Image models do"
            raise refusal(masks[0], getattr(params, masks[0]), "a GPT Image model", sentence)
        return params
    _check_masks(params, masks)
    _check_output(params, model)
    return _with_mask_of_url(params)


def _check_masks(params: ImageProjectParams, masks: list[str]) -> None:
    if len(masks) == 2:
        sentence = "give gpt_image_mask or gpt_image_mask_url, not both"
        raise refusal("gpt_image_mask", params.gpt_image_mask, "one of the two", sentence)
    contexts = params.context_images or ()
    if masks and not (contexts and is_supplied(contexts[0])):
        sentence = f"{masks[0]}: a mask needs the image it belongs to, as the first of context_images"
        raise refusal(masks[0], getattr(params, masks[0]), "with a first context image", sentence)


def _check_output(params: ImageProjectParams, model: ImageModel) -> None:
    optional(one_of, "gpt_image_quality", params.gpt_image_quality, allowed=model.qualities)
    background = optional(one_of, "gpt_image_background", params.gpt_image_background, allowed=model.backgrounds)
    if background == "transparent" and params.output_format == "jpg":
        sentence = "gpt_image_background: 'transparent' needs output_format 'png' or 'webp', not 'jpg'"
        raise refusal("gpt_image_background", background, "png or webp", sentence)
    compression = params.gpt_image_output_compression
    if compression is None:
        return
    integer("gpt_image_output_compression", compression, low=0, high=100)
    if params.output_format not in COMPRESSED_FORMATS:
        sentence = (
            f"gpt_image_output_compression needs output_format 'jpg' or 'webp', not {params.output_format or 'png'!r}"
        )
        raise refusal("gpt_image_output_compression", compression, COMPRESSED_FORMATS, sentence)


def _with_mask_of_url(params: ImageProjectParams) -> ImageProjectParams:
    """A mask that is its own address is uploaded; the service fetches the others."""
    url = params.gpt_image_mask_url
    if url is None or not url.lower().startswith("data:"):
        return params
    start = _MASK_START.match(url)
    if start is None:
        raise refusal("gpt_image_mask_url", url, _MASK_FORM)
    encoded = url[start.end() :]
    if len(encoded) >= MAX_ENCODED_MASK:
        sentence = f"gpt_image_mask_url: a mask must be shorter than {MAX_ENCODED_MASK} characters of base64"
        raise refusal("gpt_image_mask_url", url, "50 MiB", sentence)
    try:
        mask = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise refusal("gpt_image_mask_url", url, _MASK_FORM) from None
    return attrs.evolve(params, gpt_image_mask=mask, gpt_image_mask_url=None)
