"""Pauses of flows: decides how long one lasts, and that the end of the client ends it."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from ..flows.steps import Pause
from ..protocol.client_state import CLOSED
from .waiting import Deadline, wait_turn

if TYPE_CHECKING:
    from .engine import Engine


def jittered(step: Pause) -> float:
    """Seconds of a pause, drawn within its jitter."""
    return step.seconds * random.uniform(1 - step.jitter, 1 + step.jitter)


def pause(engine: Engine, step: Pause) -> None:
    """Wait in this thread; the end of the client ends it."""
    signal = threading.Event()
    with engine.lock:
        engine.state.wakers.add(CLOSED, signal)
        if engine.closed:
            # Closed since the step was begun: everybody who waited then has been woken already.
            signal.set()
    try:
        deadline = Deadline(jittered(step))
        while not deadline.over and not signal.is_set():
            wait_turn(signal, deadline.left())
    finally:
        with engine.lock:
            engine.state.wakers.remove(CLOSED, signal)
