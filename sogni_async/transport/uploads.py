"""A media source as the body of a request: decides how it is read while it goes out.

Made by the HTTP side. A few pieces of it are in memory, never the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from sogni.machine.sources import MediaSource
from sogni.settings import TRANSFER_CHUNK


class SourceError(Exception):
    """Tell the library that the body ended; what happened is the `error` of the payload."""


class SourcePayload(Payload):
    """A body of known length that can be sent again: it opens the source anew each time.

    `moved` is called before each piece and after the last. `error` is what the reading ended
    with when it was not the end: the library reports it as an error of the connection.
    """

    def __init__(self, source: MediaSource, moved: Callable[[], None]) -> None:
        super().__init__(source)
        self._source = source
        self._moved = moved
        self._size = source.size
        self.error: Exception | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all of it. SourceError when it cannot be read to its end."""
        self.error = None
        left = self._source.size
        with ExitStack() as stack:
            with self._reading():
                file = stack.enter_context(self._source.open())
            while left:
                with self._reading():
                    chunk = await self._piece(file, min(TRANSFER_CHUNK, left))
                self._moved()
                await writer.write(chunk)
                left -= len(chunk)
        self._moved()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error
            # Not as it is: after an OSError the library would connect again and read once more.
            raise SourceError from error

    async def _piece(self, file: BinaryIO, size: int) -> bytes:
        # In a thread: a disk may take its time. A single piece is not worth one.
        alone = self._source.size <= TRANSFER_CHUNK
        chunk = file.read(size) if alone else await asyncio.to_thread(file.read, size)
        if not chunk:
            # The host would wait for the rest for ever.
            raise OSError(f"{self._source.name} became shorter while it was uploaded")
        return chunk

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Never asked for: media is no text."""
        raise TypeError("media is no text")
