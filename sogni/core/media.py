"""Content types of media: detection from the first bytes, allowed types per slot, data URIs and trusted URLs.

Nothing here reads a file or fetches a URL: content is passed in.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

from attrs import field, frozen

from sogni.core.checks import invalid_value

MediaSlot = Literal["image", "audio", "video"]

HEAD_SIZE = 512
"""Bytes that `sniff` looks at, at most; they include the brands of an MPEG-4 file."""

ALLOWED: dict[MediaSlot, tuple[str, ...]] = {
    "image": ("image/jpeg", "image/png", "image/webp", "image/gif"),
    # The brand of an MPEG-4 file does not always tell audio from video, so `audio` accepts video/mp4 too.
    "audio": (
        "audio/mpeg", "audio/mp4", "audio/wav", "audio/flac", "audio/ogg", "audio/webm", "video/mp4",
    ),
    "video": ("video/mp4", "video/quicktime", "video/webm", "video/ogg"),
}  # fmt: skip
"""Content types that each slot accepts, with every name in use for them."""

_SAME: dict[str, str] = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-flac": "audio/flac",
}
"""Aliases and the usual name of each type."""

_EXTENSIONS: dict[str, str] = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/ogg": ".ogv",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/webm": ".weba",
    "audio/aac": ".aac",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "model/gltf-binary": ".glb",
}

_FORMATS: dict[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "glb": "model/gltf-binary",
}

_STILL_BRANDS: dict[str, tuple[bytes, ...]] = {
    "image/avif": (b"avif", b"avis"),
    "image/heic": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    "image/heif": (b"mif1", b"msf1"),
}
"""Images in a video container, most specific first. No slot accepts them."""

_SIGNATURES: tuple[tuple[str, bytes, int, bytes], ...] = (
    # content type, first bytes, offset of further bytes, further bytes (projects-4.2 §10.3)
    ("image/jpeg", b"\xff\xd8\xff", 0, b""),
    ("image/png", b"\x89PNG", 0, b""),
    ("image/webp", b"RIFF", 8, b"WEBP"),
    ("image/gif", b"GIF87a", 0, b""),
    ("image/gif", b"GIF89a", 0, b""),
    ("audio/wav", b"RIFF", 8, b"WAVE"),
    # Recognized only to be named in the error.
    ("video/x-msvideo", b"RIFF", 8, b"AVI "),
    ("audio/aiff", b"FORM", 8, b"AIF"),
    ("image/jp2", b"\0\0\0\x0c", 4, b"jP  "),
    ("image/jxl", b"\0\0\0\x0c", 4, b"JXL "),
    ("image/tiff", b"II*\0", 0, b""),
    ("image/tiff", b"MM\0*", 0, b""),
    ("image/bmp", b"BM", 6, b"\0\0\0\0"),
    ("video/mpeg", b"\0\0\1\xba", 0, b""),
    ("video/x-flv", b"FLV\1", 0, b""),
    ("video/x-ms-asf", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, b""),
    ("audio/midi", b"MThd\0\0", 0, b""),
    ("audio/amr", b"#!AMR", 0, b""),
    ("model/gltf-binary", b"glTF", 4, b"\2\0\0\0"),
    ("application/pdf", b"%PDF-", 0, b""),
    ("application/zip", b"PK\3\4", 0, b""),
    ("application/gzip", b"\x1f\x8b\x08", 0, b""),
)
_LONG = 12
"""Minimum length of a file identified by `_SIGNATURES` or a brand."""
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def sniff(head: bytes, slot: MediaSlot = "image") -> str | None:
    """Return the content type of a file from its first `HEAD_SIZE` bytes, None if unknown.

    `slot` decides between audio and video if the container holds either. Types that no slot accepts are returned too,
    so that errors can name them.
    """
    known = _sniff_long(head) if len(head) >= _LONG else None
    if known is not None:
        return known
    if is_mpeg_audio(head):
        return "audio/mpeg"
    if head.startswith(b"fLaC"):
        return "audio/flac"
    if head.startswith(b"OggS"):
        return "video/ogg" if slot == "video" else "audio/ogg"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "audio/webm" if slot == "audio" else "video/webm"
    if _is_adts(head):
        return "audio/aac"
    return _sniff_text(head)


def _sniff_long(head: bytes) -> str | None:
    """Run the tests that need twelve bytes."""
    if head[4:8] == b"ftyp":
        return _sniff_brand(head)
    for content_type, start, place, more in _SIGNATURES:
        if head.startswith(start) and head.startswith(more, place):
            return content_type
    return None


def _sniff_brand(head: bytes) -> str:
    brand = head[8:12].lower()
    if b"m4a" in brand or b"m4b" in brand:
        return "audio/mp4"
    if b"qt" in brand:
        return "video/quicktime"
    if not any(brand in brands for brands in _STILL_BRANDS.values()):
        return "video/mp4"
    end = int.from_bytes(head[:4], "big")
    found = {brand, *(head[at : at + 4] for at in range(16, min(end, len(head)), 4))}
    return next(content_type for content_type, brands in _STILL_BRANDS.items() if found.intersection(brands))


def is_mpeg_audio(head: bytes) -> bool:
    """Whether MPEG audio of layer II or III starts here, or an ID3 tag; a short head is tested up to its end.

    Reserved header values are rejected. Layer I is excluded: its first bytes are those of UTF-16 text.
    """
    if head.startswith(b"ID3"):
        return 0xFF not in head[3:5] and all(byte < 0x80 for byte in head[6:10])
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    if head[1] & 0x18 == 0x08 or head[1] & 0x06 not in (0x02, 0x04):
        return False
    return not (head[2:3] and (head[2] & 0xF0 == 0xF0 or head[2] & 0x0C == 0x0C))


def _is_adts(head: bytes) -> bool:
    return len(head) >= 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _sniff_text(head: bytes) -> str | None:
    """Detect text by its byte order mark, or as UTF-8 without control characters."""
    if head.startswith(_BYTE_ORDER_MARKS):
        return "text/plain"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be incomplete
    except UnicodeDecodeError:
        return None
    if not text or not all(letter.isprintable() or letter in "\t\n\r\f" for letter in text):
        return None
    start = text.lstrip().lower()
    if "<svg" in start:
        return "image/svg+xml"
    return "text/html" if start.startswith(("<!doctype html", "<html")) else "text/plain"


def canonical(content_type: str) -> str:
    """Return a content type in lower case, without parameters, under its usual name."""
    bare = content_type.partition(";")[0].strip().lower()
    return _SAME.get(bare, bare)


def check_slot(
    field: str, name: str, content_type: str | None, slot: MediaSlot, allowed: Sequence[str] | None = None
) -> str:
    """Return the content type if the slot accepts it. Raises `ValidationError` otherwise.

    `name` is the media as the caller knows it (a path, `bytes`); `allowed` narrows what the slot accepts.
    """
    allowed = tuple(ALLOWED[slot] if allowed is None else allowed)
    if content_type is None or canonical(content_type) not in allowed:
        given = f"{name} ({content_type or 'unknown type'})"
        raise invalid_value(field, name, allowed, f"{field} must be a file of type {', '.join(allowed)}, got {given}")
    return content_type


def extension_of(content_type: str | None) -> str:
    """Return the file extension of a content type, including its dot; `.bin` for an unknown one."""
    return ".bin" if content_type is None else _EXTENSIONS.get(canonical(content_type), ".bin")


def content_type_of_format(output_format: str | None) -> str | None:
    """Return the content type of an output format (`jpg` → `image/jpeg`); None for an unknown one."""
    return None if output_format is None else _FORMATS.get(output_format.lower())


# Media inside a request (chat §9.3, §9.4)


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
    """Media from a data URI: declared type in lower case, detected format, and content.

    `size` is width and height of an image in pixels, None for other media.
    """

    content_type: str
    format: str
    content: bytes = field(repr=False)
    size: tuple[int, int] | None = None


def is_data_uri(text: str) -> bool:
    """Whether a string is intended as a data URI, valid or not."""
    return text.lstrip()[:5].lower() == "data:"


def data_uri(content_type: str, content: bytes) -> str:
    """Return the data URI for some content."""
    return f"data:{content_type};base64,{base64.b64encode(content).decode('ascii')}"


def decoded(
    where: str, text: str, kind: InlineKind, *, max_bytes: int | None = None, longest_side: int | None = None
) -> InlineMedia:
    """Return the content of a data URI; `where` names it in errors.

    `max_bytes` and `longest_side` (pixels of an image) are inclusive. Raises `ValidationError`.
    """
    head, comma, body = text.strip().partition(",")
    lowered = head.lower()
    content_type = lowered[5:-7]
    if not (comma and lowered.startswith("data:") and lowered.endswith(";base64") and content_type and body):
        raise invalid_value(where, text[:40], "a data URI of the form data:<type>;base64,<data>")
    if ";" in content_type:
        raise invalid_value(where, head[:80], "a data URI without parameters between its type and ;base64")
    content = _bytes_of(where, body)
    return checked(where, content_type, content, kind, max_bytes=max_bytes, longest_side=longest_side)


def checked(
    where: str,
    content_type: str,
    content: bytes,
    kind: InlineKind,
    *,
    max_bytes: int | None = None,
    longest_side: int | None = None,
) -> InlineMedia:
    """Check content against its declared type, like that of a data URI. Raises `ValidationError`."""
    if max_bytes is not None and len(content) > max_bytes:
        raise invalid_value(where, f"{len(content)} bytes", f"media of at most {max_bytes} bytes")
    form = _FORMAT_OF[kind].get(content_type)
    if form is None:
        raise invalid_value(where, content_type, tuple(_FORMAT_OF[kind]))
    if _format(kind, content) != form:
        found = sniff(content[:HEAD_SIZE], kind)
        named = f": it is {found}" if found else ""
        message = f"{where} is declared as {content_type} but contains no {form} data{named}"
        raise invalid_value(where, content_type, f"{form} data", message)
    size = None
    if kind == "image":
        size = image_size(content)
        if size is None:
            raise invalid_value(where, content_type, f"a {form} with readable width and height")
        if longest_side is not None and max(size) > longest_side:
            sides = f"{size[0]}×{size[1]}"
            raise invalid_value(where, sides, f"an image of at most {longest_side} pixels on its longest side")
    return InlineMedia(content_type, form, content, size)


def type_of(kind: InlineKind, declared: str, content: bytes) -> str | None:
    """Return the type of fetched content: as declared if allowed, otherwise by its first bytes."""
    plain = declared.partition(";")[0].strip().lower()
    if plain in _FORMAT_OF[kind]:
        return plain
    form = _format(kind, content)
    return _FIRST_TYPE[kind][form] if form else None


def is_trusted_address(text: str) -> bool:
    """Whether a URL belongs to the service's own storage, so that it may be fetched."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = parts.scheme == "https" and "@" not in parts.netloc and "\\" not in text and text.isprintable()
    return plain and bool(_HOST.fullmatch(host)) and bool(_TRUSTED.fullmatch(host))


def _bytes_of(where: str, body: str) -> bytes:
    """Decode base64 in its canonical spelling; whitespace and missing padding are accepted."""
    text = "".join(body.split())
    allowed = "valid base64"
    if not text or not _BASE64.fullmatch(text):
        raise invalid_value(where, body[:40], allowed)
    padded = text + "=" * (-len(text) % 4)
    try:
        content = base64.b64decode(padded)
    except binascii.Error:
        raise invalid_value(where, text[-40:], allowed) from None
    if not content or base64.b64encode(content).decode("ascii") != padded:
        raise invalid_value(where, text[-40:], allowed)
    return content


def _format(kind: InlineKind, content: bytes) -> str | None:
    """Return the format of content by its first bytes, None if it is not allowed."""
    if kind == "image":
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return "PNG"
        return "JPEG" if content.startswith(b"\xff\xd8\xff") else None
    brand = content[8:12] if len(content) >= 12 and content[4:8] == b"ftyp" else None
    if (sniff(content[:HEAD_SIZE], kind) or "").startswith("image/"):
        return None  # HEIF also has a brand
    if kind == "video":
        return None if brand is None else "QuickTime" if brand == b"qt  " else "MP4"
    if content.startswith(b"RIFF") and content[8:12] == b"WAVE":
        return "WAV"
    if is_mpeg_audio(content):
        return "MPEG"
    return "MP4" if brand not in (None, b"qt  ") else None


def image_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG or JPEG in pixels, None if malformed."""
    return _png_size(content) if content.startswith(b"\x89PNG") else _jpeg_size(content)


def _png_size(content: bytes) -> tuple[int, int] | None:
    if len(content) < 24 or content[12:16] != b"IHDR":
        return None
    width, height = (int.from_bytes(content[at : at + 4], "big", signed=True) for at in (16, 20))
    return (width, height) if width > 0 and height > 0 else None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Walk the segments to the first start of frame."""
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


MAX_BYTES: Mapping[InlineKind, int] = {
    "image": 20 * 1024 * 1024,
    "audio": 50 * 1024 * 1024,
    "video": 100 * 1024 * 1024,
}


@frozen
class Remote:
    """Media at a trusted URL, to be fetched before it can be uploaded."""

    url: str = field(repr=False)
    kind: InlineKind
    where: str
