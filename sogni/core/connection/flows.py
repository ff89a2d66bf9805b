"""Open the socket and send frames over it.

Every frame waits for the service's `authenticated`, because the service drops whatever arrives before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sogni.core.flow import Flow, State, change, clock, connect, until, write_frame
from sogni.core.outbox import CONNECTION
from sogni.errors import Phase, SogniConnectionError, SogniTimeoutError

Sending = Callable[[State, float], None]


def send_frame(
    kind: str, payload: Any, sending: Sending | None = None, *, prepared: tuple[float, bool] | None = None
) -> Flow[None]:
    """Write a frame once the socket is ready; if the connection breaks, write it on the next one.

    `sending` runs under the state lock just before the frame is written. `prepared` is what `prepare_to_send` has just
    returned, if the caller had to change the state anyway. The service ignores a partly written frame, so writing it
    again does no harm. Raises `SogniTimeoutError` (phase `ready`), `SogniConnectionError` or `AuthenticationError`.
    """
    broken = 0

    def before_write(state: State, now: float) -> None:
        nonlocal broken
        broken = state.connection.generation
        if sending is not None:
            sending(state, now)

    timeout, is_ready = prepared or (yield from change(lambda state, _: prepare_to_send(state)))
    deadline = (yield from clock()) + timeout
    while True:
        if not is_ready:
            yield from connect()
            left = deadline - (yield from clock())
            # The broken socket may still look open; wait for a newer one.
            yield from ready(max(0.0, left), beyond=broken)
        try:
            yield from write_frame(kind, payload, before_write)
            return
        except SogniConnectionError:
            if (yield from clock()) >= deadline:
                raise
        _, is_ready = yield from change(lambda state, _: prepare_to_send(state, beyond=broken))


def prepare_to_send(state: State, *, beyond: int = 0) -> tuple[float, bool]:
    """Return how long to wait for a socket after number `beyond`, and whether it is ready. Raises why there is none."""
    state.check_may_connect()
    return state.settings.timeouts.ready, _is_ready(state, beyond)


def _is_ready(state: State, beyond: int) -> bool:
    return state.connection.phase == "ready" and state.connection.generation > beyond


def ready(timeout: float | None, phase: Phase = "ready", *, beyond: int = 0) -> Flow[None]:
    """Wait until the service accepts frames, on a socket after number `beyond`. Raises why there is no connection."""

    def found(state: State) -> bool | None:
        if _is_ready(state, beyond):
            return True
        if state.connection.phase in ("ended", "idle"):
            raise state.why_closed()
        return None

    try:
        yield from until((CONNECTION,), found, timeout=timeout, phase=phase, waiting_for="the socket")
    except SogniTimeoutError as error:
        closed = yield from change(lambda state, _: state.connection.closed)
        if closed is None or closed.cause is None:
            raise error
        # The limit that ran out may be that of the whole call.
        raise SogniTimeoutError(
            f"not connected within {error.timeout:g} seconds; the last attempt failed: {closed.cause}",
            phase=phase,
            timeout=error.timeout,
        ) from closed.cause


def open_connection(timeout: float | None) -> Flow[None]:
    """Open the socket and wait until the service accepts frames, even after an earlier rejection."""
    yield from change(lambda state, _: state.check_may_connect(again=True))
    yield from connect()
    if timeout is None:
        timeout = yield from change(lambda state, _: state.settings.timeouts.ready)
    yield from ready(timeout, "connect")
