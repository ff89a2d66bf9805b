"""Media for runs and workflows: checking that the service can download it, and uploading files.

Nothing is downloaded here.
"""

# Media references: chat §12.1, workflows §4. Uploads: projects-4.2 §10.1.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import frozen

from sogni.core.checks import invalid_value
from sogni.core.http import HttpCall
from sogni.core.media import ALLOWED, MediaSlot, canonical, sniff
from sogni.core.projects.uploads import signed_url_call
from sogni.errors import ValidationError

CONTEXT_LISTS = ("images", "videos", "audio", "uploadedImages", "uploadedVideos", "uploadedAudio")
"""The lists of a media context in wire form."""
_CONTEXT_NAMES = {
    "uploadedImages": "uploaded_images",
    "uploadedVideos": "uploaded_videos",
    "uploadedAudio": "uploaded_audio",
}


def reject_unreachable(paths: Iterable[str]) -> None:
    """Raise `ValidationError` if there are paths of media that the service cannot download; it lists all of them."""
    unreachable = list(paths)
    if unreachable:
        raise ValidationError(
            f"{', '.join(unreachable)} must be an http or https URL, which the service can download; "
            "use workflows.upload for files",
            field=unreachable[0],
            value=tuple(unreachable),
            allowed="an http or https URL",
        )


def unreachable_references(references: Any) -> Iterable[str]:
    """Yield the paths of media references without a URL; entries of other types are left to the service."""
    for index, entry in enumerate(references if isinstance(references, list) else ()):
        if not isinstance(entry, Mapping):
            continue
        if _is_unreachable(entry.get("url")):
            yield f"media_references[{index}].url"
        for name in ("dataUri", "data_uri"):
            if _is_given(entry.get(name)):
                yield f"media_references[{index}].{name}"


def unreachable_in_messages(messages: Any) -> Iterable[str]:
    """Yield the paths of image parts without a URL."""
    for index, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        for part_index, part in enumerate(content if isinstance(content, list) else ()):
            image = part.get("image_url") if isinstance(part, Mapping) and part.get("type") == "image_url" else None
            if isinstance(image, Mapping) and _is_unreachable(image.get("url")):
                yield f"messages[{index}].content[{part_index}].image_url.url"


def unreachable_in_context(context: Any) -> Iterable[str]:
    """Yield the paths of entries of a media context that are not URLs."""
    for name in CONTEXT_LISTS if isinstance(context, Mapping) else ():
        entries = context.get(name)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if _is_unreachable(entry):
                yield f"media_context.{_CONTEXT_NAMES.get(name, name)}[{index}]"


def _is_given(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_unreachable(value: Any) -> bool:
    return _is_given(value) and not value.strip().lower().startswith(("http://", "https://"))


# Uploads


_ROLES: dict[MediaSlot, str] = {"image": "startingImage", "audio": "referenceAudio", "video": "referenceVideo"}
"""The role in which a file is uploaded, as if it belonged to a project."""


@frozen(kw_only=True)
class ReferenceUpload:
    """The upload of one file, under ids of its own."""

    kind: MediaSlot
    content_type: str
    job_id: str
    image_id: str

    def upload_call(self) -> HttpCall:
        """Return the request for the URL to upload to."""
        return self._call("uploadUrl")

    def download_call(self) -> HttpCall:
        """Return the request for the URL to download from."""
        return self._call("downloadUrl")

    def _call(self, direction: Literal["uploadUrl", "downloadUrl"]) -> HttpCall:
        role = _ROLES[self.kind]
        if self.kind == "image":
            ids = {"imageId": self.image_id, "jobId": self.job_id}
            return signed_url_call("image", direction, **ids, type=role, contentType=self.content_type)
        return signed_url_call("media", direction, jobId=self.job_id, type=role, contentType=self.content_type)


def reference_upload(name: str, head: bytes, job_id: str, image_id: str) -> ReferenceUpload:
    """Return the upload of a file that begins with `head`. Raises `ValidationError` for other kinds of files."""
    content_type = sniff(head, "image")
    kind = None if content_type is None else _kind(canonical(content_type))
    if content_type is None or kind is None:
        sentence = f"media must be an image, audio or video file, got {name} ({content_type or 'unknown type'})"
        raise invalid_value("media", name, tuple(sorted({it for kinds in ALLOWED.values() for it in kinds})), sentence)
    return ReferenceUpload(kind=kind, content_type=content_type, job_id=job_id, image_id=image_id)


def _kind(content_type: str) -> MediaSlot | None:
    slots: tuple[MediaSlot, ...] = ("image", "video", "audio")
    return next((slot for slot in slots if content_type in ALLOWED[slot]), None)
