"""Connection errors: the same plain words in both packages, and nothing of what a foreign peer sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import Sdk, why_not_connected
from tests.scenarios.test_network import listening

SSH = b"SSH-2.0-OpenSSH_9.6 token-of-somebody\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[int]:
    """A host that answers whatever it receives with these bytes, and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(65536)
            writer.write(answer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async with listening(handle) as port:
        yield port


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (SSH, "the response is not valid HTTP"),
        (b"HTTP/1.1 two-hundred OK\r\n\r\n", "the response is not valid HTTP"),
        (b"", "it closed the connection without a response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20282\r\n\r\n" + b"x" * 100, "the response was cut off"),
        (CHUNKED + b"20\r\nhalf", "the response was cut off"),
    ],
)
async def test_a_rest_host_that_answers_something_else(
    sdk: Sdk, supernet: LocalSupernet, answer: bytes, cause: str
) -> None:
    async with saying(answer) as port, sdk.client(supernet, rest_endpoint=f"http://127.0.0.1:{port}") as client:
        with pytest.raises(sdk.SogniConnectionError) as caught:
            await sdk.call(client.account.me)
    assert str(caught.value) == f"cannot reach 127.0.0.1:{port}: {cause}"


async def test_a_body_that_is_not_chunked_as_announced_is_not_quoted(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with saying(CHUNKED + SSH) as port, sdk.client(supernet, rest_endpoint=f"http://127.0.0.1:{port}") as client:
        with pytest.raises(sdk.SogniConnectionError, match=r": the response (was cut off|is not valid HTTP)$"):
            await sdk.call(client.account.me)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (SSH, "the response is not a WebSocket upgrade"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "the response is not a WebSocket upgrade"),
        (b"", "it closed the connection without a response"),
    ],
)
async def test_a_socket_host_that_answers_something_else(
    sdk: Sdk, supernet: LocalSupernet, answer: bytes, cause: str
) -> None:
    async with saying(answer) as port, sdk.client(supernet, socket_endpoint=f"ws://127.0.0.1:{port}") as client:
        error = await why_not_connected(sdk, client)
    assert f"cannot connect to 127.0.0.1:{port}: {cause}" in str(error)


async def test_a_host_that_does_not_speak_tls(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        options = {"rest_endpoint": f"https://127.0.0.1:{port}", "socket_endpoint": f"wss://127.0.0.1:{port}"}
        async with sdk.client(supernet, **options) as client:
            with pytest.raises(sdk.SogniConnectionError) as rest:
                await sdk.call(client.account.me)
            socket = await why_not_connected(sdk, client)
    assert str(rest.value) == f"cannot reach 127.0.0.1:{port}: it does not speak TLS"
    assert f"cannot connect to 127.0.0.1:{port}: it does not speak TLS" in str(socket)


@pytest.mark.parametrize("url", ["http://[::1", "//host/x.png", "ftp://host/x.png", "http:///x.png", "http://h:x/y"])
async def test_a_result_url_that_cannot_be_fetched(sdk: Sdk, supernet: LocalSupernet, url: str) -> None:
    async with sdk.client(supernet) as client:
        project = await sdk.create(client)
        await sdk.call(project.wait, timeout=20)
        project.jobs[0]._state.change(result_url=url)
        for method in ("get_result_data", "open"):
            with pytest.raises(sdk.ProtocolError, match="a URL to fetch must start with https:// or http://"):
                await sdk.call(getattr(project.jobs[0], method))
