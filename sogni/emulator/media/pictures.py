"""Abstract images of any size, with the colors that the prompt names.

Images are drawn in worker threads when a result or a preview is first read. They depend on their description alone:
the same description gives the same bytes with the same versions of NumPy and Pillow. No clock, metadata or global
random state is used.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from PIL import Image, ImageColor, ImageDraw, ImageOps

from sogni.emulator.media.codecs import opened

_CANVAS = 256
"""The longest side at which the image is composed; its soft shapes scale up well."""
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 1},
    "jpg": {"format": "JPEG", "quality": 90},
    "webp": {"format": "WEBP", "quality": 85},
}


@frozen(kw_only=True)
class Picture:
    """The description of an image.

    Attributes:
        prompt: Its colors are used.
        details: Whatever else distinguishes one request from another.
        files: Uploads other than the starting image. They change the image, but are not visible in it.
        denoise: Share of the starting image that is replaced.
        done: Below 1, the image is unfinished: low contrast, much noise.
    """

    size: tuple[int, int]
    prompt: str
    details: tuple[object, ...] = ()
    files: tuple[Path, ...] = ()
    starting_image: Path | None = None
    denoise: float = 1.0
    done: float = 1.0


def render(picture: Picture, path: Path, format: str) -> None:
    """Draw an image and write it as ``png``, ``jpg`` or ``webp``."""
    draw(picture).save(path, **_OPTIONS[format])


def enlarge(source: Path, size: tuple[int, int], path: Path, format: str) -> None:
    """Write an image file, or the first frame of a video, at another size."""
    opened(source).resize(size, Image.Resampling.LANCZOS).save(path, **_OPTIONS[format])


def cut_out(source: Path, path: Path, *, mask_only: bool) -> None:
    """Write the middle of an image as PNG, or a mask of it."""
    image = opened(source)
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse([side * share for share in (0.2, 0.8) for side in image.size], fill=255)
    image.putalpha(mask)
    (mask if mask_only else image).save(path, **_OPTIONS["png"])


def random_of(*described: object) -> np.random.Generator:
    """Return a random number generator that depends on a description alone."""
    digest = hashlib.blake2b(repr(described).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def draw(picture: Picture) -> Image.Image:
    """Draw an image in RGB: waves in the colors of the prompt, over the starting image if there is one."""
    size = picture.size
    digests = [hashlib.blake2b(path.read_bytes()).hexdigest() for path in picture.files]
    random = random_of(picture.prompt, picture.details, digests)
    words = re.findall("[a-z]+", picture.prompt.lower())
    named: list[Any] = [ImageColor.getrgb(word) for word in words if word in ImageColor.colormap]
    colors = named[:4] or [random.uniform(20, 235, 3) for _ in range(3)]
    stops = np.array([*colors, [band * 0.3 for band in colors[0]]])
    scale = min(1.0, _CANVAS / max(size))
    y, x = np.mgrid[0 : max(8, round(size[1] * scale)), 0 : max(8, round(size[0] * scale))] / _CANVAS
    waves = [np.sin(x * a + y * b + c) for a, b, c in random.uniform((-12, -12, 0), (12, 12, 6), (3, 3))]
    level = (np.sum(waves, axis=0) + 3) / 6 * (len(stops) - 1)
    canvas = np.stack([np.interp(level, np.arange(len(stops)), stops[:, band]) for band in range(3)], axis=-1)
    image = Image.fromarray(canvas.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if picture.starting_image is not None:
        image = Image.blend(cover(picture.starting_image, size), image, picture.denoise)
    if picture.done < 1:
        noise = random.integers(0, 256, (size[1] // 4 + 1, size[0] // 4 + 1, 3), np.uint8)
        image = Image.blend(Image.fromarray(noise).resize(size), image, 0.35 + 0.65 * picture.done)
    return image


def cover(path: Path, size: tuple[int, int]) -> Image.Image:
    """Return an image file, cropped and scaled to fill a size."""
    return ImageOps.fit(opened(path), size, Image.Resampling.BICUBIC)
