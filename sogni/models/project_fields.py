# Generated from sogni/models/params.py by tools/parameters.py. Do not edit.
"""The parameters of projects as keyword arguments of `projects.create` and `projects.estimate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from sogni.models.base import BillingMode
from sogni.models.params import (
    AudioFormat,
    ControlNetParams,
    DetailPreference,
    ExtendOutput,
    ImageFormat,
    MediaInput,
    OutpaintPosition,
    ProcessingSpeed,
    Sam3Prompt,
    SeedanceTaskType,
    TemplateVariant,
    VideoCompression,
    VideoControlNetParams,
    VideoFormat,
    VideoKeyframe,
    VideoRatio,
    WorldGenerationReceipt,
)
from sogni.settings import Attribution, Network, TokenType


class ImageProjectFields(TypedDict, total=False):
    """The fields of `ImageProjectParams` as keyword arguments."""

    type: Required[Literal["image"]]
    model_id: Required[str]
    """ID of the model to use, for example "krea2_turbo_fp8_scaled"; see `projects.wait_for_models`."""
    positive_prompt: str
    """Description of the result."""
    negative_prompt: str | None
    """What the result should not contain. Rejected by models that do not support it."""
    style_prompt: str | None
    """Description of the style."""
    number_of_media: int
    """Number of results. 1 or more."""
    steps: int | None
    """Number of inference steps. Within the options of the model. Default: the model's default."""
    guidance: float | None
    """How closely the prompt is followed. Within the options of the model. Default: the model's default."""
    seed: int | None
    """Seed of one of the results; the others get different seeds. From 0 to 4294967295; from -1 for FlashVSR, up to
    2147483647 for Wan 3. Default: random."""
    network: Network | None
    """Network whose workers render: "fast", or "relaxed" (cheaper, images only). Default: the client's network."""
    disable_nsfw_filter: bool
    """Deliver results that the content filter would withhold."""
    token_type: TokenType | None
    """Token that pays. Models of external providers can only be paid for in Spark. Default: that of the client,
    else Spark for those models and Sogni for others."""
    billing_mode: BillingMode | None
    """Whether a subscription pays: "subscription" (or fail), "tokens" (never), "auto" (if it covers the job).
    Default: "auto"."""
    app_source: str | None
    """Name of the application, for statistics. Default: the client's `app_source`."""
    loras: Sequence[str] | None
    """IDs of up to 8 LoRAs (`projects.available_loras`), in the order in which they are applied."""
    lora_strengths: Sequence[float] | None
    """Strengths of the LoRAs, in the same order. From -100 to 100. Needs `loras`. Default: 1.0 each."""
    sampler: str | None
    """Sampler, for example "euler". Within the options of the model. Default: the model's default."""
    scheduler: str | None
    """Scheduler, for example "simple". Within the options of the model. Default: the model's default."""
    prompt_expanded: bool | None
    """Tells the service that the prompt has been expanded already."""
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None
    """Role of the project in the generation of a world."""
    attribution: Attribution | Mapping[str, Any] | None
    """Origin of this project, for statistics. Default: the client's `attribution`."""
    number_of_previews: int | None
    """Number of previews of each image while it is rendered. 0 or more. Default: 0."""
    vae: str | None
    """Image decoder (VAE). Within the options of the model. Default: the model's default."""
    size_preset: str | None
    """ID of a named size (`projects.get_size_presets`), or "custom" with `width` and `height`. Default: a square in
    a size that suits the model."""
    width: int | None
    """Width of the image. In pixels; 256 to 2048 for most. Needs `height`."""
    height: int | None
    """Height of the image. In pixels; 256 to 2048 for most. Needs `width`."""
    output_format: ImageFormat | None
    """File format. Default: "png"."""
    starting_image: MediaInput | None
    """Image to start from."""
    starting_image_strength: float | None
    """How much of the starting image is kept. From 0 to 1. Needs `starting_image`. Default: 0.5."""
    context_images: Sequence[MediaInput] | None
    """Reference images, in order; False keeps a position empty. Up to 3 for most, 16 for GPT Image."""
    control_net: ControlNetParams | Mapping[str, Any] | None
    """Control image that steers the composition."""
    gpt_image_quality: str | None
    """Quality. "low", "medium", "high", "standard" or "hd"; GPT Image 2.5 also "xhigh" and "max". Only for gpt-
    image. Default: "medium"."""
    gpt_image_background: str | None
    """Background. "opaque" or "auto"; GPT Image 2.5 also "transparent". Only for gpt-image."""
    gpt_image_output_compression: int | None
    """Compression of a "jpg" or "webp" file. In percent, from 0 to 100. Only for gpt-image."""
    gpt_image_mask: MediaInput | None
    """Mask for the first context image. Needs `context_images`. Only for gpt-image."""
    gpt_image_mask_url: str | None
    """URL of the mask; a `data:` URL of a PNG file is uploaded. Needs `context_images`. Only for gpt-image."""
    apply_mask: bool | None
    """Deliver the cut-out instead of the mask. Only for birefnet-background-removal. Default: False."""
    left_view_image: MediaInput | None
    """View of the object's own left side. Only for pixal3d_multiview_int8_i23d."""
    back_view_image: MediaInput | None
    """View of the object's back. Only for pixal3d_multiview_int8_i23d."""
    right_view_image: MediaInput | None
    """View of the object's own right side. Only for pixal3d_multiview_int8_i23d."""
    texture_size: int | None
    """Side of the textures. In pixels, from 1024 to 4096. Only for pixal3d. Default: 4096."""
    mesh_target_faces: int | None
    """Number of faces of the mesh. From 5000 to 700000. Only for pixal3d. Default: 700000."""
    normal_map_size: int | None
    """Side of the normal map. In pixels, from 512 to 2048. Only for pixal3d. Default: 2048."""
    ambient_occlusion_size: int | None
    """Side of the ambient occlusion map. In pixels, from 256 to 1024. Only for pixal3d. Default: 1024."""
    shape_resolution: int | None
    """Resolution of the shape; 1536 costs more. From 1024 to 1536. Only for pixal3d. Default: 1024."""
    template_variant: TemplateVariant | None
    """Variant of the workflow. Only for pixal3d_int8_i23d."""
    moss_rope_scale_x: float | None
    """Horizontal scale of the position encoding. From 0 to 100. Only for moss-image. Default: 1."""
    moss_rope_scale_y: float | None
    """Vertical scale of the position encoding. From 0 to 100. Only for moss-image. Default: 1."""
    sam3_prompt: Sam3Prompt | Mapping[str, Any] | None
    """What to segment; required. Only for sam3-segmentation."""
    embed_prompt_metadata: bool | None
    """Whether the file contains prompt and settings. Default: True."""


class VideoProjectFields(TypedDict, total=False):
    """The fields of `VideoProjectParams` as keyword arguments."""

    type: Required[Literal["video"]]
    model_id: Required[str]
    """ID of the model to use, for example "krea2_turbo_fp8_scaled"; see `projects.wait_for_models`."""
    positive_prompt: str
    """Description of the result."""
    negative_prompt: str | None
    """What the result should not contain. Rejected by models that do not support it."""
    style_prompt: str | None
    """Description of the style."""
    number_of_media: int
    """Number of results. 1 or more."""
    steps: int | None
    """Number of inference steps. Within the options of the model. Default: the model's default."""
    guidance: float | None
    """How closely the prompt is followed. Within the options of the model. Default: the model's default."""
    seed: int | None
    """Seed of one of the results; the others get different seeds. From 0 to 4294967295; from -1 for FlashVSR, up to
    2147483647 for Wan 3. Default: random."""
    network: Network | None
    """Network whose workers render: "fast", or "relaxed" (cheaper, images only). Default: the client's network."""
    disable_nsfw_filter: bool
    """Deliver results that the content filter would withhold."""
    token_type: TokenType | None
    """Token that pays. Models of external providers can only be paid for in Spark. Default: that of the client,
    else Spark for those models and Sogni for others."""
    billing_mode: BillingMode | None
    """Whether a subscription pays: "subscription" (or fail), "tokens" (never), "auto" (if it covers the job).
    Default: "auto"."""
    app_source: str | None
    """Name of the application, for statistics. Default: the client's `app_source`."""
    loras: Sequence[str] | None
    """IDs of up to 8 LoRAs (`projects.available_loras`), in the order in which they are applied."""
    lora_strengths: Sequence[float] | None
    """Strengths of the LoRAs, in the same order. From -100 to 100. Needs `loras`. Default: 1.0 each."""
    sampler: str | None
    """Sampler, for example "euler". Within the options of the model. Default: the model's default."""
    scheduler: str | None
    """Scheduler, for example "simple". Within the options of the model. Default: the model's default."""
    prompt_expanded: bool | None
    """Tells the service that the prompt has been expanded already."""
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None
    """Role of the project in the generation of a world."""
    attribution: Attribution | Mapping[str, Any] | None
    """Origin of this project, for statistics. Default: the client's `attribution`."""
    output_format: VideoFormat | None
    """File format. "mov" for Seedance 2.5 only. Default: "mp4"."""
    duration: float | None
    """Length of the video, from which the number of frames follows. In seconds; 1 to 10 for WAN (20 to animate);
    snapped to 4 to 20 for LTX (from 2 for LTX 2.5); 4 to 15 for Seedance (30 for 2.5); 3 to 15 for HappyHorse; 2 to
    30 for Wan 3; 5.17 to 15.08 for MiniMax H3."""
    frames: int | None
    """Number of frames; `duration` takes precedence. Within the options of the model."""
    fps: float | None
    """Frames per second. WAN renders 16 and interpolates for 32. In frames per second, within the options of the
    model. Default: the model's default."""
    width: int | None
    """Width of the video. In pixels, within the options of the model. Needs `height`. Default: the model's
    default."""
    height: int | None
    """Height of the video. In pixels, within the options of the model. Needs `width`. Default: the model's
    default."""
    shift: float | None
    """Shift of the noise schedule. Within the options of the model. Only for wan2.2. Default: the model's
    default."""
    teacache_threshold: float | None
    """Threshold above which steps are cached; 0 turns caching off. From 0 to 1. Only for wan2.2, ltx. Default:
    0."""
    reference_image: MediaInput | None
    """First frame, character or subject."""
    reference_image_end: MediaInput | None
    """Last frame."""
    reference_audio: MediaInput | None
    """Speech, music or other sound of the video."""
    reference_audio_identity: MediaInput | None
    """Recording of about 5 seconds of the voice to imitate."""
    audio_identity_strength: float | None
    """How closely the voice is imitated. From 0 to 10. Needs `reference_audio_identity`. Default: 3."""
    reference_video: MediaInput | None
    """Video to animate, edit, continue or upscale."""
    reference_mask: MediaInput | None
    """Mask whose white part is rendered again, for `control_net` "inpaint"."""
    reference_image_urls: Sequence[str] | None
    """Public https URLs of images. Only for seedance, happyhorse-1.1, wan3."""
    reference_video_urls: Sequence[str] | None
    """Public https URLs of videos. Only for seedance, wan3."""
    reference_audio_urls: Sequence[str] | None
    """Public https URLs of audio files. Only for seedance, wan3."""
    reference_file_url: str | None
    """Public https URL of a document. Only for wan3.0-video."""
    reference_link_url: str | None
    """Public https URL of a web page. Only for wan3.0-video."""
    context_images: Sequence[MediaInput] | None
    """Further reference images. Only for minimax-h3 r2v."""
    reference_videos: Sequence[MediaInput] | None
    """Further reference videos. Only for minimax-h3 r2v."""
    reference_audios: Sequence[MediaInput] | None
    """Further reference recordings. Only for minimax-h3 r2v."""
    reference_video_durations: Sequence[float] | None
    """Length of each reference video: 2 to 15, and at most 15 in total. In seconds. Only for minimax-h3 r2v."""
    keyframes: Sequence[VideoKeyframe | Mapping[str, Any]] | None
    """Up to 8 images that appear at given frames. Only for minimax-h3 i2v, minimax-h3 flf2v, minimax-h3 r2v,
    minimax-h3 ia2v, minimax-h3 flfa2v, minimax-h3 a2v."""
    generate_audio: bool | None
    """Whether the video has sound. Default: the model's default."""
    audio_start: float | None
    """Where the reference audio starts. In seconds, 0 or more. Needs `reference_audio`. Default: 0."""
    audio_duration: float | None
    """How much of the reference audio is used. In seconds, from 1 to 30. Needs `reference_audio`. Default: 30."""
    video_start: float | None
    """Where the reference video starts. In seconds, 0 or more. Needs `reference_video`. Default: 0."""
    control_net: VideoControlNetParams | Mapping[str, Any] | None
    """Which aspects of the reference video are kept. Only for ltx v2v."""
    detailer_strength: float | None
    """Strength of the detailer. From 0 to 1. Only for ltx v2v. Default: 0.6."""
    outpaint_position: OutpaintPosition | None
    """Position of the original, for `control_net` "outpaint". Only for ltx v2v. Default: "center"."""
    trim_end_frame: bool | None
    """Drop the last frame. Default: False."""
    first_frame_strength: float | None
    """How closely the first frame follows `reference_image`; 0 to use the last frame only. From 0 to 1. Needs
    `reference_image` or `reference_image_end`. Only for ltx i2v, ltx ia2v, ltx v2v. Default: 0.6."""
    last_frame_strength: float | None
    """How closely the last frame follows `reference_image_end`. From 0 to 1. Needs `reference_image_end`. Only for
    ltx i2v. Default: 0.6."""
    sam2_coordinates: Sequence[Mapping[str, float]] | None
    """Points `{"x": …, "y": …}` on the object to replace. Only for wan2.2 animate-replace. Default: the center of
    the frame."""
    seedance_task_type: SeedanceTaskType | None
    """Purpose of the references; required with any. Only for seedance-2-5, seedance-2-5-uncensored."""
    return_last_frame: bool | None
    """Also deliver the last frame as an image. Only for seedance-2-5, seedance-2-5-uncensored. Default: False."""
    ratio: VideoRatio | None
    """Aspect ratio. Only for wan3."""
    prompt_extend: bool | None
    """Whether the provider rewrites the prompt. Only for wan3. Default: True."""
    watermark: bool | None
    """Add a watermark. Only for wan3.0-video."""
    extend_output: ExtendOutput | None
    """Whether the result contains the continued video. Only for minimax-h3 extend. Default: "extended"."""
    reference_video_compression: VideoCompression | None
    """Compression of the reference videos; "vpack" needs one. Only for minimax-h3 r2v one-stage. Default:
    "none"."""
    upscale_resolution: int | None
    """Height of the upscaled video: 1080 or 1440. In pixels. Only for flashvsr."""
    detail_preference: DetailPreference | None
    """Detail of the upscaled video. Only for flashvsr. Default: "stable"."""
    processing_speed: ProcessingSpeed | None
    """Upscaling speed. Only for flashvsr. Default: "stable"."""


class AudioProjectFields(TypedDict, total=False):
    """The fields of `AudioProjectParams` as keyword arguments."""

    type: Required[Literal["audio"]]
    model_id: Required[str]
    """ID of the model to use, for example "krea2_turbo_fp8_scaled"; see `projects.wait_for_models`."""
    positive_prompt: str
    """Description of the result."""
    negative_prompt: str | None
    """What the result should not contain. Rejected by models that do not support it."""
    style_prompt: str | None
    """Description of the style."""
    number_of_media: int
    """Number of results. 1 or more."""
    steps: int | None
    """Number of inference steps. Within the options of the model. Default: the model's default."""
    guidance: float | None
    """How closely the prompt is followed. Within the options of the model. Default: the model's default."""
    seed: int | None
    """Seed of one of the results; the others get different seeds. From 0 to 4294967295; from -1 for FlashVSR, up to
    2147483647 for Wan 3. Default: random."""
    network: Network | None
    """Network whose workers render: "fast", or "relaxed" (cheaper, images only). Default: the client's network."""
    disable_nsfw_filter: bool
    """Deliver results that the content filter would withhold."""
    token_type: TokenType | None
    """Token that pays. Models of external providers can only be paid for in Spark. Default: that of the client,
    else Spark for those models and Sogni for others."""
    billing_mode: BillingMode | None
    """Whether a subscription pays: "subscription" (or fail), "tokens" (never), "auto" (if it covers the job).
    Default: "auto"."""
    app_source: str | None
    """Name of the application, for statistics. Default: the client's `app_source`."""
    loras: Sequence[str] | None
    """IDs of up to 8 LoRAs (`projects.available_loras`), in the order in which they are applied."""
    lora_strengths: Sequence[float] | None
    """Strengths of the LoRAs, in the same order. From -100 to 100. Needs `loras`. Default: 1.0 each."""
    sampler: str | None
    """Sampler, for example "euler". Within the options of the model. Default: the model's default."""
    scheduler: str | None
    """Scheduler, for example "simple". Within the options of the model. Default: the model's default."""
    prompt_expanded: bool | None
    """Tells the service that the prompt has been expanded already."""
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None
    """Role of the project in the generation of a world."""
    attribution: Attribution | Mapping[str, Any] | None
    """Origin of this project, for statistics. Default: the client's `attribution`."""
    output_format: AudioFormat | None
    """File format. Default: "mp3"."""
    duration: float | None
    """Length of the music. In seconds, within the options of the model. Default: the model's default."""
    bpm: float | None
    """Tempo. In beats per minute, within the options of the model. Default: the model's default."""
    timesignature: str | None
    """Time signature: "4" is 4/4, "6" is 6/8. Within the options of the model. Default: the model's default."""
    language: str | None
    """Language code; "unknown" detects the language. Within the options of the model. Default: the model's
    default."""
    lyrics: str | None
    """Lyrics; music without them is instrumental."""
    keyscale: str | None
    """Key, for example "A minor". Within the options of the model. Default: the model's default."""
    composer_mode: bool | None
    """Whether the model plans the piece first. Default: True."""
    prompt_strength: float | None
    """How closely the prompt is followed. Within the options of the model. Default: the model's default."""
    creativity: float | None
    """How freely the model composes. Within the options of the model. Default: the model's default."""
    shift: float | None
    """Shift of the noise schedule. Within the options of the model. Default: the model's default."""
    speaker: str | None
    """Voice. Within the options of the model. Only for qwen3-tts."""
    instruct: str | None
    """How to speak, or the voice to design. Only for qwen3-tts."""
    reference_text: str | None
    """Transcript of the reference recording. Only for qwen3-tts."""
    reference_audio: MediaInput | None
    """Recording of 3 to 30 seconds of the voice to clone. Only for qwen3-tts."""
