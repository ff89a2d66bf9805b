"""Files for chats: image parts of messages, and saved conversations."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from sogni.core.chat.images import MAX_BYTES, MAX_SIDE
from sogni.core.checks import invalid_value, reject_none_items
from sogni.core.media import HEAD_SIZE, checked, data_uri, decoded, is_data_uri, sniff, type_of
from sogni.errors import ValidationError
from sogni.local.files import write_file
from sogni.local.media import normalized, open_source
from sogni.models.chat import ImageAddress, ImagePart

MISSING = "resize=True needs Pillow, which is not installed: pip install 'sogni[vision]'"
_NAME = "image"


def image_part(image: Any, *, detail: Literal["auto", "low", "high"] | None = None, resize: bool = False) -> ImagePart:
    """Return the part of a message that shows an image to a vision model.

    Files are read at once. The image must be a PNG or JPEG of at most 10 MiB and 1024 pixels on its longest side.

    Args:
        image: A path, bytes, a binary file object, a PIL image or a `data:` URI.
        detail: Level of detail for the model: `"auto"`, `"low"` or `"high"`. Default: the model's.
        resize: Convert and scale down an image that does not meet the requirements. Default False.

    Returns:
        A part for the `content` of a message.

    Raises:
        ValidationError: The image cannot be read or does not meet the requirements.
        ImportError: `resize=True` without the extra `sogni[vision]`.

    Example:
        >>> from PIL import Image
        >>> part = sogni.image_part(Image.new("RGB", (640, 480), "teal"))
        >>> part.image_url.url[:22]
        'data:image/png;base64,'
    """
    # The limits: chat §9.2.
    if isinstance(image, str) and is_data_uri(image):
        given = decoded(_NAME, image, "image")
        content, declared = given.content, given.content_type
    else:
        content, declared = _content(image, None if resize else MAX_BYTES), ""
    if resize:
        content = _resized(content)
    kind = type_of("image", declared, content)
    if kind is None:
        found = sniff(content[:HEAD_SIZE]) or "another format"
        raise invalid_value(_NAME, found, "a PNG or JPEG; use resize=True for other formats")
    try:
        checked(_NAME, kind, content, "image", max_bytes=MAX_BYTES, longest_side=MAX_SIDE)
    except ValidationError as error:
        error.add_note("use resize=True to convert it")
        raise
    return ImagePart(image_url=ImageAddress(url=data_uri(kind, content), detail=detail))


def _content(image: Any, most: int | None) -> bytes:
    source = open_source(_NAME, image)
    try:
        if most is not None and source.size > most:
            raise invalid_value(_NAME, f"{source.size} bytes", f"an image of at most {most} bytes")
        with source.open() as file:
            return file.read()
    finally:
        source.close()


def _resized(content: bytes) -> bytes:
    """Return an image as a PNG or JPEG within the limits, unchanged if it meets them."""
    try:
        checked(_NAME, type_of("image", "", content) or "", content, "image", max_bytes=MAX_BYTES, longest_side=1024)
    except ValidationError:
        pass
    else:
        return content
    return _converted(content)


def _converted(content: bytes) -> bytes:
    pillow = _pillow()
    try:
        with pillow.open(io.BytesIO(content)) as opened:
            photo = opened.format in ("JPEG", "MPO")
            picture = normalized(opened).copy()
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
        buffer = io.BytesIO()
        if photo:
            picture.save(buffer, format="JPEG", quality=90)
        else:
            picture.save(buffer, format="PNG")
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        # Pillow's message names our buffer, not the image.
        allowed = "an image that Pillow can read"
        raise invalid_value(_NAME, "another file", allowed, f"{_NAME} is not {allowed}") from error
    return buffer.getvalue()


def _pillow() -> Any:
    try:
        return import_module("PIL.Image")
    except ImportError:
        raise ImportError(MISSING, name="PIL") from None


def write_conversation(path: str | os.PathLike[str], data: dict[str, Any]) -> Path:
    """Write a conversation as JSON, atomically replacing an existing file. Raises OSError."""
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    # A lone surrogate, which models produce when an emoji is cut in half, becomes a JSON escape.
    return write_file(Path(path), text.encode("utf-8", "backslashreplace"))


def read_conversation(path: str | os.PathLike[str]) -> Any:
    """Return the content of a JSON file. Raises ValidationError if it does not exist or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValidationError(
            f"cannot read the conversation {os.fspath(path)}: {why}",
            field="path",
            value=os.fspath(path),
            allowed="a file written by `save`",
        ) from error


def image_parts(images: Any) -> list[ImagePart]:
    """Return the image parts of one image or a list of images. Existing parts stay unchanged."""
    if images is None:
        return []
    given = images if isinstance(images, Sequence) and not isinstance(images, str | bytes | bytearray) else [images]
    return [
        image if isinstance(image, ImagePart) else image_part(image) for image in reject_none_items("images", given)
    ]
