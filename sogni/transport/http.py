"""HTTP with `requests`: calls, uploads, downloads, event streams and files that are read while they arrive.

Retries and the meaning of a response are decided by the core. Credentials are never sent to another origin, and errors
name host, proxy and cause, never a query or a header.

`requests` can close only idle connections, so this module tracks every socket and shuts it down to release the threads
that wait for it.
"""

from __future__ import annotations

import http.client
import importlib.util
import io
import os
import socket
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

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
from sogni.local.causes import cause_of, innermost
from sogni.local.cookies import Cookies
from sogni.local.files import DownloadFile, PathFor
from sogni.local.media import MediaSource, finished_spool, spool
from sogni.local.proxies import bundled_authorities, ca_bundle_for, proxy_for, read_proxy, through, tls_context
from sogni.logs import log_exchange
from sogni.settings import MAX_REFUSAL_SIZE, TRANSFER_CHUNK, Settings
from sogni.transport.threads import DaemonThread
from sogni.transport.waiting import Deadline, wait_turn

# -- connections that can be shut down and limited in time


class ResponseDeadline(threading.local):
    """When the response to this thread's request must be complete. None limits only its head."""

    by: float | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Set the deadline for the requests of a `with` block."""
        self.by = monotonic() + seconds
        try:
            yield
        finally:
            self.by = None


class TimedResponse(http.client.HTTPResponse):
    """A response with a time limit for the whole.

    A socket timeout restarts with every byte, so a host that sends single bytes could block the caller forever. The
    head has the socket timeout in total, the body the limit of `ResponseDeadline` or `limit`.
    """

    def __init__(self, time: ResponseDeadline, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self._timed = _TimedReader(sock)
        self._by = time.by
        self._timed.limit(self._by, self._timed.each)
        self.fp: io.BufferedReader = io.BufferedReader(self._timed)

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self._timed.limit(self._by, None)

    def limit(self, seconds: float) -> None:
        """Limit the rest of the body to some seconds."""
        self._timed.limit(None, seconds)


class _TimedReader(io.RawIOBase):
    """The receiving side of a socket, with a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock  # also used by `_socket_of`
        self.each = sock.gettimeout()
        self._raw = sock.makefile("rb", buffering=0)
        self._by: float | None = None

    def limit(self, by: float | None, seconds: float | None) -> None:
        """Set the deadline to `by` or in `seconds`, whichever comes first, or to never if both are None."""
        moments = [by, None if seconds is None else monotonic() + seconds]
        self._by = min((moment for moment in moments if moment is not None), default=None)
        if self._by is None:
            self._sock.settimeout(self.each)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive data. Raises TimeoutError at the deadline."""
        if self._by is not None:
            left = self._by - monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left if self.each is None else min(left, self.each))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Release the socket, which the connection may keep."""
        self._raw.close()
        super().close()


class Connections:
    """The open sockets of one client."""

    def __init__(self) -> None:
        self.time: ResponseDeadline = ResponseDeadline()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self.pools: dict[str, Any] = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, self),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, self),
        }
        """Pool classes by scheme whose connections are tracked here."""
        self.ended: bool = False

    def track(self, sock: Any) -> None:
        """Track a new connection. Raises OSError if the client is closed."""
        with self._lock:
            if isinstance(sock, socket.socket):
                self._sockets.add(sock)
            ended = self.ended
        if ended:
            raise ConnectionAbortedError("the client is closed")

    def end(self) -> None:
        """Shut down all connections and reject new ones. Never blocks, idempotent."""
        with self._lock:
            self.ended = True
            sockets = list(self._sockets)
        for sock in sockets:
            with suppress(OSError):
                # The method of SSLSocket would destroy the session while another thread uses it.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Adapter(HTTPAdapter):
    """An adapter whose connections are tracked."""

    def __init__(self, connections: Connections) -> None:
        self._pools = connections.pools
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Create the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Create the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pool(pool: Any, connection: Any, connections: Connections) -> Any:
    """Return a pool class whose connections are tracked when they are opened."""

    def connect(self: Any) -> None:
        connection.connect(self)
        connections.track(self.sock)

    response = staticmethod(partial(TimedResponse, connections.time))
    tracked = type(connection.__name__, (connection,), {"connect": connect, "response_class": response})
    return type(pool.__name__, (pool,), {"ConnectionCls": tracked})


# -- event streams
#
# A separate thread reads each body, so that a reader can stop waiting at any moment: at a time limit, on Ctrl-C, or on
# `close` in another thread.

_CHUNK_SIZE = 64 * 1024
_MAX_BUFFERED = 16
"""Number of chunks to buffer before the service has to wait."""
_POLL_SECONDS = 0.5
_ABANDONED_MESSAGE = "the event stream belongs to the parent of this forked process"


class EventBody:
    """The body of an event stream. Closing or dropping it closes the connection."""

    def __init__(
        self,
        response: requests.Response,
        decoder: ContentDecoder,
        end: Callable[[], None],
        failed: Callable[[Exception], Exception],
    ) -> None:
        self._inbox = _Inbox()
        self._socket = _socket_of(response)
        if self._socket is not None:
            # The reader limits how long silence may last.
            self._socket.settimeout(None)
        self._finalizer = weakref.finalize(self, _end, self._inbox, self._socket)
        self._finalizer.atexit = False
        thread = DaemonThread(_receive, response, decoder, self._inbox, end, failed, name="sogni-events")
        try:
            thread.start()
        finally:
            if thread.called_off:
                response.close()
                end()

    def read(self, timeout: float | None) -> bytes:
        """Wait for data and return all that has arrived, or nothing at the end.

        Raises SogniTimeoutError after `timeout` seconds without data.
        """
        deadline, inbox = Deadline(timeout), self._inbox
        while True:
            # Cleared before checking, so that data that arrives in between is not missed.
            inbox.changed.clear()
            data = inbox.take()
            if data is not None:
                return data
            if deadline.over:
                raise SogniTimeoutError(f"no data within {timeout:g} seconds", phase="run", timeout=timeout)
            wait_turn(inbox.changed, deadline.left())

    def close(self) -> None:
        """Close the connection, from any thread. Readers see the end of the data. Idempotent."""
        self._finalizer()
        self._inbox.wake()

    def abandon_after_fork(self) -> None:
        """Close the inherited descriptor. The parent continues to read."""
        self._finalizer.detach()
        inbox, self._inbox = self._inbox, _Inbox()
        self._inbox.error = SogniConnectionError(_ABANDONED_MESSAGE)
        _ABANDONED_BODIES.append(inbox)
        if self._socket is not None:
            self._socket.close()


_ABANDONED_BODIES: list[Any] = []
"""Objects used by threads of the parent, kept so that they are not finalized in this process."""


class _Inbox:
    """Received data that has not been read yet."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.room = threading.Event()
        self.closed = False
        self.error: Exception | None = None
        self._pieces: deque[bytes] = deque()
        self._ended = False

    def put(self, piece: bytes) -> None:
        """Add a chunk, an empty one at the end, and wait until there is room for the next."""
        self.room.clear()
        self._pieces.append(piece)
        self._ended = not piece
        self.changed.set()
        while len(self._pieces) > _MAX_BUFFERED and not self.closed:
            # Polls, because nothing sets the event when the body was dropped.
            self.room.wait(_POLL_SECONDS)

    def wake(self) -> None:
        """Wake both sides."""
        self.room.set()
        self.changed.set()

    def fail(self, error: Exception) -> None:
        """Set the error that ended the data."""
        self.error = error
        self.changed.set()

    def take(self) -> bytes | None:
        """Return the available data, nothing at the end, or None to wait. Raises the error after all data was taken."""
        taken = []
        while self._pieces:
            taken.append(self._pieces.popleft())
        self.room.set()
        data = b"".join(taken)
        if data:
            return data
        if self.error is not None and not self.closed:
            raise self.error
        return b"" if self._ended or self.closed else None


def _end(inbox: _Inbox, connection: socket.socket | None) -> None:
    """End the receiving thread. Takes no lock, because the garbage collector may call it while one is held."""
    inbox.closed = True
    if connection is not None:
        # The method of a TLS socket would change state that the other thread is using.
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _receive(
    response: requests.Response,
    decoder: ContentDecoder,
    inbox: _Inbox,
    end: Callable[[], None],
    failed: Callable[[Exception], Exception],
) -> None:
    """Read a body to its end, on the thread that owns its connection."""
    raw: Any = response.raw
    # urllib3 before 2.1 waits for a full chunk.
    read = raw.read1 if hasattr(raw, "read1") else raw._fp.read1
    try:
        while not inbox.closed:
            piece = read(_CHUNK_SIZE)
            if not piece:
                decoder.end()
                inbox.put(b"")
                break
            for decoded in decoder.feed(piece):
                inbox.put(decoded)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, zlib.error) as error:
        inbox.fail(failed(error))
    except Exception as error:
        # http.client can raise other errors; readers must not wait forever because of one.
        inbox.fail(SogniConnectionError(f"the event stream was interrupted: {cause_of(error)}"))
    finally:
        response.close()
        end()


def _socket_of(response: requests.Response) -> socket.socket | None:
    """Return the socket of a response, which has no public attribute, or None if it cannot be found.

    Without it, the thread of a closed stream ends only with the next data.
    """
    part: Any = response.raw
    for name in ("_fp", "fp", "raw", "_sock"):
        part = getattr(part, name, None)
    return part if isinstance(part, socket.socket) else None


# -- errors


def http_error(call: HttpCall, url: str, error: Exception, settings: Settings) -> SogniError:
    """Return our error for one of `requests`. Raise it `from None`: the original contains the full URL."""
    via = through(url, settings.proxy, os.environ)
    cause = innermost(error)
    proxy_timed_out = isinstance(error, requests.exceptions.ProxyError) and isinstance(cause, TimeoutError)
    if isinstance(error, requests.ConnectTimeout) or proxy_timed_out:
        return no_connection(url, min(settings.timeouts.connect, limit_of(call, settings.timeouts)), via)
    if isinstance(error, requests.Timeout | urllib3.exceptions.ReadTimeoutError):
        return no_response(call, url, limit_of(call, settings.timeouts), via)
    if isinstance(error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
        return unreachable(url, via, "the URL is invalid")
    return unreachable(url, via, cause_of(cause))


# -- results that are read while they arrive


class ResponseStream(Live, io.RawIOBase):
    """A readable file object for a response, as returned by `Job.open`. Closing it closes the connection."""

    def __init__(
        self,
        response: requests.Response,
        decoder: ContentDecoder,
        end: Callable[[], None],
        failed: Callable[[Exception], Exception],
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._decoded = self._decode()
        self._rest = b""
        self._end = end
        self._failed = failed

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, all remaining bytes if negative or None, or nothing at the end."""
        if size is None or size < 0:
            return self.readall()
        return self._take(size)

    def readall(self) -> bytes:
        """Return all remaining bytes."""
        pieces = []
        while piece := self._take(TRANSFER_CHUNK):
            pieces.append(piece)
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer` and return the number of bytes."""
        piece = self._take(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def _take(self, size: int) -> bytes:
        if self.closed:
            raise ValueError("the stream is closed")
        try:
            piece = self._received(size)
        except (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error) as error:
            failure = self._failed(error)
        else:
            return piece
        # Raised outside of the handler: the original error, which contains the full URL, must not be its context.
        raise failure

    def _received(self, size: int) -> bytes:
        if self._decoder.plain:
            piece: bytes = self._response.raw.read(size, decode_content=False)
            return piece
        rest = self._rest or next(self._decoded, b"")
        self._rest = rest[size:]
        return rest[:size]

    def _decode(self) -> Iterator[bytes]:
        while data := self._response.raw.read(TRANSFER_CHUNK, decode_content=False):
            yield from self._decoder.feed(data)
        self._decoder.end()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if not self.closed:
            self._response.close()
            self._end()
        super().close()


# -- the HTTP client

_MIN_TIMEOUT = 0.001
"""In seconds. `requests` rejects 0, which remains for a call that waited too long for a connection."""


class Http:
    """HTTP for one client. Thread-safe: each request has its own session.

    Sessions are pooled with their connections, so short-lived threads do not open new ones.
    """

    def __init__(self, settings: Settings, auth_headers: Callable[[], Mapping[str, str]], cookies: Cookies) -> None:
        self._settings = settings
        self._cookies = cookies
        self._auth_headers = auth_headers
        self._idle: deque[requests.Session] = deque()
        self._all: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._bodies: weakref.WeakSet[EventBody] = weakref.WeakSet()
        self._connections = Connections()
        self._lasting = Connections()
        """Connections of results and event streams, which stay open as long as they are read."""
        self._trusted = {bundled_authorities()}
        self._lock = threading.Lock()
        self._closed = False

    def end_streams(self) -> None:
        """Close all event streams and reject new ones."""
        with self._lock:
            self._closed = True
            bodies = list(self._bodies)
        for body in bodies:
            body.close()

    def end_requests(self) -> None:
        """End running requests of other threads with ClientClosedError, and reject new ones."""
        self.end_streams()
        self._connections.end()

    def close(self) -> None:
        """Close all connections except those of results that are being read."""
        self.end_requests()
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for session in idle:
            _close(session)

    def abandon_after_fork(self) -> None:
        """Close the inherited descriptors in a forked child, without locks that threads of the parent may hold.

        Closing a TLS socket object sends nothing, so the connections of the parent continue.
        """
        for body in list(self._bodies):
            body.abandon_after_fork()
        for session in list(self._all):
            for adapter in session.adapters.values():
                for connection in _pooled(adapter):
                    if connection is not None and connection.sock is not None:
                        connection.sock.close()
        _ABANDONED.append(self)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        if self._closed:
            raise ClientClosedError("the client is closed")
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._new_session(self._connections)
        try:
            yield session
        finally:
            with self._lock:
                closed = self._closed
                if not closed:
                    self._idle.append(session)
            if closed:
                _close(session)

    def _new_session(self, connections: Connections) -> requests.Session:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, Adapter(connections))
        # `local.proxies` reads the environment, for REST and WebSocket alike. A .netrc would add credentials.
        session.trust_env = False
        # `Cookies` is the store for all sessions, limited to the hosts of the service.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._all.add(session)
        return session

    def _authorities(self, url: str) -> str:
        """Return the certificate authorities for a URL. Custom ones are checked once, to name them in errors."""
        bundle = ca_bundle_for(self._settings.ca_bundle, os.environ)
        if url.startswith("https:") and bundle not in self._trusted:
            tls_context(host_and_port(url), bundle)
            self._trusted.add(bundle)
        return bundle

    # -- calls -----------------------------------------------------------------

    def send(self, call: HttpCall) -> HttpReply:
        """Send a call and return the complete response."""
        limit = limit_of(call, self._settings.timeouts)
        with (
            self._session() as session,
            self._connections.time.within(limit),
            self._open(session, call, limit) as response,
        ):
            if not response.ok:
                return _reply(response, self._error_body(response))
            if announced_too_long(call, response.headers.get("content-length")):
                return _reply(response, b"")
            most = max_bytes_of(call, encoded="content-encoding" in response.headers)
            body = bytearray()
            for piece in self._pieces(response, _chunks_as_they_arrive):
                body += piece
                if most is not None and len(body) > most:
                    if call.max_bytes is None:
                        raise too_long(call, response.url)
                    break
            return _reply(response, bytes(body))

    def upload(self, call: HttpCall, source: MediaSource) -> HttpReply:
        """Stream a source as the body of a call. Raises OSError if the source cannot be read completely."""
        timeout = self._settings.timeouts.transfer
        with source.open() as file, self._session() as session:
            body = _Body(file, source)
            try:
                with self._open(session, call, timeout, body) as response:
                    return self._error_response(response, timeout)
            except SogniConnectionError:
                # The libraries report an error of the file as one of the connection.
                if body.error is not None:
                    raise body.error from None
                raise

    def download(self, call: HttpCall, path_for: PathFor, *, overwrite: bool = False) -> Any:
        """Write the body of a response to a file and return its path, or the response if it is an error."""
        with self._session() as session:
            timeout = self._settings.timeouts.transfer
            with self._open(session, call, timeout) as response:
                if not response.ok:
                    return self._error_response(response, timeout)
                with DownloadFile(path_for, overwrite=overwrite) as file:
                    for chunk in self._pieces(response, _chunks):
                        file.write(chunk)
                    return file.finish()

    def spool(self, call: HttpCall, name: str) -> Any:
        """Return the body of a response as a media source, or the response if it is an error."""
        timeout = self._settings.timeouts.transfer
        with self._session() as session, self._open(session, call, timeout) as response:
            if not response.ok:
                return self._error_response(response, timeout)
            file = spool()
            try:
                for chunk in self._pieces(response, _chunks):
                    file.write(chunk)
                return finished_spool(f"the result given as {name}", file)
            except BaseException:
                file.close()
                raise

    def open_stream(self, call: HttpCall) -> Any:
        """Return a file object for the body of a response, or the response if it is an error.

        The file has its own session, because it stays open as long as it is read.
        """
        timeout = self._settings.timeouts.transfer
        session = self._new_session(self._lasting)
        try:
            response = self._request(session, call, timeout, None)
            if response.ok:
                return ResponseStream(
                    response,
                    _decoder(response),
                    lambda: _close(session),
                    lambda error: http_error(call, response.url, error, self._settings),
                )
            with self._ending(call, response):
                reply = self._error_response(response, timeout)
        except BaseException:
            _close(session)
            raise
        _close(session)
        return reply

    def open_events(self, call: HttpCall) -> Any:
        """Return the body of an event stream, or the response if it is an error."""
        limit = limit_of(call, self._settings.timeouts)
        session = self._new_session(self._lasting)
        try:
            response = self._request(session, call, limit, None)
            if response.ok and response.status_code != NO_CONTENT:
                return self._event_body(response, call, session)
            with self._ending(call, response):
                reply = self._error_response(response, limit)
        except BaseException:
            _close(session)
            raise
        _close(session)
        return reply

    def _event_body(self, response: requests.Response, call: HttpCall, session: requests.Session) -> EventBody:
        with self._lock:
            if self._closed:
                response.close()
                raise ClientClosedError("the client is closed")
            body = EventBody(
                response,
                _decoder(response),
                lambda: _close(session),
                lambda error: http_error(call, response.url, error, self._settings),
            )
            self._bodies.add(body)
        return body

    def _pieces(
        self, response: requests.Response, pieces: Callable[[requests.Response], Iterator[bytes]]
    ) -> Iterator[bytes]:
        """Yield the decoded body. Raises ClientClosedError if it may have ended only because the client was closed."""
        decoder = _decoder(response)
        for data in pieces(response):
            yield from decoder.feed(data)
        decoder.end()
        if self._connections.ended and "content-length" not in response.headers:
            raise self._closed_error(response.url)

    def _error_response(self, response: requests.Response, seconds: float) -> HttpReply:
        """Return an error response, read within `seconds`. A malformed body does not matter."""
        raw = getattr(response.raw, "_fp", None)
        if isinstance(raw, TimedResponse):
            raw.limit(seconds)
        return _reply(response, self._error_body(response))

    def _error_body(self, response: requests.Response) -> bytes:
        body = bytearray()
        # An undecodable body must not hide the status.
        with suppress(ProtocolError, zlib.error):
            for piece in self._pieces(response, _chunks_as_they_arrive):
                body += piece
                if len(body) >= MAX_REFUSAL_SIZE:
                    break
        return bytes(body[:MAX_REFUSAL_SIZE])

    # -- one exchange ----------------------------------------------------------

    @contextmanager
    def _open(
        self, session: requests.Session, call: HttpCall, timeout: float, body: Any = None
    ) -> Iterator[requests.Response]:
        with self._ending(call, self._request(session, call, timeout, body)) as response:
            yield response

    @contextmanager
    def _ending(self, call: HttpCall, response: requests.Response) -> Iterator[requests.Response]:
        """Close a response at the end of a `with` block and translate the errors of the libraries."""
        try:
            with response:
                yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error) as error:
            raise self._failed(call, response.url, error) from None

    def _request(self, session: requests.Session, call: HttpCall, timeout: float, body: Any) -> requests.Response:
        """Send a call and follow redirects, without credentials for another origin."""
        route = Route(call, self._settings)
        while True:
            own = {**self._auth_headers(), **self._cookies.header_for(route.url)} if route.with_credentials else {}
            headers = {**STANDARD_HEADERS, **call.headers, **own}
            response = self._exchange(session, call, route.method, route.url, headers, timeout, body)
            if route.with_credentials:
                self._cookies.keep(route.url, response.raw.headers.getlist("set-cookie"))
            location = response.headers.get("location")
            try:
                if not route.follow(response.status_code, location, streamed=body is not None):
                    return response
            except BaseException:
                response.close()
                raise
            response.close()

    def _exchange(
        self,
        session: requests.Session,
        call: HttpCall,
        method: str,
        url: str,
        headers: dict[str, str],
        timeout: float,
        body: Any,
    ) -> requests.Response:
        proxies = _proxies(url, self._settings)
        session.verify = self._authorities(url)
        began = monotonic()
        try:
            response = session.request(
                method,
                url,
                headers=headers,
                json=call.body if method != "GET" and body is None else None,
                data=body,
                timeout=(max(_MIN_TIMEOUT, min(self._settings.timeouts.connect, timeout)), max(_MIN_TIMEOUT, timeout)),
                proxies=proxies,
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._failed(call, url, error) from None
        log_exchange(method, url, response.status_code, monotonic() - began)
        if (observer := tracing.observer) is not None:
            observer.responded(url, response.status_code)
        try:
            check_proxy_reply(url, through(url, self._settings.proxy, os.environ), response.status_code)
        except SogniConnectionError:
            response.close()
            raise
        return response

    def _closed_error(self, url: str) -> SogniError:
        return ClientClosedError(f"the client was closed while {host_and_port(url)} was answering")

    def _failed(self, call: HttpCall, url: str, error: Exception) -> SogniError:
        return self._closed_error(url) if self._closed else http_error(call, url, error, self._settings)


_ABANDONED: list[Http] = []
"""Objects of the parent process, kept so that no finalizer waits for a lock of one of its threads."""


def _proxies(url: str, settings: Settings) -> dict[str, str]:
    """Return the `proxies` argument of `requests` for a URL. Raises SogniConnectionError if the proxy is unusable."""
    proxy = proxy_for(url, settings.proxy, os.environ)
    if proxy is None:
        return {}
    relay = read_proxy(proxy)
    if relay.scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        raise unreachable(
            url,
            f" through the proxy {relay.shown}",
            f"{relay.scheme} requires the package PySocks (pip install PySocks)",
        )
    return {"http": proxy, "https": proxy}


def _close(session: requests.Session) -> None:
    """Close a session and its pooled connections. urllib3 leaves those to a finalizer, which has run before exit."""
    for adapter in session.adapters.values():
        for connection in _pooled(adapter):
            if connection is not None:
                connection.close()
    session.close()


def _pooled(adapter: Any) -> list[Any]:
    """Return the pooled connections of an adapter, for which urllib3 has no public API."""
    manager = getattr(adapter, "poolmanager", None)
    managers = [manager, *getattr(adapter, "proxy_manager", {}).values()]
    pools = [pool for m in managers if m is not None for pool in list(m.pools._container.values())]
    return [connection for pool in pools if pool.pool is not None for connection in list(pool.pool.queue)]


class _Body:
    """A request body of known length that is read in chunks. `error` is the error that ended the reading."""

    def __init__(self, file: Any, source: MediaSource) -> None:
        self._file, self._source = file, source
        self._left = source.size
        self.error: OSError | None = None

    def __len__(self) -> int:
        return self._source.size

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def read(self, size: int = -1) -> bytes:
        try:
            data: bytes = self._file.read(min(TRANSFER_CHUNK if size < 0 else size, self._left))
            if self._left and not data:
                # The host would wait for the rest forever.
                raise OSError(f"{self._source.name} became shorter while it was uploaded")
        except OSError as error:
            self.error = error
            raise
        self._left -= len(data)
        return data


def _chunks_as_they_arrive(response: requests.Response) -> Iterator[bytes]:
    """Yield a body as it arrives, without waiting for full chunks from a host that sends single bytes."""
    if not hasattr(response.raw, "read1"):  # urllib3 before 2.1
        yield from _chunks(response)
        return
    while piece := response.raw.read1(TRANSFER_CHUNK, decode_content=False):
        yield piece


def _chunks(response: requests.Response) -> Iterator[bytes]:
    # Not `iter_content`, which reports a timeout as a lost connection.
    chunks: Iterator[bytes] = response.raw.stream(TRANSFER_CHUNK, decode_content=False)
    return chunks


def _decoder(response: requests.Response) -> ContentDecoder:
    """Return the decoder of a body. Closes the response and raises ProtocolError if there is none."""
    try:
        return ContentDecoder(response.headers.get("content-encoding"), host_and_port(response.url))
    except ProtocolError:
        response.close()
        raise


def _reply(response: requests.Response, body: bytes) -> HttpReply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpReply(status=response.status_code, headers=headers, body=body, url=response.url)
