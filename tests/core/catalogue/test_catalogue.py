"""Requests for models, tiers and sizes, and reuse of the responses (projects-4.2 §9, §17)."""

from __future__ import annotations

from typing import Any

import pytest

import sogni.core.catalogue.flows as catalogue
import sogni.core.chat.flows as chat
from sogni.core.flow import Change, Until
from sogni.errors import (
    ConnectionRejectedError,
    NotFoundError,
    ServerError,
    SogniConnectionError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.catalogue import AvailableModel
from tests.core.play import MODEL, MODELS, TIERS, TIMEOUT, Stage, Stopped, bare, model, refused

DAY = 24 * 3600
SIZES = f"GET socket/api/v1/size-presets/network/fast/model/{MODEL}"
SQUARE = bare([{"id": "square", "width": 512, "height": 512}])


def test_the_model_list_is_kept_for_a_day() -> None:
    stage = Stage()
    assert stage.play(catalogue.supported_models(), MODELS) == [model()]
    assert stage.passes(DAY - 1).play(catalogue.supported_models()) == [model()]
    assert stage.passes(1).play(catalogue.supported_models(), MODELS) == [model()]


def test_a_forced_list_is_asked_for_and_kept() -> None:
    stage = Stage().knows_models()
    answer = bare([{"id": "newer"}])
    assert stage.play(catalogue.supported_models(True), (MODELS[0], answer))[0].id == "newer"
    assert stage.play(catalogue.supported_models())[0].id == "newer"


def test_what_a_caller_does_to_a_list_is_not_kept() -> None:
    stage = Stage()
    stage.play(catalogue.supported_models(), MODELS).clear()
    stage.play(catalogue.supported_models()).clear()
    assert stage.play(catalogue.supported_models()) == [model()]


def test_tiers_are_kept_for_a_day() -> None:
    stage = Stage()
    assert stage.play(catalogue.tiers(), TIERS) == {"tier": {"type": "image"}}
    assert stage.passes(DAY - 1).play(catalogue.tiers()) == {"tier": {"type": "image"}}
    stage.passes(1).play(catalogue.tiers(), TIERS)


def test_options_need_list_and_tiers_and_name_an_unknown_model() -> None:
    stage = Stage()
    assert stage.play(catalogue.model_options(MODEL), MODELS, TIERS).type == "image"
    assert stage.fail(ValidationError, catalogue.model_options("flux")).field == "model_id"


SHARED: list[tuple[Any, tuple[str, Any]]] = [
    (catalogue.supported_models, MODELS),
    (lambda: catalogue.supported_models(True), MODELS),
    (catalogue.tiers, TIERS),
    (lambda: catalogue.size_presets("fast", MODEL), (SIZES, SQUARE)),
]


def until_settled(stage: Stage, flow: Any) -> Any:
    """The step with which a flow waits for the request of another."""
    step = next(flow)
    while not isinstance(step, Until):
        assert isinstance(step, Change), step
        step = flow.send(step.function(stage.state, stage.now))
    assert step.found(stage.state) is None
    return step


@pytest.mark.parametrize(("ask", "exchange"), SHARED)
def test_one_request_serves_all_who_ask_while_it_is_under_way(ask: Any, exchange: tuple[str, Any]) -> None:
    stage, others = Stage(), [ask() for _ in range(3)]

    def meanwhile(stage: Stage) -> Any:
        waits.extend(until_settled(stage, other) for other in others)
        return exchange[1]

    waits: list[Any] = []
    answer = stage.play(ask(), (exchange[0], meanwhile))
    assert stage.state.out.woken == [waits[0].topics[0]]
    for wait, other in zip(waits, others, strict=True):
        with pytest.raises(StopIteration) as end:
            other.send(wait.found(stage.state))
        assert end.value.value == answer
    assert len(stage.calls) == 1


def test_who_waits_for_a_request_that_fails_gets_an_error_of_its_own() -> None:
    stage, other = Stage(), catalogue.tiers()

    def meanwhile(stage: Stage) -> Any:
        waits.append(until_settled(stage, other))
        return refused(404, "none here")

    waits: list[Any] = []
    first = stage.fail(NotFoundError, catalogue.tiers(), (TIERS[0], meanwhile))
    with pytest.raises(NotFoundError) as second:
        other.send(waits[0].found(stage.state))
    assert second.value == first
    assert second.value is not first


@pytest.mark.parametrize("tries", [True, False])
def test_a_request_that_ended_without_an_outcome_is_sent_by_another_who_waits(tries: bool) -> None:
    stage, other = Stage(), catalogue.supported_models()

    def meanwhile(stage: Stage) -> Any:
        waits.append(until_settled(stage, other))
        if tries:
            raise Stopped
        return refused(503)

    waits: list[Any] = []
    first = catalogue.supported_models(tries=tries)
    if tries:
        stage.play(first, (MODELS[0], meanwhile))
    else:
        stage.fail(ServerError, first, (MODELS[0], meanwhile))
    assert stage.play(resumed(other, waits[0].found(stage.state)), MODELS) == [model()]


def resumed(flow: Any, outcome: Any) -> Any:
    """A flow from its present step on."""
    try:
        step = flow.send(outcome)
        while True:
            step = flow.send((yield step))
    except StopIteration as end:
        return end.value


def test_a_request_that_is_dropped_sends_nothing_more() -> None:
    stage, flow = Stage(), catalogue.tiers()
    step = next(flow)
    while isinstance(step, Change):
        step = flow.send(step.function(stage.state, stage.now))
    flow.close()
    assert stage.state.out.woken == []


def test_sizes_are_kept_for_ten_minutes_per_network_and_model() -> None:
    stage = Stage()
    flow: Any = catalogue.size_presets
    assert stage.play(flow("fast", MODEL), (SIZES, SQUARE))[0].width == 512
    assert stage.passes(599).play(flow("fast", MODEL))[0].width == 512
    stage.play(flow("relaxed", MODEL), (SIZES.replace("fast/", "relaxed/"), SQUARE))
    stage.passes(1).play(flow("fast", MODEL), (SIZES, SQUARE))
    stage.play(flow("fast", MODEL, True), (SIZES, SQUARE))


def test_a_model_id_is_no_part_of_a_path() -> None:
    place = "GET socket/api/v1/size-presets/network/fast/model/a%2Fb%3F"
    Stage().play(catalogue.size_presets("fast", "a/b?"), (place, bare([])))


def test_workers_of_a_network_are_asked_for_every_time_and_named_by_the_list() -> None:
    stage = Stage()
    status = ("GET socket/api/v1/status/network/relaxed/models", bare({"7": 3, "99": 1}))
    expected = [
        AvailableModel(id=MODEL, name="Flux", worker_count=3),
        AvailableModel(id="99", name="99", worker_count=1),
    ]
    assert stage.play(catalogue.available_models("relaxed"), status, MODELS) == expected
    assert stage.play(catalogue.available_models("relaxed"), status) == expected


@pytest.mark.parametrize("flow", [catalogue.available_models, lambda network: catalogue.size_presets(network, MODEL)])
def test_a_network_there_is_not_is_refused_before_anything_is_asked(flow: Any) -> None:
    assert Stage().fail(ValidationError, flow("moon")).allowed == ("fast", "relaxed")


def test_the_live_list_gets_its_names() -> None:
    stage = Stage()
    stage.play(catalogue.name_models({MODEL: 2}, 0), MODELS)
    assert stage.state.catalogue.available == [AvailableModel(id=MODEL, name="Flux", worker_count=2)]


def test_the_live_list_names_itself_when_the_list_cannot_be_had_at_once() -> None:
    stage = Stage()
    stage.play(catalogue.name_models({"a-b": 2}, 0), (MODELS[0], refused(503)))
    assert stage.state.catalogue.available == [AvailableModel(id="a-b", name="a b", worker_count=2)]


def announce(stage: Stage) -> None:
    stage.state.models_named([AvailableModel(id=MODEL, name="Flux", worker_count=1)], 0)


def test_waiting_for_models_connects_and_ends_with_the_first_list() -> None:
    stage = Stage()
    models = stage.play(catalogue.wait_for_models(10), ("until a model with workers (ready, 10 s)", announce))
    assert ([it.id for it in models], stage.state.connection.phase) == ([MODEL], "connecting")


def test_known_models_are_not_waited_for() -> None:
    stage = Stage()
    announce(stage)
    assert len(stage.play(catalogue.wait_for_models(None))) == 1


def test_no_model_in_time_says_how_long_was_waited() -> None:
    wait = ("until a model with workers (ready, 2.5 s)", TIMEOUT)
    error = Stage().fail(SogniTimeoutError, catalogue.wait_for_models(2.5), wait)
    assert (error.message, error.phase, error.timeout) == ("no model was announced within 2.5 seconds", "ready", 2.5)


CHAT_WAIT = "until a language model with workers (ready, for ever)"


@pytest.mark.parametrize(
    ("flow", "wait"),
    [
        (catalogue.wait_for_models, "until a model with workers (ready, for ever)"),
        (chat.wait_for_models, CHAT_WAIT),
    ],
)
def test_waiting_for_models_ends_with_the_connection(flow: Any, wait: str) -> None:
    stage = Stage().connects()
    error = stage.fail(ConnectionRejectedError, flow(None), (wait, lambda stage: stage.drops(4015)))
    assert error.close_code == 4015
    stage.fail(ConnectionRejectedError, flow(None))


@pytest.mark.parametrize("flow", [catalogue.wait_for_models, chat.wait_for_models])
def test_waiting_for_models_needs_a_socket(flow: Any) -> None:
    Stage(disable_socket=True).fail(SogniConnectionError, flow(None))


def test_language_models_are_announced_by_a_frame() -> None:
    stage = Stage()
    models = stage.play(
        chat.wait_for_models(None),
        (CHAT_WAIT, lambda stage: stage.connects().receives("swarmLLMModels", {"qwen": 3})),
    )
    assert models["qwen"].workers == 3
