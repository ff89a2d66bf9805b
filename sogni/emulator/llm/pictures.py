"""What the emulator sees in an image: its size and its colours.

Called by the responder and by the count of tokens. Images are data URIs, as the service demands of a chat
(chat §9); nothing is fetched from the network.
"""

from __future__ import annotations

import base64
import binascii
import io

from attrs import frozen
from PIL import Image, UnidentifiedImageError

_COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "red": (220, 20, 20),
    "green": (30, 150, 50),
    "blue": (30, 60, 220),
    "yellow": (245, 225, 40),
    "orange": (250, 140, 20),
    "purple": (130, 40, 160),
    "pink": (250, 150, 190),
    "brown": (120, 75, 40),
    "cyan": (40, 210, 220),
    "magenta": (235, 30, 200),
    "beige": (230, 215, 180),
}
_SAMPLE = 32
_HEAD = 32 * 1024
"""Characters of base64, whole groups of four."""


@frozen
class Picture:
    """What can be told of an image. ``colour`` is the name of the most frequent one."""

    width: int
    height: int
    format: str
    colour: str
    rgb: tuple[int, int, int]

    def __str__(self) -> str:
        hexadecimal = "#{:02x}{:02x}{:02x}".format(*self.rgb)
        return (
            f"a {self.format} image of {self.width} x {self.height} pixels,"
            f" its dominant colour is {self.colour} ({hexadecimal})"
        )


def content_of(url: str) -> bytes | None:
    """Return the bytes of a base64 data URI."""
    head, comma, data = url.strip().partition(",")
    if not comma or not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
        return None
    packed = "".join(data.split())
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        return None


def look(content: bytes | None) -> Picture | None:
    """Look at an image; None when it is none that can be read."""
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content)) as image:
            (width, height), kind = image.size, image.format or "unknown"
            small = image.convert("RGB").resize((_SAMPLE, _SAMPLE), Image.Resampling.BOX)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    rgb = _dominant(small)
    return Picture(width, height, kind, colour_name(rgb), rgb)


def size_of(url: str) -> tuple[int, int] | None:
    """Return width and height from the head of an image; all of it is only read when that does not say."""
    head, _, data = url.strip()[: _HEAD + 100].partition(",")
    found = _size(content_of(f"{head},{data[:_HEAD]}"))
    return found if found is not None or len(url) <= _HEAD else _size(content_of(url))


def _size(content: bytes | None) -> tuple[int, int] | None:
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def colour_name(rgb: tuple[int, int, int]) -> str:
    """Return the name of the nearest colour that has one."""
    return min(_COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(_COLOURS[name], rgb, strict=True)))


def _dominant(image: Image.Image) -> tuple[int, int, int]:
    """Return the mean of the fullest of 64 boxes of colour space."""
    boxes: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
    data = image.tobytes()
    for at in range(0, len(data), 3):
        pixel = (data[at], data[at + 1], data[at + 2])
        boxes.setdefault(tuple(value // 64 for value in pixel), []).append(pixel)
    fullest = max(boxes.values(), key=len)
    red, green, blue = (round(sum(channel) / len(fullest)) for channel in zip(*fullest, strict=True))
    return red, green, blue
