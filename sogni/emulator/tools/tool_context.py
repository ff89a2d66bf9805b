"""The context of a running tool: its arguments, media, seed and renderer.

Arguments are read leniently: they were checked against the tool's schema before.
"""
# Protocol notes: tools §2.1, §2.3.

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, field, frozen

from sogni.core.tools.arguments import validate_tool_arguments
from sogni.core.tools.hosted import tool_names
from sogni.emulator.catalogue.models import Catalogue
from sogni.emulator.rendering.service import result_seed
from sogni.emulator.tools.media_library import KINDS, Kind, Media, MediaLibrary, Size, ToolError, parse_size
from sogni.emulator.tools.renderer import Renderer

T = TypeVar("T")


def _source_urls(kind: Kind) -> tuple[str, ...]:
    """Return the arguments that may hold the URL of a tool's main medium."""
    return f"source{kind.capitalize()}Url", f"reference{kind.capitalize()}Url", f"{kind}Url"


async def transaction(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run the parts of a tool concurrently. If one fails, the others are canceled and not charged."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _camel_case(given: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub("_([a-z])", lambda found: found[1].upper(), name): value for name, value in given.items()}


@frozen
class Arguments:
    """The arguments of a call, by their names in camel case. Of several names, the first that is present counts."""

    values: Mapping[str, Any] = field(converter=_camel_case)

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
        entries = found if isinstance(found, list) else [found]
        return [int(entry) for entry in entries if isinstance(entry, int | float) and not isinstance(entry, bool)]

    def texts(self, *names: str) -> list[str]:
        found = self.raw(*names)
        return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []

    def objects(self, *names: str) -> list[Mapping[str, Any]]:
        found = self.raw(*names)
        return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []

    def given(self, *names: str) -> dict[str, Any]:
        """Return the arguments that are present."""
        return {name: value for name in names if (value := self.raw(name)) is not None}


@define(eq=False)
class ToolContext:
    """A running tool. ``seed`` determines everything random in it."""

    renderer: Renderer
    arguments: Arguments
    library: MediaLibrary
    seed: int

    @property
    def catalogue(self) -> Catalogue:
        return self.renderer.state.catalogue

    @property
    def prompt(self) -> str:
        return self.arguments.text("prompt", "description") or ""

    @property
    def negative_prompt(self) -> str:
        return self.arguments.text("negativePrompt") or ""

    @property
    def video_model(self) -> str | None:
        return self.arguments.text("videoModel", "model")

    @property
    def loras(self) -> dict[str, Any]:
        """Return the LoRAs of the call as keys of a key frame."""
        return self.arguments.given("loras", "loraStrengths") if self.arguments.texts("loras") else {}

    @property
    def variations(self) -> int:
        return int(self.arguments.number("numberOfVariations") or 1)

    @property
    def chosen_seed(self) -> int:
        """Return the seed of the request; -1 and omitted draw one."""
        requested = self.arguments.number("seed")
        return self.seed if requested is None or requested < 0 else int(requested)

    def seed_of(self, part: int) -> int:
        """Return the seed of one of a tool's parts."""
        return result_seed(self.chosen_seed, part)

    def size(self, *more: str) -> Size | float | None:
        """Return the requested size or ratio."""
        shape = self.arguments.text("aspectRatio", "ratio", *more)
        return parse_size(shape, self.arguments.number("width"), self.arguments.number("height"))

    async def medium(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media | None:
        """Return the medium an argument refers to, by number or URL, or the default one."""
        return await self.named(kind, *names, urls=urls) or self.library.newest(kind)

    async def named(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media | None:
        """Return the medium an argument refers to, or None without such an argument."""
        index = self.arguments.number(*names) if names else None
        if index is not None:
            return self.library.pick(kind, int(index))
        url = self.arguments.text(*(_source_urls(kind) if urls is None else urls))
        return None if url is None else await self.renderer.fetch(url, kind)

    async def needed(self, kind: Kind, *names: str, urls: Sequence[str] | None = None) -> Media:
        """Return the medium a tool requires."""
        return required(await self.medium(kind, *names, urls=urls), kind)

    async def upload(self, kind: Kind, name: str) -> Media | None:
        """Return the medium of an index that counts uploads from 0; without index or uploads, the newest one."""
        if name in self.library.bound:
            return self.library.bound[name]
        index, uploads = self.arguments.number(name), self.library.uploaded(kind)
        if index is None or not 0 <= index < len(uploads):
            return await self.medium(kind, name)
        return uploads[int(index)]

    async def any_medium(self, *kinds: Kind) -> Media:
        """Return the medium passed to a tool that accepts several kinds, by default any."""
        kinds = kinds or KINDS
        for kind in kinds:
            names = (f"{kind}Index", f"source{kind.capitalize()}Index")
            if (found := await self.named(kind, *names)) is not None:
                return found
        wanted = self.arguments.text("mediaType")
        newest = (self.library.newest(kind) for kind in kinds if wanted in (None, kind))
        return required(next((media for media in newest if media is not None), None), " or ".join(kinds))


def required(media: Media | None, kind: str) -> Media:
    """Return a medium, or raise ``ToolError`` if there is none."""
    if media is None:
        raise ToolError("MEDIA_REQUIRED", f"The tool requires {'a' if kind == 'video' else 'an'} {kind}")
    return media


def checked_arguments(name: str, arguments: Mapping[str, Any], bound: Collection[str] = ()) -> dict[str, object]:
    """Return arguments under the names of the tool's schema, or raise ``ToolError`` if they do not fit it.

    Arguments in ``bound`` are filled in later and not checked.
    """
    if name not in tool_names():
        return dict(arguments)
    if name == "add_subtitles" and arguments.get("auto_transcribe") and not {"cues", "srt"} & {*arguments, *bound}:
        raise ToolError("USER_INPUT_INCOMPLETE", "auto_transcribe is reserved; give cues or srt")
    # An unknown model is not an error (tools §5.2).
    selectors = ("videoModel",) if name in ("generate_music", "generate_speech") else ("model", "videoModel")
    checked = validate_tool_arguments(name, arguments, skip_enum_properties=selectors)
    about_bound = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in bound) or "(?!)")
    errors = [error for error in checked.errors if not about_bound.search(error)]
    if errors:
        raise ToolError("INVALID_ARGUMENTS", f"{name}: {'; '.join(errors)}")
    return checked.arguments
