"""Media inside a request: decides whether a data URI holds what it says (chat §9.3, §9.4).

Called for the images of chat messages and for the media that tool calls carry. It fetches nothing: which
remote address may be fetched at all is decided here, fetching is a flow.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from attrs import field, frozen

from .field_checks import refusal
from .media_types import HEAD_SIZE, is_mpeg_audio, sniff

InlineKind = Literal["image", "audio", "video"]

_FORMAT_OF: Mapping[InlineKind, Mapping[str, str]] = {
    "image": {"image/jpeg": "JPEG", "image/jpg": "JPEG", "image/png": "PNG"},
    "audio": {
        "audio/mpeg": "MPEG",
        "audio/mp3": "MPEG",
        "audio/wav": "WAV",
        "audio/wave": "WAV",
        "audio/x-wav": "WAV",
        "audio/mp4": "MP4",
        "audio/m4a": "MP4",
        "audio/x-m4a": "MP4",
    },
    "video": {"video/mp4": "MP4", "video/quicktime": "QuickTime"},
}
_FIRST_TYPE: Mapping[InlineKind, Mapping[str, str]] = {
    "image": {"JPEG": "image/jpeg", "PNG": "image/png"},
    "audio": {"MPEG": "audio/mpeg", "WAV": "audio/wav", "MP4": "audio/mp4"},
    "video": {"MP4": "video/mp4", "QuickTime": "video/quicktime"},
}
_BASE64 = re.compile("[A-Za-z0-9+/]*={0,2}")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_TRUSTED = re.compile(
    r".+\.sogni\.ai|.+\.s3\.amazonaws\.com|(.+\.)?s3\.[^.]+\.amazonaws\.com|.+\.cloudfront\.net", re.ASCII
)
_STAND_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@frozen
class InlineMedia:
    """Media out of a data URI: its type as declared, in lower case, the format of its bytes, and the bytes.

    `size` is width and height in pixels for an image, None for anything else.
    """

    content_type: str
    format: str
    content: bytes = field(repr=False)
    size: tuple[int, int] | None = None


def is_data_uri(text: str) -> bool:
    """Whether a text is meant as a data URI, whether or not it is a good one."""
    return text.lstrip()[:5].lower() == "data:"


def data_uri(content_type: str, content: bytes) -> str:
    """The data URI of some bytes."""
    return f"data:{content_type};base64,{base64.b64encode(content).decode('ascii')}"


def decoded(
    where: str, text: str, kind: InlineKind, *, most_bytes: int | None = None, longest_side: int | None = None
) -> InlineMedia:
    """What a data URI holds, checked in the order of chat §9.4; `where` names it in errors.

    `most_bytes` and `longest_side` (pixels of an image) are inclusive. Raises `ValidationError`.
    """
    head, comma, body = text.strip().partition(",")
    lowered = head.lower()
    content_type = lowered[5:-7]
    if not (comma and lowered.startswith("data:") and lowered.endswith(";base64") and content_type and body):
        raise refusal(where, text[:40], "a data URI of the form data:<type>;base64,<data>")
    if ";" in content_type:
        raise refusal(where, head[:80], "a data URI without parameters between its type and ;base64")
    content = _bytes_of(where, body)
    return checked(where, content_type, content, kind, most_bytes=most_bytes, longest_side=longest_side)


def checked(
    where: str,
    content_type: str,
    content: bytes,
    kind: InlineKind,
    *,
    most_bytes: int | None = None,
    longest_side: int | None = None,
) -> InlineMedia:
    """Bytes of a declared type, checked as those of a data URI. Raises `ValidationError`."""
    if most_bytes is not None and len(content) > most_bytes:
        raise refusal(where, f"{len(content)} bytes", f"media of at most {most_bytes} bytes")
    form = _FORMAT_OF[kind].get(content_type)
    if form is None:
        raise refusal(where, content_type, tuple(_FORMAT_OF[kind]))
    if _format(kind, content) != form:
        found = sniff(content[:HEAD_SIZE], kind)
        named = f": it is {found}" if found else ""
        sentence = f"{where} is declared {content_type} but holds no {form}{named}"
        raise refusal(where, content_type, f"{form} data", sentence)
    size = None
    if kind == "image":
        size = image_size(content)
        if size is None:
            raise refusal(where, content_type, f"a {form} whose width and height can be read")
        if longest_side is not None and max(size) > longest_side:
            sides = f"{size[0]}×{size[1]}"
            raise refusal(where, sides, f"an image of at most {longest_side} pixels on its longest side")
    return InlineMedia(content_type, form, content, size)


def type_of(kind: InlineKind, declared: str, content: bytes) -> str | None:
    """The type of fetched bytes: as declared when it is allowed, else by their first bytes (chat §9.5)."""
    plain = declared.partition(";")[0].strip().lower()
    if plain in _FORMAT_OF[kind]:
        return plain
    form = _format(kind, content)
    return _FIRST_TYPE[kind][form] if form else None


def is_trusted_address(text: str) -> bool:
    """Whether an address is one of the service's own stores, so that it may be fetched (chat §9.3)."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = parts.scheme == "https" and "@" not in parts.netloc and "\\" not in text and text.isprintable()
    return plain and bool(_HOST.fullmatch(host)) and bool(_TRUSTED.fullmatch(host))


def _bytes_of(where: str, body: str) -> bytes:
    """Base64 without whitespace, in its one canonical spelling; padding may be missing."""
    text = "".join(body.split())
    allowed = "valid base64"
    if not text or not _BASE64.fullmatch(text):
        raise refusal(where, body[:40], allowed)
    padded = text + "=" * (-len(text) % 4)
    try:
        content = base64.b64decode(padded)
    except binascii.Error:
        raise refusal(where, text[-40:], allowed) from None
    if not content or base64.b64encode(content).decode("ascii") != padded:
        raise refusal(where, text[-40:], allowed)
    return content


def _format(kind: InlineKind, content: bytes) -> str | None:
    """The format of some bytes by how they begin; None for one that is not allowed."""
    if kind == "image":
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return "PNG"
        return "JPEG" if content.startswith(b"\xff\xd8\xff") else None
    brand = content[8:12] if len(content) >= 12 and content[4:8] == b"ftyp" else None
    if (sniff(content[:HEAD_SIZE], kind) or "").startswith("image/"):
        return None  # HEIF, which has a brand, too
    if kind == "video":
        return None if brand is None else "QuickTime" if brand == b"qt  " else "MP4"
    if content.startswith(b"RIFF") and content[8:12] == b"WAVE":
        return "WAV"
    if is_mpeg_audio(content):
        return "MPEG"
    return "MP4" if brand not in (None, b"qt  ") else None


def image_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG or JPEG; None when they cannot be read."""
    return _png_size(content) if content.startswith(b"\x89PNG") else _jpeg_size(content)


def _png_size(content: bytes) -> tuple[int, int] | None:
    if len(content) < 24 or content[12:16] != b"IHDR":
        return None
    width, height = (int.from_bytes(content[at : at + 4], "big", signed=True) for at in (16, 20))
    return (width, height) if width > 0 and height > 0 else None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """From segment to segment up to the first start of a frame (chat §9.4)."""
    at, end = 2, len(content)
    while (at := content.find(b"\xff", at)) >= 0:
        while at < end and content[at] == 0xFF:
            at += 1
        if at >= end:
            return None
        marker = content[at]
        at += 1
        if marker in _STAND_ALONE:
            continue
        length = int.from_bytes(content[at : at + 2], "big")
        if length < 2 or at + length > end:
            return None
        if marker in _START_OF_FRAME:
            height, width = (int.from_bytes(content[at + skip : at + skip + 2], "big") for skip in (3, 5))
            return (width, height) if length >= 7 and width and height else None
        at += length
    return None
