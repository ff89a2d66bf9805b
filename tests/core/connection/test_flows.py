"""Sending a frame: waiting for a ready socket, and sockets that break meanwhile (transport §6.1)."""

from __future__ import annotations

import pytest

from sogni.core.connection.flows import open_connection, send_frame
from sogni.core.connection.state import Closed
from sogni.errors import AuthenticationError, ConnectionRejectedError, SogniConnectionError, SogniTimeoutError
from sogni.settings import Timeouts
from tests.core.play import TIMEOUT, Stage

READY = "until the socket (ready, 30 s)"


def test_a_frame_waits_for_the_service_to_take_frames() -> None:
    stage = Stage()
    stage.play(send_frame("hello", 1), (READY, Stage.connects), ("frame hello", None))
    assert stage.frames == [("hello", 1)]


def test_a_frame_goes_out_at_once_on_a_ready_socket() -> None:
    Stage().connects().play(send_frame("hello", 1), ("frame hello", None))


def test_the_state_learns_of_every_try_just_before_it() -> None:
    stage = Stage()
    sent_on: list[int] = []
    stage.play(
        send_frame("hello", 1, lambda state, now: sent_on.append(state.connection.generation)),
        (READY, Stage.connects),
        ("frame hello", SogniConnectionError("cut off")),
        (READY, Stage.reconnects),
        ("frame hello", None),
    )
    assert (sent_on, len(stage.frames)) == ([1, 2], 1)


def test_a_frame_that_was_cut_off_is_not_written_to_the_same_socket_again() -> None:
    stage = Stage().connects()
    stage.play(
        send_frame("hello", 1),
        ("frame hello", SogniConnectionError("cut off")),
        # The reader has not noticed yet: the socket still counts as ready.
        (READY, Stage.reconnects),
        ("frame hello", None),
    )


def test_the_deadline_is_for_all_tries_together() -> None:
    stage = Stage().connects()

    def late(stage: Stage) -> None:
        stage.passes(10)
        raise SogniConnectionError("cut off")

    error = stage.fail(
        SogniTimeoutError, send_frame("hello", 1), ("frame hello", late), ("until the socket (ready, 20 s)", TIMEOUT)
    )
    assert error.phase == "ready"


def test_a_frame_that_was_cut_off_after_the_deadline_is_given_up() -> None:
    stage = Stage(timeouts=Timeouts(ready=5)).connects()

    def late(stage: Stage) -> None:
        stage.passes(5)
        raise SogniConnectionError("cut off")

    assert stage.fail(SogniConnectionError, send_frame("hello", 1), ("frame hello", late)).message == "cut off"


def test_a_frame_needs_a_socket_and_credentials() -> None:
    Stage(disable_socket=True).fail(SogniConnectionError, send_frame("hello", 1))
    Stage(api_key=None).fail(AuthenticationError, send_frame("hello", 1))


def test_a_connection_that_is_refused_ends_the_wait() -> None:
    error = Stage().fail(
        ConnectionRejectedError, send_frame("hello", 1), (READY, lambda stage: stage.connects().drops(4015))
    )
    assert error.close_code == 4015


def test_a_displaced_client_does_not_come_back_by_itself_but_on_purpose() -> None:
    stage = Stage().connects().drops(4015)
    stage.fail(ConnectionRejectedError, send_frame("hello", 1))
    stage.play(open_connection(None), ("until the socket (connect, 30 s)", Stage.connects))
    assert stage.state.connection.phase == "ready"


@pytest.mark.parametrize("timeout", [0.5, 7.0])
def test_opening_waits_as_long_as_it_is_told(timeout: float) -> None:
    error = Stage().fail(
        SogniTimeoutError, open_connection(timeout), (f"until the socket (connect, {timeout:g} s)", TIMEOUT)
    )
    assert error.phase == "connect"


def test_a_connection_that_cannot_be_made_in_time_says_why() -> None:
    stage = Stage()
    cause = SogniConnectionError("no route to host")

    def fails(stage: Stage) -> object:
        stage.state.lost(Closed(1006, cause=cause), now=0, jitter=1)
        return TIMEOUT

    error = stage.fail(SogniTimeoutError, open_connection(5), ("until the socket (connect, 5 s)", fails))
    assert error.message == "not connected within 5 seconds; the last attempt failed: no route to host"
    assert (error.phase, error.timeout, error.__cause__) == ("connect", 5, cause)
