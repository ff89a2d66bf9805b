"""Films put together from pieces of others: hard cuts or transitions, sound and all.

Called by the cutting tools; runs in worker threads. Pictures are read and written one after the other, the sound
piece by piece.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import frozen
from PIL import Image

from ..encoding import SAMPLE_RATE, Samples, write_video
from ..reference_media import audio_blocks, video_frames
from .facts import probe

Transition = Literal["fade", "dissolve", "wipeleft", "wiperight", "slideup", "slidedown"]
_DEFAULT_RATE = Fraction(24)
_FINEST_RATE = 1001


@frozen(kw_only=True)
class Piece:
    """A stretch of a video, in seconds. ``sound`` is the file that is heard with it, from ``sound_start`` on; None
    for silence."""

    video: Path
    start: float = 0.0
    seconds: float
    sound: Path | None = None
    sound_start: float = 0.0


@frozen(kw_only=True)
class Film:
    """What is put together. ``audio`` replaces the sound of all pieces. ``dress`` draws on a picture, given its
    moment in seconds."""

    pieces: Sequence[Piece]
    size: tuple[int, int]
    transition: Transition | None = None
    overlap: float = 0.0
    audio: Path | None = None
    dress: Callable[[Image.Image, float], Image.Image] | None = None

    @property
    def seconds(self) -> float:
        return max(0.0, sum(piece.seconds for piece in self.pieces) - self.overlap * (len(self.pieces) - 1))


def write_film(film: Film, path: Path) -> None:
    """Write an MP4 at the frame rate of the first piece."""
    rate = frame_rate(film.pieces[0].video)
    counts = [max(1, round(piece.seconds * rate)) for piece in film.pieces]
    overlap = min(round(film.overlap * rate), *(count // 2 for count in counts)) if film.transition else 0
    pictures = _pictures(film, rate, counts, overlap)
    total = sum(counts) - overlap * (len(counts) - 1)
    silent = film.audio is None and all(piece.sound is None for piece in film.pieces)
    sound = None if silent else _sound(film, rate, counts, overlap, total)
    write_video(path, pictures, rate, sound, "mp4")


def frame_rate(path: Path) -> Fraction:
    facts = probe(path, "video")
    if facts is None or not facts.frame_rate:
        return _DEFAULT_RATE
    return Fraction(facts.frame_rate).limit_denominator(_FINEST_RATE)


def picture_at(video: Path, seconds: float, size: tuple[int, int]) -> Image.Image:
    """Return what a video shows at a moment; after its end, its last picture."""
    return next(video_frames(video, size, _DEFAULT_RATE, 1, max(0.0, seconds)))


def _pictures(film: Film, rate: Fraction, counts: Sequence[int], overlap: int) -> Iterator[Image.Image]:
    tail: list[Image.Image] = []
    shown = 0
    for number, (piece, count) in enumerate(zip(film.pieces, counts, strict=True)):
        frames = video_frames(piece.video, film.size, rate, count, piece.start)
        kept = overlap if number < len(counts) - 1 else 0
        waiting: deque[Image.Image] = deque()
        for index, frame in enumerate(frames):
            if index < len(tail):
                frame = _between(tail[index], frame, (index + 1) / (len(tail) + 1), film.transition or "fade")
            waiting.append(frame)
            if len(waiting) > kept:
                yield _dressed(film, waiting.popleft(), shown / rate)
                shown += 1
        tail = list(waiting)


def _dressed(film: Film, frame: Image.Image, moment: Fraction) -> Image.Image:
    # A held picture is given out again and again: never draw on it.
    return frame if film.dress is None else film.dress(frame.copy(), float(moment))


def _between(old: Image.Image, new: Image.Image, share: float, transition: Transition) -> Image.Image:
    """Return the picture when a share of a transition is over."""
    if transition in ("fade", "dissolve"):
        return Image.blend(old, new, share)
    across, down = round(old.width * share), round(old.height * share)
    mixed = old.copy()
    if transition == "wipeleft":
        mixed.paste(new.crop((old.width - across, 0, old.width, old.height)), (old.width - across, 0))
    elif transition == "wiperight":
        mixed.paste(new.crop((0, 0, across, old.height)), (0, 0))
    elif transition == "slideup":
        mixed.paste(new, (0, old.height - down))
    else:
        mixed.paste(new, (0, down - old.height))
    return mixed


def _sound(film: Film, rate: Fraction, counts: Sequence[int], overlap: int, total: int) -> Iterator[Samples]:
    """Yield the sound of the film in blocks of a second at most."""
    if film.audio is not None:
        yield from audio_blocks(film.audio, round(total / rate * SAMPLE_RATE), 0.0, float(total / rate))
        return
    shared = round(overlap / rate * SAMPLE_RATE)
    tail = np.zeros((2, 0), dtype=np.float32)
    for number, (piece, count) in enumerate(zip(film.pieces, counts, strict=True)):
        heard = _heard(piece, round(count / rate * SAMPLE_RATE))
        if tail.shape[1]:
            rise = np.linspace(0, 1, tail.shape[1], dtype=np.float32)
            heard[:, : tail.shape[1]] = heard[:, : tail.shape[1]] * rise + tail * (1 - rise)
        kept = shared if number < len(counts) - 1 else 0
        until = heard.shape[1] - kept
        tail = heard[:, until:].copy()
        for start in range(0, until, SAMPLE_RATE):
            yield heard[:, start : min(until, start + SAMPLE_RATE)]


def _heard(piece: Piece, samples: int) -> Samples:
    if piece.sound is None:
        return np.zeros((2, samples), dtype=np.float32)
    blocks = audio_blocks(piece.sound, samples, piece.sound_start, samples / SAMPLE_RATE)
    return np.concatenate(list(blocks), axis=1)
