"""A result read while it arrives: the file object of `Job.open`.

Made by the HTTP side; closed by its reader.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from .sessions import Session


class AsyncBinaryIO:
    """A file over an answer whose `read` is awaited; `close` it, or use `async with`."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        session: Session,
        failed: Callable[[Exception], Exception],
    ) -> None:
        self._response = response
        self._session = session
        self._failed = failed
        self._closed = False

    async def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, all that is left when negative; empty at the end."""
        if self._closed:
            raise ValueError("the stream is closed")
        try:
            return await self._response.content.read(-1 if size is None else size)
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError) as error:
            failure = self._failed(error)
        # Not while the library's own is handled: that one would stay with it, and holds the whole address.
        raise failure

    async def close(self) -> None:
        """Close the connection; repeatable."""
        if not self._closed:
            self._closed = True
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
