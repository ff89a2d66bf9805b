"""Media of durable work: decides that it is given by addresses the service can reach (chat §12.1, workflows §4).

Called by the calls of runs and workflows, which must find everything wrong at once. It opens no address.
"""

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


# A file for durable work: decides where it goes up and at which address it is read (projects-4.2 §10.1).
#
# Called by `workflows.upload`. It is uploaded in the role that takes its kind, under ids of its own. It moves no
# byte.


_ROLES: dict[MediaSlot, str] = {"image": "startingImage", "audio": "referenceAudio", "video": "referenceVideo"}


@frozen(kw_only=True)
class ReferenceUpload:
    """One file on its way."""

    kind: MediaSlot
    content_type: str
    job_id: str
    image_id: str

    def upload_call(self) -> HttpCall:
        """The call for the address to put it to."""
        return self._call("uploadUrl")

    def download_call(self) -> HttpCall:
        """The call for the address to read it from."""
        return self._call("downloadUrl")

    def _call(self, direction: Literal["uploadUrl", "downloadUrl"]) -> HttpCall:
        role = _ROLES[self.kind]
        if self.kind == "image":
            ids = {"imageId": self.image_id, "jobId": self.job_id}
            return signed_url_call("image", direction, **ids, type=role, contentType=self.content_type)
        return signed_url_call("media", direction, jobId=self.job_id, type=role, contentType=self.content_type)


def reference_upload(name: str, head: bytes, job_id: str, image_id: str) -> ReferenceUpload:
    """The upload of a file that begins with `head`. ValidationError for what is no image, audio or video."""
    content_type = sniff(head, "image")
    kind = None if content_type is None else _kind(canonical(content_type))
    if content_type is None or kind is None:
        sentence = f"media: {name} is {content_type or 'none of the files known here'}; no image, audio or video"
        raise invalid_value("media", name, tuple(sorted({it for kinds in ALLOWED.values() for it in kinds})), sentence)
    return ReferenceUpload(kind=kind, content_type=content_type, job_id=job_id, image_id=image_id)


def _kind(content_type: str) -> MediaSlot | None:
    slots: tuple[MediaSlot, ...] = ("image", "video", "audio")
    return next((slot for slot in slots if content_type in ALLOWED[slot]), None)
