"""What video and music cost and how long they take, from steps, size and length.

Called by the estimate routes and by the kinds that charge a project: an estimate is always what is paid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import frozen

from .accounts import Token
from .catalogue import Catalogue, Model
from .estimates import USD_PER_RENDER_SECOND, Quote, cents, quote_record
from .video_families import family_of

_INTERPOLATION_FACTOR = Decimal("1.1")
_VIDEO_INPUT_FACTOR = Decimal("1.5")
_VENDOR_SECONDS = Decimal(30)


@frozen(kw_only=True)
class VideoWork:
    """The part of a video request that decides its cost. ``frames`` are the generated ones, before any
    interpolation."""

    model: Model
    count: int
    steps: int
    width: int
    height: int
    frames: int
    fps: float
    has_video_input: bool = False


@frozen(kw_only=True)
class AudioWork:
    """The part of a music request that decides its cost; ``duration`` is in seconds."""

    model: Model
    count: int
    steps: int
    duration: float


def video_quote(work: VideoWork, catalogue: Catalogue) -> Quote:
    """Return the price of one result."""
    family = family_of(work.model.id)
    usual = [Decimal(str(catalogue.default(work.model, key))) for key in ("width", "height")]
    # What is delivered has even sides (video_check).
    share = Decimal((work.width // 2 * 2) * (work.height // 2 * 2)) / (usual[0] * usual[1])
    share *= Decimal(work.frames) / Decimal(family.default_frames)
    if work.model.external:
        price = Decimal(work.model.fee_usd) * share * (_VIDEO_INPUT_FACTOR if work.has_video_input else 1)
        return Quote(cents(_VENDOR_SECONDS * share), cents(price), work.steps)
    seconds = Decimal(str(work.model.step_seconds)) * work.steps * share
    if family.native_rate is not None and work.fps > family.native_rate:
        seconds *= _INTERPOLATION_FACTOR
    return Quote(cents(seconds), cents(seconds * USD_PER_RENDER_SECOND), work.steps)


def audio_quote(work: AudioWork, catalogue: Catalogue) -> Quote:
    """Return the price of one version."""
    share = Decimal(str(work.duration)) / Decimal(str(catalogue.default(work.model, "duration")))
    seconds = Decimal(str(work.model.step_seconds)) * work.steps * share
    return Quote(cents(seconds), cents(seconds * USD_PER_RENDER_SECOND), work.steps)


def video_record(work: VideoWork, catalogue: Catalogue, token: Token, *, now: int) -> dict[str, Any]:
    """Return the answer of a video estimate."""
    asked = {
        **_asked(work, now),
        "width": work.width,
        "height": work.height,
        "frames": work.frames,
        "fps": work.fps,
    }
    return quote_record(asked, work.model, video_quote(work, catalogue), work.count, token, "fast", 0)


def audio_record(work: AudioWork, catalogue: Catalogue, token: Token, *, now: int) -> dict[str, Any]:
    """Return the answer of a music estimate."""
    asked = {**_asked(work, now), "duration": work.duration}
    return quote_record(asked, work.model, audio_quote(work, catalogue), work.count, token, "fast", 0)


def _asked(work: VideoWork | AudioWork, now: int) -> dict[str, Any]:
    return {
        "model": work.model.id,
        "name": work.model.name,
        "imageCount": work.count,
        "stepCount": work.steps,
        "previewCount": 0,
        "cnEnabled": False,
        "denoiseStrength": 0,
        "time": now,
    }
