"""Media of durable work: decides that it is given by addresses the service can reach (chat §12.1, workflows §4).

Called by the calls of runs and workflows, which must find everything wrong at once. It opens no address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ValidationError

CONTEXT_LISTS = ("images", "videos", "audio", "uploadedImages", "uploadedVideos", "uploadedAudio")
"""The lists of a media context, as on the wire."""
_CONTEXT_NAMES = {
    "uploadedImages": "uploaded_images",
    "uploadedVideos": "uploaded_videos",
    "uploadedAudio": "uploaded_audio",
}


def refuse_unreachable(offences: Iterable[str]) -> None:
    """ValidationError that names every place where there is no http or https address."""
    places = list(offences)
    if places:
        raise ValidationError(
            "media of durable work is given by http or https addresses, which the service reads itself; "
            f"there is none in {', '.join(places)}",
            field=places[0],
            value=tuple(places),
            allowed="an http or https address",
        )


def in_references(references: Any) -> Iterable[str]:
    """The places in media references that hold something else; what is no object is left to the service."""
    for place, entry in enumerate(references if isinstance(references, list) else ()):
        if not isinstance(entry, Mapping):
            continue
        if _is_unreachable(entry.get("url")):
            yield f"media_references[{place}].url"
        for name in ("dataUri", "data_uri"):
            if _is_given(entry.get(name)):
                yield f"media_references[{place}].{name}"


def in_messages(messages: Any) -> Iterable[str]:
    """The image parts of messages that hold something else."""
    for place, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        for part_place, part in enumerate(content if isinstance(content, list) else ()):
            image = part.get("image_url") if isinstance(part, Mapping) and part.get("type") == "image_url" else None
            if isinstance(image, Mapping) and _is_unreachable(image.get("url")):
                yield f"messages[{place}].content[{part_place}].image_url.url"


def in_context(context: Any) -> Iterable[str]:
    """The entries of a media context that are something else."""
    for name in CONTEXT_LISTS if isinstance(context, Mapping) else ():
        entries = context.get(name)
        for place, entry in enumerate(entries if isinstance(entries, list) else ()):
            if _is_unreachable(entry):
                yield f"media_context.{_CONTEXT_NAMES.get(name, name)}[{place}]"


def _is_given(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_unreachable(value: Any) -> bool:
    return _is_given(value) and not value.strip().lower().startswith(("http://", "https://"))
