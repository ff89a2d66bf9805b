"""Abstract images of any size, with colors taken from the words of the prompt.

Images are drawn in worker threads when a result or a preview is first read. They depend on their description alone:
the same description gives the same bytes with the same versions of NumPy and Pillow. No clock, metadata or global
random state is used.
"""

from __future__ import annotations

import colorsys
import hashlib
import io
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps

Color = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""

_WORDS: dict[str, tuple[str, ...]] = {
    # colors
    "red": ("8b0f1a", "d7263d", "ff6b6b"),
    "crimson": ("5c0a18", "b80c35", "e8476a"),
    "orange": ("9c3d00", "f46036", "ffb347"),
    "amber": ("7a4a00", "ffb300", "ffe08a"),
    "yellow": ("b58900", "ffd23f", "fff3a0"),
    "gold": ("6b4e00", "d4af37", "ffe9a8"),
    "golden": ("6b4e00", "d4af37", "ffe9a8"),
    "green": ("0b3d20", "2e8b57", "a8e6a1"),
    "emerald": ("00382a", "10a36f", "8be8c0"),
    "lime": ("3f6212", "a3e635", "ecfccb"),
    "teal": ("003b46", "07a6a6", "9fe7e2"),
    "turquoise": ("004c4c", "30d5c8", "c4fff9"),
    "cyan": ("003f5c", "00bcd4", "b2f5ff"),
    "blue": ("0b1d51", "1e5fd8", "9cc9ff"),
    "azure": ("0a2a66", "3fa7ff", "d6efff"),
    "indigo": ("1a103c", "4b3fbf", "a79cff"),
    "violet": ("2a0845", "8a2be2", "d9b3ff"),
    "purple": ("2d0a4e", "7b2cbf", "cda4f4"),
    "magenta": ("4a0033", "d6008f", "ff9be0"),
    "pink": ("8a2353", "ff6fae", "ffd1e6"),
    "rose": ("6d1430", "e8577e", "ffd0da"),
    "brown": ("2e1a0f", "7b4a2d", "c9a27e"),
    "black": ("050507", "1a1a22", "3b3b48"),
    "white": ("c9d1da", "eef2f6", "ffffff"),
    "grey": ("2b2f36", "767d88", "c6ccd4"),
    "gray": ("2b2f36", "767d88", "c6ccd4"),
    "silver": ("3a4048", "a9b4c0", "edf2f7"),
    # scenes
    "ocean": ("021b3a", "0f6fa8", "7fe0e0"),
    "sea": ("031f3d", "1379a8", "8fe3dc"),
    "lake": ("0a2d3f", "2f7f96", "b5e3e6"),
    "river": ("0d3040", "3a8fa3", "bfe8e4"),
    "forest": ("07210f", "2f6b3a", "b6d68a"),
    "jungle": ("05220f", "1f8a4c", "c6e36b"),
    "meadow": ("27521c", "7cb342", "f6e27f"),
    "mountain": ("1b2440", "5f7aa8", "e9eef6"),
    "mountains": ("1b2440", "5f7aa8", "e9eef6"),
    "snow": ("51719c", "bcd6ee", "ffffff"),
    "ice": ("1c4a73", "8fd0f0", "f2fcff"),
    "winter": ("24446b", "9cc4e4", "f7fbff"),
    "desert": ("6b3410", "e0a458", "ffe6b3"),
    "sunset": ("2d1b4e", "f2545b", "ffc15e"),
    "sunrise": ("34306b", "ff8a5c", "ffe3a0"),
    "dawn": ("33356b", "f79d84", "ffe8c7"),
    "autumn": ("4a1c0a", "c8553d", "f2b950"),
    "spring": ("3c6e47", "f4a6c0", "fdf0b8"),
    "summer": ("0b6e99", "ffc93c", "fff6cf"),
    "fire": ("2b0503", "e2431e", "ffcf56"),
    "lava": ("1c0402", "ff3d00", "ffb300"),
    "night": ("03051a", "1f2a63", "8fa3ff"),
    "moon": ("070b24", "4a5b96", "f4f1d8"),
    "space": ("05030f", "3c1c6e", "ff8ad4"),
    "galaxy": ("07031a", "5b2a9d", "4fd1ff"),
    "neon": ("0a0618", "ff2bd6", "21f0ff"),
    "cyberpunk": ("0d0221", "ff2a6d", "05d9e8"),
    "sky": ("1d5fa8", "7fc4ff", "f3fbff"),
    "storm": ("10151f", "46566b", "a9b9cc"),
    "city": ("11141f", "4d5b80", "ffcf7a"),
    "flower": ("3a5a40", "ef5d8f", "ffe066"),
    "flowers": ("3a5a40", "ef5d8f", "ffe066"),
    "lavender": ("3b2a5c", "9d83c9", "ece2ff"),
    "coffee": ("1f120b", "6f4e37", "d9b99b"),
}


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _color(code: str) -> Color:
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def _harmony(rng: random.Random) -> list[Color]:
    """Generate colors for words that name none: one hue, its neighbor and a contrast, from dark to light."""
    hue = rng.random()
    hues = (hue, hue + 0.06, hue + rng.choice((0.1, 0.42, 0.5)), hue + 0.03)
    shades = ((0.75, 0.18), (0.7, 0.5), (0.65, 0.85), (0.25, 0.98))
    return [colorsys.hsv_to_rgb(h % 1, s, v) for h, (s, v) in zip(hues, shades, strict=True)]


def brightness(color: Color) -> float:
    return 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]


def palette(prompt: str, avoid: str, rng: random.Random) -> list[Color]:
    """Return four or more colors from dark to light; words in ``avoid`` (a negative prompt) remove theirs."""
    unwanted = set(words(avoid))
    named = [word for word in dict.fromkeys(words(prompt)) if word in _WORDS and word not in unwanted][:4]
    colors = [_color(code) for word in named for code in _WORDS[word]]
    if not colors:
        colors = _harmony(rng)
    colors = [_jitter(color, rng) for color in colors]
    colors.sort(key=brightness)
    if len(colors) < 4:
        red, green, blue = (part * 0.35 for part in colors[0])
        colors.insert(0, (red, green, blue))
    return colors


def _jitter(color: Color, rng: random.Random) -> Color:
    hue, saturation, value = colorsys.rgb_to_hsv(*color)
    return colorsys.hsv_to_rgb(
        (hue + rng.uniform(-0.018, 0.018)) % 1,
        min(1.0, saturation * rng.uniform(0.9, 1.08)),
        min(1.0, value * rng.uniform(0.92, 1.06)),
    )


Field = NDArray[np.float32]

_CANVAS = 384
"""The longest side at which the image is composed; its soft shapes scale up well."""
_RIDGE_WORDS = {
    "mountain",
    "mountains",
    "hill",
    "hills",
    "desert",
    "dune",
    "landscape",
    "valley",
    "ocean",
    "sea",
    "lake",
}
_STAR_WORDS = {"space", "galaxy", "night", "stars", "star", "moon", "cosmos", "nebula", "universe"}


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
    _write(draw(picture), path, format)


def enlarge(source: Path, size: tuple[int, int], path: Path, format: str) -> None:
    """Write an image file at another size."""
    _write(_opened(source).resize(size, Image.Resampling.LANCZOS), path, format)


def _write(image: Image.Image, path: Path, format: str) -> None:
    options: dict[str, dict[str, int]] = {
        "png": {"compress_level": 1},
        "jpg": {"quality": 90},
        "webp": {"quality": 85},
    }
    names = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
    buffer = io.BytesIO()
    image.save(buffer, names[format], **options[format])
    path.write_bytes(buffer.getvalue())


def unreadable(path: Path) -> str | None:
    """Return why a worker cannot read an uploaded image, or None."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: the file is not a readable image"
    return None


def draw(picture: Picture) -> Image.Image:
    """Draw an image in RGB."""
    rng = rng_for(picture, "shapes")
    colors = palette(f"{picture.prompt} {picture.style_prompt}", picture.negative_prompt, rng_for(picture, "colours"))
    scale = min(1.0, _CANVAS / max(picture.width, picture.height))
    width, height = max(8, round(picture.width * scale)), max(8, round(picture.height * scale))
    canvas = _compose(picture, width, height, colors, rng)
    image = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8), "RGB")
    image = image.resize((picture.width, picture.height), Image.Resampling.BICUBIC)
    image = _with_loras(image, picture)
    image = _with_context(image, picture)
    image = _with_control(image, picture)
    if picture.starting_image is not None:
        image = Image.blend(cover(picture.starting_image, image.size), image, picture.denoise)
    return image if picture.done >= 1 else _unfinished(image, picture)


def rng_for(picture: Picture, purpose: str) -> random.Random:
    """Return the random number generator of an image for one purpose."""
    described = (
        picture.seed,
        picture.model,
        picture.prompt,
        picture.negative_prompt,
        picture.style_prompt,
        purpose,
    )
    digest = hashlib.blake2b(repr(described).encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))


def _compose(
    picture: Picture, width: int, height: int, colors: Sequence[Color], rng: random.Random
) -> NDArray[np.float32]:
    side = max(width, height)
    x, y = np.meshgrid(
        np.linspace(0, width / side, width, dtype=np.float32),
        np.linspace(0, height / side, height, dtype=np.float32),
    )
    named = set(words(f"{picture.prompt} {picture.style_prompt}"))
    style = rng.choice(("flow", "ridges", "orbs"))
    if named & _RIDGE_WORDS:
        style = "ridges"
    elif named & _STAR_WORDS:
        style = "orbs"
    canvas = _shaded(_flow(x, y, rng), colors)
    if style == "ridges":
        canvas = _sun(canvas * 0.25 + _shaded(1 - y / y.max(), colors) * 0.75, x, y, colors[-1], rng)
        canvas = _ridges(canvas, x, y, colors, rng)
    elif style == "orbs":
        canvas = _orbs(canvas * 0.55, x, y, colors, rng)
    else:
        canvas = _orbs(canvas, x, y, colors, rng, count=3)
    return canvas * _vignette(x, y)[..., None]


def _flow(x: Field, y: Field, rng: random.Random) -> Field:
    """Return a field of folded waves, 0 to 1."""
    u, v = x * 1.0, y * 1.0
    for _ in range(3):
        angle, pull, pitch = rng.uniform(0, 6.283), rng.uniform(0.05, 0.14), rng.uniform(3, 8)
        wave = np.sin((u * np.cos(angle) + v * np.sin(angle)) * pitch + rng.uniform(0, 6.283))
        u, v = u + pull * wave * np.float32(np.sin(angle)), v - pull * wave * np.float32(np.cos(angle))
    angle, pitch = rng.uniform(0, 6.283), rng.uniform(3.5, 7)
    field = np.sin((u * np.cos(angle) + v * np.sin(angle)) * pitch) * 0.6 + np.sin(u * 2.3 + v * 3.1) * 0.4
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-6), dtype=np.float32)


def _shaded(field: Field, colors: Sequence[Color]) -> NDArray[np.float32]:
    """Color a field: its lowest values with the first color, its highest with the last."""
    stops = np.linspace(0, 1, len(colors))
    parts = [np.interp(field, stops, [color[channel] for color in colors]) for channel in range(3)]
    return np.stack(parts, axis=-1).astype(np.float32)


def _blend(canvas: NDArray[np.float32], color: Color, share: Field) -> NDArray[np.float32]:
    mixed = canvas + (np.asarray(color, dtype=np.float32) - canvas) * share[..., None]
    return mixed.astype(np.float32)


def _inside(depth: Field, sharpness: float) -> Field:
    """Return 1 where ``depth`` is positive and 0 where it is negative, with a soft edge."""
    return np.asarray(1 / (1 + np.exp(np.clip(-depth * sharpness, -60, 60))), dtype=np.float32)


def _sun(canvas: NDArray[np.float32], x: Field, y: Field, color: Color, rng: random.Random) -> NDArray[np.float32]:
    cx, cy = rng.uniform(0.2, 0.8) * float(x.max()), rng.uniform(0.15, 0.45) * float(y.max())
    radius = rng.uniform(0.06, 0.13)
    distance = np.hypot(x - cx, y - cy)
    disc = _inside(radius - distance, 160)
    return _blend(canvas, color, np.clip(disc * 0.95 + 0.5 * np.exp(-((distance / (radius * 3)) ** 2)), 0, 1))


def _ridges(
    canvas: NDArray[np.float32], x: Field, y: Field, colors: Sequence[Color], rng: random.Random
) -> NDArray[np.float32]:
    """Draw ridges behind each other, the nearest darkest."""
    layers = rng.randint(4, 6)
    dark, pale = np.asarray(colors[0]), np.asarray(colors[len(colors) // 2])
    for layer in range(layers):
        near = (layer + 1) / layers
        line = np.float32((0.42 + 0.5 * near) * float(y.max()))
        for octave in range(1, 5):
            pitch, shift = rng.uniform(2, 4) * octave**1.35, rng.uniform(0, 6.283)
            line = line + np.sin(x * pitch + shift) * np.float32(0.075 / octave**1.1)
        mixed = pale * (1 - near) + dark * near
        color = (float(mixed[0]), float(mixed[1]), float(mixed[2]))
        canvas = _blend(canvas, color, _inside(y - line, 220) * np.float32(0.94))
    return canvas


def _orbs(
    canvas: NDArray[np.float32],
    x: Field,
    y: Field,
    colors: Sequence[Color],
    rng: random.Random,
    count: int | None = None,
) -> NDArray[np.float32]:
    """Draw soft, glowing discs and points of light between them."""
    for _ in range(count if count is not None else rng.randint(5, 8)):
        cx, cy = rng.random() * float(x.max()), rng.random() * float(y.max())
        radius, color = rng.uniform(0.03, 0.17), rng.choice(list(colors[len(colors) // 2 :]))
        distance = np.hypot(x - cx, y - cy)
        disc = _inside(radius - distance, 110)
        light = np.clip(1 - np.hypot(x - cx + radius / 3, y - cy + radius / 3) / (radius * 1.6), 0, 1)
        canvas = _blend(
            canvas, color, (disc * (0.35 + 0.6 * light) + 0.3 * np.exp(-((distance / (radius * 2.2)) ** 2)))
        )
    if count is None:
        for _ in range(90):
            row, column = rng.randrange(canvas.shape[0]), rng.randrange(canvas.shape[1])
            canvas[row, column] = 0.4 + 0.6 * rng.random()
    return np.clip(canvas, 0, 1)


def _vignette(x: Field, y: Field) -> Field:
    dx, dy = x / x.max() - 0.5, y / y.max() - 0.5
    return np.asarray(1 - 0.45 * (dx * dx + dy * dy), dtype=np.float32)


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def cover(path: Path, size: tuple[int, int]) -> Image.Image:
    """Return an image file, cropped and scaled to fill a size."""
    return ImageOps.fit(_opened(path), size, Image.Resampling.BICUBIC)


def _with_loras(image: Image.Image, picture: Picture) -> Image.Image:
    """Tint the image with the color of each LoRA, in order; negative strengths use the opposite color."""
    for lora_id, strength in picture.loras:
        digest = hashlib.blake2b(lora_id.encode(), digest_size=3).digest()
        color = tuple(part if strength >= 0 else 255 - part for part in digest)
        share = abs(strength) / (abs(strength) + 2)
        image = Image.blend(image, Image.new("RGB", image.size, color), share)
    return image


def _with_context(image: Image.Image, picture: Picture) -> Image.Image:
    """Blend each context image into a soft column of the image; a single one covers all of it."""
    count = len(picture.context_images)
    for index, path in enumerate(picture.context_images):
        shown = Image.blend(cover(path, image.size), image, 0.4)
        if count == 1:
            return shown
        mask = Image.new("L", image.size, 0)
        column = (image.width * index // count, 0, image.width * (index + 1) // count, image.height)
        mask.paste(255, column)
        soft = mask.filter(ImageFilter.BoxBlur(max(1, image.width // (count * 12))))
        image = Image.composite(shown, image, soft)
    return image


def _with_control(image: Image.Image, picture: Picture) -> Image.Image:
    """Draw the outlines of the ControlNet image over the image."""
    if picture.control_image is None:
        return image
    outlines = cover(picture.control_image, image.size).convert("L").filter(ImageFilter.FIND_EDGES)
    # The filter takes the border of the image for an outline.
    outlines = ImageOps.expand(ImageOps.crop(outlines, 2), 2, fill=0)
    share = 0.25 + 0.75 * picture.control_strength
    lines = ImageOps.autocontrast(outlines).point([round(value * share) for value in range(256)])
    return ImageChops.add(image, Image.merge("RGB", (lines, lines, lines)))


def _unfinished(image: Image.Image, picture: Picture) -> Image.Image:
    """Return the image under the remaining noise."""
    rng = rng_for(picture, f"noise {picture.done:.4f}")
    width, height = max(1, image.width // 4), max(1, image.height // 4)
    noise = Image.frombytes("RGB", (width, height), rng.randbytes(3 * width * height))
    blurred = image.filter(ImageFilter.GaussianBlur((1 - picture.done) * max(image.size) / 40))
    return Image.blend(noise.resize(image.size, Image.Resampling.NEAREST), blurred, 0.35 + 0.65 * picture.done)
