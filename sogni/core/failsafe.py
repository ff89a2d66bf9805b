"""Handling of unexpected errors in background flows.

No caller awaits a background flow, so waiters for its outcome would wait forever if it failed. `guarded` settles the
outcome before it re-raises the error, which the front ends log. `isolated` does the same for one of several flows, so
that the others still run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sogni.core.flow import Flow, State, change
from sogni.errors import ClientClosedError
from sogni.models.projects import ErrorData
from sogni.redaction import redact

T = TypeVar("T")
Settle = Callable[[Exception, State, float], object]


def guarded(flow: Flow[T], settle: Settle) -> Flow[T]:
    """Run a flow. If it fails, call `settle` with the error and re-raise it, unless the client was closed."""
    try:
        return (yield from flow)
    except ClientClosedError:
        raise
    except Exception as error:
        yield from change(partial(settle, error))
        raise


def isolated(flow: Flow[T], settle: Settle, errors: list[Exception]) -> Flow[T | None]:
    """Run one of several flows. If it fails, settle its outcome, add the error to `errors` and return None."""
    try:
        return (yield from guarded(flow, settle))
    except ClientClosedError:
        raise
    except Exception as error:
        errors.append(error)
        return None


def failure_data(what: str, error: Exception) -> ErrorData:
    """Return error data with the failed activity and its cause."""
    return ErrorData(code=0, message=redact(f"{what} failed: {type(error).__name__}: {error}"))


def failing_project(project_id: str, what: str) -> Settle:
    """Return a `Settle` that fails a project and its unfinished jobs."""

    def settle(error: Exception, state: State, now: float) -> None:
        project = state.projects.by_id.get(project_id)
        if project is not None:
            project.abort(failure_data(what, error), now)

    return settle
