"""Canceling: the request, repeating it, and the outcome (projects-5x §10)."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from sogni.core.flow import Until, WriteFrame
from sogni.core.projects.cancel import cancel_project
from sogni.errors import (
    ConflictError,
    ConnectionRejectedError,
    NotFoundError,
    SogniConnectionError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.settings import RetryPolicy
from tests.core.play import JOB, PROJECT, STOP, TIMEOUT, Stage, refused
from tests.core.projects.test_recovery import known, live

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
    assert stage.state.projects.tracked() == []


def test_nothing_is_sent_when_the_service_has_said_already_that_the_project_is_over() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.on_the_way.append(("jobError", {"jobID": PROJECT, "error": 5, "error_message": "no"}))
    stage.play(cancel_project(PROJECT))
    assert (stage.frames, project.status) == ([], "failed")


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
    stage.project()
    stage.fail(ConflictError, cancel_project(PROJECT), SENT, (ANSWER, answers(False)))
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, answers(True)))


@pytest.mark.parametrize("status", ["completed", "failed", "canceled"])
def test_a_finished_project_nobody_tracks_is_no_conflict(status: str) -> None:
    script = [SENT, (ANSWER, answers(False)), (live(), known(status))]
    Stage().connects().play(cancel_project(PROJECT), *script)


@pytest.mark.parametrize("reply", [known("processing"), refused(503)])
def test_a_running_project_nobody_tracks_can_be_declined(reply: Any) -> None:
    stage = Stage(retry=RetryPolicy(attempts=1)).connects()
    error = stage.fail(ConflictError, cancel_project(PROJECT), SENT, (ANSWER, answers(False)), (live(), reply))
    assert not isinstance(error, NotFoundError)


def test_an_unknown_project_cannot_be_canceled() -> None:
    script = [SENT, (ANSWER, answers(False, "no such thing")), (live(), refused(404))]
    error = Stage().connects().fail(NotFoundError, cancel_project(PROJECT), *script)
    assert (error.message, error.status) == (f"the account has no project {PROJECT}", 404)
    assert isinstance(error, ConflictError), "as for every declined cancellation"


def test_without_an_answer_the_project_goes_on() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.fail(SogniTimeoutError, cancel_project(PROJECT), SENT, (ANSWER, TIMEOUT))
    assert (project.ended, stage.state.projects.cancellations) == (False, {})


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


def waits(stage: Stage, flow: Any) -> Until:
    """Run a cancellation until it waits for the confirmation."""
    step = next(flow)
    while not (isinstance(step, Until) and "confirmation" in step.waiting_for):
        step = flow.send(None if isinstance(step, WriteFrame) else stage._perform(step))
    return step


@pytest.mark.parametrize("end", [STOP, TIMEOUT])
def test_when_a_request_is_given_up_whoever_shared_it_sends_another(end: Any) -> None:
    stage = Stage().connects()
    begun = cancel_project(PROJECT)
    signal = Event()
    stage.state.waiter_registry.add(waits(stage, begun).topics[0], signal)

    def given_up(stage: Stage) -> None:
        if end is STOP:
            begun.close()
        else:
            with pytest.raises(SogniTimeoutError):
                begun.throw(SogniTimeoutError("late", phase="request"))
        assert signal.is_set()

    stage.play(cancel_project(PROJECT), (ANSWER, given_up), SENT, (ANSWER, answers(True)))
    assert stage.frames == [("jobError", FRAME)]


def test_a_cancellation_that_could_not_be_sent_can_be_made_again() -> None:
    stage = Stage(disable_socket=True)
    stage.fail(SogniConnectionError, cancel_project(PROJECT))
    stage.fail(SogniConnectionError, cancel_project(PROJECT))


def test_a_connection_that_is_gone_for_good_ends_the_wait() -> None:
    stage = Stage().connects()
    stage.fail(
        ConnectionRejectedError, cancel_project(PROJECT), SENT, (ANSWER, lambda stage: stage.drops(4015) and None)
    )
    assert stage.state.projects.cancellations == {}


def test_a_drop_does_not_end_the_wait() -> None:
    stage = Stage().connects()
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, lambda stage: answers(True)(stage.reconnects())))


@pytest.mark.parametrize("status", ["processing", "unknown", None])
def test_after_a_drop_the_request_is_sent_again(status: str | None) -> None:
    stage = Stage().connects()
    project = stage.project()
    answer = refused(404) if status is None else known(status)
    drop = (ANSWER, lambda stage: stage.reconnects() and None)
    stage.play(cancel_project(PROJECT), SENT, drop, (live(), answer), SENT, (ANSWER, answers(True)))
    assert (project.status, len(stage.frames)) == ("canceled", 2)


@pytest.mark.parametrize(
    ("status", "here"), [("canceled", "canceled"), ("completed", "pending"), ("failed", "pending")]
)
def test_after_a_drop_an_ended_project_needs_no_other_request(status: str, here: str) -> None:
    """How a finished one ended is told by the recovery."""
    stage = Stage().connects()
    project = stage.project()
    shared = cancel_project(PROJECT)

    def another(stage: Stage) -> None:
        waiting.append(waits(stage, shared))
        stage.reconnects()

    waiting: list[Until] = []
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, another), (live(), known(status)))
    assert (project.status, len(stage.frames)) == (here, 1)
    with pytest.raises(StopIteration):
        shared.send(stage._perform(shared.send(waiting[0].found(stage.state))))
    stage.play(cancel_project(PROJECT))


def test_the_end_of_the_project_ends_the_wait() -> None:
    stage = Stage().connects()
    project = stage.project()
    ends = {"jobID": PROJECT, "type": "jobCompleted"}
    stage.play(cancel_project(PROJECT), SENT, (ANSWER, lambda stage: stage.receives("jobState", ends) and None))
    assert (project.status, project in stage.topics) == ("completed", True)


def test_a_confirmation_counts_when_nobody_waits_for_it_any_more() -> None:
    stage = Stage().connects()
    project = stage.project()
    answers(True)(stage)
    assert (project.settled, project.status, stage.state.projects.tracked()) == (True, "canceled", [])
    stage.play(cancel_project(PROJECT))
    answers(False)(stage)
    stage.receives("artistCancelConfirmation", None)
    stage.play(cancel_project(PROJECT))


@pytest.mark.parametrize("bad", ["", " ", None, 5, "..", "half \ud83d"])
def test_what_is_no_id_is_refused_before_anything_is_sent(bad: Any) -> None:
    Stage().connects().fail(ValidationError, cancel_project(bad))
