"""Catalogue data: models, their options, and size presets."""

# projects-4.2 §6.3, §9, §17; projects-5x §3.2, §5

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen

from sogni.models.base import MediaKind, Model, wire

Asset = Literal["required", "optional", "forbidden"] | str


@frozen(kw_only=True)
class SupportedModel(Model):
    """A model that the network supports, whether or not a worker serves it now.

    Attributes:
        id: ID of the model.
        name: Name for display.
        sid: Numeric ID.
        tier: Tier, which determines the options.
        media: Type of media that the model creates.
    """

    id: str
    name: str = ""
    sid: int | None = field(default=None, metadata=wire("SID"))
    tier: str = ""
    media: MediaKind = "image"


@frozen(kw_only=True)
class AvailableModel(Model):
    """A model that workers serve now.

    Attributes:
        id: ID of the model.
        name: Name for display.
        worker_count: Number of workers that serve the model.
        media: Type of media that the model creates.
    """

    id: str
    name: str
    worker_count: int
    media: MediaKind = "image"


@frozen(kw_only=True)
class SizePreset(Model):
    """A named image size.

    Attributes:
        id: ID of the preset, for `size_preset`.
        label: Name for display.
        width: Width in pixels.
        height: Height in pixels.
        ratio: Ratio of width to height, as sent by the service.
        aspect: Aspect ratio, as sent by the service.
    """

    id: str
    label: str = ""
    width: int
    height: int
    ratio: str = ""
    aspect: str = ""


@frozen(kw_only=True)
class NumberRange(Model):
    """A range of allowed numbers.

    Attributes:
        min: Smallest allowed value.
        max: Largest allowed value.
        step: Distance between allowed values.
        default: Value the service uses if the parameter is omitted.
    """

    min: float | None = None
    max: float | None = None
    step: float = 1
    default: float | None = None


@frozen(kw_only=True)
class Choice(Model):
    """A list of allowed values.

    Attributes:
        allowed: The allowed values.
        default: Value the service uses if the parameter is omitted.
    """

    allowed: list[Any] = field(factory=list)
    default: Any = None


@frozen(kw_only=True)
class ModelOptions(Model):
    """The parameters that a model accepts, with their ranges; a parameter the model does not have is None.

    Attributes:
        type: Type of media that the model creates.
        steps: Number of inference steps.
        guidance: Guidance scale.
        sampler: Samplers.
        scheduler: Schedulers.
        vae: VAEs.
        fps: Frames per second, in wire form.
        width: Width in pixels.
        height: Height in pixels.
        frames: Number of frames of a video.
        max_pixels: Maximum number of pixels of a frame.
        task: Task of the model.
        output_resolutions: Resolutions of the result, in wire form.
        preserves_source_timing: Whether the result has the timing of the reference video.
        requires_reference_video: Whether a reference video is required.
        duration: Duration in seconds.
        bpm: Beats per minute.
        timesignature: Time signatures.
        language: Languages.
        keyscale: Keys and scales.
        composer_mode: Composer modes.
        prompt_strength: Influence of the prompt.
        creativity: Creativity.
        shift: Sampling shift.
        speaker: Voices.
        instruct: Limits of the instruction for the voice, in wire form.
        reference_text: Limits of the transcript of the reference audio, in wire form.
        accepts_reference_audio: Whether reference audio is accepted.
        requires_reference_audio: Whether reference audio is required.
    """

    type: MediaKind
    steps: NumberRange | None = None
    guidance: NumberRange | None = None
    sampler: Choice | None = None
    scheduler: Choice | None = None
    vae: Choice | None = None
    fps: Any = None
    width: NumberRange | None = None
    height: NumberRange | None = None
    frames: NumberRange | None = None
    max_pixels: int | None = None
    task: str | None = None
    output_resolutions: Any = None
    preserves_source_timing: bool | None = None
    requires_reference_video: bool | None = None
    duration: NumberRange | None = None
    bpm: NumberRange | None = None
    timesignature: Choice | None = None
    language: Choice | None = None
    keyscale: Choice | None = None
    composer_mode: Choice | None = None
    prompt_strength: NumberRange | None = None
    creativity: NumberRange | None = None
    shift: NumberRange | None = None
    speaker: Choice | None = None
    instruct: Any = None
    reference_text: Any = None
    accepts_reference_audio: bool | None = None
    requires_reference_audio: bool | None = None


@frozen(kw_only=True)
class VideoAssets(Model):
    """Which media a video workflow accepts: each is ``"required"``, ``"optional"`` or ``"forbidden"``.

    Attributes:
        reference_image: First frame.
        reference_image_end: Last frame.
        reference_audio: Audio.
        reference_audio_identity: Voice to imitate.
        reference_video: Reference video.
        reference_mask: Mask.
    """

    reference_image: Asset = "forbidden"
    reference_image_end: Asset = "forbidden"
    reference_audio: Asset = "forbidden"
    reference_audio_identity: Asset = "forbidden"
    reference_video: Asset = "forbidden"
    reference_mask: Asset = "forbidden"


@frozen(kw_only=True)
class VideoAssetConfig(Model):
    """The workflow of a video model and the media it accepts.

    Attributes:
        workflow_type: Name of the workflow; None if the model ID does not name one.
        assets: The media; None if the workflow is unknown.
    """

    workflow_type: str | None = None
    assets: VideoAssets | None = None
