"""Creating many projects within one cost limit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.core.projects.create import Budget, RequestQueue
from sogni.errors import ApiError, CostLimitError, ValidationError
from sogni.models.params import ImageProjectParams
from tests.core.play import MODEL, Stage, estimate, refused

ASKED = f"GET socket/api/v2/job/estimate/sogni/fast/{MODEL}/1/0/0/0/0/0/0"
SENT = ("frame jobRequest", None)
FIELDS = {"type": "image", "model_id": MODEL}


@pytest.fixture
def stage() -> Stage:
    return Stage().connects().knows_models()


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, "8", None])
def test_concurrency_is_a_number_of_projects(concurrency: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RequestQueue([], concurrency, None)
    assert caught.value.field == "concurrency"


def test_a_wrong_limit_is_refused_before_anything_begins() -> None:
    with pytest.raises(ValidationError) as caught:
        RequestQueue([], 8, "much")
    assert caught.value.field == "max_cost"


def test_requests_are_taken_one_by_one_as_they_are_needed(stage: Stage) -> None:
    read: list[int] = []

    def requests() -> Any:
        for request in (FIELDS, ImageProjectParams(model_id=MODEL)):
            read.append(len(read))
            yield request

    plan = RequestQueue(requests(), 8, None)
    assert (plan.concurrency, plan.more(), plan.more(), read) == (8, True, True, [0])
    for expected in (FIELDS, ImageProjectParams(model_id=MODEL)):
        assert plan.more()
        request, flow = plan.take()
        assert (request, stage.play(flow, SENT).params.model_id) == (expected, MODEL)
    assert (plan.more(), plan.more()) == (False, False)
    plan.finish()


def test_the_limit_is_for_all_together(stage: Stage) -> None:
    plan = RequestQueue([FIELDS, FIELDS, FIELDS], 8, 5)
    for _ in range(2):
        assert plan.more()
        stage.play(plan.take()[1], (ASKED, estimate("2.4")), SENT)
    assert plan.more()
    error = stage.fail(CostLimitError, plan.take()[1], (ASKED, estimate("2.4")))
    assert error.message == "the estimated cost of 2.4 sogni exceeds max_cost=5, of which 0.2 is left"
    assert (error.max_cost, error.estimate.token) == (5, error.estimate.token)
    assert len(stage.frames) == 2


def test_a_budget_counts_costs_once_they_are_known(stage: Stage) -> None:
    budget = Budget(5)
    params = ImageProjectParams(model_id=MODEL)
    assert stage.play(budget.spend(params), (ASKED, estimate("4"))) == 4
    stage.fail(CostLimitError, budget.spend(params), (ASKED, estimate("4")))
    budget.settle(Decimal(4), Decimal(1))
    assert stage.play(budget.spend(params), (ASKED, estimate("4"))) == 4
    unlimited = Budget(None)
    unlimited.settle(stage.play(unlimited.spend(params)), Decimal(1))


@pytest.mark.parametrize("answer", [estimate(None), refused(404)])
def test_without_an_estimate_the_limit_cannot_be_kept(stage: Stage, answer: Any) -> None:
    plan = RequestQueue([FIELDS], 8, 5)
    assert plan.more()
    stage.fail(CostLimitError, plan.take()[1], (ASKED, answer))


def test_after_an_error_nothing_begins_and_it_is_raised_in_the_end(stage: Stage) -> None:
    plan = RequestQueue([FIELDS, FIELDS], 8, None)
    assert plan.more()
    error = stage.fail(ApiError, plan.take()[1], ("frame jobRequest", ApiError("no")))
    plan.failed(error)
    assert not plan.more()
    with pytest.raises(ApiError) as caught:
        plan.finish()
    assert caught.value is error


def test_what_is_no_request_is_refused_when_its_turn_comes(stage: Stage) -> None:
    plan = RequestQueue([{"type": "image"}], 8, 5)
    assert plan.more()
    stage.fail(TypeError, plan.take()[1])


def test_a_missing_request_is_refused_by_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        RequestQueue([FIELDS, None], 8, None)
    assert caught.value.field == "requests[1]"
    plan = RequestQueue(iter([None]), 8, None)
    assert not plan.more()
    with pytest.raises(ValidationError) as caught:
        plan.finish()
    assert caught.value.field == "requests[0]"


def test_an_error_of_the_requests_themselves_is_kept_until_what_runs_is_over() -> None:
    def requests() -> Any:
        yield FIELDS
        raise LookupError("mine")

    plan = RequestQueue(requests(), 8, None)
    assert plan.more()
    plan.take()[1].close()
    assert (plan.more(), plan.more()) == (False, False)
    with pytest.raises(LookupError):
        plan.finish()
