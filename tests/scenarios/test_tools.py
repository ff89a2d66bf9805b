"""Tool calls of a language model, executed here: media from arguments, in both packages (tools §4)."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest
from pydantic import BaseModel

from sogni.emulator import Call, LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)
IMAGE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def call(name: str, **arguments: Any) -> dict[str, Any]:
    text = json.dumps({"prompt": "a lighthouse", **arguments})
    return {"id": "call-1", "type": "function", "function": {"name": name, "arguments": text}}


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("generate_image", {"width": 256, "height": 256, "number_of_variations": 2}, "image"),
        ("edit_image", {"source_image_url": IMAGE, "width": 256, "height": 256}, "image"),
        ("generate_video", {"duration": 2, "width": 640, "height": 640}, "video"),
        ("generate_video", {"duration": 2, "reference_image_url": IMAGE, "width": 640, "height": 640}, "video"),
        ("generate_music", {"duration": 10}, "audio"),
    ],
)
async def test_a_call_becomes_media(
    sdk: Sdk, client: Any, supernet: LocalSupernet, name: str, arguments: dict[str, Any], kind: str
) -> None:
    seen: list[Any] = []
    result = await sdk.call(client.chat.tools.execute, call(name, **arguments), on_progress=seen.append, timeout=SOON)
    assert result.error is None
    content = json.loads(result.content)
    assert (content["media_type"], content["urls"]) == (kind, result.result_urls)
    assert len(result.result_urls) == arguments.get("number_of_variations", 1)
    assert [seen[0].status, seen[-1].status, seen[-1].percent] == ["creating", "completed", 100]


async def test_an_earlier_result_is_what_an_index_stands_for(sdk: Sdk, client: Any) -> None:
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON)
    result = await sdk.call(
        client.chat.tools.execute,
        call("generate_video", referenceImageIndices=[0], duration=2, width=640, height=640),
        media_context={"images": project.jobs},
        timeout=SOON,
    )
    assert result.error is None
    assert "_i2v_" in json.loads(result.content)["model"]


async def test_failures_are_results(sdk: Sdk, client: Any) -> None:
    calls = [call("generate_image", prompt=""), call("sound_to_video"), call("orbit_video"), call("mine")]
    results = await sdk.call(client.chat.tools.execute_all, calls, timeout=SOON)
    assert [result.success for result in results] == [False] * 4
    assert "prompt is required" in results[0].error
    assert "reference_audio_url" in results[1].error


async def test_running_out_of_time_cancels_the_project(sdk: Sdk) -> None:
    with LocalSupernet(step_time=30) as supernet:
        async with sdk.client(supernet) as client:
            await sdk.call(client.projects.wait_for_models, SOON)
            result = await sdk.call(client.chat.tools.execute, call("generate_image"), timeout=0.2)
            assert "was not finished within 0.2 seconds and was canceled" in result.error
            assert any("artistCanceled" in str(request) for request in supernet.requests)


class Interruption(BaseException):
    """As Ctrl-C and a cancelled task: no error."""


def canceled_in(supernet: LocalSupernet) -> bool:
    return [project["status"] for project in supernet.projects] == ["canceled"]


async def test_an_interruption_cancels_the_project(sdk: Sdk) -> None:
    """Nobody else has it in hand; also when the client is closed at once."""

    def interrupted(progress: Any) -> None:
        if progress.status == "queued":
            raise Interruption

    with LocalSupernet(step_time=30) as supernet:
        async with sdk.client(supernet) as client:
            with pytest.raises(Interruption):
                await sdk.call(client.chat.tools.execute, call("generate_image"), on_progress=interrupted)
        await asyncio.to_thread(supernet.wait_for, lambda: canceled_in(supernet))


async def test_a_cancelled_task_cancels_the_project() -> None:
    with LocalSupernet(step_time=30) as supernet:
        async with supernet.async_client() as client:
            task = asyncio.create_task(client.chat.tools.execute(call("generate_image")))
            await asyncio.to_thread(supernet.wait_for, lambda: supernet.projects)
            (project,) = client.projects.tracked_projects
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: project.status == "canceled")


async def test_what_raises_before_anything_is_sent(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    tools = client.chat.tools
    with pytest.raises(sdk.ValidationError, match="is not a Sogni tool"):
        await sdk.call(tools.execute, call("mine"))
    with pytest.raises(sdk.ValidationError, match="at most 8"):
        await sdk.call(tools.execute_all, [call("generate_image")] * 9)
    with pytest.raises(sdk.ValidationError, match="timeout"):
        await sdk.call(tools.execute, call("generate_image"), timeout=-1)
    with pytest.raises(sdk.ProtocolError, match="the tool call"):
        await sdk.call(tools.execute, {"function": "generate_image"})
    assert supernet.requests == []


async def test_user_code_runs_where_it_was_called(sdk: Sdk, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    threads: list[str] = []

    def answer(tool_call: Any) -> dict[str, str]:
        threads.append(threading.current_thread().name)
        if tool_call.function.arguments == "{}":
            raise LookupError("nothing there")
        return {"said": tool_call.function.name}

    own = {"id": "1", "function": {"name": "mine", "arguments": '{"a": 1}'}}
    empty = {"id": "2", "function": {"name": "mine", "arguments": "{}"}}
    results = await sdk.call(client.chat.tools.execute_all, [own, empty], on_tool_call=answer)
    assert [result.content for result in results] == [
        '{"said":"mine"}',
        '{"success":false,"error":"nothing there"}',
    ]
    assert all("sogni" not in name for name in threads)
    assert "on_tool_call raised an error" in caplog.text


async def test_async_functions(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    async def answer(tool_call: Any) -> str:
        return f"said {tool_call.function.name}"

    own = {"id": "1", "function": {"name": "mine", "arguments": "{}"}}
    if sdk.blocking:
        with pytest.raises(TypeError, match="use sogni_async"):
            await sdk.call(client.chat.tools.execute_all, [own], on_tool_call=answer)
        (result,) = await sdk.call(client.chat.tools.execute_all, [own], on_tool_call=lambda one: answer(one))
        assert "only sogni_async can await" in result.error
    else:
        (result,) = await sdk.call(client.chat.tools.execute_all, [own], on_tool_call=answer)
        assert result.content == "said mine"
    assert await until(lambda: supernet.requests == [])


# -- completions that execute tools --------------------------------------------


def weather(city: str) -> dict[str, str]:
    """Tell the weather of a city.

    Args:
        city: The name of the city.
    """
    return {"sky": f"blue over {city}"}


def asks(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_image_and_then_a_video_of_it(sdk: Sdk, client: Any, tmp_path: Path, streamed: bool) -> None:
    seen: list[tuple[str, str]] = []
    result = await sdk.call(
        client.chat.completions.create,
        messages=asks("Create an image of a lighthouse and then turn it into a 2 second video"),
        tools=sdk.SogniTools.direct,
        auto_execute_tools=True,
        on_tool_progress=lambda call, progress: seen.append((call.function.name, progress.status)),
        stream=streamed,
    )
    if streamed:
        stream, chunks = result, await sdk.collect(result)
        result = await sdk.call(stream.result)
        assert "".join(chunk.content for chunk in chunks).endswith(result.content)
    results = [one for turn in result.tool_history for one in turn.tool_results]
    assert [(one.tool_name, one.error) for one in results] == [("generate_image", None), ("generate_video", None)]
    assert "_i2v_" in json.loads(results[1].content)["model"]
    assert ("generate_image", "completed") in seen
    assert seen[-1] == ("generate_video", "completed")
    assert result.finish_reason == "stop"
    paths = await sdk.call(client.chat.tools.save, result, tmp_path)
    assert [path.name for path in paths] == ["generate_image-0.png", "generate_video-1.mp4"]
    assert all(path.stat().st_size > 1000 for path in paths)
    lost = attrs.evolve(results[0], result_urls=[results[0].result_urls[0].partition("?")[0]])
    with pytest.raises(sdk.ApiError):
        await sdk.call(client.chat.tools.save, [lost], tmp_path)


async def test_an_own_function_is_called_with_its_types(sdk: Sdk, client: Any) -> None:
    result = await sdk.call(
        client.chat.completions.create,
        messages=asks("What is the weather in Oslo?"),
        tools=[weather],
        auto_execute_tools=True,
    )
    assert "blue over Oslo" in result.content
    assert [one.content for one in result.tool_history[0].tool_results] == ['{"sky":"blue over Oslo"}']


class Place(BaseModel):
    city: str


def climate(place: Place) -> Place:
    """Tell the climate of a place."""
    return Place(city=f"mild {type(place).__name__} {place.city}")


async def test_models_of_pydantic_are_arguments_and_results(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.chat.reply([Call("climate", {"place": {"town": "Oslo"}}), Call("climate", {"place": {"city": "Oslo"}})])
    asked = asks("What is the climate of Oslo?")
    result = await sdk.call(client.chat.completions.create, messages=asked, tools=[climate], auto_execute_tools=True)
    wrong, right = result.tool_history[0].tool_results
    assert wrong.error == "climate: the argument 'place' is invalid: required field 'city' is missing at $.city"
    assert right.content == '{"city":"mild Place Oslo"}'


async def test_tokens_stream_while_tools_run_between_rounds(sdk: Sdk, client: Any) -> None:
    stream = await sdk.call(
        client.chat.completions.create,
        messages=asks("What is the weather in Oslo?"),
        tools=[weather],
        auto_execute_tools=True,
        stream=True,
    )
    chunks = await sdk.collect(stream)
    assert len({chunk.job_id for chunk in chunks}) == 2
    assert "blue over Oslo" in "".join(chunk.content for chunk in chunks)
    assert "blue over Oslo" in stream.content
    assert stream.final_result.tool_history[0].tool_results[0].success
    assert (await sdk.call(stream.result)) == stream.final_result


async def test_a_function_that_raises_is_told_and_logged(
    sdk: Sdk, client: Any, supernet: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(city: str) -> str:
        """Tell the weather of a city."""
        raise LookupError(f"{city} sank")

    broken.__name__ = "weather"
    result = await sdk.call(
        client.chat.completions.create,
        messages=asks("What is the weather in Atlantis?"),
        tools=[broken],
        auto_execute_tools=True,
    )
    (one,) = result.tool_history[0].tool_results
    assert (one.success, one.error) == (False, "Atlantis sank")
    assert "the tool weather raised an error" in caplog.text


async def test_too_many_rounds_raise_with_what_was_done(sdk: Sdk, client: Any) -> None:
    with pytest.raises(sdk.ToolLimitError) as caught:
        await sdk.call(
            client.chat.completions.create,
            messages=asks("What is the weather in Oslo?"),
            tools=[weather],
            auto_execute_tools=True,
            max_tool_rounds=1,
        )
    assert [one.tool_results[0].success for one in caught.value.tool_history] == [True]


async def test_async_functions_are_tools_where_they_can_be_awaited(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    async def weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"grey over {city}"

    options = {"messages": asks("What is the weather in Oslo?"), "tools": [weather], "auto_execute_tools": True}
    if sdk.blocking:
        with pytest.raises(TypeError, match="weather is an async function"):
            await sdk.call(client.chat.completions.create, **options)
        assert supernet.requests == []
    else:
        assert "grey over Oslo" in (await client.chat.completions.create(**options)).content


async def test_a_conversation_goes_on_from_what_tools_made(sdk: Sdk, client: Any) -> None:
    talk = client.chat.conversation(tools=sdk.SogniTools.direct, auto_execute_tools=True)
    await sdk.call(talk.ask, "Create an image of a lighthouse")
    stream = await sdk.call(talk.ask, "Turn it into a video", stream=True)
    await sdk.collect(stream)
    (one,) = [one for turn in stream.final_result.tool_history for one in turn.tool_results]
    assert (one.tool_name, one.error) == ("generate_video", None)
    assert "_i2v_" in json.loads(one.content)["model"]
    assert [message.role for message in talk.messages].count("tool") == 2


async def test_two_readers_of_a_stream_have_its_tools_run_once(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    ran: list[str] = []

    def look(place: str) -> str:
        """Look somewhere."""
        ran.append(place)
        return "nothing"

    supernet.chat.reply(Call("look", {"place": "here"}))
    supernet.chat.reply("There is nothing.")
    options = {"messages": asks("Look here"), "tools": [look], "auto_execute_tools": True, "stream": True}
    stream = await sdk.call(client.chat.completions.create, **options, timeout=SOON)
    chunks, first, second = await asyncio.gather(
        sdk.collect(stream), sdk.call(stream.result, SOON), sdk.call(stream.result, SOON)
    )
    assert "".join(chunk.content for chunk in chunks) == first.content == second.content == "There is nothing."
    assert (ran, len(first.tool_history)) == (["here"], 1)


async def test_models_that_only_spark_pays_for(sdk: Sdk, supernet: LocalSupernet) -> None:
    seedance = call("generate_video", videoModel="seedance2", duration=4, aspectRatio="480x480")
    async with sdk.client(supernet, token_type="sogni") as client:
        execute = client.chat.tools.execute
        refused = await sdk.call(execute, seedance, token_type="sogni", timeout=SOON)
        assert "token_type must be 'spark' for seedance-2-0" in refused.error
        assert not [it for it in supernet.requests if getattr(it, "type", None) == "jobRequest"]
        result = await sdk.call(execute, seedance, timeout=SOON)
        assert result.error is None
    sent = [it.data["tokenType"] for it in supernet.requests if getattr(it, "type", None) == "jobRequest"]
    assert sent == ["spark"]


NEWER: dict[str, tuple[dict[str, Any], str]] = {
    "upscale_image": ({"scale": 2}, "image/png"),
    "remove_background": ({}, "image/png"),
    "segment_image": ({"text": "the lighthouse"}, "image/png"),
    "image_to_3d": ({"textureSize": 1024}, "model/gltf-binary"),
    "generate_speech": ({"prompt": "hello", "outputFormat": "flac"}, "audio/flac"),
    "upscale_video": ({"targetResolution": 1080}, "video/mp4"),
}
"""Tools that only the service runs, their arguments, and what they make."""
STILL = ({"prompt": "a lighthouse", "aspectRatio": "256x256"}, "image/png")
ASK = [{"role": "user", "content": "Do what the script says"}]


async def test_the_service_alone_runs_some_tools(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    """A direct call is answered with an error; hosted chats, runs and workflows run them (tools §1.2)."""
    calls = [call(name, **arguments) for name, (arguments, _) in NEWER.items()]
    assert all(sdk.is_sogni_tool_call(it) for it in calls)
    for result in await sdk.call(client.chat.tools.execute_all, calls):
        assert "runs only in the service" in result.error
    assert not [it for it in supernet.requests if getattr(it, "type", None) == "jobRequest"]

    # Enlarging a video takes long; tests/emulator/tools does it.
    steps = {"generate_image": STILL, **NEWER}
    del steps["upscale_video"]
    expected = [kind for _, kind in steps.values()]
    tool_calls = [(name, arguments) for name, (arguments, _) in steps.items()]
    supernet.chat.reply(tool_calls=tool_calls)
    hosted = await sdk.call(
        client.chat.hosted.create, messages=ASK, sogni_tools=True, sogni_tool_execution=True, timeout=SOON
    )
    assert [it["artifacts"][0]["mimeType"] for it in hosted.sogni_tool_results] == expected

    supernet.chat.reply(tool_calls=tool_calls)
    run = await sdk.call(client.chat.runs.create, messages=ASK)
    run = await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
    assert (run.status, [it.mime_type for it in run.artifacts]) == ("completed", expected)

    source = {"sourceStepId": "generate_image", "transform": "image_index", "targetArgument": "sourceImageIndex"}
    plan = [
        {
            "id": name,
            "toolName": name,
            "arguments": arguments,
            "dependsOn": [source] if "image" in (name + kind) else [],
        }
        for name, (arguments, kind) in steps.items()
    ]
    plan[0]["dependsOn"] = []
    workflow = await sdk.call(client.workflows.start, input={"steps": plan}, strict=True)
    workflow = await sdk.call(client.workflows.wait, workflow.workflow_id, timeout=SOON)
    assert workflow.status == "completed"
    assert sorted(it.mime_type for it in workflow.artifacts) == sorted(expected)
