"""Texts and images laid over the frames of a video, and subtitles as a special case of texts.

Called by the cutting tools; runs in worker threads. Each overlay is drawn once and pasted on every frame it
belongs to (tools §2.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from PIL import Image, ImageColor, ImageDraw, ImageFont

from ..images import cover
from .problems import ToolError

_MARGIN = 0.04
_FOREVER = float("inf")
_CUE = re.compile(
    r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})[^\n]*\n"
    r"(.*?)(?=\n\s*\n|\Z)",
    re.DOTALL,
)


@frozen(kw_only=True)
class Overlay:
    """One text or image and when it is seen. Sizes are shares of the frame's width or height, in percent."""

    start: float = 0.0
    end: float = _FOREVER
    position: str = "bottom-center"
    offset: tuple[float, float] = (0.0, 0.0)
    text: str | None = None
    font_size: float = 6.0
    color: str = "#FFFFFF"
    outline: str = "#000000"
    background: str | None = None
    bold: bool = False
    image: Path | None = None
    width: float = 15.0
    opacity: float = 1.0
    fit: str = "contain"


@frozen
class Dress:
    """Draws overlays; called with a picture that may be drawn on, and its moment."""

    overlays: Sequence[Overlay]
    size: tuple[int, int]
    _layers: dict[int, Image.Image]

    @classmethod
    def of(cls, overlays: Sequence[Overlay], size: tuple[int, int]) -> Dress:
        return cls(overlays, size, {})

    def __call__(self, frame: Image.Image, moment: float) -> Image.Image:
        for number, overlay in enumerate(self.overlays):
            if overlay.start <= moment < overlay.end:
                layer = self._layers.get(number)
                if layer is None:
                    layer = self._layers[number] = _layer(overlay, self.size)
                frame.paste(layer, _place(overlay, layer.size, self.size), layer)
        return frame


def check_colour(value: str, name: str) -> str:
    """Return a colour that can be drawn with, or raise ``ToolError``."""
    try:
        ImageColor.getrgb(value)
    except ValueError:
        raise ToolError("INVALID_ARGUMENTS", f"{name}: {value!r} is no colour") from None
    return value


def _layer(overlay: Overlay, size: tuple[int, int]) -> Image.Image:
    layer = _written(overlay, size) if overlay.image is None else _shown(overlay, overlay.image, size)
    if overlay.opacity < 1:
        layer.putalpha(layer.getchannel("A").point([round(level * overlay.opacity) for level in range(256)]))
    return layer


def _written(overlay: Overlay, size: tuple[int, int]) -> Image.Image:
    points = max(8, round(size[1] * overlay.font_size / 100))
    font = ImageFont.load_default(points)
    stroke = max(1, points // (8 if overlay.bold else 14))
    text = _wrapped(overlay.text or "", font, size[0] * (1 - 2 * _MARGIN))
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
        (0, 0), text, font=font, stroke_width=stroke
    )
    pad = stroke + points // 6
    layer = Image.new("RGBA", (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad), (0, 0, 0, 0))
    if overlay.background is not None:
        layer.paste((*ImageColor.getrgb(overlay.background)[:3], 200), (0, 0, *layer.size))
    ImageDraw.Draw(layer).multiline_text(
        (pad - left, pad - top),
        text,
        font=font,
        fill=overlay.color,
        stroke_width=stroke,
        stroke_fill=overlay.outline,
        align="center",
    )
    return layer


def _wrapped(text: str, font: Any, width: float) -> str:
    lines = []
    for given in text.splitlines() or [""]:
        line = ""
        for word in given.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def _shown(overlay: Overlay, path: Path, size: tuple[int, int]) -> Image.Image:
    width = max(2, round(size[0] * overlay.width / 100))
    with Image.open(path) as opened:
        height = max(2, round(width * opened.height / opened.width))
        if overlay.fit == "cover":
            return cover(path, (width, width)).convert("RGBA")
        return opened.convert("RGBA").resize((width, height), Image.Resampling.BICUBIC)


def _place(overlay: Overlay, layer: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the upper left corner of a layer; offsets are shares of the frame in percent."""
    vertical, _, horizontal = overlay.position.partition("-")
    margin = round(min(size) * _MARGIN)
    x = {"left": margin, "right": size[0] - layer[0] - margin}.get(horizontal, (size[0] - layer[0]) // 2)
    y = {"top": margin, "bottom": size[1] - layer[1] - margin}.get(vertical, (size[1] - layer[1]) // 2)
    return x + round(size[0] * overlay.offset[0] / 100), y + round(size[1] * overlay.offset[1] / 100)


def subtitles(cues: Sequence[tuple[float, float, str]], style: Mapping[str, Any]) -> list[Overlay]:
    """Return subtitles as overlays (defaults of tools §2.2)."""
    places = {"top": "top-center", "center": "center"}
    return [
        Overlay(
            start=start,
            end=end,
            text=text,
            position=places.get(str(style.get("position")), "bottom-center"),
            font_size=float(style.get("fontSizePct") or 6),
            color=check_colour(str(style.get("color") or "#FFFFFF"), "style.color"),
            outline=check_colour(str(style.get("outlineColor") or "#000000"), "style.outlineColor"),
        )
        for start, end, text in cues
    ]


def parse_subtitles(text: str) -> list[tuple[float, float, str]]:
    """Read SRT or VTT."""
    cues = []
    for found in _CUE.finditer(text.replace("\r\n", "\n").replace("\ufeff", "")):
        numbers = [int(part or 0) for part in found.groups()[:8]]
        start, end = (_seconds(numbers[at : at + 4], found[at + 4]) for at in (0, 4))
        if end > start:
            cues.append((start, end, re.sub(r"<[^>]+>", "", found[9]).strip()))
    if not cues:
        raise ToolError("INVALID_ARGUMENTS", "srt: no cue could be read")
    return cues


def _seconds(parts: Sequence[int], fraction: str) -> float:
    hours, minutes, seconds, part = parts
    return float(hours * 3600 + minutes * 60 + seconds + part / 10 ** len(fraction))
