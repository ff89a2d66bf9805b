"""The functions that check, send, upload and estimate each type of project. A new type is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar, cast

from attrs import frozen

from sogni.core.http import HttpCall
from sogni.core.projects.audio_requests import audio_request, check_audio_params
from sogni.core.projects.estimates import estimate_for as estimate_for_image
from sogni.core.projects.estimates import estimate_for_audio, estimate_for_video
from sogni.core.projects.image_requests import check_image_params, image_request
from sogni.core.projects.job_requests import annotate
from sogni.core.projects.parameters import check_options
from sogni.core.projects.params import project_params
from sogni.core.projects.uploads import UploadItem, audio_uploads, image_uploads, video_uploads
from sogni.core.projects.video_requests import check_video_options, check_video_params, video_request
from sogni.models.catalogue import ModelOptions, SizePreset
from sogni.models.params import AudioProjectParams, ImageProjectParams, ProjectParams, VideoProjectParams

P = TypeVar("P", bound=ProjectParams)
Given = TypeVar("Given", bound=ProjectParams, contravariant=True)
Kept = TypeVar("Kept", bound=ProjectParams)


class Check(Protocol[Kept]):
    """Return the params with plain values; ValidationError otherwise."""

    def __call__(self, params: Kept, /) -> Kept: ...


class CheckOptions(Protocol[Given]):
    """Raise ValidationError for values that the options of the model do not allow."""

    def __call__(self, params: Given, options: ModelOptions, /) -> None: ...


class Request(Protocol[Given]):
    """Return the payload of `jobRequest` for checked params."""

    def __call__(self, params: Given, /, *, project_id: str, app_source: str | None) -> dict[str, Any]: ...


class Uploads(Protocol[Given]):
    """Return what is uploaded: groups in order, the items of a group in any order."""

    def __call__(self, params: Given, /) -> list[list[UploadItem]]: ...


class Estimate(Protocol[Given]):
    """Return the request for a cost estimate of the project."""

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


@frozen
class Checked(Generic[P]):
    """Params that have been checked, with plain values; only `ProjectKind.check` makes them."""

    params: P


@frozen(kw_only=True)
class ProjectKind(Generic[P]):
    """The functions of one type of project."""

    _check: Check[P]
    _check_options: CheckOptions[P]
    _request: Request[P]
    uploads: Uploads[P]
    _estimate: Estimate[P]

    def check(self, params: P) -> Checked[P]:
        """Check params before anything is sent. ValidationError for invalid ones."""
        return Checked(self._check(params))

    def check_options(self, checked: Checked[P], options: ModelOptions) -> None:
        """Check params against the options of their model. Raises ValidationError."""
        self._check_options(checked.params, options)

    def request(self, checked: Checked[P], **known: Any) -> dict[str, Any]:
        """Return the payload of `jobRequest`; see `Request`."""
        return self._request(checked.params, **known)

    def estimate(self, checked: Checked[P], **known: Any) -> HttpCall:
        """Return the request for a cost estimate of the project; see `Estimate`."""
        return self._estimate(checked.params, **known)

    def annotate(self, payload: dict[str, Any], item: UploadItem, content_type: str | None) -> None:
        """Add the type of an uploaded file to a payload; called in the order of the uploads."""
        annotate(payload, item, content_type)


def _estimate_video(params: VideoProjectParams, /, *, preset: SizePreset | None = None, **known: Any) -> HttpCall:
    """Return the call for a video, which has no named size."""
    return estimate_for_video(params, **known)


def _estimate_audio(params: AudioProjectParams, /, *, preset: SizePreset | None = None, **known: Any) -> HttpCall:
    return estimate_for_audio(params, **known)


IMAGE = ProjectKind[ImageProjectParams](
    check=check_image_params,
    check_options=check_options,
    request=image_request,
    uploads=image_uploads,
    estimate=estimate_for_image,
)
VIDEO = ProjectKind[VideoProjectParams](
    check=check_video_params,
    check_options=check_video_options,
    request=video_request,
    uploads=video_uploads,
    estimate=_estimate_video,
)
AUDIO = ProjectKind[AudioProjectParams](
    check=check_audio_params,
    check_options=check_options,
    request=audio_request,
    uploads=audio_uploads,
    estimate=_estimate_audio,
)

_KINDS: dict[str, ProjectKind[Any]] = {"image": IMAGE, "video": VIDEO, "audio": AUDIO}


def checked_params(
    given: ProjectParams | Checked[Any] | None, fields: Mapping[str, Any], call: str = "create"
) -> Checked[Any]:
    """Parse and check params given as an object or keywords, unless that has been done."""
    if isinstance(given, Checked):
        return given
    params = project_params(given, fields, call)
    return kind_of(params).check(params)


def kind_of(params: P) -> ProjectKind[P]:
    """Return the functions for params of any type."""
    return cast("ProjectKind[P]", _KINDS[params.type])


def wanted_size(params: ProjectParams) -> str | None:
    """Return the size preset of params; None for those of types that have none."""
    return params.size_preset if isinstance(params, ImageProjectParams) else None
