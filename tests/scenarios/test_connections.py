"""The number of connections and requests of a client with many concurrent calls."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, RecordedRequest
from tests.scenarios.conftest import MODEL, Sdk, until

ROOT = Path(__file__).resolve().parents[2]


class Turnstile:
    """A REST host that answers nothing until it is opened, and counts the requests that it has at the same time."""

    def __init__(self) -> None:
        self.present = self.most = 0
        self.opened = threading.Event()
        self._lock = threading.Lock()

    def pass_through(self) -> None:
        with self._lock:
            self.present += 1
            self.most = max(self.most, self.present)
        self.opened.wait(20)
        with self._lock:
            self.present -= 1


@contextmanager
def serving(turnstile: Turnstile) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            turnstile.pass_through()
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def at_once(sdk: Sdk, count: int, function: Any, *args: Any, **keywords: Any) -> list[Any]:
    """Call or await something many times at once."""
    if not sdk.blocking:
        return await asyncio.gather(*(function(*args, **keywords) for _ in range(count)))
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(count) as threads:
        calls = [loop.run_in_executor(threads, lambda: function(*args, **keywords)) for _ in range(count)]
        return await asyncio.gather(*calls)


async def test_no_more_requests_than_allowed_are_under_way(sdk: Sdk) -> None:
    turnstile = Turnstile()
    with serving(turnstile) as host:
        client = sdk.SogniClient(api_key="key", rest_endpoint=host, max_connections=3)
        try:
            asked = asyncio.create_task(at_once(sdk, 12, client.api_client.rest.get, "/x"))
            await until(lambda: turnstile.present == 3)
            turnstile.opened.set()
            assert await asked == [{}] * 12
            assert turnstile.most == 3
        finally:
            turnstile.opened.set()
            await sdk.call(client.close)


async def test_closing_ends_the_calls_that_wait_for_a_connection(sdk: Sdk) -> None:
    turnstile = Turnstile()
    with serving(turnstile) as host:
        client = sdk.SogniClient(api_key="key", rest_endpoint=host, max_connections=1)
        try:
            calls = [asyncio.create_task(sdk.call(client.api_client.rest.get, "/x")) for _ in range(3)]
            await until(lambda: turnstile.present == 1)
            await sdk.call(client.close)
            failed = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(error) for error in failed] == [sdk.ClientClosedError] * 3
        finally:
            turnstile.opened.set()


async def test_streams_that_stay_open_take_no_connection_from_requests(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, max_connections=1) as client:
        run = await sdk.call(client.chat.runs.create, messages=[{"role": "user", "content": "Say one word"}])
        stream = client.chat.runs.stream_events(run.run_id)
        async for _ in sdk.iterate(stream):
            assert (await sdk.call(client.chat.runs.get, run.run_id)).run_id == run.run_id
        project = await sdk.create(client)
        (job,) = (await sdk.call(project.wait, timeout=20)).jobs
        file = await sdk.call(job.open)
        try:
            assert await sdk.call(job.get_result_data) == await sdk.call(file.read)
        finally:
            await sdk.call(file.close)


async def test_uploads_of_one_connection_all_arrive(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    async with sdk.client(supernet, max_connections=1) as client:
        project = await sdk.call((await sdk.create(client)).wait, timeout=20)
        (path,) = await sdk.call(project.save, tmp_path)
        again = await sdk.create(
            client, model_id="qwen_image_edit_2511_fp8_lightning", context_images=[path, path, path]
        )
        assert (await sdk.call(again.wait, timeout=20)).status == "completed"


async def test_many_projects_at_once_ask_for_the_models_once(sdk: Sdk, supernet: LocalSupernet) -> None:
    count = 32 if sdk.blocking else 300
    supernet.faults.http("/api/v1/models/list", delay=0.3)
    supernet.faults.http("/api/v2/models/tiers", delay=0.3)
    async with sdk.client(supernet) as client:
        fields = {"type": "image", "model_id": MODEL, "positive_prompt": "x", "width": 256, "height": 256, "steps": 1}
        projects = await at_once(sdk, count, client.projects.create, **fields)
        assert len({project.id for project in projects}) == count
        asked = [request.path for request in supernet.requests if isinstance(request, RecordedRequest)]
        assert [asked.count(path) for path in ("/api/v1/models/list", "/api/v2/models/tiers")] == [1, 1]


async def test_one_of_those_who_wait_for_the_models_asks_again_when_the_first_is_canceled(
    supernet: LocalSupernet,
) -> None:
    sdk = Sdk("sogni_async")
    slow = supernet.faults.http("/api/v1/models/list", delay=20)
    async with sdk.client(supernet) as client:
        first, *others = [asyncio.create_task(client.projects.get_supported_models()) for _ in range(5)]
        await until(lambda: slow.fired)
        first.cancel()
        models = await asyncio.gather(*others)
        assert all(found == models[0] for found in models)


EXHAUSTED = """
import asyncio, inspect, os, resource, sys
package = __import__(sys.argv[1])
async def main():
    client = package.SogniClient(retry=package.RetryPolicy(attempts=1))
    client.account, client.projects  # which loads their modules
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 4096))
        for call in (client.account.me, lambda: client.projects.wait_for_models(0.5), lambda: client.projects.create(
                type="image", model_id="flux1-schnell-fp8", positive_prompt="x")):
            try:
                found = call()
                if inspect.isawaitable(found):
                    await found
            except package.SogniError:
                print("refused")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        closing = client.close()
        if closing is not None:
            await closing
asyncio.run(main())
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files by /proc")
def test_a_process_without_free_descriptors_gets_an_error_of_ours(sdk: Sdk, supernet: LocalSupernet) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SOGNI_API_KEY": supernet.api_key,
        "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
        "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
    }
    ended = subprocess.run(
        [sys.executable, "-c", EXHAUSTED, sdk.name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout.split(), ended.stderr) == (["refused"] * 3, "")
