"""Waiting for a project: the result, errors and time limits."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from sogni.core.projects.waiting import check_results, raise_for_outcome, shortfall, wait_for_project
from sogni.errors import (
    AuthenticationError,
    ConnectionRejectedError,
    InsufficientBalanceError,
    PartialFailureError,
    PartialResultWarning,
    ProjectCanceledError,
    ProjectFailedError,
    SogniConnectionError,
    SogniTimeoutError,
)
from sogni.models.account import Balances, TokenBalance
from sogni.models.projects import ErrorData
from tests.core.play import JOB, PROJECT, TIMEOUT, Stage

FOR_EVER = f"until project {PROJECT} (run, for ever)"


def wait(project: Any, timeout: float | None = None, queue_timeout: float | None = None) -> Any:
    return wait_for_project(project, timeout=timeout, queue_timeout=queue_timeout)


def finishes(stage: Stage) -> None:
    stage.receives("jobResult", {"jobID": PROJECT, "imgID": JOB, "resultUrl": "https://store/1"})
    stage.receives("jobState", {"jobID": PROJECT, "type": "jobCompleted"})


def starts(stage: Stage) -> None:
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})


def test_a_wait_lasts_until_the_project_is_settled() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.play(wait(project), (FOR_EVER, finishes))
    assert (project.settled, stage.topics) == (True, [project, "connection"])


def test_a_settled_project_is_not_waited_for() -> None:
    stage = Stage().connects()
    project = stage.project()
    finishes(stage)
    stage.drops(4015).play(wait(project))


def test_a_wait_opens_the_socket() -> None:
    stage = Stage()
    project = stage.project()
    stage.play(wait(project), (FOR_EVER, lambda stage: finishes(stage.connects())))


def test_the_timeout_cancels_nothing() -> None:
    stage = Stage().connects()
    project = stage.project()
    error = stage.fail(SogniTimeoutError, wait(project, 5), (f"until project {PROJECT} (run, 5 s)", TIMEOUT))
    assert (error.phase, error.timeout, project.ended, stage.frames) == ("run", 5, False, [])
    assert error.message == (
        f"project {PROJECT}: not finished within 5 seconds; it continues, and you can wait for it again"
    )


def test_the_queue_timeout_is_for_the_time_before_a_worker_starts() -> None:
    stage = Stage().connects()
    project = stage.project()
    queue = f"until project {PROJECT} (queue, 5 s)"
    error = stage.fail(SogniTimeoutError, wait(project, 60, 5), (queue, TIMEOUT))
    assert (error.phase, error.timeout) == ("queue", 5)
    assert "no worker started within 5 seconds" in error.message


def test_time_in_the_queue_counts_for_the_whole() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.play(
        wait(project, 60, 50),
        (f"until project {PROJECT} (queue, 50 s)", lambda stage: starts(stage.passes(45))),
        (f"until project {PROJECT} (run, 15 s)", finishes),
    )


def test_a_queue_timeout_alone_leaves_the_run_unlimited() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.play(wait(project, None, 5), (f"until project {PROJECT} (queue, 5 s)", starts), (FOR_EVER, finishes))


def test_a_queue_timeout_beyond_the_whole_limits_nothing() -> None:
    stage = Stage().connects()
    stage.play(wait(stage.project(), 5, 10), (f"until project {PROJECT} (run, 5 s)", finishes))


def test_a_drop_does_not_end_a_wait() -> None:
    stage = Stage().connects()
    stage.play(wait(stage.project()), (FOR_EVER, lambda stage: finishes(stage.reconnects())))


def test_a_connection_that_is_gone_for_good_ends_every_wait_with_an_error_of_its_own() -> None:
    stage = Stage().connects()
    project = stage.project()
    first = stage.fail(ConnectionRejectedError, wait(project), (FOR_EVER, lambda stage: stage.drops(4015)))
    second = stage.fail(ConnectionRejectedError, wait(project))
    assert (first == second, first is second, first.close_code) == (True, False, 4015)


def test_a_connection_that_was_closed_normally_is_opened_again() -> None:
    stage = Stage().connects().drops(1000)
    stage.play(wait(stage.project()), (FOR_EVER, lambda stage: finishes(stage.connects())))


def test_without_credentials_nobody_can_bring_the_news() -> None:
    stage = Stage().connects()
    project = stage.project()
    stage.state.session.unauthorized()
    stage.fail(AuthenticationError, wait(project))


@pytest.mark.parametrize("settings", [{}, {"disable_socket": True}])
def test_a_polled_project_needs_no_socket(settings: dict[str, Any]) -> None:
    stage = Stage(**settings)
    project = stage.project()
    project.polled = True
    stage.play(wait(project), (FOR_EVER, finishes))
    assert stage.state.connection.phase == "idle"


def test_a_polled_project_is_not_given_up_with_the_connection() -> None:
    stage = Stage().connects().drops(4015)
    project = stage.project()
    project.polled = True
    stage.play(wait(project), (FOR_EVER, finishes))


def test_a_polled_project_cannot_be_followed_without_credentials() -> None:
    """transport §4.4: a 401 clears the key, and polling needs one."""
    stage = Stage(disable_socket=True)
    project = stage.project()
    project.polled = True
    stage.fail(AuthenticationError, wait(project), (FOR_EVER, lambda stage: stage.state.session.unauthorized()))


def test_a_failed_project_raises_what_the_service_said() -> None:
    project = Stage().project()
    project.fail(ErrorData(code=5000, original_code="genfailure", message="no luck"), 0)
    handle = project.user_object = Stage()
    with pytest.raises(ProjectFailedError) as caught:
        raise_for_outcome(project, strict=False)
    error = caught.value
    assert (error.message, error.code, error.original_code, error.project) == ("no luck", 5000, "genfailure", handle)
    project.error = ErrorData(code=123)
    with pytest.raises(InsufficientBalanceError, match="the project failed"):
        raise_for_outcome(project, strict=False)


def test_a_failed_project_without_an_error_fails_all_the_same() -> None:
    project = Stage().project()
    project.status = "failed"
    with pytest.raises(ProjectFailedError, match="the project failed"):
        raise_for_outcome(project, strict=False)


def test_a_canceled_project_raises() -> None:
    project = Stage().project()
    project.cancel(0)
    with pytest.raises(ProjectCanceledError) as caught:
        raise_for_outcome(project, strict=False)
    assert caught.value.code is None
    project.error = ErrorData(code=5004)
    with pytest.raises(ProjectCanceledError) as caught:
        raise_for_outcome(project, strict=False)
    assert caught.value.code == 5004


def test_a_short_result_is_never_quiet() -> None:
    stage = Stage().connects()
    project = stage.project(number_of_media=3)
    stage.finished_job(project)
    stage.finished_job(project, "B2", result_url=None, is_nsfw=True)
    project.completed(0, sync=False)
    raise_for_outcome(project, strict=False)
    said = f"project {PROJECT} has 1 of 3 results, 1 withheld by the content filter; see failed_jobs"
    with pytest.raises(PartialFailureError) as caught:
        raise_for_outcome(project, strict=True)
    assert caught.value.message == said
    with pytest.warns(PartialResultWarning, match="1 of 3") as warned:
        check_results(project, stacklevel=1)
    assert warned[0].filename == __file__
    project.number_of_media = 1
    raise_for_outcome(project, strict=True)
    project.number_of_media, project.jobs["B2"].is_nsfw = 2, False
    assert shortfall(project) == f"project {PROJECT} has 1 of 2 results; see failed_jobs"


def test_no_result_at_all_raises_with_the_reason() -> None:
    stage = Stage().connects()
    project = stage.project(number_of_media=2)
    for job_id in ("A1", "B2"):
        stage.finished_job(project, job_id, result_url=None, is_nsfw=True)
    project.completed(0, sync=False)
    with pytest.raises(ProjectFailedError) as caught:
        check_results(project, stacklevel=1)
    assert caught.value.message == (
        f"project {PROJECT} has 0 of 2 results, 2 withheld by the content filter; see failed_jobs"
    )


def test_the_first_failure_is_named() -> None:
    stage = Stage().connects()
    project = stage.project(number_of_media=2)
    stage.finished_job(project, "A1", result_url=None, error=ErrorData(code=5000, message="out of memory"))
    project.completed(0, sync=False)
    with pytest.raises(ProjectFailedError, match=r"0 of 2 results \(first failure: out of memory\)") as caught:
        check_results(project, stacklevel=1)
    assert caught.value.code == 5000


def test_a_whole_result_is_quiet() -> None:
    stage = Stage().connects()
    project = stage.project()
    finishes(stage)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_results(project, stacklevel=1)
    raise_for_outcome(project, strict=True)


def test_a_client_without_socket_waits_for_what_others_bring() -> None:
    stage = Stage(disable_socket=True)
    stage.play(wait(stage.project()), (FOR_EVER, finishes))


def test_a_connection_that_ends_while_waiting_says_why() -> None:
    stage = Stage()
    error = stage.fail(
        SogniConnectionError,
        wait(stage.project()),
        (FOR_EVER, lambda stage: stage.connects().drops(1000)),
    )
    assert error.code == 1000


BALANCES = Balances(sogni=TokenBalance(net=Decimal(7)), spark=TokenBalance(net=Decimal("2.5")))


@pytest.mark.parametrize(
    ("fields", "balances", "hint"),
    [
        ({}, BALANCES, "; the account has 2.5 Spark, which pays with token_type='spark'"),
        ({"token_type": "spark"}, BALANCES, "; the account has 7 Sogni, which pays with token_type='sogni'"),
        ({"token_type": "spark", "model_id": "gpt-image-2"}, BALANCES, ""),
        ({}, Balances(), ""),
        ({}, None, ""),
    ],
)
def test_an_insufficient_balance_names_that_of_the_other_token(fields: Any, balances: Any, hint: str) -> None:
    project = Stage().project()
    project.params = evolve(project.params, **fields)
    project.fail(ErrorData(code=5000, message="Insufficient balance"), 0)
    with pytest.raises(InsufficientBalanceError) as caught:
        raise_for_outcome(project, strict=False, balances=balances)
    assert caught.value.message == f"Insufficient balance{hint}"


def test_other_failures_do_not_name_balances() -> None:
    project = Stage().project()
    project.fail(ErrorData(code=5000, message="out of memory"), 0)
    with pytest.raises(ProjectFailedError, match=r"^out of memory$"):
        raise_for_outcome(project, strict=False, balances=BALANCES)
