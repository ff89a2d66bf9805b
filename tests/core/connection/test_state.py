"""The life of the socket: phases, pings, deadlines, close codes, coming back (transport §6.1, §10)."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sogni.core.connection.state import Closed, Connection, clears_credentials, error_of, is_recoverable
from sogni.errors import AuthenticationError, ConnectionRejectedError, ProtocolError, SogniConnectionError, SogniError
from tests.tables import each_row

HOST = "socket.sogni.ai"
CLOSED = f"the connection to {HOST} is closed"
REFUSED = f"{HOST} rejected the connection"


def opened(at: float = 100.0) -> Connection:
    connection = Connection()
    connection.request_connection()
    connection.opened(at)
    return connection


def ready(at: float = 100.0) -> Connection:
    connection = opened(at)
    connection.authenticated()
    connection.synced()
    return connection


def lost(
    connection: Connection, code: int = 1006, *, now: float = 0.0, jitter: float = 1.0, signed_in: bool = True
) -> Any:
    return connection.lost(Closed(code), now=now, jitter=jitter, signed_in=signed_in)


# --- phases


def test_a_new_connection_is_idle() -> None:
    connection = Connection()
    assert (connection.phase, connection.is_open, connection.generation, connection.closed) == ("idle", False, 0, None)


def test_the_first_who_wants_it_begins_to_connect() -> None:
    connection = Connection()
    assert [connection.request_connection(), connection.request_connection()] == [True, False]
    assert connection.phase == "connecting"


@pytest.mark.parametrize("step", ["connecting", "open", "ready", "waiting"])
def test_one_that_is_under_way_is_not_begun_again(step: str) -> None:
    """transport §6.1: a send waits for a pending reconnect instead of racing it."""
    connection = Connection()
    connection.request_connection()
    if step != "connecting":
        connection.opened(0)
    if step == "ready":
        connection.authenticated()
    if step == "waiting":
        lost(connection)
    assert (step, False) == (connection.phase, connection.request_connection())


def test_one_that_ended_can_be_begun_again() -> None:
    connection = ready()
    connection.stopped()
    assert connection.request_connection()
    assert (connection.phase, connection.closed) == ("connecting", None)


def test_an_open_socket_is_not_ready_before_authenticated() -> None:
    """transport §6.1: the server drops what arrives before it has sent `authenticated`."""
    connection = opened()
    assert (connection.phase, connection.is_open) == ("open", True)
    connection.authenticated()
    assert (connection.phase, connection.is_open) == ("ready", True)


def test_authenticated_on_no_socket_opens_none() -> None:
    connection = Connection()
    connection.authenticated()
    assert connection.phase == "idle"


def test_generations_count_the_sockets() -> None:
    connection = opened()
    lost(connection)
    connection.due(99)
    connection.opened(100)
    assert connection.generation == 2


def test_stopping_is_a_normal_close_from_this_side() -> None:
    """transport §10: a deliberate disconnect closes with 1000 and this reason."""
    connection = ready()
    connection.stopped()
    assert ("ended", Closed(1000, "Client disconnected")) == (connection.phase, connection.closed)


# --- time on an open socket


def moves(connection: Connection, until: float) -> list[tuple[float, str]]:
    """What a connection asks for, when it is asked at each of its deadlines."""
    found = []
    now = connection.deadline()
    while now <= until:
        move = connection.due(now)
        if move is not None:
            found.append((now, move))
        if move == "dead":
            break
        now = max(now, connection.deadline())
    return found


def test_a_server_that_never_says_authenticated() -> None:
    """transport §6.1, §13.2: the snapshot is asked for after 1.5 s, frames are sent after 10 s, a ping after 15 s."""
    assert moves(opened(100.0), 200) == [(101.5, "sync"), (110.0, "ready"), (115.0, "ping"), (130.0, "dead")]


def test_a_silent_server_is_dropped_15_seconds_after_a_ping() -> None:
    assert moves(ready(100.0), 200) == [(115.0, "ping"), (130.0, "dead")]


def test_a_server_that_answers_is_pinged_every_15_seconds() -> None:
    connection = ready(100.0)
    found = []
    for now in range(101, 161):
        if (move := connection.due(now)) is not None:
            found.append((now, move))
            connection.pong_received()
    assert found == [(115, "ping"), (130, "ping"), (145, "ping"), (160, "ping")]


def test_an_answer_to_a_later_ping_counts() -> None:
    connection = ready(100.0)
    connection.due(115.0)
    connection.pong_received()
    assert connection.due(129.9) is None
    assert connection.due(130.0) == "ping"


def test_nothing_is_due_before_its_time() -> None:
    assert ready(100.0).due(114.9) is None


def test_a_snapshot_is_asked_for_once() -> None:
    connection = opened(100.0)
    assert [connection.due(101.5), connection.due(101.6)] == ["sync", None]


def test_a_snapshot_that_came_is_not_asked_for() -> None:
    connection = opened(100.0)
    connection.synced()
    assert connection.due(105.0) is None


@pytest.mark.parametrize("phase", ["idle", "connecting", "ended"])
def test_without_a_socket_time_asks_for_nothing(phase: str) -> None:
    connection = opened(100.0)
    connection.phase = phase  # type: ignore[assignment]
    assert connection.due(1000.0) is None


# --- coming back


CLOSES: list[tuple[int, bool, bool]] = [
    # code, comes back, clears credentials (transport §10)
    (0, False, True),
    (1000, False, False),
    (1001, True, False),
    (1005, True, False),
    (1006, True, False),
    (1011, True, False),
    (1012, True, False),
    (3000, True, False),
    (3999, True, False),
    (4000, False, True),
    (4010, False, True),
    (4015, False, False),
    (4021, False, True),
    (4999, False, True),
    (5000, True, False),
]


@each_row(("code", "back", "clears"), CLOSES)
def test_the_table_of_close_codes(code: int, back: bool, clears: bool) -> None:
    assert (back, clears) == (is_recoverable(code), clears_credentials(code))
    connection = ready()
    assert ("waiting" if back else "ended") == lost(connection, code) == connection.phase
    assert Closed(code) == connection.closed


def test_no_code_at_all_is_a_refusal() -> None:
    assert (is_recoverable(None), clears_credentials(None)) == (False, True)


@pytest.mark.parametrize("code", [1001, 1006, 4015])
def test_nobody_who_is_not_signed_in_comes_back(code: int) -> None:
    connection = ready()
    assert (lost(connection, code, signed_in=False), connection.phase) == ("ended", "ended")


def test_pauses_double_up_to_15_seconds_and_never_end() -> None:
    """transport §10, 5.x: min(1000 · 2^n, 15000) ms, unlimited."""
    connection = Connection()
    connection.request_connection()
    pauses = []
    for _ in range(40):
        lost(connection, now=100.0)
        pauses.append(connection.retry_at - 100.0)
        connection.due(1000.0)
    assert pauses[:6] == [1, 2, 4, 8, 15, 15]
    assert {15} == set(pauses[6:])


@given(st.floats(0.8, 1.2), st.integers(0, 20))
def test_jitter_scales_every_pause(jitter: float, attempts: int) -> None:
    connection = Connection()
    connection.request_connection()
    for _ in range(attempts + 1):
        lost(connection, now=0.0, jitter=jitter)
        connection.phase = "connecting"
    assert connection.retry_at == min(2.0**attempts, 15.0) * jitter


def test_the_next_try_comes_when_its_time_has_come() -> None:
    connection = ready()
    lost(connection, now=200.0)
    assert connection.deadline() == 201.0
    assert (connection.due(200.9), connection.phase) == (None, "waiting")
    assert (connection.due(201.0), connection.phase) == ("connect", "connecting")


def test_only_authenticated_proves_that_it_works_again() -> None:
    """transport §10: a service that takes sockets and drops them is not asked every second."""
    connection = opened()
    lost(connection, now=0.0)
    connection.due(99)
    connection.opened(100)
    lost(connection, now=0.0)
    assert connection.retry_at == 2.0
    connection.due(99)
    connection.opened(100)
    connection.authenticated()
    lost(connection, now=0.0)
    assert connection.retry_at == 1.0


# --- why there is no connection

BROKEN = SogniConnectionError("cannot reach socket.sogni.ai: refused")

ERRORS: list[tuple[Closed | None, type[SogniError], str, int | None]] = [
    (None, SogniConnectionError, CLOSED + " (close code 1006)", 1006),
    (Closed(1000, "bye"), SogniConnectionError, CLOSED + " (close code 1000): bye", 1000),
    (Closed(1001), SogniConnectionError, CLOSED + " (close code 1001)", 1001),
    (Closed(1006, "", BROKEN), SogniConnectionError, "cannot reach socket.sogni.ai: refused", 1006),
    (Closed(1006, "", ProtocolError("x")), SogniConnectionError, CLOSED + " (close code 1006)", 1006),
    (Closed(1006, "", AuthenticationError("refused")), AuthenticationError, "refused", None),
    (Closed(4010, "blocked"), ConnectionRejectedError, REFUSED + " (close code 4010): blocked", 4010),
    (Closed(4999), ConnectionRejectedError, REFUSED + " (close code 4999)", 4999),
    (Closed(0), ConnectionRejectedError, REFUSED + " (close code 0)", 0),
    (
        Closed(4021, "bad key"),
        AuthenticationError,
        f"{HOST} rejected the credentials (close code 4021): bad key",
        None,
    ),
]


@each_row(("closed", "kind", "message", "code"), ERRORS, ids=[str(row[2]) for row in ERRORS])
def test_the_error_says_who_and_why(
    closed: Closed | None, kind: type[SogniError], message: str, code: int | None
) -> None:
    error = error_of(closed, app_id="A", host=HOST)
    assert (kind, message, code) == (type(error), str(error), error.code)


def test_the_error_of_a_displaced_client_names_the_app_id_and_the_cure() -> None:
    error = error_of(Closed(4015, "x"), app_id="ACME-DESK", host=HOST)
    assert isinstance(error, ConnectionRejectedError)
    assert error.close_code == 4015
    assert "'ACME-DESK'" in error.message
    assert "give each client its own app_id" in error.message


def test_each_error_is_a_new_one_with_the_cause_behind_it() -> None:
    closed = Closed(1006, "", BROKEN)
    first, second = (error_of(closed, app_id="A", host=HOST) for _ in range(2))
    assert first is not second
    assert first.__cause__ is BROKEN
    assert first == pickle.loads(pickle.dumps(first))


def test_what_a_reader_does_follows_from_the_phase_and_the_time() -> None:
    connection = Connection()
    assert connection.next_move(0.0) == ("end", 0.0)
    connection.request_connection()
    assert connection.next_move(0.0) == ("connect", 0.0)
    lost(connection, now=10.0)
    assert [connection.next_move(10.5), connection.next_move(11.0)] == [("wait", 11.0), ("connect", 0.0)]
    connection.opened(20.0)
    assert connection.next_move(20.0) == ("read", connection.deadline())
    connection.stopped()
    assert connection.next_move(30.0) == ("end", 0.0)
