"""Chores as flows: decides which flow does which background work.

Called by both shells with what the outbox holds. A chore that fails is logged by the shell; it never
ends anything else.
"""

from __future__ import annotations

from typing import assert_never

from ..protocol import chores
from .account import fetch_account
from .attaching import poll
from .catalogue import name_models
from .lost_chats import end_lost_chats
from .recovery import check_liveness, give_up, reconcile, resend
from .refreshing import exchange
from .requests import FAILURES
from .results import sign_preview, sign_results, sync_project
from .steps import Flow
from .subscriptions import refresh_subscription


def flow_of(chore: chores.Chore) -> Flow[None]:
    """The flow that does a chore."""
    match chore:
        case chores.SignResults(project_id):
            return sign_results(project_id)
        case chores.SignPreview(project_id, job_id):
            return sign_preview(project_id, job_id)
        case chores.SyncProject(project_id):
            return sync_project(project_id)
        case chores.Reconcile(snapshot):
            return reconcile(snapshot)
        case chores.Resend(project_id):
            return resend(project_id)
        case chores.CheckLiveness(project_id):
            return check_liveness(project_id)
        case chores.GiveUp(project_id, message):
            return give_up(project_id, message)
        case chores.Poll(project_id):
            return poll(project_id)
        case chores.EndLostChats():
            return end_lost_chats()
        case chores.NameModels(workers, turn):
            return name_models(workers, turn)
        case chores.FetchAccount():
            return _quietly(fetch_account())
        case chores.FetchSubscription():
            return _quietly(refresh_subscription())
        case chores.RefreshTokens(refresh):
            return exchange(refresh)
        case _:
            assert_never(chore)


def _quietly(flow: Flow[object]) -> Flow[None]:
    """Run a flow whose failure nobody waits for; the state keeps what there is to know of it."""
    try:
        yield from flow
    except FAILURES:
        return
