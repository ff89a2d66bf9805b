"""Cancellation of projects: sends the request, repeats it after a lost connection, and waits for the outcome."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from sogni.core.checks import path_segment
from sogni.core.connection.flows import send_frame
from sogni.core.failures import unknown_project_error
from sogni.core.flow import Flow, State, catch_up, change, clock, until
from sogni.core.outbox import CONNECTION
from sogni.core.projects.results import live_record
from sogni.core.requests import FAILURES
from sogni.errors import ConflictError, NotFoundError

Answer = tuple[bool | None, str]
"""Whether it was canceled, and the service's message; None: the request must be sent again."""
CANCELED: Answer = (True, "")
RESEND: Answer = (None, "")


def cancel_project(project_id: str, timeout: float | None = None) -> Flow[None]:
    """Cancel a project and wait for the confirmation; concurrent calls for one project share one request.

    `timeout` in seconds is for the confirmation; None: the client's setting. A finished project is left as it is.
    Raises `ConflictError` if the service declines, in which case the project continues, and `NotFoundError` if it
    declines because the account has no such project.
    """
    path_segment("project_id", project_id)
    project_id = project_id.upper()
    # It may have ended, in a frame that has not been read yet.
    yield from catch_up()
    if timeout is None:
        timeout = yield from change(lambda state, _: state.settings.timeouts.cancel)
    did_cancel, message = RESEND
    while did_cancel is None:
        began = yield from clock()
        role, state = yield from change(lambda state, _: (_begin(state, project_id), state))
        if role == "ended":
            return
        if role == "sender":
            did_cancel, message = yield from _request(project_id, timeout, state)
        else:
            # If the caller that sent the request was interrupted, the next round sends another.
            did_cancel, message = yield from _await_answer(project_id, timeout)
            timeout = max(0.0, timeout - ((yield from clock()) - began))
    if not did_cancel:
        tracked = yield from change(lambda state, _: project_id in state.projects.by_id)
        ended = False if tracked else (yield from _has_ended(project_id))
        if ended is None:
            raise unknown_project_error(project_id)
        if not ended:
            raise ConflictError(message or f"the service did not cancel project {project_id}", status=409)


def _begin(state: State, project_id: str) -> Literal["ended", "shared", "sender"]:
    project = state.projects.by_id.get(project_id)
    answer = state.projects.cancellations.get(project_id, (False, ""))
    if (project is not None and project.ended) or (answer is not None and answer[0]):
        return "ended"
    if answer is None:
        return "shared"
    state.projects.cancellations[project_id] = None
    return "sender"


def _request(project_id: str, timeout: float, state: State) -> Flow[Answer]:
    """Send the request until there is an answer; again after a lost connection."""
    sent_on = 0
    deadline: float | None = None

    def sending(state: State, _: float) -> None:
        nonlocal sent_on
        sent_on = state.connection.generation

    try:
        while True:
            yield from send_frame("jobError", cancel_frame(project_id), sending)
            now = yield from clock()
            deadline = now + timeout if deadline is None else deadline
            answer = yield from _await_answer(project_id, max(0.0, deadline - now), sent_on)
            if answer[0] is not None:
                break
            if (yield from _has_ended(project_id)):
                answer = CANCELED
                break
    except BaseException:
        # Not as a step: this also runs if the wait was interrupted, where a flow must not yield. Another caller that
        # shares the request sends it again.
        state.projects.cancellations.pop(project_id, None)
        state.waiter_registry.wake(_topic(project_id))
        raise
    yield from change(lambda state, _: _share_answer(state, project_id, answer))
    return answer


def _await_answer(project_id: str, timeout: float, sent_on: int | None = None) -> Flow[Answer]:
    """Wait for the service's answer, or the end of the project."""

    def found(state: State) -> Answer | None:
        project = state.projects.by_id.get(project_id)
        if project is not None and project.ended:
            return CANCELED
        answer = state.projects.cancellations.get(project_id, RESEND)
        if answer is None and state.connection.phase == "ended":
            raise state.why_closed()
        if answer is None and sent_on is not None:
            phase, generation = state.connection.phase, state.connection.generation
            return RESEND if phase == "ready" and generation > sent_on else None
        return answer

    project = yield from change(lambda state, _: state.projects.by_id.get(project_id))
    topics: tuple[Hashable, ...] = (_topic(project_id), CONNECTION, project)
    return (
        yield from until(
            topics,
            found,
            timeout=timeout,
            phase="request",
            waiting_for=f"the confirmation that project {project_id} is canceled",
        )
    )


def _has_ended(project_id: str) -> Flow[bool | None]:
    """Whether the project has ended meanwhile; None if the account has none with this id.

    A tracked project is updated by its recovery.
    """
    try:
        record = yield from live_record(project_id)
    except NotFoundError:
        return None
    except FAILURES:
        return False
    if record.status == "canceled":
        yield from change(lambda state, now: state.projects.canceled(project_id, now))
    return record.status in ("completed", "failed", "canceled")


def _share_answer(state: State, project_id: str, answer: Answer) -> None:
    if state.projects.cancellations.get(project_id) is None:
        state.projects.cancellations[project_id] = (bool(answer[0]), answer[1])
        state.out.wake(_topic(project_id))


def _topic(project_id: str) -> tuple[str, str]:
    return ("cancel", project_id)


def cancel_frame(project_id: str) -> dict[str, object]:
    """Return the payload of the frame that requests a cancellation."""
    # transport §8
    return {
        "jobID": project_id,
        "error": "artistCanceled",
        "error_message": "artistCanceled",
        "isFromWorker": False,
    }
