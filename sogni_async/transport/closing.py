"""Closing of sockets and tasks without another iteration of their event loop.

A loop may end right after a client was dropped, or before. asyncio closes the socket of a transport one iteration
later, so open sockets and warnings about them would remain.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from typing import Any


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call a function in the thread of a loop, or at once if that is this thread or the loop is not running.

    May be called by the garbage collector, in any thread.
    """
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here or not loop.is_running():
        function()
        return
    # RuntimeError: its thread has just closed the loop.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def close_sockets(loop: asyncio.AbstractEventLoop, sockets: Iterable[socket.socket]) -> None:
    """Close sockets of a loop and their transports, without a closing handshake on any layer."""
    transports = getattr(loop, "_transports", None)
    if transports is None and not loop.is_closed():
        return  # not a loop of asyncio, which closes them itself
    for sock in list(sockets):
        descriptor = sock.fileno()
        if descriptor == -1:
            continue
        transport = (transports or {}).get(descriptor)
        if transport is not None and getattr(transport, "_sock", None) is sock:
            _close_transport(loop, transport)
            continue
        # Still connecting. RuntimeError: the loop is closed.
        with suppress(RuntimeError):
            loop.remove_writer(descriptor)
        with suppress(OSError):
            sock.close()


def _close_transport(loop: asyncio.AbstractEventLoop, transport: Any) -> None:
    # RuntimeError, here and below: the loop is closed and accepts no callbacks.
    with suppress(RuntimeError):
        transport.abort()
    for handle in list(getattr(loop, "_ready", ())):
        if getattr(handle._callback, "__self__", None) is transport:
            handle.cancel()
    if transport._sock is not None:
        with suppress(RuntimeError):
            transport._call_connection_lost(None)


def quiet_when_dropped(task: asyncio.Task[Any]) -> None:
    """Suppress the warning about a pending task of a closed loop: clients need not be closed first."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # what `asyncio.gather` does with its own


class Endable(Coroutine[Any, Any, None]):
    """A coroutine that `end_task` can end while its task is pending.

    The wrapped coroutine is created when the task starts, because Python warns about one that never started.
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
        """Resume the coroutine. Raises StopIteration once it was closed."""
        return self._coroutine().send(value)

    def throw(self, *error: Any) -> Any:
        """Resume the coroutine with an error. Raises StopIteration once it was closed."""
        return self._coroutine().throw(*error)

    def close(self) -> None:
        """Close the coroutine. Raises ValueError while it is running."""
        if self._made is not None:
            self._made.close()
        self._ended = True

    def __await__(self) -> Generator[Any, None, None]:
        return (yield from self._coroutine().__await__())


def end_task(task: asyncio.Task[Any]) -> None:
    """End a task whose loop may not run again.

    Its coroutines are closed from the inside out. Otherwise the garbage collector would destroy them in any order, with
    warnings.
    """
    coroutine = task.get_coro()
    # Errors caused by the closed loop cannot be reported to anyone. ValueError: the coroutine is running.
    with suppress(Exception):
        if coroutine is not None:
            coroutine.close()
    with suppress(RuntimeError):
        task.cancel()
