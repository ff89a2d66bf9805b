"""The reader task: connects, reads, decodes and reconnects, as the connection state machine says.

There is one per client while it has, or wants, a connection. It hands frames to the engine and runs no user code. While
it waits it holds no reference to the client, so that a client nobody refers to can be collected; the task then ends.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import TYPE_CHECKING

from sogni.core.connection.messages import decode_frame
from sogni.core.connection.state import ABNORMAL, NORMAL, Closed, handshake_url
from sogni.core.failures import with_resources_named
from sogni.core.requests import ensure_fresh_credentials
from sogni.errors import ClientClosedError, ProtocolError, SogniError
from sogni_async.transport.waiting import ReaderWakeup
from sogni_async.transport.websocket import Socket

if TYPE_CHECKING:
    from sogni_async.transport.engine import Engine

logger: logging.Logger = logging.getLogger("sogni")

_IN_A_ROW = 32
"""Messages applied before others have their turn: what lies in the buffer is read without a pause."""


async def read_loop(reference: weakref.ref[Engine], waker: ReaderWakeup) -> None:
    """The task's life."""
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
                if not await _have_fresh(reference, waker):
                    continue
                engine = reference()
                if engine is None:
                    return
                request = _Handshake(engine)
                del engine
                if socket is not None:
                    await socket.say_goodbye()
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
                await socket.say_goodbye()
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


async def _have_fresh(reference: weakref.ref[Engine], waker: ReaderWakeup) -> bool:
    """Have an access token that can be used before connecting (transport §5.1); False: ask the state again."""

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
    """What is needed to connect, taken from the state at one moment."""

    def __init__(self, engine: Engine) -> None:
        state = engine.state
        settings = state.settings
        self.url = handshake_url(
            settings, app_id=state.app_id, network=state.network, subscriptions=state.subscriptions
        )
        self.headers = {**state.session.auth_headers(), **engine.cookies.header_for(self.url)}
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
            # Woken: the state is asked again what is wanted now.
            if opening is not None:
                opening.drop()
            return None
    except ClientClosedError:
        return None
    except Exception as error:
        # Looking a host name up needs a thread, and there may be none.
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
    """Read until something is due or somebody wakes; False when this socket is at its end."""
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
    """Apply messages as they come; how the connection ended, or None when the client is gone."""
    in_a_row = 0
    while True:
        message = await socket.receive()
        if isinstance(message, Closed):
            return message
        engine = reference()
        if engine is None:
            return None
        if message is None:
            engine.pong_received()
        else:
            try:
                kind, payload = decode_frame(message)
            except ProtocolError as error:
                logger.warning("a frame was ignored: %s", error)
                engine.pong_received()
            else:
                engine.received(kind, payload)
        del engine
        in_a_row += 1
        if in_a_row == _IN_A_ROW:
            in_a_row = 0
            await asyncio.sleep(0)


def _lost(reference: weakref.ref[Engine], closed: Closed) -> None:
    engine = reference()
    if engine is not None:
        engine.socket_lost(closed)
