"""What is sent to cancel, and when a cancellation counts (projects-5x §10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sogni.errors import ConflictError, ConnectionRejectedError, SogniConnectionError, SogniTimeoutError
from sogni.flows.cancel import cancel_project
from tests.flows.play import JOB, PROJECT, STOP, TIMEOUT, Stage

ANSWER = f"until the confirmation that project {PROJECT} is canceled (request, 120 s)"
FRAME = {"jobID": PROJECT, "error": "artistCanceled", "error_message": "artistCanceled", "isFromWorker": False}
SENT = ("frame jobError", None)


def answers(did_cancel: Any, message: str | None = None) -> Callable[[Stage], None]:
    payload = {"jobID": PROJECT, "didCancel": did_cancel, "error_message": message}
    return lambda stage: stage.receives("artistCancelConfirmation", payload) and None


def test_a_confirmed_cancellation_ends_the_project_and_its_jobs() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})
    stage.play(cancel_project(PROJECT.lower()), SENT, (ANSWER, answers(True)))
    assert stage.frames == [("jobError", FRAME)]
    assert (project.status, project.jobs[JOB].status, project.settled) == ("canceled", "canceled", True)
    assert stage.state.tracked() == []


def test_a_declined_cancellation_leaves_the_project_as_it_is() -> None:
    stage = Stage().connects()
    project = stage.project()
    error = stage.fail(ConflictError, cancel_project(PROJECT), SENT, (ANSWER, answers(False, "too late")))
    assert (error.message, error.status, project.ended) == ("too late", 409, False)


def test_only_true_confirms() -> None:
    stage = Stage().connects()
    stage.project()
    error = stage.fail(ConflictError, cancel_project(PROJECT), SENT, (ANSWER, answers("yes")))
    assert PROJECT in error.message


def test_a_declined_cancellation_can_be_asked_for_again() -> None:
    stage = Stage().connects()
    stage.fail(ConflictError, cancel_project(PROJECT), SENT, (ANSWER, answers(False)))
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, answers(True)))


def test_without_an_answer_the_project_goes_on() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.fail(SogniTimeoutError, cancel_project(PROJECT), SENT, (ANSWER, TIMEOUT))
    assert (project.ended, stage.state.cancellations) == (False, {})


def test_nothing_is_sent_for_a_finished_project() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})
    stage.play(cancel_project(PROJECT))
    assert project.status == "completed"


def test_nothing_is_sent_for_a_project_that_was_canceled_before() -> None:
    stage = Stage().connects()
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, answers(True)))
    stage.play(cancel_project(PROJECT))


def test_a_project_nobody_tracks_is_canceled_too() -> None:
    Stage().connects().play(cancel_project(PROJECT), SENT, (ANSWER, answers(True)))


def test_concurrent_calls_share_one_request() -> None:
    stage = Stage().connects()
    project = stage.project()

    def another(stage: Stage) -> None:
        other = Stage()
        other.state = stage.state
        other.play(cancel_project(PROJECT), (ANSWER, lambda _: answers(True)(stage)))

    stage.play(cancel_project(PROJECT), SENT, (ANSWER, another))
    assert (project.status, len(stage.frames)) == ("canceled", 1)


def test_a_shared_wait_that_ends_early_leaves_the_request_to_the_others() -> None:
    stage = Stage().connects()

    def another(stage: Stage) -> None:
        other = Stage()
        other.state = stage.state
        other.fail(SogniTimeoutError, cancel_project(PROJECT), (ANSWER, TIMEOUT))
        answers(True)(stage)

    stage.play(cancel_project(PROJECT), SENT, (ANSWER, another))


@pytest.mark.parametrize("end", [STOP, TIMEOUT])
def test_a_request_that_is_given_up_ends_the_shared_waits_and_can_be_made_again(end: Any) -> None:
    stage = Stage().connects()
    waiting: list[Any] = []

    def another(stage: Stage) -> Any:
        flow = cancel_project(PROJECT)
        step = next(flow)
        step = flow.send(step.function(stage.state, stage.now))  # type: ignore[union-attr]
        waiting.extend([flow, step])
        return end

    if end is STOP:
        begun = cancel_project(PROJECT)
        step = next(begun)
        begun.send(step.function(stage.state, stage.now))  # type: ignore[union-attr]
        another(stage)
        begun.close()
    else:
        stage.fail(SogniTimeoutError, cancel_project(PROJECT), SENT, (ANSWER, another))
    flow, step = waiting
    assert stage.state.out.woken[-1] in step.topics
    with pytest.raises(ConflictError):
        flow.send(step.found(stage.state))
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, answers(True)))


def test_a_cancellation_that_could_not_be_sent_can_be_made_again() -> None:
    stage = Stage(disable_socket=True)
    stage.fail(SogniConnectionError, cancel_project(PROJECT))
    stage.fail(SogniConnectionError, cancel_project(PROJECT))


def test_a_connection_that_is_gone_for_good_ends_the_wait() -> None:
    stage = Stage().connects()
    stage.fail(
        ConnectionRejectedError, cancel_project(PROJECT), SENT, (ANSWER, lambda stage: stage.drops(4015) and None)
    )
    assert stage.state.cancellations == {}


def test_a_drop_does_not_end_the_wait() -> None:
    stage = Stage().connects()
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, lambda stage: answers(True)(stage.reconnects())))
