"""Orders: the contents of checked project requests, with their price and render time.

The estimate routes and the services that charge projects use the same function, so an estimate is always what is
charged. How long the work takes here is decided by the clock.
"""
# Protocol notes: projects-4.2 §16.5, projects-5x §16.

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, Literal

from attrs import field, frozen

from sogni.emulator.account.accounts import Token, decimal_text
from sogni.emulator.catalogue.models import Catalogue, Media, Model, family_of
from sogni.emulator.clock import Pace
from sogni.emulator.projects.storage import Producer

EXTERNAL_STAGES = 4
USD_PER_RENDER_SECOND = Decimal("0.0005")
USD_PER_TOKEN: dict[Token, Decimal] = {"spark": Decimal("0.005"), "sogni": Decimal("0.01")}
NETWORK_FACTOR = {"fast": Decimal(1), "relaxed": Decimal("0.5")}
QUALITY_FACTOR = {"low": "0.3", "medium": "1", "standard": "1", "high": "3", "hd": "3", "xhigh": "5", "max": "8"}
_CONTEXT_FACTOR = Decimal("0.35")
_INTERPOLATION_FACTOR = Decimal("1.1")
_VIDEO_INPUT_FACTOR = Decimal("1.5")
_PREVIEW_SECONDS = Decimal("0.2")
_VENDOR_SECONDS = Decimal(30)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.000001"), ROUND_HALF_UP)


def performed_steps(steps: int, denoise: float) -> int:
    """Return how many of the steps are computed with a starting image; ``denoise`` 0 means that there is none."""
    return steps if not 0 < denoise < 1 else max(1, math.ceil(steps * denoise - 1e-9))


def stages_of(model: Model, steps: int) -> int:
    """Return the number of progress frames of a result. External providers report fractions instead of steps."""
    return EXTERNAL_STAGES if model.external else steps


@frozen
class Quote:
    """The price of a project and its render time in seconds; ``steps`` is what one result actually computes."""

    seconds: Decimal
    usd: Decimal
    steps: int

    def in_token(self, token: Token) -> Decimal:
        return cents(self.usd / USD_PER_TOKEN[token])

    def times(self, count: int) -> Quote:
        """Return the price of several results."""
        return Quote(self.seconds * count, self.usd * count, self.steps)

    def wire(self, token: Token) -> dict[str, object]:
        return {
            "costInRenderSec": decimal_text(self.seconds),
            "costInUSD": decimal_text(self.usd),
            "costInToken": decimal_text(self.in_token(token)),
            "costInSpark": decimal_text(self.in_token("spark")),
            "costInSogni": decimal_text(self.in_token("sogni")),
            "calculatedStepCount": self.steps,
        }


@frozen(kw_only=True)
class Work:
    """The part of a request that determines its price.

    Attributes:
        denoise: Below 1, it saves steps (image to image).
        frames: Generated frames of a video, before interpolation.
        duration: Length of music in seconds.
    """

    model: Model
    steps: int
    count: int = 1
    network: str = "fast"
    width: int = 0
    height: int = 0
    previews: int = 0
    control_net: bool = False
    denoise: float = 0.0
    context_images: int = 0
    quality: str | None = None
    frames: int = 0
    fps: float = 0.0
    has_video_input: bool = False
    duration: float = 0.0

    def quote(self, catalogue: Catalogue) -> Quote:
        """Return the price of one result."""
        if self.model.media == "video":
            return self._video_quote(catalogue)
        step = Decimal(str(self.model.step_seconds))
        if self.model.media == "audio":
            share = Decimal(str(self.duration)) / Decimal(str(catalogue.default(self.model, "duration")))
            return self._rendered(step * self.steps * share, self.steps)
        size = (self.width or self.model.default_size) * (self.height or self.model.default_size)
        area = Decimal(size) / Decimal(self.model.default_size**2)
        steps = performed_steps(self.steps, self.denoise)
        seconds = step * area * steps * (1 + _CONTEXT_FACTOR * self.context_images)
        seconds += _PREVIEW_SECONDS * self.previews + (step * area if self.control_net else 0)
        quality = Decimal(QUALITY_FACTOR.get(self.quality or "medium", "1"))
        return self._rendered(seconds, steps, Decimal(self.model.fee_usd) * quality * max(area, Decimal(1)))

    def _video_quote(self, catalogue: Catalogue) -> Quote:
        model, family = self.model, family_of(self.model.id)
        usual = [Decimal(str(catalogue.default(model, key))) for key in ("width", "height")]
        # Delivered videos have even sides.
        share = Decimal((self.width // 2 * 2) * (self.height // 2 * 2)) / (usual[0] * usual[1])
        share *= Decimal(self.frames) / Decimal(family.default_frames)
        if model.external:
            price = Decimal(model.fee_usd) * share * (_VIDEO_INPUT_FACTOR if self.has_video_input else 1)
            return Quote(cents(_VENDOR_SECONDS * share), cents(price), self.steps)
        seconds = Decimal(str(model.step_seconds)) * self.steps * share
        if family.native_rate is not None and self.fps > family.native_rate:
            seconds *= _INTERPOLATION_FACTOR
        return self._rendered(seconds, self.steps)

    def _rendered(self, seconds: Decimal, steps: int, fee: Decimal = Decimal(0)) -> Quote:
        usd = seconds * USD_PER_RENDER_SECOND * NETWORK_FACTOR.get(self.network, Decimal(1)) + fee
        return Quote(cents(seconds), cents(usd), steps)

    def _request(self) -> dict[str, object]:
        request: dict[str, object] = {
            "model": self.model.id,
            "name": self.model.name,
            "imageCount": self.count,
            "stepCount": self.steps,
            "previewCount": self.previews,
            "cnEnabled": self.control_net,
            "denoiseStrength": self.denoise,
        }
        if self.model.media == "video":
            request |= {"width": self.width, "height": self.height, "frames": self.frames, "fps": self.fps}
        return request | ({"duration": self.duration} if self.model.media == "audio" else {})

    def estimate(self, catalogue: Catalogue, token: Token, pace: Pace, waiting: float) -> dict[str, object]:
        """Return the response of an estimate; ``waiting`` are the seconds until a worker is free."""
        one, per_token = self.quote(catalogue), USD_PER_RENDER_SECOND / USD_PER_TOKEN[token]
        # If work takes no time, the figures are those of the service.
        rendering = pace.job_seconds(float(one.seconds), stages_of(self.model, one.steps)) or float(one.seconds)
        step = decimal_text(Decimal(str(self.model.step_seconds)))
        return {
            "request": {**self._request(), "time": round(pace() * 1000)},
            "rate": {
                "costPerBaseHQRenderInUSD": decimal_text(USD_PER_RENDER_SECOND * 10),
                "tokenMarkePriceUSD": decimal_text(USD_PER_TOKEN[token]),
                "costPerRenderSecUSD": decimal_text(USD_PER_RENDER_SECOND),
                "costPerRenderSecToken": decimal_text(cents(per_token)),
                "network": self.network,
                "networkCostMultiplier": decimal_text(NETWORK_FACTOR.get(self.network, Decimal(1))),
            },
            "quote": {
                "model": {"weight": "1", "secPerStep": step, "secPerPreview": "0.2", "secForCN": step},
                "job": one.wire(token),
                "project": one.times(self.count).wire(token),
            },
            "benchmark": {
                "estimatedRenderTimeSec": round(rendering, 3),
                "estimatedTotalTimeSec": round(rendering + waiting, 3),
                "medianRenderTimeSec": round(rendering, 3),
                "estimatedWaitTimeSec": round(waiting, 3),
                "sampleCount": 100,
                "confidence": "high",
            },
        }


Network = Literal["fast", "relaxed"]
CONTENT_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "glb": "model/gltf-binary",
}


@frozen(kw_only=True)
class Order:
    """The contents of a project request.

    Attributes:
        work: What determines the price of one result.
        uploads: The roles of the files that must have been uploaded.
        request: The payload of the frame as received.
        denoise: Share of a starting image that is replaced; None without one.
        frames: Frames of a delivered video, at ``fps``.
        duration: Length in seconds of music or speech.
        sound: Whether a video has sound.
        options: Values that only the kind of media uses.
    """

    project_id: str
    model: Model
    count: int
    previews: int
    token: Token
    network: Network
    output_format: str
    disable_safety: bool
    app_source: str | None
    steps: int
    seed: int | None
    request: Mapping[str, Any]
    work: Work
    uploads: Sequence[str] = ()
    size_preset: str | None = None
    width: int | None = None
    height: int | None = None
    denoise: float | None = None
    frames: int | None = None
    fps: Fraction = Fraction(1)
    duration: float | None = None
    sound: bool = False
    options: Mapping[str, Any] = field(factory=dict)

    @property
    def media(self) -> Media:
        return self.model.media

    @property
    def key_frame(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.request["keyFrames"][0]
        return found

    @property
    def prompts(self) -> str:
        """The positive prompts."""
        return f"{self.key_frame.get('positivePrompt')} {self.key_frame.get('stylePrompt')}"

    @property
    def performed_steps(self) -> int:
        return performed_steps(self.steps, self.denoise or 0.0)

    @property
    def stages(self) -> int:
        return stages_of(self.model, self.performed_steps)

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.output_format]


@frozen
class Control:
    """The ControlNet of an image or a video: its name, and whether an image was uploaded for it."""

    name: str
    has_image: bool


@frozen
class Product:
    """A file to be made: the function that writes it, and its content type. ``last_frame`` writes the last image of a
    video, which some providers deliver as well.
    """

    produce: Producer
    content_type: str
    last_frame: Producer | None = None
