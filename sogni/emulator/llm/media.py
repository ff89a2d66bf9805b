"""The media a conversation brings along: what a model looks at and what tools can point at (tools §2.1, chat §11.1).

Called by hosted chat and durable runs before the first round. Uploads are numbered from -1 downwards in the order
they are named: images of messages first, then references.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from ..hosted import Shelf, ToolError, ToolRunner
from ..hosted.shelf import KINDS, Kind
from .asking import Asking
from .messages import images_of


def image_urls(asking: Asking) -> list[str]:
    """Every image of the messages, in order."""
    return [url for message in asking.messages if message.get("role") == "user" for url in images_of(message)]


async def shelf_of(tools: ToolRunner, asking: Asking, references: Iterable[Any] = ()) -> Shelf:
    """Return the shelf of a conversation that runs tools; without tools it stays empty.

    Raises ``ToolError`` for a reference that names no medium."""
    shelf = Shelf()
    if not asking.execute_tools:
        return shelf
    for url in image_urls(asking):
        shelf.uploads.append(await tools.fetcher.fetch(url, "image"))
    for reference in references:
        kind, url = _named(reference)
        shelf.uploads.append(await tools.fetcher.fetch(url, kind))
    return shelf


async def with_pictures(tools: ToolRunner, asking: Asking) -> Asking:
    """Return a request whose model sees the images that are named by URL; those nobody can fetch stay unseen."""
    pictures: dict[str, bytes] = {}
    for url in image_urls(asking):
        try:
            media = await tools.fetcher.fetch(url, "image")
        except ToolError:
            continue
        stored = tools.state.store.find(media.key)
        if stored is not None:
            pictures[url] = await tools.state.store.content(stored)
    return evolve(asking, pictures=pictures)


def _named(reference: Any) -> tuple[Kind, str]:
    """Read a reference: its kind and where it is."""
    if isinstance(reference, str):
        return "image", reference
    if not isinstance(reference, Mapping):
        raise ToolError("INVALID_MEDIA", "A media reference must be an object")
    url = next((reference[key] for key in ("url", "dataUri", "data_uri") if isinstance(reference.get(key), str)), None)
    if url is None:
        raise ToolError("INVALID_MEDIA", "A media reference needs a url")
    told = str(
        reference.get("mediaType") or reference.get("media_type") or reference.get("type") or reference.get("kind")
    )
    return next((kind for kind in KINDS if kind in told), "image"), url
