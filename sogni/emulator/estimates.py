"""What work costs and how long it takes, from the model, the steps, the size and the number of results.

Called by the estimate routes and, with the same numbers, by the intake that charges a project: an estimate
is always what is paid. It charges nobody. Video and music, where length decides, are in ``media_estimates``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from attrs import frozen

from .accounts import Token, decimal_text
from .catalogue import Model

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
class Work:
    """The part of a request that decides its cost. ``denoise`` below 1 saves steps (image to image)."""

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
    """The price of a project and its render time in seconds; ``steps`` is what one result really computes."""

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


def performed_steps(steps: int, denoise: float) -> int:
    """Return how many of the steps an image with a starting image takes; 0 means there is none."""
    return steps if not 0 < denoise < 1 else max(1, math.ceil(steps * denoise - 1e-9))


def _result_quote(work: Work) -> Quote:
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


def quote(work: Work) -> Quote:
    """Return the price of all results together."""
    return _result_quote(work).times(work.count)


def _amounts(price: Quote, token: Token) -> dict[str, Any]:
    return {
        "costInRenderSec": decimal_text(price.seconds),
        "costInUSD": decimal_text(price.usd),
        "costInToken": decimal_text(price.in_token(token)),
        "costInSpark": decimal_text(price.in_token("spark")),
        "costInSogni": decimal_text(price.in_token("sogni")),
        "calculatedStepCount": price.steps,
    }


def _rate(network: str, token: Token) -> dict[str, Any]:
    return {
        "costPerBaseHQRenderInUSD": decimal_text(USD_PER_RENDER_SECOND * 10),
        "tokenMarkePriceUSD": decimal_text(USD_PER_TOKEN[token]),
        "costPerRenderSecUSD": decimal_text(USD_PER_RENDER_SECOND),
        "costPerRenderSecToken": decimal_text(cents(USD_PER_RENDER_SECOND / USD_PER_TOKEN[token])),
        "network": network,
        "networkCostMultiplier": decimal_text(NETWORK_FACTOR.get(network, Decimal(1))),
    }


def estimate_record(work: Work, token: Token, *, now: int, waiting: float) -> dict[str, Any]:
    """Return the answer of an image estimate; ``waiting`` is in seconds."""
    asked = {
        "model": work.model.id,
        "name": work.model.name,
        "imageCount": work.count,
        "stepCount": work.steps,
        "previewCount": work.previews,
        "cnEnabled": work.control_net,
        "denoiseStrength": work.denoise,
        "time": now,
    }
    return quote_record(asked, work.model, _result_quote(work), work.count, token, work.network, waiting)


def quote_record(
    asked: Mapping[str, Any], model: Model, one: Quote, count: int, token: Token, network: str, waiting: float
) -> dict[str, Any]:
    """Return the answer of an estimate from the price of one result (projects-4.2 §16.5, projects-5x §16)."""
    total = float(one.seconds)
    step = decimal_text(Decimal(str(model.step_seconds)))
    return {
        "request": dict(asked),
        "rate": _rate(network, token),
        "quote": {
            "model": {"weight": "1", "secPerStep": step, "secPerPreview": "0.2", "secForCN": step},
            "job": _amounts(one, token),
            "project": _amounts(one.times(count), token),
        },
        "benchmark": {
            "estimatedRenderTimeSec": round(total, 3),
            "estimatedTotalTimeSec": round(total + waiting, 3),
            "medianRenderTimeSec": round(total, 3),
            "estimatedWaitTimeSec": round(waiting, 3),
            "sampleCount": 100,
            "confidence": "high",
        },
    }
