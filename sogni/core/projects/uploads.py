"""The uploads of a project with their order and roles, and requests for the URLs of uploads and results.

No file is read or sent here: content types, sizes and ids are arguments.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from sogni.core.catalogue.image_models import ORBIT_VIEWS
from sogni.core.catalogue.video_models import video_row
from sogni.core.http import HttpCall, get
from sogni.core.media import MediaSlot, check_slot, content_type_of_format
from sogni.core.projects.params import control_net_params, video_keyframes
from sogni.errors import ProtocolError
from sogni.models.params import AudioProjectParams, ImageProjectParams, VideoProjectParams
from sogni.redaction import SecretUrl

Endpoint = Literal["image", "media"]
Direction = Literal["uploadUrl", "downloadUrl"]

MASK_TYPE = "image/png"
"""The only content type of a GPT Image mask."""  # projects-5x §4.10


@attrs.frozen(kw_only=True)
class UploadItem:
    """One file to upload: its role on the wire, the field it was given in, and the allowed content types.

    `id` distinguishes several files of the same role. In the job request, the key `flag` announces the file, and
    `content_type_keys` contain its type.
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
        """Return the content type if the role allows it. Raises `ValidationError` otherwise."""
        return check_slot(self.field, name, content_type, self.slot, self.allowed)


def is_supplied(media: Any) -> bool:
    """Whether a media input was given; an empty one was, and is rejected when it is read."""
    return media is not None and media is not False


def image_uploads(params: ImageProjectParams) -> list[list[UploadItem]]:
    """Return the uploads of an image project: groups in order, the items of a group in any order.

    `True` (already uploaded) needs no upload; context images keep their position.
    """
    # projects-4.2 §10.2, projects-5x §6
    control_net = control_net_params(params.control_net)
    groups = [
        _items("referenceMask", "gpt_image_mask", params.gpt_image_mask, allowed=(MASK_TYPE,)),
        _items("startingImage", "starting_image", params.starting_image),
        _items("cnImage", "control_net.image", control_net.image if control_net else None),
        [
            item
            for index, media in enumerate(params.context_images or ())
            for item in _items(f"contextImage{index + 1}", f"context_images[{index}]", media)
        ],
        [
            item
            for name, place in ORBIT_VIEWS.items()
            if (media := getattr(params, name)) is not None
            for item in _items(f"contextImage{place}", name, media)
        ],
    ]
    return [group for group in groups if group]


def _items(role: str, field: str, media: Any, allowed: tuple[str, ...] | None = None) -> list[UploadItem]:
    """Return the upload of a media input, if it needs one."""
    if not is_supplied(media) or media is True:
        return []
    return [UploadItem(role=role, field=field, media=media, allowed=allowed)]


def _needs_upload(item: UploadItem) -> bool:
    return is_supplied(item.media) and item.media is not True


def video_uploads(params: VideoProjectParams) -> list[list[UploadItem]]:
    """Return the uploads of a video project: groups in order, the items of a group in any order.

    Raises `ValidationError` for a model that makes no video.
    """
    # projects-4.2 §10.2, projects-5x §6
    groups = ([item for item in group if _needs_upload(item)] for group in video_media(params))
    return [group for group in groups if group]


def audio_uploads(params: AudioProjectParams) -> list[list[UploadItem]]:
    """Return the uploads of an audio project: the voice to imitate."""
    # projects-5x §4.11
    item = audio_media(params)
    return [[item]] if _needs_upload(item) else []


def video_media(params: VideoProjectParams) -> list[list[UploadItem]]:
    """Return all media inputs of a video project, including those already uploaded, in the order of the uploads.

    The voice clip has the same role as the audio: a model takes one or the other, or else only the clip counts.
    """
    # projects-4.2 §10.2
    numbered = video_row(params.model_id).numbered
    groups = [
        [_image("referenceImage", "reference_image", params.reference_image)],
        _context_images(params),
        _keyframe_images(params),
        [_image("referenceImageEnd", "reference_image_end", params.reference_image_end)],
    ]
    if numbered:
        groups.append(_numbered(params))
    else:
        clip = _audio("reference_audio_identity", params.reference_audio_identity, "hasReferenceAudioIdentity")
        keys = ("referenceAudioIdentityContentType", "referenceAudioContentType")
        groups += [
            [_audio("reference_audio", params.reference_audio)],
            [attrs.evolve(clip, content_type_keys=keys)],
            [_video("reference_video", params.reference_video)],
        ]
    groups.append([_image("referenceMask", "reference_mask", params.reference_mask)])
    supplied = ([item for item in group if is_supplied(item.media)] for group in groups)
    return [group for group in supplied if group]


def audio_media(params: AudioProjectParams) -> UploadItem:
    """Return the only media input of an audio project, given or not."""
    return _audio("reference_audio", params.reference_audio)


def _image(role: str, name: str, media: Any) -> UploadItem:
    key = role[0].upper() + role[1:]
    return UploadItem(role=role, field=name, media=media, flag=f"has{key}", content_type_keys=(f"{role}ContentType",))


def _audio(name: str, media: Any, flag: str = "hasReferenceAudio") -> UploadItem:
    return UploadItem(
        role="referenceAudio",
        field=name,
        media=media,
        slot="audio",
        endpoint="media",
        flag=flag,
        content_type_keys=("referenceAudioContentType",),
    )


def _video(name: str, media: Any) -> UploadItem:
    return UploadItem(
        role="referenceVideo",
        field=name,
        media=media,
        slot="video",
        endpoint="media",
        flag="hasReferenceVideo",
        content_type_keys=("referenceVideoContentType",),
    )


def _context_images(params: VideoProjectParams) -> list[UploadItem]:
    """Return the context images, numbered from 2 if there is a reference image, which counts as the first."""
    # projects-5x §4.6
    first = 2 if is_supplied(params.reference_image) else 1
    return [
        attrs.evolve(_image(f"contextImage{first + index}", f"context_images[{index}]", media), content_type_keys=())
        for index, media in enumerate(params.context_images or ())
    ]


def _keyframe_images(params: VideoProjectParams) -> list[UploadItem]:
    return [
        attrs.evolve(
            _image(f"keyframeImage{index + 1}", f"keyframes[{index}].image", frame.image), content_type_keys=()
        )
        for index, frame in enumerate(video_keyframes(params.keyframes))
    ]


def _numbered(params: VideoProjectParams) -> list[UploadItem]:
    """Return the numbered audio files, then the videos; the single one of each kind comes first."""
    # projects-5x §4.6
    audios = [_audio("reference_audio", params.reference_audio)]
    audios += [_audio(f"reference_audios[{index}]", it) for index, it in enumerate(params.reference_audios or ())]
    videos = [_video("reference_video", params.reference_video)]
    videos += [_video(f"reference_videos[{index}]", it) for index, it in enumerate(params.reference_videos or ())]
    return [
        attrs.evolve(
            item,
            id=f"{item.role}{place}",
            flag=f"{item.flag}{place}",
            content_type_keys=(f"{item.role}{place}ContentType",),
        )
        for kind in (audios, videos)
        for place, item in enumerate((it for it in kind if is_supplied(it.media)), 1)
    ]


def signed_url_call(endpoint: Endpoint, direction: Direction, **fields: Any) -> HttpCall:
    """Return the request for a signed URL; `fields` are its query, by wire name."""
    # projects-4.2 §10.1
    return get(f"/v1/{endpoint}/{direction}", **fields)


def read_signed_url(data: Any, direction: Direction) -> str:
    """Return the URL in the `data` of a response. Raises `ProtocolError` if there is none."""
    url = data.get(direction) if isinstance(data, dict) else None
    if not isinstance(url, str) or not url:
        raise ProtocolError(f"the response has no {direction}")
    return SecretUrl(url)


def upload_url_call(item: UploadItem, *, project_id: str, image_id: str, content_type: str | None) -> HttpCall:
    """Return the request for the URL to upload an item to; `image_id` is a new id, used for images only."""
    own = {"imageId": image_id} if item.endpoint == "image" else {"id": item.id}
    return signed_url_call(
        item.endpoint, "uploadUrl", **own, jobId=project_id, type=item.role, contentType=content_type
    )


def put_call(url: str, content_type: str | None, size: int | None) -> HttpCall:
    """Return the upload request, without credentials; the front end supplies the body."""
    # projects-4.2 §10.2
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
    """Return the request for the URL of a result, or of its preview.

    `kind` is the media kind of the model (`image`, `video`, `audio`, `model`). Without `output_format` the service
    assumes PNG for images.
    """
    # projects-4.2 §10.4, projects-5x §8
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


def last_frame_call(project_id: str, job_id: str) -> HttpCall:
    """Return the request for the URL of a video's last frame."""
    # projects-5x §8
    return signed_url_call("media", "downloadUrl", jobId=project_id, id=job_id, type="complete", artifact="lastFrame")


def _media_type(kind: str, output_format: str | None) -> str | None:
    if kind == "video":
        return None
    if kind == "model":
        return "model/gltf-binary"
    content_type = content_type_of_format(output_format)
    return content_type if content_type in ("audio/flac", "audio/wav") else "audio/mpeg"
