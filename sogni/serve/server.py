"""Run the server: its socket, its event loop, and its shutdown."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from sogni.serve.service import Service

GRACE_SECONDS = 10.0
"""How long running requests may continue after a shutdown has begun."""
_LAST_SECONDS = 5
"""How long they may then take to end cleanly."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `OSError` if the address cannot be used."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether a socket can be reached from this host only."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


class _Server(uvicorn.Server):
    """Ends requests that are still running after the grace period."""

    def __init__(self, service: Service, grace: float) -> None:
        config = uvicorn.Config(
            service,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            # Longer than clients keep their connections, which would otherwise meet one that is just being closed.
            timeout_keep_alive=75,
            # Connections that are open without a request count, too.
            limit_concurrency=4 * service.max_requests + 64,
            timeout_graceful_shutdown=int(grace) + _LAST_SECONDS,
        )
        super().__init__(config)
        self._service = service
        self._grace = grace

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down at a signal. Unlike the base class, do not raise the signal again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {it: signal.signal(it, self.handle_exit) for it in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting requests, wait for those that are running, and end the rest cleanly."""
        self._service.stopping = True
        ending = asyncio.get_running_loop().call_later(self._grace, self._service.stop)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()


async def serve(
    service: Service,
    listener: socket.socket,
    *,
    grace: float = GRACE_SECONDS,
    started: Callable[[], None] | None = None,
) -> None:
    """Answer requests until a signal (SIGINT, SIGTERM) arrives or this task is canceled, then shut down cleanly.

    Args:
        service: The server.
        listener: Listening socket.
        grace: Seconds that running requests may continue during a shutdown.
        started: Called once connections are accepted.
    """
    server = _Server(service, grace)
    running = asyncio.ensure_future(server.serve([listener]))
    try:
        if started is not None:
            # The socket accepts connections already.
            started()
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.should_exit = True
        await running
        raise
    finally:
        await service.costs.close()
