"""The examples for FastAPI, Celery and Dask run as their users run them."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sogni.emulator import LocalSupernet
from tests.examples.conftest import EXAMPLES, ROOT, Run
from tests.examples.test_examples import size

pytestmark = pytest.mark.integration


@pytest.fixture
def address(fast_emulator: None) -> Iterator[str]:
    """Where uvicorn serves the example for FastAPI, on a free port."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    app = runpy.run_path(str(EXAMPLES / "fastapi_stream.py"))["app"]
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
    yield f"http://{host}:{port}"
    server.should_exit = True
    serving.join()


def test_fastapi_streams_answers_and_progress(tmp_path: Path, address: str) -> None:
    with urllib.request.urlopen(f"{address}/chat?question=What+is+6+times+7%3F") as answer:
        assert "42" in answer.read().decode()
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


def test_celery_runs_tasks_in_workers_with_redis(tmp_path: Path, run_program: Run, broker: str) -> None:
    pytest.importorskip("celery")
    with LocalSupernet(step_time=0) as supernet:
        environment = {
            "CELERY_BROKER_URL": broker,
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        command = [sys.executable, "-m", "celery", "--app", "celery_images", "--quiet", "worker", "--concurrency", "2"]
        paths = os.pathsep.join(map(str, (ROOT, EXAMPLES)))
        everything = {**os.environ, "PYTHONPATH": paths, **environment}
        with (tmp_path / "worker.log").open("w") as log:
            worker = subprocess.Popen(command, cwd=tmp_path, env=everything, stdout=log, stderr=log)
            try:
                lines = run_program("celery_images.py", "a fox", "an owl", **environment)
            finally:
                worker.terminate()
                worker.wait(30)
    assert [size(tmp_path / line) for line in lines] == [(1024, 1024)] * 2


def test_dask_distributes_prompts_over_processes(tmp_path: Path, run_program: Run) -> None:
    pytest.importorskip("distributed")
    lines = run_program("dask_images.py", "a fox", "an owl", DASK_TEMPORARY_DIRECTORY=str(tmp_path / "dask"))
    assert [size(tmp_path / line) for line in lines] == [(1024, 1024)] * 2
