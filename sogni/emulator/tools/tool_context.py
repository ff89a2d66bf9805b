"""The context of a running tool: its arguments, media, seed and renderer; selection of models, sizes and lengths.

Arguments are read leniently: they were checked against the tool's schema before. A selector that names no served model
is not an error; the tool's default is used.
"""
# Protocol notes: tools §5.1, §6.
# Protocol notes: tools §5.2.

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, frozen

from sogni.emulator.catalogue.models import Catalogue, Model
from sogni.emulator.catalogue.video_families import SEEDANCE
from sogni.emulator.rendering.service import result_seed
from sogni.emulator.tools.media_library import KINDS, Kind, Media, MediaLibrary, ToolError
from sogni.emulator.tools.renderer import AnyRenderer

_GPT_IMAGE = "gpt-image-2"
IMAGE_SELECTORS: Mapping[str, str] = {
    "z-turbo": "z_image_turbo_bf16",
    "z-image": "z_image_bf16",
    "chroma-v46-flash": "chroma-v.46-flash_fp8",
    "chroma-detail": "chroma-v48-detail-svd_fp8",
    "chroma-hd": "chroma1-hd_fp8_scaled",
    "chroma1-hd": "chroma1-hd_fp8_scaled",
    "qwen-2512": "qwen_image_2512_fp8",
    "qwen-2512-lightning": "qwen_image_2512_fp8_lightning",
    "krea-2-turbo": "krea2_turbo_fp8_scaled",
    "krea2-turbo": "krea2_turbo_fp8_scaled",
    "dark-beast-z-turbo": "dark_beast_z_image_turbo_v9_bf16",
    "dark-beast-z-image-turbo": "dark_beast_z_image_turbo_v9_bf16",
    "one-obsession": "one_obsession_v22_fp16",
    "one-obsession-v22": "one_obsession_v22_fp16",
}
EDIT_SELECTORS: Mapping[str, str] = {
    "qwen-lightning": "qwen_image_edit_2511_fp8_lightning",
    "qwen": "qwen_image_edit_2511_fp8",
    "krea-identity-edit": "krea2_identity_edit_v1_2",
    "krea-2-identity-edit": "krea2_identity_edit_v1_2",
    "krea2-identity-edit": "krea2_identity_edit_v1_2",
}

IMAGE_DEFAULT = "krea2_turbo_fp8_scaled"
EDIT_DEFAULT = "qwen_image_edit_2511_fp8_lightning"
MUSIC_DEFAULT = "ace_step_1.5_xl_turbo"

_SEEDANCE = {
    "seedance2": "seedance-2-0",
    "seedance2-mini": "seedance-2-0-mini",
    "seedance2-fast": "seedance-2-0-mini",
    "seedance2-mini-uncensored": "seedance-2-0-mini",
    "seedance2-5": "seedance-2-5",
    "seedance2-5-uncensored": "seedance-2-5",
}
_LTX = {"ltx25": "ltx25-22b-int8", "ltx23": "ltx23-22b-fp8", "ltx2": "ltx2-19b-fp8"}
_WAN = "wan_v2.2-14b-fp8"
_TOOL_FAMILIES = ("wan_", "ltx", "seedance")
"""The families whose requests the video tools make."""


def image_model(catalogue: Catalogue, selector: str | None, *, edit: bool = False) -> str:
    """Return the model of an image tool; ``edit`` requires one that accepts reference images."""
    known, default = (EDIT_SELECTORS, EDIT_DEFAULT) if edit else (IMAGE_SELECTORS, IMAGE_DEFAULT)
    name = _normal(selector)
    requested = known.get(name, selector or "")
    if re.match(r"(chat-?gpt|open-?ai|gpt|sunburst|flare)", name):
        requested = _GPT_IMAGE
    model = catalogue.models.get(requested)
    usable = model is not None and model.media == "image" and not model.needs_starting_image
    return requested if usable else default


def music_model(catalogue: Catalogue, selector: str | None) -> str:
    # The tool sends the settings of ACE-Step.
    requested = selector or ""
    return requested if requested in catalogue.models and requested.startswith("ace_step") else MUSIC_DEFAULT


def video_model(catalogue: Catalogue, selector: str | None, workflow: str) -> str:
    """Return the model for a workflow: t2v, i2v, v2v, a2v, ia2v, s2v, animate-move or animate-replace."""
    name = _normal(selector)
    if name in _SEEDANCE:
        return _SEEDANCE[name]
    requested = selector or ""
    if requested in catalogue.models and requested.startswith(_TOOL_FAMILIES) and _does(requested, workflow):
        return requested
    if workflow in ("s2v", "animate-move", "animate-replace"):
        return f"{_WAN}_{workflow}_lightx2v"
    if name.startswith("wan") and workflow in ("t2v", "i2v"):
        return f"{_WAN}_{workflow}_lightx2v"
    if name.startswith("wan") and workflow == "ia2v":
        return f"{_WAN}_s2v_lightx2v"
    base = next((base for prefix, base in _LTX.items() if name.startswith(prefix)), _LTX["ltx25"])
    return f"{base}_{workflow}_distilled"


def _does(model_id: str, workflow: str) -> bool:
    return model_id.startswith("seedance") or f"_{workflow}" in model_id


def _normal(selector: str | None) -> str:
    """Normalize a selector: lower case, other characters as single dashes."""
    # Protocol notes: tools §5.1.
    return re.sub(r"[\s_]+", "-", (selector or "").strip().lower())


_IMAGE_GRID = 16
_LARGEST_RATIO = 8


@frozen
class Size:
    """A size in pixels."""

    width: int
    height: int

    @property
    def ratio(self) -> float:
        return self.width / self.height


def parse_size(aspect_ratio: str | None, width: float | None, height: float | None) -> Size | float | None:
    """Return exact pixels, a ratio, or None if the shape of the source is to be kept."""
    # Protocol notes: tools §2.1.
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


def image_size(model: Model, requested_size: Size | float | None, source: Size | None, scale: float = 1) -> Size:
    """Return a size the image model accepts."""
    base = float(model.default_size)
    if isinstance(requested_size, Size):
        return _within(requested_size, model.size_range, 1)
    if source is not None and requested_size is None:
        # A source under 480 pixels is always enlarged to that (tools §2.1).
        scale = max(scale, 480 / min(source.width, source.height))
        requested = Size(round(source.width * scale), round(source.height * scale))
        return _within(requested, model.size_range, 2)
    if source is not None:
        base = max(480.0, min(source.width, source.height) * scale)
    return _within(_shaped(requested_size or 1.0, base * base), model.size_range, _IMAGE_GRID)


def video_size(
    catalogue: Catalogue, model: Model, requested: Size | float | None, source: Size | None, short_side: float | None
) -> Size:
    """Return a size the video model accepts, on its grid."""
    tier = catalogue.tiers[model.tier]
    low, high = tier["width"]["min"], tier["width"]["max"]
    grid = int(tier["width"].get("step", 2))
    default = Size(int(tier["width"]["default"]), int(tier["height"]["default"]))
    limits = SEEDANCE.get(model.id)
    if isinstance(requested, Size):
        size = requested
    else:
        ratio = requested or (source.ratio if source is not None else default.ratio)
        if short_side:
            size = Size(round(short_side * max(1, ratio)), round(short_side * max(1, 1 / ratio)))
        elif abs(ratio - default.ratio) < 0.01:
            size = default
        else:
            # A small source gives a small video.
            area = math.inf if source is None else source.width * source.height
            size = _shaped(ratio, min(default.width * default.height, area))
    if limits is not None and min(size.width, size.height) > limits.short_side:
        factor = limits.short_side / min(size.width, size.height)
        size = Size(round(size.width * factor), round(size.height * factor))
    return _within(size, (int(low), int(high)), grid)


def frame_count(catalogue: Catalogue, model: Model, seconds: float) -> tuple[int, float]:
    """Return the number of frames closest to a length, and the frame rate."""
    tier = catalogue.tiers[model.tier]
    fps = float(tier["fps"]["default"])
    limits = SEEDANCE.get(model.id)
    low, high = limits.frames if limits is not None else (tier["frames"]["min"], tier["frames"]["max"])
    step = tier.get("frames", {}).get("step", 1)
    requested = low + round((seconds * fps + 1 - low) / step) * step
    return int(min(high, max(low, requested))), fps


def _shaped(ratio: float, area: float) -> Size:
    return Size(round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio)))


def _within(size: Size, bounds: tuple[int, int], grid: int) -> Size:
    """Scale a size into the bounds, keeping its shape if possible, and align it to the grid."""
    low, high = bounds
    factor = max(1.0, low / min(size.width, size.height))
    factor = min(factor, high / max(size.width, size.height))
    width, height = (_side(side * factor, low, high, grid) for side in (size.width, size.height))
    return Size(width, height)


def _side(side: float, low: int, high: int, grid: int) -> int:
    return min(low + (high - low) // grid * grid, max(low, low + round((side - low) / grid) * grid))


T = TypeVar("T")
SOURCE_URLS: Mapping[Kind, tuple[str, ...]] = {
    kind: (
        f"source_{kind}_url",
        f"reference_{kind}_url",
        f"source{kind.capitalize()}Url",
        f"reference{kind.capitalize()}Url",
        f"{kind}_url",
        f"{kind}Url",
    )
    for kind in KINDS
}
"""The arguments that hold the URL of a tool's main medium, by kind."""
# Protocol notes: tools §2.3.


async def transaction(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run the parts of a tool concurrently. If one fails, the others are canceled and not charged."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@frozen
class Arguments:
    """The arguments of a call. Several spellings of a name may be given; the first that is present counts."""

    values: Mapping[str, Any]

    def raw(self, *names: str) -> Any:
        return next((self.values[name] for name in names if self.values.get(name) not in (None, "", [])), None)

    def text(self, *names: str) -> str | None:
        found = self.raw(*names)
        return found if isinstance(found, str) else None

    def number(self, *names: str) -> float | None:
        found = self.raw(*names)
        return None if isinstance(found, bool) or not isinstance(found, int | float) else float(found)

    def flag(self, *names: str) -> bool | None:
        found = self.raw(*names)
        return found if isinstance(found, bool) else None

    def numbers(self, *names: str) -> list[int]:
        found = self.raw(*names)
        entries = found if isinstance(found, list) else [] if found is None else [found]
        return [int(entry) for entry in entries if isinstance(entry, int | float) and not isinstance(entry, bool)]

    def texts(self, *names: str) -> list[str]:
        found = self.raw(*names)
        return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []

    def objects(self, *names: str) -> list[Mapping[str, Any]]:
        found = self.raw(*names)
        return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


@define(eq=False)
class ToolContext:
    """A running tool. ``seed`` determines everything random in it."""

    renderer: AnyRenderer
    arguments: Arguments
    library: MediaLibrary
    seed: int

    @property
    def catalogue(self) -> Catalogue:
        return self.renderer.state.catalogue

    def model(self, id: str) -> Model:
        return self.catalogue.models[id]

    @property
    def prompt(self) -> str:
        return self.arguments.text("prompt", "description") or ""

    @property
    def loras(self) -> dict[str, Any]:
        """Return the LoRAs of the call as keys of a key frame."""
        given = {"loras": self.arguments.texts("loras"), "loraStrengths": self.arguments.raw("loraStrengths")}
        return {key: value for key, value in given.items() if value} if given["loras"] else {}

    @property
    def variations(self) -> int:
        return int(self.arguments.number("numberOfVariations", "number_of_variations") or 1)

    @property
    def chosen_seed(self) -> int:
        """Return the seed of the request; -1 and omitted draw one."""
        # Protocol notes: tools §2.1.
        requested = self.arguments.number("seed")
        return self.seed if requested is None or requested < 0 else int(requested)

    def seed_of(self, part: int) -> int:
        """Return the seed of one of a tool's parts."""
        return result_seed(self.chosen_seed, part)

    async def medium(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media | None:
        """Return the medium an argument refers to, by number or URL, or the default one."""
        return await self.named(kind, *names, urls=urls) or self.library.newest(kind)

    async def named(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media | None:
        """Return the medium an argument refers to, or None without such an argument."""
        index = self.arguments.number(*names) if names else None
        if index is not None:
            return self.library.pick(kind, int(index))
        url = self.arguments.text(*(SOURCE_URLS[kind] if urls is None else urls))
        return None if url is None else await self.renderer.fetch(url, kind)

    async def needed(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media:
        """Return the medium a tool requires."""
        found = await self.medium(kind, *names, urls=urls)
        if found is None:
            raise ToolError("MEDIA_REQUIRED", f"The tool requires {'a video' if kind == 'video' else f'an {kind}'}")
        return found


def size_of(media: Media | None) -> Size | None:
    """Return the size of an image or a video."""
    if media is None or not media.width or not media.height:
        return None
    return Size(media.width, media.height)
