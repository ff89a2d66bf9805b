"""A media source as the body of a request: decides how it is read while it goes out.

Made by the HTTP side. A few pieces of it are in memory, never the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from sogni.machine.sources import MediaSource
from sogni.settings import TRANSFER_CHUNK


class SourcePayload(Payload):
    """A body that can be sent again: it opens the source anew each time.

    `moved` is called with True before each piece, with False after the last.
    """

    def __init__(self, source: MediaSource, moved: Callable[[bool], None]) -> None:
        super().__init__(source)
        self._source = source
        self._moved = moved
        self._size = source.size

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all of it."""
        small = self._source.size <= TRANSFER_CHUNK
        with self._source.open() as file:
            while True:
                # In a thread: a disk may take its time. A single piece is not worth one.
                chunk = file.read(TRANSFER_CHUNK) if small else await asyncio.to_thread(file.read, TRANSFER_CHUNK)
                self._moved(bool(chunk))
                if not chunk:
                    return
                await writer.write(chunk)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Never asked for: media is no text."""
        raise TypeError("media is no text")
