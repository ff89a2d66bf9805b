"""Waiting in a thread: decides when a wait is asked again and when its time is over.

Called by the engine for every `Until` and `Pause`.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ..errors import ClientClosedError, SogniTimeoutError
from ..flows.steps import Until
from ..protocol.client_state import CLOSED, ClientState

if TYPE_CHECKING:
    from .websocket import SerialSocket


class Deadline:
    """A moment on the monotonic clock; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then, at least 0; None for ever."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return self._at is not None and time.monotonic() >= self._at


def out_of_time(step: Until) -> SogniTimeoutError:
    """The error of a wait that ended without what it waited for."""
    return SogniTimeoutError(
        f"waited {step.timeout:g} seconds for {step.waiting_for}", phase=step.phase, timeout=step.timeout
    )


def ask(step: Until, state: ClientState) -> Any:
    """Ask once, under the state lock: the outcome, or None to go on waiting."""
    found = step.found(state)
    if found is None and state.closed:
        raise ClientClosedError(f"the client was closed while waiting for {step.waiting_for}")
    return found


def topics_of(step: Until) -> list[Any]:
    """What wakes a wait: its topics, and the end of the client."""
    return [*step.topics, CLOSED]


class Waker:
    """Ends the reader's present wait, whatever it waits for."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.socket: SerialSocket | None = None

    def set(self) -> None:
        """Have the reader look at the state again. Never blocks."""
        self.event.set()
        socket = self.socket
        if socket is not None:
            socket.wake()
