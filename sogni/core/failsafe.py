"""What happens when a background flow dies.

Nobody awaits a background flow, so an error that it does not handle reaches no caller: whoever waits for its outcome
would wait forever. `guarded` therefore settles what the flow worked for before it lets the error through, which the
front ends log. `surviving` does the same for one of many, so that the others still get their turn.
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
    """Run a flow. If it dies, call `settle` with the error, then raise it; the end of the client is no death."""
    try:
        return (yield from flow)
    except ClientClosedError:
        raise
    except Exception as error:
        yield from change(partial(settle, error))
        raise


def surviving(flow: Flow[T], settle: Settle, died: list[Exception]) -> Flow[T | None]:
    """Run one of many flows. If it dies, settle what it worked for, add the error to `died` and return None."""
    try:
        return (yield from guarded(flow, settle))
    except ClientClosedError:
        raise
    except Exception as error:
        died.append(error)
        return None


def death(what: str, error: Exception) -> ErrorData:
    """Why something failed here: what was being done, and what went wrong."""
    return ErrorData(code=0, message=redact(f"{what} failed: {type(error).__name__}: {error}"))


def failing_project(project_id: str, what: str) -> Settle:
    """Fail a project, and its unfinished jobs with it, because `what` died."""

    def settle(error: Exception, state: State, now: float) -> None:
        project = state.projects.get(project_id)
        if project is not None:
            project.abort(death(what, error), now)

    return settle
