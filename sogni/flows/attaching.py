"""Projects that were started elsewhere: decides where their news come from (transport §13.1, projects-5x §9).

The socket speaks of those of its own app id only; all others are asked after.
"""

from __future__ import annotations

from functools import partial

from ..errors import NotFoundError
from ..models.records import ProjectRecord, Snapshot
from ..protocol import chores
from ..protocol.client_state import ClientState
from ..protocol.http import get
from ..protocol.project_state import ProjectState
from ..protocol.replay import replay_jobs, restored_project
from ..protocol.resource_ids import path_segment
from .recovery import lost
from .requests import FAILURES, ask_bare
from .results import apply_record, as_recorded, live_record, project_record
from .steps import Flow, app_id, change, pause
from .waiting import have_connection

POLL_FIRST, POLL_LONGEST = 0.5, 10.0


def attach(project_id: str, restored: ProjectState | None) -> Flow[ProjectState]:
    """Track a project again: one that is known here, restored from a snapshot, or known to the service.

    NotFoundError when neither this client nor the service knows it.
    """
    path_segment("project_id", project_id)
    project_id = project_id.upper()
    project = yield from change(lambda state, _: state.projects.get(project_id))
    if project is None and restored is not None and restored.settled:
        project = restored
        yield from change(lambda state, _: restored.join(state.out, state.listening))
    if project is None:
        project = yield from _attached(project_id, restored)
    yield from have_connection(project)
    return project


def _attached(project_id: str, restored: ProjectState | None) -> Flow[ProjectState]:
    has_socket = yield from change(lambda state, _: not state.settings.disable_socket)
    own = (yield from app_id()) if has_socket else None
    try:
        record = yield from project_record(project_id)
    except NotFoundError:
        record = as_recorded((yield from live_record(project_id)))
        if own and not (record.app_id or (restored and restored.app_id)):
            record = (yield from _listed(project_id)) or record

    def track(state: ClientState, now: float) -> tuple[ProjectState, bool]:
        tracked = state.projects.get(project_id)
        if tracked is not None:
            # A snapshot named it while it was looked up, or it is attached twice at once.
            return tracked, False
        project = restored or restored_project(state, record, now)
        project.join(state.out, state.listening)
        project.app_id = project.app_id or record.app_id
        project.polled = own is None or project.app_id != own
        state.track(project, now)
        replay_jobs(project, record, state, now)
        return project, True

    project, new = yield from change(track)
    yield from apply_record(project_id, record)
    if new and project.polled:
        yield from change(lambda state, _: None if project.settled else state.out.begin(chores.Poll(project_id)))
    return project


def _listed(project_id: str) -> Flow[ProjectRecord | None]:
    """The record in the list over all app ids, which names the one of each; None when it is not there."""
    try:
        snapshot = yield from ask_bare(Snapshot, get("/api/v1/artist/projects/sync", host="socket"))
    except FAILURES:
        return None
    return next((record for record in snapshot.active_projects if record.id.upper() == project_id), None)


def poll(project_id: str) -> Flow[None]:
    """Ask after a project whose frames go to another app id, until it is settled."""
    wait = POLL_FIRST
    while True:
        yield from pause(wait, 0.2)
        project = yield from change(lambda state, _: state.projects.get(project_id))
        if project is None or project.settled:
            return
        wait = min(wait * 1.5, POLL_LONGEST)
        try:
            record = as_recorded((yield from live_record(project_id)))
        except NotFoundError:
            yield from change(partial(lost, project_id))
            return
        except FAILURES:
            continue
        yield from change(partial(replay_jobs, project, record))
        yield from apply_record(project_id, record)
