"""Why a hosted tool did not deliver.

Raised by the tools and the studio, told to users by the workflows and the chat runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import av
from attrs import define, field, frozen
from PIL import Image

from sogni.emulator.projects.storage import Key


class ToolError(Exception):
    """A tool that cannot do what it was asked for. ``code`` is a word for programs, the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def wire(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message}


class UserNeededError(Exception):
    """A tool that waits for somebody to decide. ``reason`` is one of the ``waitingReason`` values (workflows §3)."""

    def __init__(self, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.details: dict[str, Any] = dict(details or {})


# The media a tool can point at: what was made so far, and what the user brought along.
#
# Filled by whoever runs tools, read by the tools. Results are numbered from 0 per kind, uploads from -1 downwards
# (tools §2.1).


Kind = Literal["image", "video", "audio"]
KINDS: tuple[Kind, ...] = ("image", "video", "audio")


@frozen(kw_only=True)
class Media:
    """One file, where it lies and what it is. ``duration`` is in seconds; ``sound`` tells that a video has some."""

    id: str
    kind: Kind
    key: Key
    mime: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    sound: bool = False
    seed: int | None = None

    def wire(self, url: str) -> dict[str, Any]:
        """The artifact as records and results have it (workflows §3)."""
        facts = {
            "width": self.width,
            "height": self.height,
            "duration": None if self.duration is None else round(self.duration, 3),
            "seed": self.seed,
        }
        known = {key: value for key, value in facts.items() if value is not None}
        return {"id": self.id, "url": url, "type": self.kind, "mediaType": self.kind, "mimeType": self.mime, **known}

    def saved(self) -> dict[str, Any]:
        """The same as JSON that ``restored`` reads again."""
        key = [self.key.project_id, self.key.item_id, self.key.role]
        return {**self.wire(""), "key": key, "sound": self.sound}


def restored(saved: dict[str, Any]) -> Media:
    """Return the media that was saved."""
    return Media(
        id=saved["id"],
        kind=saved["type"],
        key=Key(*saved["key"]),
        mime=saved["mimeType"],
        width=saved.get("width"),
        height=saved.get("height"),
        duration=saved.get("duration"),
        sound=saved["sound"],
        seed=saved.get("seed"),
    )


@define(eq=False)
class MediaLibrary:
    """The media of one run. ``near`` is what the next tool is most likely about, such as the results of the steps
    it depends on."""

    made: list[Media] = field(factory=list)
    uploads: list[Media] = field(factory=list)
    near: list[Media] = field(factory=list)
    bound: dict[str, Media] = field(factory=dict)
    """What an argument stands for where its number alone would not say: those that count uploads from 0."""

    def of(self, kind: Kind) -> list[Media]:
        return [media for media in self.made if media.kind == kind]

    def uploaded(self, kind: Kind) -> list[Media]:
        return [media for media in self.uploads if media.kind == kind]

    def add(self, media: Sequence[Media]) -> dict[str, Any]:
        """Put the results of a tool on the shelf and return how later calls point at them (tools §6): the numbers
        of those that are of the first one's kind."""
        self.made.extend(media)
        if not media:
            return {}
        indices = [self.index(item) for item in media if item.kind == media[0].kind]
        found: dict[str, Any] = {"startIndex": indices[0], "indices": indices}
        videos = [self.index(item) for item in media if item.kind == "video"]
        return {**found, "videoStartIndex": videos[0]} if videos else found

    def index(self, media: Media) -> int:
        """Return the number of a result or upload."""
        if media in self.uploads:
            return -1 - self.uploaded(media.kind).index(media)
        return self.of(media.kind).index(media)

    def pick(self, kind: Kind, index: int) -> Media:
        """Return what a number stands for."""
        found = self.of(kind) if index >= 0 else self.uploaded(kind)
        place = index if index >= 0 else -1 - index
        if place < len(found):
            return found[place]
        what = "result" if index >= 0 else "upload"
        raise ToolError("MEDIA_NOT_FOUND", f"There is no {kind} {what} number {index}; there are {len(found)}")

    def newest(self, kind: Kind) -> Media | None:
        """Return what is meant when nothing is said: what is near, else the newest result, else the first upload."""
        for found in ([m for m in self.near if m.kind == kind], self.of(kind)):
            if found:
                return found[-1]
        uploads = self.uploaded(kind)
        return uploads[0] if uploads else None


# What a tool made: values between the tools and the runner.


@frozen
class Artifacts:
    """``results`` go to the user and get numbers; ``parts`` are the clips a composed video consists of; ``facts``
    is what a tool found out."""

    results: Sequence[Media] = ()
    parts: Sequence[Media] = ()
    facts: Mapping[str, Any] = field(factory=dict)


# What a media file is: its kind, size and length.
#
# Called for files that come from outside, and by the tools that look at files. Runs in a worker thread.


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
