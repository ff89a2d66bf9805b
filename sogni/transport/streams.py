"""A result read while it arrives: the file object of `Job.open`.

Made by the HTTP side; closed by its reader.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import requests
import urllib3

from ..live import Live
from ..protocol.content_encoding import ContentDecoder
from ..settings import TRANSFER_CHUNK


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
