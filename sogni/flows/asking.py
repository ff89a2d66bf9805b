"""One look at what a wait waits for: decides whether it is over, and what its error says.

Called by the shells for every `Until`, with the state in their hands; how to sleep in between is theirs.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..errors import ClientClosedError, SogniTimeoutError
from ..protocol.client_state import CLOSED, ClientState
from .steps import Until


def ask(step: Until, state: ClientState) -> Any:
    """Ask once: the outcome, or None to go on waiting. ClientClosedError when nothing can come any more."""
    found = step.found(state)
    if found is None and state.closed:
        raise ClientClosedError(f"the client was closed while waiting for {step.waiting_for}")
    return found


def out_of_time(step: Until) -> SogniTimeoutError:
    """The error of a wait that ended without what it waited for."""
    return SogniTimeoutError(
        f"waited {step.timeout:g} seconds for {step.waiting_for}", phase=step.phase, timeout=step.timeout
    )


def topics_of(step: Until) -> list[Hashable]:
    """What wakes a wait: its topics, and the end of the client."""
    return [*step.topics, CLOSED]
