"""HTTP with `requests`: decides which session sends a call, how long it may take and how it fails.

Called by the engine. Retries and the meaning of an answer are decided by flows.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3

from ..errors import ClientClosedError, ProtocolError, SogniConnectionError, SogniError
from ..machine.cookies import Cookies
from ..machine.downloads import PartialFile, PathFor
from ..machine.proxies import bundled_authorities, ca_bundle_for, proxy_for, read_proxy, through, tls_context
from ..machine.sources import MediaSource, finished_spool, spool
from ..protocol.content_encoding import ACCEPTED, ContentDecoder
from ..protocol.exchange import (
    Route,
    check_proxy_answer,
    limit_of,
    most_bytes_of,
    shown_host,
    told_too_long,
    too_long,
    unreachable,
)
from ..protocol.http import NO_CONTENT, HttpCall, HttpReply
from ..settings import MAX_REFUSAL_SIZE, TRANSFER_CHUNK, Settings
from .connections import Adapter, Answer, Connections
from .event_bodies import EventBody
from .http_errors import http_error
from .streams import ResponseStream

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
