"""HTTP with `aiohttp`: calls, uploads, downloads, event streams and files that are read while they arrive.

Retries and the meaning of a response are decided by the core. Credentials are never sent to another origin, and errors
name host, proxy and cause, never a query or a header. Sessions are closed with their client, also one that was dropped,
and with their loop. `sogni.local.proxies` reads the environment, never aiohttp.
"""

from __future__ import annotations

import asyncio
import base64
import encodings.idna  # noqa: F401  looking a host name up needs it, in a thread
import os
import socket
import ssl
import weakref
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, BinaryIO, NoReturn
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from yarl import URL

from sogni.core import tracing
from sogni.core.http import (
    NO_CONTENT,
    STANDARD_HEADERS,
    ContentDecoder,
    HttpCall,
    HttpReply,
    Route,
    announced_too_long,
    check_proxy_reply,
    host_and_port,
    limit_of,
    max_bytes_of,
    no_connection,
    no_response,
    too_long,
    unreachable,
)
from sogni.errors import ClientClosedError, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.live import Live
from sogni.local.cookies import Cookies
from sogni.local.files import DownloadFile, PathFor
from sogni.local.media import MediaSource, finished_spool, spool
from sogni.local.proxies import Proxy, ca_bundle_for, proxy_for, read_proxy, through, tls_context
from sogni.logs import log_exchange
from sogni.settings import MAX_REFUSAL_SIZE, TRANSFER_CHUNK, Settings
from sogni_async.transport.closing import call_in_loop, close_sockets, quiet_when_dropped
from sogni_async.transport.connection_limit import ConnectionLimit
from sogni_async.transport.websocket import RedirectRefusedError, SogniSocket, cause_of

# -- event streams


class EventBody:
    """The body of an event stream. Closing or dropping it closes the connection."""

    def __init__(
        self, response: aiohttp.ClientResponse, decoder: ContentDecoder, failed: Callable[[Exception], Exception]
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._decoded: Iterator[bytes] = iter(())
        self._failed = failed
        self._ended = asyncio.Event()
        self._finalizer = weakref.finalize(self, _end_body, asyncio.get_running_loop(), response, self._ended)
        self._finalizer.atexit = False

    async def read(self, timeout: float | None) -> bytes:
        """Wait for data and return it, or nothing at the end.

        Raises SogniTimeoutError after `timeout` seconds without data.
        """
        try:
            async with asyncio.timeout(timeout) as limit:
                while not self._ended.is_set():
                    piece = next(self._decoded, b"")
                    if piece:
                        return piece
                    data = await self._response.content.readany()
                    if not data:
                        self._decoder.end()
                        break
                    self._decoded = self._decoder.feed(data)
                return b""
        except TimeoutError:
            if not limit.expired():
                raise
        except (aiohttp.ClientError, OSError, zlib.error) as error:
            if self._ended.is_set():
                return b""
            raise self._failed(error) from None
        raise SogniTimeoutError(f"no data within {timeout:g} seconds", phase="run", timeout=timeout)

    def close(self) -> None:
        """Close the connection, from any thread. Readers see the end of the data. Idempotent."""
        self._finalizer()

    def abandon_after_fork(self) -> None:
        """Detach from the loop of the parent, without changing it."""
        self._finalizer.detach()
        _abandoned.append(self)


def _end_body(loop: asyncio.AbstractEventLoop, response: aiohttp.ClientResponse, ended: asyncio.Event) -> None:
    """Close a response in its own loop. May be called by the garbage collector, in any thread."""
    call_in_loop(loop, lambda: _close(response, ended))


def _close(response: aiohttp.ClientResponse, ended: asyncio.Event) -> None:
    # RuntimeError: the loop is closed.
    with suppress(RuntimeError):
        ended.set()
    response.close()


# -- sessions, for REST and WebSocket

_MAX_HEADER = 64 * 1024
"""In bytes. Signed URLs in a `Location` header exceed the default of aiohttp."""


class Session:
    """A session of aiohttp and its sockets."""

    def __init__(self) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        connector = aiohttp.TCPConnector(
            limit=0,  # `ConnectionLimit` limits the requests
            resolver=aiohttp.ThreadedResolver(),  # the resolver of the system, also if aiodns is installed
            socket_factory=_remembering(self._sockets),
        )
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirect)
        self.library: aiohttp.ClientSession = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,  # see `ContentDecoder`
            trust_env=False,  # a .netrc would add credentials
            trace_configs=[tracing],
            response_class=QuietResponse,
            ws_response_class=SogniSocket,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )
        self._loop = asyncio.get_running_loop()
        # Not a method of this object, which must be collectable as soon as it is unreferenced.
        self._end = partial(_end, os.getpid(), self._loop, self.library, self._sockets)
        self._keeper = _kept(self._end)
        self._ending = asyncio.Lock()

    @classmethod
    async def open(cls) -> Session:
        """Return a session that is closed with its loop."""
        session = cls()
        await anext(session._keeper)
        return session

    async def close(self) -> None:
        """Close all connections cleanly and wait until they are closed. Idempotent."""
        # Under a lock, so that concurrent calls also wait until it is done.
        async with self._ending:
            await self.library.close()
            # A transport closes its socket one round of the loop later.
            await asyncio.sleep(0)
        self.end()

    def end(self) -> None:
        """Close all connections immediately, even if the loop is closed. Idempotent."""
        self._end()
        # Driven by hand, because the loop would create a task that may never run.
        with suppress(StopIteration):
            self._keeper.aclose().send(None)

    def abandon_after_fork(self) -> None:
        """Close the inherited descriptors in a forked child. The connections of the parent continue.

        Closing a raw socket sends nothing. The loop of the parent must not be touched, not even by finalizers, because
        its selector is shared.
        """
        self._loop.set_exception_handler(lambda *_: None)
        # The finalizer of a connector would remove its connections from the selector, so that the parent waits in vain.
        _abandoned.extend((self, self.library.connector))
        self.library.detach()
        for sock in list(self._sockets):
            with suppress(OSError):
                sock.close()


_abandoned: list[object] = []
"""Objects of the parent process, kept so that they are not finalized in this one."""


def _remembering(sockets: weakref.WeakSet[socket.socket]) -> Callable[[Any], socket.socket]:
    # Not a method of `Session`, which must be collectable as soon as it is unreferenced.
    def new_socket(address: Any) -> socket.socket:
        family, kind, protocol, _, _ = address
        sock = socket.socket(family, kind, protocol)
        sockets.add(sock)
        return sock

    return new_socket


async def _kept(end: Callable[[], None]) -> AsyncGenerator[None, None]:
    """Close a session at the end of its loop.

    A loop closes the async generators that were started in it when it shuts down. asyncio has no other notification.
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
        # These tasks wait for connections that are closed by now.
        for task in set() if loop.is_closed() else asyncio.all_tasks(loop) - before:
            quiet_when_dropped(task)
            task.cancel()

    for response in list(_responses):
        connection = response._connection
        if connection is not None and connection._connector is connector:
            # Closed now, because a connection that is collected before its response warns.
            with suppress(RuntimeError):
                connection.close()


class QuietResponse(aiohttp.ClientResponse):
    """A response that closes its connection without a warning when it is dropped."""

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
"""Responses that are still referenced."""


async def _refuse_redirect(_: Any, __: Any, parameters: aiohttp.TraceRequestRedirectParams) -> NoReturn:
    raise RedirectRefusedError(parameters.response.status)


class Routing:
    """Proxies and certificate authorities for the connections of one client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contexts: dict[str, ssl.SSLContext] = {}

    def options_for(self, url: str, headers: dict[str, str]) -> dict[str, Any]:
        """Return the options of aiohttp for a request with these headers.

        Raises SogniConnectionError if the proxy or the certificate authorities are unusable.
        """
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
                f"cannot connect to {host_and_port(url)}: the proxy {relay.shown} speaks {relay.scheme}, which is not"
                " supported with asyncio; use its http:// URL or the blocking package"
            )
        options["proxy"] = URL.build(scheme=relay.scheme, host=relay.host, port=relay.port)
        if (login := _basic_auth(relay)) is not None:
            # Without TLS the proxy reads the headers of the request, with TLS those of CONNECT.
            target = options.setdefault("proxy_headers", {}) if secure else headers
            target["Proxy-Authorization"] = login
        return options

    def through(self, url: str) -> str:
        """Return the proxy of a URL for error messages."""
        return through(url, self._settings.proxy, os.environ)

    def _context(self, url: str) -> ssl.SSLContext:
        bundle = ca_bundle_for(self._settings.ca_bundle, os.environ)
        context = self._contexts.get(bundle)
        if context is None:
            context = self._contexts[bundle] = tls_context(host_and_port(url), bundle)
        return context


def _basic_auth(relay: Proxy) -> str | None:
    if relay.username is None:
        return None
    return "Basic " + base64.b64encode(f"{relay.username}:{relay.password or ''}".encode()).decode()


# -- results that are read while they arrive


class AsyncBinaryIO(Live):
    """A file object with an awaitable `read`, as returned by `Job.open`. Close it, or use `async with`."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        decoder: ContentDecoder,
        session: Session,
        failed: Callable[[Exception], Exception],
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._decoded: Iterator[bytes] = iter(())
        self._rest = b""
        self._session = session
        self._failed = failed
        self._closed = False
        self._loop = asyncio.get_running_loop()
        # A dropped object must not leave its connection open.
        self._finalizer = weakref.finalize(self, call_in_loop, self._loop, session.end)
        self._finalizer.atexit = False

    async def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, all remaining bytes if negative or None, or nothing at the end."""
        if self._closed:
            raise ValueError("the stream is closed")
        if asyncio.get_running_loop() is not self._loop:
            if self._loop.is_closed():
                raise ClientClosedError("this file belongs to an event loop that is closed; open the result again")
            raise RuntimeError("this file belongs to another event loop, in which it was opened")
        try:
            return await self._received(-1 if size is None else size)
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError, zlib.error) as error:
            failure = self._failed(error)
        # Raised outside of the handler: the original error, which contains the full URL, must not be its context.
        raise failure

    async def _received(self, size: int) -> bytes:
        if self._decoder.plain:
            return await self._response.content.read(size)
        if size < 0:
            pieces = []
            while piece := await self._received(TRANSFER_CHUNK):
                pieces.append(piece)
            return b"".join(pieces)
        while not self._rest:
            self._rest = next(self._decoded, b"")
            if not self._rest:
                data = await self._response.content.readany()
                if not data:
                    self._decoder.end()
                    break
                self._decoded = self._decoder.feed(data)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        if not self._closed:
            self._closed = True
            self._finalizer.detach()
            if self._loop.is_closed():
                self._session.end()
                return
            self._response.close()
            await self._session.close()

    @property
    def closed(self) -> bool:
        """True once the file is closed."""
        return self._closed

    async def __aenter__(self) -> AsyncBinaryIO:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


# -- uploads


class SourceError(Exception):
    """Ends a body that cannot be read. The reason is the `error` of the payload."""


class SourcePayload(Payload):
    """A request body of known length that can be sent again, with only a few chunks in memory.

    `moved` is called before each chunk and after the last. `error` is the error that ended the reading, which aiohttp
    reports as one of the connection.
    """

    def __init__(self, source: MediaSource, moved: Callable[[], None]) -> None:
        super().__init__(source)
        self._source = source
        self._moved = moved
        self._size = source.size
        self.error: Exception | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body. Raises SourceError if it cannot be read completely."""
        self.error = None
        left = self._source.size
        with ExitStack() as stack:
            with self._reading():
                file = stack.enter_context(self._source.open())
            while left:
                with self._reading():
                    chunk = await self._piece(file, min(TRANSFER_CHUNK, left))
                self._moved()
                await writer.write(chunk)
                left -= len(chunk)
        self._moved()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error
            # Not the original: after an OSError aiohttp would reconnect and read again.
            raise SourceError from error

    async def _piece(self, file: BinaryIO, size: int) -> bytes:
        # On a thread, because disks may be slow, except for a single chunk.
        single = self._source.size <= TRANSFER_CHUNK
        chunk = file.read(size) if single else await asyncio.to_thread(file.read, size)
        if not chunk:
            # The host would wait for the rest forever.
            raise OSError(f"{self._source.name} became shorter while it was uploaded")
        return chunk

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raise TypeError: media is not text."""
        raise TypeError("media is not text")


# -- the HTTP client


class Http:
    """HTTP for one client in one loop."""

    def __init__(
        self, settings: Settings, auth_headers: Callable[[], Mapping[str, str]], cookies: Cookies | None = None
    ) -> None:
        self._settings = settings
        self._cookies = cookies or Cookies(False)
        self._auth_headers = auth_headers
        self._routing = Routing(settings)
        self._slots = ConnectionLimit(settings)
        self._session: Session | None = None
        self._bodies: weakref.WeakSet[EventBody] = weakref.WeakSet()
        self._closed = False

    async def session(self) -> Session:
        """Return the session of this client, created for the first request."""
        if self._closed:
            raise ClientClosedError("the client is closed")
        if self._session is None:
            # Assigned once it is complete; `open` never suspends.
            self._session = await Session.open()
        return self._session

    @property
    def routing(self) -> Routing:
        """Proxies and certificate authorities, also for the WebSocket."""
        return self._routing

    def end_streams(self) -> None:
        """Close all event streams and reject new requests."""
        self._closed = True
        for body in list(self._bodies):
            body.close()

    async def close(self) -> None:
        """Close all connections, including those in use."""
        self.end_streams()
        if self._session is not None:
            await self._session.close()

    def end(self) -> None:
        """Close all connections immediately, even if the loop is closed and nothing can be awaited."""
        self.end_streams()
        if self._session is not None:
            self._session.end()

    def abandon_after_fork(self) -> None:
        """Close the inherited descriptors in a forked child."""
        for body in list(self._bodies):
            body.abandon_after_fork()
        if self._session is not None:
            self._session.abandon_after_fork()

    # -- calls -----------------------------------------------------------------

    async def limited(
        self, call: HttpCall, send: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any
    ) -> Any:
        """Send a call with one of the methods below once a connection is free."""
        async with self._slots.slot(call) as granted:
            return await send(granted, *arguments, **options)

    async def send(self, call: HttpCall) -> HttpReply:
        """Send a call and return the complete response."""
        limit = limit_of(call, self._settings.timeouts)
        route = Route(call, self._settings)
        try:
            async with asyncio.timeout(limit) as whole, self._open(call, route, limit) as response:
                return _reply(route, response, await _whole(call, route, response))
        except TimeoutError:
            if not whole.expired():
                raise
        raise no_response(call, route.url, limit, self._routing.through(route.url))

    async def upload(self, call: HttpCall, source: MediaSource) -> HttpReply:
        """Stream a source as the body of a call. Raises OSError if the source cannot be read completely."""
        timeout = self._settings.timeouts.transfer
        route = Route(call, self._settings)
        loop = asyncio.get_running_loop()
        try:
            # aiohttp limits the wait for the response, but not how long sending the body may stall.
            async with asyncio.timeout(timeout) as stuck:

                def moved() -> None:
                    stuck.reschedule(loop.time() + timeout)

                body = SourcePayload(source, moved)
                try:
                    async with self._open(call, route, timeout, body) as response:
                        return await self._error_response(route, response, timeout)
                except SogniConnectionError:
                    # aiohttp reports an error of the file as one of the connection.
                    if body.error is not None:
                        raise body.error from None
                    raise
        except TimeoutError:
            if not stuck.expired():
                raise
        raise SogniTimeoutError(
            f"{route.host} accepted no data of the upload for {timeout:g} seconds", phase="transfer", timeout=timeout
        )

    async def download(self, call: HttpCall, path_for: PathFor, *, overwrite: bool = False) -> Any:
        """Write the body of a response to a file and return its path, or the response if it is an error."""
        route = Route(call, self._settings)
        timeout = self._settings.timeouts.transfer
        async with self._open(call, route, timeout) as response:
            if not response.ok:
                return await self._error_response(route, response, timeout)
            with DownloadFile(path_for, overwrite=overwrite) as file:
                await _copy(route, response, file.write)
                return file.finish()

    async def spool(self, call: HttpCall, name: str) -> Any:
        """Return the body of a response as a media source, or the response if it is an error."""
        route = Route(call, self._settings)
        timeout = self._settings.timeouts.transfer
        async with self._open(call, route, timeout) as response:
            if not response.ok:
                return await self._error_response(route, response, timeout)
            file = spool()
            try:
                await _copy(route, response, file.write)
                return finished_spool(f"the result given as {name}", file)
            except BaseException:
                file.close()
                raise

    async def open_stream(self, call: HttpCall) -> Any:
        """Return a file object for the body of a response, or the response if it is an error.

        The file has its own session, because it stays open as long as it is read.
        """
        route = Route(call, self._settings)
        timeout = self._settings.timeouts.transfer
        session = await Session.open()
        try:
            response = await self._request(session, call, route, timeout, None)
            if response.ok:
                return AsyncBinaryIO(
                    response, _decoder(route, response), session, lambda error: self._failed(call, route, error)
                )
            async with self._ending(call, route, response):
                reply = await self._error_response(route, response, timeout)
        except BaseException:
            await session.close()
            raise
        await session.close()
        return reply

    async def open_events(self, call: HttpCall) -> Any:
        """Return the body of an event stream, or the response if it is an error."""
        limit = limit_of(call, self._settings.timeouts)
        route = Route(call, self._settings)
        try:
            async with asyncio.timeout(limit) as whole:
                # The reader limits how long silence may last.
                response = await self._request(await self.session(), call, route, None, None)
                if response.ok and response.status != NO_CONTENT:
                    decoder = _decoder(route, response)
                    body = EventBody(response, decoder, lambda error: self._failed(call, route, error))
                    self._bodies.add(body)
                    return body
                async with self._ending(call, route, response):
                    return await self._error_response(route, response, limit)
        except TimeoutError:
            if not whole.expired():
                raise
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(call, route, error) from None
        raise no_response(call, route.url, limit, self._routing.through(route.url))

    # -- one exchange ----------------------------------------------------------

    def _open(self, call: HttpCall, route: Route, timeout: float, body: aiohttp.Payload | None = None) -> _OpenResponse:
        async def requested() -> aiohttp.ClientResponse:
            return await self._request(await self.session(), call, route, timeout, body)

        return _OpenResponse(requested, lambda error: self._failed(call, route, error))

    def _ending(self, call: HttpCall, route: Route, response: aiohttp.ClientResponse) -> _OpenResponse:
        """Close a response at the end of an `async with` block and translate the errors of aiohttp."""

        async def received() -> aiohttp.ClientResponse:
            return response

        return _OpenResponse(received, lambda error: self._failed(call, route, error))

    async def _error_response(self, route: Route, response: aiohttp.ClientResponse, seconds: float) -> HttpReply:
        """Return an error response, read within `seconds`. A malformed body does not matter."""
        async with asyncio.timeout(seconds):
            return _reply(route, response, await _error_body(route, response))

    async def _request(
        self, session: Session, call: HttpCall, route: Route, timeout: float | None, body: aiohttp.Payload | None
    ) -> aiohttp.ClientResponse:
        """Send a call and follow redirects, without credentials for another origin."""
        while True:
            began = monotonic()
            response = await self._exchange(session, call, route, timeout, body)
            log_exchange(route.method, route.url, response.status, monotonic() - began)
            if (observer := tracing.observer) is not None:
                observer.responded(route.url, response.status)
            try:
                check_proxy_reply(route.url, self._routing.through(route.url), response.status)
            except SogniConnectionError:
                response.close()
                raise
            if route.with_credentials:
                self._cookies.keep(route.url, response.headers.getall("Set-Cookie", ()))
            try:
                if not route.follow(response.status, response.headers.get("Location"), streamed=body is not None):
                    return response
            except BaseException:
                response.close()
                raise
            response.close()

    async def _exchange(
        self, session: Session, call: HttpCall, route: Route, timeout: float | None, body: aiohttp.Payload | None
    ) -> aiohttp.ClientResponse:
        own = {**self._auth_headers(), **self._cookies.header_for(route.url)} if route.with_credentials else {}
        options = self._routing.options_for(route.url, {**STANDARD_HEADERS, **call.headers, **own})
        connect = self._settings.timeouts.connect
        if body is not None:
            options["data"] = body
        elif route.method != "GET" and call.body is not None:
            options["json"] = call.body
        try:
            # `upload` limits a body itself. Without a body, the timeout of aiohttp would restart with every byte.
            async with asyncio.timeout(timeout if body is None else None):
                return await session.library.request(
                    route.method,
                    # Unchanged, because normalizing a signed URL would invalidate its signature.
                    URL(route.url, encoded=True),
                    allow_redirects=False,
                    skip_auto_headers=("Content-Type",) if body is not None else (),
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_read=timeout),
                    **options,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(call, route, error) from None

    def _failed(self, call: HttpCall, route: Route, error: Exception) -> SogniError:
        """Return our error for one of aiohttp, with host and cause but without query and headers."""
        if self._closed:
            return ClientClosedError(f"the client was closed while {route.host} was answering")
        via = self._routing.through(route.url)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return no_connection(route.url, self._settings.timeouts.connect, via)
        if isinstance(error, TimeoutError):
            return no_response(call, route.url, limit_of(call, self._settings.timeouts), via)
        return unreachable(route.url, via, cause_of(error))


class _OpenResponse:
    """A response that is closed at the end of an `async with` block, where errors of aiohttp are translated.

    Not an async generator: a dropped one is left to its loop, which may not run again.
    """

    def __init__(
        self, receive: Callable[[], Awaitable[aiohttp.ClientResponse]], failed: Callable[[Exception], SogniError]
    ) -> None:
        self._receive, self._failed = receive, failed
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        self._response = await self._receive()
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            # If it was read completely, the connection is already back in the pool; otherwise it is unusable.
            self._response.close()
        if isinstance(error, aiohttp.ClientError | TimeoutError | zlib.error):
            raise self._failed(error) from None


async def _whole(call: HttpCall, route: Route, response: aiohttp.ClientResponse) -> bytes:
    """Return the body of a response, or as much of it as proves that it is too long."""
    if not response.ok:
        return await _error_body(route, response)
    if announced_too_long(call, response.headers.get("Content-Length")):
        return b""
    most = max_bytes_of(call, encoded="Content-Encoding" in response.headers)
    body = bytearray()
    async for piece in _DecodedChunks(route, response):
        body += piece
        if most is not None and len(body) > most:
            if call.max_bytes is None:
                raise too_long(call, route.url)
            break
    return bytes(body)


async def _error_body(route: Route, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    # An undecodable body must not hide the status.
    with suppress(ProtocolError, zlib.error):
        async for piece in _DecodedChunks(route, response):
            body += piece
            if len(body) >= MAX_REFUSAL_SIZE:
                break
    return bytes(body[:MAX_REFUSAL_SIZE])


async def _copy(route: Route, response: aiohttp.ClientResponse, write: Callable[[bytes], Any]) -> None:
    """Write a body in chunks, on a thread because disks may be slow."""
    gathered = bytearray()
    async for piece in _DecodedChunks(route, response):
        gathered += piece
        if len(gathered) >= TRANSFER_CHUNK:
            await asyncio.to_thread(write, bytes(gathered))
            gathered.clear()
    write(bytes(gathered))


class _DecodedChunks:
    """The decoded chunks of a body as they arrive. Not an async generator, for the same reason as `_OpenResponse`."""

    def __init__(self, route: Route, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self._decoder = _decoder(route, response)
        self._decoded: Iterator[bytes] = iter(())

    def __aiter__(self) -> _DecodedChunks:
        return self

    async def __anext__(self) -> bytes:
        while True:
            for piece in self._decoded:
                return piece
            data = await self._content.readany()
            if not data:
                self._decoder.end()
                raise StopAsyncIteration
            self._decoded = iter(self._decoder.feed(data))


def _decoder(route: Route, response: aiohttp.ClientResponse) -> ContentDecoder:
    """Return the decoder of a body. Closes the response and raises ProtocolError if there is none."""
    try:
        return ContentDecoder(response.headers.get("Content-Encoding"), route.host)
    except ProtocolError:
        response.close()
        raise


def _reply(route: Route, response: aiohttp.ClientResponse, body: bytes) -> HttpReply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpReply(status=response.status, headers=headers, body=body, url=route.url)
