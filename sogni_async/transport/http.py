"""HTTP with `aiohttp`: decides which session sends a call, how long it may take and how it fails.

Called by the engine. Retries and the meaning of an answer are decided by flows. Credentials never go to another
origin, and no error keeps what the library's own would: addresses with their query, and headers.
"""

from __future__ import annotations

import asyncio
import weakref
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import aiohttp
from yarl import URL

from sogni.errors import ClientClosedError, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.machine.cookies import Cookies
from sogni.machine.downloads import PartialFile, PathFor
from sogni.machine.sources import MediaSource, finished_spool, spool
from sogni.protocol.content_encoding import ACCEPTED, ContentDecoder
from sogni.protocol.exchange import (
    Route,
    check_proxy_answer,
    limit_of,
    most_bytes_of,
    no_answer,
    no_connection,
    told_too_long,
    too_long,
    unreachable,
)
from sogni.protocol.http import NO_CONTENT, HttpCall, HttpReply
from sogni.settings import MAX_REFUSAL_SIZE, TRANSFER_CHUNK, Settings

from .connection_limit import ConnectionLimit
from .event_bodies import EventBody
from .sessions import Session, Ways, cause_of
from .streams import AsyncBinaryIO
from .uploads import SourcePayload


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

    async def limited(self, call: HttpCall, send: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Send a call by one of the methods below, as soon as a connection is free."""
        async with self._slots.slot(call) as granted:
            return await send(granted, *arguments)

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
