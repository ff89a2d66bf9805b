"""Music files: the file for an audio order and a seed.

Called by the audio kind; the work is done in a worker thread when the file is first read.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

from .encoding import AudioFormat, write_audio
from .music import Score, play
from .orders import AudioOrder
from .store import Producer


def make_audio(order: AudioOrder, seed: int) -> Producer:
    """Return what writes the music to a path."""
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
