"""Language models, in both packages: asking, streaming, images, answers in a form, conversations."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen
from PIL import Image
from pydantic import BaseModel

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until

STORY = "Tell me a story"


@pytest.fixture(autouse=True)
def story(supernet: LocalSupernet) -> None:
    supernet.chat.reply("sea " * 120, when=STORY, times=None)


@pytest.fixture
def slow_supernet() -> Iterator[LocalSupernet]:
    """One whose answers take long enough to be caught at work."""
    with LocalSupernet(step_time=0, token_rate=600, seed=1) as started:
        started.chat.reply("sea " * 120, when=STORY, times=None)
        yield started


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


async def ask(sdk: Sdk, client: Any, content: Any, **options: Any) -> Any:
    return await sdk.call(client.chat.completions.create, **{"messages": user(content), "timeout": SOON, **options})


def sent(supernet: LocalSupernet) -> list[dict[str, Any]]:
    """The completion requests that arrived."""
    return [frame.data for frame in supernet.requests if getattr(frame, "type", "") == "llmJobRequest"]


# --- asking


async def test_an_answer_has_text_usage_and_cost(sdk: Sdk, client: Any) -> None:
    result = await ask(sdk, client, "What is 6 times 7?", token_type="spark")
    assert "What is 6 times 7?" in result.content
    assert (result.role, result.finish_reason, result.usage.prompt_tokens > 0) == ("assistant", "stop", True)
    assert result.cost.cost_in_spark > 0
    assert result.worker_name


async def test_an_answer_can_be_cut_off(sdk: Sdk, client: Any) -> None:
    result = await ask(sdk, client, STORY, max_tokens=5)
    assert (result.finish_reason, result.usage.completion_tokens) == ("length", 5)


async def test_chunks_make_the_text_of_the_result(sdk: Sdk, client: Any) -> None:
    stream = await ask(sdk, client, STORY, stream=True)
    chunks = await sdk.collect(stream)
    result = await sdk.call(stream.result, timeout=SOON)
    assert len(chunks) > 20
    assert "".join(chunk.content for chunk in chunks) == stream.content == result.content == stream.final_result.content
    assert {chunk.job_id for chunk in chunks} == {stream.job_id}
    assert (stream.worker_name, stream.cost) == (result.worker_name, result.cost)


async def test_a_stream_that_is_left_early_ends_here_only(sdk: Sdk, slow_supernet: LocalSupernet) -> None:
    async with sdk.client(slow_supernet) as client:
        done: list[Any] = []
        client.chat.on("completed", done.append)
        stream = await ask(sdk, client, STORY, stream=True)
        async for _ in sdk.iterate(stream):
            break
        await sdk.call(stream.close)
        assert await sdk.collect(stream) == []
        assert (await until(lambda: done))[0].cost is not None


async def test_what_was_said_before_a_failure_is_read_first(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.chat.fail("server_restarting", after_tokens=3)
    stream = await ask(sdk, client, STORY, stream=True)
    seen: list[str] = []
    with pytest.raises(sdk.ChatError) as caught:
        async for chunk in sdk.iterate(stream):
            seen.append(chunk.content)  # noqa: PERF401  the last step raises
    assert (len(seen) >= 3, "".join(seen), stream.final_result) == (True, stream.content, None)
    assert (caught.value.error_type, caught.value.retryable, caught.value.job_id) == (
        "server_restarting", True, stream.job_id,
    )  # fmt: skip
    with pytest.raises(sdk.ChatError):
        await sdk.call(stream.result)


async def test_an_account_that_cannot_pay_is_told(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.chat.fail("insufficient_balance", "Insufficient balance")
    with pytest.raises(sdk.InsufficientBalanceError) as caught:
        await ask(sdk, client, "hello")
    assert isinstance(caught.value, sdk.ChatError)


async def test_a_plan_that_is_missing_is_named(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    plan = {"subscriptionLimit": True, "requiredPlans": ["unlimited"], "feature": "long", "limitation": "No long texts"}
    supernet.chat.fail("subscription_unavailable", code="4081", subscription=plan)
    with pytest.raises(sdk.ChatError) as caught:
        await ask(sdk, client, "hello")
    assert (caught.value.subscription_error_code, caught.value.required_plans, caught.value.limitation) == (
        4081, ("unlimited",), "No long texts",
    )  # fmt: skip


async def test_an_answer_that_takes_too_long_is_given_up(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.chat.rate(1)
    async with sdk.client(supernet) as client:
        with pytest.raises(sdk.SogniTimeoutError) as caught:
            await sdk.call(client.chat.completions.create, messages=user(STORY), timeout=0.2)
        assert caught.value.phase == "run"


@pytest.mark.parametrize("timeout", ["5", -1, float("nan"), True])
async def test_what_is_no_time_is_refused_before_anything_is_sent(
    sdk: Sdk, supernet: LocalSupernet, timeout: Any
) -> None:
    async with sdk.client(supernet) as client:
        chat, asked = client.chat, {"messages": user("hello"), "timeout": timeout}
        for create in (chat.completions.create, chat.hosted.create):
            with pytest.raises(sdk.ValidationError, match="timeout must be a number of seconds"):
                await sdk.call(create, **asked)
        with pytest.raises(sdk.ValidationError, match="timeout must be a number"):
            await sdk.call(chat.completions.create, **asked, stream=True)
        with pytest.raises(sdk.ValidationError, match="timeout must be a number"):
            await sdk.call(chat.hosted.execute_tool, "compose_lyrics", {"prompt": "a kite"}, timeout=timeout)
        with pytest.raises(sdk.ValidationError, match="timeout must be a number"):
            await sdk.call(chat.wait_for_models, timeout)
        with pytest.raises(sdk.ValidationError, match="timeout must be a number"):
            await sdk.call(client.api_client.rest.request, "GET", "/v1/account/me", timeout=timeout)
        assert supernet.requests == []
        stream = await ask(sdk, client, "hello", stream=True)
        with pytest.raises(sdk.ValidationError, match="timeout must be a number"):
            await sdk.call(stream.result, timeout)


async def test_a_stream_that_falls_silent_says_so_and_goes_on(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.chat.rate(2)
    async with sdk.client(supernet) as client:
        await sdk.call(client.connect)
        stream = await sdk.call(client.chat.completions.create, messages=user("hello"), stream=True, timeout=0.05)
        with pytest.raises(sdk.SogniTimeoutError):
            await sdk.collect(stream)
        with pytest.raises(sdk.SogniTimeoutError):
            await sdk.call(stream.result, timeout=0.05)
        assert (await sdk.call(stream.result, timeout=SOON)).content == stream.content


async def test_models_are_announced_and_priced(sdk: Sdk, client: Any) -> None:
    models = await sdk.call(client.chat.wait_for_models, timeout=SOON)
    assert client.chat.models == models
    model = min(models, key=lambda name: models[name].max_context_length)
    estimate = await sdk.call(client.chat.estimate_cost, model=model, messages=user("hello"), token_type="spark")
    assert (estimate.output_tokens, estimate.cost_in_spark > 0) == (models[model].max_output_tokens.default, True)


# --- images


def drawn(color: str) -> Image.Image:
    return Image.new("RGB", (64, 48), color)


async def test_an_image_is_seen(sdk: Sdk, client: Any) -> None:
    buffer = io.BytesIO()
    drawn("red").save(buffer, format="PNG")
    for image in (drawn("red"), buffer.getvalue()):
        parts = [{"type": "text", "text": "What is this?"}, sdk.image_part(image)]
        assert "64 x 48" in (await ask(sdk, client, parts)).content


async def test_an_image_that_is_refused_is_not_sent(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    for call in (client.chat.completions.create, client.chat.estimate_cost, client.chat.hosted.create):
        with pytest.raises(sdk.ValidationError) as caught:
            await sdk.call(call, messages=user([part]))
        assert caught.value.field == "messages[0].content[0]"
    assert supernet.requests == []


# --- answers in a form


@frozen
class Step:
    text: str
    minutes: int = 5


@frozen
class Recipe:
    """How to cook a dish."""

    title: str
    steps: list[Step]
    vegan: bool | None = None
    tags: list[str] = field(factory=list)


async def test_an_answer_is_an_instance_of_a_class(sdk: Sdk, client: Any) -> None:
    result = await ask(sdk, client, "How do I cook a soup?", response_format=Recipe)
    assert isinstance(result.parsed, Recipe)
    assert all(isinstance(step, Step) for step in result.parsed.steps)


class Dish(BaseModel):
    """A dish, as a model of pydantic."""

    title: str
    steps: list[str]


async def test_an_answer_is_an_instance_of_a_pydantic_model(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    asked = "How do I cook a soup, title=Soup?"
    whole = await ask(sdk, client, asked, response_format=Dish)
    stream = await ask(sdk, client, asked, response_format=Dish, stream=True)
    await sdk.collect(stream)
    streamed = await sdk.call(stream.result, timeout=SOON)
    hosted = await sdk.call(client.chat.hosted.create, messages=user(asked), response_format=Dish)
    conversation = client.chat.conversation(response_format=Dish)
    told = await sdk.call(conversation.ask, asked)
    for result in (whole, streamed, hosted, told):
        assert isinstance(result.parsed, Dish)
        assert result.parsed.title == "Soup"
    supernet.chat.reply('{"title": "Soup", "steps": ["Boil", 5]}')
    result = await ask(sdk, client, asked, response_format=Dish)
    with pytest.raises(sdk.ProtocolError, match=r"valid string, got 5 at \$\.steps\[1\]"):
        result.parsed


async def test_an_answer_that_does_not_fit_says_where(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.chat.reply('{"title": "Soup", "steps": [{"text": "Boil"}, {"text": 5}]}', thought="Hm, {")
    result = await ask(sdk, client, "How do I cook a soup?", response_format=Recipe, think=True)
    with pytest.raises(sdk.ProtocolError, match=r"expected a string, got int at \$\.steps\[1\]\.text"):
        result.parsed


async def test_a_class_without_a_schema_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    @frozen
    class Photo:
        data: bytes

    with pytest.raises(sdk.ValidationError, match=r"Photo\.data"):
        await ask(sdk, client, "hello", response_format=Photo)
    assert supernet.requests == []


# --- over REST


async def test_a_hosted_answer_has_the_openai_form(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    result = await sdk.call(client.chat.hosted.create, messages=user("What is 6 times 7?"), app_source="shop")
    assert ("6 times 7" in result.content, result.choices[0].finish_reason) == (True, "stop")
    assert result.usage.total_tokens == result.usage.prompt_tokens + result.usage.completion_tokens
    (asked,) = [it for it in supernet.requests if getattr(it, "path", "") == "/v1/chat/completions"]
    assert (asked.headers["x-app-source"], asked.body["app_source"]) == ("shop", "shop")
    formed = await sdk.call(client.chat.hosted.create, messages=user("How do I cook?"), response_format=Recipe)
    assert isinstance(formed.parsed, Recipe)


async def test_a_hosted_answer_that_fails_says_why(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.chat.fail("insufficient_balance", "Insufficient balance")
    with pytest.raises(sdk.InsufficientBalanceError) as caught:
        await sdk.call(client.chat.hosted.create, messages=user("hello"))
    assert isinstance(caught.value, sdk.ChatError)
    assert isinstance(caught.value, sdk.ApiError)
    assert caught.value.status >= 400
    with pytest.raises(sdk.ValidationError, match="stream"):
        await sdk.call(client.chat.hosted.create, messages=user("hello"), stream=True)


async def test_a_hosted_tool_is_run(sdk: Sdk, client: Any) -> None:
    done = await sdk.call(client.chat.hosted.execute_tool, "compose_lyrics", {"prompt": "the sea"})
    assert (done.status, done.data.tool, bool(done.data.result)) == ("success", "compose_lyrics", True)


# --- conversations


async def test_a_conversation_remembers(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    conversation = client.chat.conversation(system="You are a helpful assistant.")
    first = await sdk.call(conversation.ask, "My name is Ada.")
    await sdk.call(conversation.ask, "What is my name?")
    assert [message["content"] for message in sent(supernet)[-1]["messages"]] == [
        "You are a helpful assistant.", "My name is Ada.", first.content, "What is my name?",
    ]  # fmt: skip
    assert [message.role for message in conversation.messages] == ["user", "assistant"] * 2
    conversation.clear()
    await sdk.call(conversation.ask, "What is my name?")
    assert [message["role"] for message in sent(supernet)[-1]["messages"]] == ["system", "user"]


async def test_a_streamed_answer_is_remembered_when_it_is_whole(sdk: Sdk, client: Any) -> None:
    conversation = client.chat.conversation()
    stream = await sdk.call(conversation.ask, "My name is Ada.", stream=True)
    await sdk.collect(stream)
    assert [message.content for message in conversation.messages] == ["My name is Ada.", stream.content]


async def test_a_question_that_fails_is_forgotten(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    conversation = client.chat.conversation()
    await sdk.call(conversation.ask, "hello")
    before = conversation.to_dict()
    supernet.chat.fail("model_unavailable", after_tokens=2)
    with pytest.raises(sdk.ChatError):
        await sdk.call(conversation.ask, STORY)
    supernet.chat.fail("model_unavailable", after_tokens=2)
    with pytest.raises(sdk.ChatError):
        await sdk.collect(await sdk.call(conversation.ask, STORY, stream=True))
    assert conversation.to_dict() == before


async def test_a_conversation_is_saved_and_goes_on(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    conversation = client.chat.conversation(system="You are a helpful assistant.", max_tokens=500)
    await sdk.call(conversation.ask, "My name is Ada.", images=[drawn("blue")])
    path = await sdk.call(conversation.save, tmp_path / "talk.json")
    other = await sdk.call(client.chat.conversation().load, path)
    assert (other.to_dict(), other.system) == (conversation.to_dict(), "You are a helpful assistant.")
    await sdk.call(other.ask, "What is my name?")
    assert len(sent(supernet)[-1]["messages"]) == 4


async def test_a_long_conversation_stays_within_the_context(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    models = await sdk.call(client.chat.wait_for_models, timeout=SOON)
    model = min(models, key=lambda name: models[name].max_context_length)
    conversation = client.chat.conversation(system="Be brief.", model=model)
    for turn in range(6):
        conversation.add({"role": "user", "content": f"{turn} " + "word " * 5000})
        conversation.add({"role": "assistant", "content": "ok"})
    await sdk.call(conversation.ask, "And now?")
    messages = sent(supernet)[-1]["messages"]
    assert messages[0] == {"role": "system", "content": "Be brief."}
    assert [message["content"][:1] for message in messages if message["role"] == "user"] == ["2", "3", "4", "5", "A"]


async def test_a_keyword_nobody_knows_is_refused(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    with pytest.raises(TypeError, match="did you mean 'temperature'"):
        client.chat.conversation(temprature=1)
    for call in (client.chat.completions.create, client.chat.hosted.create):
        with pytest.raises(TypeError, match="did you mean 'temperature'"):
            await sdk.call(call, messages=user("hello"), temprature=1)
    assert supernet.requests == []


# --- many at once, and broken connections


async def test_many_streams_get_their_own_text(sdk: Sdk, supernet: LocalSupernet) -> None:
    """From many threads with one client, or from many tasks of one loop."""
    count = 50 if sdk.blocking else 200
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(50))
    supernet.chat.rate(200)
    supernet.chat.reply(lambda messages: f"Answer to {messages[-1]['content']}: " + "word " * 8, times=None)
    async with sdk.client(supernet) as client:

        async def one(number: int) -> tuple[str, str]:
            # However busy the machine is with all the others.
            stream = await ask(sdk, client, f"question {number}", stream=True, timeout=6 * SOON)
            return "".join([chunk.content async for chunk in sdk.iterate(stream)]), stream.content

        await sdk.call(client.connect, timeout=SOON)
        texts = await asyncio.gather(*(one(number) for number in range(count)))
    expected = [f"Answer to question {number}: " + "word " * 8 for number in range(count)]
    assert [text.strip() for text, _ in texts] == [text.strip() for text in expected]
    assert all(read == whole for read, whole in texts)


@pytest.mark.parametrize("cut", [{"after_tokens": 40}, {"before": "tokens"}, {"after_tokens": 1, "code": 1011}])
async def test_a_cut_stream_goes_on_with_the_same_text(sdk: Sdk, slow_supernet: LocalSupernet, cut: Any) -> None:
    async with sdk.client(slow_supernet) as client:
        whole = (await ask(sdk, client, STORY)).content
    async with sdk.client(slow_supernet) as client:
        fault = slow_supernet.faults.drop_socket(**cut)
        stream = await ask(sdk, client, STORY, stream=True)
        chunks = await sdk.collect(stream)
        assert ("".join(chunk.content for chunk in chunks), stream.content) == (whole, whole)
        assert (fault.fired, len(sent(slow_supernet))) == (1, 2)


async def test_an_answer_that_the_service_forgot_is_told_at_once(sdk: Sdk, slow_supernet: LocalSupernet) -> None:
    slow_supernet.chat.kept_seconds = 0
    async with sdk.client(slow_supernet) as client:
        slow_supernet.faults.drop_socket(after_tokens=5)
        with pytest.raises(sdk.ChatError) as caught:
            await ask(sdk, client, STORY)
        assert (caught.value.error_type, caught.value.retryable) == ("transport_lost", True)
        assert (await ask(sdk, client, STORY)).content


async def test_an_answer_is_not_waited_for_when_another_client_took_over(
    sdk: Sdk, slow_supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """chat §14.2: it is waited for as after any drop, but not for ever."""
    monkeypatch.setattr("sogni.core.chat.state.LOST_SECONDS", 0.2)
    slow_supernet.chat.rate(5)
    async with sdk.client(slow_supernet, app_id="same") as client, sdk.client(slow_supernet, app_id="same") as other:
        stream = await ask(sdk, client, STORY, stream=True)
        await sdk.call(other.connect, timeout=SOON)
        with pytest.raises(sdk.ChatError) as caught:
            await sdk.call(stream.result, timeout=SOON)
        assert caught.value.error_type == "transport_lost"
