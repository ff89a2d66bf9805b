"""The reader task: connects, reads, decodes and reconnects, as directed by the connection state machine.

There is one per client while it has, or wants, a connection. It hands frames to the engine and runs no user code. While
it waits it holds no reference to the client, so that a client nobody refers to can be collected; the task then ends.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import TYPE_CHECKING

from sogni.core.connection.state import ABNORMAL, NORMAL, Closed, handshake_url
from sogni.core.failures import with_resources_named
from sogni.core.http import USER_AGENT
from sogni.core.requests import ensure_fresh_credentials
from sogni.errors import ClientClosedError, ProtocolError, SogniError
from sogni_async.transport.waiting import ReaderWakeup
from sogni_async.transport.websocket import Socket

if TYPE_CHECKING:
    from sogni_async.transport.engine import Engine

logger: logging.Logger = logging.getLogger("sogni")

_MAX_BATCH = 32
"""Number of buffered messages to apply before other tasks get a turn."""


async def read_loop(reference: weakref.ref[Engine], waker: ReaderWakeup) -> None:
    """Run the reader until there is no more connection to make."""
    socket: Socket | None = None
    loop = asyncio.get_running_loop()
    try:
        while True:
            engine = reference()
            if engine is None:
                return
            move, until = engine.next_move()
            if move == "connect":
                del engine
                if not await _refresh_token(reference, waker):
                    continue
                engine = reference()
                if engine is None:
                    return
                request = _Handshake(engine)
                del engine
                if socket is not None:
                    await socket.close_cleanly()
                socket = await _connect(reference, waker, request)
                del request
            elif move == "wait":
                del engine
                await waker.limit(_for_ever, until)
            elif move == "read" and socket is not None:
                del engine
                if not await _read(reference, waker, socket, until):
                    socket.drop()
                    socket = None
            elif move == "end":
                if socket is None:
                    engine.reader_ends()
                    return
                del engine
                await socket.close_cleanly()
                socket = None
            else:
                raise AssertionError(f"no socket to {move}")
    except Exception as error:
        if loop.is_closed():
            return
        logger.exception("the reader failed")
        engine = reference()
        if engine is not None:
            engine.reader_failed(error)
    finally:
        if socket is not None:
            socket.drop()


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def _refresh_token(reference: weakref.ref[Engine], waker: ReaderWakeup) -> bool:
    """Refresh the access token if it has expired; False if the state must be checked again."""
    # transport §5.1

    async def prepare() -> bool:
        engine = reference()
        if engine is not None:
            await engine.run(ensure_fresh_credentials())
        return True

    try:
        return await waker.limit(prepare, None) is True
    except SogniError as error:
        _lost(reference, Closed(ABNORMAL, "", error))
        return False


class _Handshake:
    """The parameters of a connection attempt, read from the state."""

    def __init__(self, engine: Engine) -> None:
        state = engine.state
        settings = state.settings
        self.url = handshake_url(
            settings, app_id=state.app_id, network=state.network, subscriptions=state.subscriptions
        )
        self.headers = {"User-Agent": USER_AGENT, **state.session.auth_headers(), **engine.cookies.header_for(self.url)}
        self.timeout = settings.timeouts.connect
        self.http = engine.http


async def _connect(reference: weakref.ref[Engine], waker: ReaderWakeup, request: _Handshake) -> Socket | None:
    opening: Socket | None = None

    async def open_socket() -> bool:
        nonlocal opening
        opening = await Socket.connect(request.http, request.url, request.headers, request.timeout)
        return True

    try:
        if not await waker.limit(open_socket, None):
            # Woken: the state must be checked again.
            if opening is not None:
                opening.drop()
            return None
    except ClientClosedError:
        return None
    except Exception as error:
        # Resolving a host name needs a thread, which may be unavailable.
        cause = with_resources_named(error)
        if not isinstance(cause, SogniError):
            raise
        _lost(reference, Closed(ABNORMAL, "", cause))
        return None
    engine = reference()
    assert opening is not None
    if engine is None or not engine.socket_opened(opening):
        opening.drop()
        return None
    return opening


async def _read(reference: weakref.ref[Engine], waker: ReaderWakeup, socket: Socket, until: float) -> bool:
    """Read until an action is due or the reader is woken; False if the socket has ended."""
    closed = await waker.limit(lambda: _listen(reference, socket), until)
    engine = reference()
    if engine is None:
        return True
    if closed is None:
        move = engine.tick()
        del engine
        if move == "ping":
            await socket.send_ping()
        if move != "dead":
            return True
        closed = Closed(ABNORMAL, "the server stopped answering")
    else:
        del engine
    if isinstance(closed.cause, ProtocolError):
        logger.warning("the connection is unreadable: %s", closed.cause)
    if closed.code != ABNORMAL:
        await socket.send_close(NORMAL)
    _lost(reference, closed)
    return False


async def _listen(reference: weakref.ref[Engine], socket: Socket) -> Closed | None:
    """Apply messages as they arrive; return how the connection ended, None if the client is gone."""
    applied = 0
    while True:
        message = await socket.receive()
        if isinstance(message, Closed):
            return message
        engine = reference()
        if engine is None:
            return None
        if message is None:
            engine.pong_received()
            applied += 1
        else:
            messages = [message, *socket.received(_MAX_BATCH - applied - 1)]
            engine.received(messages)
            applied += len(messages)
        del engine
        if applied == _MAX_BATCH:
            applied = 0
            await asyncio.sleep(0)


def _lost(reference: weakref.ref[Engine], closed: Closed) -> None:
    engine = reference()
    if engine is not None:
        engine.socket_lost(closed)
