"""After a drop: decides what became of every tracked project, and what is sent again (transport §13).

Begun by each `authenticated` frame. A request is never replayed blindly: only when nobody has ever
heard of it, on a newer connection than the one it went out on, and once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial

from ..errors import NotFoundError
from ..models.events import ErrorData
from ..models.records import ProjectRecord, Snapshot
from ..protocol import chores
from ..protocol.client_state import CONNECTION, ClientState
from ..protocol.http import get
from ..protocol.job_errors import LOST, RESTARTING
from ..protocol.project_state import ProjectState
from ..protocol.replay import replay, restored_project
from .cancel import cancel_frame
from .failsafe import failing_project, surviving
from .requests import FAILURES, ask, ask_bare
from .results import PROJECT_STATUS, apply_record, as_recorded, live_record, project_record
from .sending import send_frame
from .steps import Flow, change, pause, until

TOO_NEW = 5.0
"""Seconds before a snapshot within which a request may not be in it yet (transport §13.2)."""
RECHECK = 0.25
LOOKUPS, LOOKUP_PAUSE = 4, 2.5
RESEND_WITHIN = 60.0
STRIKES = 3


def reconcile(snapshot: Snapshot | None) -> Flow[None]:
    """Bring all tracked projects in line with what the service holds for this app id.

    This only reads the snapshot. Whatever takes time (lookups with their pauses, URLs of results) is begun as work of
    its own, because the next snapshot waits until this one has been read, and may hold finished results.
    """
    try:
        yield from _reconcile(snapshot)
    except Exception:
        # Nothing is known of any project, and the next reconciliation must not wait forever.
        yield from change(lambda state, now: _begin_lookups(state, frozenset(), now))
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
    died: list[Exception] = []
    for project_id, record in active.items():
        yield from surviving(
            change(partial(_replay_active, record)), failing_project(project_id, "resynchronizing the project"), died
        )
    seen = active.keys() | ended.keys()
    yield from change(lambda state, _: _begin_work(state, ended, seen, asked_at))
    if died:
        raise died[0]


def _begin_work(
    state: ClientState, ended: Mapping[str, ProjectRecord], seen: AbstractSet[str], asked_at: float
) -> None:
    """What somebody may wait for comes first: an hour's results of an earlier process may be many."""
    others = tuple(record for project_id, record in ended.items() if project_id not in state.projects)
    for project_id, record in ended.items():
        if project_id in state.projects:
            state.out.begin(chores.ApplyRecord(record))
    _begin_lookups(state, seen, asked_at)
    if others:
        state.out.begin(chores.Recover(others))


def _begin_lookups(state: ClientState, seen: AbstractSet[str], asked_at: float) -> None:
    """Look up what the snapshot does not mention: at once, or later what may have been too new for it."""
    turn = state.new_lookups()
    missing = _missing(state, seen)
    old = tuple(project.id for project in missing if project.sent_at <= asked_at - TOO_NEW)
    if old:
        state.out.begin(chores.LookUp(old, turn))
    young = [project for project in missing if project.sent_at > asked_at - TOO_NEW]
    if young:
        not_before = max(project.sent_at for project in young) + TOO_NEW
        state.out.begin(chores.LookUp(tuple(project.id for project in young), turn, not_before, asked_at))


def apply_held(record: ProjectRecord) -> Flow[None]:
    """Bring a project in line with the record that the service holds of it."""
    yield from apply_record(record.id.upper(), record)


def recover(records: Sequence[ProjectRecord]) -> Flow[None]:
    """Track finished projects that an earlier process started, one after the other."""
    died: list[Exception] = []
    for record in records:
        yield from surviving(_recovered(record), failing_project(record.id.upper(), "recovering the project"), died)
    if died:
        raise died[0]


def _recovered(record: ProjectRecord) -> Flow[None]:
    yield from change(partial(_track_recovered, record))
    yield from apply_record(record.id.upper(), record)


def look_up(chore: chores.LookUp) -> Flow[None]:
    """Find out about projects that a snapshot does not mention, when the time has come."""
    project_ids = list(chore.project_ids)
    if chore.not_before is not None:
        now = yield from change(lambda _, now: now)
        yield from pause(max(0.0, chore.not_before - now) + RECHECK)
        # Nothing is to be found out about one that was mentioned meanwhile.
        project_ids = yield from change(lambda state, _: _silent(state, project_ids, chore.asked_at))
    yield from resolve_missing(project_ids, chore.turn)


def _silent(state: ClientState, project_ids: Sequence[str], since: float) -> list[str]:
    projects = [state.projects[project_id] for project_id in project_ids if project_id in state.projects]
    return [project.id for project in projects if project.heard_at <= since]


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


def _missing(state: ClientState, seen: AbstractSet[str]) -> list[ProjectState]:
    return [
        project
        for project in state.projects.values()
        if not (project.settled or project.polled or project.abandoned or project.being_sent) and project.id not in seen
    ]


def resolve_missing(project_ids: Sequence[str], turn: int) -> Flow[None]:
    """Find out about projects that the snapshot does not mention (transport §13.2, projects-5x §9.5).

    All are looked up in the same rounds, or whoever waits for the last of many would wait for all pauses. A newer
    snapshot ends this: what it does not mention is looked up for it.
    """
    died: list[Exception] = []
    left = list(project_ids)
    for attempt in range(LOOKUPS):
        if attempt and left:
            yield from pause(LOOKUP_PAUSE, 0.2)
        if (yield from change(lambda state, _: state.lookups != turn)):
            return
        unknown = []
        for project_id in left:
            settle = failing_project(project_id, "looking up the project")
            if (yield from surviving(_looked_up(project_id), settle, died)) is False:
                unknown.append(project_id)
        left = unknown
    for project_id in left:
        settle = failing_project(project_id, "looking up the project")
        yield from surviving(_lost_unless_alive(project_id), settle, died)
    if died:
        raise died[0]


def _lost_unless_alive(project_id: str) -> Flow[None]:
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
    if record.status in PROJECT_STATUS:
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


def check_overrun(project_id: str, job_id: str) -> Flow[None]:
    """Ask about a job that ran past its limit; it is given up unless the service works on it (projects-5x §11).

    A service that cannot say is asked again later. After half a day it is not asked any more.
    """
    alive = yield from _known_alive(project_id)
    if alive is False or not (yield from change(lambda state, now: state.allow_longer(project_id, job_id, now))):
        yield from give_up(project_id, "the job ran longer than it may")


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
