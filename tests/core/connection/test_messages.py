"""The frame envelope (transport §7)."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sogni.core.connection.messages import decode_frame, encode_frame
from sogni.errors import ProtocolError
from tests.tables import each_row

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def envelope(kind: Any, payload: Any) -> str:
    return json.dumps({"type": kind, "data": b64encode(json.dumps(payload).encode()).decode()})


def test_the_example_of_the_sheet() -> None:
    assert encode_frame("changeNetwork", "fast") == '{"type":"changeNetwork","data":"ImZhc3Qi"}'


@given(st.text(min_size=1).filter(str.isprintable), JSON)
def test_what_is_encoded_can_be_decoded(kind: str, payload: Any) -> None:
    if not isinstance(payload, dict):
        assert (kind, payload) == decode_frame(encode_frame(kind, payload))


def test_texts_are_utf_8_without_escapes_as_in_javascript() -> None:
    assert b64decode(json.loads(encode_frame("a", "ü€😀"))["data"]).decode() == '"ü€😀"'


def test_half_a_surrogate_pair_travels_escaped() -> None:
    """As JSON.stringify writes it; the prompt was pasted from somewhere and nobody can type it again."""
    assert b64decode(json.loads(encode_frame("a", "x\ud83d"))["data"]) == b'"x\\ud83d"'


@pytest.mark.parametrize("convert", [str, str.encode])
def test_text_and_binary_frames_are_alike(convert: Any) -> None:
    assert decode_frame(convert(envelope("jobState", {"a": "ü"}))) == ("jobState", {"a": "ü"})


@pytest.mark.parametrize(
    "message", ['{"type":"a"}', '{"type":"a","data":""}', '{"type":"a","data":null}', envelope("a", None)]
)
def test_a_missing_payload_is_none(message: str) -> None:
    assert decode_frame(message) == ("a", None)


@pytest.mark.parametrize("convert", [str, str.encode])
def test_white_space_around_a_frame_and_its_payload_means_nothing(convert: Any) -> None:
    message = json.dumps({"type": "a", "data": b64encode(b'\n {"b": 1}\t').decode()})
    assert decode_frame(convert(f" \r\n{message} \n")) == ("a", {"b": 1})


@pytest.mark.parametrize("payload", ["text", 5, [1, 2], True])
def test_a_payload_may_be_any_value(payload: Any) -> None:
    assert ("a", payload) == decode_frame(envelope("a", payload))


def test_only_the_ids_at_the_top_are_upper_cased() -> None:
    payload = {"jobID": "a-1", "imgID": "b", "other": "c", "activeProjects": [{"id": "d", "jobID": "e"}]}
    assert decode_frame(envelope("a", payload))[1] == {**payload, "jobID": "A-1", "imgID": "B"}


def test_ids_of_other_kinds_become_texts_and_null_stays() -> None:
    assert decode_frame(envelope("a", {"jobID": 5, "imgID": None}))[1] == {"jobID": "5", "imgID": None}


@each_row(
    "message",
    [
        "",
        "hello",
        b"\xff\xfe\xfa",
        "[]",
        "5",
        "null",
        '"text"',
        "{}",
        '{"data":"ImZhc3Qi"}',
        '{"type":null}',
        '{"type":5}',
        '{"type":["a"]}',
        '{"type":"a"} x',
        '{"type":"a","data":5}',
        '{"type":"a","data":["ImZhc3Qi"]}',
        '{"type":"a","data":"ä"}',
        '{"type":"a","data":"abc"}',
        '{"type":"a","data":"aGVsbG8="}',
        '{"type":"a","data":"/w=="}',
        "[" * 100_000,
    ],
    ids=lambda message: str(message)[:40],
)
def test_what_is_no_frame_is_a_protocol_error(message: bytes | str) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(message)


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_message_is_a_frame_or_a_protocol_error(message: bytes | str) -> None:
    try:
        decode_frame(message)
    except ProtocolError:
        return
