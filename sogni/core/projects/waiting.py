"""Waits for projects and their events.

A wait never cancels a project. Each of several waiters gets an exception of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

from sogni.core.catalogue.model_families import is_spark_only
from sogni.core.failures import project_error, with_details
from sogni.core.flow import Flow, State, change, clock, connect, until
from sogni.core.outbox import CONNECTION, Feed
from sogni.core.projects.project import ProjectState
from sogni.errors import (
    InsufficientBalanceError,
    PartialFailureError,
    PartialResultWarning,
    ProjectCanceledError,
    SogniTimeoutError,
)
from sogni.models.account import Balances
from sogni.models.params import ProjectParams
from sogni.models.projects import ErrorData, Event
from sogni.redaction import escape_controls
from sogni.settings import TokenType, check_seconds


def wait_for_project(project: ProjectState, *, timeout: float | None, queue_timeout: float | None) -> Flow[None]:
    """Wait until a project is settled. Raises `SogniTimeoutError` with phase `queue` or `run`."""
    timeout, queue_timeout = check_seconds("timeout", timeout), check_seconds("queue_timeout", queue_timeout)
    yield from ensure_connection(project)
    if queue_timeout is not None and (timeout is None or queue_timeout < timeout):
        began = yield from clock()
        yield from _until(project, lambda: project.work_began or project.ended, queue_timeout, queued=True)
        if timeout is not None:
            timeout = max(0.0, timeout - ((yield from clock()) - began))
    yield from _until(project, lambda: False, timeout, queued=False)


def ensure_connection(project: ProjectState) -> Flow[None]:
    """Open the socket if the project needs it. Raises the reason if the service closed it permanently."""

    def check(state: State, _: float) -> bool:
        if project.settled or project.polled or state.settings.disable_socket:
            return False
        closed = state.connection.closed
        if state.connection.phase == "ended" and closed is not None and closed.code != 1000:
            raise state.why_closed()
        state.check_may_connect()
        return True

    if (yield from change(check)):
        yield from connect()


def check_reachable(project: ProjectState, state: State) -> None:
    """Raise the reason if no more news of an unfinished project can arrive."""
    if project.polled and not state.session.signed_in:
        raise state.session.signed_out_error()
    if state.connection.phase == "ended" and not project.polled:
        raise state.why_closed()


def _until(project: ProjectState, enough: Any, timeout: float | None, *, queued: bool) -> Flow[None]:
    def found(state: State) -> bool | None:
        if project.settled or enough():
            return True
        check_reachable(project, state)
        return None

    topics: Sequence[Hashable] = (project, CONNECTION)
    try:
        yield from until(
            topics,
            found,
            timeout=timeout,
            phase="queue" if queued else "run",
            waiting_for=f"project {project.id}",
        )
    except SogniTimeoutError as error:
        what = "no worker started" if queued else "not finished"
        raise SogniTimeoutError(
            f"project {project.id}: {what} within {timeout:g} seconds; it continues, and you can wait for it again",
            phase="queue" if queued else "run",
            timeout=timeout,
        ) from error


def raise_for_outcome(project: ProjectState, *, strict: bool, balances: Balances | None = None) -> None:
    """Raise a new error if a settled project did not succeed; `strict`: also if results are missing.

    `balances` are those of the account, if they are known: an insufficient one names that of the other token.
    """
    error = project.error
    if project.status == "failed":
        message = (error.message if error else "") or "the project failed"
        failure = project_error(message, error, project.user_object)
        if balances is not None and isinstance(failure, InsufficientBalanceError):
            failure = project_error(message + _other_balance(project.params, balances), error, project.user_object)
        raise failure
    if project.status == "canceled":
        raise ProjectCanceledError(
            f"project {project.id} was canceled", code=error.code if error else None, project=project.user_object
        )
    if strict:
        missing = shortfall(project)
        if missing:
            first = _first_failure(project) or ErrorData(code=0)
            raise with_details(PartialFailureError(missing, project=project.user_object), first)


def _other_balance(params: ProjectParams, balances: Balances) -> str:
    """Say how much there is of the token that did not pay; an empty string if it could not pay either."""
    other: TokenType = "spark" if params.token_type != "spark" else "sogni"
    available = getattr(balances, other).net
    if available <= 0 or (other == "sogni" and is_spark_only(params.model_id)):
        return ""
    return f"; the account has {available:f} {other.title()}, which pays with token_type={other!r}"


def shortfall(project: ProjectState) -> str | None:
    """Describe the missing results of a completed project; None if it has all of them."""
    requested, available = project.number_of_media, len(project.result_urls)
    if available >= requested:
        return None
    jobs = project.job_list()
    withheld = sum(1 for job in jobs if job.withheld)
    reasons = f", {withheld} withheld by the content filter" if withheld else ""
    failure = next((job.error.message for job in jobs if job.error is not None and job.error.message), None)
    reasons += f" (first failure: {failure})" if failure else ""
    return f"project {project.id} has {available} of {requested} results{reasons}; see failed_jobs"


def _first_failure(project: ProjectState) -> ErrorData | None:
    return next((job.error for job in project.job_list() if job.error is not None), None)


def check_results(project: ProjectState, *, stacklevel: int) -> None:
    """Issue a `PartialResultWarning` if results are missing. Raises `ProjectFailedError` if there is none."""
    missing = shortfall(project)
    if missing is None:
        return
    if not project.result_urls:
        raise project_error(missing, _first_failure(project), project.user_object)
    warnings.warn(escape_controls(missing), PartialResultWarning, stacklevel=stacklevel + 1)


def next_event(project: ProjectState, feed: Feed, *, left: float | None) -> Flow[Event[Any] | None]:
    """Wait for the next event of a feed, None after the last; `left`: seconds to wait."""

    def available() -> tuple[Event[Any] | None] | None:
        event = feed.pop()
        return (event,) if event is not None or project.settled else None

    def found(state: State) -> tuple[Event[Any] | None] | None:
        item = available()
        if item is None:
            check_reachable(project, state)
        return item

    item = yield from change(lambda *_: available())
    if item is not None:
        return item[0]
    yield from ensure_connection(project)
    (event,) = yield from until(
        (project, CONNECTION),
        found,
        timeout=left,
        phase="run",
        waiting_for=f"an event of project {project.id}",
    )
    return event
