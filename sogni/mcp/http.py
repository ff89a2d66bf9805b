"""Serve MCP over streamable HTTP, for hosts that do not start the server. Each request needs the key."""

from __future__ import annotations

import hmac
import socket
from typing import Any

import uvicorn
from mcp.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
CLOSE_SECONDS = 3
"""Time limit for the streams that are open when the server stops."""
BODY_BYTES = 32 * 1024 * 1024
"""Maximum size of a request, which may contain a file as a data: URI."""
MAX_REQUESTS = 256
"""Maximum number of concurrent requests; further ones are refused with 503."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class RequireKey:
    """Rejects requests without the key.

    Args:
        app: The application that answers all other requests.
        key: The key.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    def __repr__(self) -> str:
        return "RequireKey()"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._key):
                answer = JSONResponse(
                    {"error": "the key of this server is required: Authorization: Bearer KEY"},
                    status_code=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def application(server: Server[Any], key: str, host: str = "127.0.0.1", names: tuple[str, ...] = ()) -> ASGIApp:
    """Return the server as an ASGI application.

    Args:
        server: The server.
        key: The key that requests must have.
        host: Address that the server listens on.
        names: Additional host names of the server.
    """
    # A page in a browser could otherwise reach a server on the loopback interface by a name that it controls.
    hosts = [f"[{it}]" if ":" in it else it for it in dict.fromkeys((*_LOOPBACK, host, *names))]
    security = TransportSecuritySettings(
        allowed_hosts=[form for it in hosts for form in (it, f"{it}:*")],
        allowed_origins=[
            f"{scheme}://{form}" for scheme in ("http", "https") for it in hosts for form in (it, f"{it}:*")
        ],
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH, transport_security=security, max_request_body_size=BODY_BYTES, host=host
    )
    return RequireKey(app, key)


def url_of(listener: socket.socket, host: str) -> str:
    """Return the URL of a server that listens on a socket."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}{PATH}"


async def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve an application until the process receives a signal to end.

    Args:
        app: The application.
        listener: Listening socket.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        limit_concurrency=MAX_REQUESTS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    await uvicorn.Server(config).serve([listener])
