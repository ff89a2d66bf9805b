"""Cancelling: decides what is sent and when a cancellation counts (projects-5x §10)."""

from __future__ import annotations

from ..errors import ConflictError, SogniTimeoutError
from ..protocol.client_state import CONNECTION, ClientState
from .sending import send_frame
from .steps import Flow, change, until


def cancel_project(project_id: str) -> Flow[None]:
    """Cancel and wait for the confirmation; concurrent calls for one project share one request.

    Nothing happens to a finished project. ConflictError when the service declines: the project goes
    on. SogniTimeoutError when it does not answer.
    """
    project_id = project_id.upper()

    def begin(state: ClientState, _: float) -> str:
        project = state.projects.get(project_id)
        if project is not None and project.ended:
            return "over"
        if project_id in state.cancellations and state.cancellations[project_id] is None:
            return "shared"
        state.cancellations[project_id] = None
        return "mine"

    whose = yield from change(begin)
    if whose == "over":
        return
    timeout = yield from change(lambda state, _: state.settings.timeouts.cancel)
    try:
        if whose == "mine":
            yield from send_frame("jobError", cancel_frame(project_id))
        did_cancel, message = yield from until(
            (("cancel", project_id), CONNECTION),
            lambda state: state.cancellations.get(project_id, (False, "the cancellation was given up")),
            timeout=timeout,
            phase="request",
            waiting_for=f"the confirmation that project {project_id} is canceled",
        )
    except SogniTimeoutError:
        yield from change(lambda state, _: state.cancellations.pop(project_id, None))
        raise
    if not did_cancel:
        raise ConflictError(message or f"the service did not cancel project {project_id}", status=409)
    yield from change(lambda state, now: _canceled(state, project_id, now))


def cancel_frame(project_id: str) -> dict[str, object]:
    """The payload of the frame that asks for a cancellation (transport §8)."""
    return {
        "jobID": project_id,
        "error": "artistCanceled",
        "error_message": "artistCanceled",
        "isFromWorker": False,
    }


def _canceled(state: ClientState, project_id: str, now: float) -> None:
    project = state.projects.pop(project_id, None)
    if project is not None:
        project.cancel(now)
