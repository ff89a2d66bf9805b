"""After a drop: decides what became of every tracked project, and what is sent again (transport §13).

Begun by each `authenticated` frame. A request is never replayed blindly: only when nobody has ever
heard of it, on a newer connection than the one it went out on, and once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from ..errors import NotFoundError
from ..models.events import ErrorData
from ..models.records import ProjectRecord, Snapshot
from ..protocol.client_state import CONNECTION, ClientState
from ..protocol.http import get
from ..protocol.job_errors import LOST, RESTARTING
from ..protocol.project_state import ProjectState
from ..protocol.replay import replay, restored_project
from .cancel import cancel_frame
from .requests import FAILURES, ask, ask_bare
from .results import apply_record, as_recorded, live_record, project_record
from .sending import send_frame
from .steps import Flow, change, pause, until

TOO_NEW = 5.0
"""Seconds before a snapshot within which a request may not be in it yet (transport §13.2)."""
RECHECK = 0.25
LOOKUPS, LOOKUP_PAUSE = 4, 2.5
RESEND_WITHIN = 60.0
STRIKES = 3


def reconcile(snapshot: Snapshot | None) -> Flow[None]:
    """Bring all tracked projects in line with what the service holds for this app id."""
    try:
        yield from _reconcile(snapshot)
    except Exception:
        # Whatever went wrong: the next one must not wait for ever.
        yield from change(lambda state, _: state.reconciled())
        raise
    yield from change(lambda state, _: state.reconciled())


def _reconcile(snapshot: Snapshot | None) -> Flow[None]:
    asked_at = yield from change(lambda _, now: now)
    if snapshot is None:
        app_id = yield from change(lambda state, _: state.app_id)
        call = get("/api/v1/artist/projects/sync", host="socket", appId=app_id)
        try:
            snapshot = yield from ask_bare(Snapshot, call)
        except FAILURES:
            return
    active = {record.id.upper(): record for record in reversed(snapshot.active_projects) if not record.is_chat}
    ended = {
        record.id.upper(): record
        for record in reversed(snapshot.unclaimed_completed_projects)
        if not record.is_chat and record.id.upper() not in active
    }
    for record in active.values():
        yield from change(partial(_replay_active, record))
    own = yield from change(lambda state, _: [project_id for project_id in ended if project_id in state.projects])
    for project_id in own:
        yield from apply_record(project_id, ended[project_id])
    seen = active.keys() | ended.keys()
    missing = yield from change(lambda state, _: _missing(state, seen))
    young = [project for project in missing if project.sent_at > asked_at - TOO_NEW]
    yield from resolve_missing([project.id for project in missing if project not in young])
    # After those somebody may wait for: an hour's results of others may be many.
    for project_id, record in ended.items():
        if project_id not in own:
            yield from change(partial(_track_recovered, record))
            yield from apply_record(project_id, record)
    if young:
        latest = max(project.sent_at for project in young)
        now = yield from change(lambda _, now: now)
        yield from pause(max(0.0, latest + TOO_NEW - now) + RECHECK)
        # Nothing is to be found out about one that was spoken of meanwhile.
        yield from resolve_missing([project.id for project in young if project.heard_at <= asked_at])


def _replay_active(record: ProjectRecord, state: ClientState, now: float) -> None:
    project = _track_recovered(record, state, now)
    if not project.settled:
        replay(project, record, state, now)


def _track_recovered(record: ProjectRecord, state: ClientState, now: float) -> ProjectState:
    project_id = record.id.upper()
    project = state.projects.get(project_id)
    if project is None:
        project = restored_project(state, record, now)
        # The snapshot is that of our own app id.
        project.app_id = project.app_id or state.app_id
        state.track(project, now)
    return project


def _missing(state: ClientState, seen: set[str]) -> list[ProjectState]:
    return [
        project
        for project in state.projects.values()
        if not (project.settled or project.polled or project.abandoned or project.being_sent) and project.id not in seen
    ]


def resolve_missing(project_ids: Sequence[str]) -> Flow[None]:
    """Find out about projects that the snapshot does not mention (transport §13.2, projects-5x §9.5).

    All are looked up in the same rounds, or whoever waits for the last of many would wait for all pauses.
    """
    left = list(project_ids)
    for attempt in range(LOOKUPS):
        if attempt and left:
            yield from pause(LOOKUP_PAUSE, 0.2)
        unknown = []
        for project_id in left:
            if not (yield from _looked_up(project_id)):
                unknown.append(project_id)  # noqa: PERF401  a comprehension cannot yield
        left = unknown
    for project_id in left:
        if (yield from _known_alive(project_id)) is False:
            yield from change(partial(lost, project_id))


def _looked_up(project_id: str) -> Flow[bool]:
    """Whether there is nothing more to look up: what is known of the project was applied, or cannot be had now."""
    project = yield from change(lambda state, _: state.projects.get(project_id))
    if project is None or project.settled:
        return True
    if (yield from _may_resend(project)):
        # Nobody has named the id since it went out on a connection that broke: a record cannot exist yet.
        if (yield from _known_alive(project_id)) is False:
            yield from resend(project_id)
        return True
    try:
        record = yield from project_record(project_id)
    except NotFoundError:
        return False
    except FAILURES:
        return True
    yield from apply_record(project_id, record)
    return True


def _may_resend(project: ProjectState) -> Flow[bool]:
    def may(state: ClientState, _: float) -> bool:
        return (
            project.request is not None
            and not project.acknowledged
            and not project.resent
            and project.sent_generation < state.connection.generation
        )

    return (yield from change(may))


def _known_alive(project_id: str) -> Flow[bool | None]:
    """Whether the service knows a project that is not over; None: it could not say."""
    try:
        listed = yield from ask(get("/api/v1/artist/projects/active", host="socket"))
    except FAILURES:
        return None
    projects = listed.get("projects") if isinstance(listed, Mapping) else None
    if not isinstance(projects, list):
        return None
    if any(isinstance(p, Mapping) and str(p.get("id", "")).upper() == project_id for p in projects):
        yield from change(lambda state, now: _alive(state, project_id, now))
        return True
    try:
        record = yield from live_record(project_id)
    except NotFoundError:
        return False
    except FAILURES:
        return None
    if record.status in ("failed", "canceled", "completed"):
        yield from apply_record(project_id, as_recorded(record))
        return None
    yield from change(lambda state, now: _alive(state, project_id, now))
    return True


def _alive(state: ClientState, project_id: str, now: float) -> None:
    project = state.projects.get(project_id)
    if project is not None:
        project.alive(now)


def lost(project_id: str, state: ClientState, now: float) -> None:
    """Fail a project that the service does not know."""
    project = state.projects.get(project_id)
    if project is not None and not project.settled:
        project.fail(
            ErrorData(code=0, original_code=LOST, message="the service does not know this project any more"), now
        )


def resend(project_id: str) -> Flow[None]:
    """Send the same request again, once, on a connection newer than the one it was sent on."""

    def claim(state: ClientState, _: float) -> ProjectState | None:
        project = state.projects.get(project_id)
        if project is None or project.request is None or project.resent or project.settled:
            return None
        project.resent = project.being_sent = True
        return project

    project = yield from change(claim)
    if project is None:
        return
    request, generation = project.request, project.sent_generation

    def sending(state: ClientState, now: float) -> None:
        project.sent_at = now
        project.sent_generation = state.connection.generation

    try:
        yield from until(
            (CONNECTION,),
            lambda state: True if state.connection.generation > generation else None,
            timeout=RESEND_WITHIN,
            phase="connect",
            waiting_for="the next connection",
        )
        yield from send_frame("jobRequest", request, sending)
    except FAILURES as error:
        data = ErrorData(code=RESTARTING, message=f"the service was restarting and did not come back: {error}")
        yield from change(lambda state, now: project.fail(data, now))
    finally:
        project.being_sent = False


def check_liveness(project_id: str) -> Flow[None]:
    """Ask after a silent project; three times unknown and it is given up (projects-5x §11)."""
    alive = yield from _known_alive(project_id)
    if alive is not False:
        return

    def strike(state: ClientState, _: float) -> bool:
        project = state.projects.get(project_id)
        if project is None or project.settled:
            return False
        project.strikes += 1
        return project.strikes >= STRIKES

    if (yield from change(strike)):
        yield from give_up(project_id, "the service stopped speaking of this project")


def give_up(project_id: str, message: str) -> Flow[None]:
    """Cancel a project and fail it here, jobs included, with code 0."""

    def failed(state: ClientState, now: float) -> None:
        project = state.projects.get(project_id)
        if project is None or project.settled:
            return
        error = ErrorData(code=0, message=message)
        for job in list(project.jobs.values()):
            if not job.ended:
                project.end_job(job, "failed", error, now)
        project.fail(error, now)

    with suppress(*FAILURES):
        yield from send_frame("jobError", cancel_frame(project_id))
    yield from change(failed)
