"""Video files: a slowly zoomed image, or the frames of the reference video under it, with their sound.

The frames depend on the request alone. They are generated one after the other, so that a long video takes no more
memory than a short one. The files are written in worker threads when they are first read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

from PIL import Image, ImageFilter

from sogni.emulator.catalogue.loras import applied
from sogni.emulator.media.codecs import (
    SAMPLE_RATE,
    Samples,
    all_frames,
    audio_blocks,
    source_of,
    video_frames,
    write_video,
)
from sogni.emulator.media.music import Score, play
from sogni.emulator.media.pictures import Picture, cover, draw
from sogni.emulator.projects.orders import Upscale, VideoOrder
from sogni.emulator.projects.storage import Producer

_CANVAS = 960
"""The longest side at which frames are drawn; the encoder scales them up."""
_ZOOM = 0.1
_GUIDED = 0.35
"""Share of the image in frames that follow a reference video."""

Inputs = Mapping[str, Path]


def shots(order: VideoOrder, seed: int, inputs: Inputs) -> Iterator[Image.Image]:
    """Yield every frame, in RGB: from the first image to the last one, or over the reference video."""
    scale = min(1.0, _CANVAS / max(order.width, order.height))
    size = round(order.width * scale), round(order.height * scale)
    # References of MiniMax H3 are numbered: projects-5x §4.6.
    first = inputs.get("referenceImage") or inputs.get("contextImage1")
    last = inputs.get("referenceImageEnd") if order.last_frame else None
    guide = inputs.get("referenceVideo") or inputs.get("referenceVideo1")
    if first is not None and order.first_frame:
        opening = cover(first, size)
    else:
        opening = draw(
            Picture(
                width=size[0],
                height=size[1],
                seed=seed,
                model=order.model.id,
                prompt=order.prompt,
                negative_prompt=order.negative_prompt,
                style_prompt=order.style_prompt,
                loras=applied(order.request["keyFrames"][0]),
            )
        )
    ending = None if last is None else cover(last, size)
    followed = None if guide is None else video_frames(guide, size, order.fps, order.frames, order.video_start)
    for index in range(order.frames):
        share = index / max(1, order.frames - 1)
        cut = _ZOOM * share if ending is None else 0
        box = (size[0] * cut, size[1] * cut, size[0] * (1 - cut), size[1] * (1 - cut))
        shot = opening.resize(size, Image.Resampling.BILINEAR, box=box)
        if ending is not None:
            shot = Image.blend(shot, ending, share)
        if followed is not None:
            shot = Image.blend(next(followed), shot, _GUIDED)
        yield shot


def make_video(order: VideoOrder, seed: int, inputs: Inputs) -> Producer:
    """Return a function that writes the video to a path."""
    if order.upscale is not None:
        return partial(_write_upscaled, inputs["referenceVideo"], order.upscale, order.output_format)
    return partial(_write, order, seed, inputs)


def _write(order: VideoOrder, seed: int, inputs: Inputs, path: Path) -> None:
    size = order.width, order.height
    sound = _sound(order, seed, inputs.get("referenceAudio"))
    write_video(path, shots(order, seed, inputs), order.fps, sound, order.output_format, size)


def write_last_frame(order: VideoOrder, seed: int, inputs: Inputs, path: Path) -> None:
    """Write the last frame as PNG."""
    last = next(islice(shots(order, seed, inputs), order.frames - 1, None))
    last.resize((order.width, order.height), Image.Resampling.BILINEAR).save(path, "PNG", compress_level=1)


def _write_upscaled(source: Path, upscale: Upscale, format: str, path: Path) -> None:
    """Write a video at a larger size, with its own frame rate, length and sound."""
    (width, height), rate, seconds, has_sound = source_of(source)
    scale = upscale.short_side / min(width, height)
    larger = round(width * scale / 2) * 2, round(height * scale / 2) * 2
    frames = all_frames(source, (width, height))
    if upscale.sharper:
        frames = (frame.filter(ImageFilter.SHARPEN) for frame in frames)
    sound = audio_blocks(source, round(seconds * SAMPLE_RATE), 0.0, seconds) if has_sound else None
    write_video(path, frames, rate, sound, format, larger)


def _sound(order: VideoOrder, seed: int, audio: Path | None) -> Iterator[Samples] | None:
    seconds = order.frames / order.fps
    if order.sound == "reference" and audio is not None:
        return audio_blocks(audio, round(seconds * SAMPLE_RATE), order.audio_start, order.audio_duration)
    if order.sound == "none":
        return None
    words = f"{order.model.id} {order.prompt} {order.style_prompt}"
    return play(Score(words=words, seed=seed, seconds=float(seconds)))
