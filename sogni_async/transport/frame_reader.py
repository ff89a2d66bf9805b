"""The incoming side of a WebSocket: our decoder in the place of aiohttp's.

aiohttp gives up a close code whose reason is not UTF-8, and a connection whose text is not. Both packages read frames
with the same decoder instead, so that they agree on what a server has sent.
"""

from __future__ import annotations

from typing import Any

from aiohttp import WSMessage, WSMsgType

from sogni.errors import ProtocolError
from sogni.protocol.websocket_frames import CLOSE, PING, PONG, FrameDecoder, Message, parse_close
from sogni.settings import MAX_MESSAGE_SIZE

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
