"""How large a result of a tool call is: decides width and height from sizes, ratios and resolutions (tools §2.1, §5.5).

Called when a call becomes a project. A model's own limits are checked with every project; this only says what was
meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from .field_checks import refusal
from .tool_routing import usual_size

_PIXELS = re.compile(r"\s*(\d{2,5})\s*[xX×]\s*(\d{2,5})\s*")
_RATIO = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*:\s*(\d{1,3}(?:\.\d+)?)\s*")
_AREA = 1024 * 1024
"""Pixels of an image whose shape is given, but not its size."""
_STEP = 64
"""Sides that follow from a shape are multiples of this, which every model takes."""
_ALLOWED = "a ratio such as '16:9', or pixels as 'WIDTHxHEIGHT'"

Size = tuple[Any, Any]


def image_size(arguments: Mapping[str, Any]) -> Size:
    """Width and height of an image; None and None leave them to the model."""
    width, height = arguments.get("width"), arguments.get("height")
    if width and height:
        return width, height
    return _of_shape(arguments.get("aspectRatio"), _AREA) or (None, None)


def video_size(arguments: Mapping[str, Any], model: str) -> Size:
    """Width and height of a video; what is not said is the model's usual size."""
    width, height, _ = usual_size(model)
    if arguments.get("width") or arguments.get("height"):
        return arguments.get("width") or width, arguments.get("height") or height
    shaped = _of_shape(arguments.get("aspectRatio"), width * height)
    width, height = shaped or (width, height)
    short = arguments.get("targetResolution")
    if short:
        scale = short / min(width, height)
        width, height = _snapped(width * scale), _snapped(height * scale)
    return width, height


def _of_shape(shape: Any, area: int) -> tuple[int, int] | None:
    """Exact pixels as they are; a ratio as sides with that area. None for no shape. ValidationError."""
    if not isinstance(shape, str) or not shape.strip():
        return None
    if exact := _PIXELS.fullmatch(shape):
        return int(exact[1]), int(exact[2])
    ratio = _RATIO.fullmatch(shape)
    if ratio is None or not float(ratio[1]) or not float(ratio[2]):
        raise refusal("aspectRatio", shape, _ALLOWED)
    relation = float(ratio[1]) / float(ratio[2])
    return _snapped(math.sqrt(area * relation)), _snapped(math.sqrt(area / relation))


def _snapped(pixels: float) -> int:
    return max(_STEP, round(pixels / _STEP) * _STEP)
