"""The parts of a request that every kind of media has: amounts, steps, sampling, LoRAs.

Used by the checks of images, video and audio (projects-4.2 §3.1, §9.2). Findings go to the readers.
"""

from __future__ import annotations

from typing import Any, cast

from attrs import frozen

from .accounts import Token
from .catalogue import Catalogue, Media, Model, Options
from .fields import Fields
from .orders import Network

MAX_LORAS = 8
SEED_LIMIT = 2**32 - 1


@frozen
class Amounts:
    """The plain values of a request."""

    count: int
    previews: int
    output_format: str
    steps: int
    seed: int | None


def amounts(
    request: Fields,
    frame: Fields,
    model: Model,
    catalogue: Catalogue,
    *,
    formats: tuple[str, ...],
    max_count: int,
    max_previews: int = 0,
) -> Amounts | None:
    """Read the plain values; None when one that every request carries is missing or wrong."""
    count = request.whole("numberOfImages", required=True, minimum=1, maximum=max_count)
    previews = request.whole("previews", required=True, minimum=0, maximum=max_previews)
    output_format = request.text("outputFormat", required=True, allowed=formats)
    steps = limited(frame, "steps", "steps", model, catalogue, whole=True)
    limited(frame, "guidanceScale", "guidance", model, catalogue)
    seed = frame.number("seed", null=True, minimum=0, maximum=SEED_LIMIT, whole=True)
    if count is None or previews is None or output_format is None:
        return None
    wanted = catalogue.default(model, "steps") if steps is None else steps
    return Amounts(count, previews, output_format, int(wanted), None if seed is None else int(seed))


def common_values(request: Fields, model: Model, media: Media, network: Network, amounts: Amounts) -> dict[str, Any]:
    """Return the values an order of any media is made with."""
    return {
        "project_id": str(request.raw("jobID")).upper(),
        "model": model,
        "media": media,
        "count": amounts.count,
        "previews": amounts.previews,
        "token": cast(Token, request.raw("tokenType") or "sogni"),
        "network": network,
        "disable_safety": bool(request.raw("disableSafety")),
        "app_source": request.raw("appSource"),
        "steps": amounts.steps,
        "seed": amounts.seed,
        "request": dict(request.values),
    }


def limited(
    frame: Fields, key: str, name: str, model: Model, catalogue: Catalogue, *, whole: bool = False
) -> float | None:
    """Read a number the model's tier limits under ``name``."""
    limits = catalogue.range(model, name)
    # An external provider takes no such setting and ignores it.
    if limits is None or model.external:
        return frame.number(key, null=True, minimum=0)
    return frame.number(key, null=True, minimum=limits[0], maximum=limits[1], whole=whole)


def sampling(frame: Fields, model: Model, catalogue: Catalogue) -> None:
    """Read sampler and scheduler. Comfy requests have keys of their own; in legacy ones ``scheduler``
    carries the sampler and ``timeStepSpacing`` the scheduler (projects-4.2 §5.1)."""
    comfy = frame.has("comfySampler") or model.media != "image"
    keys = ("comfySampler", "comfyScheduler") if comfy else ("scheduler", "timeStepSpacing")
    _choice(frame, keys[0], catalogue.samplers(model))
    _choice(frame, keys[1], catalogue.schedulers(model))
    if comfy:
        for key in ("scheduler", "timeStepSpacing"):
            if not frame.has(key) or frame.raw(key) is not None:
                frame.refuse(key, "must be null beside comfySampler")


def _choice(frame: Fields, key: str, options: Options) -> None:
    value = frame.text(key, required=True, null=True)
    if value is not None and not options.accepts(value):
        frame.refuse(key, f"must be one of {', '.join(sorted(options.allowed))}, not {value!r}")


def loras(frame: Fields) -> None:
    """Read LoRA ids and their strengths."""
    ids = frame.texts("loras", limit=MAX_LORAS)
    strengths = frame.numbers("loraStrengths")
    if ids and len(strengths) > len(ids):
        frame.refuse("loraStrengths", f"has {len(strengths)} entries for {len(ids)} LoRAs")


def receipt(frame: Fields) -> None:
    """Read the receipt that ties a result to a generated world (projects-5x §2.2)."""
    if frame.has("worldGenerationReceipt"):
        frame.object("worldGenerationReceipt", frame.raw("worldGenerationReceipt"))
