"""`ChatSogni`: what LangChain's standard tests do not ask. Those are run by `tests/conformance/frameworks.py`."""

from __future__ import annotations

import asyncio
import copy
import doctest
import inspect
import pickle
import re
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sogni
from sogni.emulator import Answer, Call, LocalSupernet
from tests.docs.test_documented import missing

pytest.importorskip("langchain_core", reason="langchain-core is not installed: pip install 'sogni[langchain]'")

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from pydantic import BaseModel, ValidationError

from sogni.contrib.langchain import ChatSogni


@pytest.fixture(scope="module")
def started() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as supernet:
        yield supernet


@pytest.fixture
def supernet(started: LocalSupernet) -> Iterator[LocalSupernet]:
    yield started
    started.reset()
    assert not started.violations


@pytest.fixture
def model(supernet: LocalSupernet) -> Iterator[ChatSogni]:
    endpoints = {"rest_endpoint": supernet.rest_endpoint, "socket_endpoint": supernet.socket_endpoint}
    with ChatSogni(api_key=supernet.api_key, client_options=endpoints) as model:
        yield model
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("sogni-reader")]


def sent(supernet: LocalSupernet) -> list[dict[str, Any]]:
    return [frame.data for frame in supernet.requests if getattr(frame, "type", "") == "llmJobRequest"]


def whole(chunks: Any) -> AIMessageChunk:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


def shown(error: BaseException | None) -> str:
    """What an error tracker collects: the local variables of our frames, and the message."""
    parts = []
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        ours = [frame.f_locals for frame in frames if "sogni" in frame.f_globals["__name__"].split(".")]
        parts += [str(error), *(repr(value) for found in ours for value in found.values())]
        error = error.__cause__ or error.__context__
    return " ".join(parts)


def test_an_answer_has_usage_and_what_it_cost(model: ChatSogni) -> None:
    answer = model.invoke("Hello")
    assert answer.usage_metadata["total_tokens"] == sum(
        answer.usage_metadata[f"{it}_tokens"] for it in ("input", "output")
    )
    assert answer.response_metadata["finish_reason"] == "stop"
    assert float(answer.response_metadata["cost"]["costInSpark"]) > 0
    assert whole(model.stream("Hello")).usage_metadata == answer.usage_metadata


def test_options_of_the_model_and_of_the_call_are_sent(model: ChatSogni, supernet: LocalSupernet) -> None:
    own = model.model_copy(update={"temperature": 0.5, "max_tokens": 50, "stop": ["x"], "think": False})
    own.invoke("Hello", stop=["emulator"], top_k=3)
    request = sent(supernet)[-1]
    names = ("temperature", "max_tokens", "stop", "top_k", "chat_template_kwargs")
    assert [request[name] for name in names] == [0.5, 50, ["emulator"], 3, {"enable_thinking": False}]
    with pytest.raises(TypeError, match="top_kk"):
        model.invoke("Hello", top_kk=3)
    with pytest.raises(sogni.ValidationError, match="temperature"):
        model.invoke("Hello", temperature=7)
    with pytest.raises(ValidationError, match="temprature"):
        ChatSogni(temprature=0.5)


def test_reasoning_is_apart_from_the_text(model: ChatSogni, supernet: LocalSupernet) -> None:
    supernet.chat.reply(Answer("42", thought="Six times seven.\nThat is 42."), times=None)
    answer = model.invoke("What is 6 times 7?", think=True)
    streamed = whole(model.stream("What is 6 times 7?", think=True))
    for message in (answer, streamed):
        assert (message.text, message.additional_kwargs["reasoning_content"]) == ("42", "Six times seven.\nThat is 42.")
        assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    model.invoke([HumanMessage("Six times seven?"), streamed, HumanMessage("Sure?")])
    assert "That is" not in str(sent(supernet)[-1]["messages"])


def test_calls_that_are_no_json_are_told(model: ChatSogni, supernet: LocalSupernet) -> None:
    supernet.chat.reply(Call("look", '{"place": '), times=2)
    tools = model.bind_tools([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}])
    answer = tools.invoke("Look")
    assert (answer.tool_calls, answer.invalid_tool_calls[0]["args"]) == ([], '{"place": ')
    assert [chunk["name"] for chunk in whole(tools.stream("Look")).tool_call_chunks] == ["look"]
    result = ToolMessage("not JSON", tool_call_id=answer.invalid_tool_calls[0]["id"])
    tools.invoke([HumanMessage("Look"), answer, result])
    assert [message.get("content") for message in sent(supernet)[-1]["messages"]] == ["Look", None, "not JSON"]


def test_choices_of_tools(model: ChatSogni) -> None:
    def look(place: str) -> str:
        """Look at a place."""
        return place

    forced = {"type": "function", "function": {"name": "look"}}
    choices = {"any": "required", True: "required", "auto": "auto", "none": "none", "look": forced, None: None}
    for given, expected in choices.items():
        assert model.bind_tools([look], tool_choice=given).kwargs.get("tool_choice") == expected
    with pytest.raises(sogni.ValidationError, match="tool_choice must be one of 'auto', 'none', 'any', 'look'"):
        model.bind_tools([look], tool_choice="lok")
    assert "strict" not in model.bind_tools([look], strict=True).kwargs["tools"][0]["function"]


class Dish(BaseModel):
    """A dish."""

    name: str


def test_an_answer_that_does_not_fit_is_told_or_returned(model: ChatSogni, supernet: LocalSupernet) -> None:
    assert model.with_structured_output(Dish).invoke("name=Soup").name == "Soup"
    assert sent(supernet)[-1]["response_format"]["json_schema"]["description"] == "A dish."
    supernet.chat.reply('{"nam": "Soup"}')
    found = model.with_structured_output(Dish, include_raw=True).invoke("A dish")
    assert (found["parsed"], "name" in str(found["parsing_error"]), found["raw"].text) == (
        None,
        True,
        '{"nam": "Soup"}',
    )
    with pytest.raises(sogni.ValidationError, match="method must be one of 'json_schema'"):
        model.with_structured_output(Dish, method="jsn")


def test_a_lost_request_is_repeated(model: ChatSogni, supernet: LocalSupernet) -> None:
    supernet.chat.fail("server_restarting", "The server restarts", times=2)
    assert "Hello" in model.invoke("Hello").text
    supernet.chat.fail("server_restarting", "The server restarts", times=2)
    assert "Hello" in whole(model.stream("Hello")).text
    supernet.chat.fail("server_restarting", "The server restarts", times=3)
    with pytest.raises(sogni.ChatError, match="restarts"):
        model.invoke("Hello")
    supernet.chat.fail("insufficient_balance", "Nothing left")
    with pytest.raises(sogni.InsufficientBalanceError):
        model.invoke("Hello")
    assert len(sent(supernet)) == 3 + 3 + 3 + 1


def test_asyncio_uses_a_client_for_each_event_loop(model: ChatSogni, supernet: LocalSupernet) -> None:
    async def ask() -> list[str]:
        supernet.chat.fail("server_restarting", "The server restarts")
        answers = await asyncio.gather(model.ainvoke("Hello"), model.ainvoke("Hello"))
        streamed = [chunk async for chunk in model.astream("Hello")]
        threads = [thread.name for thread in threading.enumerate() if thread.name == "sogni-reader"]
        await model.aclose()
        assert threads == []
        return [*(answer.text for answer in answers), whole(streamed).text]

    for _ in range(2):
        assert len(set(asyncio.run(ask()))) == 1


def test_clients_of_the_caller_are_used_and_stay_open(supernet: LocalSupernet) -> None:
    async def ask() -> str:
        async with supernet.async_client() as client:
            async with ChatSogni(async_client=client) as model:
                text = (await model.ainvoke("Hello")).text
                with pytest.raises(TypeError, match="async_client only"):
                    model.invoke("Hello")
            assert not client.closed
            return text

    with supernet.client() as client:
        with ChatSogni(client=client) as model:
            answers = [model.invoke("Hello").text, asyncio.run(model.ainvoke("Hello")).text]

            async def streamed() -> str:
                return whole([chunk async for chunk in model.astream("Hello")]).text

            assert {*answers, asyncio.run(streamed()), asyncio.run(ask())} == {answers[0]}
        assert not client.closed
    assert supernet.api_key not in repr(model)


def test_copies_have_clients_of_their_own(model: ChatSogni) -> None:
    model.invoke("Hello")
    with copy.deepcopy(model) as copied:
        assert copied._clients._blocking is None
    assert pickle.loads(pickle.dumps(model))._clients._blocking is None


def test_a_local_model_needs_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOGNI_API_KEY", raising=False)
    with ChatSogni(local=True) as model:
        assert isinstance(model.invoke("Hello"), AIMessage)


def test_leaving_a_stream_early_ends_it(model: ChatSogni, supernet: LocalSupernet) -> None:
    supernet.chat.reply("sea " * 500, times=1)
    stream = model.stream("Tell me a story")
    next(stream)
    stream.close()
    assert "Hello" in model.invoke("Hello").text


def test_public_members_are_described_and_their_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOGNI_API_KEY", raising=False)
    functions = [value for value in vars(ChatSogni).values() if inspect.isfunction(value)]
    own = [it for it in functions if it.__name__[0] != "_" and it.__module__ == ChatSogni.__module__]
    assert {value.__name__: lacks for value in own if (lacks := missing(value))} == {}
    run = 0
    for value in [ChatSogni, *own]:
        test = doctest.DocTestParser().get_doctest(inspect.getdoc(value) or "", {}, value.__name__, None, 0)
        assert doctest.DocTestRunner().run(test).failed == 0
        run += bool(test.examples)
    assert run == 5


def test_the_reference_lists_every_argument() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "langchain.md").read_text(encoding="utf-8")
    table = page.partition("## Arguments")[2].partition("Every model")[0]
    listed = [name for row in table.splitlines()[4:] for name in re.findall(r"`(\w+)`", row.partition(" | ")[0])]
    assert listed == [name for name in ChatSogni.model_fields if name not in BaseChatModel.model_fields]


def test_no_key_is_in_an_error(supernet: LocalSupernet) -> None:
    key = supernet.api_key
    endpoints = {"rest_endpoint": supernet.rest_endpoint, "socket_endpoint": supernet.socket_endpoint}
    for options in ({"network": "fats"}, {**endpoints, "api_key": f"{key}-wrong"}):
        with ChatSogni(api_key=key, client_options=options) as model:
            for call in (model.invoke, lambda text, model=model: asyncio.run(model.ainvoke(text))):
                with pytest.raises(sogni.SogniError) as caught:
                    call("Hello")
                assert key not in shown(caught.value)
