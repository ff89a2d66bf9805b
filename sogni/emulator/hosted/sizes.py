"""How large and how long results are: shapes from ratios and sources, sides on a model's grid, frames of a length.

Called by the tools. It knows numbers only.
"""

from __future__ import annotations

import math
import re

from attrs import frozen

from ..catalogue import Catalogue, Model
from ..video_families import SEEDANCE
from .problems import ToolError

_IMAGE_GRID = 16
_LARGEST_RATIO = 8


@frozen
class Size:
    """Pixels."""

    width: int
    height: int

    @property
    def ratio(self) -> float:
        return self.width / self.height


def asked_size(aspect_ratio: str | None, width: float | None, height: float | None) -> Size | float | None:
    """Return exact pixels, a ratio, or None when the shape of the source is to be kept (tools §2.1)."""
    if width and height:
        return Size(round(width), round(height))
    if not aspect_ratio or aspect_ratio == "adaptive":
        return None
    pixels = re.fullmatch(r"\s*(\d{2,5})\s*[xX×]\s*(\d{2,5})\s*", aspect_ratio)
    if pixels:
        return Size(int(pixels[1]), int(pixels[2]))
    ratio = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*[:/]\s*(\d+(?:\.\d+)?)\s*", aspect_ratio)
    if ratio and float(ratio[2]) and 1 / _LARGEST_RATIO <= float(ratio[1]) / float(ratio[2]) <= _LARGEST_RATIO:
        return float(ratio[1]) / float(ratio[2])
    raise ToolError("INVALID_ARGUMENTS", f"aspectRatio: {aspect_ratio!r} is neither a ratio nor WIDTHxHEIGHT")


def image_size(model: Model, asked: Size | float | None, source: Size | None, scale: float = 1) -> Size:
    """Return a size the image model takes."""
    base = float(model.default_size)
    if isinstance(asked, Size):
        return _within(asked, model.size_range, 1)
    if source is not None and asked is None:
        # A source under 480 pixels is enlarged to that in any case (tools §2.1).
        scale = max(scale, 480 / min(source.width, source.height))
        wanted = Size(round(source.width * scale), round(source.height * scale))
        return _within(wanted, model.size_range, 2)
    if source is not None:
        base = max(480.0, min(source.width, source.height) * scale)
    return _within(_shaped(asked or 1.0, base * base), model.size_range, _IMAGE_GRID)


def video_size(
    catalogue: Catalogue, model: Model, asked: Size | float | None, source: Size | None, short_side: float | None
) -> Size:
    """Return a size the video model takes, on its grid."""
    tier = catalogue.tiers[model.tier]
    low, high = tier["width"]["min"], tier["width"]["max"]
    grid = int(tier["width"].get("step", 2))
    default = Size(int(tier["width"]["default"]), int(tier["height"]["default"]))
    limits = SEEDANCE.get(model.id)
    if isinstance(asked, Size):
        size = asked
    else:
        ratio = asked or (source.ratio if source is not None else default.ratio)
        if short_side:
            size = Size(round(short_side * max(1, ratio)), round(short_side * max(1, 1 / ratio)))
        elif abs(ratio - default.ratio) < 0.01:
            size = default
        else:
            # A small source makes a small video.
            most = math.inf if source is None else source.width * source.height
            size = _shaped(ratio, min(default.width * default.height, most))
    if limits is not None and min(size.width, size.height) > limits.short_side:
        factor = limits.short_side / min(size.width, size.height)
        size = Size(round(size.width * factor), round(size.height * factor))
    return _within(size, (int(low), int(high)), grid)


def frame_count(catalogue: Catalogue, model: Model, seconds: float) -> tuple[int, float]:
    """Return the frames that come closest to a length, and the frame rate."""
    tier = catalogue.tiers[model.tier]
    fps = float(tier["fps"]["default"])
    limits = SEEDANCE.get(model.id)
    low, high = limits.frames if limits is not None else (tier["frames"]["min"], tier["frames"]["max"])
    step = tier.get("frames", {}).get("step", 1)
    wanted = low + round((seconds * fps + 1 - low) / step) * step
    return int(min(high, max(low, wanted))), fps


def _shaped(ratio: float, area: float) -> Size:
    return Size(round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio)))


def _within(size: Size, bounds: tuple[int, int], grid: int) -> Size:
    """Scale a size into the bounds, keeping its shape where that can be, and put it on the grid."""
    low, high = bounds
    factor = max(1.0, low / min(size.width, size.height))
    factor = min(factor, high / max(size.width, size.height))
    width, height = (_side(side * factor, low, high, grid) for side in (size.width, size.height))
    return Size(width, height)


def _side(side: float, low: int, high: int, grid: int) -> int:
    return min(low + (high - low) // grid * grid, max(low, low + round((side - low) / grid) * grid))
