"""What a file is: decides the content type of its first bytes, and whether a slot takes it.

Called before anything is uploaded, and where a result is named or asked for. It reads no file: the first
bytes are an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from .field_checks import refusal

MediaSlot = Literal["image", "audio", "video"]

HEAD_SIZE = 12
"""Bytes of a file that `sniff` looks at, at most (projects-4.2 §10.3)."""

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

_STILL_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"}
"""Refused in an image slot, but by their right name instead of as a video."""


def sniff(head: bytes, slot: MediaSlot = "image") -> str | None:
    """Return the content type of a file from its first `HEAD_SIZE` bytes, None when they say nothing.

    `slot` decides between sound and pictures where the container holds either (projects-5x §6).
    """
    known = _sniff_long(head, slot) if len(head) >= HEAD_SIZE else None
    if known is not None:
        return known
    if head.startswith(b"ID3") or (len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return "audio/mpeg"
    if head.startswith(b"fLaC"):
        return "audio/flac"
    if head.startswith(b"OggS"):
        return "video/ogg" if slot == "video" else "audio/ogg"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "audio/webm" if slot == "audio" else "video/webm"
    return None


def _sniff_long(head: bytes, slot: MediaSlot) -> str | None:
    """The tests that need twelve bytes, in the order of projects-4.2 §10.3."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG"):
        return "image/png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"GIF"):
        return "image/gif"
    if head[4:8] == b"ftyp":
        return _sniff_brand(head[8:12].lower(), slot)
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "audio/wav"
    return None


def _sniff_brand(brand: bytes, slot: MediaSlot) -> str:
    if b"m4a" in brand or b"m4b" in brand:
        return "audio/mp4"
    if b"qt" in brand:
        return "video/quicktime"
    if slot == "image" and brand in _STILL_BRANDS:
        return _STILL_BRANDS[brand]
    return "video/mp4"


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
    if content_type is None:
        sentence = f"{field}: {name} is none of the {slot} files known here ({', '.join(allowed)})"
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
