"""`timeout=` is for everything a call does: connecting, retries and requests included, with one public error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import Sdk
from tests.scenarios.test_network import listening

LIMIT = 0.4
LATE = 5.0
"""Seconds that only a call without the limit takes."""
HELLO = [{"role": "user", "content": "hello"}]
REFUSED = "127.0.0.1:1"


async def timed(sdk: Sdk, function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """The outcome of a call, or its error, in time."""
    began = asyncio.get_running_loop().time()
    try:
        return await sdk.call(function, *args, **keywords)
    except Exception as error:
        return error
    finally:
        assert asyncio.get_running_loop().time() - began < LATE


@pytest.mark.parametrize("options", [{}, {"stream": True}, {"auto_execute_tools": True}])
async def test_a_completion_that_cannot_be_sent_ends_in_time(
    sdk: Sdk, supernet: LocalSupernet, options: dict[str, Any]
) -> None:
    async with sdk.client(supernet, socket_endpoint=f"ws://{REFUSED}") as client:
        error = await timed(sdk, client.chat.completions.create, messages=HELLO, timeout=LIMIT, **options)
    assert (type(error), error.timeout) == (sdk.SogniTimeoutError, LIMIT)
    assert f"cannot connect to {REFUSED}: Connection refused" in str(error)


async def test_a_check_ends_in_time(sdk: Sdk, supernet: LocalSupernet) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with listening(silent) as port:
        options = {"rest_endpoint": f"http://127.0.0.1:{port}", "socket_endpoint": f"ws://{REFUSED}"}
        async with sdk.client(supernet, **options) as client:
            report = await timed(sdk, client.check, timeout=LIMIT)
    assert [check.error for check in report.checks] == ["SogniTimeoutError"] * 3


@pytest.mark.parametrize(
    "call",
    [
        lambda client: (client.chat.hosted.create, {"messages": HELLO}),
        lambda client: (client.chat.hosted.execute_tool, {"tool": "compose_lyrics", "arguments": {"prompt": "x"}}),
        lambda client: (client.chat.runs.wait, {"run_id": "R"}),
        lambda client: (client.workflows.wait, {"workflow_id": "W"}),
        lambda client: (client.api_client.rest.request, {"method": "GET", "path": "/v1/account/me"}),
    ],
    ids=["hosted", "hosted tool", "run", "workflow", "rest"],
)
async def test_a_request_that_fails_again_and_again_ends_in_time(sdk: Sdk, supernet: LocalSupernet, call: Any) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with listening(silent) as port, sdk.client(supernet, rest_endpoint=f"http://127.0.0.1:{port}") as client:
        function, arguments = call(client)
        error = await timed(sdk, function, **arguments, timeout=LIMIT)
    assert isinstance(error, sdk.SogniTimeoutError), error


async def test_a_tool_that_cannot_be_sent_ends_in_time(sdk: Sdk, supernet: LocalSupernet) -> None:
    tool_call = {
        "id": "call-1",
        "type": "function",
        "function": {"name": "generate_image", "arguments": '{"prompt": "a lighthouse"}'},
    }
    async with sdk.client(supernet, socket_endpoint=f"ws://{REFUSED}") as client:
        result = await timed(sdk, client.chat.tools.execute, tool_call, timeout=LIMIT)
    assert result.success is False


@pytest.mark.parametrize("name", ["projects", "chat"])
async def test_waiting_for_models_and_connecting_end_in_time(sdk: Sdk, supernet: LocalSupernet, name: str) -> None:
    async with sdk.client(supernet, socket_endpoint=f"ws://{REFUSED}") as client:
        for function in (getattr(client, name).wait_for_models, client.connect):
            assert type(await timed(sdk, function, timeout=LIMIT)) is sdk.SogniTimeoutError
