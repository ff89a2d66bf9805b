"""How many HTTP connections of a client are in use at once.

The engine takes a slot for every request and transfer. The socket, event streams and files that a user reads have
connections of their own: they stay open for as long as somebody likes, and would keep everything else waiting.
"""

from __future__ import annotations

import asyncio
import time

from sogni.core.http import HttpCall, is_transfer, max_transfers, no_free_connection, with_time_left
from sogni.settings import Settings


class ConnectionLimit:
    """The slots of one client in one loop; transfers leave some free for short requests."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._all = asyncio.Semaphore(settings.max_connections)
        self._transfers = asyncio.Semaphore(max_transfers(settings.max_connections))

    def slot(self, call: HttpCall) -> Slot:
        """Wait for a slot and hold it; gives the call with what is left of its own time limit.

        Raises SogniTimeoutError if that limit is reached first; a call without one waits for as long as it takes.
        """
        needed = (self._transfers, self._all) if is_transfer(call) else (self._all,)
        return Slot(call, needed, self._settings)


class Slot:
    """A slot; held inside of `async with`.

    Not an async generator: one that is dropped while it waits is left to its loop, which may have no other round.
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
