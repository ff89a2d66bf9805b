"""The examples of tools run against the emulator, and what they make is opened."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image

from tests.examples.conftest import Run


def test_own_function(run: Run) -> None:
    lines = run("own_function.py", "What", "is", "the", "weather", "in", "Lisbon?")
    assert lines[0] == 'get_weather({"city": "Lisbon"}) -> sun, 19 °C'
    assert "sun, 19 °C" in lines[-1]


def test_media_from_a_sentence(tmp_path: Path, run: Run) -> None:
    lines = run("media_from_a_sentence.py")
    assert lines[-2:] == ["out/generate_image-0.png", "out/generate_video-1.mp4"]
    assert "generate_video: completed" in lines
    with Image.open(tmp_path / lines[-2]) as image:
        image.load()
    with av.open(str(tmp_path / lines[-1])) as film:
        assert next(film.decode(video=0)).width > 0
