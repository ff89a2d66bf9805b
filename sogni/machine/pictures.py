"""PIL images as images that every reader shows alike: 8 bits, gray or RGB, upright.

Used wherever a PIL image is uploaded or put into a message. It imports Pillow only where there is an image already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PLAIN = ("L", "LA", "RGB", "RGBA")
"""Modes that PNG holds as they are, and that can be scaled without losing thin lines."""
_ORIENTATION = 0x0112
_WIDE = 65535.0


def plain(image: Image) -> Image:
    """The image in one of the `PLAIN` modes, turned as its EXIF data say; the image itself when it is like that.

    Raises what Pillow raises for an image that it cannot read.
    """
    return _converted(_upright(image))


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # whatever a camera wrote there, the picture can still be seen
        return image
    return image if turn is None else image.transpose(turn)


def _converted(image: Image) -> Image:
    mode = image.mode
    if mode.startswith(("I", "F")):
        return _eight_bits(image)
    if "transparency" in image.info or mode in ("P", "PA", "RGBa"):
        clear = "transparency" in image.info or mode != "P"
        return image.convert("RGBA" if clear else "RGB")
    if mode in PLAIN:
        return image
    other = image.convert({"1": "L", "La": "LA"}.get(mode, "RGB"))
    # A profile of the former colors says nothing about the new ones.
    other.info.pop("icc_profile", None)
    return other


def _eight_bits(image: Image) -> Image:
    """An image of numbers as one of 256 grays.

    Pillow would cut off what is above 255. 16 bits are scaled; numbers of no given range by what there is: fractions,
    8 bits, 16 bits, or else from the smallest to the largest.
    """
    numbers = image.convert("F")
    low, high = numbers.getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if image.mode.startswith("I;16"):
        low, high = 0.0, _WIDE
    elif not (low < 0 or high > _WIDE):
        limits = (1.0, 255.0, _WIDE) if image.mode == "F" else (255.0, _WIDE)
        low, high = 0.0, next(limit for limit in limits if not high > limit)
    scale = 255.0 / max(high - low, 1e-30)
    gray = numbers.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")
    gray.info.pop("icc_profile", None)
    return gray
