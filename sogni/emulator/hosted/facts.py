"""What a media file is: its kind, size and length.

Called for files that come from outside, and by the tools that look at files. Runs in a worker thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from attrs import frozen
from PIL import Image

from .shelf import Kind

_MIME = {"mov": "video/mp4", "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}


@frozen(kw_only=True)
class Facts:
    """Sizes in pixels, ``duration`` in seconds; ``frame_rate`` of videos only."""

    mime: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    sound: bool = False
    frame_rate: float | None = None
    codecs: tuple[str, ...] = ()


def probe(path: Path, kind: Kind) -> Facts | None:
    """Return what a file is, or None when it is not of the kind."""
    try:
        return _image(path) if kind == "image" else _recording(path, kind)
    except (OSError, ValueError, SyntaxError, av.FFmpegError, Image.DecompressionBombError):
        return None


def _image(path: Path) -> Facts:
    with Image.open(path) as image:
        image.verify()
        name = image.format or "PNG"
        return Facts(mime=Image.MIME.get(name, "image/png"), width=image.width, height=image.height, codecs=(name,))


def _recording(path: Path, kind: Kind) -> Facts | None:
    with av.open(str(path)) as container:
        streams = container.streams
        wanted = streams.video if kind == "video" else streams.audio
        if not wanted:
            return None
        lengths = list(_lengths(container.duration, wanted[0].duration, wanted[0].time_base))
        name = next((n for n in container.format.name.split(",") if n in _MIME), "mov")
        found = Facts(
            mime=_MIME[name],
            duration=max(lengths, default=None),
            sound=bool(streams.audio),
            codecs=tuple(stream.codec_context.name for stream in (*streams.video, *streams.audio)),
        )
        if kind == "audio":
            return found
        video = streams.video[0]
        rate = None if video.average_rate is None else float(video.average_rate)
        return Facts(
            mime=found.mime,
            width=video.width,
            height=video.height,
            duration=found.duration,
            sound=found.sound,
            frame_rate=rate,
            codecs=found.codecs,
        )


def _lengths(container: int | None, stream: int | None, time_base: object) -> Iterator[float]:
    if stream is not None and time_base is not None:
        yield float(stream * time_base)  # type: ignore[operator]
    elif container is not None:
        yield container / av.time_base
