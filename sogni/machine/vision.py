"""Images for messages: decides how a file, bytes or a PIL image become an image part (chat §9).

Called by users as `sogni.image_part`, in both packages. It reads files at once and sends nothing.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any, Literal

from ..errors import ValidationError
from ..models.chat import ImageAddress, ImagePart
from ..protocol.field_checks import refusal
from ..protocol.inline_media import checked, data_uri, decoded, is_data_uri, type_of
from ..protocol.media_types import HEAD_SIZE, sniff
from ..protocol.vision import LONGEST_SIDE, MOST_BYTES
from .pictures import plain
from .sources import open_source

MISSING = "resize=True needs Pillow, which is not installed: pip install 'sogni[vision]'"
_NAME = "image"


def image_part(image: Any, *, detail: Literal["auto", "low", "high"] | None = None, resize: bool = False) -> ImagePart:
    """Return the part of a message that shows an image to a vision model.

    `image` is a path, bytes, a binary file object, a PIL image or a `data:` URI. It must be a PNG or JPEG of at most
    10 MiB and 1024 pixels on its longest side (chat §9.2); with `resize=True` one that is not is made so, which needs
    the extra `sogni[vision]` (ImportError). Raises `ValidationError`.

    >>> from PIL import Image
    >>> part = sogni.image_part(Image.new("RGB", (640, 480), "teal"))
    >>> part.image_url.url[:22]
    'data:image/png;base64,'
    """
    if isinstance(image, str) and is_data_uri(image):
        given = decoded(_NAME, image, "image")
        content, declared = given.content, given.content_type
    else:
        content, declared = _content(image, None if resize else MOST_BYTES), ""
    if resize:
        content = _fitting(content)
    kind = type_of("image", declared, content)
    if kind is None:
        found = sniff(content[:HEAD_SIZE]) or "another format"
        raise refusal(_NAME, found, "a PNG or JPEG; resize=True makes one of other formats")
    try:
        checked(_NAME, kind, content, "image", most_bytes=MOST_BYTES, longest_side=LONGEST_SIDE)
    except ValidationError as error:
        error.add_note("resize=True makes it fit")
        raise
    return ImagePart(image_url=ImageAddress(url=data_uri(kind, content), detail=detail))


def _content(image: Any, most: int | None) -> bytes:
    source = open_source(_NAME, image)
    try:
        if most is not None and source.size > most:
            raise refusal(_NAME, f"{source.size} bytes", f"an image of at most {most} bytes")
        with source.open() as file:
            return file.read()
    finally:
        source.close()


def _fitting(content: bytes) -> bytes:
    """The same picture as a PNG or JPEG within the limits; as it is when it is one."""
    try:
        checked(_NAME, type_of("image", "", content) or "", content, "image", most_bytes=MOST_BYTES, longest_side=1024)
    except ValidationError:
        return _redrawn(content)
    return content


def _redrawn(content: bytes) -> bytes:
    pillow = _pillow()
    try:
        with pillow.open(io.BytesIO(content)) as opened:
            photo = opened.format in ("JPEG", "MPO")
            picture = plain(opened).copy()
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        buffer = io.BytesIO()
        if photo:
            picture.save(buffer, format="JPEG", quality=90)
        else:
            picture.save(buffer, format="PNG")
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        # What Pillow says names our buffer, not the image.
        allowed = "an image that Pillow can read"
        raise refusal(_NAME, "another file", allowed, f"{_NAME} is not {allowed}") from error
    return buffer.getvalue()


def _pillow() -> Any:
    try:
        return import_module("PIL.Image")
    except ImportError as error:
        raise ImportError(MISSING) from error
