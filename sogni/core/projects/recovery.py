"""Recovery of tracked projects after a reconnect, and attaching to projects that were started elsewhere.

Every `authenticated` frame starts a reconciliation. A request is never resent blindly: only if the service does not
know it, on a newer connection than the one it was sent on, and once.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from logging import INFO

from sogni.core import outbox
from sogni.core.checks import path_segment
from sogni.core.connection.flows import send_frame
from sogni.core.failsafe import failing_project, isolated
from sogni.core.flow import Flow, State, app_id, catch_up, change, pause, until
from sogni.core.http import get
from sogni.core.outbox import CONNECTION
from sogni.core.projects.cancel import cancel_frame
from sogni.core.projects.job import RESTARTING
from sogni.core.projects.lookups import (
    LOOKUP_PAUSE,
    LOOKUPS,
    active_ids,
    all_active,
    live_verdict,
    own_app_id,
    recorded_verdict,
)
from sogni.core.projects.project import ProjectState
from sogni.core.projects.registry import Synchronization
from sogni.core.projects.results import (
    apply_record,
    as_recorded,
    live_record,
    project_record,
    replay_jobs,
    replay_record,
    restored_project,
)
from sogni.core.projects.waiting import ensure_connection
from sogni.core.requests import FAILURES, get_unwrapped_json
from sogni.errors import PROJECT_LOST, ClientClosedError, NotFoundError, ValidationError
from sogni.models.projects import ErrorData, MissingState, ProjectRecord, ProjectsSync, Snapshot

SNAPSHOT_DELAY = 5.0
"""A request sent less than this many seconds before a snapshot may be missing from it (transport §13.2)."""
RECHECK_DELAY = 0.25
RESEND_TIMEOUT = 60.0
MAX_MISSED_CHECKS = 3


def reconcile(snapshot: Snapshot | None, sync: Synchronization) -> Flow[None]:
    """Synchronize all tracked projects with the service's snapshot for this app id.

    This only reads the snapshot. What takes time (lookups with their pauses, URLs of results) runs in tasks of its
    own, because the next snapshot, which may contain finished results, waits until this one has been read.
    """
    try:
        yield from _reconcile(snapshot, sync)
    except Exception:
        # Look up all projects, and let the next reconciliation start.
        yield from change(lambda state, now: _begin_lookups(state, frozenset(), now, sync))
        yield from change(partial(_reconciled, sync))
        raise
    yield from change(partial(_reconciled, sync))


def _reconciled(sync: Synchronization, state: State, _: float) -> None:
    state.projects.part_ends(sync)
    state.projects.reconciled()


def _reconcile(snapshot: Snapshot | None, sync: Synchronization) -> Flow[None]:
    requested_at = yield from change(lambda _, now: now)
    if snapshot is None:
        try:
            call = get("/api/v1/artist/projects/sync", host="socket", appId=(yield from own_app_id()))
            snapshot = yield from get_unwrapped_json(Snapshot, call)
        except Exception as error:
            sync.error = error
            if isinstance(error, FAILURES):
                return
            raise
    active = {record.id.upper(): record for record in reversed(snapshot.active_projects) if not record.is_chat}
    ended = {
        record.id.upper(): record
        for record in reversed(snapshot.unclaimed_completed_projects)
        if not record.is_chat and record.id.upper() not in active
    }
    errors: list[Exception] = []
    for project_id, record in active.items():
        settle = failing_project(project_id, "resynchronizing the project")
        yield from isolated(change(partial(_replay_active, record, sync)), settle, errors)
    seen = active.keys() | ended.keys()
    yield from change(lambda state, _: _begin_work(state, ended, seen, requested_at, sync))
    if errors:
        raise errors[0]


def _begin_work(
    state: State,
    ended: Mapping[str, ProjectRecord],
    seen: AbstractSet[str],
    requested_at: float,
    sync: Synchronization,
) -> None:
    """Start tasks for ended projects: tracked ones first, because results of an earlier process may be many."""
    projects = state.projects
    projects.notify_recovered("active_projects_recovered", sync.found.recovered_active)
    others = []
    for project_id, record in ended.items():
        project = projects.by_id.get(project_id)
        if project is not None:
            if not project.settled:
                sync.found.completed.append(project)
            state.out.start(outbox.ApplyRecord(record, projects.part_begins(sync)))
        elif not projects.has_ended(project_id):
            others.append(record)
    _begin_lookups(state, seen, requested_at, sync)
    if others:
        state.out.start(outbox.Recover(tuple(others), projects.part_begins(sync)))


def _begin_lookups(state: State, seen: AbstractSet[str], requested_at: float, sync: Synchronization) -> None:
    """Look up projects that the snapshot does not mention; those that may be too new for it later."""
    number = state.projects.new_lookups()
    missing = _missing(state, seen)
    old = tuple(project.id for project in missing if project.sent_at <= requested_at - SNAPSHOT_DELAY)
    if old:
        state.out.start(outbox.LookUp(old, state.projects.part_begins(sync), number))
    young = [project for project in missing if project.sent_at > requested_at - SNAPSHOT_DELAY]
    if young:
        not_before = max(project.sent_at for project in young) + SNAPSHOT_DELAY
        ids = tuple(project.id for project in young)
        state.out.start(outbox.LookUp(ids, Synchronization("recheck"), number, not_before, requested_at))


def part_of(sync: Synchronization, flow: Flow[None]) -> Flow[None]:
    """Run a part of a synchronization, and count its end even if it fails."""
    try:
        yield from flow
    except ClientClosedError:
        raise
    except Exception:
        yield from change(lambda state, _: state.projects.part_ends(sync))
        raise
    yield from change(lambda state, _: state.projects.part_ends(sync))


def sync_projects() -> Flow[ProjectsSync[ProjectState]]:
    """Synchronize all tracked projects with a new snapshot, and wait until everything about it is known."""
    if (yield from own_app_id()) is None:
        message = "app_id must be set to find the projects of a client with disable_socket=True"
        raise ValidationError(message, field="app_id")
    sync = yield from change(lambda state, _: state.projects.reconcile(None, "manual"))
    yield from until(
        (sync,),
        lambda _: True if sync.finished else None,
        timeout=None,
        phase="request",
        waiting_for="the projects of this app id",
    )
    if sync.error is not None:
        # A copy for each waiter: a traceback belongs to one thread.
        raise copy.copy(sync.error) from sync.error
    return sync.found


def apply_snapshot_record(record: ProjectRecord) -> Flow[None]:
    """Apply the service's record to a tracked project."""
    yield from apply_record(record.id.upper(), record)


def recover(records: Sequence[ProjectRecord], sync: Synchronization) -> Flow[None]:
    """Track finished projects that an earlier process started, one after the other."""
    errors: list[Exception] = []
    for record in records:
        settle = failing_project(record.id.upper(), "recovering the project")
        yield from isolated(_recover_one(record, sync), settle, errors)
    recovered = sync.found.recovered_completed
    yield from change(lambda state, _: state.projects.notify_recovered("completed_projects_recovered", recovered))
    if errors:
        raise errors[0]


def _recover_one(record: ProjectRecord, sync: Synchronization) -> Flow[None]:
    project = yield from change(partial(_track_recovered, record))
    sync.found.recovered_completed.append(project)
    yield from apply_record(project.id, record)


def look_up(task: outbox.LookUp) -> Flow[None]:
    """Look up projects that a snapshot does not mention, not before the time given."""
    project_ids = list(task.project_ids)
    if task.not_before is not None:
        now = yield from change(lambda _, now: now)
        yield from pause(max(0.0, task.not_before - now) + RECHECK_DELAY)
        # Projects with newer frames need no lookup.
        project_ids = yield from change(lambda state, _: _without_news(state, project_ids, task.requested_at))
    yield from resolve_missing(project_ids, task.sync, task.number)


def _without_news(state: State, project_ids: Sequence[str], since: float) -> list[str]:
    projects = [state.projects.by_id[project_id] for project_id in project_ids if project_id in state.projects.by_id]
    return [project.id for project in projects if project.last_frame_at <= since]


def _replay_active(record: ProjectRecord, sync: Synchronization, state: State, now: float) -> None:
    known = record.id.upper() in state.projects.by_id
    project = _track_recovered(record, state, now)
    if project.settled:
        return
    (sync.found.active if known else sync.found.recovered_active).append(project)
    if not known and state.settings.disable_socket:
        project.polled = True
        state.out.start(outbox.Poll(project.id))
    replay_record(project, record, state, now)


def _track_recovered(record: ProjectRecord, state: State, now: float) -> ProjectState:
    project_id = record.id.upper()
    project = state.projects.by_id.get(project_id)
    if project is None:
        project = restored_project(state, record, now)
        # The snapshot is for the client's own app id.
        project.app_id = project.app_id or state.app_id
        state.projects.track(project, now)
        state.out.log(INFO, "project %s: recovered, status %s", project.id, record.status)
    return project


def _missing(state: State, seen: AbstractSet[str]) -> list[ProjectState]:
    return [
        project
        for project in state.projects.by_id.values()
        if not (project.settled or project.polled or project.abandoned or project.being_sent) and project.id not in seen
    ]


def resolve_missing(project_ids: Sequence[str], sync: Synchronization, number: int) -> Flow[None]:
    """Look up projects that the snapshot does not mention, and fail those that the service does not know.

    All are looked up in the same rounds, so that the last one does not wait for the pauses of all others. A newer
    snapshot, which starts its own lookups, ends this.
    """
    # transport §13.2, projects-5x §9.5
    errors: list[Exception] = []
    left = list(project_ids)
    for attempt in range(LOOKUPS):
        if attempt and left:
            yield from pause(LOOKUP_PAUSE, 0.2)
        if (yield from change(lambda state, _: state.projects.lookups != number)):
            yield from change(partial(_note_unverified, left, sync))
            return
        unknown = []
        for project_id in left:
            settle = failing_project(project_id, "looking up the project")
            if (yield from isolated(_look_up_project(project_id, sync), settle, errors)) is False:
                unknown.append(project_id)
        left = unknown
    for project_id in left:
        settle = failing_project(project_id, "looking up the project")
        yield from isolated(_lost_unless_alive(project_id, sync), settle, errors)
    if errors:
        raise errors[0]


def _note_unverified(project_ids: Sequence[str], sync: Synchronization, state: State, _: float) -> None:
    for project_id in project_ids:
        if project_id in state.projects.by_id:
            sync.note(state.projects.by_id[project_id], "unknown")


def _unsettled(project_id: str) -> Flow[ProjectState | None]:
    def find(state: State, _: float) -> ProjectState | None:
        project = state.projects.by_id.get(project_id)
        return None if project is None or project.settled else project

    return (yield from change(find))


def _lost_unless_alive(project_id: str, sync: Synchronization) -> Flow[None]:
    project = yield from _unsettled(project_id)
    if project is None:
        return
    verdict = yield from _live_state(project_id)
    sync.note(project, verdict)
    if verdict == "lost":
        yield from change(partial(lost, project_id))


def _look_up_project(project_id: str, sync: Synchronization) -> Flow[bool]:
    """Look up a project; False if the service has no record of it."""
    project = yield from _unsettled(project_id)
    if project is None:
        return True
    if (yield from _may_resend(project)):
        # The service has not mentioned it since it was sent on a connection that broke: there is no record yet.
        state = yield from _live_state(project_id)
        if state == "lost":
            yield from resend(project_id)
        else:
            sync.note(project, state)
        return True
    verdict = yield from recorded_verdict(project_id)
    if verdict is None:
        return False
    sync.note(project, verdict.state)
    if verdict.project is not None:
        yield from apply_record(project_id, verdict.project)
    return True


def _may_resend(project: ProjectState) -> Flow[bool]:
    def may(state: State, _: float) -> bool:
        return (
            project.request is not None
            and not project.acknowledged
            and not project.resent
            and project.sent_generation < state.connection.generation
        )

    return (yield from change(may))


def _live_state(project_id: str) -> Flow[MissingState]:
    """Look up a project that has no record, and apply what is found."""
    try:
        active = yield from active_ids()
    except FAILURES:
        return "unknown"
    verdict = yield from live_verdict(project_id, active)
    if verdict.state == "active":
        yield from change(lambda state, now: _touch(state, project_id, now))
    elif verdict.project is not None:
        yield from apply_record(project_id, as_recorded(verdict.project))
        return "terminal"
    return verdict.state


def _is_alive(project_id: str) -> Flow[bool | None]:
    """Whether the service knows a project as unfinished; None if that is unknown, or it has just ended."""
    state = yield from _live_state(project_id)
    return {"active": True, "lost": False}.get(state)


def _touch(state: State, project_id: str, now: float) -> None:
    project = state.projects.by_id.get(project_id)
    if project is not None:
        project.touch(now)


def lost(project_id: str, state: State, now: float) -> None:
    """Fail a project that the service does not know."""
    project = state.projects.by_id.get(project_id)
    if project is not None and not project.settled:
        message = "the service no longer knows this project"
        project.fail(ErrorData(code=0, original_code=PROJECT_LOST, message=message), now)


def resend(project_id: str) -> Flow[None]:
    """Send the same request again, once, on a connection newer than the one it was sent on."""

    def claim(state: State, _: float) -> ProjectState | None:
        project = state.projects.by_id.get(project_id)
        if project is None or project.request is None or project.resent or project.settled:
            return None
        project.resent = project.being_sent = True
        return project

    project = yield from change(claim)
    if project is None:
        return
    request, generation = project.request, project.sent_generation

    def sending(state: State, now: float) -> None:
        project.sent_at = now
        project.sent_generation = state.connection.generation
        state.out.log(INFO, "project %s: sent again, because the service restarted", project_id)

    try:
        yield from until(
            (CONNECTION,),
            lambda state: True if state.connection.generation > generation else None,
            timeout=RESEND_TIMEOUT,
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
    """Look up a silent project; give it up after it was unknown several times."""
    # projects-5x §11
    alive = yield from _is_alive(project_id)
    if alive is not False:
        return

    def count_missed_check(state: State, _: float) -> bool:
        project = state.projects.by_id.get(project_id)
        if project is None or project.settled:
            return False
        project.missed_checks += 1
        return project.missed_checks >= MAX_MISSED_CHECKS

    if (yield from change(count_missed_check)):
        yield from give_up(project_id, "the service stopped reporting on this project")


def check_overrun(project_id: str, job_id: str) -> Flow[None]:
    """Look up a job that exceeded its time limit; give it up unless the service is processing it.

    If that is unknown, it is looked up again later, up to the longest time a job may run.
    """
    # projects-5x §11
    alive = yield from _is_alive(project_id)
    if alive is not False:
        alive = yield from change(lambda state, now: state.projects.allow_longer(project_id, job_id, now))
    if not alive:
        yield from give_up(project_id, "the job exceeded its time limit")


def give_up(project_id: str, message: str) -> Flow[None]:
    """Cancel a project, and fail it and its jobs locally with code 0."""

    def failed(state: State, now: float) -> None:
        project = state.projects.by_id.get(project_id)
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


# Attaching (transport §13.1, projects-5x §9): projects of other app ids are polled, because the socket does not report
# on them.


MIN_POLL_INTERVAL, MAX_POLL_INTERVAL = 0.5, 10.0
_NOT_BEGUN = ("pending", "queued")


def attach(project_id: str, restored: ProjectState | None) -> Flow[ProjectState]:
    """Track a project that is known here, was restored from a snapshot, or is known to the service.

    Raises `NotFoundError` if neither this client nor the service knows it.
    """
    path_segment("project_id", project_id)
    project_id = project_id.upper()
    project = yield from change(lambda state, _: state.projects.by_id.get(project_id))
    if project is None and restored is not None and restored.settled:
        project = restored
        yield from change(lambda state, _: restored.join(state.out, state.listening))
    if project is None:
        project = yield from _attach_unknown(project_id, restored)
    yield from ensure_connection(project)
    return project


def _attach_unknown(project_id: str, restored: ProjectState | None) -> Flow[ProjectState]:
    has_socket = yield from change(lambda state, _: not state.settings.disable_socket)
    own = (yield from app_id()) if has_socket else None
    try:
        record = yield from project_record(project_id)
    except NotFoundError:
        record = as_recorded((yield from live_record(project_id)))
        if own and not (record.app_id or (restored and restored.app_id)):
            record = (yield from _listed(project_id)) or record

    def track(state: State, now: float) -> tuple[ProjectState, bool]:
        tracked = state.projects.by_id.get(project_id)
        if tracked is not None:
            # A snapshot mentioned it during the lookup, or it is being attached concurrently.
            return tracked, False
        project = restored or restored_project(state, record, now)
        project.join(state.out, state.listening)
        project.app_id = project.app_id or record.app_id
        project.polled = own is None or project.app_id != own
        state.projects.track(project, now)
        replay_jobs(project, record, state, now)
        return project, True

    project, new = yield from change(track)
    yield from apply_record(project_id, record)
    if new and project.polled:
        yield from change(lambda state, _: None if project.settled else state.out.start(outbox.Poll(project_id)))
    return project


def _listed(project_id: str) -> Flow[ProjectRecord | None]:
    """Return the record in the list of all app ids, which includes the app id; None if it is not listed."""
    try:
        active = yield from all_active()
    except FAILURES:
        return None
    return next((record for record in active if record.id.upper() == project_id), None)


def poll(project_id: str) -> Flow[None]:
    """Poll a project whose frames go to another app id, until it is settled.

    Of a project with an idempotency key, it is not known at first where its frames go: to this client, unless another
    process sent the same request a moment earlier. Polling then ends with the first frame of a job.
    """
    wait = MIN_POLL_INTERVAL
    while True:
        yield from pause(wait, 0.2)
        project = yield from change(lambda state, _: state.projects.by_id.get(project_id))
        if project is None or project.settled or (project.jobs and not project.polled):
            return
        wait = min(wait * 1.5, MAX_POLL_INTERVAL)
        try:
            record = as_recorded((yield from live_record(project_id)))
        except NotFoundError:
            if not project.polled:
                continue
            yield from change(partial(lost, project_id))
            return
        except FAILURES:
            continue
        if not project.polled:
            yield from catch_up()
            if project.jobs or project.ended:
                return
            project.polled = record.status not in _NOT_BEGUN
        yield from change(partial(replay_jobs, project, record))
        yield from apply_record(project_id, record)
