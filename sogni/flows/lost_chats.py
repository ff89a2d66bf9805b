"""Completions that a drop left without news: decides when to look again (chat §14.2).

Begun by the client state when a connection is lost, and run in the background.
"""

from __future__ import annotations

from .steps import Flow, change, pause


def end_lost_chats() -> Flow[None]:
    """End completions without news in time, one after the other, until none is left that waits."""
    while (left := (yield from change(lambda state, now: state.end_lost_chats(now)))) is not None:
        yield from pause(left)
