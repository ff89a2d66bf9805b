"""The order of checking, sending and reading of chat completions (chat §2, §5)."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from sogni.core.background import end_lost_chats
from sogni.core.chat.flows import (
    begin_completion,
    complete,
    complete_answer,
    estimate_completion,
    next_chunks,
    wait_for_models,
)
from sogni.errors import (
    AuthenticationError,
    ChatError,
    ConnectionRejectedError,
    ProtocolError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.chat import LLMModelInfo
from tests.core.play import STOP, TIMEOUT, Stage, bare

HELLO = [{"role": "user", "content": "hello"}]
SENT = ("frame llmJobRequest", None)
READY = "until the socket (ready, 30 s)"
ANSWER = "until the response to chat job ID-1 (run, 9 s)"
CHUNK = "until a response (job ID-1) (run, for ever)"


@pytest.fixture
def stage() -> Stage:
    return Stage().connects()


def says(text: str) -> Any:
    return lambda stage: stage.receives("jobTokens", {"jobID": "ID-1", "content": text}) and None


def ends(stage: Stage) -> None:
    stage.receives("llmJobResult", {"jobID": "ID-1", "timeTaken": 2})


def fails(stage: Stage) -> None:
    stage.receives("llmJobError", {"jobID": "ID-1", "error": "invalid_request", "error_message": "no"})


def test_a_completion_is_the_whole_answer(stage: Stage) -> None:
    def answers(stage: Stage) -> None:
        says("hi ")(stage)
        says("there")(stage)
        ends(stage)

    result = stage.play(complete("qwen", HELLO, {"temperature": 0.5}, 9), SENT, (ANSWER, answers))
    assert (result.content, result.time_taken, stage.state.chats.by_id) == ("hi there", 2, {})
    payload = stage.frames[0][1]
    assert (payload["jobID"], payload["model"], payload["messages"], payload["temperature"]) == (
        "ID-1", "qwen", HELLO, 0.5,
    )  # fmt: skip


def test_a_completion_is_registered_before_its_frame_is_written(stage: Stage) -> None:
    chat = stage.play(begin_completion("qwen", HELLO, {}), ("frame llmJobRequest", says("early")))
    assert [chunk.content for chunk in stage.play(next_chunks(chat))] == ["early"]


def test_chunks_come_until_the_end(stage: Stage) -> None:
    chat = stage.play(begin_completion("qwen", HELLO, {}), SENT)
    assert [chunk.content for chunk in stage.play(next_chunks(chat), (CHUNK, says("a")))] == ["a"]
    assert stage.play(next_chunks(chat), (CHUNK, ends)) == []


def test_what_was_said_before_a_failure_is_read_first(stage: Stage) -> None:
    chat = stage.play(begin_completion("qwen", HELLO, {}), SENT)
    says("a")(stage)
    fails(stage)
    assert len(stage.play(next_chunks(chat))) == 1
    assert stage.fail(ChatError, next_chunks(chat)).error_type == "invalid_request"
    stage.fail(ChatError, complete_answer(chat, 9))


def test_an_answer_that_takes_too_long_is_forgotten(stage: Stage) -> None:
    stage.fail(SogniTimeoutError, complete("qwen", HELLO, {}, 9), SENT, (ANSWER, TIMEOUT))
    assert stage.state.chats.by_id == {}


def test_a_stream_that_takes_too_long_can_be_waited_for_again(stage: Stage) -> None:
    chat = stage.play(begin_completion("qwen", HELLO, {}), SENT)
    stage.fail(SogniTimeoutError, complete_answer(chat, 9), (ANSWER, TIMEOUT))
    assert stage.play(complete_answer(chat, 9), (ANSWER, ends)).finish_reason == "stop"


def test_mistakes_are_found_before_anything_is_sent(stage: Stage) -> None:
    assert "temperature" in str(stage.fail(TypeError, begin_completion("qwen", HELLO, {"temprature": 1})))
    stage.fail(ValidationError, begin_completion("qwen", "hello", {}))


@pytest.mark.parametrize("end", [TIMEOUT, STOP])
def test_a_request_that_was_not_written_leaves_nothing(end: Any) -> None:
    stage = Stage()
    try:
        stage.play(begin_completion("qwen", HELLO, {}), (READY, end))
    except SogniTimeoutError:
        assert end is TIMEOUT
    assert stage.state.chats.by_id == {}


def test_a_request_that_was_not_sent_is_a_chat_that_may_be_tried_again() -> None:
    """chat §14.2."""
    error = Stage().fail(ChatError, begin_completion("qwen", HELLO, {}), (READY, TIMEOUT))
    assert (error.error_type, error.retryable, error.job_id) == ("transport_lost", True, "ID-1")
    assert isinstance(error, SogniTimeoutError)


@pytest.mark.parametrize(("code", "kind"), [(4021, AuthenticationError), (4013, ConnectionRejectedError)])
def test_a_connection_that_was_refused_is_no_chat_that_failed(code: int, kind: type[Exception]) -> None:
    refuses = (READY, lambda stage: stage.drops(code))
    assert not isinstance(Stage().fail(kind, begin_completion("qwen", HELLO, {}), refuses), ChatError)


def test_answers_without_news_are_ended_one_after_the_other(stage: Stage) -> None:
    """chat §14.2."""
    first = stage.play(begin_completion("qwen", HELLO, {}), SENT)
    stage.drops().passes(10).connects()
    second = stage.play(begin_completion("qwen", HELLO, {}), SENT)
    stage.drops()
    pauses = [
        ("pause 25", lambda stage: stage.passes(25) and None),
        ("pause 10", lambda stage: stage.passes(10) and None),
    ]
    stage.play(end_lost_chats(), *pauses)
    assert [chat.error().error_type for chat in (first, second)] == ["transport_lost"] * 2  # type: ignore[union-attr]


def test_an_answer_becomes_what_was_asked_for(stage: Stage) -> None:
    @frozen
    class Size:
        width: int

    def answers(stage: Stage) -> None:
        says('{"width": 3}')(stage)
        ends(stage)

    result = stage.play(complete("qwen", HELLO, {"response_format": Size}, 9), SENT, (ANSWER, answers))
    assert result.parsed == Size(3)
    assert stage.frames[0][1]["response_format"]["json_schema"]["name"] == "Size"


def test_a_request_that_waits_for_the_next_connection_is_not_lost_with_the_last(stage: Stage) -> None:
    def comes_back(stage: Stage) -> None:
        stage.drops().connects().receives("authenticated", {"activeLLMJobIDs": []})

    stage.drops()
    chat = stage.play(begin_completion("qwen", HELLO, {}), (READY, comes_back), SENT)
    assert (chat.done, chat.being_sent) == (False, False)
    stage.drops().connects().receives("authenticated", {"activeLLMJobIDs": []})
    assert chat.done


def test_a_request_sent_after_a_drop_is_none_of_what_was_lost(stage: Stage) -> None:
    """transport §13.3: only what was under way on the lost connection waits for news."""
    stage.drops()
    chat = stage.play(begin_completion("qwen", HELLO, {}), (READY, lambda stage: stage.connects() and None), SENT)
    stage.passes(60).state.tick(stage.now)
    assert (chat.done, chat.lost_at) == (False, None)


def test_an_answer_whose_numbers_cannot_be_read_ends_all_the_same(stage: Stage) -> None:
    def ends_oddly(stage: Stage) -> None:
        with pytest.raises(ProtocolError):
            stage.receives("llmJobResult", {"jobID": "ID-1", "timeTaken": 2, "cost": 5})

    result = stage.play(complete("qwen", HELLO, {}, 9), SENT, (ANSWER, ends_oddly))
    assert (result.cost, result.time_taken, stage.state.chats.by_id) == (None, 2, {})
    assert stage.told("completed") == [result]


# --- models

MODELS = "until a language model with workers (ready, 10 s)"


def test_models_are_waited_for_until_there_are_some(stage: Stage) -> None:
    def come(stage: Stage) -> None:
        stage.receives("swarmLLMModels", {})
        assert stage.state.chats.models == {}
        stage.receives("swarmLLMModels", {"qwen": 2})

    assert stage.play(wait_for_models(10), (MODELS, come)) == {"qwen": LLMModelInfo(workers=2)}
    assert stage.play(wait_for_models(10)) == {"qwen": LLMModelInfo(workers=2)}


def test_no_models_come_over_a_connection_that_was_refused(stage: Stage) -> None:
    stage.fail(AuthenticationError, wait_for_models(10), (MODELS, lambda stage: stage.drops(4021)))


# --- estimates (chat §8)


def estimate(**options: Any) -> Any:
    given = {"max_tokens": None, "token_type": None, "think": None, "task_profile": None, **options}
    return estimate_completion("qwen", HELLO, **given)


QUOTE = {"costInUSD": 0.001, "costInSogni": 0.5, "costInSpark": 0.25, "costInToken": 0.5}


def test_an_estimate_asks_the_socket_host_about_tokens(stage: Stage) -> None:
    path = "GET socket/api/v1/job-llm/estimate/sogni/qwen/9/4096"
    answer = bare({"quote": {**QUOTE, "inputTokens": 9, "outputTokens": 22}})
    found = stage.play(estimate(), (path, answer))
    assert [str(found.cost_in_usd), str(found.cost_in_spark), found.input_tokens, found.output_tokens] == [
        "0.001", "0.25", 9, 22,
    ]  # fmt: skip


@pytest.mark.parametrize("read", [True, False], ids=["read", "received"])
def test_an_estimate_knows_the_limits_of_the_live_list(stage: Stage, read: bool) -> None:
    models = ("swarmLLMModels", {"qwen": {"workers": 1, "maxOutputTokens": {"default": 3000}}})
    if read:
        stage.receives(*models)
    else:
        stage.on_the_way.append(models)
    path = "GET socket/api/v1/job-llm/estimate/spark/qwen/9/3000"
    stage.play(estimate(token_type="spark"), (path, bare({"quote": QUOTE})))


@pytest.mark.parametrize("answer", [{}, {"quote": 5}, [], None])
def test_an_answer_without_a_quote_is_no_estimate(stage: Stage, answer: Any) -> None:
    path = "GET socket/api/v1/job-llm/estimate/sogni/qwen/9/7"
    stage.fail(ProtocolError, estimate(max_tokens=7), (path, bare(answer)))
