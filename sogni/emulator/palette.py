"""The colours of a picture, taken from the words of its prompt.

Called by the renderer. The same words always give the same colours.
"""

from __future__ import annotations

import colorsys
import random
import re

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""

_WORDS: dict[str, tuple[str, ...]] = {
    # colours
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


def _colour(code: str) -> Colour:
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def _harmony(chance: random.Random) -> list[Colour]:
    """Make up colours for words that name none: one hue, its neighbour and a contrast, from dark to light."""
    hue = chance.random()
    hues = (hue, hue + 0.06, hue + chance.choice((0.1, 0.42, 0.5)), hue + 0.03)
    shades = ((0.75, 0.18), (0.7, 0.5), (0.65, 0.85), (0.25, 0.98))
    return [colorsys.hsv_to_rgb(h % 1, s, v) for h, (s, v) in zip(hues, shades, strict=True)]


def brightness(colour: Colour) -> float:
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def palette(prompt: str, avoid: str, chance: random.Random) -> list[Colour]:
    """Return four or more colours from dark to light. Words in ``avoid`` (a negative prompt) lose theirs."""
    unwanted = set(words(avoid))
    named = [word for word in dict.fromkeys(words(prompt)) if word in _WORDS and word not in unwanted][:4]
    colours = [_colour(code) for word in named for code in _WORDS[word]]
    if not colours:
        colours = _harmony(chance)
    colours = [_jitter(colour, chance) for colour in colours]
    colours.sort(key=brightness)
    if len(colours) < 4:
        red, green, blue = (part * 0.35 for part in colours[0])
        colours.insert(0, (red, green, blue))
    return colours


def _jitter(colour: Colour, chance: random.Random) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    return colorsys.hsv_to_rgb(
        (hue + chance.uniform(-0.018, 0.018)) % 1,
        min(1.0, saturation * chance.uniform(0.9, 1.08)),
        min(1.0, value * chance.uniform(0.92, 1.06)),
    )
