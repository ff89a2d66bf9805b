"""Music and speech: plain tones that depend on the request and its seed, as long as the request says.

Generated piece by piece, so that ten minutes take no more memory than ten seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from sogni.emulator.media.codecs import SAMPLE_RATE, Samples
from sogni.emulator.media.pictures import random_of

_NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_FADE = 0.1
_SYLLABLE, _PAUSE, _STOP = 0.18, 0.07, 0.3
"""Seconds of a syllable, of the pause after a word, and of the pause after a sentence."""
_VOWELS = re.compile(r"[aeiouy]+", re.I)


@frozen(kw_only=True)
class Score:
    """The description of a piece of music. ``words`` is everything else that distinguishes one request from another."""

    words: str
    seed: int
    seconds: float
    bpm: float = 120
    beats: int = 4
    keyscale: str = "C major"


def play(score: Score) -> Iterator[Samples]:
    """Yield the music, exactly as long as the score requires: one note per beat over the root, one piece per bar."""
    random = random_of(score)
    key, _, mode = score.keyscale.partition(" ")
    root = _NOTES[key[0]] + key.count("#") - key[1:].count("b")
    total, position, number = round(score.seconds * SAMPLE_RATE), 0, 0
    while position < total:
        notes = [0, *random.integers(0, 7, score.beats - 1)]
        start, end = (round(bar * score.beats * 60 / score.bpm * SAMPLE_RATE) for bar in (number, number + 1))
        sizes = np.diff(np.linspace(start, end, score.beats + 1).astype(int))
        tones = [
            _tone(root + _SCALES[mode][note], size) * np.float32(0.3) + _tone(root - 12, size) * np.float32(0.3)
            for note, size in zip(notes, sizes, strict=True)
        ]
        bar = np.concatenate(tones)[: total - position]
        yield np.stack([bar, bar])
        position, number = position + bar.size, number + 1


def _tone(step: float, size: int) -> NDArray[np.float32]:
    """Return a tone with soft ends, in semitones from middle C."""
    at = np.arange(size, dtype=np.float32) / SAMPLE_RATE
    edge = np.clip(np.minimum(at, at[-1] - at) / min(_FADE, size / SAMPLE_RATE / 4), 0, 1)
    return np.asarray(np.sin(at * np.float32(2 * np.pi * 261.6256 * 2 ** (step / 12))) * edge, dtype=np.float32)


@frozen(kw_only=True)
class Speech:
    """What is said, and by whom: everything that distinguishes one voice from another is in ``voice``."""

    text: str
    voice: str
    seed: int

    @property
    def seconds(self) -> float:
        return sum(_seconds(word) for word in self._words)

    @property
    def _words(self) -> list[str]:
        return self.text.split() or [""]

    def samples(self) -> Iterator[Samples]:
        """Yield one block per word: a hum per syllable, then a pause."""
        random = random_of(self.voice, self.seed)
        pitch = random.uniform(-24, -6)
        for word in self._words:
            block = np.zeros(round(_seconds(word) * SAMPLE_RATE), dtype=np.float32)
            size = round(_SYLLABLE * SAMPLE_RATE)
            for number in range(_syllables(word)):
                block[number * size : (number + 1) * size] = _tone(pitch + random.uniform(-2, 2), size) * np.float32(
                    0.3
                )
            yield np.stack([block, block])


def _syllables(word: str) -> int:
    return max(1, len(_VOWELS.findall(word)))


def _seconds(word: str) -> float:
    return _syllables(word) * _SYLLABLE + (_STOP if word.endswith((".", "!", "?")) else _PAUSE)
