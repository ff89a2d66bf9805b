"""gunicorn --preload: one client, connected while the application is loaded, serves every forked worker."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import pytest

from sogni.emulator import Balance, LocalSupernet
from tests.processes.conftest import start_python

pytest.importorskip("gunicorn")
pytestmark = [pytest.mark.integration, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")]

APPLICATION = """
import json, os
from sogni import SogniClient
client = SogniClient(**{settings!r})
client.connect()
LOADED_BY = client.app_id

def application(environ, start_response):
    username = client.account.me().username
    project = client.projects.create(
        type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse", width=256, height=256, steps=1
    )
    urls = project.wait_for_completion(timeout=20)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([os.getpid(), client.app_id, LOADED_BY, username, len(urls)]).encode()]
"""


class Answer(NamedTuple):
    """What a worker answered."""

    pid: int
    app_id: str
    loaded_by: str
    username: str
    results: int


class Gunicorn:
    """A running gunicorn with two workers of eight threads."""

    def __init__(self, process: Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def ask(self, _: int = 0) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            answer = connection.getresponse()
            assert answer.status == 200
            return Answer(*json.loads(answer.read()))
        finally:
            connection.close()


@contextmanager
def serving(directory: Path, supernet: LocalSupernet) -> Iterator[Gunicorn]:
    """gunicorn with the application; it must end in order, without a traceback."""
    settings = {
        "api_key": supernet.api_key,
        "rest_endpoint": supernet.rest_endpoint,
        "socket_endpoint": supernet.socket_endpoint,
    }
    (directory / "app.py").write_text(APPLICATION.format(settings=settings))
    arguments = "-m gunicorn --preload --workers 2 --threads 8 --bind 127.0.0.1:0 --graceful-timeout 20 app"
    # A session of its own, so that no worker outlives a test that fails.
    process = start_python(directory, "-W", "ignore", *arguments.split(), start_new_session=True)
    assert process.stderr is not None
    log = ""
    try:
        while not (found := re.search(r"Listening at: http://127.0.0.1:(\d+)", log)):
            line = process.stderr.readline()
            assert line, log
            log += line
        yield Gunicorn(process, int(found[1]))
        process.terminate()
        log += process.communicate(timeout=60)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert (process.returncode, "Traceback" in log) == (0, False), log


def test_workers_have_their_own_app_id_and_reload_without_loss(tmp_path: Path) -> None:
    requests = 64
    with (
        LocalSupernet(step_time=0, workers=8, balance=Balance(spark=10**6, sogni=10**6)) as supernet,
        serving(tmp_path, supernet) as gunicorn,
        ThreadPoolExecutor(16) as threads,
    ):
        # One worker may answer everything until the other one has started.
        assert any(len({it.pid for it in threads.map(gunicorn.ask, range(16))}) == 2 for _ in range(100))
        answers = list(threads.map(gunicorn.ask, range(requests)))
        assert len({(it.pid, it.app_id) for it in answers}) == len({it.app_id for it in answers}) == 2
        assert Counter((it.username, it.results) for it in answers) == {(supernet.account.username, 1): requests}
        assert {it.loaded_by for it in answers}.isdisjoint(it.app_id for it in answers)

        old = {it.pid for it in answers}
        new: set[tuple[int, str]] = set()
        under_way = [threads.submit(gunicorn.ask) for _ in range(16)]
        gunicorn.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            answers = [it.result() for it in under_way]
            assert {(it.username, it.results) for it in answers} == {(supernet.account.username, 1)}
            new |= {(it.pid, it.app_id) for it in answers if it.pid not in old}
            if len(new) == 2 and old.isdisjoint(it.pid for it in answers):
                break
            under_way = [threads.submit(gunicorn.ask) for _ in range(16)]
        assert len(new) == len({app_id for _, app_id in new}) == 2
        assert supernet.violations == []
