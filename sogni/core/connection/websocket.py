"""Split the bytes of a WebSocket connection into messages, and frame those of the client (RFC 6455).

The blocking transport feeds the decoder the result of each `recv`. It does not decode text, because the JSON parser
does, and a second pass over large messages would be wasted; nor does it answer pings.
"""

from __future__ import annotations

from typing import Final

from sogni.errors import ProtocolError

__all__ = ["BINARY", "CLOSE", "PING", "PONG", "TEXT", "FrameDecoder", "Message", "masked_frame", "parse_close"]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NO_STATUS: Final = 1005

Message = tuple[int, bytes]
"""`(opcode, payload)`; a plain tuple, because creating an object costs as much as decoding the frame."""

_FINAL = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_CONTROL = 0x08
_MAX_CONTROL_PAYLOAD = 125
_NAMES = {
    CONTINUATION: "continuation",
    TEXT: "text",
    BINARY: "binary",
    CLOSE: "close",
    PING: "ping",
    PONG: "pong",
}


class FrameDecoder:
    """Decodes the incoming bytes of one connection, in order.

    `max_message_size` limits a message in bytes, including all its fragments. Everything after a close frame is ignored
    (RFC 6455 §5.5.1).
    """

    def __init__(self, max_message_size: int) -> None:
        self.max_message_size = max_message_size
        self.error: ProtocolError | None = None
        """Why decoding stopped. It may be set before `feed` raises it, because earlier messages are returned first."""
        self._ended = False
        self._rest = b""
        # A large frame arrives in hundreds of pieces; joining them once keeps its cost proportional to its size.
        self._pieces: list[bytes] = []
        self._missing = 0
        # A single buffer: a peer may split a message into single bytes, and as list items each would take 34 bytes.
        self._fragments = bytearray()
        self._fragments_opcode = 0

    def feed(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Process the next bytes and return the messages they complete, in order.

        Raises `ProtocolError` if the stream is malformed, again at each later call.
        """
        if self._ended:
            if self.error is not None:
                raise ProtocolError(self.error.message)
            return []
        if not isinstance(data, bytes):
            data = bytes(data)
        if self._missing > len(data):
            self._pieces.append(data)
            self._missing -= len(data)
            return []
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
        elif self._rest:
            data = self._rest + data
        self._missing = 0
        self._rest = b""
        messages: list[Message] = []
        try:
            self._decode(data, messages)
        except ProtocolError as error:
            self.error = error
            self._ended = True
            if not messages:
                raise
        return messages

    def _decode(self, data: bytes, messages: list[Message]) -> None:
        position = 0
        end = len(data)
        limit = self.max_message_size
        plain = not self._fragments_opcode
        while end - position >= 2:
            first = data[position]
            size = data[position + 1]
            start = position + 2
            if size >= 126:
                if size & _MASKED:
                    raise ProtocolError("the server sent a masked frame")
                if size == 126:
                    start += 2
                    if start > end:
                        break
                    size = data[start - 2] << 8 | data[start - 1]
                else:
                    start += 8
                    if start > end:
                        break
                    size = int.from_bytes(data[start - 8 : start], "big")
            stop = start + size
            if plain and (first == 0x81 or first == 0x82) and size <= limit:
                if stop > end:
                    self._await(data, position, stop)
                    return
                messages.append((first & 0x0F, data[start:stop]))
            else:
                # Check before the payload arrives, so that an invalid frame is not buffered.
                self._check(first, size)
                if stop > end:
                    self._await(data, position, stop)
                    return
                self._take(first, data[start:stop], messages)
                if self._ended:
                    return
                plain = not self._fragments_opcode
            position = stop
        self._rest = data[position:]

    def _await(self, data: bytes, position: int, stop: int) -> None:
        self._pieces.append(data[position:])
        self._missing = stop - len(data)

    def _check(self, first: int, size: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED:
            raise ProtocolError("the server sent a frame with reserved bits, but no extension was negotiated")
        if opcode not in _NAMES:
            raise ProtocolError(f"the server sent a frame with the unknown opcode {opcode}")
        if opcode & _CONTROL:
            if size > _MAX_CONTROL_PAYLOAD:
                raise ProtocolError(f"the server sent a {_NAMES[opcode]} frame of {size} bytes (limit 125)")
            if not first & _FINAL:
                raise ProtocolError(f"the server sent a fragmented {_NAMES[opcode]} frame")
            if opcode == CLOSE and size == 1:
                raise ProtocolError("the server sent a close frame with half a status code")
            return
        if opcode == CONTINUATION and not self._fragments_opcode:
            raise ProtocolError("the server sent a continuation frame outside a message")
        if opcode != CONTINUATION and self._fragments_opcode:
            raise ProtocolError("the server began a message before the previous one ended")
        total = len(self._fragments) + size
        if total > self.max_message_size:
            limit = self.max_message_size
            raise ProtocolError(f"the server sent a message of {total} bytes or more (limit {limit})")

    def _take(self, first: int, payload: bytes, messages: list[Message]) -> None:
        opcode = first & 0x0F
        if opcode & _CONTROL:
            messages.append((opcode, payload))
            self._ended = opcode == CLOSE
            return
        if opcode != CONTINUATION:
            self._fragments_opcode = opcode
        self._fragments += payload
        if first & _FINAL:
            messages.append((self._fragments_opcode, bytes(self._fragments)))
            self._fragments = bytearray()
            self._fragments_opcode = 0


def masked_frame(opcode: int, payload: bytes, key: bytes) -> bytes:
    """Return the frame of a whole message of the client, masked with a key of four random bytes."""
    size = len(payload)
    if size < 126:
        head = bytes((_FINAL | opcode, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_FINAL | opcode, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | opcode, _MASKED | 127)) + size.to_bytes(8, "big")
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return head + key + (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame; `(1005, "")` if it is empty.

    The reason is informational: invalid UTF-8 is replaced and never an error.
    """
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise ProtocolError("the server sent a close frame with half a status code")
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")
