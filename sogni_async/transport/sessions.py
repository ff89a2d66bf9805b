"""Sessions of aiohttp: decides how connections are made, REST and WebSocket alike, and when they go.

Called by the HTTP side and by the socket. A session is closed with its client, also one that was dropped, and with
its loop. The environment is read by `machine.proxies`, never by aiohttp.
"""

from __future__ import annotations

import asyncio
import base64
import encodings.idna  # noqa: F401  looking a host name up needs it, in a thread
import os
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from sogni.errors import SogniConnectionError
from sogni.machine import causes
from sogni.machine.proxies import Proxy, ca_bundle_for, proxy_for, read_proxy, through, tls_context
from sogni.protocol.exchange import shown_host
from sogni.settings import Settings

from .closing import close_sockets, quiet_when_dropped
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
            response_class=QuietResponse,
            ws_response_class=SogniSocket,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        self._loop = asyncio.get_running_loop()
        # Not a method of this object: it must go as soon as nobody refers to it.
        self._end = partial(_end, os.getpid(), self._loop, self.library, self._sockets)
        self._keeper = _kept(self._end)
        self._ending = asyncio.Lock()

    @classmethod
    async def open(cls) -> Session:
        """A session that closes with its loop."""
        session = cls()
        await anext(session._keeper)
        return session

    async def close(self) -> None:
        """Close all connections in order and wait until they are; repeatable."""
        # One after the other: both wait until it is done.
        async with self._ending:
            await self.library.close()
            # A transport closes its socket one round after it was told to.
            await asyncio.sleep(0)
        self.end()

    def end(self) -> None:
        """Close all connections at once; repeatable, also when the loop is closed."""
        self._end()
        # By hand, because the loop would make a task of it, which may never run.
        with suppress(StopIteration):
            self._keeper.aclose().send(None)

    def abandon_after_fork(self) -> None:
        """Close the descriptors inherited from the parent, whose connections go on.

        A raw socket says no TLS goodbye; and nothing of the parent's loop may be touched, because its selector is
        shared, nor may a finalizer run that would.
        """
        self._loop.set_exception_handler(lambda *_: None)
        self.library.detach()
        for open_one in list(self._sockets):
            with suppress(OSError):
                open_one.close()
        _abandoned.append(self)


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


async def _kept(end: Callable[[], None]) -> AsyncGenerator[None, None]:
    """Close a session at the end of its loop.

    A loop closes the async generators that began in it when it is shut down: the only notice that asyncio gives.
    """
    try:
        yield
    finally:
        end()


def _end(
    pid: int, loop: asyncio.AbstractEventLoop, library: aiohttp.ClientSession, sockets: Iterable[socket.socket]
) -> None:
    if os.getpid() != pid:
        return  # in a forked child: the loop's selector is shared with the parent
    connector = library.connector
    library.detach()
    close_sockets(loop, sockets)
    if connector is not None and not connector.closed:
        for task in getattr(connector, "_resolve_host_tasks", ()):
            quiet_when_dropped(task)
        before = set() if loop.is_closed() else asyncio.all_tasks(loop)
        with suppress(StopIteration):
            next(connector.close().__await__())
        # It waits for connections that are closed by now.
        for task in set() if loop.is_closed() else asyncio.all_tasks(loop) - before:
            quiet_when_dropped(task)
            task.cancel()

    for response in list(_responses):
        connection = response._connection
        if connection is not None and connection._connector is connector:
            # Nothing is left to give back; it would complain if it were collected before its response.
            with suppress(RuntimeError):
                connection.close()


class QuietResponse(aiohttp.ClientResponse):
    """An answer that may be dropped: its connection is closed without a complaint."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _responses.add(self)

    def __del__(self, *_: Any) -> None:
        connection = self._connection
        if connection is not None:
            # RuntimeError: the loop is closed.
            with suppress(RuntimeError):
                connection.close()


_responses: weakref.WeakSet[QuietResponse] = weakref.WeakSet()
"""Those that somebody still holds."""


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
