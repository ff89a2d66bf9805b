"""Objects of a closed event loop raise an error instead of waiting forever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni_async import ClientClosedError, SogniClient

ASK = [{"role": "user", "content": "Tell me a story"}]


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as running:
        yield running


async def chat_stream(client: SogniClient) -> Any:
    return await client.chat.completions.create(messages=ASK, stream=True)


async def tool_stream(client: SogniClient) -> Any:
    return await client.chat.completions.create(messages=ASK, stream=True, auto_execute_tools=True)


async def run_stream(client: SogniClient) -> Any:
    run = await client.chat.runs.create(messages=[{"role": "user", "content": "Create an image of a red kite"}])
    stream = client.chat.runs.stream_events(run.run_id)
    await anext(stream)
    return stream


async def project(client: SogniClient) -> Any:
    return await client.projects.create(
        type="image", model_id="flux1-schnell-fp8", positive_prompt="x", width=256, height=256
    )


async def file(client: SogniClient) -> Any:
    (job,) = (await (await project(client)).wait(timeout=20)).jobs
    return await job.open()


async def waited(handle: Any) -> Any:
    return await handle.wait(timeout=20)


async def first_event(handle: Any) -> Any:
    return await anext(handle.events(timeout=20))


async def read(stream: Any) -> Any:
    return await stream.read(10)


async def result(stream: Any) -> Any:
    return await stream.result(timeout=20)


MADE_AND_READ = [
    pytest.param(chat_stream, anext, id="chunks"),
    pytest.param(chat_stream, result, id="answer"),
    pytest.param(tool_stream, anext, id="chunks of rounds"),
    pytest.param(run_stream, anext, id="events of a run"),
    pytest.param(project, waited, id="project"),
    pytest.param(project, first_event, id="events of a project"),
    pytest.param(file, read, id="file"),
]


@pytest.mark.parametrize(("make", "use"), MADE_AND_READ)
def test_a_handle_of_a_closed_loop_says_so(supernet: LocalSupernet, make: Any, use: Any) -> None:
    supernet.pause_workers() if make in (project, run_stream) else supernet.resume_workers()
    client = supernet.async_client()
    loop = asyncio.new_event_loop()
    made = loop.run_until_complete(make(client))
    loop.close()

    async def later() -> None:
        try:
            async with asyncio.timeout(10):
                with pytest.raises(ClientClosedError, match="belongs to an event loop that is closed"):
                    await use(made)
        finally:
            await client.close()

    asyncio.run(later())
    supernet.resume_workers()


@pytest.mark.parametrize(("make", "use"), MADE_AND_READ)
async def test_a_handle_of_another_open_loop_is_refused(supernet: LocalSupernet, make: Any, use: Any) -> None:
    supernet.pause_workers() if make in (project, run_stream) else supernet.resume_workers()
    async with supernet.async_client() as client:
        made = await make(client)
        outcomes: list[Any] = []

        def elsewhere() -> None:
            try:
                outcomes.append(asyncio.run(use(made)))
            except RuntimeError as error:
                outcomes.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join, 20)
        assert "belongs to another event loop" in outcomes[0]
        if hasattr(made, "close"):
            await made.close()
    supernet.resume_workers()
