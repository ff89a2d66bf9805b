"""Decompressing the body of an answer, in pieces of bounded size.

Both front ends receive bodies as they were sent and decode them here. The libraries would decode a whole chunk at once,
and a few megabytes can become gigabytes that way. Only what `ACCEPTED` names is decoded: nothing else was requested.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ..errors import ProtocolError
from ..settings import TRANSFER_CHUNK

ACCEPTED = "gzip, deflate"
"""The value of `Accept-Encoding`."""
_NONE = ("", "identity")
_GZIP = ("gzip", "x-gzip")
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_DEFLATE_METHOD = 8
_GZIP_MAGIC = 0x1F
_SHOWN = 40


class ContentDecoder:
    """Decodes one body. `encoding` is its `Content-Encoding`; `host` is named when that is not supported."""

    def __init__(self, encoding: str | None, host: str) -> None:
        name = (encoding or "").strip().lower()
        if name not in (*_NONE, *_GZIP, "deflate"):
            raise ProtocolError(
                f"the content encoding of an answer of {host} must be one of {ACCEPTED}, got {name[:_SHOWN]!r}"
            )
        self.plain = name in _NONE
        """Whether the body is as it was sent, so that `feed` gives back what it gets."""
        self._gzip = name in _GZIP
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded pieces that these bytes bring. Raises zlib.error if they are damaged."""
        if self.plain:
            yield data
            return
        while data:
            if self._inflater is None:
                self._inflater = self._begun(data)
            elif self._inflater.eof:
                if not self._gzip or data[0] != _GZIP_MAGIC:
                    return  # padding
                self._inflater = self._begun(data)  # a gzip body may have several members
            piece = self._inflater.decompress(data, TRANSFER_CHUNK)
            if piece:
                yield piece
            data = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail

    def end(self) -> None:
        """The body has ended. Raises zlib.error if its content is incomplete."""
        if self._inflater is not None and not self._inflater.eof:
            raise zlib.error("incomplete")

    def _begun(self, data: bytes) -> zlib._Decompress:
        if self._gzip:
            return zlib.decompressobj(_GZIP_WINDOW)
        # Some hosts send deflate with the header that it should have, others without.
        return zlib.decompressobj(_ZLIB_WINDOW if data[0] & 0x0F == _DEFLATE_METHOD else _RAW_WINDOW)
