"""Prices and render times of images, videos and music, from model, steps, size and length.

The estimate routes and the services that charge projects use the same functions, so an estimate is always what is
charged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from attrs import frozen

from sogni.emulator.account.accounts import Token, decimal_text
from sogni.emulator.catalogue.models import Catalogue, Model
from sogni.emulator.catalogue.video_families import family_of
from sogni.emulator.clock import Pace

EXTERNAL_STAGES = 4
USD_PER_RENDER_SECOND = Decimal("0.0005")
USD_PER_TOKEN: dict[Token, Decimal] = {"spark": Decimal("0.005"), "sogni": Decimal("0.01")}
NETWORK_FACTOR = {"fast": Decimal(1), "relaxed": Decimal("0.5")}
QUALITY_FACTOR = {
    "low": "0.3",
    "medium": "1",
    "standard": "1",
    "high": "3",
    "hd": "3",
    "xhigh": "5",
    "max": "8",
}


@frozen(kw_only=True)
class ImageWork:
    """The part of an image request that determines its price. ``denoise`` below 1 saves steps (image to image)."""

    model: Model
    count: int
    steps: int
    previews: int = 0
    control_net: bool = False
    denoise: float = 0.0
    width: int = 0
    height: int = 0
    context_images: int = 0
    network: str = "fast"
    quality: str | None = None


@frozen
class Quote:
    """The price of a project and its render time in seconds; ``steps`` is what one result actually computes."""

    seconds: Decimal
    usd: Decimal
    steps: int

    def in_token(self, token: Token) -> Decimal:
        return cents(self.usd / USD_PER_TOKEN[token])

    def times(self, count: int) -> Quote:
        """Return the price of several results."""
        return Quote(self.seconds * count, self.usd * count, self.steps)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.000001"), ROUND_HALF_UP)


def stages_of(model: Model, steps: int) -> int:
    """Return the number of progress frames of a result. External providers report fractions instead of steps."""
    return EXTERNAL_STAGES if model.external else steps


def performed_steps(steps: int, denoise: float) -> int:
    """Return how many of the steps are computed with a starting image; ``denoise`` 0 means that there is none."""
    return steps if not 0 < denoise < 1 else max(1, math.ceil(steps * denoise - 1e-9))


def _result_quote(work: ImageWork) -> Quote:
    size = (work.width or work.model.default_size) * (work.height or work.model.default_size)
    area = Decimal(size) / Decimal(work.model.default_size**2)
    step = Decimal(str(work.model.step_seconds)) * area
    steps = performed_steps(work.steps, work.denoise)
    seconds = step * steps * (1 + Decimal("0.35") * work.context_images)
    seconds += Decimal("0.2") * work.previews + (step if work.control_net else 0)
    fee = (
        Decimal(work.model.fee_usd) * Decimal(QUALITY_FACTOR.get(work.quality or "medium", "1")) * max(area, Decimal(1))
    )
    usd = seconds * USD_PER_RENDER_SECOND * NETWORK_FACTOR.get(work.network, Decimal(1)) + fee
    return Quote(cents(seconds), cents(usd), steps)


def quote(work: ImageWork) -> Quote:
    """Return the price of all results together."""
    return _result_quote(work).times(work.count)


def _amounts(price: Quote, token: Token) -> dict[str, object]:
    return {
        "costInRenderSec": decimal_text(price.seconds),
        "costInUSD": decimal_text(price.usd),
        "costInToken": decimal_text(price.in_token(token)),
        "costInSpark": decimal_text(price.in_token("spark")),
        "costInSogni": decimal_text(price.in_token("sogni")),
        "calculatedStepCount": price.steps,
    }


@frozen
class Timing:
    """The time of an estimate: now, the seconds until a worker is free, and how long jobs take."""

    now: float
    waiting: float
    pace: Pace

    def rendering(self, seconds: float, stages: int) -> float:
        """Return the duration of a job that takes so long with the service; so long, too, if work takes no time."""
        return self.pace.job_seconds(seconds, stages) or seconds


def _rate(network: str, token: Token) -> dict[str, object]:
    return {
        "costPerBaseHQRenderInUSD": decimal_text(USD_PER_RENDER_SECOND * 10),
        "tokenMarkePriceUSD": decimal_text(USD_PER_TOKEN[token]),
        "costPerRenderSecUSD": decimal_text(USD_PER_RENDER_SECOND),
        "costPerRenderSecToken": decimal_text(cents(USD_PER_RENDER_SECOND / USD_PER_TOKEN[token])),
        "network": network,
        "networkCostMultiplier": decimal_text(NETWORK_FACTOR.get(network, Decimal(1))),
    }


def estimate_record(work: ImageWork, token: Token, timing: Timing) -> dict[str, object]:
    """Return the response of an image estimate."""
    request = {
        "model": work.model.id,
        "name": work.model.name,
        "imageCount": work.count,
        "stepCount": work.steps,
        "previewCount": work.previews,
        "cnEnabled": work.control_net,
        "denoiseStrength": work.denoise,
        "time": round(timing.now * 1000),
    }
    return quote_record(request, work.model, _result_quote(work), work.count, token, work.network, timing)


def quote_record(
    request: Mapping[str, Any], model: Model, one: Quote, count: int, token: Token, network: str, timing: Timing
) -> dict[str, object]:
    """Return the response of an estimate from the price of one result."""
    # Protocol notes: projects-4.2 §16.5, projects-5x §16.
    rendering = timing.rendering(float(one.seconds), stages_of(model, one.steps))
    waiting = timing.waiting
    step = decimal_text(Decimal(str(model.step_seconds)))
    return {
        "request": dict(request),
        "rate": _rate(network, token),
        "quote": {
            "model": {"weight": "1", "secPerStep": step, "secPerPreview": "0.2", "secForCN": step},
            "job": _amounts(one, token),
            "project": _amounts(one.times(count), token),
        },
        "benchmark": {
            "estimatedRenderTimeSec": round(rendering, 3),
            "estimatedTotalTimeSec": round(rendering + waiting, 3),
            "medianRenderTimeSec": round(rendering, 3),
            "estimatedWaitTimeSec": round(waiting, 3),
            "sampleCount": 100,
            "confidence": "high",
        },
    }


# Video and music


_INTERPOLATION_FACTOR = Decimal("1.1")
_VIDEO_INPUT_FACTOR = Decimal("1.5")
_VENDOR_SECONDS = Decimal(30)


@frozen(kw_only=True)
class VideoWork:
    """The part of a video request that determines its price. ``frames`` are generated frames, before interpolation."""

    model: Model
    count: int
    steps: int
    width: int
    height: int
    frames: int
    fps: float
    has_video_input: bool = False


@frozen(kw_only=True)
class AudioWork:
    """The part of a music request that determines its price; ``duration`` is in seconds."""

    model: Model
    count: int
    steps: int
    duration: float


def video_quote(work: VideoWork, catalogue: Catalogue) -> Quote:
    """Return the price of one result."""
    family = family_of(work.model.id)
    usual = [Decimal(str(catalogue.default(work.model, key))) for key in ("width", "height")]
    # Delivered videos have even sides.
    share = Decimal((work.width // 2 * 2) * (work.height // 2 * 2)) / (usual[0] * usual[1])
    share *= Decimal(work.frames) / Decimal(family.default_frames)
    if work.model.external:
        price = Decimal(work.model.fee_usd) * share * (_VIDEO_INPUT_FACTOR if work.has_video_input else 1)
        return Quote(cents(_VENDOR_SECONDS * share), cents(price), work.steps)
    seconds = Decimal(str(work.model.step_seconds)) * work.steps * share
    if family.native_rate is not None and work.fps > family.native_rate:
        seconds *= _INTERPOLATION_FACTOR
    return Quote(cents(seconds), cents(seconds * USD_PER_RENDER_SECOND), work.steps)


def audio_quote(work: AudioWork, catalogue: Catalogue) -> Quote:
    """Return the price of one version."""
    share = Decimal(str(work.duration)) / Decimal(str(catalogue.default(work.model, "duration")))
    seconds = Decimal(str(work.model.step_seconds)) * work.steps * share
    return Quote(cents(seconds), cents(seconds * USD_PER_RENDER_SECOND), work.steps)


def video_record(work: VideoWork, catalogue: Catalogue, token: Token, timing: Timing) -> dict[str, object]:
    """Return the response of a video estimate."""
    request = {
        **_request_record(work, timing),
        "width": work.width,
        "height": work.height,
        "frames": work.frames,
        "fps": work.fps,
    }
    return quote_record(request, work.model, video_quote(work, catalogue), work.count, token, "fast", timing)


def audio_record(work: AudioWork, catalogue: Catalogue, token: Token, timing: Timing) -> dict[str, object]:
    """Return the response of a music estimate."""
    request = {**_request_record(work, timing), "duration": work.duration}
    return quote_record(request, work.model, audio_quote(work, catalogue), work.count, token, "fast", timing)


def _request_record(work: VideoWork | AudioWork, timing: Timing) -> dict[str, object]:
    return {
        "model": work.model.id,
        "name": work.model.name,
        "imageCount": work.count,
        "stepCount": work.steps,
        "previewCount": 0,
        "cnEnabled": False,
        "denoiseStrength": 0,
        "time": round(timing.now * 1000),
    }
