"""A result read while it arrives."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sogni.core.http import HttpCall
from sogni.errors import SogniConnectionError, SogniTimeoutError
from tests.transport.peers import always, answering, read_head, reply, talking
from tests.transport.websocket_peers import Connection

CONTENT = b"0123456789"


@contextmanager
def stream(handle: Any = None, **options: Any) -> Iterator[Any]:
    with answering(handle or always(reply(CONTENT))) as base, talking(base, **options) as http:
        opened = http.open_stream(HttpCall(method="GET", path=f"{base}/file?s=secret", host="storage"))
        try:
            yield opened
        finally:
            opened.close()


def test_it_is_read_piece_by_piece_to_its_end() -> None:
    with stream() as file:
        assert [file.read(4), file.read(0), file.read(100), file.read(4)] == [b"0123", b"", b"456789", b""]


@pytest.mark.parametrize("size", [-1, None])
def test_without_a_size_everything_that_is_left_is_read(size: int | None) -> None:
    with stream() as file:
        assert [file.read(4), file.read(size), file.read(size)] == [b"0123", b"456789", b""]


def test_everything_is_read_at_once() -> None:
    with stream() as file:
        assert [file.readall(), file.readall()] == [CONTENT, b""]


def test_it_fills_buffers() -> None:
    with stream() as file:
        buffer = bytearray(6)
        assert [file.readinto(buffer), bytes(buffer)] == [6, b"012345"]
        assert [file.readinto(buffer), bytes(buffer), file.readinto(buffer)] == [4, b"678945", 0]


def test_it_is_a_file_to_other_libraries() -> None:
    with stream() as file:
        assert [file.readable(), file.seekable(), file.writable()] == [True, False, False]
        assert io.BufferedReader(file).read() == CONTENT


def test_its_lines_are_read_like_those_of_any_file() -> None:
    with stream(always(reply(b"a\nb\n"))) as file:
        assert list(file) == [b"a\n", b"b\n"]


def test_closing_ends_the_connection_and_is_repeatable() -> None:
    seen: list[bytes] = []

    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(reply(b"half", Content_Length="1000"))
        seen.append(peer.sock.recv(1))

    with stream(handle) as file:
        assert file.read(2) == b"ha"
        for _ in range(2):
            file.close()
        assert file.closed
        for read in (file.read, file.readall, lambda: file.readinto(bytearray(2))):
            with pytest.raises(ValueError, match="closed"):
                read()
    assert seen == [b""]


def test_leaving_it_closes_it() -> None:
    with stream() as file, file:
        pass
    assert file.closed


def test_a_stream_that_is_cut_off_is_a_lost_connection() -> None:
    def cut(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(reply(b"half", Content_Length="1000"))

    with stream(cut) as file, pytest.raises(SogniConnectionError) as caught:
        file.read()
    assert "secret" not in str(caught.value)


def test_a_stream_that_stops_runs_out_of_time() -> None:
    def stops(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(reply(b"half", Content_Length="1000"))
        peer.until_closed()

    with stream(stops, timeouts={"transfer": 0.05}) as file:
        assert file.read(4) == b"half"
        with pytest.raises(SogniTimeoutError) as caught:
            file.read(4)
    assert (caught.value.phase, caught.value.timeout) == ("transfer", 0.05)
