"""Load for the emulator from a client without the SDK, in a process of its own: projects, chats, and pings.

The client is a coroutine over plain `aiohttp`, so that its own work is small and does not count as the emulator's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from attrs import frozen

from tests.emulator.wire import job_request

ROOT = Path(__file__).resolve().parents[2]
_QUERY = "clientName=Sogni/5.0.0%20(bench)%201.0&clientType=artist&forceWorkerId=fast"
CHAT_MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"


@frozen
class Load:
    """What a client process does: on each socket, so many projects or chats at once."""

    kind: str
    sockets: int
    each: int

    def run(self, endpoint: str, api_key: str, timeout: float = 150) -> float:
        """Run it, and return the seconds from the first request, when all sockets are open, to the last result."""
        values = (self.kind, str(self.sockets), str(self.each), endpoint)
        command = [sys.executable, "-m", "tests.bench.emulator_load", *values]
        # The key is read from standard input: others can see arguments.
        done = subprocess.run(
            command, cwd=ROOT, input=api_key, check=True, capture_output=True, text=True, timeout=timeout
        )
        return float(done.stdout)


def chat_request() -> dict[str, Any]:
    return {
        "jobID": str(uuid.uuid4()).upper(),
        "type": "llm",
        "model": CHAT_MODEL,
        "messages": [{"role": "user", "content": "Say something about lighthouses."}],
        "stream": True,
        "max_tokens": 64,
        "tokenType": "spark",
    }


def message(type: str, payload: object) -> str:
    return json.dumps({"type": type, "data": base64.b64encode(json.dumps(payload).encode()).decode()})


def finished(text: str) -> str | None:
    """Return the ID of the project or chat that a message ends; raises RuntimeError if it failed."""
    envelope = json.loads(text)
    if envelope["type"] not in ("jobState", "llmJobResult", "jobError", "llmJobError"):
        return None
    payload = json.loads(base64.b64decode(envelope["data"]))
    if envelope["type"].endswith("Error"):
        raise RuntimeError(f"{envelope['type']}: {payload}")
    ends = envelope["type"] == "llmJobResult" or payload["type"] == "jobCompleted"
    return str(payload["jobID"]) if ends else None


async def converse(
    socket: aiohttp.ClientWebSocketResponse, type: str, request: Callable[[], dict[str, Any]], each: int
) -> None:
    """Send the requests and read until the last has ended."""
    left = set()
    for _ in range(each):
        wanted = request()
        left.add(wanted["jobID"])
        await socket.send_str(message(type, wanted))
    while left:
        left.discard(finished(await socket.receive_str()))


async def main(kind: str, sockets: int, each: int, endpoint: str, api_key: str) -> float:
    frame, request = ("jobRequest", job_request) if kind == "projects" else ("llmJobRequest", chat_request)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers={"api-key": api_key}) as session:
        urls = [f"{endpoint}/?appId=bench-{number}&{_QUERY}" for number in range(sockets)]
        opened = await asyncio.gather(*(session.ws_connect(url, max_msg_size=0) for url in urls))
        # Frames that arrive before `authenticated` are dropped.
        await asyncio.gather(*(socket.receive_str() for socket in opened))
        begun = time.monotonic()
        await asyncio.gather(*(converse(socket, frame, request, each) for socket in opened))
        return time.monotonic() - begun


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.stdin.read())))
