"""Video files: generated frames, or frames that follow a reference video, with their sound.

The frames depend on the description alone. They are generated one after the other, so that a long video takes no more
memory than a short one. The files are written in worker threads when they are first read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import define, frozen
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from sogni.emulator.catalogue.loras import applied
from sogni.emulator.media.codecs import (
    SAMPLE_RATE,
    Samples,
    all_frames,
    audio_blocks,
    source_of,
    video_frames,
    write_video,
)
from sogni.emulator.media.music import Score, play
from sogni.emulator.media.pictures import Color, Picture, cover, draw, palette, rng_for
from sogni.emulator.projects.orders import Upscale, VideoOrder
from sogni.emulator.projects.storage import Producer

_CANVAS = 960
"""The longest side at which frames are drawn; the encoder scales them up."""
_ZOOM = 0.12
_KEY_REACH = 8
"""Frames over which a keyframe image appears and disappears."""
_LIGHTS = 4

Treatment = Literal["free", "restyle", "move", "replace"]
"""Use of a reference video: not at all, its frames in the colors of the prompt, its motion applied to the image, or the
image on its subject.
"""


@frozen(kw_only=True)
class Film:
    """The description of a video, drawn at the size of its picture.

    Attributes:
        first: The image the video starts with.
        last: The image it ends with.
        guide: The reference video, used from ``guide_start`` seconds.
        hold: How much of the reference video remains, 0 to 1.
        subjects: Points on the reference video's subject, as shares of the image.
        mask: An image that is white where the reference video is replaced.
        keys: Images that are shown at certain frames.
    """

    picture: Picture
    frames: int
    fps: Fraction
    first: Path | None = None
    last: Path | None = None
    treatment: Treatment = "free"
    guide: Path | None = None
    guide_start: float = 0.0
    hold: float = 0.6
    subjects: tuple[tuple[float, float], ...] = ()
    mask: Path | None = None
    keys: tuple[tuple[int, Path], ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.width, self.picture.height


def shots(film: Film) -> Iterator[Image.Image]:
    """Yield every frame, in RGB."""
    keys = [(place, cover(path, film.size)) for place, path in film.keys]
    for index, shot in enumerate(_shots(film)):
        for place, image in keys:
            near = 1 - abs(index - place) / _KEY_REACH
            if near > 0:
                shot = Image.blend(shot, image, _smooth(near))
        yield shot


def _shots(film: Film) -> Iterator[Image.Image]:
    if film.guide is None:
        yield from _free(film)
        return
    guide = video_frames(film.guide, film.size, film.fps, film.frames, film.guide_start)
    if film.treatment == "move":
        yield from _moved(film, guide)
    elif film.treatment == "replace":
        yield from _replaced(film, guide)
    else:
        yield from _restyled(film, guide)


def last_shot(film: Film) -> Image.Image:
    """Return the last frame."""
    return next(islice(shots(film), film.frames - 1, None))


def _opening(film: Film) -> Image.Image:
    return draw(film.picture) if film.first is None else cover(film.first, film.size)


def _progress(index: int, count: int) -> float:
    return index / max(1, count - 1)


def _smooth(share: float) -> float:
    return share * share * (3 - 2 * share)


def _free(film: Film) -> Iterator[Image.Image]:
    """Move the camera over the image while lights pass, and end at the last image if there is one."""
    opening, rng = _opening(film), rng_for(film.picture, "camera")
    ending = None if film.last is None else cover(film.last, film.size)
    camera, lights = _Camera.of(rng), _lights(film, rng)
    for index in range(film.frames):
        at = _progress(index, film.frames)
        # A first or last image is shown unchanged, with the camera at rest.
        away = math.sin(math.pi * at) if ending is not None else at
        seen = camera.look(opening, away)
        if ending is not None:
            seen = Image.blend(seen, camera.look(ending, away), _smooth(at))
        glow = 1.0 if film.first is None and ending is None else away
        for light in lights:
            light.shine(seen, at, glow)
        yield seen


@frozen
class _Camera:
    """A slow zoom into the image, from the whole of it towards a point."""

    x: float
    y: float
    zoom: float

    @classmethod
    def of(cls, rng: random.Random) -> _Camera:
        return cls(rng.random(), rng.random(), _ZOOM * rng.uniform(0.7, 1.3))

    def look(self, image: Image.Image, away: float) -> Image.Image:
        """Return the view after a share of the way, always a new image."""
        if away <= 0:
            return image.copy()
        cut = self.zoom * _smooth(away)
        left, top = image.width * cut * self.x, image.height * cut * self.y
        box = (left, top, left + image.width * (1 - cut), top + image.height * (1 - cut))
        return image.resize(image.size, Image.Resampling.BILINEAR, box=box)


@define
class _Light:
    """A soft moving light."""

    mask: Image.Image
    color: tuple[int, int, int]
    path: tuple[float, ...]

    def shine(self, image: Image.Image, at: float, strength: float) -> None:
        """Draw the light on the image at its position after a share of the video."""
        x0, y0, turns, phase, reach = self.path
        angle = 2 * math.pi * (turns * at + phase)
        x = round((x0 + reach * math.cos(angle)) * image.width - self.mask.width / 2)
        y = round((y0 + reach * math.sin(angle)) * image.height - self.mask.height / 2)
        if strength <= 0:
            return
        mask = self.mask if strength >= 1 else self.mask.point([round(level * strength) for level in range(256)])
        image.paste(self.color, (x, y), mask)


def _lights(film: Film, rng: random.Random) -> list[_Light]:
    described = f"{film.picture.prompt} {film.picture.style_prompt}"
    colors = palette(described, film.picture.negative_prompt, rng)[-2:]
    return [_light(film.size, colors[number % 2], rng) for number in range(_LIGHTS)]


def _light(size: tuple[int, int], color: Color, rng: random.Random) -> _Light:
    side = max(8, round(min(size) * rng.uniform(0.15, 0.35)))
    line = np.linspace(-1, 1, side, dtype=np.float32)
    distance = np.hypot(line[:, None], line[None, :])
    level = np.clip(1 - distance, 0, 1) ** 2 * rng.uniform(120, 200)
    path = (
        rng.uniform(0.2, 0.8),
        rng.uniform(0.2, 0.8),
        rng.choice((-1, 1)) * rng.uniform(0.4, 0.9),
        rng.random(),
        rng.uniform(0.12, 0.3),
    )
    return _Light(Image.fromarray(level.astype(np.uint8), "L"), _bytes(color), path)


def _bytes(color: Color) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in color)
    return red, green, blue


def _restyled(film: Film, guide: Iterator[Image.Image]) -> Iterator[Image.Image]:
    """Show the reference video in the colors of the prompt, blended with some of the reference image."""
    described = f"{film.picture.prompt} {film.picture.style_prompt}"
    colors = palette(described, film.picture.negative_prompt, rng_for(film.picture, "colours"))
    dark, middle, light = (_bytes(colors[place]) for place in (0, len(colors) // 2, -1))
    image = None if film.first is None else cover(film.first, film.size)
    mask = None if film.mask is None else cover(film.mask, film.size).convert("L")
    for frame in guide:
        tinted = ImageOps.colorize(ImageOps.grayscale(frame), dark, light, middle)
        shown = Image.blend(tinted, frame, film.hold)
        if image is not None:
            shown = Image.blend(shown, image, 0.2)
        yield shown if mask is None else Image.composite(shown, frame, mask)


def _moved(film: Film, guide: Iterator[Image.Image]) -> Iterator[Image.Image]:
    """Start with the image and blend in the motion of the reference video."""
    opening = _opening(film)
    for index, frame in enumerate(guide):
        share = min(1.0, _progress(index, film.frames) * 4)
        yield Image.blend(opening, frame, (0.1 + 0.9 * _smooth(share)) * film.hold)


def _replaced(film: Film, guide: Iterator[Image.Image]) -> Iterator[Image.Image]:
    """Show the reference video with the image on its subject."""
    opening = _opening(film)
    mask = _subject_mask(film.size, film.subjects or ((0.5, 0.5),))
    for frame in guide:
        yield Image.composite(opening, frame, mask)


def _subject_mask(size: tuple[int, int], subjects: Sequence[tuple[float, float]]) -> Image.Image:
    """Return soft ovals around points given as shares of the image."""
    mask = Image.new("L", size, 0)
    pen, wide, high = ImageDraw.Draw(mask), size[0] * 0.2, size[1] * 0.32
    for x, y in subjects:
        left, top = x * size[0], y * size[1]
        pen.ellipse((left - wide, top - high, left + wide, top + high), fill=255)
    return mask.filter(ImageFilter.BoxBlur(max(1, min(size) // 40)))


_TREATMENTS: Mapping[str | None, Treatment] = {"animate-move": "move", "animate-replace": "replace"}
_AMBIENCE_BPM = 66


def make_video(order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Producer:
    """Return a function that writes the video to a path."""
    if order.upscale is not None:
        return partial(_write_upscaled, inputs["referenceVideo"], order.upscale, order.output_format)
    return partial(_write, film_of(order, seed, inputs), order, seed, inputs.get("referenceAudio"))


def make_last_frame(order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Producer:
    """Return a function that writes the last frame to a path, as PNG."""
    return partial(_write_last_frame, film_of(order, seed, inputs), (order.width, order.height))


def _write(film: Film, order: VideoOrder, seed: int, audio: Path | None, path: Path) -> None:
    sound = _sound(order, seed, audio)
    write_video(path, shots(film), order.fps, sound, order.output_format, (order.width, order.height))


def _write_last_frame(film: Film, size: tuple[int, int], path: Path) -> None:
    last_shot(film).resize(size, Image.Resampling.BILINEAR).save(path, "PNG", compress_level=1)


def _write_upscaled(source: Path, upscale: Upscale, format: str, path: Path) -> None:
    """Write a video at a larger size, with its own frame rate, length and sound."""
    (width, height), rate, seconds, has_sound = source_of(source)
    scale = upscale.short_side / min(width, height)
    larger = round(width * scale / 2) * 2, round(height * scale / 2) * 2
    frames = all_frames(source, (width, height))
    if upscale.sharper:
        frames = (frame.filter(ImageFilter.SHARPEN) for frame in frames)
    sound = audio_blocks(source, round(seconds * SAMPLE_RATE), 0.0, seconds) if has_sound else None
    write_video(path, frames, rate, sound, format, larger)


def film_of(order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Film:
    """Return the description of a video."""
    scale = min(1.0, _CANVAS / max(order.width, order.height))
    picture = Picture(
        width=round(order.width * scale),
        height=round(order.height * scale),
        seed=seed,
        model=order.model.id,
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        style_prompt=order.style_prompt,
        loras=applied(order.request["keyFrames"][0]),
    )
    # References of MiniMax H3 are numbered: projects-5x §4.6.
    guide = inputs.get("referenceVideo") or inputs.get("referenceVideo1")
    return Film(
        picture=picture,
        frames=order.frames,
        fps=order.fps,
        first=_first(inputs) if order.first_frame else None,
        last=inputs.get("referenceImageEnd") if order.last_frame else None,
        treatment=_TREATMENTS.get(order.workflow, "free" if guide is None else "restyle"),
        guide=guide,
        guide_start=order.video_start,
        hold=0.6 if order.control is None else 0.4 + 0.5 * order.control.strength,
        subjects=_shares(order.subjects, (order.width, order.height)),
        mask=inputs.get("referenceMask"),
        keys=tuple((place, inputs[f"keyframeImage{number}"]) for number, place in enumerate(order.keyframes, 1)),
    )


def _first(inputs: Mapping[str, Path]) -> Path | None:
    return inputs.get("referenceImage") or inputs.get("contextImage1")


def _shares(points: Sequence[tuple[float, float]], size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Return points given in pixels or as shares of the image as shares."""
    if not any(part > 1 for point in points for part in point):
        return tuple(points)
    return tuple((x / size[0], y / size[1]) for x, y in points)


def _sound(order: VideoOrder, seed: int, audio: Path | None) -> Iterator[Samples] | None:
    seconds = order.frames / order.fps
    if order.sound == "reference" and audio is not None:
        return audio_blocks(audio, round(seconds * SAMPLE_RATE), order.audio_start, order.audio_duration)
    if order.sound == "none":
        return None
    words = f"{order.model.id} {order.prompt} {order.style_prompt}"
    return play(Score(words=words, seed=seed, seconds=float(seconds), bpm=_AMBIENCE_BPM, calm=True))
