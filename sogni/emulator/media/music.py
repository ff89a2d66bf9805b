"""Music files: chords, an arpeggio, a bass and a soft beat, generated from a few words and numbers.

The same score always gives the same samples. Bars are generated one after the other, so that ten minutes take no more
memory than ten seconds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from sogni.emulator.media.codecs import SAMPLE_RATE, AudioFormat, Samples, write_audio
from sogni.emulator.projects.orders import AudioOrder
from sogni.emulator.projects.storage import Producer

_NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 3, 6, 2)),
}
_PATTERNS = ((0, 1, 2, 1), (0, 2, 1, 2), (2, 1, 0, 1), (0, 1, 2, 3))
_FADE = 0.4
_PEAK = 0.9


@frozen(kw_only=True)
class Score:
    """The description of a piece of music.

    Attributes:
        words: Everything else that distinguishes one request from another.
        calm: Omit the beat.
    """

    words: str
    seed: int
    seconds: float
    bpm: float = 120
    beats: int = 4
    keyscale: str = "C major"
    calm: bool = False

    @property
    def total(self) -> int:
        return round(self.seconds * SAMPLE_RATE)


def play(score: Score) -> Iterator[Samples]:
    """Yield the music, exactly as long as the score requires."""
    made, band = 0, _Band.of(score)
    for bar in band.bars():
        piece = bar[:, : score.total - made]
        yield _faded(piece, made, score.total)
        made += piece.shape[1]
        if made >= score.total:
            return


def _faded(piece: Samples, position: int, total: int) -> Samples:
    """Fade the piece in and out."""
    at = np.arange(position, position + piece.shape[1], dtype=np.float32)
    edge = np.float32(min(_FADE * SAMPLE_RATE, total / 4))
    share = np.clip(np.minimum(at / edge, (total - at) / edge), 0, 1)
    return np.asarray(np.tanh(piece) * _PEAK * share, dtype=np.float32)


def _pitch(step: float) -> float:
    """Return the frequency of a note, in semitones from middle C."""
    return float(261.6256 * 2 ** (step / 12))


@define
class _Band:
    """The instruments of one score."""

    score: Score
    rng: random.Random
    root: int
    mode: str
    progression: Sequence[int]
    pattern: Sequence[int]
    brightness: float
    _tail: Samples = field(factory=lambda: np.zeros((2, 0), dtype=np.float32))

    @classmethod
    def of(cls, score: Score) -> _Band:
        described = (score.words, score.seed, score.bpm, score.beats, score.keyscale, score.calm)
        digest = hashlib.blake2b(repr(described).encode(), digest_size=16).digest()
        rng = random.Random(int.from_bytes(digest, "big"))
        key, _, mode = score.keyscale.partition(" ")
        root = _NOTES[key[0]] + key.count("#") - key[1:].count("b")
        return cls(
            score,
            rng,
            root if root < 7 else root - 12,
            mode,
            rng.choice(_PROGRESSIONS[mode]),
            rng.choice(_PATTERNS),
            rng.uniform(0.15, 0.5),
        )

    def bars(self) -> Iterator[Samples]:
        """Yield an endless sequence of bars."""
        beat, number = 60 / self.score.bpm, 0
        while True:
            start, end = (round(n * beat * self.score.beats * SAMPLE_RATE) for n in (number, number + 1))
            yield self._bar(number, end - start, beat)
            number += 1

    def _bar(self, number: int, size: int, beat: float) -> Samples:
        """Generate one bar; notes that still sound at its end continue in the next."""
        chord = self.progression[number % len(self.progression)]
        tones = [self._degree(chord + step) for step in (0, 2, 4, 7)]
        canvas = np.zeros((2, max(size + SAMPLE_RATE, self._tail.shape[1])), dtype=np.float32)
        canvas[:, : self._tail.shape[1]] += self._tail
        for place, tone in enumerate(tones[:3]):
            self._add(canvas, self._pad(tone, size), 0.0, 0.3 + 0.2 * place, 0.09)
        for half in range(self.score.beats * 2):
            tone = tones[self.pattern[half % len(self.pattern)]] + (12 if self.rng.random() < 0.2 else 0)
            pan = self.rng.uniform(0.25, 0.75)
            if not self.score.calm or self.rng.random() < 0.35:
                self._add(canvas, self._pluck(tone + 12), half * beat / 2, pan, 0.16)
        for when in range(0, self.score.beats, 2):
            self._add(canvas, self._pluck(tones[0] - 24), when * beat, 0.5, 0.3)
        if not self.score.calm:
            for when in range(self.score.beats):
                self._add(canvas, self._hat(), (when + 0.5) * beat, 0.6, 0.05)
        self._tail = canvas[:, size:].copy()
        return canvas[:, :size]

    def _degree(self, step: int) -> int:
        scale = _SCALES[self.mode]
        return self.root + scale[step % 7] + 12 * (step // 7)

    @staticmethod
    def _add(canvas: Samples, voice: NDArray[np.float32], seconds: float, pan: float, volume: float) -> None:
        start = round(seconds * SAMPLE_RATE)
        size = min(voice.size, canvas.shape[1] - start)
        if size > 0:
            canvas[0, start : start + size] += voice[:size] * np.float32(volume * (1 - pan) * 2)
            canvas[1, start : start + size] += voice[:size] * np.float32(volume * pan * 2)

    def _pad(self, tone: int, size: int) -> NDArray[np.float32]:
        """Return a sustained, slowly swelling tone."""
        length = size + SAMPLE_RATE // 2
        at = np.arange(length, dtype=np.float32) / SAMPLE_RATE
        turn = np.float32(2 * np.pi * _pitch(tone)) * at
        swell = np.minimum(np.minimum(at / 0.25, 1), np.arange(length, 0, -1, dtype=np.float32) / (SAMPLE_RATE / 2))
        wave = np.sin(turn) + np.float32(self.brightness) * np.sin(2 * turn) + np.float32(0.5) * np.sin(turn * 1.003)
        return np.asarray(wave * np.clip(swell, 0, 1), dtype=np.float32)

    def _pluck(self, tone: int) -> NDArray[np.float32]:
        """Return a plucked tone that fades."""
        at = np.arange(round(0.7 * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
        turn = np.float32(2 * np.pi * _pitch(tone)) * at
        wave = np.sin(turn) + np.float32(self.brightness) * np.sin(2 * turn) * np.exp(-9 * at)
        return np.asarray(wave * np.exp(-5 * at) * np.minimum(at / 0.004, 1), dtype=np.float32)

    def _hat(self) -> NDArray[np.float32]:
        """Return a short, soft noise."""
        size = SAMPLE_RATE // 16
        noise = np.random.default_rng(self.rng.getrandbits(32)).standard_normal(size, dtype=np.float32)
        return np.asarray(noise * np.exp(-np.arange(size, dtype=np.float32) / (SAMPLE_RATE / 90)), dtype=np.float32)


def make_audio(order: AudioOrder, seed: int) -> Producer:
    """Return a function that writes the music to a path."""
    described = (order.model.id, order.prompt, order.style_prompt, order.lyrics, order.language)
    score = Score(
        words=repr(described),
        seed=seed,
        seconds=order.duration,
        bpm=order.bpm,
        beats=order.beats,
        keyscale=order.keyscale,
    )
    return partial(_write, score, cast(AudioFormat, order.output_format))


def _write(score: Score, format: AudioFormat, path: Path) -> None:
    write_audio(path, play(score), format)
