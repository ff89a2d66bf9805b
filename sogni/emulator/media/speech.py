"""Speech files: a voice that hums one syllable after the other. Nobody understands it, but its length fits the text.

The same text, voice and seed always give the same samples.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from attrs import frozen

from sogni.emulator.media.codecs import SAMPLE_RATE, AudioFormat, Samples, write_audio
from sogni.emulator.projects.storage import Producer

_SYLLABLE, _PAUSE, _STOP = 0.18, 0.07, 0.3
"""Seconds of a syllable, of the pause after a word, and of the pause after a sentence."""
_OVERTONES = (1.0, 0.5, 0.3, 0.15)
_VOWELS = re.compile(r"[aeiouy]+", re.I)


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
        """Yield one block per word."""
        voice = hashlib.sha256(self.voice.encode()).digest()
        pitch = 90 + voice[0] * 0.6
        chance = random.Random(f"{self.voice}|{self.seed}")
        for word in self._words:
            block = np.zeros(round(_seconds(word) * SAMPLE_RATE), dtype=np.float32)
            size = round(_SYLLABLE * SAMPLE_RATE)
            for number in range(_syllables(word)):
                block[number * size : (number + 1) * size] = _hum(pitch * chance.uniform(0.9, 1.12), size)
            yield np.stack([block, block])

    def produce(self, format: AudioFormat) -> Producer:
        """Return the function that writes the file."""
        return partial(_write, self, format)


def _write(speech: Speech, format: AudioFormat, path: Path) -> None:
    write_audio(path, speech.samples(), format)


def _syllables(word: str) -> int:
    return max(1, len(_VOWELS.findall(word)))


def _seconds(word: str) -> float:
    return _syllables(word) * _SYLLABLE + (_STOP if word.endswith((".", "!", "?")) else _PAUSE)


def _hum(pitch: float, size: int) -> Samples:
    at = np.arange(size, dtype=np.float32) / SAMPLE_RATE
    tone = sum(share * np.sin(2 * np.pi * pitch * (number + 1) * at) for number, share in enumerate(_OVERTONES))
    return np.asarray(tone * np.sin(np.pi * np.linspace(0, 1, size)) * 0.3, dtype=np.float32)
