"""Video and audio files: an image that is zoomed slowly or turns into another one, and a tone.

They depend on their description alone. Frames and sound are generated one after the other, so that a long file takes
no more memory than a short one. The files are written in worker threads when they are first read.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from attrs import frozen
from PIL import Image, ImageOps

from sogni.emulator.media.codecs import SAMPLE_RATE, Samples, opened, probe, write_video
from sogni.emulator.media.pictures import Picture, cover, draw, random_of

_CANVAS = 960
"""The longest side at which frames are drawn; the encoder scales them up."""
_ZOOM = 0.1


@frozen(kw_only=True)
class Film:
    """The description of a video: what it starts from, an image or another video, and the image it ends with.

    ``sound`` is what the sound depends on; None is silence.
    """

    opening: Picture | Path
    ending: Path | None = None
    size: tuple[int, int]
    frames: int
    fps: Fraction
    sound: object = None


def shots(film: Film) -> Iterator[Image.Image]:
    """Yield every frame, in RGB."""
    scale = min(1.0, _CANVAS / max(film.size))
    size = round(film.size[0] * scale), round(film.size[1] * scale)
    first = draw(film.opening) if isinstance(film.opening, Picture) else opened(film.opening)
    opening = ImageOps.fit(first, size)
    ending = None if film.ending is None else cover(film.ending, size)
    for index in range(film.frames):
        share = index / max(1, film.frames - 1)
        if ending is not None:
            yield Image.blend(opening, ending, share)
        else:
            cut = _ZOOM * share
            box = (size[0] * cut, size[1] * cut, size[0] * (1 - cut), size[1] * (1 - cut))
            yield opening.resize(size, Image.Resampling.BILINEAR, box=box)


def write_film(film: Film, path: Path, *, format: str) -> None:
    sound = None if film.sound is None else tone(float(film.frames / film.fps), film.sound)
    write_video(path, shots(film), film.fps, sound, format, film.size)


def write_last_frame(film: Film, path: Path) -> None:
    """Write the last frame as PNG."""
    last = next(islice(shots(film), film.frames - 1, None))
    last.resize(film.size, Image.Resampling.BILINEAR).save(path, "PNG", compress_level=1)


def write_edited(
    source: Path,
    path: Path,
    *,
    format: str = "mp4",
    size: tuple[int, int] | None = None,
    short_side: int | None = None,
    seconds: float | None = None,
    sound: bool | None = None,
) -> None:
    """Write a video that starts like another one, and has its properties unless others are given."""
    facts = probe(source, "video")
    if facts is None:
        raise ValueError("the source is not a video")
    rate = Fraction(facts.frame_rate or 24).limit_denominator(1001)
    width, height = size or (facts.width or 640, facts.height or 640)
    scale = 1 if short_side is None else short_side / min(width, height)
    film = Film(
        opening=source,
        # The encoder requires even sides.
        size=(round(width * scale / 2) * 2, round(height * scale / 2) * 2),
        frames=max(1, round((facts.duration or 0.0 if seconds is None else seconds) * rate)),
        fps=rate,
        sound=str(source.stat().st_size) if (facts.sound if sound is None else sound) else None,
    )
    write_film(film, path, format=format)


def tone(seconds: float, *described: object) -> Iterator[Samples]:
    """Yield a pulsing tone of a length, a second at a time; pitch and pulse depend on a description."""
    random = random_of(*described)
    pitch, pulse = random.uniform(110, 880), random.uniform(0.5, 4)
    total = round(seconds * SAMPLE_RATE)
    for start in range(0, total, SAMPLE_RATE):
        at = np.arange(start, min(start + SAMPLE_RATE, total)) / SAMPLE_RATE
        block = (0.3 * np.sin(2 * np.pi * pitch * at) * np.sin(np.pi * pulse * at) ** 2).astype(np.float32)
        yield np.stack([block, block])
