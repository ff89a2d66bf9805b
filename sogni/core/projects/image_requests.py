"""The rules and the job request of image projects, of GPT Image, SAM 3 and enhancements too.

No file is read: a mask in a `data:` URL is decoded, nothing else.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

import attrs

from sogni.core.catalogue.image_models import MAX_CONTEXT_FLAGS, ORBIT_VIEWS, ImageModel, image_model, uses_comfy_fields
from sogni.core.checks import flag, integer, invalid_value, items, nested, nested_items, number, one_of, optional, text
from sogni.core.projects.job_requests import (
    check_combinations,
    checked,
    common_values,
    given,
    job_request,
    refuse_negative_prompt,
)
from sogni.core.projects.parameters import changed_fields
from sogni.core.projects.params import control_net_params
from sogni.core.projects.uploads import MASK_TYPE, is_supplied
from sogni.models.params import (
    ControlNetName,
    ControlNetParams,
    ImageProjectParams,
    MediaInput,
    Sam3Box,
    Sam3Label,
    Sam3Point,
    Sam3Prompt,
)
from sogni.settings import TokenType

MAX_ENCODED_MASK = math.ceil(50 * 1024 * 1024 * 4 / 3)
"""The base64 text of a mask must be shorter than this."""

COMPRESSED_FORMATS = ("jpg", "webp")

_MASK_START = re.compile(r"data:image/png;base64,", re.IGNORECASE)
_MASK_FORM = "data:image/png;base64,…"


def check_gpt_image(params: ImageProjectParams, model: ImageModel) -> ImageProjectParams:
    """Return the params with a `data:` mask made an upload; ValidationError for an invalid combination."""
    if not model.is_gpt_image:
        return params
    _check_masks(params)
    _check_output(params, model)
    return _with_mask_of_url(params)


def _check_masks(params: ImageProjectParams) -> None:
    masks = [name for name in ("gpt_image_mask", "gpt_image_mask_url") if is_supplied(getattr(params, name))]
    if len(masks) == 2:
        sentence = "gpt_image_mask must be omitted together with gpt_image_mask_url, got both"
        raise invalid_value("gpt_image_mask", params.gpt_image_mask, "one of the two", sentence)


def _check_output(params: ImageProjectParams, model: ImageModel) -> None:
    optional(one_of, "gpt_image_quality", params.gpt_image_quality, allowed=model.qualities)
    background = optional(one_of, "gpt_image_background", params.gpt_image_background, allowed=model.backgrounds)
    if background == "transparent" and params.output_format == "jpg":
        sentence = (
            "gpt_image_background 'transparent' must be given together with output_format 'png' or 'webp', got 'jpg'"
        )
        raise invalid_value("gpt_image_background", background, "png or webp", sentence)
    compression = params.gpt_image_output_compression
    if compression is None:
        return
    if params.output_format not in COMPRESSED_FORMATS:
        sentence = (
            "gpt_image_output_compression must be given together with output_format 'jpg' or 'webp', "
            f"got {params.output_format or 'png'!r}"
        )
        raise invalid_value("gpt_image_output_compression", compression, COMPRESSED_FORMATS, sentence)


def _with_mask_of_url(params: ImageProjectParams) -> ImageProjectParams:
    """Return the params with a `data:` mask as a file to upload; the service fetches other URLs."""
    url = params.gpt_image_mask_url
    if url is None or not url.lower().startswith("data:"):
        return params
    start = _MASK_START.match(url)
    if start is None:
        raise invalid_value("gpt_image_mask_url", url, _MASK_FORM)
    encoded = url[start.end() :]
    if len(encoded) >= MAX_ENCODED_MASK:
        sentence = f"gpt_image_mask_url must be shorter than {MAX_ENCODED_MASK} characters, got {len(url)}"
        raise invalid_value("gpt_image_mask_url", url, "50 MiB", sentence)
    try:
        mask = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise invalid_value("gpt_image_mask_url", url, _MASK_FORM) from None
    return attrs.evolve(params, gpt_image_mask=mask, gpt_image_mask_url=None)


# SAM 3: projects-5x §4.8, which does not say which object contains `sam3Prompt`; it is sent where the similar
# option of BiRefNet is, in the key frame.


SAM3_MODEL = "sam3_image_segment_bf16"
MOST_POINTS, MOST_BOXES, LONGEST_TEXT, MOST_INSTANCES = 32, 16, 240, 16
USUAL_THRESHOLD = 0.5
LABELS = ("positive", "negative")


def check_sam3(params: ImageProjectParams) -> ImageProjectParams:
    """Return the params with a plain prompt. ValidationError for a wrong one, one too many, or a missing one."""
    prompt = nested(Sam3Prompt, "sam3_prompt", params.sam3_prompt)
    if params.model_id != SAM3_MODEL:
        return params
    if prompt is None:
        raise invalid_value("sam3_prompt", None, "a Sam3Prompt", f"sam3_prompt must be given for {SAM3_MODEL}")
    return attrs.evolve(params, sam3_prompt=_checked(prompt))


def sam3_values(params: ImageProjectParams) -> dict[str, Any]:
    """The key of the key frame; nothing for other models."""
    prompt = nested(Sam3Prompt, "sam3_prompt", params.sam3_prompt)
    if prompt is None:
        return {}
    wire = {
        "points": [attrs.asdict(point) for point in _points(prompt)],
        "boxes": [attrs.asdict(box) for box in _boxes(prompt)],
        "text": prompt.text,
        "threshold": USUAL_THRESHOLD if prompt.threshold is None else prompt.threshold,
        "multimask": prompt.multimask is not False if prompt.points else None,
        "applyMask": prompt.apply_mask,
        "maxInstances": prompt.max_instances,
    }
    return {"sam3Prompt": {key: value for key, value in wire.items() if value is not None}}


def _checked(prompt: Sam3Prompt) -> Sam3Prompt:
    points = [_point(f"sam3_prompt.points[{place}]", it) for place, it in enumerate(_points(prompt))]
    boxes = [_box(f"sam3_prompt.boxes[{place}]", it) for place, it in enumerate(_boxes(prompt))]
    _check_amount("points", points, MOST_POINTS)
    _check_amount("boxes", boxes, MOST_BOXES)
    words = optional(text, "sam3_prompt.text", prompt.text)
    if words is not None and not 1 <= len(words := words.strip()) <= LONGEST_TEXT:
        raise invalid_value("sam3_prompt.text", prompt.text, f"a string of 1 to {LONGEST_TEXT} characters")
    _check_company(points, boxes, words)
    multimask = optional(flag, "sam3_prompt.multimask", prompt.multimask)
    if multimask and not points:
        sentence = "sam3_prompt.multimask must be given together with points, got True alone"
        raise invalid_value("sam3_prompt.multimask", True, "None without points", sentence)
    return Sam3Prompt(
        points=points,
        boxes=boxes,
        text=words,
        threshold=optional(number, "sam3_prompt.threshold", prompt.threshold, low=0, high=1),
        multimask=multimask,
        apply_mask=flag("sam3_prompt.apply_mask", prompt.apply_mask),
        max_instances=optional(integer, "sam3_prompt.max_instances", prompt.max_instances, low=1, high=MOST_INSTANCES),
    )


def _points(prompt: Sam3Prompt) -> list[Sam3Point]:
    return nested_items(Sam3Point, "sam3_prompt.points", prompt.points, "point")


def _boxes(prompt: Sam3Prompt) -> list[Sam3Box]:
    return nested_items(Sam3Box, "sam3_prompt.boxes", prompt.boxes, "box")


def _point(field: str, given: Sam3Point) -> Sam3Point:
    x, y = (number(f"{field}.{name}", getattr(given, name), low=0, high=1) for name in ("x", "y"))
    return Sam3Point(x=x, y=y, label=_label(field, given.label))


def _box(field: str, given: Sam3Box) -> Sam3Box:
    sides = {name: number(f"{field}.{name}", getattr(given, name), low=0, high=1) for name in ("x0", "y0", "x1", "y1")}
    for low, high in (("x0", "x1"), ("y0", "y1")):
        if sides[low] >= sides[high]:
            allowed = f"less than {high}, {sides[high]}"
            raise invalid_value(f"{field}.{low}", sides[low], allowed)
    return Sam3Box(**sides, label=_label(field, given.label))


def _label(field: str, given: Any) -> Sam3Label:
    return cast(Sam3Label, one_of(f"{field}.label", given, LABELS))


def _check_amount(name: str, given: Sequence[Any], most: int) -> None:
    if len(given) > most:
        sentence = f"sam3_prompt.{name} must be at most {most}, got {len(given)}"
        raise invalid_value(f"sam3_prompt.{name}", len(given), f"at most {most}", sentence)


def _check_company(points: list[Sam3Point], boxes: list[Sam3Box], words: str | None) -> None:
    """Check which of points, boxes and text are combined."""
    if not points and not boxes and words is None:
        allowed = "points, boxes or text"
        raise invalid_value("sam3_prompt", None, allowed, f"sam3_prompt: {allowed} are needed")
    if points and words is not None:
        raise invalid_value(
            "sam3_prompt.text", words, "None with points", "sam3_prompt.text must be omitted together with points"
        )
    if points and (len(boxes) > 1 or any(box.label == "negative" for box in boxes)):
        allowed = "at most one, a positive one, with points"
        raise invalid_value("sam3_prompt.boxes", len(boxes), allowed, f"sam3_prompt.boxes: {allowed}")


# The rules of all image projects. What only the tier of the model can tell (samplers) is not checked here; ranges
# that the protocol notes call "not checked" are left to the service.


CONTROL_MODES = {"balanced": 0, "prompt_priority": 1, "cn_priority": 2}
"""Wire values of `mode`."""  # projects-4.2 §5.5


def check_image_params(params: ImageProjectParams) -> ImageProjectParams:
    """Return the params with plain values and those that the model forces. Raises ValidationError.

    First single values, then parameters that the model does not take, then the rules that span several. Media inputs
    are not checked, because whether a file is an image is known only when it is read.
    """
    params = checked(params)
    changes = {
        "context_images": optional(items, "context_images", params.context_images, item=_context_image),
        "control_net": _checked_control_net(control_net_params(params.control_net)),
    }
    params = changed_fields(params, changes)
    check_combinations(params)
    model = image_model(params.model_id)
    if not model.negative_prompt:
        refuse_negative_prompt(params)
    _check_size(params, model)
    _check_images(params, model)
    return _with_forced_values(check_gpt_image(check_sam3(params), model), model)


def _context_image(name: str, media: Any) -> Any:
    if media is None:
        sentence = f"{name} must be an image, got None; remove it from the list, or keep its position empty with False"
        raise invalid_value(name, None, "an image, or False for an empty position", sentence)
    return media


def _checked_control_net(given: ControlNetParams | None) -> ControlNetParams | None:
    # Protocol notes: projects-4.2 §5.5.
    if given is None:
        return None
    # An empty mode is none (projects-4.2 §5.5).
    mode: Any = given.mode
    mode = None if mode == "" else mode
    changes: dict[str, Any] = {
        "name": one_of("control_net.name", given.name, get_args(ControlNetName)),
        "strength": optional(number, "control_net.strength", given.strength, low=0, high=1),
        "mode": optional(one_of, "control_net.mode", mode, allowed=tuple(CONTROL_MODES)),
        "guidance_start": optional(number, "control_net.guidance_start", given.guidance_start, low=0, high=1),
        "guidance_end": optional(number, "control_net.guidance_end", given.guidance_end, low=0, high=1),
        "preprocess": optional(flag, "control_net.preprocess", given.preprocess),
    }
    start, end = changes["guidance_start"], changes["guidance_end"]
    if start is not None and end is not None and start >= end:
        raise invalid_value("control_net.guidance_start", start, f"less than guidance_end, {end}")
    return attrs.evolve(given, **changes)


def has_custom_size(params: ImageProjectParams) -> bool:
    """Whether the size is given in pixels."""
    return params.width is not None


def _check_size(params: ImageProjectParams, model: ImageModel) -> None:
    """Check a size in pixels, which excludes a named one."""
    # Protocol notes: projects-4.2 §5.4, projects-5x §2.3.
    if not has_custom_size(params):
        if params.size_preset == "custom":
            sentence = "size_preset 'custom' must be given together with width and height, got it alone"
            raise invalid_value("size_preset", "custom", "the ID of a preset, or with width and height", sentence)
        return
    if params.size_preset not in (None, "", "custom"):
        sentence = f"size_preset must be omitted or 'custom' together with width and height, got {params.size_preset!r}"
        raise invalid_value("size_preset", params.size_preset, "None or 'custom'", sentence)
    low, high = model.sides
    width = integer("width", params.width, low=low, high=high)
    height = integer("height", params.height, low=low, high=high)
    size = f"{width}x{height}"
    if model.pixels and not model.pixels[0] <= width * height <= model.pixels[1]:
        allowed = f"from {model.pixels[0]} to {model.pixels[1]} pixels in all"
        raise invalid_value("width", width, allowed, f"width and height must make {allowed}, got {size}")
    if model.aspect and max(width, height) > model.aspect * min(width, height):
        allowed = f"at most {model.aspect}:1"
        raise invalid_value("width", width, allowed, f"width and height must have a ratio of {allowed}, got {size}")


def _check_images(params: ImageProjectParams, model: ImageModel) -> None:
    # Protocol notes: projects-5x §2.3, §4.8 to §4.10.
    for name in ORBIT_VIEWS:
        if getattr(params, name) is False:
            raise invalid_value(name, False, "an image")
    given = params.context_images or ()
    model_id = params.model_id
    if model.needs_starting_image and not is_supplied(params.starting_image):
        raise invalid_value("starting_image", None, "an image", f"starting_image must be given for {model_id}")
    if not model.takes_starting_image and is_supplied(params.starting_image):
        raise invalid_value(
            "starting_image", params.starting_image, "None", f"starting_image must be omitted for {model_id}"
        )
    # Positions keep their number on the wire, so that empty ones count as well.
    if len(given) > model.context_images and any(map(is_supplied, given)):
        allowed = f"at most {model.context_images}"
        sentence = f"context_images must be {allowed} for {model_id}, got {len(given)}"
        raise invalid_value("context_images", given, allowed, sentence)
    if model.full_context and not all(map(is_supplied, given)):
        sentence = f"context_images must have no empty positions for {model_id}"
        raise invalid_value("context_images", given, "images only", sentence)


def _with_forced_values(params: ImageProjectParams, model: ImageModel) -> ImageProjectParams:
    """Return the params with the values that the model forces."""  # projects-5x §2.1
    forced = {
        "number_of_media": model.forced_media,
        "number_of_previews": model.forced_previews,
        "output_format": model.forced_format,
    }
    return changed_fields(params, {name: value for name, value in forced.items() if value is not None})


# The job request: projects-4.2 §4, §5; projects-5x §2.


DEFAULT_STRENGTH = 0.5
"""How much of a starting image is kept by default."""  # projects-4.2 §5.2


_NO_CONTEXT_IMAGES = {f"hasContextImage{place + 1}": False for place in range(MAX_CONTEXT_FLAGS)}


def image_request(params: ImageProjectParams, *, project_id: str, app_source: str | None) -> dict[str, Any]:
    """Return the payload of `jobRequest` for checked params. `app_source` is the client's."""
    if uses_comfy_fields(params.model_id):
        sampling = {"comfySampler": params.sampler, "comfyScheduler": params.scheduler, "vae": params.vae}
    else:
        # Crossed on purpose: older workers know the sampler as `scheduler` (projects-4.2 §5.1).
        sampling = {"scheduler": params.sampler, "timeStepSpacing": params.scheduler}
    return job_request(
        params,
        _key_frame_values(params) | sampling,
        project_id=project_id,
        app_source=app_source,
        usual_format="png",
        previews=params.number_of_previews,
    )


def _key_frame_values(params: ImageProjectParams) -> dict[str, Any]:
    model = image_model(params.model_id)
    return {
        **common_values(params, negative_prompt=model.negative_prompt),
        **_size(params),
        **_context_flags(params),
        **_mask(params),
        **({"applyMask": bool(params.apply_mask)} if model.cuts_out else {}),
        **{f"hasContextImage{place}": True for name, place in ORBIT_VIEWS.items() if getattr(params, name) is not None},
        **sam3_values(params),
        **_starting_image(params),
        **_control_net(params),
    }


def _size(params: ImageProjectParams) -> dict[str, Any]:
    # Protocol notes: projects-4.2 §5.4.
    if has_custom_size(params):
        return {"sizePreset": "custom", "width": params.width, "height": params.height}
    return given(sizePreset=params.size_preset or None)


def _context_flags(params: ImageProjectParams) -> dict[str, Any]:
    flags = _NO_CONTEXT_IMAGES.copy()
    for key, image in zip(flags, params.context_images or (), strict=False):
        flags[key] = is_supplied(image)
    return flags


def _mask(params: ImageProjectParams) -> dict[str, Any]:
    if not is_supplied(params.gpt_image_mask):
        return {}
    return {"hasReferenceMask": True, "referenceMaskContentType": MASK_TYPE}


def _starting_image(params: ImageProjectParams) -> dict[str, Any]:
    # The service counts how much is changed, the caller how much is kept (projects-4.2 §5.2).
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


# Enhancing: projects-5x §8, additions-5x §14.


EnhancementStrength = Literal["light", "medium", "heavy"]

ENHANCEMENT_MODEL = "krea2_turbo_fp8_scaled"
ENHANCEMENT_STEPS = 8
ENHANCEMENT_GUIDANCE = 1

STRENGTHS: dict[str, float] = {"light": 0.15, "medium": 0.35, "heavy": 0.49}
"""How much of the image each word changes."""


def enhancement_strength(strength: str) -> float:
    """Return how much of the image a strength changes; ValidationError names the three there are."""
    return STRENGTHS[one_of("strength", strength, tuple(STRENGTHS))]


def enhancement_refusal(*, kind: str, status: str, withheld: bool, model_id: str) -> str | None:
    """Return why a job cannot be enhanced, None when it can.

    `kind` is the media kind of the job, `withheld` whether the service withholds the result.
    """
    if kind != "image":
        return f"only images can be enhanced, not a job of type {kind!r}"
    if image_model(model_id).segments:
        return f"results of {model_id} cannot be enhanced"
    if status != "completed":
        return f"only a completed job can be enhanced, this one is {status!r}"
    if withheld:
        return "the result was withheld as sensitive and cannot be enhanced"
    return None


def enhancement_params(
    parent: ImageProjectParams,
    *,
    image: MediaInput,
    strength: str,
    seed: int | None,
    size: tuple[int, int] | None = None,
    positive_prompt: str | None = None,
    style_prompt: str | None = None,
    token_type: TokenType | None = None,
) -> ImageProjectParams:
    """Return the params of the project that enhances a job of `parent`.

    `image` is the job's result, `seed` its seed (None for the parent's), and `size` the parent's width and height, None
    if it has the default of its model. The prompts and the paying token are the parent's if none are given.
    """
    return ImageProjectParams(
        model_id=ENHANCEMENT_MODEL,
        network="fast",
        steps=ENHANCEMENT_STEPS,
        guidance=ENHANCEMENT_GUIDANCE,
        number_of_media=1,
        number_of_previews=0,
        positive_prompt=parent.positive_prompt if positive_prompt is None else positive_prompt,
        negative_prompt="",
        style_prompt=parent.style_prompt if style_prompt is None else style_prompt,
        token_type=parent.token_type if token_type is None else token_type,
        seed=parent.seed if seed is None else seed,
        starting_image=image,
        starting_image_strength=1 - enhancement_strength(strength),
        width=size and size[0],
        height=size and size[1],
    )
