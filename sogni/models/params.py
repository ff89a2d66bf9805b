"""What may be given where a file is expected.

Named by the params of every project. Nothing here is opened or read; `sogni.core.media` recognizes what a file is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, BinaryIO, Literal, Protocol, Required, TypedDict

from attrs import field, frozen

from sogni.models.base import BillingMode, TokenType, wire
from sogni.settings import Attribution, Network


class PillowImage(Protocol):
    """An image of Pillow: anything that saves itself to a file object in a named format."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Write the image to `fp`."""


class FinishedJob(Protocol):
    """A finished `Job` of either package, used as an input: its result."""

    @property
    def result_url(self) -> str | None:
        """Where the result is."""


MediaInput = str | PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PillowImage | FinishedJob | bool
"""A path, bytes, a binary file object, a PIL image, a finished `Job`; `True`: already uploaded."""


# What SAM 3 is to find in an image (projects-5x §4.8).
#
# Plain data in the caller's words: nothing here checks or sends. `protocol.sam3_rules` does the checking.


Sam3Label = Literal["positive", "negative"]


@frozen(kw_only=True)
class Sam3Point:
    """A point that belongs to what is looked for, or (`negative`) does not; `x` and `y` from 0 to 1."""

    x: float
    y: float
    label: Sam3Label


@frozen(kw_only=True)
class Sam3Box:
    """A box around what is looked for, or (`negative`) around what is not; its sides from 0 to 1, `x0` < `x1`."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: Sam3Label = "positive"


@frozen(kw_only=True)
class Sam3Prompt:
    """What is looked for: `points`, `boxes` or a `text`, which does not go with points; at least one of them.

    - `points`: 32 at most. `boxes`: 16 at most; with points one, which is positive. `text`: 1 to 240 characters.
    - `threshold`: how sure a find must be, from 0 to 1; 0.5 when None.
    - `multimask`: whether several masks are considered, with points only; true when None.
    - `apply_mask`: the cut-out instead of the mask. `max_instances`: finds, from 1 to 16.
    """

    points: Sequence[Sam3Point | Mapping[str, Any]] = ()
    boxes: Sequence[Sam3Box | Mapping[str, Any]] = ()
    text: str | None = None
    threshold: float | None = None
    multimask: bool | None = None
    apply_mask: bool = False
    max_instances: int | None = None


# What any project is asked for, whatever it makes (projects-4.2 §3.1; projects-5x §2).
#
# The base of the params of each kind, and of the `TypedDict` that gives the same fields as keyword arguments.


@frozen(kw_only=True)
class WorldGenerationReceipt:
    """How a project belongs to the building of a world (projects-5x §2.2).

    Stage `target_still` needs `source_image_sha256` and `selection_hash`, `transition` needs `first_frame_sha256` and
    `last_frame_sha256`; each is 64 hexadecimal digits.
    """

    stage: Literal["target_still", "transition"]
    source_image_sha256: str | None = None
    selection_hash: str | None = None
    first_frame_sha256: str | None = None
    last_frame_sha256: str | None = None


@frozen(kw_only=True)
class CommonParams:
    """The fields of every project; only `model_id` is required.

    What is None is left to the service, whose defaults depend on the model (`projects.get_model_options`).

    - `number_of_media`: results to make, 1 or more.
    - `seed`: of one of the results, an unsigned 32-bit number; the others get seeds of their own.
    - `loras`, `lora_strengths`: ids and their strengths, in the same order; 1.0 when there is none.
    - `token_type`: the token that pays. `billing_mode`: whether a subscription may (projects-5x §2.1).
    - `attribution`: what asks for this project, field by field instead of what the client says (transport §14).
    - `prompt_expanded`: tells the service whether the prompt has been expanded already; expands nothing.
    """

    model_id: str
    positive_prompt: str = ""
    negative_prompt: str | None = None
    style_prompt: str | None = None
    number_of_media: int = 1
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    network: Network | None = None
    disable_nsfw_filter: bool = field(default=False, metadata=wire("disableNSFWFilter"))
    token_type: TokenType | None = None
    billing_mode: BillingMode | None = None
    app_source: str | None = None
    loras: Sequence[str] | None = None
    lora_strengths: Sequence[float] | None = None
    sampler: str | None = None
    scheduler: str | None = None
    prompt_expanded: bool | None = None
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None = None
    attribution: Attribution | Mapping[str, Any] | None = None


class CommonFields(TypedDict, total=False):
    """The fields of `CommonParams` as keyword arguments."""

    model_id: Required[str]
    positive_prompt: str
    negative_prompt: str | None
    style_prompt: str | None
    number_of_media: int
    steps: int | None
    guidance: float | None
    seed: int | None
    network: Network | None
    disable_nsfw_filter: bool
    token_type: TokenType | None
    billing_mode: BillingMode | None
    app_source: str | None
    loras: Sequence[str] | None
    lora_strengths: Sequence[float] | None
    sampler: str | None
    scheduler: str | None
    prompt_expanded: bool | None
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None
    attribution: Attribution | Mapping[str, Any] | None


# What a music or speech project is asked for (projects-4.2 §3.4; projects-5x §4.11).
#
# Plain data in the caller's words: nothing here checks or sends. `protocol.audio_rules` does the checking.
# The `TypedDict` has the same fields, so that keyword arguments are typed too.


AudioFormat = Literal["mp3", "flac", "wav"]


@frozen(kw_only=True)
class AudioProjectParams(CommonParams):
    """A music or speech project (projects-4.2 §3.1, §3.4; projects-5x §4.11).

    Beside the fields of every project (`CommonParams`):

    - `positive_prompt`: the style of the music, or the script of the speech.
    - `duration` in seconds. `bpm`, `timesignature` (`"4"` is 4/4), `keyscale` (`"A minor"`), `language`.
    - `lyrics`: without them the music is instrumental. `composer_mode`: whether the model plans the piece first.
    - `prompt_strength`, `creativity`, `shift`: how closely the prompt is followed, and how freely.
    - `speaker`, `instruct`, `reference_text`, `reference_audio` (a voice to imitate): speech models only.
    """

    type: Literal["audio"] = field(default="audio", init=False)
    output_format: AudioFormat | None = None
    duration: float | None = None
    bpm: float | None = None
    timesignature: str | None = None
    language: str | None = None
    lyrics: str | None = None
    keyscale: str | None = None
    composer_mode: bool | None = None
    prompt_strength: float | None = None
    creativity: float | None = None
    shift: float | None = None
    speaker: str | None = None
    instruct: str | None = None
    reference_text: str | None = None
    reference_audio: MediaInput | None = None


class AudioProjectFields(CommonFields, total=False):
    """The fields of `AudioProjectParams` as keyword arguments."""

    type: Required[Literal["audio"]]
    output_format: AudioFormat | None
    duration: float | None
    bpm: float | None
    timesignature: str | None
    language: str | None
    lyrics: str | None
    keyscale: str | None
    composer_mode: bool | None
    prompt_strength: float | None
    creativity: float | None
    shift: float | None
    speaker: str | None
    instruct: str | None
    reference_text: str | None
    reference_audio: MediaInput | None


# What a video project is asked for (projects-4.2 §3.3; projects-5x §2 to §4).
#
# Plain data in the caller's words: nothing here checks or sends. `protocol.video_rules` does the checking.
# Each class has a `TypedDict` of the same fields, so that keyword arguments are typed too.


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


# What an image project is asked for, and any project (projects-4.2 §3, §5; projects-5x §2, §4.10).
#
# Plain data in the caller's words: nothing here checks or sends. `protocol.image_rules` does the
# checking. Each class has a `TypedDict` of the same fields, so that keyword arguments are typed too.


ImageFormat = Literal["png", "jpg", "webp"]
TemplateVariant = Literal["i23d-birefnet"]
ControlNetMode = Literal["balanced", "prompt_priority", "cn_priority"]
ControlNetName = (
    Literal[
        "canny", "depth", "inpaint", "instrp2p", "lineart", "lineartanime", "mlsd", "normalbae", "openpose",
        "scribble", "segmentation", "shuffle", "softedge", "tile", "instantid",
    ]
    | str
)  # fmt: skip


@frozen(kw_only=True)
class ControlNetParams:
    """A control image that steers an image project (projects-4.2 §5.5).

    `strength`, `guidance_start` and `guidance_end` lie between 0 and 1; None leaves them to the service.
    `preprocess`: whether the service makes the control image (edges, poses) of `image` first (projects-5x §2.3).
    """

    name: ControlNetName
    image: MediaInput | None = None
    strength: float | None = None
    mode: ControlNetMode | None = None
    guidance_start: float | None = None
    guidance_end: float | None = None
    preprocess: bool | None = None


@frozen(kw_only=True)
class ImageProjectParams(CommonParams):
    """An image project (projects-4.2 §3.1, §3.2).

    Beside the fields of every project (`CommonParams`):

    - `number_of_previews`: previews on the way, per image.
    - `size_preset` (see `projects.get_size_presets`) or `width` and `height` in pixels.
    - `starting_image` with `starting_image_strength`, 0 to 1: how much of it is kept, 0.5 when None.
    - `context_images`: reference images of models that take them, in order; False keeps a position empty.
    - `embed_prompt_metadata`: whether the file holds prompt and settings, as it does when None (projects-5x §2.1).
    - `gpt_image_…`: for GPT Image models only (projects-5x §4.10).
    - `sam3_prompt`: what SAM 3 is to find; only there, and needed there (projects-5x §4.8).
    - `apply_mask`: BiRefNet; the cut-out instead of the mask. `left_view_image`, `back_view_image`,
      `right_view_image`: further views for multi-view Pixal3D, its left being the subject's own. `texture_size`,
      `mesh_target_faces`, `normal_map_size`, `ambient_occlusion_size`, `shape_resolution`, `template_variant`: Pixal3D.
      `moss_rope_scale_x`, `moss_rope_scale_y`, 0 to 100: MOSS-Image (projects-5x §4.8 to §4.10).
    """

    type: Literal["image"] = field(default="image", init=False)
    number_of_previews: int | None = None
    vae: str | None = None
    size_preset: str | None = None
    width: float | None = None
    height: float | None = None
    output_format: ImageFormat | None = None
    starting_image: MediaInput | None = None
    starting_image_strength: float | None = None
    context_images: Sequence[MediaInput] | None = None
    control_net: ControlNetParams | Mapping[str, Any] | None = None
    gpt_image_quality: str | None = None
    gpt_image_background: str | None = None
    gpt_image_output_compression: int | None = None
    gpt_image_mask: MediaInput | None = None
    gpt_image_mask_url: str | None = None
    apply_mask: bool | None = None
    left_view_image: MediaInput | None = None
    back_view_image: MediaInput | None = None
    right_view_image: MediaInput | None = None
    texture_size: int | None = None
    mesh_target_faces: int | None = None
    normal_map_size: int | None = None
    ambient_occlusion_size: int | None = None
    shape_resolution: int | None = None
    template_variant: TemplateVariant | None = None
    moss_rope_scale_x: float | None = None
    moss_rope_scale_y: float | None = None
    sam3_prompt: Sam3Prompt | Mapping[str, Any] | None = None
    embed_prompt_metadata: bool | None = None


class ImageProjectFields(CommonFields, total=False):
    """The fields of `ImageProjectParams` as keyword arguments."""

    type: Required[Literal["image"]]
    number_of_previews: int | None
    vae: str | None
    size_preset: str | None
    width: float | None
    height: float | None
    output_format: ImageFormat | None
    starting_image: MediaInput | None
    starting_image_strength: float | None
    context_images: Sequence[MediaInput] | None
    control_net: ControlNetParams | Mapping[str, Any] | None
    gpt_image_quality: str | None
    gpt_image_background: str | None
    gpt_image_output_compression: int | None
    gpt_image_mask: MediaInput | None
    gpt_image_mask_url: str | None
    apply_mask: bool | None
    left_view_image: MediaInput | None
    back_view_image: MediaInput | None
    right_view_image: MediaInput | None
    texture_size: int | None
    mesh_target_faces: int | None
    normal_map_size: int | None
    ambient_occlusion_size: int | None
    shape_resolution: int | None
    template_variant: TemplateVariant | None
    moss_rope_scale_x: float | None
    moss_rope_scale_y: float | None
    sam3_prompt: Sam3Prompt | Mapping[str, Any] | None
    embed_prompt_metadata: bool | None


ProjectParams = ImageProjectParams | VideoProjectParams | AudioProjectParams
"""Any project's params."""
