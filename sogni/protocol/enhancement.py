"""Enhancing an image: decides when a job may be enhanced and the project that does it.

Called by `Job.enhance` and by the enhancement estimate (projects-4.2 §15, projects-5x §8). It downloads and
sends nothing; the image is an argument.
"""

from __future__ import annotations

from typing import Literal

from ..models.media_inputs import MediaInput
from ..models.params import ImageProjectParams
from .field_checks import one_of
from .image_models import image_model

EnhancementStrength = Literal["light", "medium", "heavy"]

ENHANCEMENT_MODEL = "flux1-schnell-fp8"
ENHANCEMENT_STEPS = 5
ENHANCEMENT_GUIDANCE = 1

STRENGTHS: dict[str, float] = {"light": 0.15, "medium": 0.35, "heavy": 0.49}
"""How much of the image each word changes."""


def enhancement_strength(strength: str) -> float:
    """Return how much of the image a strength changes; ValidationError names the three there are."""
    return STRENGTHS[one_of("strength", strength, tuple(STRENGTHS))]


def enhancement_refusal(*, kind: str, status: str, withheld: bool, model_id: str) -> str | None:
    """Return why a job cannot be enhanced, None when it can.

    `kind` is what the job made, `withheld` whether the service keeps the result back.
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
    positive_prompt: str | None = None,
    style_prompt: str | None = None,
    token_type: Literal["sogni", "spark"] | None = None,
) -> ImageProjectParams:
    """Return the params of the project that enhances a job of `parent`.

    `image` is the job's result, `seed` its seed (0 counts as none, then the parent's is taken). The
    prompts and the paying token are the parent's where none are given; the pixel size is not carried over.
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
        seed=seed or parent.seed,
        starting_image=image,
        starting_image_strength=1 - enhancement_strength(strength),
        size_preset=parent.size_preset,
    )
