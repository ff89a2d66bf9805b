"""What a file is: decides the content type of its first bytes, and whether a slot takes it.

Called before anything is uploaded, and where a result is named or asked for. It reads no file: the first
bytes are an argument.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Literal

from .field_checks import refusal

MediaSlot = Literal["image", "audio", "video"]

HEAD_SIZE = 512
"""Bytes of a file that `sniff` looks at, at most; the brands of an MPEG-4 file lie within them."""

ALLOWED: dict[MediaSlot, tuple[str, ...]] = {
    "image": ("image/jpeg", "image/png", "image/webp", "image/gif"),
    # The brand of an MPEG-4 file does not always tell sound from pictures, so `audio` takes video/mp4 too.
    "audio": (
        "audio/mpeg", "audio/mp4", "audio/wav", "audio/flac", "audio/ogg", "audio/webm", "video/mp4",
    ),
    "video": ("video/mp4", "video/quicktime", "video/webm", "video/ogg"),
}  # fmt: skip
"""What each slot takes: everything the sheets can name for it."""

_SAME: dict[str, str] = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-flac": "audio/flac",
}
"""Other names of the same type (projects-4.2 §19, projects-5x §6.1)."""

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
"""Images in a container of films, the most telling first. No slot takes them."""

_SIGNATURES: tuple[tuple[str, bytes, int, bytes], ...] = (
    # type, first bytes, place of more, and these (projects-4.2 §10.3)
    ("image/jpeg", b"\xff\xd8\xff", 0, b""),
    ("image/png", b"\x89PNG", 0, b""),
    ("image/webp", b"RIFF", 8, b"WEBP"),
    ("image/gif", b"GIF87a", 0, b""),
    ("image/gif", b"GIF89a", 0, b""),
    ("audio/wav", b"RIFF", 8, b"WAVE"),
    # What is only recognized to be refused by its name.
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
"""Bytes that a file has at least whose type is taken from `_SIGNATURES` or a brand."""
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def sniff(head: bytes, slot: MediaSlot = "image") -> str | None:
    """Return the content type of a file from its first `HEAD_SIZE` bytes, None when they say nothing.

    `slot` decides between sound and pictures where the container holds either (projects-5x §6). What no slot takes has
    a type, too, so that it can be refused by its name.
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
    """The tests that need twelve bytes."""
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
    """Whether MPEG audio of layer II or III begins here, or a tag before it; short heads count as far as they go.

    A header has no reserved values. Layer I is not meant: its first bytes are those of UTF-16 text.
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
    """Text by its byte order mark, or as UTF-8 without control characters."""
    if head.startswith(_BYTE_ORDER_MARKS):
        return "text/plain"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # a character may be cut in two at the end
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
    """Return the content type if the slot takes it; ValidationError says what it is and what is taken.

    `name` is how the caller knows the media (a path, `bytes`); `allowed` narrows what the slot takes.
    """
    allowed = tuple(ALLOWED[slot] if allowed is None else allowed)
    if content_type is None or content_type.startswith(("text/", "application/")):
        named = f": it is {content_type}" if content_type else ""
        sentence = f"{field}: {name} is none of the {slot} files known here ({', '.join(allowed)}){named}"
        raise refusal(field, name, allowed, sentence)
    if canonical(content_type) not in allowed:
        sentence = f"{field}: {name} is {content_type}, but must be one of {', '.join(allowed)}"
        raise refusal(field, name, allowed, sentence)
    return content_type


def extension_of(content_type: str | None) -> str:
    """Return the file extension of a content type, with its dot; `.bin` for an unknown one."""
    return ".bin" if content_type is None else _EXTENSIONS.get(canonical(content_type), ".bin")


def content_type_of_format(output_format: str | None) -> str | None:
    """Return the content type of an output format (`jpg` → `image/jpeg`); None for an unknown one."""
    return None if output_format is None else _FORMATS.get(output_format.lower())
