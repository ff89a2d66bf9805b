"""The examples for FastAPI, Celery and Dask run as their users run them."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.examples.conftest import EXAMPLES, ROOT, Run
from tests.examples.test_examples import size

pytestmark = pytest.mark.integration


@contextmanager
def served(path: Path) -> Iterator[str]:
    """The URL at which uvicorn serves an application for FastAPI, on a free port."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    app = runpy.run_path(str(path))["app"]
    started = threading.Event()

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        async def startup(self, *arguments: object, **options: object) -> None:
            await super().startup(*arguments, **options)
            started.set()

    server = Server(uvicorn.Config(app, port=0, log_config=None))
    serving = threading.Thread(target=server.run)
    serving.start()
    assert started.wait(30)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        serving.join()


@pytest.fixture
def address(fast_emulator: None) -> Iterator[str]:
    """Where uvicorn serves the example for FastAPI."""
    with served(EXAMPLES / "fastapi_stream.py") as url:
        yield url


def test_the_application_on_the_page_about_fastapi_streams(tmp_path: Path, fast_emulator: None) -> None:
    page = (ROOT / "docs/how-to/stream-progress-with-fastapi.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "app.py").write_text("\n".join(blocks))
    with served(tmp_path / "app.py") as url:
        with urllib.request.urlopen(url) as answer:
            assert "EventSource" in answer.read().decode()
        with urllib.request.urlopen(f"{url}/chat?question=What+is+6+times+7%3F") as answer:
            assert "6 times 7" in answer.read().decode()
        with urllib.request.urlopen(f"{url}/image?prompt=a+kite") as answer:
            *progress, last = answer.read().decode().strip().split("\n\n")
        assert progress[-1] == "event: progress\ndata: 100"
        (result,) = json.loads(last.removeprefix("event: finished\ndata: "))
        with urllib.request.urlopen(result) as answer:
            assert answer.read(8) == b"\x89PNG\r\n\x1a\n"


def test_fastapi_streams_answers_and_progress(tmp_path: Path, address: str) -> None:
    with urllib.request.urlopen(f"{address}/chat?question=What+is+6+times+7%3F") as answer:
        assert "6 times 7" in answer.read().decode()
    with urllib.request.urlopen(f"{address}/image?prompt=a+kite") as answer:
        *progress, last = answer.read().decode().strip().split("\n\n")
    assert progress[-1] == "event: progress\ndata: 100"
    assert size(tmp_path / last.removeprefix("event: saved\ndata: ")) == (1024, 1024)


@pytest.mark.parametrize("example", ["celery_images.py", "celery_batch.py"])
def test_celery_runs_tasks_in_the_process_without_a_broker(tmp_path: Path, run_program: Run, example: str) -> None:
    pytest.importorskip("celery")
    assert [size(tmp_path / line) for line in run_program(example, "a fox", "an owl")] == [(1024, 1024)] * 2


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis server, which ends with the test."""
    pytest.importorskip("redis")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    socket = tmp_path / "redis.sock"
    options = ("--port", "0", "--unixsocket", str(socket), "--save", "")
    with subprocess.Popen([program, *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("eady to accept connections" in line for line in server.stdout)
        yield f"redis+socket://{socket}"
        server.terminate()


@pytest.fixture
def celery(tmp_path: Path, broker: str, supernet: LocalSupernet) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a worker of an example with two processes, in an environment that is set for the test, too."""
    pytest.importorskip("celery")
    environment = {
        "CELERY_BROKER_URL": broker,
        "SOGNI_API_KEY": supernet.api_key,
        "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
        "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
    }
    paths = os.pathsep.join(map(str, (ROOT, EXAMPLES)))
    with ExitStack() as held, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)

        def start(example: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "celery", "--app", example, "--quiet", "worker", "--concurrency", "2"]
            log = held.enter_context((tmp_path / "worker.log").open("w"))
            everything = {**os.environ, "PYTHONPATH": paths}
            worker = subprocess.Popen(command, cwd=tmp_path, env=everything, stdout=log, stderr=log)
            held.callback(worker.wait, 30)
            held.callback(worker.terminate)
            return worker

        yield start


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as started:
        yield started


def test_celery_runs_tasks_in_workers_with_redis(tmp_path: Path, run_program: Run, celery: Any) -> None:
    celery("celery_images")
    lines = run_program("celery_images.py", "a fox", "an owl")
    assert [size(tmp_path / line) for line in lines] == [(1024, 1024)] * 2


def children(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the processes of the worker in /proc")
def test_celery_repeats_what_a_killed_worker_had(
    tmp_path: Path, run_program: Run, celery: Any, supernet: LocalSupernet
) -> None:
    supernet.pause_workers()
    worker = celery("celery_batch")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run_program, "celery_batch.py", *(f"animal {number}" for number in range(6)))
        # Each of the two processes waits for its first image.
        supernet.wait_for(lambda: len(supernet.projects) == 2 or running.done(), timeout=60)
        os.kill(children(worker.pid)[0], signal.SIGKILL)
        supernet.resume_workers()
        lines = running.result()
    assert [size(tmp_path / line) for line in lines] == [(1024, 1024)] * 6
    assert [project["status"] for project in supernet.projects] == ["completed"] * 6
    costs = (Decimal(project["costActual"]["costInToken"]) for project in supernet.projects)
    assert sum(costs) == 10_000 - supernet.account.balance.spark


def test_dask_distributes_prompts_over_processes(tmp_path: Path, run_program: Run) -> None:
    pytest.importorskip("distributed")
    lines = run_program("dask_images.py", "a fox", "an owl", DASK_TEMPORARY_DIRECTORY=str(tmp_path / "dask"))
    assert [size(tmp_path / line) for line in lines] == [(1024, 1024)] * 2
