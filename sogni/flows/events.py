"""Iterating over the events of a project: decides what a step of the iteration waits for."""

from __future__ import annotations

from ..models.events import Event
from ..protocol.client_state import CONNECTION, ClientState
from ..protocol.feed import Feed
from ..protocol.project_state import ProjectState
from .steps import Flow, change, until
from .waiting import check_news, have_connection


def next_event(project: ProjectState, feed: Feed, *, left: float | None) -> Flow[Event | None]:
    """The next event of a feed, None after the last. SogniTimeoutError, connection errors."""

    def at_hand() -> tuple[Event | None] | None:
        event = feed.pop()
        return (event,) if event is not None or project.settled else None

    def found(state: ClientState) -> tuple[Event | None] | None:
        there = at_hand()
        if there is None:
            check_news(project, state)
        return there

    there = yield from change(lambda *_: at_hand())
    if there is not None:
        return there[0]
    yield from have_connection(project)
    (event,) = yield from until(
        (project, CONNECTION),
        found,
        timeout=left,
        phase="run",
        waiting_for=f"an event of project {project.id}",
    )
    return event
