"""Media of a tool run: the library that numbers refer to, artifacts, and tool errors.

Results are numbered from 0 per kind, uploads from -1 downwards.
"""
# Protocol notes: tools §2.1.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from attrs import define, field, frozen

from sogni.emulator.fields import present
from sogni.emulator.projects.storage import Key


class ToolError(Exception):
    """A tool that cannot do what was requested. ``code`` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def wire(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message}


class UserNeededError(Exception):
    """A tool that waits for the user. ``reason`` is one of the ``waitingReason`` values."""

    # Protocol notes: workflows §3.

    def __init__(self, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.details: dict[str, Any] = dict(details or {})


Kind = Literal["image", "video", "audio", "model"]
KINDS: tuple[Kind, ...] = ("image", "video", "audio")
"""The kinds that a tool can take; 3D models are results only."""


@frozen(kw_only=True)
class Media:
    """One file: its storage key and properties. ``duration`` is in seconds; ``sound`` if a video has sound."""

    id: str = ""
    kind: Kind
    key: Key = field(factory=partial(Key, "", "", ""))
    mime: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    sound: bool = False
    seed: int | None = None

    def wire(self, url: str) -> dict[str, object]:
        """Return the artifact in the form of records and results."""
        # Protocol notes: workflows §3.
        facts = {
            "width": self.width,
            "height": self.height,
            "duration": None if self.duration is None else round(self.duration, 3),
            "seed": self.seed,
        }
        always = {"id": self.id, "url": url, "type": self.kind, "mediaType": self.kind, "mimeType": self.mime}
        return {**always, **present(facts)}


@define(eq=False)
class MediaLibrary:
    """The media of one run. ``near`` is what the next tool most likely refers to, such as results of the steps it
    depends on.
    """

    results: list[Media] = field(factory=list)
    uploads: list[Media] = field(factory=list)
    near: list[Media] = field(factory=list)
    bound: dict[str, Media] = field(factory=dict)
    """Media of arguments whose number alone would be ambiguous: those that count uploads from 0."""

    def of(self, kind: Kind) -> list[Media]:
        return [media for media in self.results if media.kind == kind]

    def uploaded(self, kind: Kind) -> list[Media]:
        return [media for media in self.uploads if media.kind == kind]

    def add(self, media: Sequence[Media]) -> dict[str, object]:
        """Add the results of a tool and return how later calls refer to them: the numbers of those of the first one's
        kind.
        """
        # Protocol notes: tools §6.
        self.results.extend(media)
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
        """Return the medium with a number."""
        found = self.of(kind) if index >= 0 else self.uploaded(kind)
        position = index if index >= 0 else -1 - index
        if position < len(found):
            return found[position]
        what = "result" if index >= 0 else "upload"
        raise ToolError("MEDIA_NOT_FOUND", f"There is no {kind} {what} number {index}; there are {len(found)}")

    def newest(self, kind: Kind) -> Media | None:
        """Return the default medium: one that is near, else the newest result, else the first upload."""
        for found in ([m for m in self.near if m.kind == kind], self.of(kind)):
            if found:
                return found[-1]
        uploads = self.uploaded(kind)
        return uploads[0] if uploads else None


@frozen
class Artifacts:
    """The outcome of a tool.

    Attributes:
        results: Media for the user; they get numbers.
        parts: The clips of a composed video.
        facts: Findings as JSON.
    """

    results: Sequence[Media] = ()
    parts: Sequence[Media] = ()
    facts: Mapping[str, Any] = field(factory=dict)
