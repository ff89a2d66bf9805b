"""The reader thread: connects, reads, decodes and reconnects, as directed by the connection state machine.

There is one per client while it has, or wants, a connection. It hands frames to the engine and runs no user code.
Between two steps it holds no reference to the client, so that a client nobody refers to can be collected; the thread
then ends.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from typing import TYPE_CHECKING, Any

from sogni.core.connection.messages import decode_frame
from sogni.core.connection.state import ABNORMAL, NORMAL, OWN_REASON, Closed, handshake_url
from sogni.core.connection.websocket import CLOSE, parse_close
from sogni.core.http import USER_AGENT
from sogni.core.requests import ensure_fresh_credentials
from sogni.errors import AuthenticationError, ProtocolError, SogniConnectionError, SogniError
from sogni.local.proxies import ca_bundle_for, proxy_for
from sogni.settings import MAX_MESSAGE_SIZE
from sogni.transport.waiting import ReaderWakeup
from sogni.transport.websocket import ConnectionLost, SerialSocket, UpgradeRefused

if TYPE_CHECKING:
    from sogni.transport.engine import Engine

logger: logging.Logger = logging.getLogger("sogni")

CLOSE_SECONDS = 1.0
"""Seconds to wait for the peer's close frame."""
_PROTOCOL_ERROR = 1002
"""Close code for a peer that violates the protocol."""


def read_loop(reference: weakref.ref[Engine], waker: ReaderWakeup) -> None:
    """Run the reader until there is no more connection to make."""
    socket: SerialSocket | None = None
    try:
        while True:
            engine = reference()
            if engine is None:
                return
            move, until = engine.next_move()
            if move == "connect":
                failure = _refresh_failure(engine)
                if failure is not None:
                    engine.socket_lost(failure)
                    continue
                request = _Handshake(engine)
                del engine
                if socket is not None:
                    _close_cleanly(socket)
                    _drop(waker, socket)
                socket = _connect(reference, waker, request)
            elif move == "wait":
                del engine
                waker.event.wait(max(0.0, until - time.monotonic()))
                waker.event.clear()
            elif move == "read" and socket is not None:
                del engine
                if not _read(reference, waker, socket, until):
                    _drop(waker, socket)
                    socket = None
            elif move == "end":
                if engine.reader_may_end():
                    return
                if socket is not None:
                    del engine
                    _close_cleanly(socket)
                    _drop(waker, socket)
                    socket = None
            else:
                raise AssertionError(f"no socket to {move}")
    except Exception as error:
        logger.exception("the reader failed")
        engine = reference()
        if engine is not None:
            engine.reader_failed(error)
    finally:
        if socket is not None:
            _drop(waker, socket)


def _drop(waker: ReaderWakeup, socket: SerialSocket) -> None:
    # A failed reader may have been replaced by now by one with a socket of its own.
    if waker.socket is socket:
        waker.socket = None
    waker.caught_up(waker.behind[:])
    socket.shutdown()


def _refresh_failure(engine: Engine) -> Closed | None:
    """Refresh the access token if it has expired; return the failure, if any."""
    # transport §5.1
    try:
        engine.run(ensure_fresh_credentials())
    except SogniError as error:
        return Closed(ABNORMAL, "", error)
    return None


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
        self.proxy = proxy_for(self.url, settings.proxy, os.environ)
        self.ca_bundle = ca_bundle_for(settings.ca_bundle, os.environ)


def _connect(reference: weakref.ref[Engine], waker: ReaderWakeup, request: _Handshake) -> SerialSocket | None:
    try:
        socket = SerialSocket.connect(
            request.url,
            request.headers,
            timeout=request.timeout,
            proxy=request.proxy,
            ca_bundle=request.ca_bundle,
            max_message_size=MAX_MESSAGE_SIZE,
        )
    except SogniError as error:
        cause: SogniError = error
        if isinstance(error, UpgradeRefused) and error.status == 401:
            cause = AuthenticationError(error.message, status=401)
        _lost(reference, Closed(ABNORMAL, "", cause))
        return None
    waker.socket = socket
    engine = reference()
    if engine is None or not engine.socket_opened(socket):
        waker.socket = None
        socket.shutdown()
        return None
    return socket


def _read(reference: weakref.ref[Engine], waker: ReaderWakeup, socket: SerialSocket, until: float) -> bool:
    """Read until there is input or an action is due; False if the socket has ended."""
    behind = waker.behind[:]
    try:
        messages = socket.receive(0.0 if behind else max(0.0, until - time.monotonic()))
    except ConnectionLost as error:
        _lost(reference, Closed(ABNORMAL, "", SogniConnectionError(error.message)))
        return False
    except ProtocolError as error:
        logger.warning("the connection is unreadable: %s", error)
        socket.send_close(_PROTOCOL_ERROR, "protocol error")
        _lost(reference, Closed(ABNORMAL, "", error))
        return False
    engine = reference()
    if engine is None:
        return True
    closed: Closed | None = None
    frames: list[tuple[str, Any]] = []
    for opcode, payload in messages:
        if opcode == CLOSE:
            code, reason = parse_close(payload)
            closed = Closed(code, reason)
            break
        if opcode <= 2:
            try:
                frames.append(decode_frame(payload))
            except ProtocolError as error:
                logger.warning("a frame was ignored: %s", error)
    move = engine.received(frames, alive=bool(messages))
    if behind and socket.drained:
        waker.caught_up(behind)
    if move == "ping":
        try:
            socket.send_ping()
        except ConnectionLost:
            return True
    if move == "dead":
        closed = Closed(ABNORMAL, "the server stopped answering")
    if closed is None:
        return True
    if closed.code != ABNORMAL:
        socket.send_close(NORMAL, "")
    engine.socket_lost(closed)
    return False


def _close_cleanly(socket: SerialSocket) -> None:
    """Close cleanly: send a close frame and wait briefly for the peer's."""
    socket.send_close(NORMAL, OWN_REASON)
    deadline = time.monotonic() + CLOSE_SECONDS
    try:
        while (left := deadline - time.monotonic()) > 0:
            if any(opcode == CLOSE for opcode, _ in socket.receive(left)):
                return
    except SogniError:
        return


def _lost(reference: weakref.ref[Engine], closed: Closed) -> None:
    engine = reference()
    if engine is not None:
        engine.socket_lost(closed)
