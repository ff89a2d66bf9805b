"""Every example that makes video or music runs against the emulator, and its results are opened with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import Opened, as_image, clip, distance, opened, picture, tone
from tests.examples.conftest import Run

pytestmark = pytest.mark.integration


Make = Callable[..., Opened]
FACE, ROOM = picture("darkred"), picture("navy")


@pytest.fixture(scope="module")
def shared_supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as running:
        yield running


@pytest.fixture
def supernet(shared_supernet: LocalSupernet) -> LocalSupernet:
    """As if it had just been started."""
    shared_supernet.reset()
    return shared_supernet


@pytest.fixture
def run_there(supernet: LocalSupernet, run: Run) -> Run:
    """Run an example with the account of the Supernet."""
    return partial(
        run,
        SOGNI_API_KEY=supernet.api_key,
        SOGNI_REST_ENDPOINT=supernet.rest_endpoint,
        SOGNI_SOCKET_ENDPOINT=supernet.socket_endpoint,
    )


@pytest.fixture
def make(supernet: LocalSupernet, run_there: Run, tmp_path: Path) -> Make:
    """Run an example beside a few files and open the one video it makes; the service minded nothing."""
    (tmp_path / "face.png").write_bytes(FACE)
    (tmp_path / "room.png").write_bytes(ROOM)
    (tmp_path / "sound.wav").write_bytes(tone(3))
    clip(tmp_path / "dance.mp4")

    def made(name: str, *arguments: str) -> Opened:
        (line,) = run_there(name, *arguments)
        assert line.endswith(".mp4")
        assert supernet.violations == []
        return opened((tmp_path / line).read_bytes())

    return made


def shape(video: Opened) -> tuple[int, float, tuple[int, int], bool]:
    """Number of frames, frames per second, size, and whether there is sound."""
    return len(video.frames), float(video.fps or 0), video.frames[0].size, video.samples is not None


def workflow(supernet: LocalSupernet) -> str:
    """The model of the last request."""
    requests = [it.data for it in supernet.requests if getattr(it, "type", None) == "jobRequest"]
    return str(requests[-1]["keyFrames"][0]["modelID"])


def seen(one: Image.Image, content: bytes) -> bool:
    return distance(one, as_image(content)) < 10


def test_video_from_text_with_sound(make: Make, supernet: LocalSupernet) -> None:
    video = make("video_from_text.py", "a red boat", "--family", "ltx")
    assert workflow(supernet) == "ltx23-22b-fp8_t2v_distilled"
    # Of 101 frames the nearest of 1, 9, 17, … that the model makes.
    assert shape(video) == (105, 25, (768, 640), True)
    assert video.seconds == pytest.approx(105 / 25, abs=0.05)


@pytest.mark.parametrize(("family", "frames", "fps", "sound"), [("wan", 17, 16, False), ("ltx", 97, 24, True)])
def test_video_from_an_image(make: Make, family: str, frames: int, fps: int, sound: bool) -> None:
    video = make("video_from_an_image.py", "face.png", "--family", family)
    assert shape(video) == (frames, fps, (640, 640), sound)
    assert seen(video.frames[0], FACE)


def test_video_between_two_images(make: Make) -> None:
    video = make("video_from_an_image.py", "face.png", "room.png")
    assert (seen(video.frames[0], FACE), seen(video.frames[-1], ROOM)) == (True, True)


def test_talking_portrait(make: Make, supernet: LocalSupernet) -> None:
    video = make("talking_portrait.py", "--portrait", "face.png", "--recording", "sound.wav")
    assert workflow(supernet) == "wan_v2.2-14b-fp8_s2v_lightx2v"
    assert shape(video) == (25, 16, (480, 480), True)
    assert (video.sample_rate, video.seconds) == (48000, pytest.approx(25 / 16, abs=0.05))
    assert seen(video.frames[0], FACE)


@pytest.mark.parametrize("way", ["move", "replace"])
def test_dance_along(make: Make, supernet: LocalSupernet, tmp_path: Path, way: str) -> None:
    video = make("dance_along.py", way, "--person", "face.png", "--dance", "dance.mp4")
    assert workflow(supernet) == f"wan_v2.2-14b-fp8_animate-{way}_lightx2v"
    assert shape(video) == (33, 32, (480, 480), False)
    # The person is drawn over the dance.
    dance = opened((tmp_path / "dance.mp4").read_bytes()).frames[0].resize((480, 480))
    assert distance(video.frames[0], as_image(FACE)) < distance(dance, as_image(FACE))
    assert distance(video.frames[0], dance) < distance(as_image(FACE), dance)


@pytest.mark.parametrize(("inputs", "used"), [(["sound.wav"], "a2v"), (["sound.wav", "face.png"], "ia2v")])
def test_sound_to_video(make: Make, supernet: LocalSupernet, inputs: list[str], used: str) -> None:
    video = make("sound_to_video.py", *inputs)
    assert workflow(supernet) == f"ltx23-22b-fp8_{used}_distilled"
    assert shape(video) == (97, 24, (640, 640), True)
    assert (video.sample_rate, video.seconds) == (48000, pytest.approx(97 / 24, abs=0.05))
    assert seen(video.frames[0], FACE) == (used == "ia2v")


@pytest.mark.parametrize(
    "inputs",
    [[], ["--control-net", "depth"], ["--control-net", "pose", "--image", "face.png"]],
    ids=["canny", "depth", "pose"],
)
def test_restyle_a_video(make: Make, supernet: LocalSupernet, inputs: list[str]) -> None:
    video = make("restyle_a_video.py", "dance.mp4", *inputs)
    assert workflow(supernet) == "ltx23-22b-fp8_v2v_distilled"
    assert shape(video) == (97, 24, (640, 640), False)


@pytest.mark.parametrize(
    "inputs",
    [
        ["face.png"],
        ["dance.mp4"],
        ["https://cdn.example.com/a.png", "https://cdn.example.com/b.mp4", "https://cdn.example.com/c.mp3"],
    ],
    ids=["image", "video", "multimodal"],
)
def test_seedance(make: Make, inputs: list[str]) -> None:
    video = make("seedance.py", *inputs)
    assert shape(video) == (97, 24, (640, 480), True)
    assert video.seconds == pytest.approx(97 / 24, abs=0.05)
    if inputs == ["face.png"]:
        assert seen(video.frames[0], FACE)


@pytest.mark.parametrize(("wanted", "versions"), [("wav", 3), ("flac", 1)])
def test_song(run_there: Run, supernet: LocalSupernet, tmp_path: Path, wanted: str, versions: int) -> None:
    lines = run_there("song.py", "--format", wanted, "--versions", str(versions))
    assert lines == [f"out/shanty-{index}.{wanted}" for index in range(versions)]
    contents = [(tmp_path / line).read_bytes() for line in lines]
    assert len(set(contents)) == versions
    for song in map(opened, contents):
        assert (song.format, song.sample_rate) == (wanted, 48000)
        assert song.seconds == pytest.approx(12, abs=0.1)
    assert supernet.violations == []
