"""Video and music through the SDK, from the call to the saved file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sogni import SogniClient
from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import LTX, WAN, as_image, clip, distance, opened, picture, tone


@pytest.fixture
def client(supernet: LocalSupernet) -> Iterator[SogniClient]:
    with supernet.client() as client:
        yield client


def test_an_image_and_speech_become_a_saved_video(supernet: LocalSupernet, client: SogniClient, tmp_path: Path) -> None:
    (tmp_path / "face.png").write_bytes(picture("darkred"))
    (tmp_path / "speech.wav").write_bytes(tone(2))
    project = client.projects.create(
        type="video",
        model_id=f"{WAN}_s2v_lightx2v",
        positive_prompt="a lighthouse keeper speaks",
        reference_image=tmp_path / "face.png",
        reference_audio=tmp_path / "speech.wav",
        duration=1.5,
        width=480,
        height=480,
    )
    (path,) = project.wait(timeout=30).save(tmp_path / "out")
    video = opened(path.read_bytes())
    assert path.suffix == ".mp4"
    assert (len(video.frames), video.fps, video.frames[0].size) == (25, 16, (480, 480))
    assert video.seconds == pytest.approx(25 / 16, abs=0.05)
    assert distance(video.frames[0], as_image(picture("darkred"))) < 6
    assert supernet.violations == []


def test_a_video_is_followed(supernet: LocalSupernet, client: SogniClient, tmp_path: Path) -> None:
    clip(tmp_path / "clip.mp4")
    project = client.projects.create(
        type="video",
        model_id=f"{LTX}_v2v_distilled",
        positive_prompt="ink on paper",
        reference_video=tmp_path / "clip.mp4",
        control_net={"name": "canny", "strength": 0.6},
        frames=25,
        fps=24,
        width=640,
        height=640,
    )
    (path,) = project.wait(timeout=30).save(tmp_path / "out")
    assert len(opened(path.read_bytes()).frames) == 25
    assert supernet.violations == []


def test_versions_of_a_song_are_saved_in_their_format(
    supernet: LocalSupernet, client: SogniClient, tmp_path: Path
) -> None:
    project = client.projects.create(
        type="audio",
        model_id="ace_step_1.5_turbo",
        positive_prompt="a quiet song",
        number_of_media=2,
        duration=11,
        keyscale="A minor",
        output_format="flac",
    )
    paths = project.wait(timeout=30).save(tmp_path / "out")
    assert [path.suffix for path in paths] == [".flac", ".flac"]
    assert [opened(path.read_bytes()).seconds for path in paths] == [11, 11]
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert supernet.violations == []
