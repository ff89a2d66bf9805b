"""Format detection, reading of references, deterministic writing."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sogni.emulator.media.codecs import audio_blocks, forms_of, misplaced, undecodable, video_frames, write_video
from tests.emulator.media.helpers import clip, picture, tone

FRAMES = [Image.new("RGB", (480, 320), (20 * index, 100, 250 - 20 * index)) for index in range(12)]
BOX = b"\x00\x00\x00\x20ftyp"


@pytest.mark.parametrize(
    ("head", "forms"),
    [
        (b"\x89PNG\r\n\x1a\n", {"image"}),
        (b"\xff\xd8\xff\xe0", {"image"}),
        (b"GIF89a", {"image"}),
        (b"RIFF....WEBP", {"image"}),
        (BOX + b"avif", {"image"}),
        (BOX + b"M4A ", {"audio"}),
        (BOX + b"qt  ", {"video"}),
        (BOX + b"isom", {"audio", "video"}),
        (b"RIFF....WAVE", {"audio"}),
        (b"ID3\x04", {"audio"}),
        (b"fLaC", {"audio"}),
        (b"\xff\xfb\x90", {"audio"}),
        (b"OggS", {"audio", "video"}),
        (b"\x1a\x45\xdf\xa3", {"audio", "video"}),
        (b"RIFF....AVI ", set()),
        (b"plain text", set()),
        (b"", set()),
    ],
)
def test_the_first_bytes_identify_a_file(head: bytes, forms: set[str]) -> None:
    assert forms_of(head) == forms


def test_other_roles_are_not_checked(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"plain")
    assert misplaced({"startingImage": tmp_path / "x"}) is None
    assert misplaced({"referenceMask": tmp_path / "x"}) is not None


def test_writing_a_video_is_deterministic(tmp_path: Path) -> None:
    def digest(number: int) -> str:
        path = tmp_path / f"{number}.mp4"
        write_video(path, FRAMES, Fraction(16), None, "mp4")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    with ThreadPoolExecutor(2) as executor:
        assert len(set(executor.map(digest, range(12)))) == 1


def seen(path: Path, fps: int, count: int, start: float) -> list[bool]:
    """Return for each frame whether it shows the white half of the clip."""
    frames = video_frames(path, (32, 32), Fraction(fps), count, start)
    return [image.getpixel((16, 16))[0] > 128 for image in frames]


def test_a_video_is_read_at_any_rate_from_any_moment(tmp_path: Path) -> None:
    # One second black, one second white.
    clip(tmp_path / "clip.mp4", frames=24, fps=12)
    path = tmp_path / "clip.mp4"
    assert seen(path, 12, 24, 0) == [False] * 12 + [True] * 12
    assert seen(path, 24, 48, 0) == [False] * 24 + [True] * 24
    assert seen(path, 4, 8, 0) == [False] * 4 + [True] * 4
    assert seen(path, 12, 6, 0.75) == [False] * 3 + [True] * 3
    assert seen(path, 4, 12, 1) == [True] * 12
    assert seen(path, 4, 2, 30) == [True] * 2


def test_sound_is_cut_and_padded(tmp_path: Path) -> None:
    # One second of silence, one second of a tone.
    path = tmp_path / "tone.wav"
    path.write_bytes(tone(2))
    sound = np.concatenate(list(audio_blocks(path, 96_000, 0.75, 0.5)), axis=1)
    assert sound.shape == (2, 96_000)
    loud = np.abs(sound[0]) > 0.05
    assert not loud[:11_500].any()
    assert loud[12_500:23_500].mean() > 0.8
    assert not loud[24_000:].any()


def test_files_without_sound_or_frames_are_recognized(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("clip.mp4", "tone.wav", "face.png", "cut.mp4")]
    content = clip(paths[0])
    for path, given in zip(paths[1:], (tone(1), picture("red"), content[:40]), strict=True):
        path.write_bytes(given)
    assert undecodable(paths[0], "video") is undecodable(paths[1], "audio") is None
    assert undecodable(paths[0], "audio") is not None
    assert undecodable(paths[1], "video") is not None
    assert undecodable(paths[2], "audio") is not None
    assert undecodable(paths[3], "video") is not None
