"""What goes up before a request and where results come from: decides order, roles and addresses.

Called by the upload and result flows (projects-4.2 §10, projects-5x §6). It reads no file and moves no byte:
content types, sizes and ids are arguments.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from ..errors import ProtocolError
from ..models.params import ImageProjectParams
from .http import HttpCall, get
from .media_types import MediaSlot, check_slot, content_type_of_format
from .project_params import control_net_params

Endpoint = Literal["image", "media"]
Direction = Literal["uploadUrl", "downloadUrl"]

MASK_TYPE = "image/png"
"""The only type of a GPT Image mask (projects-5x §4.10)."""


@attrs.frozen(kw_only=True)
class UploadItem:
    """One file to upload: its role on the wire, the field it was given in, what it must be.

    `id` tells the places of a role apart that has several. `flag` is the key of the key frame that says the
    file is there, `content_type_keys` are those that say what it is.
    """

    role: str
    field: str
    media: Any = attrs.field(repr=False)
    slot: MediaSlot = "image"
    endpoint: Endpoint = "image"
    allowed: tuple[str, ...] | None = None
    id: str | None = None
    flag: str | None = None
    content_type_keys: tuple[str, ...] = ()

    def check(self, name: str, content_type: str | None) -> str:
        """Return the content type if this role takes it; ValidationError otherwise."""
        return check_slot(self.field, name, content_type, self.slot, self.allowed)


def is_supplied(media: Any) -> bool:
    """Whether a media input was given at all; an empty one was, and is refused when it is read."""
    return media is not None and media is not False


def image_uploads(params: ImageProjectParams) -> list[list[UploadItem]]:
    """Return what an image project uploads: groups in order, the items of a group in any order.

    `True` (already uploaded) needs none; context images keep their position (projects-4.2 §10.2,
    projects-5x §6).
    """
    control_net = control_net_params(params.control_net)
    singles = (
        UploadItem(role="referenceMask", field="gpt_image_mask", media=params.gpt_image_mask, allowed=(MASK_TYPE,)),
        UploadItem(role="startingImage", field="starting_image", media=params.starting_image),
        UploadItem(role="cnImage", field="control_net.image", media=control_net.image if control_net else None),
    )
    contexts = [
        UploadItem(role=f"contextImage{index + 1}", field=f"context_images[{index}]", media=media)
        for index, media in enumerate(params.context_images or ())
    ]
    groups = [[item for item in group if _needs_upload(item)] for group in ([it] for it in singles)]
    groups.append([item for item in contexts if _needs_upload(item)])
    return [group for group in groups if group]


def _needs_upload(item: UploadItem) -> bool:
    return is_supplied(item.media) and item.media is not True


def signed_url_call(endpoint: Endpoint, direction: Direction, **fields: Any) -> HttpCall:
    """The call for a signed address; `fields` are the wire names of its query (projects-4.2 §10.1)."""
    return get(f"/v1/{endpoint}/{direction}", **fields)


def read_signed_url(data: Any, direction: Direction) -> str:
    """Return the address in the `data` of an answer; ProtocolError when there is none."""
    url = data.get(direction) if isinstance(data, dict) else None
    if not isinstance(url, str) or not url:
        raise ProtocolError(f"the answer has no {direction}")
    return url


def upload_url_call(item: UploadItem, *, project_id: str, image_id: str, content_type: str | None) -> HttpCall:
    """The call for the address to upload an item to; `image_id` is a fresh id, for images only."""
    own = {"imageId": image_id} if item.endpoint == "image" else {"id": item.id}
    return signed_url_call(
        item.endpoint, "uploadUrl", **own, jobId=project_id, type=item.role, contentType=content_type
    )


def put_call(url: str, content_type: str | None, size: int | None) -> HttpCall:
    """The upload itself: the bytes are the sender's matter, no credentials go along (projects-4.2 §10.2)."""
    headers = {"Content-Type": content_type, "Content-Length": None if size is None else str(size)}
    return HttpCall(
        method="PUT",
        path=url,
        host="storage",
        headers={name: value for name, value in headers.items() if value is not None},
        repeatable=True,
    )


def download_url_call(
    kind: str, *, project_id: str, job_id: str, output_format: str | None = None, preview: bool = False
) -> HttpCall:
    """The call for the address of a result, or of its preview (projects-4.2 §10.4, projects-5x §8).

    `kind` is what the model makes (`image`, `video`, `audio`, `model`), `output_format` that of the caller's
    params: without one the service takes images to be PNG.
    """
    if preview:
        return signed_url_call("image", "downloadUrl", jobId=project_id, imageId=job_id, type="preview")
    if kind in ("video", "audio", "model"):
        return signed_url_call(
            "media",
            "downloadUrl",
            jobId=project_id,
            id=job_id,
            type="complete",
            contentType=_media_type(kind, output_format),
        )
    content_type = content_type_of_format(output_format)
    return signed_url_call(
        "image",
        "downloadUrl",
        jobId=project_id,
        imageId=job_id,
        type="complete",
        contentType=content_type if content_type and content_type.startswith("image/") else None,
    )


def _media_type(kind: str, output_format: str | None) -> str | None:
    if kind == "video":
        return None
    if kind == "model":
        return "model/gltf-binary"
    content_type = content_type_of_format(output_format)
    return content_type if content_type in ("audio/flac", "audio/wav") else "audio/mpeg"
