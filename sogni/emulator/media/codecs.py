"""Audio and video files: deterministic writing, properties, and detection of the format by the first bytes.

Writes MP4 and MOV with H.264 and AAC, MP3, WAV and FLAC. The same frames and samples give the same bytes: one thread,
fixed settings, no dates, no program names.
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
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from attrs import frozen
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
else:
    av = lazy_module("av")

SAMPLE_RATE = 48_000
Samples = NDArray[np.float32]
"""Sound: two rows, left and right, from -1 to 1."""
AudioFormat = Literal["mp3", "wav", "flac"]
MediaForm = Literal["image", "audio", "video"]

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
    # Not PyAV's scaler: see `opened`.
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


_PROBLEMS = (OSError, ValueError, SyntaxError, IndexError, StopIteration, Image.DecompressionBombError)
_MIME = {"mov": "video/mp4", "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}


@frozen(kw_only=True)
class Facts:
    """The properties of a file: sizes in pixels, ``duration`` in seconds; ``frame_rate`` of videos only."""

    mime: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    sound: bool = False
    frame_rate: float | None = None
    codecs: tuple[str, ...] = ()


def probe(path: Path, kind: str) -> Facts | None:
    """Return the properties of a file, or None if it is not of the kind. Runs in a worker thread."""
    try:
        if kind == "image":
            return _image(path)
        with av.open(str(path)) as container:
            streams = container.streams
            requested: Any = streams.video[0] if kind == "video" else streams.audio[0]
            length = float((requested.duration or 0) * (requested.time_base or 0))
            rate = requested.average_rate if kind == "video" else None
            return Facts(
                mime=next((_MIME[name] for name in container.format.name.split(",") if name in _MIME), "video/mp4"),
                width=requested.width if kind == "video" else None,
                height=requested.height if kind == "video" else None,
                duration=length or (container.duration or 0) / av.time_base or None,
                sound=bool(streams.audio),
                frame_rate=None if rate is None else float(rate),
                codecs=tuple(stream.codec_context.name for stream in (*streams.video, *streams.audio)),
            )
    except (av.FFmpegError, *_PROBLEMS):
        return None


def _image(path: Path) -> Facts:
    with Image.open(path) as image:
        image.verify()
        name = image.format or "PNG"
        return Facts(mime=Image.MIME.get(name, "image/png"), width=image.width, height=image.height, codecs=(name,))


def unreadable(path: Path, kind: MediaForm | None) -> str | None:
    """Return why a worker cannot read an upload, or None."""
    try:
        if kind in ("audio", "video"):
            with av.open(str(path)) as container:
                stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
                next(container.decode(stream))
        else:
            with Image.open(path) as image:
                image.load()
    except (av.FFmpegError, *_PROBLEMS) as error:
        return f"{type(error).__name__}: the file contains no readable {kind or 'image'}"
    return None


def opened(path: Path) -> Image.Image:
    """Return an image file, upright, or the first frame of a video, in RGB."""
    with path.open("rb") as file:
        if "video" not in forms_of(file.read(_HEAD)):
            with Image.open(path) as image:
                return ImageOps.exif_transpose(image).convert("RGB")
    # Not PyAV's scaler, which is per thread: in a forked child, freeing it waits forever for threads that a fork does
    # not copy.
    scaler = av.video.reformatter.VideoReformatter()
    with av.open(str(path)) as container:
        return Image.fromarray(scaler.reformat(next(container.decode(video=0)), format="rgb24").to_ndarray())


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
