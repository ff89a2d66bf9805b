"""What a video project is asked for (projects-4.2 §3.3; projects-5x §2 to §4).

Plain data in the caller's words: nothing here checks or sends. `protocol.video_rules` does the checking.
Each class has a `TypedDict` of the same fields, so that keyword arguments are typed too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required

from attrs import field, frozen

from .common_params import CommonFields, CommonParams
from .media_inputs import MediaInput

VideoFormat = Literal["mp4", "mov"]
VideoControlNetName = Literal["canny", "pose", "depth", "detailer", "outpaint", "inpaint"] | str
SeedanceTaskType = Literal["reference", "edit", "extend"]
ExtendOutput = Literal["extended", "continuation"]
VideoCompression = Literal["none", "vpack"]
DetailPreference = Literal["stable", "sharper"]
ProcessingSpeed = Literal["stable", "faster"]


@frozen(kw_only=True)
class VideoControlNetParams:
    """What is kept of a reference video (projects-4.2 §3.3); `strength`, 0 to 1, is 0.85 when None."""

    name: VideoControlNetName
    strength: float | None = None


@frozen(kw_only=True)
class VideoKeyframe:
    """An image that a video shows at a frame between its first and its last (projects-5x §4.6)."""

    image: MediaInput
    frame_index: int


@frozen(kw_only=True)
class VideoProjectParams(CommonParams):
    """A video project (projects-4.2 §3.1, §3.3; projects-5x §3, §4).

    Beside the fields of every project (`CommonParams`), and with the media its workflow needs
    (`projects.get_video_asset_config`):

    - `duration` in seconds, from which the number of frames follows; `frames` says that number itself.
    - `fps`: WAN makes 16 frames per second and fills in between for 32; other families render what is asked.
    - `width` and `height` in pixels, both or none.
    - `reference_image`, `reference_image_end`: first and last frame, or the subject; `first_frame_strength`
      and `last_frame_strength`, 0 to 1, say how closely they are followed; `trim_end_frame` drops the last one.
    - `reference_audio`: what is spoken or heard, from `audio_start` for `audio_duration` seconds.
      `reference_audio_identity`: a voice to imitate, with `audio_identity_strength`.
    - `reference_video`: movement or material, from the second `video_start`; `control_net` says what is kept.
    - `reference_…_urls`: public addresses, for Seedance, HappyHorse and Wan 3. `context_images`,
      `reference_videos`, `reference_audios`, `keyframes`: further uploads, for MiniMax H3.
    - `sam2_coordinates`: points `{"x": …, "y": …}` of what is replaced, for animate-replace.
    - `seedance_task_type`, `return_last_frame`: Seedance 2.5. `ratio`, `prompt_extend`, `watermark`,
      `reference_file_url`, `reference_link_url`: Wan 3. `extend_output`, `reference_video_compression`,
      `reference_video_durations` (seconds): MiniMax H3. `upscale_resolution`, `detail_preference`,
      `processing_speed`: FlashVSR. `outpaint_position`, `reference_mask`: LTX.
    """

    type: Literal["video"] = field(default="video", init=False)
    output_format: VideoFormat | None = None
    duration: float | None = None
    frames: int | None = None
    fps: float | None = None
    width: float | None = None
    height: float | None = None
    shift: float | None = None
    teacache_threshold: float | None = None
    reference_image: MediaInput | None = None
    reference_image_end: MediaInput | None = None
    reference_audio: MediaInput | None = None
    reference_audio_identity: MediaInput | None = None
    audio_identity_strength: float | None = None
    reference_video: MediaInput | None = None
    reference_mask: MediaInput | None = None
    reference_image_urls: Sequence[str] | None = None
    reference_video_urls: Sequence[str] | None = None
    reference_audio_urls: Sequence[str] | None = None
    reference_file_url: str | None = None
    reference_link_url: str | None = None
    context_images: Sequence[MediaInput] | None = None
    reference_videos: Sequence[MediaInput] | None = None
    reference_audios: Sequence[MediaInput] | None = None
    reference_video_durations: Sequence[float] | None = None
    keyframes: Sequence[VideoKeyframe | Mapping[str, Any]] | None = None
    generate_audio: bool | None = None
    audio_start: float | None = None
    audio_duration: float | None = None
    video_start: float | None = None
    control_net: VideoControlNetParams | Mapping[str, Any] | None = None
    detailer_strength: float | None = None
    outpaint_position: str | None = None
    trim_end_frame: bool | None = None
    first_frame_strength: float | None = None
    last_frame_strength: float | None = None
    sam2_coordinates: Sequence[Mapping[str, float]] | None = None
    seedance_task_type: SeedanceTaskType | None = None
    return_last_frame: bool | None = None
    ratio: str | None = None
    prompt_extend: bool | None = None
    watermark: bool | None = None
    extend_output: ExtendOutput | None = None
    reference_video_compression: VideoCompression | None = None
    upscale_resolution: int | None = None
    detail_preference: DetailPreference | None = None
    processing_speed: ProcessingSpeed | None = None


class VideoProjectFields(CommonFields, total=False):
    """The fields of `VideoProjectParams` as keyword arguments."""

    type: Required[Literal["video"]]
    output_format: VideoFormat | None
    duration: float | None
    frames: int | None
    fps: float | None
    width: float | None
    height: float | None
    shift: float | None
    teacache_threshold: float | None
    reference_image: MediaInput | None
    reference_image_end: MediaInput | None
    reference_audio: MediaInput | None
    reference_audio_identity: MediaInput | None
    audio_identity_strength: float | None
    reference_video: MediaInput | None
    reference_mask: MediaInput | None
    reference_image_urls: Sequence[str] | None
    reference_video_urls: Sequence[str] | None
    reference_audio_urls: Sequence[str] | None
    reference_file_url: str | None
    reference_link_url: str | None
    context_images: Sequence[MediaInput] | None
    reference_videos: Sequence[MediaInput] | None
    reference_audios: Sequence[MediaInput] | None
    reference_video_durations: Sequence[float] | None
    keyframes: Sequence[VideoKeyframe | Mapping[str, Any]] | None
    generate_audio: bool | None
    audio_start: float | None
    audio_duration: float | None
    video_start: float | None
    control_net: VideoControlNetParams | Mapping[str, Any] | None
    detailer_strength: float | None
    outpaint_position: str | None
    trim_end_frame: bool | None
    first_frame_strength: float | None
    last_frame_strength: float | None
    sam2_coordinates: Sequence[Mapping[str, float]] | None
    seedance_task_type: SeedanceTaskType | None
    return_last_frame: bool | None
    ratio: str | None
    prompt_extend: bool | None
    watermark: bool | None
    extend_output: ExtendOutput | None
    reference_video_compression: VideoCompression | None
    upscale_resolution: int | None
    detail_preference: DetailPreference | None
    processing_speed: ProcessingSpeed | None
