"""Content encodings: decoded whatever the splits, in bounded pieces, and only if they were requested."""

from __future__ import annotations

import gzip
import zlib

import pytest

from sogni.core.http import ContentDecoder
from sogni.errors import ProtocolError
from sogni.settings import TRANSFER_CHUNK
from tests.tables import each_row

TEXT = b"a picture of a lighthouse " * 50
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
BODIES = [
    (None, TEXT),
    ("identity", TEXT),
    ("gzip", gzip.compress(TEXT, mtime=0)),
    (" GZIP ", gzip.compress(TEXT, mtime=0)),
    ("x-gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
    ("gzip", gzip.compress(TEXT, mtime=0) + bytes(9)),
    ("deflate", zlib.compress(TEXT)),
    ("deflate", RAW.compress(TEXT) + RAW.flush()),
    ("deflate", zlib.compress(TEXT) + b"more"),
]


def decoded(encoding: str | None, pieces: list[bytes]) -> bytes:
    decoder = ContentDecoder(encoding, "host")
    whole = b"".join(part for piece in pieces for part in decoder.feed(piece))
    decoder.end()
    return whole


@each_row(("encoding", "body"), BODIES)
@each_row("size", [1, 7, 100_000])
def test_a_body_is_decoded_however_it_is_split(encoding: str | None, body: bytes, size: int) -> None:
    assert decoded(encoding, [body[at : at + size] for at in range(0, len(body), size)]) == TEXT


def test_a_body_without_content_is_empty() -> None:
    assert decoded("gzip", []) == b""


def test_no_piece_is_larger_than_a_transfer_chunk() -> None:
    bomb = gzip.compress(bytes(20 * TRANSFER_CHUNK))
    sizes = [len(piece) for piece in ContentDecoder("gzip", "host").feed(bomb)]
    assert (max(sizes), sum(sizes)) == (TRANSFER_CHUNK, 20 * TRANSFER_CHUNK)


@pytest.mark.parametrize(
    "body", [gzip.compress(TEXT, mtime=0)[:-9], b"no gzip at all", gzip.compress(TEXT, mtime=0)[:40] + b"\xff" * 40]
)
def test_a_damaged_body_is_an_error(body: bytes) -> None:
    with pytest.raises(zlib.error):
        decoded("gzip", [body])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "\x1b]0;x\x07" * 99])
def test_an_encoding_that_was_not_requested_is_refused(encoding: str) -> None:
    with pytest.raises(ProtocolError, match="from host must be one of gzip, deflate, got") as caught:
        ContentDecoder(encoding, "host")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300
