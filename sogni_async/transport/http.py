"""Answers without an end, read while they arrive: decides how one is read and how that is ended.

Made by the HTTP side for event streams. It knows no event.
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
from types import TracebackType
from typing import Any, BinaryIO, NoReturn
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from yarl import URL

from sogni.core.http import (
    ACCEPTED,
    NO_CONTENT,
    ContentDecoder,
    HttpCall,
    HttpReply,
    Route,
    check_proxy_answer,
    limit_of,
    most_bytes_of,
    no_answer,
    no_connection,
    shown_host,
    told_too_long,
    too_long,
    unreachable,
)
from sogni.errors import ClientClosedError, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.live import Live
from sogni.local.cookies import Cookies
from sogni.local.files import PartialFile, PathFor
from sogni.local.media import MediaSource, finished_spool, spool
from sogni.local.proxies import Proxy, ca_bundle_for, proxy_for, read_proxy, through, tls_context
from sogni.settings import MAX_REFUSAL_SIZE, TRANSFER_CHUNK, Settings
from sogni_async.transport.closing import call_in_loop, close_sockets, quiet_when_dropped
from sogni_async.transport.connection_limit import ConnectionLimit
from sogni_async.transport.websocket import RedirectRefusedError, SogniSocket, cause_of


class EventBody:
    """The body of one answer. Closing it, or dropping it, closes the connection."""

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
        """All bytes that have arrived, waiting for the first; empty at the end. SogniTimeoutError."""
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
        raise SogniTimeoutError(f"nothing came within {timeout:g} seconds", phase="run", timeout=timeout)

    def close(self) -> None:
        """Close the connection, in any thread; repeatable. Who reads it finds its end."""
        self._finalizer()

    def abandon_after_fork(self) -> None:
        """Touch nothing of the parent's loop."""
        self._finalizer.detach()
        _abandoned_body.append(self)


_abandoned_body: list[EventBody] = []
"""Of the process this one was forked from."""


def _end_body(loop: asyncio.AbstractEventLoop, response: aiohttp.ClientResponse, ended: asyncio.Event) -> None:
    """Close an answer in its own loop; may be called by the garbage collector, in any thread."""
    call_in_loop(loop, lambda: _close(response, ended))


def _close(response: aiohttp.ClientResponse, ended: asyncio.Event) -> None:
    # RuntimeError: the loop is closed.
    with suppress(RuntimeError):
        ended.set()
    response.close()


# Sessions of aiohttp: decides how connections are made, REST and WebSocket alike, and when they go.
#
# Called by the HTTP side and by the socket. A session is closed with its client, also one that was dropped, and with
# its loop. The environment is read by `machine.proxies`, never by aiohttp.


_LONGEST_HEADER = 64 * 1024
"""Signed addresses in a `Location` are longer than what aiohttp takes by itself."""


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
        self.library: aiohttp.ClientSession = aiohttp.ClientSession(
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


# A result read while it arrives: the file object of `Job.open`.
#
# Made by the HTTP side; closed by its reader.


class AsyncBinaryIO(Live):
    """A file over an answer whose `read` is awaited; `close` it, or use `async with`."""

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
        # One that is dropped leaves its connection to nobody.
        self._finalizer = weakref.finalize(self, call_in_loop, self._loop, session.end)
        self._finalizer.atexit = False

    async def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, all that is left when negative; empty at the end."""
        if self._closed:
            raise ValueError("the stream is closed")
        if asyncio.get_running_loop() is not self._loop:
            if self._loop.is_closed():
                raise ClientClosedError("this file belongs to an event loop that is closed; open the result again")
            raise RuntimeError("this file belongs to another event loop, the one in which it was opened")
        try:
            return await self._received(-1 if size is None else size)
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError, zlib.error) as error:
            failure = self._failed(error)
        # Not while the library's own is handled: that one would stay with it, and holds the whole address.
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
        """Close the connection; repeatable."""
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
        """Whether it is closed."""
        return self._closed

    async def __aenter__(self) -> AsyncBinaryIO:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


# A media source as the body of a request: decides how it is read while it goes out.
#
# Made by the HTTP side. A few pieces of it are in memory, never the whole.


class SourceError(Exception):
    """Tell the library that the body ended; what happened is the `error` of the payload."""


class SourcePayload(Payload):
    """A body of known length that can be sent again: it opens the source anew each time.

    `moved` is called before each piece and after the last. `error` is what the reading ended
    with when it was not the end: the library reports it as an error of the connection.
    """

    def __init__(self, source: MediaSource, moved: Callable[[], None]) -> None:
        super().__init__(source)
        self._source = source
        self._moved = moved
        self._size = source.size
        self.error: Exception | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all of it. SourceError when it cannot be read to its end."""
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
            # Not as it is: after an OSError the library would connect again and read once more.
            raise SourceError from error

    async def _piece(self, file: BinaryIO, size: int) -> bytes:
        # In a thread: a disk may take its time. A single piece is not worth one.
        alone = self._source.size <= TRANSFER_CHUNK
        chunk = file.read(size) if alone else await asyncio.to_thread(file.read, size)
        if not chunk:
            # The host would wait for the rest for ever.
            raise OSError(f"{self._source.name} became shorter while it was uploaded")
        return chunk

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Never asked for: media is no text."""
        raise TypeError("media is no text")


# HTTP with `aiohttp`: decides which session sends a call, how long it may take and how it fails.
#
# Called by the engine. Retries and the meaning of an answer are decided by flows. Credentials never go to another
# origin, and no error keeps what the library's own would: addresses with their query, and headers.


class Http:
    """The HTTP side of one client, in one loop."""

    def __init__(
        self, settings: Settings, auth_headers: Callable[[], Mapping[str, str]], cookies: Cookies | None = None
    ) -> None:
        self._settings = settings
        self._cookies = cookies or Cookies(False)
        self._auth_headers = auth_headers
        self._ways = Ways(settings)
        self._slots = ConnectionLimit(settings)
        self._session: Session | None = None
        self._bodies: weakref.WeakSet[EventBody] = weakref.WeakSet()
        self._closed = False

    async def session(self) -> Session:
        """The session of this client; made with the first request."""
        if self._closed:
            raise ClientClosedError("the client is closed")
        if self._session is None:
            # Not kept before it is complete; nothing is waited for in between.
            self._session = await Session.open()
        return self._session

    @property
    def ways(self) -> Ways:
        """Proxy and certificates, for the WebSocket, too."""
        return self._ways

    def end_streams(self) -> None:
        """End all event streams; none begins any more."""
        self._closed = True
        for body in list(self._bodies):
            body.close()

    async def close(self) -> None:
        """Close the connections, those in use as well."""
        self.end_streams()
        if self._session is not None:
            await self._session.close()

    def end(self) -> None:
        """Close all connections at once, also when the loop is closed and nothing can be awaited any more."""
        self.end_streams()
        if self._session is not None:
            self._session.end()

    def abandon_after_fork(self) -> None:
        """Let go of the parent's connections."""
        for body in list(self._bodies):
            body.abandon_after_fork()
        if self._session is not None:
            self._session.abandon_after_fork()

    # -- calls -----------------------------------------------------------------

    async def limited(
        self, call: HttpCall, send: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any
    ) -> Any:
        """Send a call by one of the methods below, as soon as a connection is free."""
        async with self._slots.slot(call) as granted:
            return await send(granted, *arguments, **options)

    async def send(self, call: HttpCall) -> HttpReply:
        """Send a call and read the whole answer."""
        limit = limit_of(call, self._settings.timeouts)
        route = Route(call, self._settings)
        try:
            async with asyncio.timeout(limit) as whole, self._open(call, route, limit) as response:
                return _reply(route, response, await _whole(call, route, response))
        except TimeoutError:
            if not whole.expired():
                raise
        raise no_answer(call, route.url, limit, self._ways.through(route.url))

    async def upload(self, call: HttpCall, source: MediaSource) -> HttpReply:
        """Send a source as the body of a call, streamed. OSError when the source cannot be read to its end."""
        timeout = self._settings.timeouts.transfer
        route = Route(call, self._settings)
        loop = asyncio.get_running_loop()
        try:
            # The library limits the wait for the answer, not how long the body stays untaken.
            async with asyncio.timeout(timeout) as stuck:

                def moved() -> None:
                    stuck.reschedule(loop.time() + timeout)

                body = SourcePayload(source, moved)
                try:
                    async with self._open(call, route, timeout, body) as response:
                        return await self._refusal(route, response, timeout)
                except SogniConnectionError:
                    # The library takes an error of the file for one of the connection.
                    if body.error is not None:
                        raise body.error from None
                    raise
        except TimeoutError:
            if not stuck.expired():
                raise
        raise SogniTimeoutError(
            f"{route.host} took nothing of the upload for {timeout:g} seconds", phase="transfer", timeout=timeout
        )

    async def download(self, call: HttpCall, path_for: PathFor, *, overwrite: bool = False) -> Any:
        """Write the body of an answer to a file; the reply instead when it is no success."""
        route = Route(call, self._settings)
        timeout = self._settings.timeouts.transfer
        async with self._open(call, route, timeout) as response:
            if not response.ok:
                return await self._refusal(route, response, timeout)
            with PartialFile(path_for, overwrite=overwrite) as file:
                await _copy(route, response, file.write)
                return file.finish()

    async def spool(self, call: HttpCall, name: str) -> Any:
        """Keep the body of an answer as a media source; the reply instead when it is no success."""
        route = Route(call, self._settings)
        timeout = self._settings.timeouts.transfer
        async with self._open(call, route, timeout) as response:
            if not response.ok:
                return await self._refusal(route, response, timeout)
            file = spool()
            try:
                await _copy(route, response, file.write)
                return finished_spool(f"the result given as {name}", file)
            except BaseException:
                file.close()
                raise

    async def open_stream(self, call: HttpCall) -> Any:
        """A file object over the body of an answer; the reply instead when it is no success.

        It has a session of its own, because it stays open as long as its reader likes.
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
                reply = await self._refusal(route, response, timeout)
        except BaseException:
            await session.close()
            raise
        await session.close()
        return reply

    async def open_events(self, call: HttpCall) -> Any:
        """The body of an answer without an end; the reply instead when it is no success."""
        limit = limit_of(call, self._settings.timeouts)
        route = Route(call, self._settings)
        try:
            async with asyncio.timeout(limit) as whole:
                # Silence is limited by whoever reads.
                response = await self._request(await self.session(), call, route, None, None)
                if response.ok and response.status != NO_CONTENT:
                    decoder = _decoder(route, response)
                    body = EventBody(response, decoder, lambda error: self._failed(call, route, error))
                    self._bodies.add(body)
                    return body
                async with self._ending(call, route, response):
                    return await self._refusal(route, response, limit)
        except TimeoutError:
            if not whole.expired():
                raise
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(call, route, error) from None
        raise no_answer(call, route.url, limit, self._ways.through(route.url))

    # -- one exchange ----------------------------------------------------------

    def _open(self, call: HttpCall, route: Route, timeout: float, body: aiohttp.Payload | None = None) -> _Answer:
        async def requested() -> aiohttp.ClientResponse:
            return await self._request(await self.session(), call, route, timeout, body)

        return _Answer(requested, lambda error: self._failed(call, route, error))

    def _ending(self, call: HttpCall, route: Route, response: aiohttp.ClientResponse) -> _Answer:
        """Close an answer after it was read; what fails meanwhile is an error of ours."""

        async def received() -> aiohttp.ClientResponse:
            return response

        return _Answer(received, lambda error: self._failed(call, route, error))

    async def _refusal(self, route: Route, response: aiohttp.ClientResponse, seconds: float) -> HttpReply:
        """An answer that is read for its status first, whatever its body; `seconds` are for all of that."""
        async with asyncio.timeout(seconds):
            return _reply(route, response, await _beginning(route, response))

    async def _request(
        self, session: Session, call: HttpCall, route: Route, timeout: float | None, body: aiohttp.Payload | None
    ) -> aiohttp.ClientResponse:
        """Send a call and follow redirects; credentials never go to another origin."""
        while True:
            response = await self._exchange(session, call, route, timeout, body)
            try:
                check_proxy_answer(route.url, self._ways.through(route.url), response.status)
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
        options = self._ways.options_for(route.url, {"Accept-Encoding": ACCEPTED, **call.headers, **own})
        connect = self._settings.timeouts.connect
        if body is not None:
            options["data"] = body
        elif route.method != "GET" and call.body is not None:
            options["json"] = call.body
        try:
            # A body takes its own time; without one, the library's timeout would start anew with every byte.
            async with asyncio.timeout(timeout if body is None else None):
                return await session.library.request(
                    route.method,
                    # As it is: another spelling of a signed address would not fit its signature.
                    URL(route.url, encoded=True),
                    allow_redirects=False,
                    skip_auto_headers=("Content-Type",) if body is not None else (),
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_read=timeout),
                    **options,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(call, route, error) from None

    def _failed(self, call: HttpCall, route: Route, error: Exception) -> SogniError:
        """Our error for one of the library's; it names host and cause, never a query or a header."""
        if self._closed:
            return ClientClosedError(f"the client was closed while {route.host} was answering")
        via = self._ways.through(route.url)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return no_connection(route.url, self._settings.timeouts.connect, via)
        if isinstance(error, TimeoutError):
            return no_answer(call, route.url, limit_of(call, self._settings.timeouts), via)
        return unreachable(route.url, via, cause_of(error))


class _Answer:
    """An answer, closed when its `async with` block ends; what fails meanwhile is an error of ours.

    Not an async generator: one that is dropped while it waits is left to its loop, which may have no other round.
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
            # Read to its end it has gone back to the pool; otherwise the connection is of no use any more.
            self._response.close()
        if isinstance(error, aiohttp.ClientError | TimeoutError | zlib.error):
            raise self._failed(error) from None


async def _whole(call: HttpCall, route: Route, response: aiohttp.ClientResponse) -> bytes:
    """The body of an answer, or as much of it as shows that it is too long."""
    if not response.ok:
        return await _beginning(route, response)
    if told_too_long(call, response.headers.get("Content-Length")):
        return b""
    most = most_bytes_of(call, encoded="Content-Encoding" in response.headers)
    body = bytearray()
    async for piece in _Pieces(route, response):
        body += piece
        if most is not None and len(body) > most:
            if call.most_bytes is None:
                raise too_long(call, route.url)
            break
    return bytes(body)


async def _beginning(route: Route, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    # A body that cannot be decoded must not hide the status.
    with suppress(ProtocolError, zlib.error):
        async for piece in _Pieces(route, response):
            body += piece
            if len(body) >= MAX_REFUSAL_SIZE:
                break
    return bytes(body[:MAX_REFUSAL_SIZE])


async def _copy(route: Route, response: aiohttp.ClientResponse, write: Callable[[bytes], Any]) -> None:
    """Write a body piece by piece, large ones in a thread: a disk may take its time."""
    gathered = bytearray()
    async for piece in _Pieces(route, response):
        gathered += piece
        if len(gathered) >= TRANSFER_CHUNK:
            await asyncio.to_thread(write, bytes(gathered))
            gathered.clear()
    write(bytes(gathered))


class _Pieces:
    """A decoded body piece by piece, as it arrives. Not an async generator, for the reason that `_Answer` is none."""

    def __init__(self, route: Route, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self._decoder = _decoder(route, response)
        self._decoded: Iterator[bytes] = iter(())

    def __aiter__(self) -> _Pieces:
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
    """What decodes the body. ProtocolError, and the answer is closed, if nothing can."""
    try:
        return ContentDecoder(response.headers.get("Content-Encoding"), route.host)
    except ProtocolError:
        response.close()
        raise


def _reply(route: Route, response: aiohttp.ClientResponse, body: bytes) -> HttpReply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpReply(status=response.status, headers=headers, body=body, url=route.url)
