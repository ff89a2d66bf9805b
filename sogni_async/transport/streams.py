"""A result read while it arrives: the file object of `Job.open`.

Made by the HTTP side; closed by its reader.
"""

from __future__ import annotations

import asyncio
import weakref
import zlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import aiohttp

from sogni.errors import ClientClosedError
from sogni.live import Live
from sogni.protocol.content_encoding import ContentDecoder
from sogni.settings import TRANSFER_CHUNK

from .closing import call_in_loop

if TYPE_CHECKING:
    from .sessions import Session


class AsyncBinaryIO(Live):
    """A file over an answer whose `read` is awaited; `close` it, or use `async with`."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        decoder: ContentDecoder,
        session: Session,
        failed: Callable[[Exception], Exception],
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._decoded: Iterator[bytes] = iter(())
        self._rest = b""
        self._session = session
        self._failed = failed
        self._closed = False
        self._loop = asyncio.get_running_loop()
        # One that is dropped leaves its connection to nobody.
        self._finalizer = weakref.finalize(self, call_in_loop, self._loop, session.end)
        self._finalizer.atexit = False

    async def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, all that is left when negative; empty at the end."""
        if self._closed:
            raise ValueError("the stream is closed")
        if asyncio.get_running_loop() is not self._loop:
            if self._loop.is_closed():
                raise ClientClosedError("this file belongs to an event loop that is closed; open the result again")
            raise RuntimeError("this file belongs to another event loop, the one in which it was opened")
        try:
            return await self._received(-1 if size is None else size)
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError, zlib.error) as error:
            failure = self._failed(error)
        # Not while the library's own is handled: that one would stay with it, and holds the whole address.
        raise failure

    async def _received(self, size: int) -> bytes:
        if self._decoder.plain:
            return await self._response.content.read(size)
        if size < 0:
            pieces = []
            while piece := await self._received(TRANSFER_CHUNK):
                pieces.append(piece)
            return b"".join(pieces)
        while not self._rest:
            self._rest = next(self._decoded, b"")
            if not self._rest:
                data = await self._response.content.readany()
                if not data:
                    self._decoder.end()
                    break
                self._decoded = self._decoder.feed(data)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    async def close(self) -> None:
        """Close the connection; repeatable."""
        if not self._closed:
            self._closed = True
            self._finalizer.detach()
            if self._loop.is_closed():
                self._session.end()
                return
            self._response.close()
            await self._session.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._closed

    async def __aenter__(self) -> AsyncBinaryIO:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
