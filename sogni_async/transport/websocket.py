"""WebSocket connections of aiohttp that are read with our own frame decoder.

aiohttp drops a close code whose reason is not UTF-8, and a connection with text that is not. Both packages use the same
decoder instead, so that they agree on what a server has sent. A connection never reconnects and does not interpret
close codes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import WSMessage, WSMsgType
from yarl import URL

from sogni.core.connection.state import ABNORMAL, NORMAL, OWN_REASON, Closed
from sogni.core.connection.websocket import BINARY, CLOSE, PING, PONG, TEXT, FrameDecoder, Message, parse_close
from sogni.core.http import host_and_port
from sogni.errors import AuthenticationError, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.local import causes
from sogni.local.causes import NO_UPGRADE
from sogni.settings import MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from sogni_async.transport.http import Http

_CONTROL = {PING: WSMsgType.PING, PONG: WSMsgType.PONG}


class FrameReader:
    """Parser for aiohttp that puts messages into the queue of a connection, which applies backpressure."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._decoder = FrameDecoder(MAX_MESSAGE_SIZE)
        self._failed = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse the next bytes. A malformed stream ends with an ERROR message."""
        if self._failed:
            return False, b""
        messages: list[Message] = []
        error: ProtocolError | None = None
        try:
            messages = self._decoder.feed(data)
        except ProtocolError as raised:
            error = raised
        batch: list[bytes] = []
        for opcode, payload in messages:
            if opcode in (TEXT, BINARY):
                batch.append(payload)
                continue
            self._feed(batch)
            batch = []
            self._queue.feed_data(_control_message(opcode, payload), len(payload))
        self._feed(batch)
        error = error or self._decoder.error
        if error is not None:
            self._failed = True
            self._queue.feed_data(WSMessage(WSMsgType.ERROR, error, None), 0)
        return False, b""

    def _feed(self, batch: list[bytes]) -> None:
        # All at once: a message of its own for each would cost as much as applying it.
        if batch:
            self._queue.feed_data(WSMessage(WSMsgType.BINARY, batch, None), sum(map(len, batch)))

    def feed_eof(self) -> None:
        """Mark the end of the connection."""
        self._queue.feed_eof()


def read_frames(protocol: Any) -> None:
    """Make a connection use a `FrameReader` from the first byte after the upgrade."""

    def set_parser(_: Any, queue: Any, *rest: Any, **options: Any) -> None:
        del protocol.set_parser
        protocol.set_parser(FrameReader(queue), queue, *rest, **options)

    # aiohttp calls this once, right after it has created the socket, and then reads what came with the upgrade.
    protocol.set_parser = set_parser


def _control_message(opcode: int, payload: bytes) -> WSMessage:
    if opcode == CLOSE:
        code, reason = parse_close(payload)
        return WSMessage(WSMsgType.CLOSE, code, reason)
    return WSMessage(_CONTROL[opcode], payload, None)


CLOSE_SECONDS = 1.0
"""How long to wait for the peer's close frame, in seconds."""
_CONTROL_SECONDS = 0.1
"""How long to wait until the system accepts a control frame, in seconds."""

_PROTOCOL_ERROR = 1002
"""Close code for a peer that violates the protocol."""


class SogniSocket(aiohttp.ClientWebSocketResponse):
    """A socket of aiohttp that can be closed without another frame."""

    def __init__(self, reader: Any, writer: Any, protocol: Any, response: Any, *rest: Any, **options: Any) -> None:
        super().__init__(reader, writer, protocol, response, *rest, **options)
        self._answer: aiohttp.ClientResponse = response
        self._home = asyncio.get_running_loop()
        read_frames(response.connection.protocol)

    def abort(self) -> None:
        """Close the descriptor without a closing handshake on any layer. Never blocks, idempotent."""
        if self._home.is_closed():
            # The session closes the descriptor, because transports of a closed loop cannot be used.
            return
        connection = self._answer.connection
        if connection is not None and isinstance(connection.transport, asyncio.WriteTransport):
            connection.transport.abort()
        self._answer.close()


class Socket:
    """An open connection, created with `connect`. One task receives; any task of the loop can send."""

    def __init__(self, library: SogniSocket, host: str) -> None:
        self._library = library
        self.host = host
        self._received: deque[bytes] = deque()

    @classmethod
    async def connect(cls, http: Http, url: str, headers: Mapping[str, str], timeout: float) -> Socket:
        """Open a connection within `timeout` seconds.

        Raises SogniConnectionError with host and cause, or AuthenticationError if the server responds with 401.
        """
        host = host_and_port(url)
        try:
            async with asyncio.timeout(timeout):
                return cls(await _upgraded(http, url, headers), host)
        except TimeoutError:
            failure: SogniError = SogniConnectionError(
                f"cannot connect to {host}{http.routing.through(url)}: no response within {timeout:g} s"
            )
        except _Unopened as error:
            failure = error.failure
        # Raised outside of the handler: the original error, which contains our headers, must not be its context.
        raise failure

    async def receive(self) -> bytes | Closed | None:
        """Return the next message, None for a ping or pong, or `Closed` at the end."""
        if self._received:
            return self._received.popleft()
        message = await self._library.receive()
        kind = message.type
        if kind is WSMsgType.BINARY:
            self._received.extend(message.data)
            return self._received.popleft()
        if kind is WSMsgType.PING:
            await self._control(message.data, WSMsgType.PONG)
            return None
        if kind is WSMsgType.PONG:
            return None
        if kind is WSMsgType.CLOSE:
            return Closed(message.data, message.extra or "")
        if kind is WSMsgType.ERROR and isinstance(message.data, ProtocolError):
            await self.send_close(_PROTOCOL_ERROR, "protocol error")
            return Closed(ABNORMAL, "", message.data)
        return Closed(ABNORMAL, "", SogniConnectionError(f"the connection to {self.host} is lost"))

    def received(self, most: int) -> list[bytes]:
        """Return up to `most` further messages that have arrived with the last one."""
        return [self._received.popleft() for _ in range(min(most, len(self._received)))]

    async def send_text(self, text: str, timeout: float) -> None:
        """Send a message and wait until the system accepts more.

        Raises SogniTimeoutError (phase `transfer`) after `timeout` seconds and then drops the connection, because the
        message may be incomplete. Raises SogniConnectionError if the connection is lost.
        """
        try:
            async with asyncio.timeout(timeout) as limit:
                await self._library.send_str(text)
                return
        except TimeoutError:
            if not limit.expired():
                raise
        except (aiohttp.ClientError, ConnectionError) as error:
            raise SogniConnectionError(f"the connection to {self.host} is lost", code=ABNORMAL) from error
        self.drop()
        raise SogniTimeoutError(
            f"{self.host} did not accept the message within {timeout:g} s", phase="transfer", timeout=timeout
        )

    async def send_ping(self) -> None:
        """Send a ping, waiting at most briefly."""
        await self._control(b"", WSMsgType.PING)

    async def send_close(self, code: int, reason: str = "") -> None:
        """Send a close frame, waiting at most briefly."""
        await self._control(code.to_bytes(2, "big") + reason.encode(), WSMsgType.CLOSE)

    async def close_cleanly(self) -> None:
        """Close cleanly: send a close frame, wait briefly for the peer's, then close the socket."""
        try:
            await self.send_close(NORMAL, OWN_REASON)
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    while not isinstance(await self.receive(), Closed):
                        pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the connection at once. Never blocks, idempotent."""
        self._library.abort()

    async def _control(self, payload: bytes, kind: WSMsgType) -> None:
        with suppress(TimeoutError, aiohttp.ClientError, ConnectionError):
            async with asyncio.timeout(_CONTROL_SECONDS):
                await self._library.send_frame(payload, kind)


class _Unopened(Exception):  # noqa: N818  carries the error that is raised
    def __init__(self, failure: SogniError) -> None:
        super().__init__()
        self.failure = failure


async def _upgraded(http: Http, url: str, headers: Mapping[str, str]) -> SogniSocket:
    host = host_and_port(url)
    try:
        session = await http.session()
        made = await session.library.ws_connect(
            URL(url, encoded=True),
            autoping=False,  # pongs must reach the state machine of the connection
            autoclose=False,
            heartbeat=None,
            compress=0,
            **http.routing.options_for(url, dict(headers)),
        )
    except aiohttp.WSServerHandshakeError as error:
        raise _Unopened(_refusal(host, error.status)) from None
    except RedirectRefusedError as error:
        raise _Unopened(_refusal(host, error.status)) from None
    except SogniError as error:
        raise _Unopened(error) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error, TimeoutError):
            raise
        cause = NO_UPGRADE if type(error) is aiohttp.ClientResponseError else cause_of(error)
        raise _Unopened(SogniConnectionError(f"cannot connect to {host}{http.routing.through(url)}: {cause}")) from None
    assert isinstance(made, SogniSocket)
    return made


def _refusal(host: str, status: int) -> SogniError:
    """Return the error for a rejected upgrade."""
    # Counts as a lost connection, whatever the status (transport §6).
    message = f"{host} refused the WebSocket connection with HTTP {status}"
    if status == 101:
        message = f"cannot connect to {host}: {NO_UPGRADE}"
    return AuthenticationError(message, status=401) if status == 401 else SogniConnectionError(message, code=status)


class RedirectRefusedError(Exception):
    """The server responded to the upgrade with a redirect, which aiohttp would follow with the credentials."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def cause_of(error: BaseException) -> str:
    """Return the cause of an error of aiohttp, without URLs and headers."""
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
        return causes.CUT_OFF
    if isinstance(error, aiohttp.ClientResponseError):
        return causes.NOT_HTTP
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL is invalid"
    return causes.cause_of(error)
