"""Limit on the number of concurrent HTTP connections of a client.

Every request and transfer takes a slot. The socket, event streams and files that are read by users do not, because they
stay open indefinitely and would block everything else.
"""

from __future__ import annotations

import asyncio
import time

from sogni.core.http import HttpCall, is_transfer, max_transfers, no_free_connection, with_time_left
from sogni.settings import Settings


class ConnectionLimit:
    """Connection slots of one client in one loop. Transfers leave some free for short requests."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._all = asyncio.Semaphore(settings.max_connections)
        self._transfers = asyncio.Semaphore(max_transfers(settings.max_connections))

    def slot(self, call: HttpCall) -> Slot:
        """Hold a slot during an `async with` block, which receives the call with the rest of its time limit.

        Raises SogniTimeoutError if the limit is exceeded while waiting. A call without one waits indefinitely.
        """
        needed = (self._transfers, self._all) if is_transfer(call) else (self._all,)
        return Slot(call, needed, self._settings)


class Slot:
    """A slot that is held during an `async with` block.

    Not an async generator: a dropped one is left to its loop, which may not run again.
    """

    def __init__(self, call: HttpCall, needed: tuple[asyncio.Semaphore, ...], settings: Settings) -> None:
        self._call, self._needed, self._settings = call, needed, settings
        self._held: list[asyncio.Semaphore] = []

    async def __aenter__(self) -> HttpCall:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._call.timeout):
                for semaphore in self._needed:
                    await semaphore.acquire()
                    self._held.append(semaphore)
        except BaseException as error:
            self._release()
            if isinstance(error, TimeoutError):
                raise no_free_connection(self._call, self._settings) from None
            raise
        return with_time_left(self._call, time.monotonic() - began)

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        while self._held:
            self._held.pop().release()
