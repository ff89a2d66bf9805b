"""The connections of requests under way: how they are ended while other threads use them, and when time is over.

Called by the HTTP side. `requests` can close what is idle only; a thread that waits for an answer is set free by
shutting its socket down, and finds the end of its connection.
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
from sogni.local.causes import cause_of
from sogni.local.cookies import Cookies
from sogni.local.files import PartialFile, PathFor
from sogni.local.media import MediaSource, finished_spool, spool
from sogni.local.proxies import bundled_authorities, ca_bundle_for, proxy_for, read_proxy, through, tls_context
from sogni.settings import MAX_REFUSAL_SIZE, TRANSFER_CHUNK, Settings
from sogni.transport.threads import DaemonThread
from sogni.transport.waiting import Deadline, wait_turn


class AnswerTime(threading.local):
    """The moment by which the answer to this thread's request must be complete; None limits only its head."""

    by: float | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit the requests of a `with` block together."""
        self.by = monotonic() + seconds
        try:
            yield
        finally:
            self.by = None


class Answer(http.client.HTTPResponse):
    """An answer that is limited in time as a whole.

    A socket's own timeout starts anew with every byte: a host that drips would hold the caller for ever. The head has
    the socket's timeout in total, the body what `AnswerTime` or `limit` grants.
    """

    def __init__(self, time: AnswerTime, sock: socket.socket, *args: Any, **options: Any) -> None:
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
        """Grant the rest of the body so much time."""
        self._timed.limit(None, seconds)


class _TimedReader(io.RawIOBase):
    """The receiving side of a socket, with a moment at which it ends."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock  # also where event streams find it
        self.each = sock.gettimeout()
        self._raw = sock.makefile("rb", buffering=0)
        self._by: float | None = None

    def limit(self, by: float | None, seconds: float | None) -> None:
        """End at `by` or in `seconds`, whichever comes first; both None: never."""
        moments = [by, None if seconds is None else monotonic() + seconds]
        self._by = min((moment for moment in moments if moment is not None), default=None)
        if self._by is None:
            self._sock.settimeout(self.each)

    def readable(self) -> bool:
        """Always: that is what it is for."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive. TimeoutError at the end of the time."""
        if self._by is not None:
            left = self._by - monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left if self.each is None else min(left, self.each))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket, which the connection may keep."""
        self._raw.close()
        super().close()


class Connections:
    """The sockets of one client's requests, from their opening to their end."""

    def __init__(self) -> None:
        self.time: AnswerTime = AnswerTime()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self.pools: dict[str, Any] = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, self),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, self),
        }
        """The classes of pools whose connections are noted here, by scheme."""
        self.ended: bool = False

    def note(self, made: Any) -> None:
        """A connection was opened. OSError when nobody wants it any more."""
        with self._lock:
            if isinstance(made, socket.socket):
                self._sockets.add(made)
            ended = self.ended
        if ended:
            raise ConnectionAbortedError("the client is closed")

    def end(self) -> None:
        """End all of them, and those to come; never blocks, repeatable."""
        with self._lock:
            self.ended = True
            sockets = list(self._sockets)
        for sock in sockets:
            with suppress(OSError):
                # The method of SSLSocket would drop the session under a thread that is inside it.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Adapter(HTTPAdapter):
    """An adapter whose connections are noted."""

    def __init__(self, connections: Connections) -> None:
        self._pools = connections.pools
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pool(pool: Any, connection: Any, connections: Connections) -> Any:
    """A class of pools whose connections are noted when they are opened."""

    def connect(self: Any) -> None:
        connection.connect(self)
        connections.note(self.sock)

    answer = staticmethod(partial(Answer, connections.time))
    noted = type(connection.__name__, (connection,), {"connect": connect, "response_class": answer})
    return type(pool.__name__, (pool,), {"ConnectionCls": noted})


# Answers without an end, read while they arrive: decides who reads the connection and how that is ended.
#
# Made by the HTTP side for event streams. A thread of its own reads each body, so that whoever waits for the next
# bytes can stop waiting at any moment: a time limit, Ctrl-C, `close` in another thread. It knows no event.


_PIECE = 64 * 1024
_MOST_AHEAD = 16
"""Pieces read before somebody takes them; then the service has to wait."""
_TURN_SECONDS = 0.5
_DROPPED = "the event stream belongs to the process that this one was forked from"


class EventBody:
    """The body of one answer. Closing it, or dropping it, closes the connection."""

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
            # How long silence may last is decided by whoever reads.
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
        """All bytes that have arrived, waiting for the first; empty at the end. SogniTimeoutError."""
        deadline, inbox = Deadline(timeout), self._inbox
        while True:
            # Cleared before looking: what comes while looking is not missed.
            inbox.news.clear()
            pieces = inbox.take()
            if pieces is not None:
                return pieces
            if deadline.over:
                raise SogniTimeoutError(f"nothing came within {timeout:g} seconds", phase="run", timeout=timeout)
            wait_turn(inbox.news, deadline.left())

    def close(self) -> None:
        """Close the connection, in any thread; repeatable. Who reads it finds its end."""
        self._finalizer()
        self._inbox.wake()

    def abandon_after_fork(self) -> None:
        """Close the inherited descriptor; the parent reads on."""
        self._finalizer.detach()
        inbox, self._inbox = self._inbox, _Inbox()
        self._inbox.error = SogniConnectionError(_DROPPED)
        _ABANDONED_BODIES.append(inbox)
        if self._socket is not None:
            self._socket.close()


_ABANDONED_BODIES: list[Any] = []
"""What threads of the parent hold, kept so that nothing of it is finalized here."""


class _Inbox:
    """What arrived and nobody has taken yet."""

    def __init__(self) -> None:
        self.news = threading.Event()
        self.room = threading.Event()
        self.closed = False
        self.error: Exception | None = None
        self._pieces: deque[bytes] = deque()
        self._ended = False

    def put(self, piece: bytes) -> None:
        """Keep a piece, an empty one as the end, and wait for room for the next."""
        self.room.clear()
        self._pieces.append(piece)
        self._ended = not piece
        self.news.set()
        while len(self._pieces) > _MOST_AHEAD and not self.closed:
            # In turns: nobody wakes it when the body was dropped.
            self.room.wait(_TURN_SECONDS)

    def wake(self) -> None:
        """Have both sides look again."""
        self.room.set()
        self.news.set()

    def fail(self, error: Exception) -> None:
        """Keep why nothing more comes."""
        self.error = error
        self.news.set()

    def take(self) -> bytes | None:
        """What is there; empty at the end, None to wait. Raises what went wrong, after all that had come."""
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
    """Have the receiving thread end. Takes no lock: the garbage collector may call it wherever one is held."""
    inbox.closed = True
    if connection is not None:
        # Not the method of a TLS socket, which changes what the other thread is using.
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _receive(
    response: requests.Response,
    decoder: ContentDecoder,
    inbox: _Inbox,
    end: Callable[[], None],
    failed: Callable[[Exception], Exception],
) -> None:
    """Read a body to its end, in the thread that owns its connection."""
    raw: Any = response.raw
    # urllib3 before 2.1 would wait for a full piece.
    read = raw.read1 if hasattr(raw, "read1") else raw._fp.read1
    try:
        while not inbox.closed:
            piece = read(_PIECE)
            if not piece:
                decoder.end()
                inbox.put(b"")
                break
            for decoded in decoder.feed(piece):
                inbox.put(decoded)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, zlib.error) as error:
        inbox.fail(failed(error))
    except Exception as error:
        # http.client raises its own errors past urllib3; nobody may wait for ever over one.
        inbox.fail(SogniConnectionError(f"the event stream broke off: {cause_of(error)}"))
    finally:
        response.close()
        end()


def _socket_of(response: requests.Response) -> socket.socket | None:
    """The socket below an answer, which has no public name; None where it cannot be found.

    Without it a stream that is closed ends its thread only with the next bytes.
    """
    part: Any = response.raw
    for name in ("_fp", "fp", "raw", "_sock"):
        part = getattr(part, name, None)
    return part if isinstance(part, socket.socket) else None


# Our errors for the failures of `requests`.
#
# They name host, proxy and cause, never a query or a header.


def http_error(call: HttpCall, url: str, error: Exception, settings: Settings) -> SogniError:
    """Return our error for one of the library's, to be raised `from None`: the library's quotes the whole URL."""
    via = through(url, settings.proxy, os.environ)
    cause = _innermost(error)
    proxy_timed_out = isinstance(error, requests.exceptions.ProxyError) and isinstance(cause, TimeoutError)
    if isinstance(error, requests.ConnectTimeout) or proxy_timed_out:
        return no_connection(url, min(settings.timeouts.connect, limit_of(call, settings.timeouts)), via)
    if isinstance(error, requests.Timeout | urllib3.exceptions.ReadTimeoutError):
        return no_answer(call, url, limit_of(call, settings.timeouts), via)
    if isinstance(error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
        return unreachable(url, via, "the URL is invalid")
    return unreachable(url, via, cause_of(cause))


def _innermost(error: BaseException) -> BaseException:
    """Return the first reason in a chain of wrapped errors."""
    seen = error
    for _ in range(8):
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        inner = inner or seen.__cause__
        if inner is None or inner is seen:
            break
        seen = inner
    return seen


# A result read while it arrives: the file object of `Job.open`.
#
# Made by the HTTP side; closed by its reader.


class ResponseStream(Live, io.RawIOBase):
    """A readable, unseekable file over an answer; closing it closes the connection."""

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
        """Always: that is what it is for."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, all that is left when negative; empty at the end."""
        if size is None or size < 0:
            return self.readall()
        return self._take(size)

    def readall(self) -> bytes:
        """Everything that is left."""
        pieces = []
        while piece := self._take(TRANSFER_CHUNK):
            pieces.append(piece)
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; the number of bytes written to it."""
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
        # Not while the library's own is handled: that one would stay with it, and holds the whole address.
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
        """Close the connection; repeatable."""
        if not self.closed:
            self._response.close()
            self._end()
        super().close()


# HTTP with `requests`: decides which session sends a call, how long it may take and how it fails.
#
# Called by the engine. Retries and the meaning of an answer are decided by flows.


_LEAST = 0.001
"""Seconds; the library refuses a timeout of 0, which is what a call has that waited too long for a connection."""


class Http:
    """The HTTP side of one client. Safe from any thread: each request has a session of its own.

    Sessions go back to a pool and keep their connections, so threads that come and go do not
    open new ones.
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
        """Those of results and events that are read as long as their reader likes."""
        self._trusted = {bundled_authorities()}
        self._lock = threading.Lock()
        self._closed = False

    def end_streams(self) -> None:
        """End all event streams; none begins any more."""
        with self._lock:
            self._closed = True
            bodies = list(self._bodies)
        for body in bodies:
            body.close()

    def end_requests(self) -> None:
        """End the requests under way in other threads, with ClientClosedError; none begins any more."""
        self.end_streams()
        self._connections.end()

    def close(self) -> None:
        """Close all connections, save those of results that are still being read."""
        self.end_requests()
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for session in idle:
            _close(session)

    def abandon_after_fork(self) -> None:
        """Close the descriptors inherited from the parent, without the locks its threads may hold.

        Closing a TLS socket object says no goodbye, so the parent's connections go on.
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
        # The environment is read by `proxies`, for REST and WebSocket alike; a .netrc would add credentials.
        session.trust_env = False
        # One store for all sessions, and for the service's hosts only, is in `Cookies`.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._all.add(session)
        return session

    def _authorities(self, url: str) -> str:
        """The certificate authorities for a URL; those of the user are read once, to name them if they are unusable."""
        bundle = ca_bundle_for(self._settings.ca_bundle, os.environ)
        if url.startswith("https:") and bundle not in self._trusted:
            tls_context(shown_host(url), bundle)
            self._trusted.add(bundle)
        return bundle

    # -- calls -----------------------------------------------------------------

    def send(self, call: HttpCall) -> HttpReply:
        """Send a call and read the whole answer."""
        limit = limit_of(call, self._settings.timeouts)
        with (
            self._session() as session,
            self._connections.time.within(limit),
            self._open(session, call, limit) as response,
        ):
            if not response.ok:
                return _reply(response, self._beginning(response))
            if told_too_long(call, response.headers.get("content-length")):
                return _reply(response, b"")
            most = most_bytes_of(call, encoded="content-encoding" in response.headers)
            body = bytearray()
            for piece in self._pieces(response, _arriving):
                body += piece
                if most is not None and len(body) > most:
                    if call.most_bytes is None:
                        raise too_long(call, response.url)
                    break
            return _reply(response, bytes(body))

    def upload(self, call: HttpCall, source: MediaSource) -> HttpReply:
        """Send a source as the body of a call, streamed. OSError when the source cannot be read to its end."""
        timeout = self._settings.timeouts.transfer
        with source.open() as file, self._session() as session:
            body = _Body(file, source)
            try:
                with self._open(session, call, timeout, body) as response:
                    return self._refusal(response, timeout)
            except SogniConnectionError:
                # The libraries take an error of the file for one of the connection.
                if body.error is not None:
                    raise body.error from None
                raise

    def download(self, call: HttpCall, path_for: PathFor, *, overwrite: bool = False) -> Any:
        """Write the body of an answer to a file; the reply instead when it is no success."""
        with self._session() as session:
            timeout = self._settings.timeouts.transfer
            with self._open(session, call, timeout) as response:
                if not response.ok:
                    return self._refusal(response, timeout)
                with PartialFile(path_for, overwrite=overwrite) as file:
                    for chunk in self._pieces(response, _chunks):
                        file.write(chunk)
                    return file.finish()

    def spool(self, call: HttpCall, name: str) -> Any:
        """Keep the body of an answer as a media source; the reply instead when it is no success."""
        timeout = self._settings.timeouts.transfer
        with self._session() as session, self._open(session, call, timeout) as response:
            if not response.ok:
                return self._refusal(response, timeout)
            file = spool()
            try:
                for chunk in self._pieces(response, _chunks):
                    file.write(chunk)
                return finished_spool(f"the result given as {name}", file)
            except BaseException:
                file.close()
                raise

    def open_stream(self, call: HttpCall) -> Any:
        """A file object over the body of an answer; the reply instead when it is no success.

        It has a session of its own, because it stays open as long as its reader likes.
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
                reply = self._refusal(response, timeout)
        except BaseException:
            _close(session)
            raise
        _close(session)
        return reply

    def open_events(self, call: HttpCall) -> Any:
        """The body of an answer without an end; the reply instead when it is no success."""
        limit = limit_of(call, self._settings.timeouts)
        session = self._new_session(self._lasting)
        try:
            response = self._request(session, call, limit, None)
            if response.ok and response.status_code != NO_CONTENT:
                return self._kept(response, call, session)
            with self._ending(call, response):
                reply = self._refusal(response, limit)
        except BaseException:
            _close(session)
            raise
        _close(session)
        return reply

    def _kept(self, response: requests.Response, call: HttpCall, session: requests.Session) -> EventBody:
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
        """A decoded body piece by piece. ClientClosedError when its end may be that of the client only."""
        decoder = _decoder(response)
        for data in pieces(response):
            yield from decoder.feed(data)
        decoder.end()
        if self._connections.ended and "content-length" not in response.headers:
            raise self._failed_by_closing(response.url)

    def _refusal(self, response: requests.Response, seconds: float) -> HttpReply:
        """An answer that is read for its status first, whatever its body; `seconds` are for all of that."""
        answer = getattr(response.raw, "_fp", None)
        if isinstance(answer, Answer):
            answer.limit(seconds)
        return _reply(response, self._beginning(response))

    def _beginning(self, response: requests.Response) -> bytes:
        body = bytearray()
        # A body that cannot be decoded must not hide the status.
        with suppress(ProtocolError, zlib.error):
            for piece in self._pieces(response, _arriving):
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
        """Close an answer after it was read; what fails meanwhile is an error of ours."""
        try:
            with response:
                yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error) as error:
            raise self._failed(call, response.url, error) from None

    def _request(self, session: requests.Session, call: HttpCall, timeout: float, body: Any) -> requests.Response:
        """Send a call and follow redirects; credentials never go to another origin."""
        route = Route(call, self._settings)
        while True:
            own = {**self._auth_headers(), **self._cookies.header_for(route.url)} if route.with_credentials else {}
            headers = {"Accept-Encoding": ACCEPTED, **call.headers, **own}
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
        try:
            response = session.request(
                method,
                url,
                headers=headers,
                json=call.body if method != "GET" and body is None else None,
                data=body,
                timeout=(max(_LEAST, min(self._settings.timeouts.connect, timeout)), max(_LEAST, timeout)),
                proxies=proxies,
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._failed(call, url, error) from None
        try:
            check_proxy_answer(url, through(url, self._settings.proxy, os.environ), response.status_code)
        except SogniConnectionError:
            response.close()
            raise
        return response

    def _failed_by_closing(self, url: str) -> SogniError:
        return ClientClosedError(f"the client was closed while {shown_host(url)} was answering")

    def _failed(self, call: HttpCall, url: str, error: Exception) -> SogniError:
        return self._failed_by_closing(url) if self._closed else http_error(call, url, error, self._settings)


_ABANDONED: list[Http] = []
"""HTTP sides of the parent, kept so that no finalizer waits for a lock of a thread that is not here."""


def _proxies(url: str, settings: Settings) -> dict[str, str]:
    """The proxy of a URL as `requests` takes it. SogniConnectionError if it cannot be used."""
    proxy = proxy_for(url, settings.proxy, os.environ)
    if proxy is None:
        return {}
    relay = read_proxy(proxy)
    if relay.scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        raise unreachable(
            url,
            f" through the proxy {relay.shown}",
            f"{relay.scheme} needs the package PySocks (pip install PySocks)",
        )
    return {"http": proxy, "https": proxy}


def _close(session: requests.Session) -> None:
    """Close a session and what it keeps; urllib3 leaves that to a finalizer, which at exit has already run."""
    for adapter in session.adapters.values():
        for connection in _pooled(adapter):
            if connection is not None:
                connection.close()
    session.close()


def _pooled(adapter: Any) -> list[Any]:
    """The connections an adapter keeps; urllib3 has no public way to list them."""
    manager = getattr(adapter, "poolmanager", None)
    managers = [manager, *getattr(adapter, "proxy_manager", {}).values()]
    pools = [pool for m in managers if m is not None for pool in list(m.pools._container.values())]
    return [connection for pool in pools if pool.pool is not None for connection in list(pool.pool.queue)]


class _Body:
    """A request body of known length that is read piece by piece; `error` is what the reading ended with."""

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
                # The host would wait for the rest for ever.
                raise OSError(f"{self._source.name} became shorter while it was uploaded")
        except OSError as error:
            self.error = error
            raise
        self._left -= len(data)
        return data


def _arriving(response: requests.Response) -> Iterator[bytes]:
    """A body as it arrives: a full piece would be waited for as long as its bytes keep dripping."""
    if not hasattr(response.raw, "read1"):  # urllib3 before 2.1
        yield from _chunks(response)
        return
    while piece := response.raw.read1(TRANSFER_CHUNK, decode_content=False):
        yield piece


def _chunks(response: requests.Response) -> Iterator[bytes]:
    # Not those of `requests`, which reports a body that takes too long as a lost connection.
    chunks: Iterator[bytes] = response.raw.stream(TRANSFER_CHUNK, decode_content=False)
    return chunks


def _decoder(response: requests.Response) -> ContentDecoder:
    """What decodes the body. ProtocolError, and the answer is closed, if nothing can."""
    try:
        return ContentDecoder(response.headers.get("content-encoding"), shown_host(response.url))
    except ProtocolError:
        response.close()
        raise


def _reply(response: requests.Response, body: bytes) -> HttpReply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpReply(status=response.status_code, headers=headers, body=body, url=response.url)
