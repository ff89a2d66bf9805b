"""Sessions of aiohttp: decides how connections are made, REST and WebSocket alike, and when they go.

Called by the HTTP side and by the socket. A session is closed with its client; one whose client was dropped, or
whose loop is shut down, closes by itself. The environment is read by `machine.proxies`, never by aiohttp.
"""

from __future__ import annotations

import asyncio
import base64
import encodings.idna  # noqa: F401  looking a host name up needs it, in a thread
import os
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from sogni.errors import SogniConnectionError
from sogni.machine import causes
from sogni.machine.proxies import Proxy, ca_bundle_for, proxy_for, read_proxy, through, tls_context
from sogni.protocol.exchange import shown_host
from sogni.settings import Settings

from .websocket import SogniSocket

_LONGEST_HEADER = 64 * 1024
"""Signed addresses in a `Location` are longer than what aiohttp takes by itself."""


class RedirectRefusedError(Exception):
    """The upgrade was answered with a redirect; aiohttp would follow it with the credentials."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Session:
    """One session of aiohttp and the sockets it opened."""

    def __init__(self) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        connector = aiohttp.TCPConnector(
            limit=0,  # as many requests at once as the callers make
            resolver=aiohttp.ThreadedResolver(),  # the system's; with aiodns installed aiohttp would use that
            socket_factory=_remembering(self._sockets),
        )
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirect)
        self.library = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,  # see `ContentDecoder`
            trust_env=False,  # a .netrc would add credentials
            trace_configs=[tracing],
            ws_response_class=SogniSocket,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        self._loop = asyncio.get_running_loop()
        self._keeper = _kept(self.library)
        self._ending = asyncio.Lock()

    @classmethod
    async def open(cls) -> Session:
        """A session that closes with its loop."""
        session = cls()
        await anext(session._keeper)
        return session

    async def close(self) -> None:
        """Close all connections and wait until they are; repeatable."""
        # One after the other: an async generator cannot be closed twice at once.
        async with self._ending:
            await self._keeper.aclose()

    def end_without_loop(self) -> None:
        """Close the descriptors when the loop is closed and nothing can be awaited any more."""
        connector = self.library.connector
        self.library.detach()
        if connector is not None:
            # On a closed loop this only notes that it is closed: it waits for nothing.
            with suppress(StopIteration):
                next(connector.close().__await__())
        self._close_sockets()

    def abandon_after_fork(self) -> None:
        """Close the descriptors inherited from the parent, whose connections go on.

        A raw socket says no TLS goodbye; and nothing of the parent's loop may be touched, because its selector is
        shared, nor may a finalizer run that would.
        """
        self._loop.set_exception_handler(lambda *_: None)
        self.library.detach()
        self._close_sockets()
        _abandoned.append(self)

    def _close_sockets(self) -> None:
        for open_one in list(self._sockets):
            with suppress(OSError):
                open_one.close()


_abandoned: list[object] = []
"""Sessions of the process this one was forked from."""


def _remembering(sockets: weakref.WeakSet[socket.socket]) -> Callable[[Any], socket.socket]:
    # Not a method of `Session`: that one must go as soon as nobody refers to it.
    def new_socket(address: Any) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        sockets.add(made)
        return made

    return new_socket


async def _kept(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close a session at the end of its client or its loop, whichever comes first.

    A loop closes the async generators that began in it when it is shut down, and one that nobody refers to any
    more: the only notice of either that asyncio gives.
    """
    try:
        yield
    finally:
        await session.close()
        # A transport closes its socket one round after it was told to.
        await asyncio.sleep(0)


async def _refuse_redirect(_: Any, __: Any, parameters: aiohttp.TraceRequestRedirectParams) -> NoReturn:
    raise RedirectRefusedError(parameters.response.status)


class Ways:
    """Proxy and certificate authorities for one client's connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contexts: dict[str, ssl.SSLContext] = {}

    def options_for(self, url: str, headers: dict[str, str]) -> dict[str, Any]:
        """How aiohttp is to send a request with these headers. SogniConnectionError when it cannot."""
        options: dict[str, Any] = {"headers": headers}
        secure = urlsplit(url).scheme in ("https", "wss")
        if secure:
            options["ssl"] = self._context(url)
        found = proxy_for(url, self._settings.proxy, os.environ)
        if found is None:
            return options
        relay = read_proxy(found)
        if relay.scheme not in ("http", "https"):
            raise SogniConnectionError(
                f"cannot connect to {shown_host(url)}: the proxy {relay.shown} speaks {relay.scheme}, which asyncio"
                " connections cannot; use its http:// address, or the blocking package"
            )
        options["proxy"] = URL.build(scheme=relay.scheme, host=relay.host, port=relay.port)
        if (login := _login(relay)) is not None:
            # Without TLS the proxy reads the request itself, with it the CONNECT before.
            target = options.setdefault("proxy_headers", {}) if secure else headers
            target["Proxy-Authorization"] = login
        return options

    def through(self, url: str) -> str:
        """The proxy of a URL, as it is named in errors."""
        return through(url, self._settings.proxy, os.environ)

    def _context(self, url: str) -> ssl.SSLContext:
        bundle = ca_bundle_for(self._settings.ca_bundle, os.environ)
        context = self._contexts.get(bundle)
        if context is None:
            context = self._contexts[bundle] = tls_context(shown_host(url), bundle)
        return context


def _login(relay: Proxy) -> str | None:
    if relay.username is None:
        return None
    return "Basic " + base64.b64encode(f"{relay.username}:{relay.password or ''}".encode()).decode()


def cause_of(error: BaseException) -> str:
    """Why the library could not do it, without URLs and headers."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with HTTP {error.status}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return causes.cause_of(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        return causes.cause_of(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return causes.DISCONNECTED
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer was cut off"
    if isinstance(error, aiohttp.ClientResponseError):
        return causes.NOT_HTTP
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL is invalid"
    return causes.cause_of(error)
