"""Media of a tool run: the library that numbers refer to, artifacts, errors; models, sizes and lengths of renders.

Results are numbered from 0 per kind, uploads from -1 downwards.
"""
# Protocol notes: tools §2.1.

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from attrs import define, field, frozen

from sogni.core.tools.requests import resolve_model
from sogni.emulator.catalogue.models import SEEDANCE, Catalogue, Model
from sogni.emulator.fields import present
from sogni.emulator.projects.storage import Key


class ToolError(Exception):
    """A tool that cannot do what was requested. ``code`` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def wire(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message}


class UserNeededError(Exception):
    """A tool that waits for the user. ``reason`` is one of the ``waitingReason`` values."""

    # Protocol notes: workflows §3.

    def __init__(self, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.details: dict[str, Any] = dict(details or {})


Kind = Literal["image", "video", "audio", "model"]
KINDS: tuple[Kind, ...] = ("image", "video", "audio")
"""The kinds that a tool can take; 3D models are results only."""


@frozen(kw_only=True)
class Media:
    """One file: its storage key and properties. ``duration`` is in seconds; ``sound`` if a video has sound."""

    id: str = ""
    kind: Kind
    key: Key = field(factory=partial(Key, "", "", ""))
    mime: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    sound: bool = False
    seed: int | None = None

    def wire(self, url: str) -> dict[str, object]:
        """Return the artifact in the form of records and results."""
        # Protocol notes: workflows §3.
        facts = {
            "width": self.width,
            "height": self.height,
            "duration": None if self.duration is None else round(self.duration, 3),
            "seed": self.seed,
        }
        always = {"id": self.id, "url": url, "type": self.kind, "mediaType": self.kind, "mimeType": self.mime}
        return {**always, **present(facts)}


@define(eq=False)
class MediaLibrary:
    """The media of one run. ``near`` is what the next tool most likely refers to, such as results of the steps it
    depends on.
    """

    results: list[Media] = field(factory=list)
    uploads: list[Media] = field(factory=list)
    near: list[Media] = field(factory=list)
    bound: dict[str, Media] = field(factory=dict)
    """Media of arguments whose number alone would be ambiguous: those that count uploads from 0."""

    def of(self, kind: Kind) -> list[Media]:
        return [media for media in self.results if media.kind == kind]

    def uploaded(self, kind: Kind) -> list[Media]:
        return [media for media in self.uploads if media.kind == kind]

    def add(self, media: Sequence[Media]) -> dict[str, object]:
        """Add the results of a tool and return how later calls refer to them: the numbers of those of the first one's
        kind.
        """
        # Protocol notes: tools §6.
        self.results.extend(media)
        if not media:
            return {}
        indices = [self.index(item) for item in media if item.kind == media[0].kind]
        found: dict[str, Any] = {"startIndex": indices[0], "indices": indices}
        videos = [self.index(item) for item in media if item.kind == "video"]
        return {**found, "videoStartIndex": videos[0]} if videos else found

    def index(self, media: Media) -> int:
        """Return the number of a result or upload."""
        if media in self.uploads:
            return -1 - self.uploaded(media.kind).index(media)
        return self.of(media.kind).index(media)

    def pick(self, kind: Kind, index: int) -> Media:
        """Return the medium with a number."""
        found = self.of(kind) if index >= 0 else self.uploaded(kind)
        position = index if index >= 0 else -1 - index
        if position < len(found):
            return found[position]
        what = "result" if index >= 0 else "upload"
        raise ToolError("MEDIA_NOT_FOUND", f"There is no {kind} {what} number {index}; there are {len(found)}")

    def newest(self, kind: Kind) -> Media | None:
        """Return the default medium: one that is near, else the newest result, else the first upload."""
        for found in ([m for m in self.near if m.kind == kind], self.of(kind)):
            if found:
                return found[-1]
        uploads = self.uploaded(kind)
        return uploads[0] if uploads else None


@frozen
class Artifacts:
    """The outcome of a tool.

    Attributes:
        results: Media for the user; they get numbers.
        parts: The clips of a composed video.
        facts: Findings as JSON.
    """

    results: Sequence[Media] = ()
    parts: Sequence[Media] = ()
    facts: Mapping[str, Any] = field(factory=dict)


# Models, sizes and lengths (tools §2.1, §5.2). A selector that names no served model is not an error: the default of
# the tool is used.


IMAGE_DEFAULT = "krea2_turbo_fp8_scaled"
EDIT_DEFAULT = "qwen_image_edit_2511_fp8_lightning"
MUSIC_DEFAULT = "ace_step_1.5_xl_turbo"
_LTX, _WAN = "ltx25-22b-int8_{}_distilled", "wan_v2.2-14b-fp8_{}_lightx2v"
_VIDEO_MODELS = {
    "seedance2-5": "seedance-2-5",
    "seedance2-mini": "seedance-2-0-mini",
    "seedance2-fast": "seedance-2-0-mini",
    "seedance2": "seedance-2-0",
    "ltx23": "ltx23-22b-fp8_{}_distilled",
    "wan": _WAN,
}
"""The model for a workflow, by the beginning of a selector."""
_TOOL_FAMILIES = ("wan_", "ltx", "seedance")
"""The families whose requests the video tools make."""


def image_model(catalogue: Catalogue, selector: str | None, *, edit: bool = False) -> Model:
    """Return the model of an image tool; ``edit`` requires one that accepts reference images."""
    requested = resolve_model("edit_image" if edit else "generate_image", selector)
    model = catalogue.models.get(requested or "")
    if model is None or model.media != "image" or model.needs_starting_image:
        return catalogue.models[EDIT_DEFAULT if edit else IMAGE_DEFAULT]
    return model


def music_model(catalogue: Catalogue, selector: str | None) -> Model:
    # The tool sends the settings of ACE-Step.
    usable = selector in catalogue.models and str(selector).startswith("ace_step")
    return catalogue.models[selector if usable and selector else MUSIC_DEFAULT]


def video_model(catalogue: Catalogue, selector: str | None, workflow: str) -> Model:
    """Return the model for a workflow: t2v, i2v, v2v, a2v, ia2v, s2v, animate-move or animate-replace."""
    name = re.sub(r"[\s_]+", "-", (selector or "").strip().lower())
    exact = [selector] if selector and selector.startswith(_TOOL_FAMILIES) and f"_{workflow}" in selector else []
    chosen = [template for prefix, template in _VIDEO_MODELS.items() if name.startswith(prefix)][:1]
    candidates = [*exact, *(template.format(workflow) for template in (*chosen, _LTX, _WAN))]
    return next(catalogue.models[name] for name in candidates if name in catalogue.models)


_IMAGE_GRID = 16
_SMALLEST_SOURCE = 480
_LARGEST_RATIO = 8


@frozen
class Size:
    """A size in pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, media: Media | None) -> Size | None:
        """Return the size of an image or a video, if known."""
        return cls(media.width, media.height) if media and media.width and media.height else None

    @classmethod
    def shaped(cls, ratio: float, area: float) -> Size:
        return cls(round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio)))

    @property
    def ratio(self) -> float:
        return self.width / self.height

    def scaled(self, factor: float) -> Size:
        return Size(round(self.width * factor), round(self.height * factor))

    def within(self, low: int, high: int, grid: int) -> Size:
        """Return the size scaled into the bounds, keeping its shape if possible, on a grid."""
        factor = min(max(1.0, low / min(self.width, self.height)), high / max(self.width, self.height))
        top = low + (high - low) // grid * grid
        width, height = (
            min(top, max(low, low + round((side * factor - low) / grid) * grid)) for side in (self.width, self.height)
        )
        return Size(width, height)


def parse_size(aspect_ratio: str | None, width: float | None, height: float | None) -> Size | float | None:
    """Return exact pixels, a ratio, or None if the shape of the source is to be kept."""
    if width and height:
        return Size(round(width), round(height))
    if not aspect_ratio or aspect_ratio == "adaptive":
        return None
    pixels = re.fullmatch(r"\s*(\d{2,5})\s*[xX×]\s*(\d{2,5})\s*", aspect_ratio)
    if pixels:
        return Size(int(pixels[1]), int(pixels[2]))
    ratio = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*[:/]\s*(\d+(?:\.\d+)?)\s*", aspect_ratio)
    if ratio and float(ratio[2]) and 1 / _LARGEST_RATIO <= float(ratio[1]) / float(ratio[2]) <= _LARGEST_RATIO:
        return float(ratio[1]) / float(ratio[2])
    raise ToolError("INVALID_ARGUMENTS", f"aspectRatio: {aspect_ratio!r} is neither a ratio nor WIDTHxHEIGHT")


def image_size(model: Model, requested: Size | float | None, source: Size | None, scale: float = 1) -> Size:
    """Return a size the image model accepts."""
    if isinstance(requested, Size):
        return requested.within(*model.size_range, 1)
    if source is None:
        return Size.shaped(requested or 1.0, float(model.default_size) ** 2).within(*model.size_range, _IMAGE_GRID)
    # Smaller sources are always enlarged (tools §2.1).
    side = min(source.width, source.height)
    scale = max(scale, _SMALLEST_SOURCE / side)
    if requested is None:
        return source.scaled(scale).within(*model.size_range, 2)
    return Size.shaped(requested, (side * scale) ** 2).within(*model.size_range, _IMAGE_GRID)


def video_size(
    catalogue: Catalogue, model: Model, requested: Size | float | None, source: Size | None, short_side: float | None
) -> Size:
    """Return a size the video model accepts, on its grid."""
    tier = catalogue.tiers[model.tier]
    default = Size(int(tier["width"]["default"]), int(tier["height"]["default"]))
    if isinstance(requested, Size):
        size = requested
    else:
        ratio = requested or (default if source is None else source).ratio
        if short_side:
            size = Size(round(short_side * max(1, ratio)), round(short_side * max(1, 1 / ratio)))
        elif abs(ratio - default.ratio) < 0.01:
            size = default
        else:
            # A small source gives a small video.
            area = math.inf if source is None else source.width * source.height
            size = Size.shaped(ratio, min(default.width * default.height, area))
    limits = SEEDANCE.get(model.id)
    if limits is not None:
        size = size.scaled(min(1.0, limits.short_side / min(size.width, size.height)))
    return size.within(int(tier["width"]["min"]), int(tier["width"]["max"]), int(tier["width"].get("step", 2)))


def frame_count(catalogue: Catalogue, model: Model, seconds: float) -> int:
    """Return the number of frames closest to a length."""
    tier, limits = catalogue.tiers[model.tier], SEEDANCE.get(model.id)
    low, high = limits.frames if limits is not None else (tier["frames"]["min"], tier["frames"]["max"])
    step = tier.get("frames", {}).get("step", 1)
    wanted = low + round((seconds * float(tier["fps"]["default"]) + 1 - low) / step) * step
    return int(min(high, max(low, wanted)))
