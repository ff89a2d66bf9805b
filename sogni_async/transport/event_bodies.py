"""Answers without an end, read while they arrive: decides how one is read and how that is ended.

Made by the HTTP side for event streams. It knows no event.
"""

from __future__ import annotations

import asyncio
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import aiohttp

from sogni.errors import SogniTimeoutError
from sogni.protocol.content_encoding import ContentDecoder

from .closing import call_in_loop


class EventBody:
    """The body of one answer. Closing it, or dropping it, closes the connection."""

    def __init__(
        self, response: aiohttp.ClientResponse, decoder: ContentDecoder, failed: Callable[[Exception], Exception]
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._decoded: Iterator[bytes] = iter(())
        self._failed = failed
        self._ended = asyncio.Event()
        self._finalizer = weakref.finalize(self, _end, asyncio.get_running_loop(), response, self._ended)
        self._finalizer.atexit = False

    async def read(self, timeout: float | None) -> bytes:
        """All bytes that have arrived, waiting for the first; empty at the end. SogniTimeoutError."""
        try:
            async with asyncio.timeout(timeout) as limit:
                while not self._ended.is_set():
                    piece = next(self._decoded, b"")
                    if piece:
                        return piece
                    data = await self._response.content.readany()
                    if not data:
                        self._decoder.end()
                        break
                    self._decoded = self._decoder.feed(data)
                return b""
        except TimeoutError:
            if not limit.expired():
                raise
        except (aiohttp.ClientError, OSError, zlib.error) as error:
            if self._ended.is_set():
                return b""
            raise self._failed(error) from None
        raise SogniTimeoutError(f"nothing came within {timeout:g} seconds", phase="run", timeout=timeout)

    def close(self) -> None:
        """Close the connection, in any thread; repeatable. Who reads it finds its end."""
        self._finalizer()

    def abandon_after_fork(self) -> None:
        """Touch nothing of the parent's loop."""
        self._finalizer.detach()
        _abandoned.append(self)


_abandoned: list[EventBody] = []
"""Of the process this one was forked from."""


def _end(loop: asyncio.AbstractEventLoop, response: aiohttp.ClientResponse, ended: asyncio.Event) -> None:
    """Close an answer in its own loop; may be called by the garbage collector, in any thread."""
    call_in_loop(loop, lambda: _close(response, ended))


def _close(response: aiohttp.ClientResponse, ended: asyncio.Event) -> None:
    # RuntimeError: the loop is closed.
    with suppress(RuntimeError):
        ended.set()
    response.close()
