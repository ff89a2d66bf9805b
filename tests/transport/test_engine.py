"""A client's engine on a real socket: who is woken, how it ends, and that nothing it waits for is for ever."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import sogni.core.chat.flows as chat
import sogni.core.connection.flows as sending
import sogni.core.connection.state as connection
import sogni.transport.engine as engines
import sogni.transport.reader as reader
from sogni.core.chat.requests import DEFAULT_MODEL
from sogni.core.chat.state import ChatState
from sogni.core.client_state import ClientState
from sogni.core.connection.state import Closed
from sogni.core.flow import Pause, change, clock, new_id, pause, together, write_frame
from sogni.core.outbox import CLOSED
from sogni.emulator import LocalSupernet
from sogni.errors import AuthenticationError, ChatError, ClientClosedError, SogniConnectionError, SogniTimeoutError
from sogni.settings import Settings, Timeouts
from sogni.transport.engine import Engine
from sogni.transport.websocket import SerialSocket
from tests.transport.peers import SOON, Called, forever, phase

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as started:
        yield started


@pytest.fixture
def supernet(shared: LocalSupernet) -> Iterator[LocalSupernet]:
    shared.reset()
    yield shared
    shared.faults.clear()


def engine_of(supernet: LocalSupernet, **options: Any) -> Engine:
    given: dict[str, Any] = {
        "api_key": supernet.api_key,
        "auth_type": "api_key",
        "rest_endpoint": supernet.rest_endpoint,
        "socket_endpoint": supernet.socket_endpoint,
        "app_id": "APP",
    }
    return Engine(Settings(**{**given, **options}), lambda engine, value: value)


@pytest.fixture
def engine(supernet: LocalSupernet) -> Iterator[Engine]:
    made = engine_of(supernet)
    yield made
    made.close()


def connect(engine: Engine) -> Engine:
    engine.run(sending.open_connection(SOON))
    return engine


def seconds(call: Any) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def is_gone(reference: weakref.ref[Any]) -> bool:
    gc.collect()
    return reference() is None


def live(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


# --- the connection


def test_nothing_is_opened_before_it_is_needed(engine: Engine, supernet: LocalSupernet) -> None:
    supernet.forget_requests()
    assert engine.run(new_id()).isupper()
    assert engine.run(clock()) > 0
    assert (live("sogni-reader"), supernet.requests) == ([], [])


def test_a_socket_that_is_lost_comes_back(
    engine: Engine, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MIN_DELAY", 0.01)
    connect(engine)
    supernet.drop_connections()
    engine.run(sending.ready(SOON, beyond=1))
    assert engine.state.connection.generation == 2


def test_a_server_that_falls_silent_is_left(
    engine: Engine, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.02)
    monkeypatch.setattr(connection, "PONG_TIMEOUT", 0.05)
    monkeypatch.setattr(connection, "MIN_DELAY", 0.01)
    connect(engine)
    supernet.freeze_connections()
    engine.run(sending.ready(SOON, beyond=1))
    assert engine.state.connection.generation == 2


def test_a_server_that_answers_pings_is_kept(
    engine: Engine, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.01)
    pings: list[float] = []
    due = connection.Connection.due

    def counted(self: connection.Connection, now: float) -> Any:
        move = due(self, now)
        if move == "ping":
            pings.append(now)
        return move

    monkeypatch.setattr(connection.Connection, "due", counted)
    connect(engine)
    supernet.wait_for(lambda: len(pings) > 5)
    assert (engine.state.connection.phase, engine.state.connection.generation) == ("ready", 1)


@pytest.mark.parametrize("raw", ["{not json", b"\xff\xfe", '{"type":5}', '{"type":"x","data":"!"}'])
def test_what_is_no_frame_is_logged_and_ignored(
    engine: Engine, supernet: LocalSupernet, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    supernet.faults.malform_frame("authenticated", raw=raw)
    with caplog.at_level(logging.WARNING, "sogni"):
        connect(engine)
    if isinstance(raw, str):
        assert "a frame was ignored" in caplog.text
    assert engine.state.connection.phase == "ready"


def test_frames_nobody_foresaw_are_logged_and_the_next_ones_apply(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(payload: Any, now: float) -> None:
        raise ZeroDivisionError

    engine.state._frames["odd"] = breaks
    frames = [("odd", {}), ("toastMessage", 5), ("changeNetwork", {"network": "fast"})]
    with caplog.at_level(logging.WARNING, "sogni"):
        engine.received(frames, alive=True)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "a odd frame was ignored",
        "a toastMessage frame was ignored",
    ]
    assert engine.state.announced_network == "fast"


def test_a_refused_upgrade_says_so(supernet: LocalSupernet) -> None:
    supernet.faults.refuse_upgrade(status=503)
    engine = engine_of(supernet)
    with pytest.raises(SogniTimeoutError):
        engine.run(sending.open_connection(0))
    engine.run(phase("waiting"))
    with pytest.raises(SogniTimeoutError, match="HTTP 503"):
        engine.run(sending.open_connection(0))
    engine.close()


def test_a_refused_key_ends_the_connection(supernet: LocalSupernet) -> None:
    supernet.faults.refuse_upgrade(status=401)
    engine = engine_of(supernet, api_key="not-the-key")
    with pytest.raises(AuthenticationError):
        engine.run(sending.open_connection(SOON))
    engine.close()


@pytest.mark.parametrize("code", [1001, 4015, 4021])
def test_a_close_frame_is_answered_and_its_code_known(engine: Engine, supernet: LocalSupernet, code: int) -> None:
    connect(engine)
    supernet.drop_connections(code, "bye")
    engine.run(phase("waiting", "ended"))
    assert engine.state.connection.closed == Closed(code, "bye")


def test_a_frame_needs_a_socket_that_is_ready(engine: Engine) -> None:
    with pytest.raises(SogniConnectionError, match="before the frame was sent"):
        engine.run(write_frame("jobRequest", {}))


def test_a_client_stopped_on_purpose_says_goodbye_and_can_come_back(engine: Engine, supernet: LocalSupernet) -> None:
    connect(engine)
    engine.run(change(lambda state, _: state.stop_connection()))
    supernet.wait_for(lambda: not supernet.connection_count and not live("sogni-reader"))
    connect(engine)
    assert engine.state.connection.phase == "ready"


def test_a_client_that_comes_back_at_once_takes_leave_of_its_old_socket(
    engine: Engine, supernet: LocalSupernet
) -> None:
    connect(engine)

    def again(state: ClientState, _: float) -> None:
        state.stop_connection()
        state.connection.request_connection()

    engine.run(change(again))
    engine.run(sending.ready(SOON, beyond=1))
    supernet.wait_for(lambda: supernet.connection_count == 1)


# --- a reader that fails


def test_when_the_reader_fails_no_waiter_hangs(
    supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = connect(engine_of(supernet, socket_event_subscriptions={"modelAvailability": False}))
    supernet.chat.rate(0.01)
    stream = engine.run(chat.begin_completion(DEFAULT_MODEL, HELLO, {}))
    waits = [
        Called(lambda: engine.run(sending.ready(None, beyond=1))),
        Called(lambda: engine.run(chat.complete_answer(stream, None))),
        Called(lambda: engine.run(chat.wait_for_models(None))),
    ]

    def breaks(payload: bytes) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(reader, "decode_frame", breaks)
    with caplog.at_level(logging.CRITICAL, "sogni"):
        # Its answer breaks the reader, unless a frame about the chat was faster.
        sent = Called(lambda: engine.run(sending.send_frame("changeNetwork", "fast"))).ended().error
        errors = [wait.ended().error for wait in waits]
    assert isinstance(sent, SogniConnectionError | None)
    kinds = [SogniConnectionError, ChatError, SogniConnectionError]
    assert all(isinstance(error, kind) for error, kind in zip(errors, kinds, strict=True))
    assert isinstance(errors[0].__cause__ if errors[0] else None, ZeroDivisionError)
    monkeypatch.undo()
    connect(engine)
    assert engine.state.connection.generation > 1
    engine.close()


# --- the end


def test_closing_ends_threads_and_waits(supernet: LocalSupernet) -> None:
    engine = connect(engine_of(supernet))
    waits = [Called(lambda: engine.run(forever())), Called(lambda: engine.run(pause(600)))]
    supernet.wait_for(lambda: all(waited_for(engine, topic) for topic in ("nothing", CLOSED)))
    engine.close()
    assert [type(wait.ended().error) for wait in waits] == [ClientClosedError, type(None)]
    assert (engine.closed, live("sogni-reader")) == (True, [])
    engine.close()
    with pytest.raises(ClientClosedError):
        engine.run(clock())
    assert engine.run(change(lambda state, _: state.closed))
    supernet.wait_for(lambda: not supernet.connection_count)


def test_a_pause_that_begins_while_the_client_closes_is_over(supernet: LocalSupernet) -> None:
    engine = engine_of(supernet)
    engine.close()
    assert Called(lambda: engines.pause(engine, Pause(600, 0))).ended().error is None
    assert not waited_for(engine, CLOSED)


def waited_for(engine: Engine, topic: Any) -> bool:
    """Whether somebody waits for a topic."""
    with engine.lock:
        return topic in engine.state.waiter_registry._by_topic


def test_closing_does_not_wait_for_a_handshake_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CONNECTING_SECONDS", 0.05)
    # Its end is that of the handshake, and of its thread.
    with LocalSupernet(step_time=0) as supernet:
        rule = supernet.faults.refuse_upgrade(hang=True)
        engine = engine_of(supernet, timeouts=Timeouts(connect=SOON))
        connecting = Called(lambda: engine.run(sending.open_connection(SOON)))
        supernet.wait_for(lambda: rule.fired)
        assert 0.05 <= seconds(engine.close) < SOON / 3
        assert isinstance(connecting.ended().error, ClientClosedError)


def test_closing_does_not_wait_for_ever_for_a_server_that_fell_silent(
    supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CLOSE_SECONDS", 0.05)
    engine = connect(engine_of(supernet))
    supernet.freeze_connections()
    assert seconds(engine.close) < 3


def test_a_client_is_closed_from_within_a_callback(supernet: LocalSupernet) -> None:
    engine = engine_of(supernet)
    closed = threading.Event()

    def closes(_: Any) -> None:
        engine.close()
        closed.set()

    engine.state.listeners.add("connected", closes)
    # Whether the callback or the wait for the connection is the first to be there is nobody's to say.
    with suppress(ClientClosedError):
        engine.run(sending.open_connection(SOON))
    assert closed.wait(SOON)
    assert engine.closed


def test_closing_does_not_wait_for_ever_for_a_callback(
    supernet: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_of(supernet)
    busy, release = threading.Event(), threading.Event()

    def waits(_: Any) -> None:
        busy.set()
        release.wait(SOON)

    engine.state.listeners.add("connected", waits)
    connect(engine)
    assert busy.wait(SOON)
    with caplog.at_level(logging.WARNING, "sogni"):
        engine.close(0.05)
    release.set()
    assert "a callback is still running" in caplog.text


def test_after_the_end_no_reader_is_started(supernet: LocalSupernet) -> None:
    engine = engine_of(supernet)
    engine.close()
    engine._start_reader()
    assert live("sogni-reader") == []


def test_a_client_that_is_dropped_ends_its_threads(supernet: LocalSupernet) -> None:
    engine = connect(engine_of(supernet))
    reference = weakref.ref(engine)
    del engine
    supernet.wait_for(lambda: is_gone(reference))
    supernet.wait_for(lambda: not live("sogni-reader"))
    supernet.wait_for(lambda: not supernet.connection_count)


def test_a_client_whose_callback_refers_to_it_can_be_dropped(supernet: LocalSupernet) -> None:
    engine = connect(engine_of(supernet))
    called = threading.Event()
    hears = partial(lambda owner, _: called.set(), engine)
    engine.state.listeners.add("updated", hears)
    engine.changed(lambda state, _: state.out.notify(state.listeners, "updated", 1))
    assert called.wait(SOON)
    reference = weakref.ref(engine)
    del engine, hears
    supernet.wait_for(lambda: is_gone(reference))


# --- flows


def test_flows_run_side_by_side_and_the_first_error_is_raised(engine: Engine) -> None:
    assert len(set(engine.run(together([new_id() for _ in range(6)])))) == 6
    with pytest.raises(SogniConnectionError):
        engine.run(together([new_id(), write_frame("x", {})]))
    assert engine.run(together([])) == []


def test_a_wait_runs_out_of_time(engine: Engine) -> None:
    with pytest.raises(SogniTimeoutError) as caught:
        engine.run(
            sending.ready(0.0) if engine.run(change(lambda s, _: s.connection.request_connection())) else pause(0)
        )
    assert (caught.value.phase, caught.value.timeout) == ("ready", 0.0)


def test_a_frame_does_not_overtake_what_an_interrupted_call_has_left(
    supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = connect(engine_of(supernet))
    monkeypatch.setattr("sogni.transport.writer.GRACE_SECONDS", 0.0)
    release, order = threading.Event(), []
    send = SerialSocket.send_frame

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        assert release.wait(SOON)
        order.append("left")

    def sent(socket: SerialSocket, frame: bytes, timeout: float, *, begun: bool = False) -> None:
        order.append("sent")
        send(socket, frame, timeout, begun=begun)

    with pytest.raises(KeyboardInterrupt):
        engine._writer.uninterrupted(interrupted)
    monkeypatch.setattr(SerialSocket, "send_frame", sent)
    threading.Timer(0.1, release.set).start()
    engine.run(write_frame("x", {}))
    engine.run(write_frame("y", {}))
    engine.close()
    assert order == ["left", "sent"]


def test_a_handle_of_another_process_is_refused(engine: Engine) -> None:
    state = ChatState("J", engine.state.out)
    engine.check_owner(state)
    engine.renew_after_fork()
    with pytest.raises(ClientClosedError, match="forked"):
        engine.check_owner(state)
