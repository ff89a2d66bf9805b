"""Videos: the file for a video order and a seed.

Called by the video kind; the work is done in a worker thread when the file is first read. Pictures come from
``video_shots``, sound from ``music`` or the reference audio, the file from ``encoding``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from .encoding import SAMPLE_RATE, Samples, write_video
from .images import Picture
from .music import Score, play
from .orders import VideoOrder
from .reference_media import audio_blocks
from .store import Producer
from .video_shots import Film, Treatment, last_shot, shots

_TREATMENTS: Mapping[str | None, Treatment] = {"animate-move": "move", "animate-replace": "replace"}
_AMBIENCE_BPM = 66


def make_video(order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Producer:
    """Return what writes the video to a path."""
    return partial(_write, film_of(order, seed, inputs), order, seed, inputs.get("referenceAudio"))


def make_last_frame(order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Producer:
    """Return what writes the last frame to a path, as PNG."""
    return partial(_write_last_frame, film_of(order, seed, inputs))


def _write(film: Film, order: VideoOrder, seed: int, audio: Path | None, path: Path) -> None:
    write_video(path, shots(film), order.fps, _sound(order, seed, audio), order.output_format)


def _write_last_frame(film: Film, path: Path) -> None:
    last_shot(film).save(path, "PNG")


def film_of(order: VideoOrder, seed: int, inputs: Mapping[str, Path]) -> Film:
    """Describe the frames of a video."""
    picture = Picture(
        width=order.width,
        height=order.height,
        seed=seed,
        model=order.model.id,
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        style_prompt=order.style_prompt,
    )
    return Film(
        picture=picture,
        frames=order.frames,
        fps=order.fps,
        first=inputs.get("referenceImage") if order.first_frame else None,
        last=inputs.get("referenceImageEnd") if order.last_frame else None,
        treatment=_TREATMENTS.get(order.workflow, "restyle" if "referenceVideo" in inputs else "free"),
        guide=inputs.get("referenceVideo"),
        guide_start=order.video_start,
        hold=0.6 if order.control is None else 0.4 + 0.5 * order.control.strength,
        subjects=order.subjects,
        mask=inputs.get("referenceMask"),
    )


def _sound(order: VideoOrder, seed: int, audio: Path | None) -> Iterator[Samples] | None:
    seconds = order.frames / order.fps
    if order.sound == "reference" and audio is not None:
        return audio_blocks(audio, round(seconds * SAMPLE_RATE), order.audio_start, order.audio_duration)
    if order.sound == "none":
        return None
    words = f"{order.model.id} {order.prompt} {order.style_prompt}"
    return play(Score(words=words, seed=seed, seconds=float(seconds), bpm=_AMBIENCE_BPM, calm=True))
