"""Closing connections at once, without another round of their event loop.

A loop may end right after a client was dropped, or before. asyncio closes a transport's socket one round after it was
told to, so that sockets and complaints about them would be left behind.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from typing import Any


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call a function in the thread of a loop: at once if this is that thread, or if nobody runs the loop.

    May be called by the garbage collector, in any thread.
    """
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here or not loop.is_running():
        function()
        return
    # RuntimeError: the loop was closed by its own thread in this moment.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def close_sockets(loop: asyncio.AbstractEventLoop, sockets: Iterable[socket.socket]) -> None:
    """Close sockets of a loop, and the transports that use them, without a goodbye on any layer."""
    transports = getattr(loop, "_transports", None)
    if transports is None and not loop.is_closed():
        return  # not asyncio's own kind of loop: it closes them itself
    for one in list(sockets):
        number = one.fileno()
        if number == -1:
            continue
        transport = (transports or {}).get(number)
        if transport is not None and getattr(transport, "_sock", None) is one:
            _close_transport(loop, transport)
            continue
        # Still connecting. RuntimeError: the loop is closed.
        with suppress(RuntimeError):
            loop.remove_writer(number)
        with suppress(OSError):
            one.close()


def _close_transport(loop: asyncio.AbstractEventLoop, transport: Any) -> None:
    # RuntimeError, here and below: the loop is closed and takes no callbacks.
    with suppress(RuntimeError):
        transport.abort()
    for handle in list(getattr(loop, "_ready", ())):
        if getattr(handle._callback, "__self__", None) is transport:
            handle.cancel()
    if transport._sock is not None:
        with suppress(RuntimeError):
            transport._call_connection_lost(None)


def quiet_when_dropped(task: asyncio.Task[Any]) -> None:
    """Have asyncio say nothing when the loop is closed under a task: a client need not be closed first."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # what `asyncio.gather` does with its own


class Endable(Coroutine[Any, Any, None]):
    """A coroutine for a task of ours, which `end_task` can end under its task.

    It is made when the task begins, because Python complains about one that never began.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._make = make
        self._made: Coroutine[Any, Any, None] | None = None
        self._ended = False

    def _coroutine(self) -> Coroutine[Any, Any, None]:
        if self._ended:
            raise StopIteration
        if self._made is None:
            self._made = self._make()
        return self._made

    def send(self, value: Any) -> Any:
        """Go on; nothing is left to do once it was closed."""
        return self._coroutine().send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error; nothing is left to do once it was closed."""
        return self._coroutine().throw(*error)

    def close(self) -> None:
        """End it. ValueError while it is running."""
        if self._made is not None:
            self._made.close()
        self._ended = True

    def __await__(self) -> Generator[Any, None, None]:
        return (yield from self._coroutine().__await__())


def end_task(task: asyncio.Task[Any]) -> None:
    """End a task whose loop may have no other round.

    Its coroutines are closed from the inside out. Left alone they would be destroyed by the garbage collector, in any
    order, and complain.
    """
    coroutine = task.get_coro()
    # What fails in there, over an event loop that is closed, has nobody to tell. ValueError: it is running.
    with suppress(Exception):
        if coroutine is not None:
            coroutine.close()
    with suppress(RuntimeError):
        task.cancel()
