"""Look up projects that a client does not follow: the outcome of single ones, and a list of those elsewhere.

A project is reported as lost only if every source was readable and none of the sources lists it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sogni.core.checks import integer, invalid_value, items, number, path_segment
from sogni.core.flow import Flow, State, app_id, change, pause, together
from sogni.core.http import get
from sogni.core.projects.results import PROJECT_STATUS, live_record, project_record
from sogni.core.requests import FAILURES, get_json, get_unwrapped_json
from sogni.errors import NotFoundError, ProtocolError
from sogni.models.projects import MissingProject, ProjectRecord, Snapshot

LOOKUPS, LOOKUP_PAUSE = 4, 2.5
"""Number of requests for the record of a project, and the seconds between them (transport §13.2)."""
_MAX_LOOKUPS, _MAX_PAUSE = 100, 3600.0


def recorded_verdict(project_id: str) -> Flow[MissingProject | None]:
    """Look up the record of a finished project; None if the service has none, maybe not yet."""
    try:
        record = yield from project_record(project_id)
    except NotFoundError:
        return None
    except FAILURES as error:
        return MissingProject(id=project_id, state="unknown", error=str(error))
    return MissingProject(id=project_id, state="finished", project=record)


def active_ids() -> Flow[frozenset[str]]:
    """Request the upper-case ids of the account's unfinished projects."""
    call = get("/api/v1/artist/projects/active", host="socket")
    listed = yield from get_json(call)
    projects = listed.get("projects") if isinstance(listed, Mapping) else None
    if not isinstance(projects, list):
        raise ProtocolError(f"GET {call.path}: the response has no projects")
    return frozenset(str(it.get("id", "")).upper() for it in projects if isinstance(it, Mapping))


def live_verdict(project_id: str, active: frozenset[str]) -> Flow[MissingProject]:
    """Look up a project that has no record; `active` are the ids of the unfinished ones."""
    # projects-5x §9.5
    if project_id.upper() in active:
        return MissingProject(id=project_id, state="active")
    try:
        record = yield from live_record(project_id)
    except NotFoundError:
        return MissingProject(id=project_id, state="lost")
    except FAILURES as error:
        return MissingProject(id=project_id, state="unknown", error=str(error))
    if record.status == "completed":
        error_text = "the project is completed, but the service has no record of it yet"
        return MissingProject(id=project_id, state="unknown", project=record, error=error_text)
    return MissingProject(
        id=project_id, state="terminal" if record.status in PROJECT_STATUS else "active", project=record
    )


def missing_projects(
    ids: Iterable[str], *, attempts: int = LOOKUPS, delay: float = LOOKUP_PAUSE
) -> Flow[dict[str, MissingProject]]:
    """Determine the outcome of projects, all in the same rounds."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise invalid_value("ids", ids, "a list of ids")
    left = list(dict.fromkeys(items("ids", list(ids), item=_id)))
    attempts = integer("attempts", attempts, low=1, high=_MAX_LOOKUPS)
    seconds = number("delay", delay, low=0, high=_MAX_PAUSE)
    requested, found = tuple(left), dict[str, MissingProject]()
    for attempt in range(attempts):
        if attempt and left:
            yield from pause(seconds, 0.2)
        verdicts = yield from together([recorded_verdict(project_id) for project_id in left])
        found |= {verdict.id: verdict for verdict in verdicts if verdict is not None}
        left = [project_id for project_id, verdict in zip(left, verdicts, strict=True) if verdict is None]
    if left:
        found |= yield from _live_verdicts(left)
    return {project_id: found[project_id] for project_id in requested}


def _id(field: str, value: Any) -> str:
    path_segment(field, value)
    return str(value)


def _live_verdicts(project_ids: list[str]) -> Flow[dict[str, MissingProject]]:
    try:
        active = yield from active_ids()
    except FAILURES as error:
        return {it: MissingProject(id=it, state="unknown", error=str(error)) for it in project_ids}
    verdicts = yield from together([live_verdict(project_id, active) for project_id in project_ids])
    unsent = yield from change(lambda state, _: [it.id for it in verdicts if _is_unacknowledged(state, it.id)])
    waits = "its request has not been acknowledged yet"
    return {
        it.id: MissingProject(id=it.id, state="unknown", error=waits) if it.state == "lost" and it.id in unsent else it
        for it in verdicts
    }


def _is_unacknowledged(state: State, project_id: str) -> bool:
    """Whether this client has sent a project, or will, and does not know whether it has arrived."""
    project = state.projects.by_id.get(project_id.upper())
    return project is not None and not project.settled and project.request is not None


# Projects of other app ids (projects-5x §9.7)


def projects_elsewhere() -> Flow[list[ProjectRecord]]:
    """Request the unfinished projects of the account that other app ids started."""
    own = yield from own_app_id()
    listed = yield from all_active()
    return [it for it in listed if not it.is_chat and it.app_id and it.app_id != own]


def all_active() -> Flow[list[ProjectRecord]]:
    """Request the unfinished projects and chats of all app ids."""
    call = get("/api/v1/artist/projects/sync", host="socket")
    return (yield from get_unwrapped_json(Snapshot, call)).active_projects


def own_app_id() -> Flow[str | None]:
    """Return the app id of this client; None if it has none, because it opens no socket."""
    chosen, needs_one = yield from change(lambda state, _: (state.app_id, not state.settings.disable_socket))
    return (yield from app_id()) if needs_one else chosen or None
