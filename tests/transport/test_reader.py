"""The reader on a socket whose every byte is the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

import sogni.core.connection.flows as sending
import sogni.core.connection.state as connection
import sogni.transport.reader as reader
import sogni.transport.waiting as waiting
from sogni.core.connection.messages import decode_frame, encode_frame
from sogni.core.connection.websocket import CLOSE, parse_close
from sogni.core.flow import catch_up, change, connect
from sogni.errors import ProtocolError
from sogni.settings import Settings
from sogni.transport.engine import Engine
from tests.transport.peers import SOON, Called, phase, state_of
from tests.transport.websocket_peers import Connection, serving

HELLO = encode_frame("authenticated", {"clientType": "artist"}).encode()


@contextmanager
def engine_of(handle: Callable[[Connection], None]) -> Iterator[Engine]:
    with serving(handle) as url:
        settings = Settings(
            api_key="k", auth_type="api_key", app_id="APP", rest_endpoint="http://127.0.0.1:1", socket_endpoint=url
        )
        engine = Engine(settings, lambda engine, value: value)
        try:
            yield engine
        finally:
            engine.close()


def greets(peer: Connection) -> None:
    peer.upgrade()
    peer.send(HELLO)


def closes(peer: Connection) -> list[tuple[int, str]]:
    """The close frames of the client until it leaves."""
    seen: list[tuple[int, str]] = []
    with suppress(EOFError, ConnectionError):
        while True:
            opcode, payload = peer.receive()
            if opcode == CLOSE:
                seen.append(parse_close(payload))
    return seen


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that is lost comes back soon, and nobody takes long leave."""
    monkeypatch.setattr(connection, "MIN_DELAY", 0.01)
    monkeypatch.setattr(reader, "CLOSE_SECONDS", 0.05)


@pytest.mark.usefixtures("soon")
def test_a_connection_that_cannot_be_read_is_closed_as_such_and_made_anew() -> None:
    seen: list[list[tuple[int, str]]] = []

    def handle(peer: Connection) -> None:
        greets(peer)
        if not seen:
            seen.append([])
            peer.sock.sendall(b"\xff\xff\xff")
            seen[0] += closes(peer)
        else:
            peer.until_closed()

    with engine_of(handle) as engine:
        engine.run(connect())
        engine.run(phase("waiting"))
        assert isinstance(engine.state.connection.closed and engine.state.connection.closed.cause, ProtocolError)
        engine.run(sending.ready(SOON, beyond=1))
    assert seen == [[(1002, "protocol error")]]


@pytest.mark.usefixtures("soon")
def test_a_close_frame_of_the_service_is_answered() -> None:
    seen: list[tuple[int, str]] = []

    def handle(peer: Connection) -> None:
        greets(peer)
        peer.send((4015).to_bytes(2, "big") + b"displaced", CLOSE)
        seen.extend(closes(peer))

    with engine_of(handle) as engine:
        engine.run(connect())
        engine.run(phase("ended"))
        assert engine.state.connection.closed == connection.Closed(4015, "displaced")
    assert seen == [(1000, "")]


def test_whoever_catches_up_finds_applied_what_had_come_to_a_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    greeted, sent = threading.Event(), threading.Event()

    def slowly(raw: bytes) -> tuple[str, Any]:
        threading.Event().wait(0.1)
        return decode_frame(raw)

    def handle(peer: Connection) -> None:
        greets(peer)
        assert greeted.wait(SOON)
        for network in ("fast", "relaxed", "fast", "the last"):
            peer.send(encode_frame("changeNetwork", {"network": network}).encode())
        sent.set()
        peer.until_closed()

    monkeypatch.setattr(reader, "decode_frame", slowly)
    with engine_of(handle) as engine:
        engine.run(connect())
        engine.run(sending.ready(SOON))
        greeted.set()
        assert sent.wait(SOON)
        engine.run(catch_up())
        assert engine.run(state_of(lambda state: state.announced_network)) == "the last"


def test_nobody_is_waited_for_where_there_is_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CATCHING_UP_SECONDS", SOON * 10)

    def handle(peer: Connection) -> None:
        greets(peer)
        peer.until_closed()

    with engine_of(handle) as engine:
        Called(lambda: engine.run(catch_up())).ended()
        engine.run(connect())
        engine.run(sending.ready(SOON))
        Called(lambda: engine.run(catch_up())).ended()
        engine.run(change(lambda state, _: state.stop_connection()))
        Called(lambda: engine.run(catch_up())).ended()


def test_those_who_catch_up_are_let_go_when_the_connection_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CATCHING_UP_SECONDS", SOON * 10)
    reading, noted = threading.Event(), threading.Event()

    def halts(raw: bytes) -> tuple[str, Any]:
        if not reading.is_set():
            reading.set()
            assert noted.wait(SOON)
        return decode_frame(raw)

    def handle(peer: Connection) -> None:
        greets(peer)
        peer.send((4015).to_bytes(2, "big"), CLOSE)
        peer.until_closed()

    monkeypatch.setattr(reader, "decode_frame", halts)
    with engine_of(handle) as engine:
        engine.run(connect())
        assert reading.wait(SOON)
        behind = [Called(lambda: engine.run(catch_up())) for _ in range(3)]
        noted.set()
        for one in behind:
            one.ended()


@pytest.mark.parametrize("answers", [True, False])
def test_leave_is_taken_in_order_and_a_service_that_does_not_answer_is_left(answers: bool, soon: None) -> None:
    seen: list[tuple[int, str]] = []

    def handle(peer: Connection) -> None:
        greets(peer)
        opcode, payload = peer.receive()
        seen.append((opcode, parse_close(payload)[1]))
        if answers:
            peer.send(payload, CLOSE)
        peer.until_closed()

    with engine_of(handle) as engine:
        engine.run(connect())
        engine.run(sending.ready(SOON))
    assert seen == [(CLOSE, connection.OWN_REASON)]


def test_a_service_that_leaves_without_a_word_while_leave_is_taken() -> None:
    def handle(peer: Connection) -> None:
        greets(peer)
        peer.receive()

    with engine_of(handle) as engine:
        engine.run(connect())
        engine.run(sending.ready(SOON))


@pytest.mark.usefixtures("soon")
def test_a_socket_that_opens_when_nobody_wants_it_any_more_is_dropped() -> None:
    asked, stopped = threading.Event(), threading.Event()
    left: list[bytes] = []

    def handle(peer: Connection) -> None:
        peer.read_request()
        asked.set()
        assert stopped.wait(SOON)
        peer.upgrade()
        left.append(peer.sock.recv(100))

    with engine_of(handle) as engine:
        engine.run(connect())
        assert asked.wait(SOON)
        engine.run(change(lambda state, _: state.stop_connection()))
        stopped.set()
    assert left == [b""]


@pytest.mark.usefixtures("soon")
def test_a_ping_that_cannot_be_sent_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.01)
    gone: list[Any] = []

    def handle(peer: Connection) -> None:
        greets(peer)
        if not gone:
            gone.append(peer.receive())
        else:
            peer.until_closed()

    with engine_of(handle) as engine:
        engine.run(connect())
        engine.run(sending.ready(SOON, beyond=1))
    assert [opcode for opcode, _ in gone] == [9]
