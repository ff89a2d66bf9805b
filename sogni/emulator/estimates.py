"""What work costs and how long it takes, from the model, the steps, the size and the number of results.

Called by the estimate routes and, with the same numbers, by the intake that charges a project: an estimate
is always what is paid. It charges nobody.
"""

from __future__ import annotations

import math
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
        return _cents(self.usd / USD_PER_TOKEN[token])


def _cents(amount: Decimal) -> Decimal:
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
    return Quote(_cents(seconds), _cents(usd), steps)


def quote(work: Work) -> Quote:
    """Return the price of all results together."""
    one = _result_quote(work)
    return Quote(one.seconds * work.count, one.usd * work.count, one.steps)


def _amounts(price: Quote, token: Token) -> dict[str, Any]:
    return {
        "costInRenderSec": decimal_text(price.seconds),
        "costInUSD": decimal_text(price.usd),
        "costInToken": decimal_text(price.in_token(token)),
        "costInSpark": decimal_text(price.in_token("spark")),
        "costInSogni": decimal_text(price.in_token("sogni")),
        "calculatedStepCount": price.steps,
    }


def _rate(work: Work, token: Token) -> dict[str, Any]:
    return {
        "costPerBaseHQRenderInUSD": decimal_text(USD_PER_RENDER_SECOND * 10),
        "tokenMarkePriceUSD": decimal_text(USD_PER_TOKEN[token]),
        "costPerRenderSecUSD": decimal_text(USD_PER_RENDER_SECOND),
        "costPerRenderSecToken": decimal_text(_cents(USD_PER_RENDER_SECOND / USD_PER_TOKEN[token])),
        "network": work.network,
        "networkCostMultiplier": decimal_text(NETWORK_FACTOR.get(work.network, Decimal(1))),
    }


def estimate_record(work: Work, token: Token, *, now: int, waiting: float) -> dict[str, Any]:
    """Return the answer of an image estimate (projects-4.2 §16.5, projects-5x §16); ``waiting`` is in
    seconds."""
    one, project = _result_quote(work), quote(work)
    total = float(one.seconds)
    return {
        "request": {
            "model": work.model.id,
            "name": work.model.name,
            "imageCount": work.count,
            "stepCount": work.steps,
            "previewCount": work.previews,
            "cnEnabled": work.control_net,
            "denoiseStrength": work.denoise,
            "time": now,
        },
        "rate": _rate(work, token),
        "quote": {
            "model": {
                "weight": "1",
                "secPerStep": decimal_text(Decimal(str(work.model.step_seconds))),
                "secPerPreview": "0.2",
                "secForCN": decimal_text(Decimal(str(work.model.step_seconds))),
            },
            "job": _amounts(one, token),
            "project": _amounts(project, token),
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
