"""Answers that would never end or fill the memory: every call has a time limit as a whole, every body a size limit."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.settings import MAX_REPLY_SIZE
from tests.scenarios.conftest import SOON, Sdk
from tests.scenarios.test_network import listening

LIMIT = 0.15


Answer = Callable[[asyncio.StreamWriter, asyncio.Event], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """A host that hands every request to a function, and hangs up after it."""
    over, handlers = asyncio.Event(), set[asyncio.Task[Any] | None]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer, over)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async with listening(handle) as port:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            over.set()
            await asyncio.gather(*filter(None, handlers))


def saying(*parts: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return answer


def dripping(head: bytes, drop: bytes) -> Answer:
    """An answer that never ends, but never pauses for long either."""

    async def answer(writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
        writer.write(head)
        while not over.is_set():
            writer.write(drop)
            await writer.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), LIMIT / 10)

    return answer


def encoded(body: bytes, encoding: str, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@cache
def bomb(encoding: str) -> bytes:
    """A small body that exceeds the limit once decompressed, yet is valid JSON."""
    plain = b'"' + b"x" * (MAX_REPLY_SIZE + 1) + b'"'
    return gzip.compress(plain, 1) if encoding == "gzip" else zlib.compress(plain, 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_an_answer_that_grows_beyond_the_limit_when_decompressed(
    sdk: Sdk, supernet: LocalSupernet, encoding: str
) -> None:
    answer = saying(encoded(bomb(encoding), encoding))
    async with answering(answer) as rest, sdk.client(supernet, rest_endpoint=rest) as client:
        with pytest.raises(sdk.ProtocolError, match="the response must be at most 67108864 bytes once decompressed"):
            await sdk.call(client.account.me)


async def test_an_encoding_that_was_not_requested_is_refused(sdk: Sdk, supernet: LocalSupernet) -> None:
    answer = saying(encoded(b"brotli", "br"))
    async with answering(answer) as rest, sdk.client(supernet, rest_endpoint=rest) as client:
        with pytest.raises(sdk.ProtocolError, match="must be one of gzip, deflate, got 'br'"):
            await sdk.call(client.account.me)


@pytest.mark.parametrize(("body", "encoding"), [(bomb, "gzip"), (lambda _: b"brotli", "br"), (lambda _: b"no", "gzip")])
async def test_the_status_of_a_refusal_survives_its_body(
    sdk: Sdk, supernet: LocalSupernet, body: Callable[[str], bytes], encoding: str
) -> None:
    answer = saying(encoded(body(encoding), encoding, "403 Forbidden"))
    async with answering(answer) as rest, sdk.client(supernet, rest_endpoint=rest) as client:
        with pytest.raises(sdk.PermissionDeniedError) as caught:
            await sdk.call(client.account.me)
    assert caught.value.status == 403
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_what_is_compressed_arrives_whole(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, encoding: str
) -> None:
    content = b"\x89PNG\r\n\x1a\n" + b"picture" * 100_000
    body = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    async with answering(saying(encoded(body, encoding))) as base, sdk.client(supernet) as client:
        project = await sdk.create(client)
        job = (await sdk.call(project.wait, timeout=SOON)).jobs[0]
        job._state.change(result_url=f"{base}/result.png")
        assert await sdk.call(job.get_result_data) == content
        assert (await sdk.call(job.save, tmp_path / "result.png")).read_bytes() == content
        stream = await sdk.call(job.open)
        assert [await sdk.call(stream.read, 4), await sdk.call(stream.read)] == [content[:4], content[4:]]
        await sdk.call(stream.close)


async def test_a_stream_of_events_may_be_compressed(sdk: Sdk, supernet: LocalSupernet) -> None:
    lines = b'id: 1\nevent: workflow_status\ndata: {"status": "completed"}\n\n'
    answer = encoded(gzip.compress(lines), "gzip").replace(b"200 OK", b"200 OK\r\nContent-Type: text/event-stream")
    async with answering(saying(answer)) as rest, sdk.client(supernet, rest_endpoint=rest) as client:
        events = await sdk.collect(client.workflows.stream_events("W"))
    assert [event.event for event in events] == ["workflow_status"]


HEAD = dripping(b"HTTP/1.1 200 OK\r\nX-Padding: ", b"x")
BODY = dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")
CHUNK_SIZE = dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0")
REFUSAL = dripping(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")


def impatient(sdk: Sdk) -> dict[str, Any]:
    return {
        "timeout": sdk.Timeouts(connect=LIMIT, request=LIMIT, transfer=LIMIT),
        "retry": sdk.RetryPolicy(attempts=1),
    }


@pytest.mark.parametrize("answer", [HEAD, BODY, CHUNK_SIZE, REFUSAL], ids=["head", "body", "chunk size", "refusal"])
async def test_an_answer_that_drips_ends_with_the_time_of_the_call(
    sdk: Sdk, supernet: LocalSupernet, answer: Any
) -> None:
    async with answering(answer) as rest, sdk.client(supernet, rest_endpoint=rest, **impatient(sdk)) as client:
        async with asyncio.timeout(SOON):
            with pytest.raises(sdk.SogniTimeoutError) as caught:
                await sdk.call(client.account.me)
    assert (caught.value.phase, caught.value.timeout) == ("request", LIMIT)


@pytest.mark.parametrize("answer", [HEAD, REFUSAL], ids=["head", "refusal"])
async def test_a_transfer_whose_answer_drips_ends_in_time(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, answer: Any
) -> None:
    async with answering(answer) as base, sdk.client(supernet) as patient:
        project = await sdk.create(patient)
        await sdk.call(project.wait, timeout=SOON)
        async with sdk.client(supernet, **impatient(sdk)) as client, asyncio.timeout(SOON):
            job = (await sdk.call(client.projects.attach, project)).jobs[0]
            job._state.change(result_url=f"{base}/result.png")
            for fetch in (job.get_result_data, lambda: job.save(tmp_path / "x.png"), job.open):
                with pytest.raises(sdk.SogniTimeoutError):
                    await sdk.call(fetch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [HEAD, REFUSAL], ids=["head", "refusal"])
async def test_a_stream_of_events_whose_answer_drips_ends_in_time(
    sdk: Sdk, supernet: LocalSupernet, answer: Any
) -> None:
    async with answering(answer) as rest, sdk.client(supernet, rest_endpoint=rest, **impatient(sdk)) as client:
        async with asyncio.timeout(SOON):
            with pytest.raises(sdk.SogniTimeoutError):
                await sdk.collect(client.workflows.stream_events("W"))


async def test_a_proxy_that_drips_ends_with_the_time_of_the_call(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with answering(HEAD) as proxy:
        options = {"rest_endpoint": "https://api.sogni.test", "proxy": proxy, **impatient(sdk)}
        async with sdk.client(supernet, **options) as client, asyncio.timeout(SOON):
            with pytest.raises(sdk.SogniTimeoutError, match=f"through the proxy {proxy.removeprefix('http://')}"):
                await sdk.call(client.account.me)
