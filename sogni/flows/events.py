"""Iterating over the events of a project: decides what a step of the iteration waits for."""

from __future__ import annotations

from ..models.events import Event
from ..protocol.client_state import CONNECTION, ClientState
from ..protocol.feed import Feed
from ..protocol.project_state import ProjectState
from .steps import Flow, until
from .waiting import check_news


def next_event(project: ProjectState, feed: Feed, *, left: float | None) -> Flow[Event | None]:
    """The next event of a feed, None after the last. SogniTimeoutError, connection errors."""

    def found(state: ClientState) -> tuple[Event | None] | None:
        event = feed.pop()
        if event is not None:
            return (event,)
        if project.settled:
            return (None,)
        check_news(project, state)
        return None

    (event,) = yield from until(
        (project, CONNECTION),
        found,
        timeout=left,
        phase="run",
        waiting_for=f"an event of project {project.id}",
    )
    return event
