"""Frames in, messages out: any chunking gives the same, and what a server may not send is refused."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sogni.core.connection.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameDecoder,
    Message,
    masked_frame,
    parse_close,
)
from sogni.errors import ProtocolError

LIMIT = 200_000


def encode(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + struct.pack("!H", size) + payload
    return bytes([first, 127]) + struct.pack("!Q", size) + payload


SIZES = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 127, 65535, 65536, 70000]))
PAYLOADS = st.builds(lambda seed, size: (seed * (size // len(seed) + 1))[:size], st.binary(min_size=1), SIZES)
CONTROLS = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """The bytes of a stream, and the messages that are in it."""
    stream = bytearray()
    expected: list[Message] = []

    def controls() -> None:
        for opcode, payload in draw(st.lists(CONTROLS, max_size=2)):
            stream.extend(encode(0x80 | opcode, payload))
            expected.append((opcode, payload))

    for opcode in draw(st.lists(st.sampled_from([TEXT, BINARY]), max_size=6)):
        controls()
        parts = draw(st.lists(PAYLOADS, min_size=1, max_size=4).filter(lambda some: sum(map(len, some)) <= LIMIT))
        for index, part in enumerate(parts):
            final = index == len(parts) - 1
            stream.extend(encode((0x80 if final else 0) | (opcode if index == 0 else 0), part))
            if not final:
                controls()
        expected.append((opcode, b"".join(parts)))
    if draw(st.booleans()):
        stream.extend(encode(0x80 | CLOSE, b"\x03\xe8bye") + b"whatever follows")
        expected.append((CLOSE, b"\x03\xe8bye"))
    return bytes(stream), expected


@given(conversations(), st.data())
def test_any_chunking_gives_the_same_messages(conversation: tuple[bytes, list[Message]], data: st.DataObject) -> None:
    stream, expected = conversation
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    decoder = FrameDecoder(LIMIT)
    found: list[Message] = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, stop in pairwise(edges):
        found += decoder.feed(stream[start:stop])
    assert found == expected


@given(conversations())
def test_bytes_one_by_one_give_the_same_messages(conversation: tuple[bytes, list[Message]]) -> None:
    stream = conversation[0][:3000]
    whole, single = FrameDecoder(LIMIT), FrameDecoder(LIMIT)
    assert [m for byte in stream for m in single.feed(bytes([byte]))] == whole.feed(stream)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_give_messages_or_a_protocol_error(chunks: list[bytes]) -> None:
    decoder = FrameDecoder(1000)
    try:
        for chunk in chunks:
            for opcode, payload in decoder.feed(chunk):
                assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)
                assert type(payload) is bytes
    except ProtocolError:
        with pytest.raises(ProtocolError):
            decoder.feed(b"")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_every_kind_of_bytes_and_returns_bytes_of_its_own(kind: type) -> None:
    buffer = bytearray(encode(0x81, b"one"))
    [(opcode, payload)] = FrameDecoder(LIMIT).feed(kind(buffer))
    buffer[2:5] = b"two"
    assert (opcode, payload, type(payload)) == (TEXT, b"one", bytes)


def test_many_frames_in_one_feed_keep_their_order() -> None:
    stream = b"".join(encode(0x81, b"%d" % number) for number in range(1000))
    assert FrameDecoder(LIMIT).feed(stream) == [(TEXT, b"%d" % number) for number in range(1000)]


def test_a_large_frame_costs_in_proportion_to_its_size() -> None:
    decoder = FrameDecoder(1 << 24)
    stream = encode(0x82, bytes(1 << 23))
    found = [m for at in range(0, len(stream), 512) for m in decoder.feed(stream[at : at + 512])]
    assert found == [(BINARY, bytes(1 << 23))]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x81\x80abcd", id="masked"),
        pytest.param(b"\x81\xfe\x00\x7eabcd", id="masked, longer"),
        pytest.param(b"\x89\x80abcd", id="masked control"),
        pytest.param(b"\xc1\x00", id="rsv1"),
        pytest.param(b"\xa1\x00", id="rsv2"),
        pytest.param(b"\x91\x00", id="rsv3"),
        pytest.param(b"\x83\x00", id="unknown data opcode"),
        pytest.param(b"\x8b\x00", id="unknown control opcode"),
        pytest.param(b"\x89\x7e\x00\x7e", id="ping of 126 bytes, refused before its payload"),
        pytest.param(b"\x09\x00", id="fragmented ping"),
        pytest.param(b"\x88\x01\x03", id="close with one byte"),
        pytest.param(b"\x80\x00", id="continuation of nothing"),
        pytest.param(b"\x00\x00", id="fragment of nothing"),
        pytest.param(b"\x01\x00\x81\x00", id="message inside a message"),
    ],
)
def test_what_a_server_may_not_send_is_a_protocol_error(stream: bytes) -> None:
    decoder = FrameDecoder(LIMIT)
    with pytest.raises(ProtocolError):
        decoder.feed(stream)
    with pytest.raises(ProtocolError):
        decoder.feed(encode(0x81, b"fine again"))


def test_a_message_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert FrameDecoder(300).feed(encode(0x81, bytes(300))) == [(TEXT, bytes(300))]
    with pytest.raises(ProtocolError, match="301"):
        FrameDecoder(300).feed(encode(0x81, bytes(301)))


def test_a_message_too_large_is_refused_at_its_header() -> None:
    with pytest.raises(ProtocolError, match="limit 300"):
        FrameDecoder(300).feed(b"\x81\x7f" + b"\xff" * 8)


def test_the_limit_counts_all_fragments_of_a_message() -> None:
    decoder = FrameDecoder(300)
    decoder.feed(encode(0x01, bytes(200)))
    with pytest.raises(ProtocolError, match="301"):
        decoder.feed(encode(0x80, bytes(101)))


def test_the_limit_starts_anew_with_each_message() -> None:
    decoder = FrameDecoder(300)
    fragmented = encode(0x02, bytes(200)) + encode(0x80, bytes(100))
    assert decoder.feed(fragmented * 3) == [(BINARY, bytes(300))] * 3


def test_messages_before_a_violation_are_delivered_first() -> None:
    decoder = FrameDecoder(LIMIT)
    assert decoder.feed(encode(0x81, b"good") + b"\xff\xff") == [(TEXT, b"good")]
    assert isinstance(decoder.error, ProtocolError)
    with pytest.raises(ProtocolError):
        decoder.feed(b"")


def test_what_follows_a_close_frame_is_ignored() -> None:
    decoder = FrameDecoder(LIMIT)
    assert decoder.feed(encode(0x88, b"") + b"\xff\xff") == [(CLOSE, b"")]
    assert decoder.feed(encode(0x81, b"late")) == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", (1005, "")),
        (b"\x03\xe8", (1000, "")),
        (b"\x0f\xafin use", (4015, "in use")),
        (b"\x03\xe9gr\xc3\xbc\xc3\x9fe", (1001, "grüße")),
        (b"\x03\xe9\xff", (1001, "\N{REPLACEMENT CHARACTER}")),
        (b"\x00\x00", (0, "")),
    ],
)
def test_close_payloads(payload: bytes, expected: tuple[int, str]) -> None:
    assert parse_close(payload) == expected


def test_a_close_payload_of_one_byte_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        parse_close(b"\x03")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_the_frame_of_a_client_is_masked(size: int) -> None:
    payload, key = bytes(range(256)) * 257, b"\x01\x20\x03\xff"
    plain = bytearray(encode(0x80 | TEXT, payload[:size]))
    plain[1] |= 0x80
    start = len(plain) - size
    masked = bytes(byte ^ key[place % 4] for place, byte in enumerate(plain[start:]))
    assert masked_frame(TEXT, payload[:size], key) == bytes(plain[:start]) + key + masked
