"""Server-sent events: the same bytes give the same blocks, however they are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sogni.core.checks import json_or_text
from sogni.core.workflows.event_readers import Fields, SseDecoder, blocks_of, fields_of
from sogni.errors import ProtocolError

STREAM = 'id: 1\r\nevent: tick\r\ndata: {"t":"é☃"}\r\n\r\n: ping\n\nid: 2\ndata: b\n\r\n\r\rdata: last\r\n'.encode()
BLOCKS = ['id: 1\r\nevent: tick\r\ndata: {"t":"é☃"}', ": ping", "id: 2\ndata: b", "data: last"]

pieces = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b": c", b"data: x", "data: é".encode(), b"\xff", b"id", b" ", b"\xef\xbb\xbf"]
    )
).map(b"".join)


def fed(*chunks: bytes) -> list[str]:
    decoder = SseDecoder()
    return [block for chunk in chunks for block in decoder.feed(chunk)] + decoder.end()


def test_every_way_of_splitting_a_stream_in_three_gives_the_same_blocks() -> None:
    for one, two in itertools.combinations_with_replacement(range(len(STREAM) + 1), 2):
        assert fed(STREAM[:one], STREAM[one:two], STREAM[two:]) == BLOCKS


def test_a_stream_may_come_byte_by_byte() -> None:
    assert fed(*(bytes([byte]) for byte in STREAM)) == BLOCKS


@given(pieces, st.lists(st.integers(0, 60), max_size=6))
def test_any_bytes_split_anywhere_give_the_same_blocks(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert fed(*(data[one:two] for one, two in itertools.pairwise(places))) == fed(data)


@given(st.binary())
def test_no_bytes_are_too_strange_to_be_read(data: bytes) -> None:
    for block in fed(data):
        fields_of(block)
        json_or_text(block)


def test_a_block_is_there_with_the_end_of_its_blank_line() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: 1\r\n\r") == ["data: 1"]
    assert decoder.feed(b"\ndata: 2\n") == []
    assert decoder.feed(b"\n") == ["data: 2"]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert fed("\ufeffdata: 1\n\n".encode()) == ["data: 1"]


def test_a_block_that_never_ends_is_an_error() -> None:
    decoder = SseDecoder(max_size=10)
    assert decoder.feed(b"data: 1234") == []
    with pytest.raises(ProtocolError, match="at most 10 bytes"):
        decoder.feed(b"5")


def test_a_text_has_its_blocks_too() -> None:
    assert blocks_of(STREAM.decode()) == BLOCKS
    assert blocks_of("") == blocks_of("\n\n \n\n") == []


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        ("id: 7\nevent: tick\ndata: a\ndata:b\ndata:  c\nretry: 5", Fields("tick", "a\nb\n c", "7")),
        ("data\nid\nevent", Fields("", "", "")),
        (": note\ndata: a: b\r: note\r\nid:1", Fields("", "a: b", "1")),
        ("data: a\ndata:\ndata: b", Fields("", "a\n\nb", None)),
        (": one\n:two", None),
    ],
)
def test_lines_are_read(block: str, fields: Fields | None) -> None:
    assert fields_of(block) == fields


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a":1}', {"a": 1}), ("null", None), ("plain", "plain"), ("NaN", "NaN"), ("[" * 9999, "[" * 9999), ("", "")],
)
def test_data_is_json_or_text(text: str, value: object) -> None:
    assert json_or_text(text) == value
