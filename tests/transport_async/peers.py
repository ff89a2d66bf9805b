"""HTTP servers for these tests: they run in the test's own loop and keep what arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from sogni.settings import Settings, Timeouts
from sogni_async.transport.http import Http

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "sogni-secret-key"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The address of a server that answers everything with one handler."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(rest: str, **options: Any) -> AsyncIterator[Http]:
    """The HTTP side of a client."""
    timeouts = Timeouts(**options.pop("timeouts", {}))
    settings = Settings(rest_endpoint=rest, timeouts=timeouts, **options)
    http = Http(settings, lambda: {"api-key": KEY})
    try:
        yield http
    finally:
        await http.close()
