"""Writing media files: MP4 and MOV with H.264 and AAC, MP3, WAV, FLAC.

Called by the makers of videos and music. The same pictures and samples give the same bytes: one thread, fixed
settings, no dates, no names of programs. Nothing is kept but what the encoders need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SAMPLE_RATE = 48_000
Samples = NDArray[np.float32]
"""Sound: two rows, left and right, from -1 to 1."""
AudioFormat = Literal["mp3", "wav", "flac"]

_EXACT = {"fflags": "+bitexact"}
# x264's lookahead over B-frames is not repeatable, not even in one thread: the same pictures give now these
# bytes, now those. Without both there is one outcome.
_REPEATABLE = "bframes=0:mbtree=0:weightp=0"
_VIDEO_SETTINGS = {"preset": "veryfast", "crf": "20", "threads": "1", "x264-params": _REPEATABLE}
_AUDIO_CODECS: dict[AudioFormat, tuple[str, str]] = {
    "mp3": ("libmp3lame", "fltp"),
    "wav": ("pcm_s16le", "s16"),
    "flac": ("flac", "s16"),
}


def write_video(
    path: Path, pictures: Iterable[Image.Image], fps: Fraction, sound: Iterable[Samples] | None, format: str
) -> None:
    """Write pictures of one, even size, and the sound that goes with them."""
    frames = iter(pictures)
    first = next(frames)
    settings = {**_EXACT, "movflags": "+faststart"}
    with av.open(str(path), "w", format=format, container_options=settings) as container:
        video = container.add_stream("libx264", rate=fps, options=_VIDEO_SETTINGS)
        video.width, video.height, video.pix_fmt = first.width, first.height, "yuv420p"
        video.codec_context.thread_count = 1
        audio = None if sound is None else _AudioTrack(container, "aac", "fltp", 128_000)
        blocks: Iterator[Samples] = iter(()) if sound is None else iter(sound)
        for index, picture in enumerate(_chain(first, frames)):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
            if audio is not None:
                # Both tracks advance together, so that neither waits in memory for the other.
                audio.write_until(blocks, (index + 1) / fps)
        container.mux(video.encode())
        if audio is not None:
            audio.write_until(blocks, None)


def _chain(first: Image.Image, others: Iterator[Image.Image]) -> Iterator[Image.Image]:
    yield first
    yield from others


def write_audio(path: Path, sound: Iterable[Samples], format: AudioFormat) -> None:
    """Write an audio file."""
    codec, sample_format = _AUDIO_CODECS[format]
    settings = {**_EXACT, "id3v2_version": "0"} if format == "mp3" else _EXACT
    with av.open(str(path), "w", format=format, container_options=settings) as container:
        track = _AudioTrack(container, codec, sample_format, 192_000 if format == "mp3" else None)
        track.write_until(iter(sound), None)


class _AudioTrack:
    """One audio stream of a file being written."""

    def __init__(self, container: Any, codec: str, sample_format: str, bit_rate: int | None) -> None:
        self._container = container
        self._stream = container.add_stream(codec, rate=SAMPLE_RATE, layout="stereo")
        self._stream.format = sample_format
        if bit_rate is not None:
            self._stream.bit_rate = bit_rate
        self._stream.codec_context.thread_count = 1
        self._written = 0

    def write_until(self, blocks: Iterator[Samples], seconds: Fraction | None) -> None:
        """Write blocks up to a moment; None writes all there are and ends the stream."""
        while seconds is None or self._written < seconds * SAMPLE_RATE:
            block = next(blocks, None)
            if block is None:
                break
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = SAMPLE_RATE, self._written
            frame.time_base = Fraction(1, SAMPLE_RATE)
            self._written += block.shape[1]
            self._container.mux(self._stream.encode(frame))
        if seconds is None:
            self._container.mux(self._stream.encode(None))
