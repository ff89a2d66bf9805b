"""Reading uploaded video and audio, frame by frame and block by block, never a whole file.

Called by the makers of videos, and by the worker that looks whether it can read an upload at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageOps

from .encoding import SAMPLE_RATE, Samples

T = TypeVar("T")
_TOLERANCE = 1e-6
_PROBLEMS = (av.FFmpegError, OSError, ValueError, IndexError)


def undecodable(path: Path, kind: Literal["audio", "video"]) -> str | None:
    """Return why a worker cannot read an uploaded video or audio file, or None."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
            next(container.decode(stream))
    except (*_PROBLEMS, StopIteration) as error:
        return f"{type(error).__name__}: the file holds no {kind} a worker can read"
    return None


def video_frames(path: Path, size: tuple[int, int], fps: Fraction, count: int, start: float) -> Iterator[Image.Image]:
    """Yield what a video shows at ``count`` moments, the first at ``start`` seconds, filling ``size``.

    A video that ends too early stays at its last frame."""
    # Not the one that PyAV keeps for each thread: that is freed in a forked child, for every thread of the parent,
    # and there waits for ever for its own threads, which a fork does not copy.
    scaler = VideoReformatter()
    index, held = 0, None
    for moment, frame in _decoded(path, start):
        shown = None
        while held is not None and index < count and start + index / fps < moment - _TOLERANCE:
            # Only what is seen is scaled: the video may have many more frames.
            shown = shown or _filling(scaler, held, size)
            yield shown
            index += 1
        if index >= count:
            return
        held = frame
    last = Image.new("RGB", size) if held is None else _filling(scaler, held, size)
    for _ in range(index, count):
        yield last


def _decoded(path: Path, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the frames of a video from the one shown at ``start`` on, with their times from its beginning."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        begin = float((stream.start_time or 0) * (stream.time_base or 0))
        if start > 0 and stream.time_base:
            container.seek(int((start + begin) / stream.time_base), stream=stream)
        last: tuple[float, av.VideoFrame] | None = None
        for number, frame in enumerate(_readable(container.decode(stream))):
            moment = number / 24 if frame.time is None else frame.time - begin
            if moment <= start:
                last = moment, frame
                continue
            if last is not None:
                yield last
                last = None
            yield moment, frame
        if last is not None:
            yield last


def _readable(frames: Iterator[T]) -> Iterator[T]:
    """Yield frames up to the first that is broken: the rest of a damaged file is as if it were not there."""
    try:
        yield from frames
    except av.FFmpegError:
        return


def _filling(scaler: VideoReformatter, frame: av.VideoFrame, size: tuple[int, int]) -> Image.Image:
    scale = max(size[0] / frame.width, size[1] / frame.height)
    width, height = max(size[0], round(frame.width * scale)), max(size[1], round(frame.height * scale))
    image = Image.fromarray(scaler.reformat(frame, width, height, "rgb24").to_ndarray())
    return image if image.size == size else ImageOps.fit(image, size)


def audio_blocks(path: Path, total: int, start: float, duration: float) -> Iterator[Samples]:
    """Yield ``total`` samples: the audio from ``start`` on, at most ``duration`` seconds of it, then
    silence."""
    left, limit = total, min(total, round(duration * SAMPLE_RATE))
    skip = round(start * SAMPLE_RATE)
    for block in _resampled(path):
        if skip >= block.shape[1]:
            skip -= block.shape[1]
            continue
        piece, skip = block[:, skip : skip + limit], 0
        if piece.shape[1]:
            yield piece
        limit -= piece.shape[1]
        left -= piece.shape[1]
        if limit <= 0:
            break
    while left > 0:
        size = min(left, SAMPLE_RATE)
        yield np.zeros((2, size), dtype=np.float32)
        left -= size


def _resampled(path: Path) -> Iterator[Samples]:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
        for frame in _readable(container.decode(container.streams.audio[0])):
            for part in resampler.resample(frame):
                yield part.to_ndarray().astype(np.float32, copy=False)
        for part in resampler.resample(None):
            yield part.to_ndarray().astype(np.float32, copy=False)
