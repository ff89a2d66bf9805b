"""Video editing in worker threads: joining pieces with transitions and sound, overlays and subtitles.

Frames and sound are read and written piece by piece.
"""
# Protocol notes: tools §2.2.

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import frozen
from PIL import Image, ImageColor, ImageDraw, ImageFont

from sogni.emulator.media.codecs import SAMPLE_RATE, Samples, audio_blocks, video_frames, write_video
from sogni.emulator.media.pictures import cover
from sogni.emulator.tools.media_library import ToolError, probe

Transition = Literal["fade", "dissolve", "wipeleft", "wiperight", "slideup", "slidedown"]
_DEFAULT_RATE = Fraction(24)
_FINEST_RATE = 1001


@frozen(kw_only=True)
class Piece:
    """A segment of a video, in seconds. ``sound`` is the audio file played with it, from ``sound_start``; None is
    silence.
    """

    video: Path
    start: float = 0.0
    seconds: float
    sound: Path | None = None
    sound_start: float = 0.0


@frozen(kw_only=True)
class Film:
    """A video to be composed.

    Attributes:
        audio: Replaces the sound of all pieces.
        overlay_renderer: Draws on a frame, given its time in seconds.
    """

    pieces: Sequence[Piece]
    size: tuple[int, int]
    transition: Transition | None = None
    overlap: float = 0.0
    audio: Path | None = None
    overlay_renderer: Callable[[Image.Image, float], Image.Image] | None = None

    @property
    def seconds(self) -> float:
        return max(0.0, sum(piece.seconds for piece in self.pieces) - self.overlap * (len(self.pieces) - 1))


def write_film(film: Film, path: Path) -> None:
    """Write an MP4 at the frame rate of the first piece."""
    rate = frame_rate(film.pieces[0].video)
    counts = [max(1, round(piece.seconds * rate)) for piece in film.pieces]
    overlap = min(round(film.overlap * rate), *(count // 2 for count in counts)) if film.transition else 0
    pictures = _pictures(film, rate, counts, overlap)
    total = sum(counts) - overlap * (len(counts) - 1)
    silent = film.audio is None and all(piece.sound is None for piece in film.pieces)
    sound = None if silent else _sound(film, rate, counts, overlap, total)
    write_video(path, pictures, rate, sound, "mp4")


def frame_rate(path: Path) -> Fraction:
    facts = probe(path, "video")
    if facts is None or not facts.frame_rate:
        return _DEFAULT_RATE
    return Fraction(facts.frame_rate).limit_denominator(_FINEST_RATE)


def picture_at(video: Path, seconds: float, size: tuple[int, int]) -> Image.Image:
    """Return the frame of a video at a time; after its end, its last frame."""
    return next(video_frames(video, size, _DEFAULT_RATE, 1, max(0.0, seconds)))


def _pictures(film: Film, rate: Fraction, counts: Sequence[int], overlap: int) -> Iterator[Image.Image]:
    tail: list[Image.Image] = []
    number_shown = 0
    for number, (piece, count) in enumerate(zip(film.pieces, counts, strict=True)):
        frames = video_frames(piece.video, film.size, rate, count, piece.start)
        overlapping = overlap if number < len(counts) - 1 else 0
        waiting: deque[Image.Image] = deque()
        for index, frame in enumerate(frames):
            if index < len(tail):
                frame = _between(tail[index], frame, (index + 1) / (len(tail) + 1), film.transition or "fade")
            waiting.append(frame)
            if len(waiting) > overlapping:
                yield _with_overlays(film, waiting.popleft(), number_shown / rate)
                number_shown += 1
        tail = list(waiting)


def _with_overlays(film: Film, frame: Image.Image, moment: Fraction) -> Image.Image:
    # A held frame is yielded repeatedly: never draw on it.
    return frame if film.overlay_renderer is None else film.overlay_renderer(frame.copy(), float(moment))


def _between(old: Image.Image, new: Image.Image, share: float, transition: Transition) -> Image.Image:
    """Return the frame after a share of a transition."""
    if transition in ("fade", "dissolve"):
        return Image.blend(old, new, share)
    across, down = round(old.width * share), round(old.height * share)
    mixed = old.copy()
    if transition == "wipeleft":
        mixed.paste(new.crop((old.width - across, 0, old.width, old.height)), (old.width - across, 0))
    elif transition == "wiperight":
        mixed.paste(new.crop((0, 0, across, old.height)), (0, 0))
    elif transition == "slideup":
        mixed.paste(new, (0, old.height - down))
    else:
        mixed.paste(new, (0, down - old.height))
    return mixed


def _sound(film: Film, rate: Fraction, counts: Sequence[int], overlap: int, total: int) -> Iterator[Samples]:
    """Yield the sound of the video in blocks of at most one second."""
    if film.audio is not None:
        yield from audio_blocks(film.audio, round(total / rate * SAMPLE_RATE), 0.0, float(total / rate))
        return
    shared = round(overlap / rate * SAMPLE_RATE)
    tail = np.zeros((2, 0), dtype=np.float32)
    for number, (piece, count) in enumerate(zip(film.pieces, counts, strict=True)):
        samples = _piece_samples(piece, round(count / rate * SAMPLE_RATE))
        if tail.shape[1]:
            rise = np.linspace(0, 1, tail.shape[1], dtype=np.float32)
            samples[:, : tail.shape[1]] = samples[:, : tail.shape[1]] * rise + tail * (1 - rise)
        overlapping = shared if number < len(counts) - 1 else 0
        until = samples.shape[1] - overlapping
        tail = samples[:, until:].copy()
        for start in range(0, until, SAMPLE_RATE):
            yield samples[:, start : min(until, start + SAMPLE_RATE)]


def _piece_samples(piece: Piece, samples: int) -> Samples:
    if piece.sound is None:
        return np.zeros((2, samples), dtype=np.float32)
    blocks = audio_blocks(piece.sound, samples, piece.sound_start, samples / SAMPLE_RATE)
    return np.concatenate(list(blocks), axis=1)


# Overlays. Each is drawn once and pasted on every frame it belongs to.


_MARGIN = 0.04
_FOREVER = float("inf")
_CUE = re.compile(
    r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})[^\n]*\n"
    r"(.*?)(?=\n\s*\n|\Z)",
    re.DOTALL,
)


@frozen(kw_only=True)
class Overlay:
    """One text or image and the time it is visible. Sizes are percentages of the frame's width or height."""

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
class OverlayRenderer:
    """Draws overlays; called with a frame, which it may modify, and its time."""

    overlays: Sequence[Overlay]
    size: tuple[int, int]
    _layers: dict[int, Image.Image]

    @classmethod
    def of(cls, overlays: Sequence[Overlay], size: tuple[int, int]) -> OverlayRenderer:
        return cls(overlays, size, {})

    def __call__(self, frame: Image.Image, moment: float) -> Image.Image:
        for number, overlay in enumerate(self.overlays):
            if overlay.start <= moment < overlay.end:
                layer = self._layers.get(number)
                if layer is None:
                    layer = self._layers[number] = _layer(overlay, self.size)
                frame.paste(layer, _position(overlay, layer.size, self.size), layer)
        return frame


def check_color(value: str, name: str) -> str:
    """Return a valid color, or raise ``ToolError``."""
    try:
        ImageColor.getrgb(value)
    except ValueError:
        raise ToolError("INVALID_ARGUMENTS", f"{name} must be a color, got {value!r}") from None
    return value


def _layer(overlay: Overlay, size: tuple[int, int]) -> Image.Image:
    layer = _written(overlay, size) if overlay.image is None else _image_layer(overlay, overlay.image, size)
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
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def _image_layer(overlay: Overlay, path: Path, size: tuple[int, int]) -> Image.Image:
    width = max(2, round(size[0] * overlay.width / 100))
    with Image.open(path) as opened:
        height = max(2, round(width * opened.height / opened.width))
        if overlay.fit == "cover":
            return cover(path, (width, width)).convert("RGBA")
        return opened.convert("RGBA").resize((width, height), Image.Resampling.BICUBIC)


def _position(overlay: Overlay, layer: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the upper left corner of a layer; offsets are percentages of the frame."""
    vertical, _, horizontal = overlay.position.partition("-")
    margin = round(min(size) * _MARGIN)
    x = {"left": margin, "right": size[0] - layer[0] - margin}.get(horizontal, (size[0] - layer[0]) // 2)
    y = {"top": margin, "bottom": size[1] - layer[1] - margin}.get(vertical, (size[1] - layer[1]) // 2)
    return x + round(size[0] * overlay.offset[0] / 100), y + round(size[1] * overlay.offset[1] / 100)


def subtitles(cues: Sequence[tuple[float, float, str]], style: Mapping[str, Any]) -> list[Overlay]:
    """Return subtitles as overlays, with the defaults of the service."""
    # Protocol notes: tools §2.2.
    positions = {"top": "top-center", "center": "center"}
    return [
        Overlay(
            start=start,
            end=end,
            text=text,
            position=positions.get(str(style.get("position")), "bottom-center"),
            font_size=float(style.get("fontSizePct") or 6),
            color=check_color(str(style.get("color") or "#FFFFFF"), "style.color"),
            outline=check_color(str(style.get("outlineColor") or "#000000"), "style.outlineColor"),
        )
        for start, end, text in cues
    ]


def parse_subtitles(text: str) -> list[tuple[float, float, str]]:
    """Parse SRT or VTT."""
    cues = []
    for found in _CUE.finditer(text.replace("\r\n", "\n").replace("\ufeff", "")):
        numbers = [int(part or 0) for part in found.groups()[:8]]
        start, end = (_seconds(numbers[at : at + 4], found[at + 4]) for at in (0, 4))
        if end > start:
            cues.append((start, end, re.sub(r"<[^>]+>", "", found[9]).strip()))
    if not cues:
        raise ToolError("INVALID_ARGUMENTS", "srt contains no valid cue")
    return cues


def _seconds(parts: Sequence[int], fraction: str) -> float:
    hours, minutes, seconds, part = parts
    return float(hours * 3600 + minutes * 60 + seconds + part / 10 ** len(fraction))
