"""Conversations: sending a question, and adding the answer to the history."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.chat.conversation import History, add_answer, add_answer_when_done, messages_for
from sogni.core.chat.flows import begin_completion
from sogni.errors import SogniConnectionError
from sogni.models.chat import ChatCompletionResult, ChatMessage
from tests.core.play import TIMEOUT, Stage

ASKED = ChatMessage(role="user", content="next")
SENT = ("frame llmJobRequest", None)
MODELS = "until a language model with workers (ready, 2 s)"


def told(characters: int) -> History:
    history = History("qwen", None)
    for _ in range(2):
        history.add_answer(ChatMessage(role="user", content="x" * characters), ChatCompletionResult(job_id="J"))
    return history


def known(stage: Stage) -> None:
    stage.receives("swarmLLMModels", {"qwen": {"workers": 1, "maxContextLength": 8192}})


def contents(messages: list[Any]) -> list[int]:
    return [len(message["content"]) for message in messages if message["role"] == "user"]


def test_a_short_history_goes_along_at_once() -> None:
    assert contents(Stage().play(messages_for(told(10), ASKED, {}))) == [10, 10, 4]


def test_a_long_history_is_cut_to_the_context_of_the_model() -> None:
    stage = Stage().connects()
    assert contents(stage.play(messages_for(told(16_000), ASKED, {}), (MODELS, known))) == [16_000, 4]
    assert contents(stage.play(messages_for(told(16_000), ASKED, {"max_tokens": 100}))) == [16_000, 16_000, 4]


def test_a_list_that_does_not_come_is_not_waited_for() -> None:
    stage = Stage().connects()
    assert contents(stage.play(messages_for(told(16_000), ASKED, {}), (MODELS, TIMEOUT))) == [16_000, 16_000, 4]


def test_without_a_connection_nothing_is_asked() -> None:
    Stage(disable_socket=True).fail(SogniConnectionError, messages_for(told(16_000), ASKED, {}))


def test_an_answer_is_kept() -> None:
    history = History("qwen", None)
    Stage().play(add_answer(history, ASKED, ChatCompletionResult(job_id="J", content="yes")))
    assert [message.content for message in history.messages] == ["next", "yes"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_streamed_answer_is_kept_when_it_is_whole(at_once: bool) -> None:
    history, stage = History("qwen", None), Stage().connects()
    chat = stage.play(begin_completion("qwen", [{"role": "user", "content": "next"}], {}), SENT)
    following = add_answer_when_done(history, ASKED, chat)
    if not at_once:
        stage.play(following)
    stage.receives("jobTokens", {"jobID": chat.id, "content": "yes"})
    assert history.messages == []
    stage.receives("llmJobResult", {"jobID": chat.id})
    if at_once:
        stage.play(following)
    assert [message.content for message in history.messages] == ["next", "yes"]


@pytest.mark.parametrize("end", ["fails", "left"])
def test_an_answer_that_does_not_come_leaves_the_history_as_it_was(end: str) -> None:
    history, stage = History("qwen", None), Stage().connects()
    chat = stage.play(begin_completion("qwen", [{"role": "user", "content": "next"}], {}), SENT)
    stage.play(add_answer_when_done(history, ASKED, chat))
    stage.receives("jobTokens", {"jobID": chat.id, "content": "yes"})
    if end == "fails":
        stage.receives("llmJobError", {"jobID": chat.id, "error": "invalid_request"})
    else:
        chat.leave()
        stage.receives("llmJobResult", {"jobID": chat.id})
    assert history.messages == []
