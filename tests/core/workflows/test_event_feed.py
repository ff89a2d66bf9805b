"""Event streams: reopening one, and giving up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sogni.core.flow import Flow, change
from sogni.core.http import HttpReply
from sogni.core.workflows.event_feed import EventFeed, advance, next_event
from sogni.core.workflows.event_readers import RunEventReader, SseDecoder, WorkflowFrameReader
from sogni.errors import (
    AuthenticationError,
    ClientClosedError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
    SogniConnectionError,
    SogniTimeoutError,
)
from sogni.settings import RetryPolicy
from tests.core.play import STOP, Body, Stage, refused

RUN = "/v1/chat/runs/r/events/stream"
PIECE = "piece within 90 s"
BROKEN = SogniConnectionError("cut")
SILENT = SogniTimeoutError("silence", phase="run")


def ended(answer: bool = False) -> Flow[bool]:
    return (yield from change(lambda state, now: answer))


def run_feed(last: Any = None, has_ended: bool = False) -> EventFeed[Any]:
    return EventFeed(RunEventReader("r", last), lambda: ended(has_ended))


def event(sequence: int, type: str = "tick") -> bytes:
    return f"data: {json.dumps({'sequence': sequence, 'type': type})}\n\n".encode()


def all_of(feed: EventFeed[Any]) -> Flow[list[Any]]:
    found = []
    while (it := (yield from next_event(feed))) is not None:
        found.append(it.sequence if hasattr(it, "sequence") else it.id)
    return found


def opened(after: int | None = None, body: Body | None = None) -> tuple[str, Body]:
    return f"events {RUN}" + ("" if after is None else f" after {after}"), body or Body()


def passes(seconds: float, outcome: Any) -> Any:
    def happen(stage: Stage) -> Any:
        stage.passes(seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return happen


def test_events_come_until_the_run_has_ended() -> None:
    body = Body()
    script = [opened(body=body), (PIECE, event(1)), (PIECE, event(2, "run_completed") + event(3))]
    assert Stage().play(all_of(run_feed()), *script) == [1, 2]
    assert body.closed


def test_a_stream_is_opened_again_after_the_last_event_and_repetitions_are_dropped() -> None:
    one, two = Body(), Body()
    script = [
        opened(body=one), (PIECE, event(1) + event(2) + b"data: {"), (PIECE, BROKEN),
        ("pause 0.25 ±20%", None), opened(2, two), (PIECE, event(2) + event(3)), (PIECE, b""),
        ("pause 0.25 ±20%", None), opened(3), (PIECE, event(4, "run_failed")),
    ]  # fmt: skip
    assert Stage().play(all_of(run_feed()), *script) == [1, 2, 3, 4]
    assert (one.closed, two.closed) == (True, True)


def test_the_position_is_that_of_the_last_event_that_was_given() -> None:
    stage, feed = Stage(), run_feed(3)
    script = [opened(3), (PIECE, event(4) + event(5, "run_completed"))]
    positions = [feed.position]
    assert stage.play(next_event(feed), *script).sequence == 4
    positions.append(feed.position)
    assert stage.play(next_event(feed)).sequence == 5
    positions.append(feed.position)
    assert stage.play(next_event(feed)) is None
    assert [*positions, feed.position] == ["3", "4", "5", "5"]


def test_silence_is_a_broken_connection() -> None:
    script = [
        opened(), (PIECE, passes(90, SILENT)), ("pause 0.25 ±20%", None),
        opened(), (PIECE, event(1, "run_cancelled")),
    ]  # fmt: skip
    assert Stage().play(all_of(run_feed()), *script) == [1]


def test_what_a_body_ended_with_counts_unless_it_was_cut_off() -> None:
    script = [
        opened(), (PIECE, event(1).strip()), (PIECE, b""), ("pause 0.25 ±20%", None),
        opened(1), (PIECE, b'data: {"sequence":2'), (PIECE, b""), ("pause 0.5 ±20%", None),
        opened(1), (PIECE, event(2, "run_completed").strip()), (PIECE, b""),
    ]  # fmt: skip
    assert Stage().play(all_of(run_feed()), *script) == [1, 2]


def test_an_orderly_end_after_the_snapshot_of_an_end_is_the_end() -> None:
    script = [opened(), (PIECE, b'event: run_status\ndata: {"status":"completed"}\n\n' + event(1)), (PIECE, b"")]
    assert Stage().play(all_of(run_feed()), *script) == [1]


def test_the_record_tells_the_end_of_a_stream_that_ends_without_one() -> None:
    script: list[Any] = [opened(5), (PIECE, b""), ("pause 0.25 ±20%", None)]
    script += [opened(5), (PIECE, b""), ("pause 0.5 ±20%", None), opened(5), (PIECE, b"")]
    assert Stage().play(all_of(run_feed(5, has_ended=True)), *script) == []


def test_a_stream_that_ends_again_and_again_while_the_run_goes_on_is_given_up_at_last() -> None:
    script: list[Any] = [opened(), (PIECE, b"")]
    for wait in (0.25, 0.5, 1, 2, 4, 8, 8, 8, 8):
        script += [(f"pause {wait:g} ±20%", None), opened(), (PIECE, b"")]
    assert "ended repeatedly" in str(Stage().fail(SogniConnectionError, all_of(run_feed()), *script))


def test_a_stream_that_breaks_as_soon_as_it_is_open_is_given_up_soon() -> None:
    script: list[Any] = [opened(), (PIECE, BROKEN)]
    for wait in (0.25, 0.5, 1, 2):
        script += [(f"pause {wait:g} ±20%", None), opened(), (PIECE, BROKEN)]
    assert Stage().fail(SogniConnectionError, all_of(run_feed()), *script) == BROKEN


def test_connections_that_lasted_do_not_count() -> None:
    script: list[Any] = [opened()]
    for _ in range(12):
        script += [(PIECE, passes(3, BROKEN)), ("pause 0.25 ±20%", None), opened()]
    script += [(PIECE, event(1, "run_completed"))]
    assert Stage().play(all_of(run_feed()), *script) == [1]


def test_an_outage_is_waited_out() -> None:
    script: list[Any] = [opened(), (PIECE, event(1)), (PIECE, BROKEN)]
    for wait in (0.25, 0.5, 1, 2, 4, 8, 8):
        script += [(f"pause {wait:g} ±20%", None), (f"events {RUN} after 1", BROKEN)]
    script += [("pause 8 ±20%", None), opened(1), (PIECE, event(2, "run_completed"))]
    assert Stage().play(all_of(run_feed()), *script) == [1, 2]


def test_a_stream_that_was_never_open_is_tried_as_often_as_any_request() -> None:
    script: list[Any] = []
    for wait in (0.25, 0.5, 1):
        script += [(f"events {RUN}", BROKEN), (f"pause {wait:g} ±20%", None)]
    assert Stage().fail(SogniConnectionError, all_of(run_feed()), *script, (f"events {RUN}", BROKEN)) == BROKEN


def test_without_retries_nothing_is_opened_again() -> None:
    stage = Stage(retry=RetryPolicy(attempts=1))
    stage.fail(SogniConnectionError, all_of(run_feed()), opened(), (PIECE, BROKEN))


def test_the_service_says_how_long_to_wait() -> None:
    script = [
        (f"events {RUN}", refused(503, retry_after="7")), ("pause 7", None), opened(), (PIECE, event(1)),
        (PIECE, BROKEN), ("pause 0.25 ±20%", None), (f"events {RUN} after 1", refused(429, retry_after="60")),
        ("pause 60", None), (f"events {RUN} after 1", refused(502)), ("pause 1 ±20%", None),
        opened(1), (PIECE, event(2, "run_completed")),
    ]  # fmt: skip
    assert Stage().play(all_of(run_feed()), *script) == [1, 2]


def test_a_service_that_wants_to_be_left_alone_for_long_is() -> None:
    error = Stage().fail(RateLimitError, all_of(run_feed()), (f"events {RUN}", refused(429, retry_after="11")))
    assert error.retry_after == 11


def test_passing_refusals_are_tried_again_a_few_times() -> None:
    script: list[Any] = []
    for wait in (0.25, 0.5, 1):
        script += [(f"events {RUN}", refused(500)), (f"pause {wait:g} ±20%", None)]
    Stage().fail(ServerError, all_of(run_feed()), *script, (f"events {RUN}", refused(500)))


def test_a_refusal_ends_the_stream() -> None:
    feed = run_feed()
    Stage().fail(NotFoundError, all_of(feed), (f"events {RUN}", refused(404)))
    assert feed.closed
    assert Stage().play(all_of(feed)) == []


@pytest.mark.parametrize(("reader", "kept"), [(RunEventReader("w"), True), (WorkflowFrameReader("w"), False)])
def test_credentials_are_cleared_by_a_workflow_but_not_by_a_run(reader: Any, kept: bool) -> None:
    stage, feed = Stage(), EventFeed(reader, ended)
    stage.fail(AuthenticationError, all_of(feed), (f"events {reader.call().target}", refused(401)))
    assert stage.state.session.credentials.authenticated(stage.now) is kept


def test_an_answer_without_content_is_the_end() -> None:
    assert Stage().play(all_of(run_feed()), (f"events {RUN}", HttpReply(status=204))) == []


def test_an_event_beyond_every_measure_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    body = Body()
    monkeypatch.setattr("sogni.core.workflows.event_feed.SseDecoder", lambda: SseDecoder(max_size=5))
    Stage().fail(ProtocolError, all_of(run_feed()), opened(body=body), (PIECE, b"data: 1234567"))
    assert body.closed


def test_the_end_of_the_client_is_the_end_of_the_stream() -> None:
    body, closed = Body(), ClientClosedError("closed")
    Stage().fail(ClientClosedError, all_of(run_feed()), opened(body=body), (PIECE, closed))
    assert body.closed


def test_an_interruption_leaves_the_stream_as_it_is() -> None:
    feed, body = run_feed(), Body()
    Stage().play(next_event(feed), opened(body=body), (PIECE, STOP))
    assert not body.closed
    assert Stage().play(all_of(feed), (PIECE, event(1, "run_completed"))) == [1]


def test_a_stream_closed_by_somebody_else_has_ended() -> None:
    feed, body = run_feed(), Body()

    def closes(_: Stage) -> bytes:
        feed.close()
        return b""

    assert Stage().play(all_of(feed), opened(body=body), (PIECE, closes)) == []
    assert body.closed


@pytest.mark.parametrize("outcome", [Body(), BROKEN, refused(500)])
def test_a_stream_closed_while_it_is_opened_has_ended(outcome: Any) -> None:
    feed = run_feed()

    def closes(_: Stage) -> Any:
        feed.close()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    script: list[Any] = [(f"events {RUN}", closes)]
    assert Stage().play(all_of(feed), *script) == []
    assert not isinstance(outcome, Body) or outcome.closed


def test_a_deadline_ends_the_wait_and_not_the_stream() -> None:
    stage, feed, body = Stage(), run_feed(), Body()
    deadline = stage.seconds + 5
    late = ("piece within 5 s", passes(5, SILENT))
    assert stage.play(advance(feed, deadline), opened(body=body), late) is False
    assert not body.closed
    assert stage.play(advance(feed, stage.seconds + 200), (PIECE, event(1))) is True


def test_silence_before_the_deadline_is_a_broken_connection() -> None:
    stage, feed = Stage(), run_feed()
    script = [
        opened(), (PIECE, passes(90, SILENT)), ("pause 0.25 ±20%", None), opened(),
        ("piece within 5 s", passes(5, SILENT)),
    ]  # fmt: skip
    assert stage.play(advance(feed, stage.seconds + 95), *script) is False


def test_a_pause_ends_with_the_deadline() -> None:
    stage, feed = Stage(), run_feed()
    script = [(f"events {RUN}", refused(503, retry_after="9")), ("pause 3", None)]
    assert stage.play(advance(feed, stage.seconds + 3), *script) is False
