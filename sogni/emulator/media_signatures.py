"""What kind of media a file is, told by its first bytes.

Called when a project is accepted: an upload that is not what its role asks for is refused at once. Whether a
worker can really read the file turns out later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

MediaForm = Literal["image", "audio", "video"]

_HEAD = 64
_STILL_BRANDS = (
    b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
)  # fmt: skip
_ROLES: Mapping[str, MediaForm] = {
    "referenceImage": "image",
    "referenceImageEnd": "image",
    "referenceMask": "image",
    "referenceAudio": "audio",
    "referenceVideo": "video",
}


def forms_of(head: bytes) -> frozenset[MediaForm]:
    """Return what a file that starts with these bytes may be; containers of both hold audio or video."""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF87a", b"GIF89a")) or _riff(head, b"WEBP"):
        return frozenset({"image"})
    if head[4:8] == b"ftyp":
        return _of_brand(head[8:12].lower())
    if _riff(head, b"WAVE") or head.startswith((b"ID3", b"fLaC")):
        return frozenset({"audio"})
    if head.startswith((b"OggS", b"\x1a\x45\xdf\xa3")):
        return frozenset({"audio", "video"})
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 in (0x02, 0x04):
        # Layers II and III: the first bytes of UTF-16 text are those of layer I, and of AAC those of no layer.
        return frozenset({"audio"})
    return frozenset()


def _riff(head: bytes, form: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == form


def _of_brand(brand: bytes) -> frozenset[MediaForm]:
    if brand in _STILL_BRANDS:
        return frozenset({"image"})
    if b"m4a" in brand or b"m4b" in brand:
        return frozenset({"audio"})
    if b"qt" in brand:
        return frozenset({"video"})
    # A general MP4 may hold sound alone.
    return frozenset({"audio", "video"})


def misplaced(inputs: Mapping[str, Path]) -> str | None:
    """Name the first upload that is not of the media its role asks for."""
    for role, path in inputs.items():
        wanted = _ROLES.get(role)
        if wanted is None:
            continue
        with path.open("rb") as file:
            found = forms_of(file.read(_HEAD))
        if wanted not in found:
            shown = " or ".join(sorted(found)) or "of no known format"
            return f"{role} must be {'an' if wanted[0] in 'ai' else 'a'} {wanted} file; the upload is {shown}"
    return None
