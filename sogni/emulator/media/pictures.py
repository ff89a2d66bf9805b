"""Abstract images of any size, with the colors that the prompt names.

Images are drawn in worker threads when a result or a preview is first read. They depend on their description alone:
the same description gives the same bytes with the same versions of NumPy and Pillow. No clock, metadata or global
random state is used.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageColor, ImageFilter, ImageOps

_CANVAS = 256
"""The longest side at which the image is composed; its soft shapes scale up well."""
_DISCS = 5


@frozen(kw_only=True)
class Picture:
    """The description of an image. ``done`` below 1 gives an unfinished image: low contrast, much noise."""

    width: int
    height: int
    seed: int
    model: str
    prompt: str
    negative_prompt: str = ""
    style_prompt: str = ""
    starting_image: Path | None = None
    denoise: float = 1.0
    context_images: tuple[Path, ...] = ()
    control_image: Path | None = None
    control_strength: float = 0.5
    loras: tuple[tuple[str, float], ...] = ()
    done: float = 1.0


def render(picture: Picture, path: Path, format: str) -> None:
    """Draw an image and write it as ``png``, ``jpg`` or ``webp``."""
    write(draw(picture), path, format)


def enlarge(source: Path, size: tuple[int, int], path: Path, format: str) -> None:
    """Write an image file at another size."""
    write(opened(source).resize(size, Image.Resampling.LANCZOS), path, format)


def write(image: Image.Image, path: Path, format: str) -> None:
    options: dict[str, Any] = {"png": {"compress_level": 1}, "jpg": {"quality": 90}, "webp": {"quality": 85}}[format]
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if format == "jpg" else format.upper(), **options)
    path.write_bytes(buffer.getvalue())


def unreadable(path: Path) -> str | None:
    """Return why a worker cannot read an uploaded image, or None."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: the file is not a readable image"
    return None


def random_of(*described: object) -> np.random.Generator:
    """Return a random number generator that depends on a description alone."""
    digest = hashlib.blake2b(repr(described).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def draw(picture: Picture) -> Image.Image:
    """Draw an image in RGB: waves and discs in the colors of the prompt, then whatever was uploaded for it."""
    size = picture.width, picture.height
    prompts = picture.prompt, picture.style_prompt, picture.negative_prompt
    random = random_of(picture.seed, picture.model, *prompts)
    words = re.findall("[a-z]+", f"{picture.prompt} {picture.style_prompt}".lower())
    named: list[Any] = [ImageColor.getrgb(word) for word in words if word in ImageColor.colormap]
    colors = named[:4] or [random.uniform(20, 235, 3) for _ in range(3)]
    dark = [band * 0.3 for band in colors[0]]
    image = _composed(size, np.array([*colors, dark], np.float32), random)
    for lora_id, strength in picture.loras:
        # Each LoRA has a color; negative strengths use the opposite one.
        tint = hashlib.blake2b(lora_id.encode(), digest_size=3).digest()
        color = tuple(part if strength >= 0 else 255 - part for part in tint)
        image = Image.blend(image, Image.new("RGB", size, color), abs(strength) / (abs(strength) + 2))
    for index, path in enumerate(picture.context_images):
        # Each shows in a column of its own.
        left, right = (picture.width * it // len(picture.context_images) for it in (index, index + 1))
        image.paste(Image.blend(cover(path, size), image, 0.4).crop((left, 0, right, picture.height)), (left, 0))
    if picture.control_image is not None:
        outlines = cover(picture.control_image, size).filter(ImageFilter.FIND_EDGES)
        image = ImageChops.add(image, outlines.point(lambda value: value * (0.25 + 0.75 * picture.control_strength)))
    if picture.starting_image is not None:
        image = Image.blend(cover(picture.starting_image, size), image, picture.denoise)
    if picture.done < 1:
        noise = random.integers(0, 256, (picture.height // 4 + 1, picture.width // 4 + 1, 3), np.uint8)
        image = Image.blend(Image.fromarray(noise).resize(size), image, 0.35 + 0.65 * picture.done)
    return image


def _composed(size: tuple[int, int], colors: NDArray[np.float32], random: np.random.Generator) -> Image.Image:
    scale = min(1.0, _CANVAS / max(size))
    width, height = (max(8, round(side * scale)) for side in size)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(max(width, height))
    waves = sum(
        np.sin(x * np.float32(random.uniform(-9, 9)) + y * np.float32(random.uniform(-9, 9)) + random.uniform(0, 6))
        for _ in range(3)
    )
    level = (np.asarray(waves, np.float32) + 3) / 6 * (len(colors) - 1)
    stops = np.arange(len(colors))
    canvas = np.stack([np.interp(level, stops, colors[:, band]) for band in range(3)], axis=-1)
    for _ in range(_DISCS):
        distance = np.hypot(x - random.uniform(0, x.max()), y - random.uniform(0, y.max()))
        inside = np.clip((random.uniform(0.04, 0.16) - distance) * 60, 0, 1)[..., None]
        canvas += (colors[random.integers(len(colors))] * np.float32(random.uniform(0.7, 1.3)) - canvas) * inside
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def opened(path: Path) -> Image.Image:
    """Return an image file in RGB, upright."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def cover(path: Path, size: tuple[int, int]) -> Image.Image:
    """Return an image file, cropped and scaled to fill a size."""
    return ImageOps.fit(opened(path), size, Image.Resampling.BICUBIC)
