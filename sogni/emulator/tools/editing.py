"""Joining pieces of videos into one, and reading subtitles. Frames and sound are read and written piece by piece."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from attrs import frozen

from sogni.emulator.media.codecs import SAMPLE_RATE, Samples, audio_blocks, source_of, video_frames, write_video
from sogni.emulator.media.pictures import cover
from sogni.emulator.tools.media_library import ToolError


@frozen
class Piece:
    """A segment of a video, in seconds. ``sound`` is whether the video has any."""

    video: Path
    start: float
    seconds: float
    sound: bool


def write_film(pieces: Sequence[Piece], size: tuple[int, int], audio: Path | None, path: Path) -> None:
    """Write the pieces as one MP4 with the frame rate of the first; ``audio`` replaces their sound."""
    rate = source_of(pieces[0].video)[1]
    counts = [max(1, round(piece.seconds * rate)) for piece in pieces]
    pictures = (
        frame
        for piece, count in zip(pieces, counts, strict=True)
        for frame in video_frames(piece.video, size, rate, count, piece.start)
    )
    silent = audio is None and not any(piece.sound for piece in pieces)
    write_video(path, pictures, rate, None if silent else _sound(pieces, counts, rate, audio), "mp4")


def _sound(pieces: Sequence[Piece], counts: Sequence[int], rate: Fraction, audio: Path | None) -> Iterator[Samples]:
    if audio is not None:
        total = sum(counts) / rate
        yield from audio_blocks(audio, round(total * SAMPLE_RATE), 0.0, float(total))
        return
    for piece, count in zip(pieces, counts, strict=True):
        samples = round(count / rate * SAMPLE_RATE)
        if piece.sound:
            yield from audio_blocks(piece.video, samples, piece.start, piece.seconds)
        else:
            yield np.zeros((2, samples), dtype=np.float32)


def write_still(video: Path, seconds: float, size: tuple[int, int], path: Path) -> None:
    """Write the frame of a video at a time as PNG; after its end, the last one."""
    next(video_frames(video, size, Fraction(24), 1, max(0.0, seconds))).save(path, "PNG", compress_level=1)


def write_enlarged(image: Path, size: tuple[int, int], path: Path) -> None:
    cover(image, size).save(path, "PNG", compress_level=1)


_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"{_TIME}\s*-->\s*{_TIME}[^\n]*\n(.*?)(?=\n\s*\n|\Z)", re.DOTALL)


def parse_subtitles(text: str) -> list[tuple[float, float, str]]:
    """Parse SRT or VTT."""
    cues = []
    for *times, words in _CUE.findall(text.replace("\r\n", "\n").replace("\ufeff", "")):
        start, end = (
            int(hours or 0) * 3600 + int(minutes) * 60 + float(f"{seconds}.{part}")
            for hours, minutes, seconds, part in (times[:4], times[4:])
        )
        if end > start:
            cues.append((start, end, re.sub(r"<[^>]+>", "", words).strip()))
    if not cues:
        raise ToolError("INVALID_ARGUMENTS", "srt contains no valid cue")
    return cues
