"""What the scripts that make the pictures of the documentation share."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
SCHEMES = ("light", "dark")
sys.path.insert(0, str(DOCS.parent))

from tests.browser import Browser  # noqa: E402


def look(browser: Any, width: int, height: int, scheme: str, scale: float = 1.0) -> None:
    """Set the size of the window in CSS pixels, the preferred colors, and the pixels of the picture per CSS pixel."""
    browser.look(width, height, dark=scheme == "dark")
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **metrics)


def shot(browser: Any) -> Image.Image:
    """Return what the browser displays."""
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return Image.open(io.BytesIO(browser.picture())).convert("RGB")


def save(picture: Image.Image, name: str, quality: int = 82) -> None:
    """Write `images/<name>.webp`."""
    picture.save(IMAGES / f"{name}.webp", quality=quality, method=6)


def take(pages: dict[str, Path], name: str, width: int, height: int, scale: float = 1.0) -> None:
    """Write `images/<name>-<scheme>.webp`, pictures of one page for each color scheme."""
    with Browser() as browser:
        for scheme, page in pages.items():
            look(browser, width, height, scheme, scale)
            browser.open(page.as_uri())
            browser.wait("[...document.images].every((it) => it.complete)")
            save(shot(browser), f"{name}-{scheme}")
