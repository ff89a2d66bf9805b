"""Media in tool calls: resolve data URIs and indices, and check what may be uploaded.

Arguments come from a language model, so they may contain data URIs and indices, but never URLs or paths. The caller
provides the media that indices refer to. Nothing is fetched here.
"""

# Media of tools: tools §4.7.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from sogni.core.checks import integer, invalid_value
from sogni.core.media import MAX_BYTES, InlineKind, Remote, decoded, is_data_uri, is_trusted_address
from sogni.core.projects.job import JobState
from sogni.errors import ValidationError

_LISTS: Mapping[InlineKind, tuple[str, str]] = {
    "image": ("images", "uploaded_images"),
    "video": ("videos", "uploaded_videos"),
    "audio": ("audio", "uploaded_audio"),
}
_INLINE: Mapping[str, Mapping[str, tuple[str, InlineKind]]] = {
    "generate_video": {
        "reference_image_url": ("reference_image", "image"),
        "reference_image_end_url": ("reference_image_end", "image"),
        "reference_audio_identity_url": ("reference_audio_identity", "audio"),
    },
    "sound_to_video": {
        "reference_audio_url": ("reference_audio", "audio"),
        "reference_image_url": ("reference_image", "image"),
        "reference_image_end_url": ("reference_image_end", "image"),
    },
    "video_to_video": {
        "reference_video_url": ("reference_video", "video"),
        "reference_image_url": ("reference_image", "image"),
        "reference_audio_identity_url": ("reference_audio_identity", "audio"),
    },
}
"""The data URI arguments of each tool, the project parameters they become, and their kind."""
_SOURCES: Mapping[str, Mapping[str, tuple[str, InlineKind]]] = {
    "sound_to_video": {
        "audioSourceIndex": ("reference_audio", "audio"),
        "sourceImageIndex": ("reference_image", "image"),
        "endImageIndex": ("reference_image_end", "image"),
    },
    "video_to_video": {
        "videoSourceIndex": ("reference_video", "video"),
        "sourceImageIndex": ("reference_image", "image"),
    },
}
"""Indices that count uploads from 0."""
_REFERENCES: Mapping[str, InlineKind] = {
    "referenceImageIndices": "image",
    "referenceVideoIndices": "video",
    "referenceAudioIndices": "audio",
}


@define
class AvailableMedia:
    """The media that indices can refer to: those that a conversation has created and uploaded, newest last.

    Entries are data URIs, trusted URLs or results: anything that a project accepts as a media input.
    """

    images: list[Any] = field(factory=list)
    videos: list[Any] = field(factory=list)
    audio: list[Any] = field(factory=list)
    uploaded_images: list[Any] = field(factory=list)
    uploaded_videos: list[Any] = field(factory=list)
    uploaded_audio: list[Any] = field(factory=list)
    origins: tuple[str, ...] = ()
    """Origins of this client's own results, in addition to the service's storage."""

    def add(self, kind: InlineKind, entries: Iterable[Any]) -> None:
        """Add created media."""
        getattr(self, _LISTS[kind][0]).extend(entries)

    def as_input(self, entry: Any, kind: InlineKind, where: str) -> Any:
        """Return an entry as a media input: bytes, a result, or `Remote`. Raises `ValidationError`."""
        if not isinstance(entry, str):
            return entry
        if is_data_uri(entry):
            return inline(where, entry, kind)
        url = entry.strip()
        if is_trusted_address(url) or any(url.startswith(f"{origin}/") for origin in self.origins):
            return Remote(url, kind, where)
        raise invalid_value(where, url.partition("?")[0][:80], "a data URI or a URL of the service's own storage")

    def at(self, kind: InlineKind, index: Any, where: str) -> Any:
        """Return the entry of an index: results from 0, uploads from -1 backwards. Raises `ValidationError`."""
        created, uploaded = (getattr(self, name) for name in _LISTS[kind])
        entry = _entry(created if integer(where, index) >= 0 else uploaded, index, where, kind)
        return self.as_input(entry, kind, where)

    def source(self, kind: InlineKind, index: Any, where: str) -> Any:
        """Return the entry of a source index: uploads from 0 or -1, or results if nothing was uploaded."""
        created, uploaded = (getattr(self, name) for name in _LISTS[kind])
        return self.as_input(_entry(uploaded or created, integer(where, index), where, kind), kind, where)

    def newest(self, kind: InlineKind) -> Any:
        """Return the newest result, otherwise the first upload, otherwise None. Raises `ValidationError`."""
        created, uploaded = (getattr(self, name) for name in _LISTS[kind])
        entry = created[-1] if created else uploaded[0] if uploaded else None
        return self.as_input(entry, kind, f"the newest {kind}")


def _entry(entries: Sequence[Any], index: Any, where: str, kind: InlineKind) -> Any:
    position = int(index) if index >= 0 else -int(index) - 1
    if position >= len(entries):
        count = f"there are {len(entries)}" if entries else "there are none"
        what = f"{'uploaded' if index < 0 else 'known'} {kind}"
        raise ValidationError(f"{where}: no {what} has the index {index:g}; {count}", field=where, value=index)
    return entries[position]


@define
class ToolMedia:
    """The media of one call: by project parameter, and references that depend on the model."""

    fields: dict[str, Any] = field(factory=dict)
    context_images: list[Any] = field(factory=list)
    references: dict[InlineKind, list[Any]] = field(factory=dict)

    @property
    def images(self) -> int:
        """The number of images for a video to start with or follow."""
        frames = sum(1 for name in ("reference_image", "reference_image_end") if name in self.fields)
        return frames + len(self.references.get("image", ()))


def media_of(tool: str, arguments: Mapping[str, Any], available: AvailableMedia | None) -> ToolMedia:
    """Return the media that checked arguments refer to. Raises `ValidationError` with the argument."""
    media = ToolMedia()
    for name, (target, kind) in _INLINE.get(tool, {}).items():
        if arguments.get(name):
            media.fields[target] = inline(name, arguments[name], kind)
    for name, (target, kind) in _SOURCES.get(tool, {}).items():
        if target not in media.fields and arguments.get(name) is not None:
            media.fields[target] = _require_available(available, name).source(kind, arguments[name], name)
    if tool == "generate_video":
        _references(arguments, available, media)
    elif tool == "video_to_video" and arguments.get("controlMode") == "inpaint":
        index = arguments.get("maskImageIndex")
        if index is not None:
            mask = _require_available(available, "maskImageIndex").at("image", index, "maskImageIndex")
            media.fields["reference_mask"] = mask
    elif tool == "edit_image":
        media.context_images = _images_to_edit(arguments, available)
    elif tool == "generate_image" and arguments.get("starting_image_strength") is not None and available is not None:
        index = arguments.get("sourceImageIndex")
        if index is not None:
            media.fields["starting_image"] = available.at("image", index, "sourceImageIndex")
    _add_required(tool, arguments, available, media)
    return media


def _require_available(available: AvailableMedia | None, where: str) -> AvailableMedia:
    if available is None:
        raise ValidationError(f"{where}: there are no media it could refer to", field=where)
    return available


def _references(arguments: Mapping[str, Any], available: AvailableMedia | None, media: ToolMedia) -> None:
    for name, kind in _REFERENCES.items():
        indices = arguments.get(name) or ()
        if indices:
            entries = _require_available(available, name)
            media.references[kind] = [
                entries.at(kind, index, f"{name}[{position}]") for position, index in enumerate(indices)
            ]
    if media.references.get("image") and "reference_image" in {name.removesuffix("_end") for name in media.fields}:
        raise invalid_value(
            "referenceImageIndices",
            arguments["referenceImageIndices"],
            "no index if reference_image_url is given",
            "referenceImageIndices cannot be combined with reference_image_url or reference_image_end_url",
        )


def _images_to_edit(arguments: Mapping[str, Any], available: AvailableMedia | None) -> list[Any]:
    """Return the images to edit: data URIs, otherwise the one at the given index, otherwise the newest."""
    urls = [("source_image_url", arguments.get("source_image_url"))]
    more = arguments.get("reference_image_urls")
    more = [more] if isinstance(more, str) else more if isinstance(more, list | tuple) else []
    urls += [(f"reference_image_urls[{position}]", url) for position, url in enumerate(more)]
    given = [inline(name, url, "image") for name, url in urls if url]
    index = arguments.get("sourceImageIndex")
    if available is not None and index is not None:
        given.insert(0, available.at("image", index, "sourceImageIndex"))
    elif available is not None and not given and (newest := available.newest("image")) is not None:
        given = [newest]
    return given


_REQUIRED: Mapping[str, tuple[str, InlineKind, str]] = {
    "sound_to_video": ("reference_audio", "audio", "reference_audio_url"),
    "video_to_video": ("reference_video", "video", "reference_video_url"),
}


def _add_required(tool: str, arguments: Mapping[str, Any], available: AvailableMedia | None, media: ToolMedia) -> None:
    if tool == "edit_image" and not media.context_images:
        raise invalid_value(
            "source_image_url", None, "a data URI", "source_image_url or reference_image_urls is required"
        )
    if tool not in _REQUIRED:
        return
    target, kind, name = _REQUIRED[tool]
    if target not in media.fields and available is not None and (newest := available.newest(kind)) is not None:
        media.fields[target] = newest
    if target not in media.fields:
        raise invalid_value(name, None, "a data URI", f"{name} is required")


def inline(where: str, value: Any, kind: InlineKind) -> bytes:
    """Return the content of a data URI in the arguments; nothing else is accepted there."""
    if not isinstance(value, str) or not is_data_uri(value):
        # The query may contain a signature.
        safe = value.partition("?")[0][:80] if isinstance(value, str) else type(value).__name__
        raise invalid_value(where, safe, f"a data URI with {kind} data")
    return decoded(where, value, kind, max_bytes=MAX_BYTES[kind]).content


def https_url_of(value: Any) -> str | None:
    """Return the https URL of a media input for other services, None if it has none."""
    url = value.url if isinstance(value, Remote) else value.result_url if isinstance(value, JobState) else None
    return url if url is not None and url.startswith("https://") else None
