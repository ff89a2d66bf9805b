"""Audio and video files: deterministic writing, streaming reads, and detection of the format by the first bytes.

Writes MP4 and MOV with H.264 and AAC, MP3, WAV and FLAC. The same frames and samples give the same bytes: one thread,
fixed settings, no dates, no program names. Files are read frame by frame and block by block, never as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


class _LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def lazy_module(name: str) -> ModuleType:
    """Return a stand-in that imports the module at the first use, or raise ``ModuleNotFoundError``.

    An emulator that renders no video needs no codecs.
    """
    if find_spec(name) is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _LazyModule(name)


if TYPE_CHECKING:
    import av
    from av.video.reformatter import VideoReformatter
else:
    av = lazy_module("av")

SAMPLE_RATE = 48_000
Samples = NDArray[np.float32]
"""Sound: two rows, left and right, from -1 to 1."""
AudioFormat = Literal["mp3", "wav", "flac"]

_EXACT = {"fflags": "+bitexact"}
# x264's lookahead over B-frames is not deterministic, even in one thread. With both disabled, it is.
_REPEATABLE = "bframes=0:mbtree=0:weightp=0"
_VIDEO_SETTINGS = {"preset": "ultrafast", "crf": "20", "threads": "1", "x264-params": _REPEATABLE}
_AUDIO_CODECS: dict[AudioFormat, tuple[str, str]] = {
    "mp3": ("libmp3lame", "fltp"),
    "wav": ("pcm_s16le", "s16"),
    "flac": ("flac", "s16"),
}


def write_video(
    path: Path,
    pictures: Iterable[Image.Image],
    fps: Fraction,
    sound: Iterable[Samples] | None,
    format: str,
    size: tuple[int, int] | None = None,
) -> None:
    """Write frames of one size and their sound.

    The frames are scaled to ``size``, by default that of the first; both sides must be even.
    """
    frames = iter(pictures)
    first = next(frames)
    width, height = size or first.size
    # Not PyAV's scaler: see `video_frames`.
    scaler = av.video.reformatter.VideoReformatter()
    settings = {**_EXACT, "movflags": "+faststart"}
    with av.open(str(path), "w", format=format, container_options=settings) as container:
        video = container.add_stream("libx264", rate=fps, options=_VIDEO_SETTINGS)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.thread_count = 1
        audio = None if sound is None else _AudioTrack(container, "aac", "fltp", 128_000)
        blocks: Iterator[Samples] = iter(()) if sound is None else iter(sound)
        for index, picture in enumerate(chain([first], frames)):
            drawn = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame = scaler.reformat(drawn, width, height, "yuv420p", interpolation="FAST_BILINEAR")
            frame.pts = index
            container.mux(video.encode(frame))
            if audio is not None:
                # Both tracks advance together, so that neither accumulates in memory.
                audio.write_until(blocks, (index + 1) / fps)
        container.mux(video.encode())
        if audio is not None:
            audio.write_until(blocks, None)


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
        """Write blocks up to a time; None writes all blocks and ends the stream."""
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


T = TypeVar("T")
_TOLERANCE = 1e-6
_PROBLEMS = (OSError, ValueError, IndexError)


def undecodable(path: Path, kind: Literal["audio", "video"]) -> str | None:
    """Return why a worker cannot read an uploaded video or audio file, or None."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
            next(container.decode(stream))
    except (av.FFmpegError, *_PROBLEMS, StopIteration) as error:
        return f"{type(error).__name__}: the file contains no readable {kind}"
    return None


def video_frames(path: Path, size: tuple[int, int], fps: Fraction, count: int, start: float) -> Iterator[Image.Image]:
    """Yield ``count`` frames of a video, the first at ``start`` seconds, filling ``size``.

    A video that ends too early repeats its last frame.
    """
    # Not PyAV's scaler, which is per thread: in a forked child, freeing it waits forever for threads that a fork does
    # not copy.
    scaler = av.video.reformatter.VideoReformatter()
    index, held = 0, None
    for moment, frame in _decoded(path, start):
        shown = None
        while held is not None and index < count and start + index / fps < moment - _TOLERANCE:
            # Scale only the frames that are used: the video may have many more.
            shown = shown or _filling(scaler, held, size)
            yield shown
            index += 1
        if index >= count:
            return
        held = frame
    last = Image.new("RGB", size) if held is None else _filling(scaler, held, size)
    for _ in range(index, count):
        yield last


def source_of(path: Path) -> tuple[tuple[int, int], Fraction, float, bool]:
    """Return the size and the frame rate of a video, its length in seconds, and whether it has sound."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = Fraction(stream.average_rate or 24)
        seconds = float((stream.duration or 0) * (stream.time_base or 0)) or float(stream.frames / rate)
        return (stream.width, stream.height), rate, seconds, bool(container.streams.audio)


def all_frames(path: Path, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Yield every frame of a video once, filling ``size``."""
    scaler = av.video.reformatter.VideoReformatter()
    with av.open(str(path)) as container:
        for frame in _readable(container.decode(container.streams.video[0])):
            yield _filling(scaler, frame, size)


def _decoded(path: Path, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the frames of a video from the one shown at ``start``, with their times from its beginning."""
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
    """Yield frames up to the first broken one: the rest of a damaged file is ignored."""
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
    """Yield ``total`` samples: at most ``duration`` seconds of the audio from ``start``, then silence."""
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


MediaForm = Literal["image", "audio", "video"]

_HEAD = 64
_STILL_BRANDS = re.compile(rb"avi[fs]|he[iv][cxms]|m[is]f1")
_SIGNATURES: Sequence[tuple[bytes, frozenset[MediaForm]]] = (
    (rb"\xff\xd8\xff|\x89PNG|GIF8[79]a|RIFF....WEBP", frozenset({"image"})),
    (rb"RIFF....WAVE|ID3|fLaC", frozenset({"audio"})),
    (rb"OggS|\x1a\x45\xdf\xa3", frozenset({"audio", "video"})),
    # Layers II and III: the first bytes of layer I are also those of UTF-16 text, and AAC has none of the layers.
    (rb"\xff[\xe2-\xe5\xea-\xed\xf2-\xf5\xfa-\xfd]", frozenset({"audio"})),
)
_ROLES: Mapping[str, MediaForm] = {
    **dict.fromkeys(("referenceImage", "referenceImageEnd", "referenceMask", "contextImage", "keyframeImage"), "image"),
    "referenceAudio": "audio",
    "referenceVideo": "video",
}


def forms_of(head: bytes) -> frozenset[MediaForm]:
    """Return the media types of files that start with these bytes; containers may hold audio or video."""
    if head[4:8] != b"ftyp":
        return next((forms for pattern, forms in _SIGNATURES if re.match(pattern, head, re.S)), frozenset())
    brand = head[8:12].lower()
    if _STILL_BRANDS.fullmatch(brand):
        return frozenset({"image"})
    if b"m4a" in brand or b"m4b" in brand:
        return frozenset({"audio"})
    # A general MP4 may hold audio alone.
    return frozenset({"video"} if b"qt" in brand else {"audio", "video"})


def form_of_role(role: str) -> MediaForm | None:
    """Return the media type of an upload, which may have a number; None if any type is accepted."""
    return _ROLES.get(role.rstrip("0123456789"))


def misplaced(inputs: Mapping[str, Path]) -> str | None:
    """Return a message about the first upload whose media type does not fit its role, or None."""
    for role, path in inputs.items():
        requested = form_of_role(role)
        if requested is None:
            continue
        with path.open("rb") as file:
            found = forms_of(file.read(_HEAD))
        if requested not in found:
            shown = " or ".join(sorted(found)) or "of no known format"
            return f"{role} must be {'an' if requested[0] in 'ai' else 'a'} {requested} file; the upload is {shown}"
    return None
