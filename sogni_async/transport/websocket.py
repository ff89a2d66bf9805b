"""The incoming side of a WebSocket: our decoder in the place of aiohttp's.

aiohttp gives up a close code whose reason is not UTF-8, and a connection whose text is not. Both packages read frames
with the same decoder instead, so that they agree on what a server has sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import WSMessage, WSMsgType
from yarl import URL

from sogni.core.connection.state import ABNORMAL, NORMAL, OWN_REASON, Closed
from sogni.core.connection.websocket import CLOSE, PING, PONG, FrameDecoder, Message, parse_close
from sogni.core.http import shown_host
from sogni.errors import AuthenticationError, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.local import causes
from sogni.local.causes import NO_UPGRADE
from sogni.settings import MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from sogni_async.transport.http import Http

_CONTROL = {PING: WSMsgType.PING, PONG: WSMsgType.PONG}


class FrameReader:
    """What aiohttp feeds the bytes of one connection to; messages go to its queue, which slows the peer down."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._decoder = FrameDecoder(MAX_MESSAGE_SIZE)
        self._failed = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take the next bytes. A stream that cannot be read ends with an ERROR message."""
        if self._failed:
            return False, b""
        messages: list[Message] = []
        error: ProtocolError | None = None
        try:
            messages = self._decoder.feed(data)
        except ProtocolError as raised:
            error = raised
        for message in messages:
            self._queue.feed_data(_message(*message), len(message[1]))
        error = error or self._decoder.error
        if error is not None:
            self._failed = True
            self._queue.feed_data(WSMessage(WSMsgType.ERROR, error, None), 0)
        return False, b""

    def feed_eof(self) -> None:
        """The connection has ended."""
        self._queue.feed_eof()


def read_frames(protocol: Any) -> None:
    """Have a connection that is being upgraded read by a `FrameReader`, from its first byte on."""

    def set_parser(_: Any, queue: Any, *rest: Any, **options: Any) -> None:
        del protocol.set_parser
        protocol.set_parser(FrameReader(queue), queue, *rest, **options)

    # aiohttp calls this once, right after it has made the socket, and it reads at once what came with the upgrade.
    protocol.set_parser = set_parser


def _message(opcode: int, payload: bytes) -> WSMessage:
    if opcode == CLOSE:
        code, reason = parse_close(payload)
        return WSMessage(WSMsgType.CLOSE, code, reason)
    # Text as well: whoever decodes the JSON decodes it.
    return WSMessage(_CONTROL.get(opcode, WSMsgType.BINARY), payload, None)


# One WebSocket connection: decides how it is opened and closed, who answers a ping, what its end is called.
#
# Called by the reader, and by the engine to send. It never reconnects and never decides what a close code means.


GOODBYE_SECONDS = 1.0
"""For the peer's answer to our close frame."""
_CONTROL_SECONDS = 0.1
"""A control frame is in the buffer at once; only the system's taking it is waited for."""


_UNREADABLE = 1002
"""Close code for a peer that breaks the protocol."""


class SogniSocket(aiohttp.ClientWebSocketResponse):
    """The library's socket, with what it needs to end without another frame."""

    def __init__(self, reader: Any, writer: Any, protocol: Any, response: Any, *rest: Any, **options: Any) -> None:
        super().__init__(reader, writer, protocol, response, *rest, **options)
        self._answer: aiohttp.ClientResponse = response
        self._home = asyncio.get_running_loop()
        read_frames(response.connection.protocol)

    def abort(self) -> None:
        """Close the descriptor, without a goodbye on any layer. Never blocks, repeatable."""
        if self._home.is_closed():
            # Its session closes the descriptor; a transport cannot be told any more.
            return
        connection = self._answer.connection
        if connection is not None and isinstance(connection.transport, asyncio.WriteTransport):
            connection.transport.abort()
        self._answer.close()


class Socket:
    """An open connection; make one with `connect`. One task receives, any task of the loop sends."""

    def __init__(self, library: SogniSocket, host: str) -> None:
        self._library = library
        self.host = host

    @classmethod
    async def connect(cls, http: Http, url: str, headers: Mapping[str, str], timeout: float) -> Socket:
        """Open a connection; `timeout` in seconds is for all of it.

        Raises SogniConnectionError that names host and cause, AuthenticationError when the upgrade is answered
        with 401.
        """
        host = shown_host(url)
        try:
            async with asyncio.timeout(timeout):
                return cls(await _upgraded(http, url, headers), host)
        except TimeoutError:
            failure: SogniError = SogniConnectionError(
                f"cannot connect to {host}{http.ways.through(url)}: no answer within {timeout:g} s"
            )
        except _Unopened as error:
            failure = error.failure
        # Outside the handler: the library's error holds our headers and must not be the context.
        raise failure

    async def receive(self) -> bytes | Closed | None:
        """The next message; None for a sign of life without content, a `Closed` as the last."""
        message = await self._library.receive()
        kind = message.type
        if kind is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if kind is WSMsgType.PING:
            await self._control(message.data, WSMsgType.PONG)
            return None
        if kind is WSMsgType.PONG:
            return None
        if kind is WSMsgType.CLOSE:
            return Closed(message.data, message.extra or "")
        if kind is WSMsgType.ERROR and isinstance(message.data, ProtocolError):
            await self.send_close(_UNREADABLE, "protocol error")
            return Closed(ABNORMAL, "", message.data)
        return Closed(ABNORMAL, "", SogniConnectionError(f"the connection to {self.host} is lost"))

    async def send_text(self, text: str, timeout: float) -> None:
        """Send one message and wait until the system takes more.

        Raises SogniTimeoutError (phase `transfer`) after `timeout` seconds, which ends the connection: the
        message may be half out. SogniConnectionError when the connection ended.
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
            f"{self.host} did not take the message within {timeout:g} s", phase="transfer", timeout=timeout
        )

    async def send_ping(self) -> None:
        """Send a ping; never waits for long."""
        await self._control(b"", WSMsgType.PING)

    async def send_close(self, code: int, reason: str = "") -> None:
        """Send the close frame; never waits for long."""
        await self._control(code.to_bytes(2, "big") + reason.encode(), WSMsgType.CLOSE)

    async def say_goodbye(self) -> None:
        """Close in order: our close frame, the peer's, and then the socket; bounded in time."""
        try:
            await self.send_close(NORMAL, OWN_REASON)
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    while not isinstance(await self.receive(), Closed):
                        pass
        finally:
            self.drop()

    def drop(self) -> None:
        """End the connection at once. Never blocks, repeatable."""
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

    host = shown_host(url)
    try:
        session = await http.session()
        made = await session.library.ws_connect(
            URL(url, encoded=True),
            autoping=False,  # pongs must reach the connection machine
            autoclose=False,
            heartbeat=None,
            compress=0,
            **http.ways.options_for(url, dict(headers)),
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
        raise _Unopened(SogniConnectionError(f"cannot connect to {host}{http.ways.through(url)}: {cause}")) from None
    assert isinstance(made, SogniSocket)
    return made


def _refusal(host: str, status: int) -> SogniError:
    """A refused upgrade counts as a drop, whatever its status (transport §6)."""
    message = f"{host} refused the WebSocket connection with HTTP {status}"
    if status == 101:
        message = f"cannot connect to {host}: {NO_UPGRADE}"
    return AuthenticationError(message, status=401) if status == 401 else SogniConnectionError(message, code=status)


class RedirectRefusedError(Exception):
    """The upgrade was answered with a redirect; aiohttp would follow it with the credentials."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


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
