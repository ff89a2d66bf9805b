"""How many HTTP connections of a client are in use at once.

The engine takes a slot for every request and transfer. The socket, event streams and files that a user reads have
connections of their own: they stay open for as long as somebody likes, and would keep everything else waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sogni.protocol.exchange import is_transfer, max_transfers, no_free_connection, with_time_left
from sogni.protocol.http import HttpCall
from sogni.settings import Settings


class ConnectionLimit:
    """The slots of one client in one loop; transfers leave some free for short requests."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._all = asyncio.Semaphore(settings.max_connections)
        self._transfers = asyncio.Semaphore(max_transfers(settings.max_connections))

    @asynccontextmanager
    async def slot(self, call: HttpCall) -> AsyncIterator[HttpCall]:
        """Wait for a slot and hold it; gives the call with what is left of its own time limit.

        Raises SogniTimeoutError if that limit is reached first; a call without one waits for as long as it takes.
        """
        began = time.monotonic()
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(call.timeout):
                    if is_transfer(call):
                        await held.enter_async_context(self._transfers)
                    await held.enter_async_context(self._all)
            except TimeoutError:
                raise no_free_connection(call, self._settings) from None
            yield with_time_left(call, time.monotonic() - began)
