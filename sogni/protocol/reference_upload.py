"""A file for durable work: decides where it goes up and at which address it is read (projects-4.2 §10.1).

Called by `workflows.upload`. It is uploaded in the role that takes its kind, under ids of its own. It moves no byte.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from .field_checks import refusal
from .http import HttpCall
from .media_types import ALLOWED, MediaSlot, canonical, sniff
from .upload_plan import signed_url_call

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
        raise refusal("media", name, tuple(sorted({it for kinds in ALLOWED.values() for it in kinds})), sentence)
    return ReferenceUpload(kind=kind, content_type=content_type, job_id=job_id, image_id=image_id)


def _kind(content_type: str) -> MediaSlot | None:
    slots: tuple[MediaSlot, ...] = ("image", "video", "audio")
    return next((slot for slot in slots if content_type in ALLOWED[slot]), None)
