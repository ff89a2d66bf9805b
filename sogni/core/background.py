"""Completions that a drop left without news: decides when to look again (chat §14.2).

Begun by the client state when a connection is lost, and run in the background.
"""

from __future__ import annotations

from functools import partial
from typing import assert_never

from sogni.core import outbox as chores
from sogni.core.account.flows import fetch_account, refresh_subscription
from sogni.core.catalogue.flows import name_models
from sogni.core.catalogue.state import named_models
from sogni.core.credentials import Refresh
from sogni.core.failsafe import Settle, death, failing_project, guarded
from sogni.core.flow import Flow, State, change, pause
from sogni.core.projects.recovery import (
    apply_held,
    check_liveness,
    check_overrun,
    look_up,
    poll,
    reconcile,
    recover,
    resend,
)
from sogni.core.projects.results import sign_preview, sign_results, sync_project
from sogni.core.requests import FAILURES, exchange
from sogni.errors import SogniConnectionError


def end_lost_chats() -> Flow[None]:
    """End completions without news in time, one after the other, until none is left that waits."""
    while (left := (yield from change(lambda state, now: state.end_lost_chats(now)))) is not None:
        yield from pause(left)


# Background tasks as flows: which flow does which background work, and what fails if it dies.
#
# Called by both front ends with what the outbox holds. Nobody awaits such a flow. One that dies settles what it
# worked
# for with an error that names the cause; the front end logs it, and it never ends anything else.


def flow_of(chore: chores.Chore) -> Flow[None]:
    """The flow that does a chore."""
    match chore:
        case chores.SignResults(project_id):
            return guarded(sign_results(project_id), _failing_unsigned(project_id))
        case chores.SignPreview(project_id, job_id):
            return sign_preview(project_id, job_id)  # nobody waits for a preview
        case chores.SyncProject(project_id):
            return guarded(sync_project(project_id), failing_project(project_id, "reading the record of the project"))
        case chores.Reconcile(snapshot):
            return reconcile(snapshot)
        case chores.ApplyRecord(record):
            return guarded(apply_held(record), failing_project(record.id.upper(), "applying the record of the project"))
        case chores.Recover(records):
            return recover(records)
        case chores.LookUp():
            return look_up(chore)
        case chores.Resend(project_id):
            return guarded(resend(project_id), failing_project(project_id, "sending the project again"))
        case chores.CheckLiveness(project_id):
            return guarded(check_liveness(project_id), failing_project(project_id, "looking up the silent project"))
        case chores.CheckOverrun(project_id, job_id):
            return guarded(
                check_overrun(project_id, job_id), failing_project(project_id, "asking about the job that overran")
            )
        case chores.Poll(project_id):
            return guarded(poll(project_id), failing_project(project_id, "polling the project"))
        case chores.EndLostChats():
            return guarded(end_lost_chats(), _ending_chats)
        case chores.NameModels(workers, turn):
            return guarded(name_models(workers, turn), partial(_unnamed, chore))
        case chores.FetchAccount():
            return _quietly(fetch_account())
        case chores.FetchSubscription():
            return _quietly(refresh_subscription())
        case chores.RefreshTokens(refresh):
            return guarded(exchange(refresh), partial(_unrefreshed, refresh))
        case _:
            assert_never(chore)


def _failing_unsigned(project_id: str) -> Settle:
    """The results whose URLs were being requested fail; the rest of the project goes on."""

    def settle(error: Exception, state: State, now: float) -> None:
        project = state.projects.get(project_id)
        if project is not None:
            project.signing_died(death("getting the URL of the result", error), now)

    return settle


def _ending_chats(error: Exception, state: State, now: float) -> None:
    """Nobody watches over completions without news any more: they end."""
    state.lost_chats_unwatched(death("waiting for the connection", error).message)


def _unnamed(chore: chores.NameModels, error: Exception, state: State, now: float) -> None:
    """Ids serve as names."""
    state.models_named(named_models(chore.workers, []), chore.turn)


def _unrefreshed(refresh: Refresh, error: Exception, state: State, now: float) -> None:
    """Whoever waits for a new access token learns why there is none."""
    cause = SogniConnectionError(death("refreshing the access token", error).message)
    state.refresh_failed(refresh, cause, clears=False)


def _quietly(flow: Flow[object]) -> Flow[None]:
    """Run a flow whose failure nobody waits for; the state keeps what there is to know of it."""
    try:
        yield from flow
    except FAILURES:
        return
