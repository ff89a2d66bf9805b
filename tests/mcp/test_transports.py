"""`sogni mcp` as a program, used by the official client over standard input and output and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

from sogni.cli.mcp import KEY_VARIABLE
from sogni.emulator import LocalSupernet
from sogni.mcp.tools import MAKERS
from tests.mcp.hosts import MODES, SMALL
from tests.mcp.test_tools import picture_file, until

pytestmark = pytest.mark.integration

KEY = "a key that is long enough".replace(" ", "-")
COMMAND = ["-m", "sogni", "mcp", "--ask-above", "0"]
MAKING = len(MAKERS)


def approver(asked: list[str]) -> Any:
    """Return what approves everything that the user is asked for."""

    async def approve(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    return approve


async def call_every_tool(client: Client, folder: Path) -> None:
    """Call every tool, and expect results and progress of each."""
    (folder / "picture.png").write_bytes(picture_file())
    seen: dict[str, list[float]] = {}

    async def call(name: str, **arguments: Any) -> Any:
        reported: list[float] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            assert (total, bool(message)) == (100, True)
            if progress == 0:
                reported.clear()  # the call was repeated with an answer of the user
            reported.append(progress)

        answer = await client.call_tool(name, arguments, progress_callback=note)
        assert not answer.is_error, answer.content
        seen[name] = reported
        return answer.structured_content

    image = await call("generate_image", **SMALL)
    assert Path(image["results"][0]["path"]).parent == folder
    uri, project_id = image["results"][0]["uri"], image["project_id"]
    await call("edit_image", prompt="at night", images=["picture.png"], width=256, height=256)
    await call("generate_video", prompt="waves", image=uri, duration=1)
    await call("generate_music", prompt="a shanty", duration=10)
    await call("generate_speech", text="Hello.")
    await call("estimate", tool="generate_image", arguments=SMALL)
    await call("list_projects")
    await call("get_project", project_id=project_id)
    await call("cancel_project", project_id=project_id)
    await call("list_models", media="audio")
    await call("get_model", model="krea2_turbo_fp8_scaled")
    await call("list_loras")
    await call("get_balance")
    assert list(seen) == [tool.name for tool in (await client.list_tools()).tools]
    for reported in seen.values():
        assert reported == sorted(set(reported))
        assert (reported[0], reported[-1]) == (0, 100)


async def cancel_a_call(client: Client, supernet: LocalSupernet) -> None:
    """Cancel a call, and expect that its project is canceled."""
    before = len(supernet.projects)
    supernet.pause_workers()
    try:
        call = asyncio.ensure_future(client.call_tool("generate_image", SMALL))
        await until(lambda: len(supernet.projects) > before)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: supernet.projects[-1]["status"] == "canceled")
    finally:
        supernet.resume_workers()


@pytest.fixture
def environment(supernet: LocalSupernet) -> dict[str, str]:
    """The environment of a server that uses the emulator of this file."""
    return {
        **os.environ,
        "SOGNI_API_KEY": supernet.api_key,
        "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
        "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
    }


async def test_every_tool_over_standard_input_and_output(environment: dict[str, str], tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=[*COMMAND, "--root", str(tmp_path)], env=environment, cwd=tmp_path
    )
    # What hosts speak today; the other protocol is tried over HTTP.
    asked: list[str] = []
    client = Client(stdio_client(server), mode="legacy", elicitation_callback=approver(asked))
    async with asyncio.timeout(90), client as opened:
        await call_every_tool(opened, tmp_path)
    assert len(asked) == MAKING


@asynccontextmanager
async def serving(environment: dict[str, str], *arguments: str) -> AsyncIterator[tuple[Process, str, str | None]]:
    """Run a server over HTTP: the process, the URL, and the key if it is new."""
    command = [*COMMAND, "--http", "--port", "0", "--json", *arguments]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, env=environment)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            printed = json.loads(await process.stdout.readuntil(b"}"))
        yield process, printed["url"], printed.get("key")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_every_tool_over_http(environment: dict[str, str], supernet: LocalSupernet, tmp_path: Path) -> None:
    async with serving({**environment, KEY_VARIABLE: KEY}, "--root", str(tmp_path)) as (_, url, new):
        assert new is None
        for mode in MODES:
            async with (
                httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as http,
                Client(
                    streamable_http_client(url, http_client=http),
                    mode=mode,
                    elicitation_callback=approver(asked := []),
                ) as client,
            ):
                await call_every_tool(client, tmp_path)
                assert len(asked) == MAKING
                await cancel_a_call(client, supernet)


async def test_requests_without_key_or_from_elsewhere_are_refused(environment: dict[str, str]) -> None:
    async with serving(environment) as (_, url, key), httpx2.AsyncClient() as http:
        assert len(key or "") >= 40
        right = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": f"Basic {key}"}, 401),
            ({**right, "Host": "attacker.example"}, 421),
            ({**right, "Origin": "https://attacker.example"}, 403),
            ({**right, "Content-Type": "text/plain"}, 400),
            ({**right, "Authorization": f"bearer {key}"}, 400),
        ):
            assert (await http.post(url, content=b"{}", headers=headers)).status_code == status
        for content, status in ((b"{", 400), (b"x" * (33 * 1024 * 1024), 413)):
            answer = await http.post(url, content=content, headers=right)
            assert (answer.status_code, "Traceback" in answer.text) == (status, False)


async def test_only_protocol_is_printed_and_the_end_cancels_projects(
    environment: dict[str, str], supernet: LocalSupernet
) -> None:
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    messages = (
        {"id": 1, "method": "initialize", "params": client},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "generate_image", "arguments": SMALL}},
    )
    supernet.pause_workers()
    try:
        for number, code in ((None, 0), (signal.SIGINT, 0), (signal.SIGTERM, 143)):
            before = len(supernet.projects)
            process = await asyncio.create_subprocess_exec(
                sys.executable, *COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
            )
            assert process.stdin is not None
            process.stdin.write(b"no JSON\n")
            for message in messages:
                process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            await until(lambda before=before: len(supernet.projects) > before)  # type: ignore[misc]
            # A signal must end a server whose host does not close its side.
            if number is None:
                process.stdin.close()
            else:
                process.send_signal(number)
            async with asyncio.timeout(60):
                printed, errors = await process.communicate()
            assert (process.returncode, b"Traceback" in errors) == (code, False)
            assert {json.loads(line)["jsonrpc"] for line in printed.splitlines()} == {"2.0"}
            assert supernet.projects[-1]["status"] == "canceled"
    finally:
        supernet.resume_workers()
