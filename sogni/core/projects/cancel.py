"""Canceling a project: what is sent, when it is repeated, and when a cancellation counts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from sogni.core.checks import path_segment
from sogni.core.connection.flows import send_frame
from sogni.core.flow import Flow, State, catch_up, change, clock, until
from sogni.core.outbox import CONNECTION
from sogni.core.projects.results import live_record
from sogni.core.requests import FAILURES
from sogni.errors import ConflictError

Answer = tuple[bool | None, str]
"""Whether it was canceled, and what the service said; None: the request is to be sent anew."""
OVER: Answer = (True, "")
AGAIN: Answer = (None, "")


def cancel_project(project_id: str, timeout: float | None = None) -> Flow[None]:
    """Cancel and wait for the confirmation; concurrent calls for one project share one request.

    `timeout` is for the confirmation; None: as the client is set up.

    Nothing happens to a project that is finished or was canceled before. ConflictError when the service
    declines: the project goes on. SogniTimeoutError when it does not answer.
    """
    path_segment("project_id", project_id)
    project_id = project_id.upper()
    # It may be over: what says so need not have been read.
    yield from catch_up()
    if timeout is None:
        timeout = yield from change(lambda state, _: state.settings.timeouts.cancel)
    did_cancel, message = AGAIN
    while did_cancel is None:
        began = yield from clock()
        whose, state = yield from change(lambda state, _: (_begin(state, project_id), state))
        if whose == "over":
            return
        if whose == "mine":
            did_cancel, message = yield from _asked(project_id, timeout, state)
        else:
            # When whoever had sent the request left, it is for this call to send one.
            did_cancel, message = yield from _answered(project_id, timeout)
            timeout = max(0.0, timeout - ((yield from clock()) - began))
    if not did_cancel:
        tracked = yield from change(lambda state, _: project_id in state.projects.by_id)
        if not tracked and (yield from _is_over(project_id)):
            return
        raise ConflictError(message or f"the service did not cancel project {project_id}", status=409)


def _begin(state: State, project_id: str) -> Literal["over", "shared", "mine"]:
    project = state.projects.by_id.get(project_id)
    answer = state.projects.cancellations.get(project_id, (False, ""))
    if (project is not None and project.ended) or (answer is not None and answer[0]):
        return "over"
    if answer is None:
        return "shared"
    state.projects.cancellations[project_id] = None
    return "mine"


def _asked(project_id: str, timeout: float, state: State) -> Flow[Answer]:
    """Send the request until it is answered: again when a drop may have taken it, or the answer, along."""
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
            answer = yield from _answered(project_id, max(0.0, deadline - now), sent_on)
            if answer[0] is not None:
                break
            if (yield from _is_over(project_id)):
                answer = OVER
                break
    except BaseException:
        # Not through a step: this also runs when the wait was interrupted, where a flow must not yield.
        # Whoever shares the request sends another.
        state.projects.cancellations.pop(project_id, None)
        state.waiter_registry.wake(_topic(project_id))
        raise
    yield from change(lambda state, _: _tell_others(state, project_id, answer))
    return answer


def _answered(project_id: str, timeout: float, sent_on: int | None = None) -> Flow[Answer]:
    """The answer of the service, or of the project itself."""

    def found(state: State) -> Answer | None:
        project = state.projects.by_id.get(project_id)
        if project is not None and project.ended:
            return OVER
        answer = state.projects.cancellations.get(project_id, AGAIN)
        if answer is None and state.connection.phase == "ended":
            raise state.why_closed()
        if answer is None and sent_on is not None:
            phase, generation = state.connection.phase, state.connection.generation
            return AGAIN if phase == "ready" and generation > sent_on else None
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


def _is_over(project_id: str) -> Flow[bool]:
    """Whether the service has ended the project meanwhile; how, a tracked one learns by its recovery."""
    try:
        record = yield from live_record(project_id)
    except FAILURES:
        return False
    if record.status == "canceled":
        yield from change(lambda state, now: state.projects.canceled(project_id, now))
    return record.status in ("completed", "failed", "canceled")


def _tell_others(state: State, project_id: str, answer: Answer) -> None:
    if state.projects.cancellations.get(project_id) is None:
        state.projects.cancellations[project_id] = (bool(answer[0]), answer[1])
        state.out.wake(_topic(project_id))


def _topic(project_id: str) -> tuple[str, str]:
    return ("cancel", project_id)


def cancel_frame(project_id: str) -> dict[str, object]:
    """The payload of the frame that asks for a cancellation (transport §8)."""
    return {
        "jobID": project_id,
        "error": "artistCanceled",
        "error_message": "artistCanceled",
        "isFromWorker": False,
    }
