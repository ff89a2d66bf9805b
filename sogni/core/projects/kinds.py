"""What each type of project is checked, sent, uploaded and estimated with: decides which functions those are.

Called by the flows of creation and estimates, which so need to know no type. A new type is a new row.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, cast

from attrs import frozen

from sogni.core.http import HttpCall
from sogni.core.projects.audio_requests import audio_request, check_audio_params
from sogni.core.projects.estimates import estimate_for as estimate_for_image
from sogni.core.projects.estimates import estimate_for_audio, estimate_for_video
from sogni.core.projects.image_requests import check_image_params, image_request
from sogni.core.projects.job_requests import annotate
from sogni.core.projects.uploads import UploadItem, audio_uploads, image_uploads, video_uploads
from sogni.core.projects.video_requests import check_video_params, video_request
from sogni.models.catalogue import ModelOptions, SizePreset
from sogni.models.params import AudioProjectParams, ImageProjectParams, ProjectParams, VideoProjectParams

P = TypeVar("P", bound=ProjectParams)
Given = TypeVar("Given", bound=ProjectParams, contravariant=True)
Kept = TypeVar("Kept", bound=ProjectParams)


class Check(Protocol[Kept]):
    """Return the params with plain values; ValidationError otherwise."""

    def __call__(self, params: Kept, /) -> Kept: ...


class Request(Protocol[Given]):
    """Return the payload of `jobRequest`; ValidationError before anything is sent."""

    def __call__(
        self, params: Given, /, *, project_id: str, options: ModelOptions, app_source: str | None
    ) -> dict[str, Any]: ...


class Uploads(Protocol[Given]):
    """Return what is uploaded: groups in order, the items of a group in any order."""

    def __call__(self, params: Given, /) -> list[list[UploadItem]]: ...


class Estimate(Protocol[Given]):
    """Return the call that asks what the project costs."""

    def __call__(
        self,
        params: Given,
        /,
        *,
        options: ModelOptions | None = None,
        preset: SizePreset | None = None,
        network: str | None = None,
        token_type: str | None = None,
    ) -> HttpCall: ...


@frozen(kw_only=True)
class ProjectKind(Generic[P]):
    """The functions of one type of project."""

    check: Check[P]
    request: Request[P]
    uploads: Uploads[P]
    estimate: Estimate[P]

    def annotate(self, payload: dict[str, Any], item: UploadItem, content_type: str | None) -> None:
        """Note in a payload what an uploaded file is; called in the order of the uploads."""
        annotate(payload, item, content_type)


def _estimate_video(params: VideoProjectParams, /, *, preset: SizePreset | None = None, **known: Any) -> HttpCall:
    """Videos have no named sizes (projects-4.2 §3.3)."""
    return estimate_for_video(params, **known)


def _estimate_audio(params: AudioProjectParams, /, *, preset: SizePreset | None = None, **known: Any) -> HttpCall:
    return estimate_for_audio(params, **known)


IMAGE = ProjectKind[ImageProjectParams](
    check=check_image_params, request=image_request, uploads=image_uploads, estimate=estimate_for_image
)
VIDEO = ProjectKind[VideoProjectParams](
    check=check_video_params, request=video_request, uploads=video_uploads, estimate=_estimate_video
)
AUDIO = ProjectKind[AudioProjectParams](
    check=check_audio_params, request=audio_request, uploads=audio_uploads, estimate=_estimate_audio
)

_KINDS: dict[str, ProjectKind[Any]] = {"image": IMAGE, "video": VIDEO, "audio": AUDIO}


def kind_of(params: P) -> ProjectKind[P]:
    """Return the functions for params of any type."""
    return cast("ProjectKind[P]", _KINDS[params.type])


def wanted_size(params: ProjectParams) -> str | None:
    """Return the size preset of params; None for those of types that have none."""
    return params.size_preset if isinstance(params, ImageProjectParams) else None
