"""Images depend on their description, and on nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from attrs import evolve
from PIL import Image, ImageChops, ImageDraw, ImageStat

from sogni.emulator.media.codecs import unreadable
from sogni.emulator.media.pictures import Picture, draw, render

PLAIN = Picture(size=(96, 64), prompt="a quiet harbour", details=(1,))


def difference(one: Image.Image, two: Image.Image) -> float:
    """Return the mean difference per channel, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, two)).mean) / 3


def mean(image: Image.Image) -> list[float]:
    return ImageStat.Stat(image).mean


@pytest.fixture
def checkerboard(tmp_path: Path) -> Path:
    image = Image.new("RGB", (96, 64), "white")
    ImageDraw.Draw(image).rectangle((24, 16, 72, 48), fill="black")
    path = tmp_path / "board.png"
    image.save(path)
    return path


@pytest.mark.parametrize(("format", "name"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_the_same_description_gives_the_same_bytes(tmp_path: Path, format: str, name: str) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for path in files:
        render(PLAIN, path, format)
    assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(io.BytesIO(files[0].read_bytes())) as image:
        assert (image.format, image.size, image.info.get("exif")) == (name, (96, 64), None)


@pytest.mark.parametrize(
    "change",
    [
        {"details": (2,)},
        {"prompt": "a loud harbour"},
        {"files": (Path(__file__),)},
    ],
)
def test_every_part_of_the_description_shows(change: dict[str, object]) -> None:
    assert difference(draw(PLAIN), draw(evolve(PLAIN, **change))) > 2  # type: ignore[arg-type]


@pytest.mark.parametrize(("word", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_color_words_color_the_image(word: str, channel: int) -> None:
    averages = [mean(draw(evolve(PLAIN, prompt=f"something {word}", details=(seed,)))) for seed in range(5)]
    sums = [sum(average[part] for average in averages) for part in range(3)]
    assert max(sums) == sums[channel]


def test_a_starting_image_shows_in_proportion(checkerboard: Path) -> None:
    with Image.open(checkerboard) as start:
        distances = [
            difference(draw(evolve(PLAIN, starting_image=checkerboard, denoise=denoise)), start.convert("RGB"))
            for denoise in (0.0, 0.4, 0.8)
        ]
    assert distances[0] < 1 < distances[1] < distances[2]


def test_unfinished_work_comes_closer_to_the_result() -> None:
    whole = draw(PLAIN)
    early, late = (difference(whole, draw(evolve(PLAIN, done=done))) for done in (0.2, 0.9))
    assert early > late > 0


def test_extreme_shapes_can_be_drawn() -> None:
    assert draw(evolve(PLAIN, size=(1536, 16))).size == (1536, 16)


def test_a_file_that_is_not_an_image_is_recognized(tmp_path: Path, checkerboard: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(checkerboard.read_bytes()[:60])
    assert unreadable(checkerboard, None) is None
    assert unreadable(broken, "image")
    broken.write_bytes(b"")
    assert unreadable(broken, "image")
