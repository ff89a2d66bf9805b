"""Parsing the blocks of both kinds of event streams."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sogni.core.workflows.event_readers import (
    STREAM_HEADERS,
    RunEventReader,
    SseDecoder,
    WorkflowFrameReader,
    parse_creative_workflow_sse_chunk,
)
from sogni.errors import ValidationError
from sogni.models.runs import ChatRunEvent
from sogni.models.workflows import WorkflowSseEvent
from tests.tables import each_row


def run_block(**data: Any) -> str:
    return f"data: {json.dumps(data)}"


# -- runs ----------------------------------------------------------------------


def test_a_run_event_is_typed() -> None:
    block = 'id: 3\nevent: tool\ndata: {"sequence":3,"type":"tool","at":"2026-01-01T00:00:00Z","payload":{"a":1},"b":2}'
    assert RunEventReader("r").read(block) == ChatRunEvent(
        sequence=3, type="tool", at=datetime(2026, 1, 1, tzinfo=UTC), payload={"a": 1}, extra={"b": 2}
    )


@pytest.mark.parametrize("block", [": ping", "event: tick", "data: {oops", "data: null", "data: 5", "data: [1]"])
def test_what_is_no_run_event_is_left_out(block: str) -> None:
    assert RunEventReader("r").read(block) is None


def test_snapshots_tell_the_status_only() -> None:
    reader = RunEventReader("r")
    for status, may_finish in ((None, False), ("running", False), ("partial_failure", True), (5, False)):
        told = {} if status is None else {"status": status}
        assert reader.read(f"event: run_status\ndata: {json.dumps(told)}") is None
        assert reader.may_finish is may_finish
    assert not reader.finished


@each_row(
    ("type", "status", "finished"),
    [
        ("run_started", None, False),
        ("run_completed", "completed", True),
        ("run_partial_failure", "partial_failure", True),
        ("run_failed", "failed", True),
        ("run_cancelled", "cancelled", True),
        ("run_canceled", "cancelled", True),
        ("run_waiting_for_user", "waiting_for_user", False),
        ("run_awaiting_cost_confirmation", "waiting_for_user", False),
    ],
)
def test_run_events_tell_how_the_run_is(type: str, status: str | None, finished: bool) -> None:
    reader = RunEventReader("r")
    reader.read(run_block(sequence=1, type=type))
    assert (reader.status, reader.finished) == (status, finished)


def test_a_run_event_is_known_by_its_sequence_else_by_its_id() -> None:
    reader = RunEventReader("r")
    blocks = [
        run_block(sequence=1),
        run_block(sequence=1, type="again"),
        'id: 2\ndata: {"a":1}',
        'id: 2\ndata: {"a":1}',
    ]
    assert [reader.read(block) is not None for block in blocks] == [True, False, True, False]
    assert [reader.read(run_block(a=1)) is not None for _ in range(2)] == [True, True]


def test_what_was_known_from_the_beginning_is_no_news() -> None:
    reader = RunEventReader("r", 5)
    assert [reader.read(run_block(sequence=it)) is not None for it in (4, 5, 6)] == [False, False, True]


def test_a_run_stream_is_asked_for_after_the_last_event() -> None:
    reader = RunEventReader("a/b")
    assert reader.call().headers == STREAM_HEADERS
    assert reader.call().path == "/v1/chat/runs/a%2Fb/events/stream"
    reader.read(run_block(sequence=7))
    assert (reader.call().headers["Last-Event-ID"], reader.call().query) == ("7", ())


def test_only_so_many_events_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sogni.core.workflows.event_readers._MAX_KNOWN", 2)
    reader = RunEventReader("r")
    seen = [reader.read(run_block(sequence=it)) is not None for it in (1, 2, 3, 3, 2, 1)]
    assert seen == [True, True, True, False, False, True]


# -- workflows -----------------------------------------------------------------


def test_a_frame_has_its_value_and_its_text() -> None:
    block = 'id: 12\nevent: workflow_status\ndata: {"workflowId":"w",\ndata: "status":"running"}'
    frame = WorkflowFrameReader("w").read(block)
    assert frame == WorkflowSseEvent(
        id="12", event="workflow_status", data={"workflowId": "w", "status": "running"}, raw=block
    )
    assert frame.status == "running"


@pytest.mark.parametrize(
    ("block", "frame"),
    [
        ("data: plain words", WorkflowSseEvent(data="plain words", raw="data: plain words")),
        ("data\nid\nevent", WorkflowSseEvent(id="", raw="data\nid\nevent")),
        ("retry: 5", WorkflowSseEvent(raw="retry: 5")),
        (": ping\n: pong", None),
    ],
)
def test_frames_may_say_little_and_comments_are_none(block: str, frame: WorkflowSseEvent | None) -> None:
    assert WorkflowFrameReader("w").read(block) == frame


@pytest.mark.parametrize(
    ("status", "finished", "may_finish"),
    [
        ("running", False, False), ("waiting_for_user", False, False), ("partial_failure", False, True),
        ("completed", True, True), ("failed", True, True), ("cancelled", True, True), (5, False, False),
    ],
)  # fmt: skip
def test_a_status_in_any_frame_tells_the_end(status: Any, finished: bool, may_finish: bool) -> None:
    reader = WorkflowFrameReader("w")
    reader.read(f"event: whatever\ndata: {json.dumps({'status': status})}")
    assert (reader.finished, reader.may_finish) == (finished, may_finish)


@pytest.mark.parametrize(
    ("given", "query", "last"),
    [
        ({}, None, None),
        ({"after": 0}, "0", None),
        ({"last_event_id": "evt-5"}, "evt-5", "evt-5"),
        ({"after": "a", "last_event_id": 7}, "a", "7"),
    ],
)
def test_a_workflow_stream_begins_where_it_is_told(given: dict[str, Any], query: str | None, last: str | None) -> None:
    reader = WorkflowFrameReader("w", **given)
    assert dict(reader.call().query).get("after") == query
    assert reader.call().headers.get("Last-Event-ID") == last
    reader.read("id: 9\ndata: 1")
    assert (dict(reader.call().query), reader.call().headers["Last-Event-ID"]) == ({"after": "9"}, "9")


def test_a_frame_is_known_by_its_id_and_one_without_is_always_new() -> None:
    reader = WorkflowFrameReader("w")
    blocks = ["id: x\ndata: 1", "id: x\ndata: 1", "data: 1", "data: 1", "id\ndata: 1"]
    assert [reader.read(block) is not None for block in blocks] == [True, False, True, True, True]
    assert reader.position == "x"


def test_frames_of_one_id_that_differ_are_all_read_but_none_comes_again_on_the_next_connection() -> None:
    reader = WorkflowFrameReader("w")
    blocks = ["id: 1\ndata: 1", "id: 1\ndata: 2", "id: 1\ndata: 1", "id: 1\ndata: 2"]
    reader.begin_connection()
    assert [reader.read(block) is not None for block in blocks] == [True, True, False, False]
    reader.begin_connection()
    assert [reader.read(block) is not None for block in [*blocks, "id: 1\ndata: 3", "id: 2\ndata: 3"]] == [
        *(False,) * 5,
        True,
    ]


@pytest.mark.parametrize("rest", ["id: 5", 'id: 5\ndata: {"sta', "id: 5\ndata: [1,", 'id: 5\ndata: "wor', ": pi"])
def test_what_was_cut_off_comes_again(rest: str) -> None:
    reader = WorkflowFrameReader("w")
    assert (reader.read_rest(rest), reader.position) == (None, None)


@pytest.mark.parametrize("rest", ['id: 5\ndata: {"a":1}', "id: 5\ndata: words"])
def test_what_was_not_cut_off_counts(rest: str) -> None:
    reader = WorkflowFrameReader("w")
    assert (reader.read_rest(rest) is not None, reader.position) == (True, "5")


@each_row(
    "make",
    [
        lambda: RunEventReader(""), lambda: RunEventReader(5), lambda: RunEventReader(".."),
        lambda: RunEventReader("\ud83d"),
        lambda: RunEventReader("r", float("nan")), lambda: RunEventReader("r", 1.5), lambda: RunEventReader("r", True),
        lambda: RunEventReader("r", "a\nb"), lambda: WorkflowFrameReader(None), lambda: WorkflowFrameReader("w", []),
        lambda: WorkflowFrameReader("w", None, ""), lambda: parse_creative_workflow_sse_chunk(b"data: 1"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(make: Any) -> None:
    with pytest.raises(ValidationError):
        make()


# -- all of them ---------------------------------------------------------------


def test_a_text_is_read_at_once_and_comments_are_frames_there() -> None:
    frames = parse_creative_workflow_sse_chunk("id: 1\ndata: 1\r\n\r\n: ping\n\ndata: 2")
    assert [(it.id, it.event, it.data) for it in frames] == [
        ("1", "message", 1), (None, "message", None), (None, "message", 2),
    ]  # fmt: skip


STREAMS = [
    b'id: 1\nevent: tick\ndata: {"sequence":1,"type":"tick","at":"t"}\n\nid: 2\ndata: {"sequence":2}\n\n',
    b'id: 1\r\nevent: tick\r\ndata: {"status":"queued"}\r\n\r\n: ping\r\n\r\ndata: {"status":"running"}\r\n\r\n',
    'data: {"t":"é☃"}\n\n: note\nid: 1\n: note\ndata: {"sequence":1}\n\ndata: {"sequence"'.encode(),
    b"data: one\ndata: two\ndata:\ndata: four\n\ndata\nid\nevent\n\n\n\n\ndata: 5\r\rdata: [1]\r\n\n",
]


@pytest.mark.parametrize("reader", [RunEventReader, WorkflowFrameReader])
@pytest.mark.parametrize("stream", STREAMS)
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_every_way_of_splitting_a_stream_gives_the_same_events(reader: Any, stream: bytes, cuts: list[int]) -> None:
    def events(*pieces: bytes) -> list[Any]:
        decoder, reading = SseDecoder(), reader("x")
        blocks = [block for piece in pieces for block in decoder.feed(piece)]
        rest = [reading.read_rest(block) for block in decoder.end()]
        return [*filter(None, map(reading.read, blocks)), *filter(None, rest)]

    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[one:two] for one, two in itertools.pairwise(places)]
    assert events(*pieces) == events(stream)


@pytest.mark.parametrize("reader", [RunEventReader, WorkflowFrameReader])
@given(
    data=st.lists(st.sampled_from([b"data:", b"event: run_status", b"id: 1", b"\n", b"\r", b'{"a":', b"1}", b"\xff"]))
)
def test_no_bytes_are_too_strange_to_be_read(reader: Any, data: list[bytes]) -> None:
    decoder, reading = SseDecoder(), reader("x")
    for block in decoder.feed(b"".join(data)) + decoder.end():
        reading.read(block)
        reading.read_rest(block)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert all(isinstance(it, WorkflowSseEvent) for it in parse_creative_workflow_sse_chunk(text))
