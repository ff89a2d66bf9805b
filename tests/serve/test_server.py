"""The server on a socket: its clients, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sogni.emulator import LocalSupernet
from tests.serve.asgi import KEY, Caller

pytestmark = pytest.mark.integration

HEADERS = {"Authorization": f"Bearer {KEY}"}


@asynccontextmanager
async def running(call: Caller, grace: float = 10.0) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """Run the server; yields its URL and its task, whose cancellation ends it."""
    from sogni.serve.server import is_loopback, listen, serve

    listener = listen("127.0.0.1", 0)
    with listener:
        assert is_loopback(listener)
        task = asyncio.ensure_future(serve(call.service, listener, grace=grace))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", task
        finally:
            task.cancel()
            await asyncio.wait({task})


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "messages": [{"role": "user", "content": "hi"}], **fields}


async def test_many_requests_over_few_connections(call: Caller) -> None:
    async with (
        running(call) as (url, _),
        aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(limit=4)) as session,
    ):

        async def one(number: int) -> int:
            async with session.post(f"{url}/chat/completions", json=chat(stream=number % 2 == 0)) as reply:
                content = await reply.read()
                assert content.endswith(b"[DONE]\n\n" if number % 2 == 0 else b"}"), content
                return reply.status

        assert set(await asyncio.gather(*map(one, range(40)))) == {200}


async def test_client_with_too_large_a_body_reads_the_answer(call: Caller) -> None:
    call.service.max_body = 100_000
    async with running(call) as (url, _), aiohttp.ClientSession(headers=HEADERS) as session:
        for body in (b" " * 190_000, chunks(19)):
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/chat/completions", data=body, headers=headers) as reply:
                assert (reply.status, (await reply.json())["error"]["code"]) == (413, "request_too_large")


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 10_000


async def test_client_that_leaves_a_stream_frees_its_place(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.rate(20)
    supernet.chat.reply("word " * 200, times=None)
    async with running(call) as (url, _), aiohttp.ClientSession(headers=HEADERS) as session:
        async with session.post(f"{url}/chat/completions", json=chat(stream=True)) as reply:
            await reply.content.readline()
        while (await (await session.get(url.replace("/v1", "/health"))).json())["requests"] > 1:
            await asyncio.sleep(0.01)


async def test_streams_end_in_order_when_the_server_ends(call: Caller, supernet: LocalSupernet) -> None:
    supernet.chat.rate(20)
    supernet.chat.reply("word " * 200)
    async with running(call, grace=0) as (url, task), aiohttp.ClientSession(headers=HEADERS) as session:
        async with session.post(f"{url}/chat/completions", json=chat(stream=True)) as reply:
            await reply.content.readline()
            task.cancel()
            *_, last = (await reply.read()).removesuffix(b"\n\n").split(b"\n\n")
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "shutting_down"
        await asyncio.wait({task})
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{url}/models")
