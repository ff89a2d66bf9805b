"""Format detection and deterministic writing."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from sogni.emulator.media.codecs import forms_of, misplaced, unreadable, write_video
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


def test_files_without_sound_or_frames_are_recognized(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("clip.mp4", "tone.wav", "face.png", "cut.mp4")]
    content = clip(paths[0])
    for path, given in zip(paths[1:], (tone(1), picture("red"), content[:40]), strict=True):
        path.write_bytes(given)
    assert unreadable(paths[0], "video") is unreadable(paths[1], "audio") is None
    assert unreadable(paths[0], "audio") is not None
    assert unreadable(paths[1], "video") is not None
    assert unreadable(paths[2], "audio") is not None
    assert unreadable(paths[3], "video") is not None
