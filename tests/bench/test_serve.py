"""Benchmark: the time that `sogni serve` adds to a token, and the memory that it keeps of its requests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest

import sogni_async
from tests.bench.chat_source import MODEL, ChatSource
from tests.bench.figures import Figures

pytestmark = pytest.mark.bench

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

STREAMS = 200
TOKENS = 20
RATE = 10.0
"""Tokens per second and stream: 2,000 per second together."""
ROUNDS = range(2, 9)
"""At least and at most: more rounds than the fewest only if other programs have disturbed those before."""
BUDGET = 0.001
REQUESTS = 10_000
WARM_UP = 2_000
GROWTH = 4.0
"""MB that memory may grow by between the warm-up and the end: what allocators keep, and nothing per request."""
AT_ONCE = 16
MESSAGE = {"role": "user", "content": "Say something about lighthouses."}


class Served:
    """`sogni serve` as a process."""

    def __init__(self, source: ChatSource) -> None:
        command = [sys.executable, "-m", "sogni", "-q", "serve", "--port", "0", "--json"]
        environment = {
            **os.environ,
            "SOGNI_API_KEY": "bench",
            "SOGNI_REST_ENDPOINT": source.http,
            "SOGNI_SOCKET_ENDPOINT": source.websocket,
        }
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1] != "}\n":
            lines.append(self.process.stdout.readline())
            assert lines[-1], "sogni serve has not started"
        found = json.loads("".join(lines))
        parts = urlsplit(found["baseUrl"])
        self.address = (parts.hostname, parts.port)
        self._key = found["apiKey"]

    def request(self, *, stream: bool) -> bytes:
        body = json.dumps({"model": MODEL, "messages": [MESSAGE], "stream": stream}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def memory(self) -> float | None:
        """MB that the process occupies, if the system tells."""
        if sys.platform != "linux":
            return None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def source() -> Iterator[ChatSource]:
    with ChatSource() as started:
        yield started


@pytest.fixture(scope="module")
def served(source: ChatSource) -> Iterator[Served]:
    started = Served(source)
    yield started
    started.close()


async def through_the_server(served: Served) -> list[float]:
    """Delays of the tokens of one stream, read from a bare socket."""
    found: list[float] = []
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(served.request(stream=True))
    end = False
    while not end:
        # One chunk of the body, or the head.
        data = await reader.read(65536)
        now = time.monotonic()
        assert data
        found += [now - float(part[: part.index(b" ")]) for part in data.split(b'"delta": {"content": "')[1:]]
        end = b"[DONE]" in data
    writer.close()
    await writer.wait_closed()
    return found


async def directly(client: sogni_async.SogniClient) -> list[float]:
    """Delays of the tokens of one stream of a client."""
    stream = await client.chat.completions.create(model=MODEL, messages=[MESSAGE], stream=True)
    return [time.monotonic() - float(chunk.content) async for chunk in stream if chunk.content]


def test_added_delay_of_200_streams(source: ChatSource, served: Served, figures: Figures) -> None:
    """At most 1 ms, the median over all tokens of 200 streams at once, compared with a client without the server."""

    async def run() -> tuple[float, float]:
        options = {"api_key": "bench", "rest_endpoint": source.http, "socket_endpoint": source.websocket}
        least = [float("inf"), float("inf")]
        source.order(wanted=STREAMS, tokens=TOKENS, rate=RATE)
        async with sogni_async.SogniClient(**options) as client:
            await client.connect(30)
            for number in range(1, ROUNDS.stop):
                for place, stream in enumerate((lambda: directly(client), lambda: through_the_server(served))):
                    found = await asyncio.gather(*(stream() for _ in range(STREAMS)))
                    assert sum(map(len, found)) == STREAMS * TOKENS
                    least[place] = min(least[place], median(it for delays in found for it in delays))
                if number >= ROUNDS.start and least[1] <= BUDGET:
                    break
        return least[0], least[1]

    direct, through = asyncio.run(run())
    figures.add(
        f"sogni serve: a token of {STREAMS} streams at once",
        f"{(through - direct) * 1000:+.2f} ms ({through * 1000:.2f} ms)",
        f"{direct * 1000:.2f} ms",
        f"+{BUDGET * 1000:g} ms",
    )
    assert through - direct <= BUDGET


def test_memory_of_10000_requests(source: ChatSource, served: Served, figures: Figures) -> None:
    """Memory does not grow with the number of requests, streamed or not."""
    source.order(wanted=0)

    async def one(connection: int, count: int) -> None:
        reader, writer = await asyncio.open_connection(*served.address)
        for number in range(count):
            streamed = number % 2 == 0
            writer.write(served.request(stream=streamed))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            if streamed:
                await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()
        await writer.wait_closed()

    async def run(count: int) -> None:
        await asyncio.gather(*(one(it, count // AT_ONCE) for it in range(AT_ONCE)))

    asyncio.run(run(WARM_UP))
    before, begun = served.memory(), time.monotonic()
    asyncio.run(run(REQUESTS))
    seconds, after = time.monotonic() - begun, served.memory()
    if before is None or after is None:
        pytest.skip("only Linux tells the memory of a process")
    figures.add(
        f"sogni serve: memory after {REQUESTS:,} requests",
        f"{after - before:+.1f} MB ({after:.0f} MB, {REQUESTS / seconds:.0f} requests/s)",
        "",
        f"+{GROWTH:g} MB",
    )
    assert after - before <= GROWTH
