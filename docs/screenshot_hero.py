"""Make `images/hero-*.webp`, a program next to what it generates, and `images/first-image.webp` of the tutorial."""

from __future__ import annotations

import base64
import io
import os
import tempfile
from pathlib import Path

import av
import numpy as np
from pictures import SCHEMES, save, take
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

WIDTH, HEIGHT = 1100, 440
PROGRAM = """\
from sogni import SogniClient

with SogniClient.local() as client:
    images = client.projects.create(
        type="image", model_id="krea2_turbo_fp8_scaled",
        positive_prompt="a lighthouse at dawn", number_of_media=4,
    )
    video = client.projects.create(
        type="video", model_id="wan_v2.2-14b-fp8_t2v_lightx2v",
        positive_prompt="waves roll onto a beach", duration=2,
    )
    song = client.projects.create(
        type="audio", model_id="ace_step_1.5_turbo",
        positive_prompt="sea shanty, accordion", duration=20,
    )
    for project in images, video, song:
        project.wait().save("out")
"""
SEED = 12
"""Of the emulator: without it, the picture would be another one every time."""
STYLES = {"light": "default", "dark": "github-dark"}
COLORS = {
    "light": "--page: #ffffff; --panel: #f4f6f9; --line: #d5dae2; --text: #1f2733; --quiet: #4d5866; --bar: #0a6e6a",
    "dark": "--page: #14181e; --panel: #1d232c; --line: #37404c; --text: #e4e8ee; --quiet: #a9b3c0; --bar: #4fd0c8",
}
STYLE = """
body { margin: 0; background: var(--page); color: var(--text); font: 14px/1.4 'DejaVu Sans', sans-serif }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; height: 440px }
section { border: 1px solid var(--line); border-radius: 10px; background: var(--panel); padding: 14px 16px;
  box-sizing: border-box; overflow: hidden }
pre { margin: 0; font: 13px/1.88 'DejaVu Sans Mono', monospace } .highlight { background: none !important }
.out { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; align-content: space-between }
figure { margin: 0 } figure img { width: 100%; border-radius: 6px; display: block }
figcaption, .done { font: 12px 'DejaVu Sans Mono', monospace; color: var(--quiet); margin-top: 5px }
.wide { grid-column: span 2 } .wide img { height: 150px; object-fit: cover }
.frame { position: relative } .frame svg { position: absolute; left: 50%; top: 50%; margin: -22px }
.wave { display: flex; align-items: center; gap: 2px; height: 150px; border: 1px solid var(--line); border-radius: 6px;
  padding: 0 12px; box-sizing: border-box } .wave i { flex: 1; background: var(--bar); border-radius: 2px }
.done { grid-column: span 4; margin: 0 } .done b { color: var(--bar); font-weight: normal }
"""
PLAY = (
    '<svg width="44" height="44"><circle cx="22" cy="22" r="22" fill="#000a"/>'
    '<path d="M17 13l16 9-16 9z" fill="#fff"/></svg>'
)


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        exec(PROGRAM.replace("local()", f"local(seed={SEED})"), {})
        images = [shown(Image.open(path)) for path in sorted(Path("out").glob("*.png"))]
        (video,), (song,) = Path("out").glob("*.mp4"), Path("out").glob("*.mp3")
        with Image.open(min(Path("out").glob("*.png"))) as first:
            save(first.resize((480, 480)), "first-image")
        results = "".join(
            f'<figure><img src="{url}"><figcaption>image-{number}.png</figcaption></figure>'
            for number, url in enumerate(images)
        )
        with av.open(video) as container:
            frame = shown(next(container.decode(video=0)).to_image())
        results += f'<figure class="wide"><div class="frame"><img src="{frame}">{PLAY}</div>'
        results += "<figcaption>video.mp4, 2 s</figcaption></figure>"
        bars = "".join(f'<i style="height: {height}px"></i>' for height in waveform(song, 48))
        results += (
            f'<figure class="wide"><div class="wave">{bars}</div><figcaption>song.mp3, 20 s</figcaption></figure>'
        )
        done = f'<div class="done"><b>{"█" * 30}</b> 100% completed</div>'
        pages = {scheme: Path(f"{scheme}.html").absolute() for scheme in SCHEMES}
        for scheme, page in pages.items():
            formatter = HtmlFormatter(style=STYLES[scheme])
            page.write_text(
                f"<style>:root {{ {COLORS[scheme]} }} {formatter.get_style_defs()} {STYLE}</style><main>"
                f"<section>{highlight(PROGRAM, PythonLexer(), formatter)}</section>"
                f'<section class="out">{done}{results}</section></main>',
                encoding="utf-8",
            )
        take(pages, "hero", WIDTH, HEIGHT, scale=1.5)


def shown(image: Image.Image) -> str:
    """Return a small copy of an image as a URL."""
    image.thumbnail((560, 560))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def waveform(path: Path, number: int) -> list[int]:
    """Return the heights of the bars for a song, in pixels."""
    with av.open(path) as container:
        samples = np.concatenate([np.abs(frame.to_ndarray()[0]) for frame in container.decode(audio=0)])
    loudness = np.array([part.mean() for part in np.array_split(samples, number)])
    loudness -= 0.9 * loudness.min()
    return [int(height) for height in 120 * loudness / loudness.max()]


main()
