"""Catalogue data: models, their options, sizes (projects-4.2 §9, §17)."""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen

from sogni.models.base import MediaKind, Model, wire

Asset = Literal["required", "optional", "forbidden"] | str


@frozen(kw_only=True)
class SupportedModel(Model):
    """A model the network knows, whether or not a worker serves it now."""

    id: str
    name: str = ""
    sid: int | None = field(default=None, metadata=wire("SID"))
    tier: str = ""
    media: MediaKind = "image"


@frozen(kw_only=True)
class AvailableModel(Model):
    """A model and the number of workers that serve it now."""

    id: str
    name: str
    worker_count: int
    media: MediaKind = "image"


@frozen(kw_only=True)
class SizePreset(Model):
    """A named size in pixels; `ratio` and `aspect` are texts as sent."""

    id: str
    label: str = ""
    width: int
    height: int
    ratio: str = ""
    aspect: str = ""


@frozen(kw_only=True)
class NumberRange(Model):
    """A range of allowed numbers; `step` is the distance between two of them."""

    min: float | None = None
    max: float | None = None
    step: float = 1
    default: float | None = None


@frozen(kw_only=True)
class Choice(Model):
    """Allowed values and the one taken when none is given."""

    allowed: list[Any] = field(factory=list)
    default: Any = None


@frozen(kw_only=True)
class ModelOptions(Model):
    """What a model accepts; what it has no say in is None.

    `type` is `image`, `video` or `audio`. Which fields exist depends on the tier (projects-4.2 §9.1,
    projects-5x §5).
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
    """Which media a video workflow takes (projects-4.2 §6.3, projects-5x §3.2)."""

    reference_image: Asset = "forbidden"
    reference_image_end: Asset = "forbidden"
    reference_audio: Asset = "forbidden"
    reference_audio_identity: Asset = "forbidden"
    reference_video: Asset = "forbidden"
    reference_mask: Asset = "forbidden"


@frozen(kw_only=True)
class VideoAssetConfig(Model):
    """The workflow a video model runs and the media it takes; both None when the id names none."""

    workflow_type: str | None = None
    assets: VideoAssets | None = None
