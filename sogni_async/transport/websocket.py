"""One WebSocket connection: decides how it is opened and closed, who answers a ping, what its end is called.

Called by the reader, and by the engine to send. It never reconnects and never decides what a close code means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from sogni.errors import AuthenticationError, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.machine.causes import NO_UPGRADE
from sogni.protocol.connection import ABNORMAL, NORMAL, OWN_REASON, Closed
from sogni.protocol.exchange import shown_host

from .frame_reader import read_frames

if TYPE_CHECKING:
    from .http import Http

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
    from .sessions import RedirectRefusedError, cause_of

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
