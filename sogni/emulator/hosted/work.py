"""One tool at work: its arguments, the media it can point at, its seed and its bench.

Handed to every tool. Arguments are read leniently here: whether they fit the tool's schema was checked before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, frozen

from ..catalogue import Catalogue, Model
from ..intake import result_seed
from .problems import ToolError
from .shelf import KINDS, Kind, Media, Shelf
from .sizes import Size
from .studio import Bench

T = TypeVar("T")
SOURCE_URLS: Mapping[Kind, tuple[str, ...]] = {
    kind: (
        f"source_{kind}_url",
        f"reference_{kind}_url",
        f"source{kind.capitalize()}Url",
        f"reference{kind.capitalize()}Url",
        f"{kind}_url",
        f"{kind}Url",
    )
    for kind in KINDS
}
"""Under which names a tool takes the URL of its main medium (tools §2.3)."""


async def together(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Wait for the parts of a work. When one fails, nobody needs the others: they are cancelled, and not paid."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@frozen
class Arguments:
    """The arguments of a call. Names may be given in several spellings; the first that is there counts."""

    values: Mapping[str, Any]

    def raw(self, *names: str) -> Any:
        return next((self.values[name] for name in names if self.values.get(name) not in (None, "", [])), None)

    def text(self, *names: str) -> str | None:
        found = self.raw(*names)
        return found if isinstance(found, str) else None

    def number(self, *names: str) -> float | None:
        found = self.raw(*names)
        return None if isinstance(found, bool) or not isinstance(found, int | float) else float(found)

    def flag(self, *names: str) -> bool | None:
        found = self.raw(*names)
        return found if isinstance(found, bool) else None

    def numbers(self, *names: str) -> list[int]:
        found = self.raw(*names)
        entries = found if isinstance(found, list) else [] if found is None else [found]
        return [int(entry) for entry in entries if isinstance(entry, int | float) and not isinstance(entry, bool)]

    def texts(self, *names: str) -> list[str]:
        found = self.raw(*names)
        return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []

    def objects(self, *names: str) -> list[Mapping[str, Any]]:
        found = self.raw(*names)
        return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


@define(eq=False)
class Work:
    """A tool that is being run. ``seed`` decides everything that looks random in it."""

    bench: Bench
    arguments: Arguments
    shelf: Shelf
    seed: int

    @property
    def catalogue(self) -> Catalogue:
        return self.bench.state.catalogue

    def model(self, id: str) -> Model:
        return self.catalogue.models[id]

    @property
    def prompt(self) -> str:
        return self.arguments.text("prompt", "description") or ""

    @property
    def variations(self) -> int:
        return int(self.arguments.number("numberOfVariations", "number_of_variations") or 1)

    @property
    def chosen_seed(self) -> int:
        """The seed of the request; -1 and none are drawn for (tools §2.1)."""
        asked = self.arguments.number("seed")
        return self.seed if asked is None or asked < 0 else int(asked)

    def seed_of(self, part: int) -> int:
        """Return the seed of one of a tool's parts."""
        return result_seed(self.chosen_seed, part)

    async def medium(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media | None:
        """Return the medium an argument points at, by number or by URL; else what is meant when nothing is said."""
        return await self.named(kind, *names, urls=urls) or self.shelf.newest(kind)

    async def named(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media | None:
        """Return the medium an argument points at, or None when there is no such argument."""
        index = self.arguments.number(*names) if names else None
        if index is not None:
            return self.shelf.pick(kind, int(index))
        url = self.arguments.text(*(SOURCE_URLS[kind] if urls is None else urls))
        return None if url is None else await self.bench.fetch(url, kind)

    async def needed(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media:
        """Return the medium a tool cannot do without."""
        found = await self.medium(kind, *names, urls=urls)
        if found is None:
            raise ToolError("MEDIA_REQUIRED", f"The tool needs {'a video' if kind == 'video' else f'an {kind}'}")
        return found


def size_of(media: Media | None) -> Size | None:
    """Return the size of an image or a video."""
    if media is None or not media.width or not media.height:
        return None
    return Size(media.width, media.height)
