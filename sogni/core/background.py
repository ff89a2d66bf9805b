"""The flow of each background task, and what happens if it fails unexpectedly.

No caller awaits these flows. If one fails, its outcome is settled with an error that contains the cause, and the front
end logs it.
"""

from __future__ import annotations

from functools import partial
from typing import assert_never

from sogni.core import outbox, tracing
from sogni.core.account.flows import fetch_account, refresh_subscription
from sogni.core.catalogue.flows import name_models
from sogni.core.catalogue.state import named_models
from sogni.core.credentials import Refresh
from sogni.core.failsafe import Settle, failing_project, failure_data, guarded
from sogni.core.flow import Flow, State, change, pause
from sogni.core.projects.project import ProjectState
from sogni.core.projects.recovery import (
    apply_snapshot_record,
    check_liveness,
    check_overrun,
    look_up,
    part_of,
    poll,
    reconcile,
    recover,
    resend,
)
from sogni.core.projects.results import sign_preview, sign_results, sync_project
from sogni.core.requests import FAILURES, exchange
from sogni.errors import SogniConnectionError


def end_lost_chats() -> Flow[None]:
    """End completions that stay without news, until none is waiting."""
    while (left := (yield from change(lambda state, now: state.chats.end_lost(now)))) is not None:
        yield from pause(left)


def flow_of(task: outbox.BackgroundTask) -> Flow[None]:
    """Return the flow that runs a background task."""
    match task:
        case outbox.SignResults(project_id):
            return guarded(sign_results(project_id), _failing_unsigned_results(project_id))
        case outbox.SignPreview(project_id, job_id):
            return sign_preview(project_id, job_id)  # no caller waits for a preview
        case outbox.SyncProject(project_id):
            return guarded(sync_project(project_id), failing_project(project_id, "reading the record of the project"))
        case outbox.Reconcile(snapshot, sync):
            return reconcile(snapshot, sync)
        case outbox.ApplyRecord(record, sync):
            settle = failing_project(record.id.upper(), "applying the record of the project")
            return part_of(sync, guarded(apply_snapshot_record(record), settle))
        case outbox.Recover(records, sync):
            return part_of(sync, recover(records, sync))
        case outbox.LookUp():
            return part_of(task.sync, look_up(task))
        case outbox.Resend(project_id):
            return guarded(resend(project_id), failing_project(project_id, "sending the project again"))
        case outbox.CheckLiveness(project_id):
            return guarded(check_liveness(project_id), failing_project(project_id, "looking up the silent project"))
        case outbox.CheckOverrun(project_id, job_id):
            return guarded(check_overrun(project_id, job_id), failing_project(project_id, "checking the overdue job"))
        case outbox.Poll(project_id):
            return guarded(poll(project_id), failing_project(project_id, "polling the project"))
        case outbox.EndLostChats():
            return guarded(end_lost_chats(), _ending_chats)
        case outbox.NameModels(workers, number):
            return guarded(name_models(workers, number), partial(_unnamed, task))
        case outbox.FetchAccount():
            return _ignoring_failures(fetch_account())
        case outbox.FetchSubscription():
            return _ignoring_failures(refresh_subscription())
        case outbox.RefreshTokens(refresh):
            return guarded(exchange(refresh), partial(_unrefreshed, refresh))
        case _:
            assert_never(task)


def traced_flow_of(task: outbox.BackgroundTask, state: State) -> Flow[None]:
    """Return the flow that runs a background task, as a part of its project, or else of what started it."""
    observer = tracing.observer
    if observer is None:
        return flow_of(task)
    project = state.projects.by_id.get(getattr(task, "project_id", ""))
    if project is None or project.trace is None:
        return tracing.within(observer.current(), flow_of(task))
    flow = tracing.within(project.trace.context, flow_of(task))
    return _with_record(project, flow) if isinstance(task, outbox.SyncProject) else flow


def _with_record(project: ProjectState, flow: Flow[None]) -> Flow[None]:
    """Read the record of a project, for whose cost its trace waits."""
    try:
        yield from flow
    finally:
        if project.settled:
            project.end_trace()


def _failing_unsigned_results(project_id: str) -> Settle:
    """Fail the results whose URLs were being requested; the rest of the project continues."""

    def settle(error: Exception, state: State, now: float) -> None:
        project = state.projects.by_id.get(project_id)
        if project is not None:
            project.signing_failed(failure_data("getting the URL of the result", error), now)

    return settle


def _ending_chats(error: Exception, state: State, now: float) -> None:
    """End the completions, because no task watches them anymore."""
    state.chats.end_unwatched(failure_data("waiting for the connection", error).message)


def _unnamed(task: outbox.NameModels, error: Exception, state: State, now: float) -> None:
    """Use the ids as names."""
    state.models_named(named_models(task.workers, []), task.number)


def _unrefreshed(refresh: Refresh, error: Exception, state: State, now: float) -> None:
    """Fail the refresh, so that waiters raise the cause."""
    cause = SogniConnectionError(failure_data("refreshing the access token", error).message)
    state.session.refresh_failed(refresh, cause, clears=False)


def _ignoring_failures(flow: Flow[object]) -> Flow[None]:
    """Run a flow whose failure has no waiter; the state keeps the outcome."""
    try:
        yield from flow
    except FAILURES:
        return
