"""Cancelling: decides what is sent and when a cancellation counts (projects-5x §10)."""

from __future__ import annotations

from ..errors import ConflictError
from ..protocol.client_state import CONNECTION, ClientState
from .sending import send_frame
from .steps import Flow, change, until


def cancel_project(project_id: str, timeout: float | None = None) -> Flow[None]:
    """Cancel and wait for the confirmation; concurrent calls for one project share one request.

    `timeout` is for the confirmation; None: as the client is set up.

    Nothing happens to a project that is finished or was canceled before. ConflictError when the service
    declines: the project goes on. SogniTimeoutError when it does not answer.
    """
    project_id = project_id.upper()

    topic = ("cancel", project_id)

    def begin(state: ClientState, _: float) -> tuple[str, ClientState]:
        project = state.projects.get(project_id)
        answer = state.cancellations.get(project_id, (False, ""))
        if (project is not None and project.ended) or (answer is not None and answer[0]):
            return "over", state
        if answer is None:
            return "shared", state
        state.cancellations[project_id] = None
        return "mine", state

    def answered(state: ClientState) -> tuple[bool, str] | None:
        answer = state.cancellations.get(project_id, (False, "the cancellation was given up"))
        if answer is None and state.connection.phase == "ended":
            raise state.why_closed()
        return answer

    whose, state = yield from change(begin)
    if whose == "over":
        return
    try:
        if whose == "mine":
            yield from send_frame("jobError", cancel_frame(project_id))
        did_cancel, message = yield from until(
            (topic, CONNECTION),
            answered,
            timeout=state.settings.timeouts.cancel if timeout is None else timeout,
            phase="request",
            waiting_for=f"the confirmation that project {project_id} is canceled",
        )
    except BaseException:
        # Not through a step: this also runs when the wait was interrupted, where a flow must not yield.
        # Whoever shares the request stops waiting with it, and the next call sends another.
        if whose == "mine":
            state.cancellations.pop(project_id, None)
            state.out.wake(topic)
        raise
    if not did_cancel:
        raise ConflictError(message or f"the service did not cancel project {project_id}", status=409)


def cancel_frame(project_id: str) -> dict[str, object]:
    """The payload of the frame that asks for a cancellation (transport §8)."""
    return {
        "jobID": project_id,
        "error": "artistCanceled",
        "error_message": "artistCanceled",
        "isFromWorker": False,
    }
