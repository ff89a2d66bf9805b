"""The media a tool can point at: what was made so far, and what the user brought along.

Filled by whoever runs tools, read by the tools. Results are numbered from 0 per kind, uploads from -1 downwards
(tools §2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from attrs import define, field, frozen

from ..store import Key
from .problems import ToolError

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
class Shelf:
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
